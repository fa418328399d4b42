"""Batches in the viewer: changes of answer in debates, what last states say, filters, failures, two batches side by side, CSV."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from symposia import registry
from symposia.api import abatch
from symposia.graphs import debate_du
from symposia.result import ledger
from symposia.state.errors import BadInput, UnknownName
from symposia.state.show import Show, dialogue
from symposia.state.store import Store, open_store
from symposia.viewer import batches as tables
from symposia.viewer import heads as lines
from symposia.viewer import reads, states
from symposia.viewer.api import _json
from symposia.viewer.compared import batches_compared
from symposia.viewer.desk import Desk
from symposia.viewer.failing import failing_places
from symposia.viewer.heads import Heads
from symposia.viewer.persuasion import held_in, moves_of
from symposia.viewer.query import read_query
from symposia.viewer.states import facts_of
from symposia.viewer.table import cell, sent
from symposia.viewer.verdicts import verdicts

PROBLEMS = [json.loads(line) for line in files("symposia.items").joinpath("arithmetic.jsonl").read_text(encoding="utf-8").splitlines()[:6]]
TOYS = {"debate_du": {"k": 3, "max_rounds": 2}, "mad": {}, "reconcile": {"k": 2}, "pbt_debate": {}, "pbt_flip": {}}
NODES = [{"id": "r", "level": -1, "agent": None, "text": "?", "answers": {"A": None, "B": None}, "stopped": ""}]
NODES += [
    {"id": path, "level": level, "agent": agent, "text": "so", "answers": {"A": a, "B": b}, "stopped": ""}
    for path, level, agent, a, b in [("r.0", 0, "A", "18", None), ("r.0.0", 1, "B", "18", "20"), ("r.0.0.0", 2, "A", "Agree", "20")]
]
NODES += [{"id": "r.0.0.1", "level": 2, "agent": "A", "text": "no", "answers": {"A": "Disagree", "B": "20"}, "stopped": ""}]
TREE = {"directed": True, "multigraph": False, "graph": {}, "nodes": NODES}
TREE["edges"] = [{"source": node["id"].rpartition(".")[0], "target": node["id"]} for node in NODES[1:]]


# -- changes of answer --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "show", "held"),
    [
        ({"answers": [[1, 2], [1, 1]]}, Show(), [[1, 1], [2, 1]]),
        ({"read": ["18", "NONE"]}, Show(), [["18", "NONE"]]),
        ({"own": "18", "after": "20", "theirs": "20"}, Show(), [["18", "20"]]),
        ({"answers": [[1], [2], [1], [1]]}, Show({"chains": dialogue(speakers=("one", "other"))}), [[1, 1], [2, 1]]),
        ({"said": [1, 2, 3]}, Show({"chains": dialogue(answers="said")}), [[1, 2, 3]]),
        ({"log": [{"speaker": s, "answer": a} for s, a in ("x1", "y2", "x3")]}, Show({"log": dialogue()}), [["1", "3"], ["2"]]),
        ({"tree": TREE}, Show(), [["18", "20"], ["18", "18"]]),
        ({"answers": [[1, 2]]}, Show(), [[1], [2]]),
        ({"answers": [[1, 2], [1]]}, Show(), None),
        ({"answers": [[[1]], [[2]]]}, Show(), None),
        ({"answers": None, "read": "18"}, Show(), None),
        ({"graph": {"nodes": [{"agent": "A", "text": "so"}]}}, Show(), None),
        ({"tree": {**TREE, "edges": [{"source": "r", "target": "gone"}]}}, Show({"tree": dialogue()}), None),
        ({"tree": {**TREE, "nodes": NODES[1:]}}, Show(), None),
        ({"tree": {**TREE, "nodes": [{**NODES[0], "id": ["r"]}]}}, Show(), None),
    ],
)
def test_a_dialogue_is_found_by_its_hint_or_its_shape(values: dict[str, Any], show: Show, held: Any) -> None:
    assert held_in(values, show, debate=True) == held


def test_rounds_of_samples_are_no_dialogue() -> None:
    assert held_in({"answers": [[1, 2], [1, 1]]}, Show()) is None


@pytest.mark.parametrize(
    ("held", "reference", "moves"),
    [
        ([[20, 18, 18.001, 21]], 18, {"wrong-right": 1, "right-wrong": 1, "held": 1}),
        ([[20, 21, 21], [None, 18], [None, "NONE"]], [18, "eighteen"], {"wrong-right": 1, "wrong-wrong": 1, "held": 2}),
        ([["Agree", 3], ["3", None]], 18, {"wrong-wrong": 2}),
        ([[20, 18, 18]], None, {"changed": 1, "held": 1}),
        ([[20, 18]], {"tests": "no answer"}, {"changed": 1}),
        ([["Paris", "paris", "Rome"]], "Paris", {"right-wrong": 1, "held": 1}),
        ([[18]], 18, {}),
    ],
)
async def test_answers_are_held_against_the_reference_and_those_before(held: Any, reference: Any, moves: dict[str, int]) -> None:
    assert await moves_of(held, reference) == moves


def test_what_a_state_says_in_short() -> None:
    told = facts_of(
        {
            **{"route": "easy", "n": 3, "share": 0.12345, "yes": True, "long": "x" * 99, "params": {"k": 2}, "answer": 3},
            **{
                "history": [{"hard": False, "round": 0}, {"hard": True, "round": 1}],
                "scores": {"before": 0.5, "all": [1]},
                "labels": ["a"],
            },
        }
    )
    short = {"route": "easy", "n": 3, "share": 0.123, "yes": True, "scores.before": 0.5}
    assert told == {**short, "history.n": 2, "history.hard": True, "labels.n": 1, "labels": "a"}


# -- filters ------------------------------------------------------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    {
        "run": "a",
        "status": "ok",
        "answer": 18.0,
        "correct": True,
        "moves": {"wrong-right": 2},
        "state": {"route": "easy", "n": 1, "ok": True},
    },
    {"run": "b", "status": "ok", "answer": 20, "correct": False, "moves": {"held": 2}, "state": {"route": "hard", "n": 3, "ok": False}},
    {"run": "c", "status": "failed", "answer": None, "error": {"name": "Truncated", "node": "refine"}},
]
ROWS[0]["state"], ROWS[1]["state"] = {"route": "easy", "n": 1, "ok": True}, {"route": "hard", "n": 3, "ok": False}


@pytest.mark.parametrize(
    ("q", "runs"),
    [
        ("changed:wrong-right", "a"),
        ("changed:wrong-right,held", "ab"),
        ("-changed:held", "ac"),
        ("state.route:hard", "b"),
        ("state.route:none", ""),
        ("state.n>=2 correct:no", "b"),
        ("state.n:1,3", "ab"),
        ("state.ok:yes", "a"),
        ("state.history.hard:yes", ""),
        ("answer:18", "a"),
    ],
)
def test_the_filter_reads_states_and_changes(q: str, runs: str) -> None:
    query = read_query(q)
    assert "".join(row["run"] for row in query.over(ROWS)[0]) == runs
    assert query.needs_states == ("changed" in q or "state." in q)


def test_a_filter_names_any_key_of_a_state() -> None:
    row = {"run": "a", "state": facts_of({"scores": {"toy/default?error=0.1": 2, "größe 🙂": "a b", 'odd "key"': 1}})}
    for q in ('state."scores.toy/default?error=0.1":2', 'state."scores.größe 🙂":"a b"', '-state."scores.toy/default?error=0.1">2'):
        query = read_query(q)
        assert query.keeps(row) and query.needs_states and len(query.tests) == 1, q
    assert all('"' not in key for key in row["state"]), "no filter could name it"


async def test_answers_on_the_way_are_judged_as_batches_judge_them(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        {"wrote": {"answers": {"value": [["1/2", None], ["0.50", "0.3"]]}, "notes": {"value": "7"}}},
        {"wrote": {"turns": {"value": [{"said": "3/6", "text": "9"}]}}},
    ]
    show = Show({"turns": dialogue(answer="said")})
    judged = await verdicts(steps, {"task": "math"}, show, ["\\frac{1}{2}", "none"])
    assert judged == [["1/2", True], ["0.50", True], ["0.3", False], ["3/6", True]]
    assert await verdicts(steps, {}, show, None) == await verdicts(steps, {}, show, {"tests": []}) == []
    monkeypatch.setattr("symposia.viewer.verdicts._PATIENCE", -1.0)
    assert await verdicts(steps, {"task": "math"}, show, ["7"]) == [], "a page does not wait for algebra without end"


def test_the_term_that_removed_the_last_row_is_named() -> None:
    found, removed = read_query('status:ok -correct:yes "no such words" error:none').over(ROWS)
    assert found == [] and removed == {"term": '"no such words"', "before": 1}
    assert read_query("status:ok").over([]) == ([], None)


@pytest.mark.parametrize("q", ["changed:mind", "state.n>many", "state:x", "status>ok"])
def test_a_filter_that_cannot_be_read_says_what_can(q: str) -> None:
    with pytest.raises((BadInput, UnknownName)) as refused:
        read_query(q)
    assert refused.value.remedy


# -- tables -------------------------------------------------------------------------------------------------------------------------------


def test_facets_that_divide_the_rows_alike_are_told_once() -> None:
    rows: list[dict[str, Any]] = [
        {"run": str(n), "status": "ok", "correct": n < 6, "rounds": n % 2, "visited": {"solve": 1}, "answer": n} for n in range(8)
    ]
    told = [{**row, "state": {"hard": row["rounds"] == 1, "route": "ab"[int(row["run"]) // 6], "id": row["run"]}} for row in rows]
    found = {facet["key"]: facet["values"] for facet in tables.facets(told)}
    assert set(found) == {"round", "state.route"}, "solve divides nothing, hard is round, and ids are too many"
    assert found["state.route"] == [{"value": "a", "n": 6, "graded": 6, "right": 6}, {"value": "b", "n": 2, "graded": 2, "right": 0}]


def test_a_cell_of_a_spreadsheet_is_no_formula() -> None:
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx"]
    assert [cell(text) for text in texts] == [f"'{text}" for text in texts]
    assert [cell(value) for value in (-1, 0.5, None, "a=b", True)] == [-1, 0.5, None, "a=b", "true"]


def test_rows_of_a_large_batch_are_thin() -> None:
    row = {"run": "a", "row": "q1", "position": 0, "repeat": 1, "question": "word " * 20, "cost": 0.0123456, "method": "m", "toy": True}
    (thin,) = sent([row], 9_000)
    assert thin == {"run": "a", "row": "q1", "question": thin["question"], "cost": 0.01235}
    assert len(thin["question"]) < 70 and sent([row], 9)[0]["question"] == row["question"]
    assert "position" in row, "the line that is kept stays as it is"


def test_numbers_that_json_cannot_write_become_words() -> None:
    assert json.loads(_json({"a": [1.5, float("inf")]})) == {"a": [1.5, "inf"]}


# -- a store with batches -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("batches")

    async def filled() -> dict[str, str]:
        found = {}
        async with open_store(str(folder / "store.db")) as store:

            async def made(name: str, method: str, error: float, given: Mapping[str, Any], rows: Any = PROBLEMS) -> None:
                model = f"toy/default?error={error}"
                batch = await abatch(method, rows, folder / f"{name}.jsonl", model=model, params={"seed": 4, **given}, store=store)
                found[name] = str(batch["batch_id"])

            for method, given in TOYS.items():
                await made(method, method, 0.4, given)
            await made("careful", "debate_du", 0.05, TOYS["debate_du"])
            await made("open", "debate_du", 0.4, TOYS["debate_du"], [{"id": 1, "question": PROBLEMS[0]["question"]}])
            await made("vote", "self_consistency", 0.4, {"k": 2})
        return found

    return str(folder / "store.db"), asyncio.run(filled())


@pytest.fixture
async def desk(home: tuple[str, dict[str, str]]) -> AsyncIterator[Desk]:
    found = Desk(home[0], lambda: pytest.fail("nothing is started here"))
    yield found
    await found.close()


async def divided(desk: Desk, batch_id: str, *, begin: bool = False) -> Any:
    """How a batch's rows fall apart once all states are known."""
    while True:
        found = await desk.library.ask(lambda store: reads.facets(desk, store, batch_id=batch_id, begin=begin))
        if not found["states"]["going"]:
            return found
        await asyncio.sleep(0.01)


async def rows(desk: Desk, batch_id: str, q: str) -> Any:
    return await desk.library.ask(lambda store: reads.rows(desk, store, batch_id=batch_id, q=q, after=0))


@pytest.mark.parametrize("method", TOYS)
async def test_every_cell_of_the_changes_is_a_filter_that_finds_its_rows(desk: Desk, home: tuple[str, dict[str, str]], method: str) -> None:
    batch_id = home[1][method]
    found = await divided(desk, batch_id)
    assert found["states"] == {"of": 6, "done": 6, "gone": 0, "going": False, "seconds": None}
    changes = found["changes"]
    assert changes["rows"] == 6 and "changed" not in changes["moves"], "all problems have references"
    for move, count in changes["moves"].items():
        kept = await rows(desk, batch_id, f"changed:{move}")
        assert kept["total"] == count["rows"] > 0
        assert sum(row["moves"][move] for row in kept["items"]) == count["answers"]


async def test_a_debate_counts_every_agent_in_every_round(desk: Desk, home: tuple[str, dict[str, str]]) -> None:
    moves = (await divided(desk, home[1]["debate_du"]))["changes"]["moves"]
    assert sum(count["answers"] for count in moves.values()) == 6 * 3 * 2
    (facet,) = [facet for facet in (await divided(desk, home[1]["debate_du"]))["facets"] if facet["key"] == "state.vote_weights.n"]
    for bar in facet["values"]:
        assert (await rows(desk, home[1]["debate_du"], f"state.vote_weights.n:{bar['value']}"))["total"] == bar["n"]


async def test_without_a_reference_a_change_is_only_a_change(desk: Desk, home: tuple[str, dict[str, str]]) -> None:
    moves = (await divided(desk, home[1]["open"]))["changes"]["moves"]
    assert set(moves) <= {"changed", "held"} and sum(count["answers"] for count in moves.values()) == 6


async def test_a_method_without_a_dialogue_has_no_changes(desk: Desk, home: tuple[str, dict[str, str]]) -> None:
    assert (await divided(desk, home[1]["vote"]))["changes"] is None


async def test_a_large_batch_is_rebuilt_when_somebody_asks(
    desk: Desk, home: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_UNASKED", 5)
    batch_id = home[1]["debate_du"]
    found = await divided(desk, batch_id)
    assert found["changes"] is None and (found["states"]["done"], found["states"]["of"]) == (0, 6)
    waits = await rows(desk, batch_id, "changed:held")
    assert waits["total"] == 0 and waits["states"]["done"] == 0, "the filter says that it knows nothing yet"
    assert (await divided(desk, batch_id, begin=True))["changes"]["rows"] == 6


async def test_a_csv_is_no_part_of_what_a_filter_would_keep(
    desk: Desk, home: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_UNASKED", 5)
    batch_id = home[1]["debate_du"]

    async def saved() -> Any:
        return await desk.library.ask(lambda store: reads.rows_csv(desk, store, batch_id=batch_id, q="changed:held"))

    with pytest.raises(BadInput, match="known of 0 of 6 rows"):
        await saved()
    await divided(desk, batch_id, begin=True)
    assert len((await saved()).splitlines()) == 1 + (await rows(desk, batch_id, "changed:held"))["total"] > 1


async def test_a_state_that_cannot_be_told_does_not_keep_the_others_from_it(
    desk: Desk, home: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    held_in, seen = states.held_in, []

    def broken(*given: Any, **options: Any) -> Any:
        seen.append(given)
        return {}[0] if len(seen) == 2 else held_in(*given, **options)

    monkeypatch.setattr(states, "held_in", broken)
    found = await divided(desk, home[1]["debate_du"])
    assert (found["states"]["done"], found["states"]["gone"], found["changes"]["rows"]) == (6, 1, 5)


async def test_a_task_of_any_kind_is_told(home: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    last = states._last

    async def with_task(*given: Any) -> Any:
        return {**(await last(*given) or {}), "task": ["number"]}

    monkeypatch.setattr(states, "_last", with_task)
    async with open_store(home[0]) as store:
        run_id = (await store.read("SELECT id FROM runs WHERE method = 'debate_du'"))[0][0]
        assert (await states.told_of(store, run_id)).moves


async def test_batches_above_the_bounds_are_kept_as_long_as_they_are_asked_for(
    desk: Desk, home: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_MOST", 8)
    monkeypatch.setattr(lines, "_MOST", 3)
    one, other = home[1]["debate_du"], home[1]["careful"]
    for batch_id in (one, other):
        assert (await divided(desk, batch_id))["states"]["done"] == 6
    assert len(desk.library.states._known) == 8, "of the batch before the oldest are gone"
    both = await asyncio.gather(*(rows(desk, batch_id, "visited:debate") for batch_id in (one, other, one)))
    assert [len(found["items"]) for found in both] == [6, 6, 6] and len(desk.library.heads._known) == 6


async def test_work_that_nobody_asks_about_ends(desk: Desk, home: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_UNASKED", 0)
    monkeypatch.setattr(states, "PATIENCE", -1.0)
    await desk.library.ask(lambda store: reads.facets(desk, store, batch_id=home[1]["debate_du"], begin=True))
    found = await divided(desk, home[1]["debate_du"])
    assert (found["states"]["done"], found["states"]["of"]) == (0, 6)


async def test_states_that_cannot_be_rebuilt_come_from_the_checkpoint_or_are_counted(
    desk: Desk, home: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debate_du, "route", lambda state: "vote")
    registry._compiled.cache_clear()
    try:
        found = await divided(desk, home[1]["debate_du"])
        progress, row = found["states"], (await rows(desk, home[1]["debate_du"], ""))["items"][0]
        async with open_store(home[0]) as store:
            kept = (await store.run(row["run"]))["checkpoints"] == "each"
    finally:
        registry._compiled.cache_clear()
    assert (progress["done"], progress["gone"]) == (6, 0 if kept else 6)
    assert (found["changes"] is not None) == kept


async def test_two_batches_are_joined_and_a_cell_names_its_rows(desk: Desk, home: tuple[str, dict[str, str]]) -> None:
    a, b = home[1]["debate_du"], home[1]["careful"]

    async def compared(one: str, two: str, which: str = "changed") -> Any:
        return await desk.library.ask(lambda store: reads.compare(desk, store, a=one, b=two, rows=which))

    found = await compared(a, b)
    assert (found["of"], found["shared"], found["graded"], found["same_method"]) == ("batches", 6, 6, True)
    assert sum(found["table"].values()) == 6 and found["table"]["wrong_right"] > 0
    assert found["test"]["b_better"] == found["table"]["wrong_right"] and found["test"]["test"] == "mcnemar exact"
    assert [side["changed"]["model"] for side in found["batches"]] == ["toy/default?error=0.4", "toy/default?error=0.05"]
    assert all(row["a"]["answer"] != row["b"]["answer"] for row in found["rows"]) and len(found["rows"]) == found["changed"] > 0
    for which, n in found["table"].items():
        cells = await compared(a, b, which)
        assert cells["total"] == len(cells["rows"]) == n
        assert {(row["a"]["correct"], row["b"]["correct"]) for row in cells["rows"]} <= {
            tuple(side == "right" for side in which.split("_"))
        }
    assert (await compared(a, b, "all"))["total"] == 6
    assert not (await compared(a, home[1]["vote"]))["same_method"]
    with pytest.raises(UnknownName, match="right_wrong"):
        await compared(a, b, "right_wrog")


async def test_long_answers_that_differ_in_the_middle_are_not_the_same(tmp_path: Path) -> None:
    async with open_store(str(tmp_path / "store.db")) as store:
        ids = []
        for name in "ab":
            made = await abatch("self_consistency", PROBLEMS[:4], tmp_path / name, model="toy/default", params={"k": 1}, store=store)
            ids.append(made["batch_id"])
            for at, row in enumerate(await tables.rows_of(store, Heads(), made["batch_id"])):
                middle = name * 50
                changed = {"answer": f"{'x' * 99}{middle if at == 0 else 'm'}{'y' * 99}\n" if at < 2 else f" Paris{' ' * (name == 'b')}"}
                changed |= {"reference": ["x" * 99, middle, "y" * 99]} if at == 3 else {}
                await store.put_run({**await store.run(row["run"]), **changed})
        found = await batches_compared(store, Heads(), *ids)
    assert (found["shared"], found["other_reference"]) == (3, 1)
    assert [row["row"] for row in found["rows"]] == [str(PROBLEMS[0]["id"])]


async def test_the_csv_holds_the_rows_that_the_filter_keeps(desk: Desk, home: tuple[str, dict[str, str]]) -> None:
    text = await desk.library.ask(lambda store: reads.rows_csv(desk, store, batch_id=home[1]["debate_du"], q="correct:no"))
    wrong = await rows(desk, home[1]["debate_du"], "correct:no")
    told = list(csv.DictReader(io.StringIO(text)))
    assert [row["row"] for row in told] == [row["row"] for row in wrong["items"]] and told
    assert {row["correct"] for row in told} == {"false"} and told[0]["question"] in {problem["question"] for problem in PROBLEMS}


async def test_lines_are_read_again_when_a_record_changes(tmp_path: Path) -> None:
    async with open_store(str(tmp_path / "store.db")) as store:
        made = await abatch("self_consistency", PROBLEMS[:2], tmp_path / "out.jsonl", model="toy/default", params={"k": 2}, store=store)
        heads, where = Heads(), ("WHERE length(id) > ?", (9,))
        first = await heads.of(store, *where)
        record = await store.run(first[0]["run"])
        await store.put_run({**record, "answer": "something else"})
        again = await heads.of(store, *where)
        assert [row["answer"] for row in again if row["run"] == record["run_id"]] == ["something else"]
        assert again[1] is first[1], "the other line is the one that was read before"
        page = await tables.page_of(store, heads, made["batch_id"], quick=True)
        assert page["rows"] == 2 and "facets" not in page


async def test_a_run_that_goes_on_costs_what_its_journal_says(tmp_path: Path) -> None:
    async with open_store(str(tmp_path / "store.db")) as store:
        await abatch("self_consistency", PROBLEMS[:2], tmp_path / "out.jsonl", model="toy/default", params={"k": 2}, store=store)
        heads = Heads()
        run_id = (await heads.of(store))[0]["run"]
        record = await store.run(run_id)
        await store.put_run({key: value for key, value in record.items() if key not in ledger([])} | {"status": "started"})
        await store.write([("UPDATE entries SET usd = 0.01 WHERE run = ?", [(run_id,)])])
        query = read_query("cost>0.01 status:started")
        (row,) = [row for row in await heads.of(store) if query.keeps(row)]
        assert (row["run"], row["calls"], row["cost"]) == (run_id, record["calls"], 0.02) and row["tokens"] > 0
        await store.write([("UPDATE entries SET usd = NULL WHERE run = ?", [(run_id,)])])
        assert {row["cost"] for row in await heads.of(store) if row["run"] == run_id} == {None}, "each time it is asked for"


async def test_a_failure_without_a_place_gets_that_of_the_last_call_in_its_step(home: tuple[str, dict[str, str]]) -> None:
    async with open_store(home[0]) as store:
        run_id = (await store.read("SELECT id FROM runs WHERE method = 'debate_du'"))[0][0]
        assert await failing_places(store, [run_id]) == {}, "a run that came to its end failed nowhere"
        await _cut(store, run_id, before=4)
        assert (await failing_places(store, [run_id]))[run_id].startswith("4.debate")


async def _cut(store: Store, run_id: str, before: int) -> None:
    """Leave a run as one is that failed in a step."""
    for step in await store.read("SELECT step FROM steps WHERE run = ? AND step >= ?", (run_id, before)):
        await store.write([("DELETE FROM steps WHERE run = ? AND step = ?", [(run_id, step[0])])])
    for (seq,) in await store.read("SELECT seq FROM entries WHERE run = ? AND place >= ?", (run_id, f"{before + 1}.")):
        await store.write([("DELETE FROM entries WHERE run = ? AND seq = ?", [(run_id, seq)])])
