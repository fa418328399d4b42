"""MutaGReP's optional parts: the one-step retrieval tool, the test that ends a search, the coder's baselines, and what is never best."""

import json
import re
from importlib import resources
from typing import Any

import pytest

from symposia.graphs.mutagrep import METHOD, Params, graph, report
from symposia.nodes.plan_mutator import MOST_STEPS
from symposia.nodes.symbol_finder import CALLS, CODE_SHOWN, FOUND, MOST_KEYWORDS, candidates
from symposia.state.errors import RequestRejected
from symposia.tools.plan_views import plan_page
from symposia.tools.providers import litellm
from symposia.tools.retrieval import Hit, index_of

LINES = (resources.files("symposia.items") / "repositories.jsonl").read_text(encoding="utf-8").splitlines()
ITEMS: list[Any] = [json.loads(line) for line in LINES]
ASKED: Any = {key: ITEMS[0][key] for key in ("question", "files")}


def plan(*steps, first=0):
    told = "".join(f"<step><number>{n}</number><description>{s}</description></step>" for n, s in enumerate(steps, first))
    return f"<thought>Because.</thought><plan>{told}</plan>"


def listed(prompt):
    """The symbols that a prompt shows to whoever picks."""
    return re.findall(r"^\d+\. ([\w.]+):$", prompt, re.MULTILINE)


class Played:
    """A scripted search: `planner` gives plans by number, the tool's two replies and the examiner's verdict are functions of the prompt."""

    def __init__(self, script, planner, words=lambda prompt: ["read_log"], pick=lambda prompt: 1, examine=lambda prompt: (1, 1, 1)):
        self.prompts: dict[str, list[str]] = {"plan": [], "words": [], "pick": [], "examine": [], "code": []}
        self.parts = (planner, words, pick, examine)
        script.answer = self.answer

    def answer(self, node, messages):
        prompt, (planner, words, pick, examine) = messages[0]["content"], self.parts
        kind = {"mutate": "plan", "goal_test": "examine", "plan_to_code": "code"}.get(node) or ("words" if "{symbols" in prompt else "")
        kind = kind or ("words" if '"keywords"' in prompt else "pick")
        self.prompts[kind].append(prompt)
        if kind == "plan":
            return planner(prompt, len(self.prompts["plan"]) - 1)
        if kind == "code":
            return "```python\nprint(1)\n```"
        if kind == "words":
            said = words(prompt)
            return said if isinstance(said, str) else json.dumps({"keywords": said})
        if kind == "pick":
            said = pick(prompt)
            return said if isinstance(said, str) else json.dumps({"justification": f"Is {said}.", "satisfiable": said > 0, "symbol": said})
        names = ("steps_satisfiable", "request_met", "nothing_missing")
        said = examine(prompt)
        return said if isinstance(said, str) else json.dumps({"reasoning": "r", **dict(zip(names, map(bool, said), strict=True))})


async def run(asked: Any = ASKED, **given):
    return await graph.ainvoke(asked, context=Params(**{"model": "script/any", "code_samples": 0, **given}))


# The one-step retrieval tool


async def test_keywords_find_ten_symbols_each_of_which_a_model_picks_one(script):
    words = ["read", "gap", "read"]
    played = Played(script, lambda p, n: plan("Fill the gaps"), lambda p: words, lambda p: 1 + listed(p).index("brook.clean.fill_gaps"))
    out = await run(node_budget=2, one_step=True)
    index = index_of(out)
    found = [hit["full_path"] for word in words for hit in index.paths.nearest(word, FOUND)]
    shown = listed(played.prompts["pick"][0])
    assert set(shown) == set(found)
    assert len(shown) == len(set(shown)) > 3
    (step,) = out["nodes"]["n1"]["steps"]
    assert [hit["full_path"] for hit in step["symbols"]] == ["brook.clean.fill_gaps"]
    assert step["satisfiable"]
    assert "<step>\nFill the gaps\n</step>" in played.prompts["words"][0]
    assert "def fill_gaps(readings, step=15):" in played.prompts["pick"][0]
    assert "can be done: Is " in plan_page(out)


def test_of_each_symbol_the_beginning_of_its_code_is_shown():
    symbols: Any = {"m.f": {"code": "x" * (CODE_SHOWN + 50)}}
    assert "".join(candidates([Hit(full_path="m.f", score=1.0)], symbols)).count("x") == CODE_SHOWN


async def test_only_the_first_keywords_are_searched_for(script):
    words = [*["zqzq"] * MOST_KEYWORDS, "read_log"]
    played = Played(script, lambda p, n: plan("Read"), lambda p: words)
    out = await run(node_budget=2, one_step=True)
    (step,) = out["nodes"]["n1"]["steps"]
    assert (step["symbols"], step["satisfiable"]) == ([], False)
    assert "zqzq" in step["why"]
    assert not played.prompts["pick"], "where nothing was found nobody picks"


@pytest.mark.parametrize(
    ("words", "pick", "picks"),
    [(["read_log"], 0, 1), (["read_log"], 99, 3), (["read_log"], "None of them.", 3), ("No idea.", 1, 0), ([" "], 1, 0)],
    ids=["none", "out of range", "unreadable", "no keywords", "empty keyword"],
)
async def test_a_step_without_a_pick_has_no_symbol_and_the_search_goes_on(script, words, pick, picks):
    played = Played(script, lambda p, n: plan(f"Step {n}"), lambda p: words, lambda p: pick)
    out = await run(node_budget=2, one_step=True)
    (step,) = out["nodes"]["n1"]["steps"]
    assert (step["symbols"], step["satisfiable"], bool(step["why"])) == ([], False, True)
    assert len(played.prompts["pick"]) == picks, "asked three times in all where the reply is no choice"
    assert out["scores"]["n1"]["search"] == 0
    assert (out["best"], out["search_state"]) == ("n1", "BUDGET_EXCEEDED")


@pytest.mark.parametrize("kind", ["words", "pick"])
async def test_a_call_that_fails_is_no_finding_about_the_step(script, kind):
    error = litellm().BadRequestError("too long", model="any", llm_provider="script")

    def fail(prompt):
        if "Step down" in prompt:
            raise error
        return 1 if kind == "pick" else ["read_log"]

    Played(script, lambda p, n: plan("Read a log", "Step down"), **{kind: fail})
    with pytest.raises(RequestRejected, match="too long"):
        await run(node_budget=2, one_step=True)


async def test_a_monotonic_planner_is_told_what_the_tool_said(script):
    def planner(prompt, n):
        return plan(f"Step {n}", first=n)

    def pick(prompt):
        return 0 if "Step 1" in prompt else 1

    played = Played(script, planner, pick=pick)
    await run(node_budget=4, branching=1, successor="monotonic", one_step=True)
    last = played.prompts["plan"][-1].rpartition("The present plan:")[2]
    assert re.search(r"symbol: [\w.]+\n   satisfiable: yes\n   why: Is 1\.", last)
    assert "1. Step 1\n   satisfiable: no\n   why: Is 0." in last
    assert len(played.prompts["words"]) == 3, "a step that stays is not looked up again"


async def test_the_tool_looks_a_sentence_up_once(script):
    played = Played(script, lambda p, n: plan("Read a log", "Fill the gaps"))
    await run(node_budget=7, one_step=True)
    assert (len(played.prompts["words"]), len(played.prompts["pick"])) == (2, 2)


def test_the_formula_counts_the_tools_calls_for_the_longest_plans():
    one, none = Params(one_step=True, node_budget=4), Params(node_budget=4)
    assert METHOD.count(METHOD.calls, one) - METHOD.count(METHOD.calls, none) == CALLS * MOST_STEPS * 3
    assert METHOD.count(METHOD.calls, Params(test_goal=True, node_budget=1)) == 5


async def test_the_toys_plan_with_the_tool_and_stop_at_the_goal():
    asked: Any = {key: ITEMS[1][key] for key in ("question", "files", "unique_apis")}
    out = await graph.ainvoke(asked, context=Params(seed=1, node_budget=20, code_samples=1, one_step=True, test_goal=True))
    assert report([(out, [])])["plan_recall"] >= 2 / 3
    assert all(len(step["symbols"]) <= 1 for node in out["nodes"].values() for step in node["steps"])
    assert out["search_state"] == "GOAL_FOUND"


# The goal


@pytest.mark.parametrize("missing", [0, 1, 2])
async def test_inv09_a_search_ends_when_an_examiner_says_yes_to_all_three_questions(script, missing):
    def examine(prompt):
        return (1, 1, 1) if "Step 2" in prompt else [int(i != missing) for i in range(3)]

    played = Played(script, lambda p, n: plan(f"Step {n}"), examine=examine)
    out = await run(node_budget=20, test_goal=True, strategy="breadth_first")
    assert (out["search_state"], out["visited"]) == ("GOAL_FOUND", ["n0", "n1", "n2", "n3"])
    assert len(played.prompts["examine"]) == 3, "the empty plan is no goal, and nobody is asked about it"
    assert len(played.prompts["plan"]) == 9, "a plan that is the goal is not gone on from"
    assert "brook." in played.prompts["examine"][0]


@pytest.mark.parametrize("goal", [None, 99.0])
async def test_the_plan_says_that_an_examiner_ended_the_search(script, goal):
    Played(script, lambda p, n: plan(f"Step {n}"))
    out = await run(node_budget=9, test_goal=True, goal_score=goal)
    assert out["search_state"] == "GOAL_FOUND"
    assert "ended because a plan was found complete" in out["plan"]
    assert "ended because a plan reached the score" in (await run(node_budget=9, goal_score=1))["plan"]


async def test_an_examiner_that_never_says_yes_takes_the_calls_of_the_formula_at_most(script):
    played = Played(script, lambda p, n: plan(f"Step {n}"), examine=lambda prompt: "Perhaps." if "Step 0" in prompt else (1, 1, 0))
    out = await run(node_budget=6, branching=1, test_goal=True, max_reasks=0)
    assert (out["search_state"], len(played.prompts["examine"])) == ("BUDGET_EXCEEDED", 4)


async def test_without_the_switch_nobody_is_examined(script):
    played = Played(script, lambda p, n: plan(f"Step {n}"))
    await run(node_budget=6)
    assert not played.prompts["examine"]


# What is best, and what the coder may see


async def test_the_empty_plan_is_never_best_while_there_is_another(script):
    Played(script, lambda p, n: plan("zqzq"))
    out = await run(node_budget=4, retriever="bm25")
    assert {score["search"] for score in out["scores"].values()} == {0.0}
    assert out["best"] == "n1"
    assert (await run(node_budget=1))["best"] == "n0"


async def test_the_whole_repository_is_a_baseline_without_a_plan(script):
    played = Played(script, lambda p, n: plan("Never"))
    out = await run(node_budget=1, code_samples=1, show_code=True)
    (prompt,) = played.prompts["code"]
    assert not played.prompts["plan"]
    whole = re.findall(r"<library>\n(.*)</library>", prompt, re.DOTALL)[0]
    for path, symbol in index_of(out).symbols.items():
        assert whole.count(symbol["code"].splitlines()[0]) >= 1, path
    assert whole.count("def notify(self, address, reading):") == 1, "a method stands in its class, and not again"
    assert whole.count("# brook/clean.py\n") == 1
    assert "<library>" not in played.prompts["code"][-1].replace(f"<library>\n{whole}", "")
