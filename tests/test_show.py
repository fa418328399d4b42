"""Runs in the terminal: what `show` and `diff` print of real runs, and that nothing a model wrote does anything there."""

import io
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from rich.console import Console

from symposia import registry, runs
from symposia.graphs import magicore
from symposia.records import call_record, look, run_record, state_at
from symposia.shapes import gist
from symposia.show import diff_runs, show_run
from symposia.show.page import answer_text
from symposia.state.base import BaseParams
from symposia.state.errors import BadInput, UnknownName
from symposia.state.store import Store
from symposia.tools.providers import litellm
from symposia.why import Reads, why_next

HOSTILE = "[red]x[/red] \x1b]0;owned\x07\x1b[2J \x9b31m \u202edlo z\u200bw\xad \U000e0041 :smile: [link=https://example.org]y[/link]"
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2069\U000e0000-\U000e007f]")


class Players:
    """One answer of four is another one; scores that leave the problem hard; hostile text in every reply."""

    def __init__(self, odd: int = 20) -> None:
        self.odd = odd
        self.solved = 0

    def __call__(self, node: str, messages: list[dict[str, Any]]) -> str:
        if node in ("solve", "refine"):
            self.solved += 1
            return f"Step 1: try {self.solved}, {HOSTILE}\nStep 2: so \\boxed{{{self.odd if self.solved % 4 == 1 else 18}}}"
        if node == "score":
            return "SCORES: 0.9, 0.25" if "SCORES" in messages[-1]["content"] else "SCORE: 0.4"
        return f"Step 2 is wrong. {HOSTILE}"


@pytest.fixture
async def run_id(script: Any, sqlite: Store) -> str:
    """A run of two rounds, recorded with hostile texts in the question and in every reply."""
    script.answer = Players()
    given = {"model": "script/any", "k": 4, "max_rounds": 1, "calib_mean": 2.0, "confidence_threshold": 1.0}
    record = runs.new_record("magicore", given, {"question": f"How many? {HOSTILE}", "task": "number"}, reference=18)
    return (await runs.start(sqlite, record)).run_id


def page(**options: Any) -> Console:
    return Console(file=io.StringIO(), width=160, markup=False, highlight=False, emoji=False, **options)


async def shown(store: Store, run_id: str, **options: Any) -> str:
    console = page()
    await show_run(store, run_id, console=console, **options)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


async def test_the_path_with_its_numbers(sqlite: Store, script: Any, run_id: str) -> None:
    made = script.calls
    text = await shown(sqlite, run_id)
    assert script.calls == made
    for said in (
        f"{run_id}  magicore  ok",
        "answer    18  right (reference 18)  stopped: max_rounds",
        "calls     28: solver 4, outcome 8, process 8, reviewer 4, refiner 4; 280 tokens in, 140 out",
        "model=script/any, k=4, max_rounds=1, calib_mean=2, confidence_threshold=1",
        "answers  18 x3, 20 x1",
        "mean 0.575, lowest 0.25 (no. 1, item 2)",
        "vote_weights  18: 1.88 (3 of 4), 20: 0.625 (1 of 4)",
        "conf_orm=0.726",
        "-> review: read is_hard=True, round=0, max_rounds=1",
        "round 1",
        "-> finish: read is_hard=True, round=1, max_rounds=1",
    ):
        assert said in text, text
    assert "toy models" not in text


@pytest.mark.parametrize("options", [{}, {"calls": True}, {"step": 8}], ids=["path", "calls", "state"])
async def test_hostile_text_is_inert(sqlite: Store, run_id: str, options: dict[str, Any]) -> None:
    text = await shown(sqlite, run_id, **options)
    assert not CONTROLS.search(text)
    assert "[red]x[/red]" in text
    assert ":smile: [link=https://example.org]y[/link]" in text
    console = page(force_terminal=True, color_system="standard")
    await show_run(sqlite, run_id, console=console, **options)
    styled = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[" in styled
    assert not CONTROLS.search(re.sub(r"\x1b\[[0-9;]*m", "", styled))
    assert "\x1b]" not in styled


async def test_calls_hold_each_prompt_once_and_every_reply(sqlite: Store, run_id: str) -> None:
    text = await shown(sqlite, run_id, calls=True)
    assert text.count("Solve the problem below.") == 1
    assert text.count("asked the same as 2.solve.b0") == 3
    assert text.count("\n2.solve.b") == 4
    assert "2.solve.b3  solver · script/any · 10 + 5 tokens" in text
    assert text.count("You are a student who corrects a solution") == 4
    assert text.count("reply   Step 1: try ") == 8


async def test_json_is_one_object_and_holds_texts_on_request(sqlite: Store, run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    await show_run(sqlite, run_id, as_json=True)
    out = capsys.readouterr().out
    assert out.isascii() and not CONTROLS.search(out)
    thin = json.loads(out)
    assert thin["run"]["run_id"] == run_id and thin["correct"] is True and thin["first_divergence"] is None
    assert [s["ran"][0] for s in thin["steps"]][-2:] == ["classify", "finish"]
    assert sum(len(s["calls"]) for s in thin["steps"]) == 28
    assert "request" not in thin["steps"][1]["calls"][0]
    await show_run(sqlite, run_id[:8], calls=True, as_json=True)
    full = json.loads(capsys.readouterr().out)
    assert full["steps"][1]["calls"][3]["request"]["messages"][0]["content"].endswith(HOSTILE)
    await show_run(sqlite, run_id, step=3, as_json=True)
    state = json.loads(capsys.readouterr().out)
    assert (state["step"], state["state"]["answers"]) == (3, full["steps"][2]["wrote"]["answers"]["value"])


@pytest.fixture
def altered(run_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The recorded run, after its method's router has been changed to never refine."""
    monkeypatch.setattr(magicore, "route", lambda state: "finish")
    registry._compiled.cache_clear()
    yield run_id
    registry._compiled.cache_clear()


async def test_an_altered_router_is_a_banner_and_hides_the_states(sqlite: Store, altered: str) -> None:
    run_id = altered
    text = await shown(sqlite, run_id)
    assert "The replay differs from the record at step 6, node classify." in text
    assert "recorded: then review" in text and "replayed: then finish" in text
    assert "vote_weights" not in text
    assert re.search(r" 8 +refine +refiner 4", text)
    assert "so \\boxed{18}" in await shown(sqlite, run_id, calls=True)
    with pytest.raises(BadInput, match="differs from the record at step 6"):
        await shown(sqlite, run_id, step=3)


async def test_a_method_that_is_gone_leaves_the_journal(sqlite: Store, run_id: str) -> None:
    record = await sqlite.run(run_id)
    await sqlite.put_run({**record, "method": "magicoree"})
    text = await shown(sqlite, run_id)
    assert "cannot be replayed: unknown method 'magicoree'; did you mean 'magicore'" in text
    assert re.search(r" 8 +refine +refiner 4", text)


async def test_what_does_not_exist_is_said(sqlite: Store, run_id: str) -> None:
    with pytest.raises(UnknownName, match="unknown run 'nowhere'"):
        await shown(sqlite, "nowhere")
    with pytest.raises(BadInput, match="has the steps 0 to 13, not 99"):
        await shown(sqlite, run_id, step=99)


async def test_a_failed_run_says_why_and_shows_the_step_that_did_not_end(script: Any, sqlite: Store) -> None:
    refusal = litellm().AuthenticationError(f"no {HOSTILE}", llm_provider="script", model="any")
    script.replies = {"solve": [refusal, refusal]}
    record = runs.new_record("self_consistency", {"model": "script/any", "k": 2}, {"question": "How many?"})
    result = await runs.start(sqlite, record)
    text = await shown(sqlite, result.run_id, calls=True)
    assert "self_consistency  failed" in text
    assert "error     MissingKey: " in text and "at 2.solve.b0" in text and "-> set " in text
    assert re.search(r"2 +solve +\(all failed\) +this step did not end", text)
    assert not CONTROLS.search(text)


async def test_a_fork_shows_its_edit_and_what_it_copied(sqlite: Store, run_id: str) -> None:
    result = await runs.fork(sqlite, run_id, 6, values={"feedback": [["ours"] * 4]})
    text = await shown(sqlite, result.run_id)
    assert f"fork of   {run_id} after step 6, its state edited" in text
    assert re.search(r"\n +7  \(edited\) +feedback  ours x4", text)
    assert re.search(r"\n +8  review +reviewer 4 \(all copied\)", text)
    assert re.search(r"\n +2  solve +solver 4 \(all copied\)", text)


@pytest.mark.parametrize(
    ("answer", "said"), [(3.14159265, "3.14159265"), (1234567.5, "1234567.5"), (18.0, "18"), (10**14, str(10**14)), ("so", "so")]
)
def test_answers_that_differ_do_not_look_alike(answer: Any, said: str) -> None:
    assert answer_text(answer) == said


async def test_runs_compared(sqlite: Store, script: Any, run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = page()
    assert await diff_runs(sqlite, run_id, run_id, console=console)
    other = (await runs.fork(sqlite, run_id, 6, params={"prompts": {"reviewer": "Say what is wrong: {annotated}"}})).run_id
    assert not await diff_runs(sqlite, run_id, other, console=console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "are the same: 28 calls alike" in text
    assert "prompts.reviewer" in text and "Say what is wrong: {annotated}" in text
    assert "params after step 6" in text
    assert re.search(r" 4 calls asked something else  7\.review\.b0", text)
    assert not await diff_runs(sqlite, run_id, other, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert list(found["params"]) == ["prompts.reviewer"] and found["same"] is False
    assert found["calls"]["changed"] == [f"7.review.b{i}" for i in range(4)]
    assert len(found["calls"]["same"]) == 24 and not found["calls"]["only_a"]


async def test_a_comparison_names_the_first_step_that_differs(sqlite: Store, script: Any, run_id: str) -> None:
    record = await sqlite.run(run_id)
    script.answer = Players(odd=21)
    again = await runs.start(sqlite, runs.new_record("magicore", record["params"], record["input"]))
    console = page()
    assert not await diff_runs(sqlite, run_id, again.run_id, console=console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "step 2, solve / solve, which wrote other chains" in text
    assert re.search(r" \d calls? asked the same, answered otherwise  2\.solve\.b", text)


async def test_states_and_calls_as_json_equal_what_the_store_holds(sqlite: Store, run_id: str) -> None:
    seen = await look(sqlite, run_id)
    record = await run_record(sqlite, run_id)
    chains: list[Any] = []
    for step in record["steps"]:
        chains += step["wrote"].get("chains", {"value": []})["value"]
        assert state_at(seen, step["step"])["chains"] == chains
    assert len(chains) == 2
    calls = [call["place"] for step in record["steps"] for call in step["calls"]]
    assert sorted(calls) == sorted(e.place for e in await sqlite.entries(run_id))
    entry = (await sqlite.entries(run_id))[0]
    assert call_record(entry)["outcome"] == entry.outcome


async def test_calls_stand_in_the_order_of_their_places(script: Any, sqlite: Store) -> None:
    script.answer = Players()
    waits = iter(range(12, 0, -1))
    script.delay = lambda: next(waits) / 100
    record = runs.new_record("self_consistency", {"model": "script/any", "k": 12}, {"question": "How many?"})
    result = await runs.start(sqlite, record)
    assert (await sqlite.entries(result.run_id))[0].place != "2.solve.b0"
    steps = (await run_record(sqlite, result.run_id))["steps"]
    assert [call["place"] for call in steps[1]["calls"]] == [f"2.solve.b{i}" for i in range(12)]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ([{"answer": "18", "weight": 2.1, "count": 4}, {"answer": "20", "weight": 3.9, "count": 3}], "20: 3.9 (3 of 7), 18: 2.1 (4 of 7)"),
        ([{"answer": 18, "count": 4}, {"answer": 20, "count": 1}], "18: 4 of 5, 20: 1 of 5"),
        ([0.9, 0.2, 0.7], "mean 0.6, lowest 0.2 (no. 2 of 3)"),
        ([[0.9, 0.8], [], [0.7, 0.2]], "mean 0.65, lowest 0.2 (no. 3, item 2), 1 without any"),
        (["18", None, "18", "20"], "18 x2, unreadable x1, 20 x1"),
        ({"round": 1, "quality": 0.61234, "is_hard": True, "conf": None}, "round=1, quality=0.612, is_hard=True, conf=none"),
        (["a" * 100, "", "b" * 60], "2 texts of 60 to 100 characters, 1 empty"),
        ("first line\nsecond line", "first line (22 characters)"),
        (1250000.0, "1250000"),
        (3.25, "3.25"),
        ([{"round": 0, "x": 1, "y": []}, {"round": 0, "x": 2, "y": []}], "2 records of round, x, y"),
        ([], "none"),
        ({}, "empty"),
        ([[["a"]]], "a"),
        ([True, False, True], "True x2, False x1"),
        ([float("nan"), 1], "nan, 1"),
        (
            [{"status": "pass", "got": 1}, {"status": "fail", "got": 2}, {"status": "pass", "got": 1}],
            "3 records of status (pass x2, fail x1), got",
        ),
        ([{"status": "pass"}, {"status": "fail"}], "2 records of status"),
        ({"n1": {"score": 3, "by": None}}, "n1: score=3, by=none"),
        ({f"n{i}": {"score": i} for i in range(5)}, "2 before; n2: score=2; n3: score=3; n4: score=4"),
        ({f"n{i}": {"id": i, "steps": []} for i in range(9)}, "n0 to n8: 9 records of id, steps"),
        (["x"] * 3 + [str(i) for i in range(9)], "x x3, 0 x1, 1 x1, 2 x1, 3 x1, 4 x1, and 4 more"),
    ],
)
def test_a_value_in_a_line(value: Any, line: str) -> None:
    assert gist(value) == line


class Params(BaseParams):
    """Parameters of the routers below."""

    max_rounds: Annotated[int, "rounds"] = 2


STATE = {"params": Params().model_dump(mode="json"), "scores": [0.1, 0.9], "history": [{"round": 3, "done": False}], "flags": {"a": 1}}


@pytest.mark.parametrize(
    ("router", "read"),
    [
        (lambda s: s["history"][-1]["done"], {"history[-1].done": False}),
        (lambda s: max(s["scores"]), {"scores": [0.1, 0.9]}),
        (lambda s: len(s["history"]), {"len(history)": 1}),
        (lambda s: s["scores"][-1:], {"scores[-1:]": [0.9]}),
        (lambda s: Params.of(s).max_rounds, {"max_rounds": 2}),
        (lambda s: s["params"]["max_rounds"] + s["params"].get("nothing", 1), {"max_rounds": 2}),
        (lambda s: s.get("missing", 7), {"missing": 7}),
        (lambda s: "a" in s["flags"], {"flags": {"a": 1}}),
        (lambda s: s["flags"].get("a"), {"flags.a": 1}),
    ],
)
def test_what_a_router_reads_is_noted(router: Any, read: dict[str, Any]) -> None:
    reads = Reads(Params)
    with reads.noting():
        plain = router(STATE)
        assert router(reads.of("", STATE)) == plain
    assert reads.found() == read


async def test_a_router_that_needs_a_runtime_is_named_not_fatal() -> None:
    from langgraph.graph import START, StateGraph

    def needy(state: dict[str, Any], runtime: Any) -> str:
        return "__end__"

    builder: Any = StateGraph(dict)
    builder.add_node("one", lambda state: state).add_edge(START, "one").add_conditional_edges("one", needy, ["__end__"])
    (why,) = await why_next(Params, builder, ["one"], STATE)
    assert why["goto"] == [] and why["error"].startswith("TypeError")
