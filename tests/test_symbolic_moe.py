"""Symbolic-MoE: the numbered invariants of its specification, its preparation, failures, views, and the toys it is shown on."""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from importlib import resources
from importlib.metadata import version
from math import sqrt
from pathlib import Path

import pytest
from commands import Command

from symposia import runs
from symposia.finished import finished_runs
from symposia.graphs.symbolic_moe import METHOD, Params, export, graph, picture, prepare, prepare_rows, report
from symposia.nodes.aggregator import after_thought, with_references
from symposia.nodes.experts import answer_in, last_option, option_in, request
from symposia.nodes.tagger import TAG, agreed, embed_skills, keywords, nearest_skills
from symposia.pools import calls_by_model
from symposia.state.errors import BadInput, EndpointDown, RequestRejected
from symposia.state.journal import Run, opened
from symposia.state.store import open_store
from symposia.tools import toy
from symposia.tools.equality import same_pure
from symposia.tools.profile_views import page
from symposia.tools.profiles import bench, bipartite, pick, profiles, score, strengths, strongest
from symposia.tools.providers import litellm
from symposia.tools.recruiting import BY_SKILL, fit, group, recruit, slots, trim, weights
from symposia.tools.settings import configure
from symposia.tools.toy.experts import TOPICS, topics_of

ITEMS = [json.loads(row) for row in (resources.files("symposia.items") / "topics.jsonl").read_text(encoding="utf-8").splitlines()]
ROUTERS = ("repo", "paper", "topk", "random", "uniform")
POOL = ["script/a", "script/b", "script/c"]
RIGHT = {"algebra": {"a", "b"}, "biology": {"b"}, "chemistry": set()}
"""Which of the scripted models answer questions of a subject rightly."""
VALIDATION = [{"question": f"{subject} {n}?", "answer": n, "task": "number"} for n, subject in enumerate([*RIGHT] * 2, 1)]


@pytest.fixture(autouse=True)
def no_pauses():
    before = configure(max_wait=0.0, attempts=1)
    yield
    configure(max_wait=before.max_wait, attempts=before.attempts)


class Cast:
    """Scripted models that know their name: experts are right by `RIGHT`, aggregators when they are `writer` and see a right chain."""

    def __init__(self, script, writer="c"):
        self.script, self.writer, self.asked = script, writer, []
        self.say = {}
        script.answer = self.answer

    def answer(self, node, messages):
        name = self.script.options[-1]["model"].rpartition("/")[2]
        prompt = messages[-1]["content"]
        self.asked.append((node, name, [m["content"] for m in messages]))
        if node in self.say:
            return self.say[node](name, prompt)
        if node == "tag":
            problem = prompt.rpartition("Problem: ")[2]
            return f"Keywords: {next((s for s in RIGHT if s in problem), 'other').capitalize()}, number {len(self.asked)}"
        subject, number = prompt.rpartition("Problem: ")[2].rstrip("?").split()[:2]
        if node in ("aggregate", "agg_run"):
            held = f"\\boxed{{{number}}}" in messages[0]["content"]
            return f"I say \\boxed{{{number if held and name == self.writer else 0}}}."
        return f"{name} thinks \\boxed{{{number if name in RIGHT[subject] else -1}}}."

    def count(self, node):
        return sum(n == node for n, _, _ in self.asked)


async def made(rows=VALIDATION, **given):
    """The content of an artefact."""
    params = Params(**{"model": "script/any", "roles": {"expert": POOL}, **given})
    rows = prepare_rows(rows, params.model_dump(mode="json"))
    return (await prepare().compile().ainvoke({"rows": rows}, context=params))["answer"]


async def run(artefact=None, question="biology 9?", task="number", **given):
    """The last state of a run."""
    opening = Run("r")
    opening.artefact = artefact
    params = Params(**{"model": "script/any", "artefact": "a" if artefact else None, **given})
    async with opened(opening):
        return await graph.ainvoke({"question": question, "task": task}, context=params)


def tables(n=200, seed=0):
    """Random profiles with the skills of a question."""
    rng = random.Random(seed)
    for number in range(n):
        skills = [f"s{i}" for i in range(rng.randint(1, 6))]
        table = {f"m{i}": {s: rng.randint(-5, 5) for s in skills} for i in range(rng.randint(1, 6))}
        yield table, rng.choices(skills, k=rng.randint(0, 4)), f"q{number}"


def near(found, chance, n):
    """Whether a count is within five deviations of what is to be expected."""
    return abs(found - n * chance) <= 5 * sqrt(n * chance * (1 - chance)) + 1e-9


# -- the numbered invariants ----------------------------------------------------------------------------------------------------------


def test_inv01_a_skill_counts_right_less_wrong():
    rng = random.Random(1)
    skills = [rng.sample("abcdef", rng.randint(0, 4)) for _ in range(40)]
    correct = {model: [rng.random() < 0.6 for _ in skills] for model in ("x", "y", "z")}
    table = profiles(correct, skills)
    assert {tuple(profile) for profile in table.values()} == {tuple(sorted({s for tags in skills for s in tags}))}
    for model, profile in table.items():
        for skill, value in profile.items():
            held = [right for right, tags in zip(correct[model], skills, strict=True) if skill in tags]
            assert value == 2 * sum(held) - len(held)


def test_inv02_strength_is_a_share_of_squares():
    assert strengths({"a": {"s": 1}, "b": {"s": 2, "t": 1}}) == {"a": 0.1, "b": 0.9}
    assert strengths({"a": {"s": -5}, "b": {"s": 0}, "c": {"s": 5}}) == {"a": 1 / 158, "b": 36 / 158, "c": 121 / 158}
    assert strengths({"a": {"s": 0}, "b": {}}) == {"a": 0.5, "b": 0.5}
    for table, _, _ in tables():
        found = strengths(table)
        assert sum(found.values()) == pytest.approx(1)
        totals = {m: sum(p.values()) for m, p in table.items()}
        assert all(found[a] <= found[b] for a in table for b in table if totals[a] <= totals[b])


async def test_inv03_every_slot_has_a_model_and_one_answer(script):
    for table, skills, question in tables():
        for router in ROUTERS:
            drawn, found = recruit(router, table, skills, 3, 0, question)
            assert len(drawn) == 3
            assert set(drawn) <= found.keys() == table.keys()
            if router in ("topk", "random") and (skills or router == "random"):
                assert len(set(drawn)) == min(3, len(table))
    cast = Cast(script)
    out = await run(await made(), k=5)
    assert len(out["assigned"]) == len(out["chains"][0]) == len(out["answers"][0]) == cast.count("expert_run") == 5
    assert [text.split()[0] for text in out["chains"][0]] == [model.rpartition("/")[2] for model in out["assigned"]]


def test_inv04_who_fits_not_is_drawn_only_when_nobody_does():
    seen = Counter()
    for table, skills, question in tables(400):
        fits = {m: fit(p, skills) for m, p in table.items()}
        if skills and max(fits.values()) > 0:
            drawn = recruit("repo", table, skills, 8, 0, question)[0]
            assert all(fits[m] > 0 for m in drawn)
            seen["fit"] += min(fits.values()) <= 0
    assert seen["fit"] > 100


@pytest.mark.parametrize(
    ("fits", "strength", "chances"),
    [((4, 2, -1), (0.25, 0.5, 0.25), (0.5, 0.5, 0)), ((-4, -2), (0.5, 0.5), (0.25, 0.75)), ((3, 1), (0, 1), (0, 1))],
)
def test_inv05_chances_follow_fit_times_strength(fits, strength, chances):
    found = weights("repo", dict(zip("abc", fits, strict=False)), dict(zip("abc", strength, strict=False)))
    assert [w / sum(found.values()) for w in found.values()] == list(chances)


def test_inv05_draws_are_independent_and_follow_the_weights():
    table = {"a": {"s": 3}, "b": {"s": 1}}  # weights 3 x 0.9 and 1 x 0.1
    drawn = [recruit("repo", table, ["s"], 2, 0, str(n))[0] for n in range(3000)]
    assert near(sum(models.count("b") for models in drawn), 0.1 / 2.8, 6000)
    assert near(sum(models == ["a", "a"] for models in drawn), (2.7 / 2.8) ** 2, 3000)


def test_the_paper_s_softmax_and_the_largest_weights():
    found = weights("paper", {"a": 4, "b": -2}, {"a": 0.5, "b": 0.5})
    assert found["a"] / found["b"] == pytest.approx(2.718281828 ** ((1 + 0.5) / 0.5))
    assert weights("paper", {"a": 0, "b": 0}, {"a": 0.5, "b": 0.5}) == {"a": 0.5, "b": 0.5}
    assert recruit("topk", {"a": {"s": 1}, "b": {"s": 3}, "c": {"s": -2}}, ["s"], 2, 0, "q")[0] == ["b", "a"]
    assert recruit("topk", {"a": {"s": 1}, "b": {"s": 3}}, ["s"], 5, 0, "q")[0] == ["b", "a", "b", "a", "b"]


def test_inv06_a_doubled_skill_counts_twice_and_none_draws_uniformly():
    assert fit({"s": 3, "t": -1}, ["s", "s", "t", "unknown"]) == 5
    table = {"a": {"s": 9}, "b": {"s": -9}, "c": {"s": 0}}
    for router in BY_SKILL:
        drawn = Counter(m for n in range(1000) for m in recruit(router, table, [], 3, 0, str(n))[0])
        assert all(near(drawn[m], 1 / 3, 3000) for m in table), router


def test_inv07_keywords_count_that_come_twice_and_are_short():
    long = "a" * 21
    passes = [f"Keywords: Algebra, {long}", f"Sure.\nKeywords:  algebra., {long}, geometry", "none", "", "Keywords: x, x"]
    assert agreed(passes) == ["algebra"]
    assert agreed([f"KEYWORDS: {long[1:]}"] * 2) == [long[1:]]
    assert keywords("Keywords: old\n**Keywords:** Unit  Conversion,\nphysics.") == ["unit conversion", "physics"]
    assert keywords("algebra, , Sets") == ["algebra", "sets"]


ENGINE = Path(__file__).parents[1] / "bench" / "toy_engine.py"
CONFIG = f"""
[pool]
command = "{sys.executable} {ENGINE} {{weights}} --name {{name}} --port {{port}} --books books"
"""


@pytest.mark.usefixtures("folder")
def test_inv08_a_batch_loads_each_recruited_model_once_and_no_other(symposia: Command) -> None:
    experts = {name: f"local/{name}" for name in ("money", "ages", "idle")}
    toys = {name: f'[pool.models.{name}]\nweights = "default?error=0"\n' for name in experts}
    Path("symposia.toml").write_text(CONFIG + "".join(toys.values()))
    rows = [row for row in ITEMS if row["category"] in ("money", "ages")][:10]
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    skilled = {experts["money"]: "money", experts["ages"]: "ages", experts["idle"]: None}
    table = {model: {s: 9 if s == skill else -9 for s in ("money", "ages")} for model, skill in skilled.items()}
    content = {"profiles": table, "pool": list(table), "aggregator": "toy/default?error=0&check=1"}
    asyncio.run(put(content))
    roles = ("--role", f"expert={','.join(table)}", "-p", "artefact=a0", "--store", "s.db", "--seed", "1")
    done = symposia("batch", "symbolic_moe", "in.jsonl", "-o", "out.jsonl", "--order", "model", "--concurrency", "4", "--json", *roles)
    assert done.code == 0, done.err
    assert {name: one["loads"] for name, one in done.json["engines"].items()} == {experts["money"]: 1, experts["ages"]: 1}
    events = Counter(" ".join(line.split()[:2]) for line in Path("books").read_text().splitlines())
    work = group({line["id"]: line["models"] for line in asyncio.run(recruited())})
    assert events == {f"{what} {m.partition('/')[2]}": n for m, its in work.items() for what, n in (("start", 1), ("call", len(its)))}
    assert all(json.loads(line)["correct"] for line in Path("out.jsonl").read_text().splitlines())


@pytest.mark.usefixtures("folder")
def test_a_batch_s_plan_tells_the_models_that_an_artefact_names(symposia: Command) -> None:
    Path("symposia.toml").write_text(
        '[pool]\ncommand = "serve {weights} {port}"\n' + "".join(f'[pool.models.{m}]\nweights = "w"\n' for m in "ab")
    )
    Path("in.jsonl").write_text("".join(json.dumps({"question": f"q{n}?"}) + "\n" for n in range(4)))
    content = {"profiles": {"local/a": {"ages": 1, "money": 1}, "local/b": {}}, "pool": ["local/a", "local/b"], "aggregator": "local/b"}
    asyncio.run(put(content))
    words = ("batch", "symbolic_moe", "in.jsonl", "-o", "out.jsonl", "-p", "artefact=a0", "--store", "s.db")
    done = symposia(*words, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert [(one["model"], one["roles"], one["calls"]) for one in done.json["pool"]] == [
        ("local/a", ["expert"], 4 * 3),
        ("local/b", ["expert", "aggregator"], 4 * (3 + 1)),
    ]
    assert done.json["calls_by_model"]["toy/default"] == 4 * 5
    done = symposia(*words, "--engine", "processes")
    assert (done.code, "one process holds a machine's engines" in done.err) == (2, True)
    done = symposia(*words, "-p", "artefact=a1", "--dry-run")
    assert (done.code, "unknown artefact 'a1'; did you mean 'a0'?" in done.err) == (2, True), done.err


async def put(content):
    """Keep an artefact about two skills."""
    async with opened(Run("r")):
        content |= await embed_skills({"roles": {}}, ["ages", "money"])
    async with open_store("s.db") as store:
        await store.put_artefact("a0", "symbolic_moe", {"content": content})


async def recruited():
    """The models of each run of a batch."""
    async with open_store("s.db") as store:
        lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
        states = [(await runs.replay(store, line["run_id"]))[1].values for line in lines]
    return [{"id": line["id"], "models": state["assigned"]} for line, state in zip(lines, states, strict=True)]


def test_inv09_regrouping_loses_nothing():
    rng = random.Random(2)
    for _ in range(100):
        assigned = {f"q{n}": rng.choices("abcde", k=3) for n in range(rng.randint(0, 9))}
        work = list(group(assigned).items())
        rng.shuffle(work)
        answers = {pair: model for model, pairs in work for pair in pairs}
        assert answers == {(q, slot): model for q, models in assigned.items() for slot, model in enumerate(models)}
        assert sum(len(pairs) for _, pairs in work) == len(answers)


async def test_inv10_a_model_drawn_twice_speaks_twice(script):
    cast = Cast(script)
    number = iter(range(9))
    cast.say["expert_run"] = lambda name, _: f"{name} says thing {next(number)}, \\boxed{{1}}."
    out = await run(await made())
    assert out["assigned"] == ["script/b"] * 3
    assert [(node, name) for node, name, _ in cast.asked if node == "expert_run"] == [("expert_run", "b")] * 3
    shown = next(prompts[0] for node, _, prompts in cast.asked if node == "aggregate")
    assert [shown.count(f"says thing {n}") for n in range(3)] == [1, 1, 1]
    assert [shown.count(f"<candidate {n}>") for n in (1, 2, 3, 4)] == [1, 1, 1, 0]


def test_inv11_trimming_moves_the_slots_of_the_rare_alone():
    models = [*"a" * 90, *"b" * 8, *"c" * 2]
    random.Random(0).shuffle(models)
    assigned = {f"q{n}": models[n * 5 : n * 5 + 5] for n in range(20)}
    trimmed = trim(assigned, 0.05, 0)
    pairs = [(before, after) for q in assigned for before, after in zip(assigned[q], trimmed[q], strict=True)]
    assert all(before == after for before, after in pairs if before != "c")
    assert all(after in "ab" for _, after in pairs)
    assert len(pairs) == 100
    assert trim(trimmed, 0.05, 0) == trimmed
    assert trim(assigned, 0, 0) == assigned
    assert trim({"q": list("abcd")}, 0.5, 0) == {"q": list("abcd")}, "none is frequent"
    one_by_one = {q: trim({q: assigned[q]}, 0.05, 0, slots(assigned))[q] for q in reversed(assigned)}
    assert one_by_one == trimmed
    moved = Counter(m for n in range(2000) for m in trim({f"q{n}": ["c"]}, 0.05, 0, {"a": 60, "b": 30, "c": 4})[f"q{n}"])
    assert near(moved["b"], 1 / 3, 2000)


async def test_trimming_uses_the_slots_of_the_batch(script):
    Cast(script)
    artefact = await made()
    artefact["slots"]["repo"] = {"script/a": 99, "script/b": 1}
    assert (await run(artefact))["assigned"] == ["script/a"] * 3
    out = await run(artefact, trim_share=0)
    assert out["assigned"] == out["drawn"] == ["script/b"] * 3


async def test_inv12_the_aggregator_sees_no_thoughts(script):
    cast = Cast(script)
    replies = iter(["<think>secret 1</think>secret 2 </think > shown 1 \\boxed{1}", "shown 2", "all thought</THINK>\n "])
    cast.say["expert_run"] = lambda *_: next(replies)
    await run(await made())
    prompts = " ".join(next(p for node, _, p in cast.asked if node == "aggregate"))
    assert "secret" not in prompts
    assert "think" not in prompts.lower()
    assert [prompts.count(s) for s in ("shown 1", "shown 2", "<candidate 2>", "<candidate 3>")] == [1, 1, 1, 0]
    assert after_thought("as it is ") == "as it is "


def test_inv13_bench_items_hold_three_chains_at_most_one_right():
    rng = random.Random(3)
    correct = {model: [rng.random() < 0.4 for _ in range(60)] for model in "vwxyz"}
    correct["v"][:2] = correct["w"][:2] = correct["x"][:2] = correct["y"][:2] = correct["z"][:2] = [True, False]
    items = bench(correct, 0)
    assert items == bench(correct, 0) != bench(correct, 1)
    places = Counter()
    for item in items:
        held = [correct[m][item["row"]] for m in item["models"] if m]
        assert len(item["models"]) == 3
        assert sum(held) == item["has_correct"] == any(found[item["row"]] for found in correct.values())
        places[next((i for i, m in enumerate(item["models"]) if m and correct[m][item["row"]]), None)] += 1
    assert len([place for place in places if place is not None]) == 3, "the right one stands in different places"
    assert (items[0]["models"].count(None), items[1]["models"].count(None), items[1]["has_correct"]) == (2, 1, False)


async def test_inv14_the_aggregator_is_the_best_on_the_bench(script):
    cast = Cast(script, writer="c")
    artefact = await made()
    assert artefact["accuracy"] == {"script/a": 1 / 3, "script/b": 2 / 3, "script/c": 0}
    assert artefact["aggregation"] == {"script/a": 0, "script/b": 0, "script/c": 66.67}
    assert artefact["aggregator"] == "script/c"
    assert (await made(exclude_no_correct=True))["aggregation"]["script/c"] == 100
    await run(artefact)
    await run(artefact, roles={"aggregator": "script/other"})
    assert [name for node, name, _ in cast.asked if node == "aggregate"] == ["c", "other"]
    assert pick({"b": 5, "a": 5, "c": 5}, {"a": 0.1, "b": 0.3, "c": 0.3}) == "b"
    assert strongest({"b": 0.5, "a": 0.5, "c": 0.9}, 2) == ["c", "a"]
    items = bench({"a": [False, True]}, 0)
    assert (score([False, True], items), score([False, True], items, True)) == (50, 100)


async def test_inv15_the_aggregator_has_the_last_word(script):
    cast = Cast(script)
    artefact = await made()
    cast.say = {"expert_run": lambda *_: "\\boxed{1}", "aggregate": lambda *_: "\\boxed{2}"}
    out = await run(artefact)
    assert (out["majority"], out["answer"], out["stop_reason"]) == (1, 2, "aggregated")
    cast.say["aggregate"] = lambda *_: "I cannot tell."
    assert (await run(artefact))["stop_reason"] == "no_answer"
    out = await run(artefact, aggregation="majority")
    assert (out["answer"], out["stop_reason"], len(out["chains"])) == (1, "majority", 1)


def test_inv16_an_assignment_rests_on_seed_and_question():
    cases = list(tables(100))
    for router in ROUTERS:
        whole = {q: recruit(router, t, s, 3, 5, q)[0] for t, s, q in cases}
        shuffled = {q: recruit(router, dict(reversed(t.items())), s, 3, 5, q)[0] for t, s, q in reversed(cases)}
        assert whole == shuffled
        more = {q: recruit(router, t, s, 4, 5, q)[0][:3] for t, s, q in cases}
        assert whole == more
        other = {q: recruit(router, t, s, 3, 6, q)[0] for t, s, q in cases}
        assert (whole == other) is (router == "topk" and all(s for _, s, _ in cases))


async def test_inv17_answers_of_the_test_split_are_seen_by_nobody(script):
    cast = Cast(script)
    later = [{"question": "biology 7?", "answer": 4711, "split": "test"}, {"question": "algebra 8?", "split": "test"}]
    known = [{**row, "answer": 4711 if n == 0 else row["answer"]} for n, row in enumerate(VALIDATION)]
    rows = prepare_rows([*known, *later], {})
    assert rows[-2:] == prepare_rows([*known, {**later[0], "answer": "another"}, later[1]], {})[-2:]
    assert "4711" not in json.dumps(rows[1:])
    artefact = await made([*known, *later])
    assert not [p for *_, prompts in cast.asked for p in prompts if "4711" in p], "nor is a validation answer"
    assert artefact["questions"] == len(known)
    assert (artefact["slots_from"], sum(artefact["slots"]["repo"].values())) == ("test", 3 * len(later))
    assert (await made())["slots_from"] == "validation"


@pytest.mark.parametrize("router", ROUTERS)
async def test_inv18_a_run_makes_passes_and_k_and_one_call(script, router):
    cast = Cast(script)
    artefact = await made()
    assert cast.count("tag") + cast.count("profile_run") + cast.count("agg_run") == len(cast.asked) == len(VALIDATION) * (5 + 2 * len(POOL))
    cast.asked.clear()
    for n in range(3):
        await run(artefact, f"algebra {n}?", router=router)
    found = {node: n / 3 for node, n in Counter(node for node, *_ in cast.asked).items()}
    assert found == ({"tag": 5} if router in BY_SKILL else {}) | {"expert_run": 3, "aggregate": 1}
    assert METHOD.count(METHOD.calls, Params()) == 9
    roles = {"expert": POOL[:2], "tagger": "script/t", "aggregator": "script/w"}
    told = calls_by_model(METHOD, Params(roles=roles, router=router))
    assert told == ({"script/t": 5} if router in BY_SKILL else {}) | dict.fromkeys(POOL[:2], 3) | {"script/w": 1}
    assert "script/w" not in calls_by_model(METHOD, Params(roles=roles, router=router, aggregation="majority"))


def test_inv19_options_are_those_of_the_question():
    four = "Which?\n(A) one\n(B) two\n(C) three\n(D) four"
    ten = "Which?\n" + "\n".join(f"{letter}. it" for letter in "ABCDEFGHIJ")
    assert (last_option(four), last_option(ten), last_option("Which? (A) 1 (B) 2 (C) 3"), last_option("Which?")) == ("D", "J", "C", "D")
    said = "It is not (B). The answer is (J)."
    assert (answer_in(said, "letter", ten), answer_in(said, "letter", four)) == ("J", "B")
    assert answer_in("So \\boxed{\\text{J}}, though (C) is near.", "letter", ten) == "J"
    assert answer_in("So \\boxed{\\text{(C)}}.", "letter", four) == "C"
    assert (option_in("E is right.", "D"), option_in("It must be C", "D"), option_in("J", "D")) == (None, "C", None)
    assert answer_in("\\boxed{5}", "number", four) == 5


async def test_inv20_a_pool_of_one_is_self_moa(script):
    cast = Cast(script)
    artefact = await made(roles={"expert": "script/a"})
    out = await run(artefact, "algebra 3?")
    assert out["assigned"] == ["script/a"] * 3
    assert [name for node, name, _ in cast.asked if node == "aggregate"] == ["a"]
    assert (await run(None, "algebra 3?", model="script/b"))["assigned"] == ["script/b"] * 3


# -- skills, pools, failures ----------------------------------------------------------------------------------------------------------


async def test_keywords_become_the_nearest_known_skills():
    params = {"roles": {}}
    async with opened(Run("r")) as opening:
        known = await embed_skills(params, ["ages", "chemistry", "money and prices"])
        before = len(opening.live)
        assert await nearest_skills(["money and prices", "ages", "ages"], known) == ["money and prices", "ages", "ages"]
        assert len(opening.live) == before, "a known skill is not embedded"
        assert await nearest_skills(["prices", "organic chemistry", "money"], known) == [
            "money and prices",
            "chemistry",
            "money and prices",
        ]
        assert await nearest_skills([], known) == await nearest_skills(["x"], {**known, "skills": []}) == []


async def test_recruiting_finds_who_is_good_at_it(script):
    Cast(script)
    artefact = await made()
    assert artefact["profiles"]["script/b"] == {"algebra": 2, "biology": 2, "chemistry": -2}
    out = await run(artefact, "biology 5?")
    assert (out["raw_skills"], out["skills"]) == (["biology"], ["biology"])
    assert out["scores"] == {"script/a": 0, "script/b": 2 * artefact["strength"]["script/b"], "script/c": 0}
    assert out["answer"] == 5
    assert (await run(artefact, roles={"expert": ["script/a", "script/c"]}))["assigned"] != ["script/b"] * 3


async def test_without_an_artefact_experts_are_drawn_uniformly(script):
    Cast(script)
    out = await run(None, roles={"expert": POOL}, k=6)
    assert (out["skills"], set(out["scores"].values())) == ([], {1.0})
    assert len(set(out["assigned"])) > 1


async def test_a_slot_that_failed_is_left_empty(script):
    cast = Cast(script)
    artefact = await made()
    replies = iter([litellm().BadRequestError("too long", "m", "p"), "\\boxed{9}", "\\boxed{9}"])

    def say(*_):
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply
        return reply

    cast.say["expert_run"] = say
    out = await run(artefact)
    assert (out["statuses"][0], out["answers"][0], out["answer"]) == (["failed", "ok", "ok"], [None, 9, 9], 9)
    assert "<candidate 2>" in cast.asked[-1][2][0]
    assert "<candidate 3>" not in cast.asked[-1][2][0]
    cast.say["expert_run"] = lambda *_: "<think>to no end</think>"
    out = await run(artefact)
    assert (out["answer"], out["stop_reason"], len(out["chains"])) == (None, "no_answer", 1)


@pytest.mark.parametrize(("error", "name"), [(ConnectionError("down"), EndpointDown), ("too long", None)])
async def test_an_outage_is_no_wrong_answer(script, error, name):
    cast = Cast(script)
    usual = dict(cast.say)

    def say(model, prompt):
        if model == "a":
            raise error if name else litellm().BadRequestError(error, "m", "p")
        return "\\boxed{1}"

    cast.say = {**usual, "profile_run": say}
    if name:
        with pytest.raises(name):
            await made()
    else:
        artefact = await made()
        assert artefact["unusable"] == {"script/a": len(VALIDATION), "script/b": 0, "script/c": 0}
        assert issubclass(RequestRejected, RuntimeError)


async def test_reasoning_models_may_write_more(script):
    Cast(script)
    await run(None, roles={"expert": "script/QwenR1", "aggregator": "script/plain"})
    limits = {(o["model"], o["max_tokens"]) for o in script.options}
    assert limits == {("any", 4096), ("QwenR1", 32768), ("plain", 4096)}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"question": " ", "answer": 1}], "row 1 has no question"),
        ([{"question": "q", "answer": 1}, {"question": "q"}], "row 2 has no known answer"),
        ([{"question": "q", "answer": {"x": 1}}], "row 1 has the answer"),
        ([{"question": "q", "answer": []}], "row 1 has the answer"),
        ([{"question": "q", "answer": 1, "task": "lettr"}], "row 1: no answer task 'lettr'"),
        ([{"question": "q", "answer": 1, "split": "test"}], "no row has a known answer"),
    ],
)
def test_rows_that_cannot_be_used_are_named(rows, says):
    with pytest.raises(BadInput, match=says):
        prepare_rows(rows, {})


async def test_experts_and_skills_that_are_not_known_are_named(script):
    cast = Cast(script)
    artefact = await made()
    calls = script.calls
    with pytest.raises(BadInput, match=r"no profile of script/x; it has those of script/a"):
        await run(artefact, roles={"expert": ["script/a", "script/x"]})
    assert script.calls == calls
    with pytest.raises(BadInput, match="artefact a holds no profiles"):
        await run({"kind": "another"})
    cast.say["tag"] = lambda *_: f"Keywords: number {len(cast.asked)}"
    with pytest.raises(BadInput, match="agree on no keyword"):
        await made()
    with pytest.raises(BadInput, match="prepare_rows"):
        await prepare().compile().ainvoke({"rows": [{"question": "q"}]}, context=Params(model="script/any"))


async def test_several_accepted_answers_and_their_equals_are_right(script):
    cast = Cast(script)
    cast.say["profile_run"] = lambda name, _: {"a": "\\boxed{\\frac{1}{2}}", "b": "\\boxed{0.5}", "c": "\\boxed{2}"}[name]
    rows = [{"question": "algebra 1?", "answer": ["x", "1/2"], "task": "math"}]
    assert (await made(rows))["accuracy"] == {"script/a": 1, "script/b": 1, "script/c": 0}


async def test_a_stopped_preparation_goes_on_and_buys_nothing_twice(script, sqlite):
    Cast(script)
    params = Params(model="script/any", roles={"expert": POOL}, seed=2).model_dump(mode="json")
    inputs = {"rows": prepare_rows(VALIDATION, params)}

    def record(run_id):
        return {
            **{"run_id": run_id, "method": "symbolic_moe", "graph": "prepare", "status": "started", "params": params, "input": inputs},
            **{"reference": None, "row": None, "pause_before": [], "checkpoints": "none", "marks": [], "parent": None},
            **{"started": time.time(), "seconds": 0.0, "version": version("symposia")},
        }

    async def execute(one, **hooks):
        await sqlite.put_run(one)
        return await runs.execute(sqlite, one, **hooks)

    whole = await execute(record("p1"))
    assert whole.status == "ok", whole.error
    total, held = script.calls, []
    for cut in (7, 40):
        hear = lambda event, cut=cut: held[-1].stop("enough") if event["type"] == "effect" and len(held[-1].live) > cut else None  # noqa: E731
        first = await execute(record(f"p{cut}"), on_event=hear, on_open=held.append)
        assert first.status == "stopped"
        rest = await runs.execute(sqlite, await sqlite.run(f"p{cut}"))
        assert (rest.status, rest.answer) == ("ok", whole.answer)
        assert script.calls == 2 * total
        total = script.calls // 2
        script.calls = total
    report_, _ = await runs.replay(sqlite, "p7")
    assert report_["identical"], report_["first_divergence"]


# -- views ----------------------------------------------------------------------------------------------------------------------------


async def test_profiles_can_be_looked_at(script, tmp_path):
    Cast(script)
    artefact = await made()
    network = bipartite(artefact["profiles"])
    assert {n for n, part in network.nodes(data="bipartite") if part} == {"skill algebra", "skill biology", "skill chemistry"}
    assert network["model script/b"]["skill chemistry"]["weight"] == -2
    lines = page(artefact).splitlines()
    assert lines[2].startswith("| script/b | 0.667 |")
    assert "script/c (aggregator)" in lines[4] or "script/c (aggregator)" in lines[3]
    out = await run(artefact)
    dot = picture(out)
    assert '"model script/b" -> "skill biology" [label="+2"' in dot
    assert "skill algebra" not in dot
    assert "recruited 3 times" in dot
    found = report([(out, ["9"])])
    assert (found["runs"], found["loads"], found["experts"]["script/b"]["share"]) == (1, 1, 1.0)
    assert found["experts"]["script/b"]["accuracy"] == 2 / 3
    assert export([(out, ["9"])], tmp_path / "f") == {"profiles.md": 1, "profiles.dot": 1}
    assert (tmp_path / "f" / "profiles.md").read_text() == page(artefact)
    assert report([]) == {"runs": 0, "loads": 0, "agrees": 0.0, "experts": {}}
    assert page({**artefact, "profiles": {m: {"a|<b": 1} for m in POOL}}).count("a\\|&lt;b") == 3


async def test_what_recruiting_came_to_needs_no_known_answer(script, sqlite):
    Cast(script)
    record = runs.new_record(
        "symbolic_moe", {"model": "script/any", "roles": {"expert": POOL}}, {"question": "algebra 1?", "task": "number"}
    )
    result = await runs.start(sqlite, record)
    assert report(await finished_runs(sqlite, [result.run_id], "symbolic_moe"))["runs"] == 1


# -- toys -----------------------------------------------------------------------------------------------------------------------------


def test_bundled_problems_have_the_topic_that_toys_see():
    assert Counter(row["category"] for row in ITEMS) == dict.fromkeys(TOPICS, 12)
    assert all(topics_of(row["question"]) == (row["category"],) for row in ITEMS)


def toy_right(model, row, seed):
    said = toy.reply(model, [{"role": "user", "content": f"Problem: {row['question']}"}], seed)
    return bool(same_pure(row["answer"], said.rpartition("\\boxed{")[2].rpartition("}")[0]))


def test_a_toy_is_good_at_its_topic_alone():
    assert all(toy_right("default?error=0", row, 1) for row in ITEMS)
    right = Counter()
    for row in ITEMS:
        right[row["category"] == "ages"] += sum(toy_right("default?error=0.5&ages=0", row, seed) for seed in range(4))
    assert right[True] == 4 * 12
    assert right[False] < 0.6 * 4 * 48
    with pytest.raises(ValueError, match="'ages' of a toy model is a number"):
        toy.skill_of("default?ages=2")
    with pytest.raises(ValueError, match=r"no setting 'cats'; there are .* money"):
        toy.skill_of("default?cats=0.1")


def test_the_toy_tagger_names_the_topics():
    row = next(row for row in ITEMS if row["category"] == "sharing")
    asked = [{"role": "user", "content": TAG.format(question=row["question"])}]
    assert keywords(toy.reply("default?error=0", asked, 1)) == ["sharing", "equal groups"]
    assert agreed([toy.reply("default?error=0.3", asked, seed) for seed in range(9)])[:2] in (
        ["sharing", "equal groups"],
        ["equal groups", "sharing"],
    )


def aggregated(right, wrong, check, row, seed):
    """Whether a toy that is shown so many right and wrong solutions, and could not solve the problem itself, answers rightly."""
    answers = [row["answer"]] * right + [row["answer"] + 1000] * wrong
    shown = [f"Step 1: I count.\nThe answer is \\boxed{{{answer}}}." for answer in answers]
    params = {"prompts": Params().prompts}
    asked = with_references(params, "aggregator", request(params, row["question"], row["task"]), shown)
    plain = [{**message, "content": "".join(message["content"])} for message in asked]
    return bool(
        same_pure(row["answer"], toy.reply(f"default?error=1&check={check}", plain, seed).rpartition("\\boxed{")[2].partition("}")[0])
    )


def test_the_toy_aggregator_reads_the_experts_and_is_as_good_as_its_checks():
    for right, wrong in ((3, 0), (2, 1), (1, 2), (1, 0)):
        assert all(aggregated(right, wrong, 1, row, 1) for row in ITEMS), "a check that never fails finds the right one"
    kept = sum(aggregated(3, 0, 0.75, row, seed) for row in ITEMS for seed in range(5))
    assert near(kept, 0.75, 5 * len(ITEMS)), "three who agree are checked once"


async def test_recruiting_beats_every_single_expert():
    models = [f"toy/default?error=0.3&{topic}=0.02" for topic in TOPICS]
    known, asked = ITEMS[:35], ITEMS[35:]
    artefact = await made(known, model="toy/default?error=0.05", roles={"expert": models}, seed=0)
    singles = {m: sum(toy_right(m.removeprefix("toy/"), row, seed) for row in asked for seed in range(8)) / 8 for m in models}
    right, own = 0, 0
    for row in asked:
        state = await run(artefact, row["question"], model="toy/default?error=0.05", seed=1, trim_share=0)
        right += state["answer"] == row["answer"]
        own += sum(f"&{row['category']}=" in model for model in state["assigned"])
    assert own > 0.45 * 3 * len(asked), "by chance it would be a fifth"
    assert right > max(singles.values()) + 2 * sqrt(len(asked)) / 2, singles
