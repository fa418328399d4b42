"""UTGen: the numbered invariants of its specification that concern suites, its arms, its cost, and the intrinsic measures."""

import itertools
import json
import random

import pytest

from symposia import registry, runs
from symposia.finished import finished_runs
from symposia.graphs import utdebug, utgen_intrinsic
from symposia.graphs.utgen import METHOD, Params, graph
from symposia.nodes.test_writer import before_output, read_arguments, read_output, same_arguments, winner
from symposia.pools import calls_by_model
from symposia.state.errors import BadInput, ReplyError

TASK = {
    "prompt": "Return the last digit of a number.",
    "signature": "last_digit(n)",
    "entry_point": "last_digit",
    "code": "def last_digit(n):\n    return n % 10\n",
    "test_list": ["assert last_digit(123) == 3"],
    "canonical_solution": "def last_digit(n):\n    return abs(n) % 10\n",
    "test": "assert last_digit(-3) == 3\nassert last_digit(12) == 2\n",
}


def candidate(call, output="'of the writer'"):
    """A test writer's reply."""
    told = f"### Hypothesis\nIt breaks on {call}.\n\n### Input\nTake one.\nArguments: `{call}`\n\n"
    return f"{told}### Output\nOutput:\n```\n{output}\n```"


def ballots(*values):
    """Predictors' replies; None for one that cannot be read."""
    return ["I do not know." if value is None else f"So it is.\nOutput:\n```python\n{value}\n```" for value in values]


async def run(script, *candidates, votes=(), inputs=TASK, **given):
    script.replies = {"sample_candidate": list(candidates), "vote_output": ballots(*votes)}
    out = await graph.ainvoke(inputs, context=Params(**{"model": "script/any", "n_tests": 1, **given}))
    return out, not any(script.replies.values())


# Parsing


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("Arguments: `f((1, 2))`", ["(1, 2)"]),
        ("Arguments: `f([1, 2])`", ["[1, 2]"]),
        ("**Arguments:** f(1)", ["1"]),
        ('argument:\n```python\nf("a)b")\n```', ["'a)b'"]),
        ("Arguments: `f()`", []),
        ("f(1) is of no use.\nArguments: `f(2)`\nArguments: `f(3)`", ["2"]),
        ("Arguments: `f({'b', 'a'})`", ["{'a', 'b'}"]),
    ],
)
def test_inv10_the_call_after_the_first_label(said, arguments):
    assert read_arguments(said, "f") == arguments


@pytest.mark.parametrize("said", ["f(1)", "Arguments: f(x)", "Arguments: g(1)", "Arguments: `f(__import__('os').system('true'))`", ""])
def test_other_calls_are_no_test(said):
    with pytest.raises(ReplyError):
        read_arguments(said, "f")


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("Output:\n```\n1\n```", "1"),
        ("Output: 5\nso\n**Output**: ```python\n[1,2]\n```", "[1, 2]"),
        ("Output: ```1``` or rather ```2```", "2"),
        ("Output: `1`, no, `{'a': None}`", "{'a': None}"),
        ("Output: `1`\n```\n2\n```", "2"),
        ("Output: `float('inf')`", "inf"),
    ],
)
def test_the_value_after_the_last_label(said, value):
    assert read_output(said) == value


@pytest.mark.parametrize("said", ["```\n1\n```", "Output: 1", "Output: `x`", "Output:\n```\nprint(1)\n```", "```\n1\n```\nOutput:", ""])
def test_other_outputs_are_no_ballot(said):
    with pytest.raises(ReplyError):
        read_output(said)


def test_what_the_writer_expects_is_cut_off():
    text = candidate("f(1)", "4711")
    assert before_output(text).endswith("Arguments: `f(1)`")
    assert "4711" not in before_output(text)
    assert before_output("Arguments: `f(1)`\n**Output:** 4711") == "Arguments: `f(1)`"
    assert before_output("Arguments: `f(1)` and no more") == "Arguments: `f(1)` and no more"


# The vote

SPLITS = {
    "4/4, the first seen wins": ([1, 2, 1, 2, 1, 2, 1, 2], "1"),
    "3/3/2 is dropped": ([1, 1, 1, 2, 2, 2, 3, 3], None),
    "3 equal and 5 unread are dropped": ([1, 1, 1, *[None] * 5], None),
    "4 equal and 4 unread are kept": ([*[None] * 4, 1, 1, 1, 1], "1"),
    "5/3": ([2, 2, 2, 1, 1, 1, 1, 1], "1"),
    "none is read": ([None] * 8, None),
    "equal numbers of two kinds are two": ([1, 1, 1, 1.0, 1.0, True, True, 2], None),
}


@pytest.mark.parametrize(("values", "kept"), SPLITS.values(), ids=SPLITS)
async def test_inv3_a_test_needs_half_of_the_ballots_asked_for(script, values, kept):
    dropped = [None] * 8 * 3
    out, used = await run(script, candidate("last_digit(7)"), *[candidate("last_digit(8)")] * 3, votes=[*values, *dropped])
    assert [test["expected"] for test in out["suite"]] == ([kept] if kept else [])
    assert out["tallies"][0]["fate"] == ("kept" if kept else "few votes")
    assert used is (kept is None)
    assert out["stop_reason"] == ("complete" if kept else "no_tests")
    assert out["answer"] == (f"assert last_digit(7) == {kept}" if kept else None)


@pytest.mark.parametrize(("k", "least"), [(8, 4), (5, 2), (3, 2), (1, 1), (2, 1)])
async def test_inv3_the_bar_is_rounded_half_to_even_and_at_least_one(script, k, least):
    values = [1] * least + [None] * (k - least)
    out, _ = await run(script, candidate("last_digit(7)"), votes=values, k=k)
    assert len(out["suite"]) == 1
    assert (out["suite"][0]["votes"], out["suite"][0]["parsed"]) == (least, least)
    few = [1] * (least - 1) + [None] * (k - least + 1)
    out, _ = await run(script, *[candidate("last_digit(7)")] * 4, votes=few * 4, k=k)
    assert out["suite"] == []


@pytest.mark.parametrize("seed", range(4))
async def test_inv12_ballots_may_arrive_in_any_order(script, seed):
    chance = random.Random(seed)
    script.delay = lambda: chance.random() / 50
    out, _ = await run(script, candidate("last_digit(7)"), votes=[1, 2, 1, 2, 2, 1, 2, 1])
    assert out["suite"][0]["expected"] == "1"
    assert out["ballots"][0]["values"] == ["1", "2", "1", "2", "2", "1", "2", "1"]


def test_the_winner_of_equals_was_met_first():
    assert winner(["2", None, "1", "1", "2"]) == ("2", 2)
    assert winner([None]) == (None, 0)


async def test_the_writers_own_output_is_no_ballot(script):
    out, _ = await run(script, *[candidate("last_digit(7)", "7")] * 4, votes=[None] * 32)
    assert out["suite"] == []
    assert not any("7\n```" in prompt for prompt in script.prompts["vote_output"])


# Duplicates and attempts


@pytest.mark.parametrize("call", ["last_digit([1, {2}])", "last_digit(inf)", "last_digit(nan)", "last_digit({1: [2]})"])
async def test_inv4_equal_arguments_are_one_test(script, call):
    out, used = await run(script, *[candidate(call)] * 8, votes=[1] * 8, n_tests=2, k=1)
    assert (len(out["suite"]), [t["fate"] for t in out["tallies"]], used) == (1, ["kept", *["duplicate"] * 7], True)
    assert out["stop_reason"] == "short"


def test_inv4_arguments_are_compared_as_python_does():
    assert same_arguments(["[1, 2]"], ["[True, 2.0]"])
    assert same_arguments(["nan"], ["nan"])
    assert not same_arguments(["(1, 2)"], ["[1, 2]"])
    assert not same_arguments(["1"], ["1", "2"])
    deep = "[" * 90 + "]" * 90
    assert same_arguments([deep], [deep])


@pytest.mark.parametrize("n", [1, 3])
async def test_inv5_attempts_are_bounded_when_nothing_can_be_read(script, n):
    out, used = await run(script, *["I will not."] * 4 * n, n_tests=n)
    assert (len(out["candidates"]), script.calls, used) == (4 * n, 4 * n, True)
    assert (out["stop_reason"], out["answer"]) == ("no_tests", None)
    assert "no line 'Arguments:'" in out["candidates"][0]["fault"]


async def test_as_many_candidates_are_drawn_as_tests_are_missing(script):
    told = [candidate("last_digit(1)"), "nothing", candidate("last_digit(2)"), candidate("last_digit(2)"), candidate("last_digit(3)")]
    out, used = await run(script, *told, votes=[1, 2, 2, 3], n_tests=3, k=1)
    assert used
    assert [test["arguments"] for test in out["suite"]] == [["1"], ["2"], ["3"]]
    assert out["answer"] == "assert last_digit(1) == 1\nassert last_digit(2) == 2\nassert last_digit(3) == 3"


# Cost


@pytest.mark.parametrize(("n", "k"), [(3, 8), (1, 1), (2, 5)])
async def test_a_suite_costs_between_n_and_4n_attempts_of_1_and_k_calls(script, n, k):
    numbers = itertools.count()
    script.answer = lambda node, m: candidate(f"last_digit({next(numbers)})") if node == "sample_candidate" else ballots(1)[0]
    await graph.ainvoke(TASK, context=Params(model="script/any", n_tests=n, k=k))
    assert script.calls == n * (1 + k)
    script.calls = 0
    script.answer = lambda node, m: candidate("last_digit(1)") if node == "sample_candidate" else ballots(next(numbers))[0]
    params = Params(model="script/any", n_tests=n, k=k, bar=1.0 if k > 1 else 0.5)
    out = await graph.ainvoke(TASK, context=params)
    if k > 1:
        assert script.calls == METHOD.count(METHOD.calls, params) == 4 * n * (1 + k)
        assert out["suite"] == []


# Arms


async def test_the_failing_arms_show_the_code_and_the_random_one_does_not(script):
    for mode in ("utgen", "prompted", "random"):
        await run(script, candidate("last_digit(7)"), votes=[1], k=1, mode=mode)
    shown = script.prompts["sample_candidate"]
    assert ["n % 10" in prompt for prompt in shown] == ["it is wrong" in prompt for prompt in shown] == [True, True, False]
    assert ["### Hypothesis" in prompt for prompt in shown] == [True, True, False]
    assert all("last_digit(...)" in prompt and TASK["signature"] in prompt for prompt in shown)
    assert not any("n % 10" in prompt for prompt in script.prompts["vote_output"])
    assert all("Call: `last_digit(7)`" in prompt for prompt in script.prompts["vote_output"])


@pytest.mark.parametrize(
    ("mode", "models"), [("utgen", ["own", "own"]), ("oracle", ["own"]), ("prompted", ["stock", "stock"]), ("random", ["stock", "stock"])]
)
async def test_trained_models_play_their_arms_and_the_stock_model_the_baselines(script, mode, models):
    await run(script, candidate("last_digit(7)"), votes=[1], k=1, mode=mode, model="script/stock", roles={"test_writer": "script/own"})
    assert [options["model"] for options in script.options] == models


async def test_the_oracle_labels_by_the_right_solution_without_a_vote(script):
    told = [candidate("last_digit(-7)"), candidate("last_digit('a')"), candidate("last_digit(2)")]
    out, used = await run(script, *told, n_tests=2, mode="oracle")
    assert used
    assert [(test["arguments"], test["expected"]) for test in out["suite"]] == [(["-7"], "7"), (["2"], "2")]
    bare = {key: value for key, value in TASK.items() if key != "canonical_solution"}
    with pytest.raises(BadInput, match="oracle needs a right solution"):
        await run(script, inputs=bare, mode="oracle")


async def test_predictors_may_go_on_from_the_writers_text(script):
    seen = []

    def answer(node, messages):
        seen.append(messages)
        return candidate("last_digit(7)", "4711") if node == "sample_candidate" else ballots(1)[0]

    script.answer = answer
    await graph.ainvoke(TASK, context=Params(model="script/any", n_tests=1, k=1, continue_writer=True))
    assert seen[1][:-1] == seen[0]
    assert seen[1][-1] == {"role": "assistant", "content": before_output(candidate("last_digit(7)", "4711"))}
    assert seen[1][-1]["content"].endswith("Arguments: `last_digit(7)`")


@pytest.mark.parametrize("mode", ["utgen", "prompted", "random"])
async def test_inv9_the_right_solution_and_hidden_tests_are_in_no_prompt(script, mode):
    transcripts = []
    for known in ({}, {"canonical_solution": "poison 4711", "test": "poison 4711"}):
        script.prompts.clear()
        bare = {key: value for key, value in TASK.items() if key not in ("canonical_solution", "test")}
        await run(script, candidate("last_digit(7)"), votes=[1, 1], k=2, mode=mode, inputs={**bare, **known})
        transcripts.append(dict(script.prompts))
    assert transcripts[0] == transcripts[1]
    assert "4711" not in json.dumps(transcripts)


def test_samples_are_drawn_as_in_the_authors_code():
    def drawn(params, role):
        return [getattr(params.sampling[role], key) for key in ("temperature", "top_p", "max_tokens")]

    for params in (Params(), utdebug.Params()):
        assert drawn(params, "test_writer") == [0.7, 0.9, 8192]
        assert drawn(params, "output_predictor") == [0.8, 0.9, 2048]
    assert drawn(utdebug.Params(), "debugger") == [0.7, 0.9, 8192]
    assert drawn(utgen_intrinsic.Params(), "test_writer") == [0.8, 0.9, 2560]
    assert utgen_intrinsic.Params().n_tests == 3


MODELS = {"test_writer": "w/x", "output_predictor": "p/x"}


@pytest.mark.parametrize(
    ("mode", "roles", "told"),
    [
        ("utgen", MODELS, {"w/x": 12, "p/x": 96}),
        ("utgen", {"test_writer": "w/x"}, {"w/x": 108}),
        ("utgen", {}, {"m/x": 108}),
        ("oracle", MODELS, {"w/x": 12}),
        ("prompted", MODELS, {"m/x": 108}),
        ("random", {}, {"m/x": 108}),
    ],
)
def test_the_calls_of_each_model_go_by_the_arm(mode, roles, told):
    params = Params(model="m/x", roles=roles, mode=mode)
    assert calls_by_model(METHOD, params) == told
    debugged = utdebug.Params(model="m/x", roles={**roles, "debugger": "d/x"}, mode=mode, max_rounds=2, suite_retries=0)
    assert calls_by_model(utdebug.METHOD, debugged) == {**{model: 2 * n for model, n in told.items()}, "d/x": 2}
    if mode != "oracle":
        measured = utgen_intrinsic.Params(model="m/x", roles={k: v for k, v in roles.items() if k == "test_writer"}, mode=mode)
        assert calls_by_model(utgen_intrinsic.METHOD, measured) == {"w/x" if mode == "utgen" and roles else "m/x": 3}


def test_an_arm_without_tests_takes_two_calls_of_the_debugger_a_round():
    params = utdebug.Params(model="m/x", roles={**MODELS, "debugger": "d/x"}, mode="none")
    assert calls_by_model(utdebug.METHOD, params) == {"d/x": 6}


# Input


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"code": "x"}, "prompt is missing"),
        ({"prompt": "p"}, "code is missing"),
        ({**TASK, "code": " "}, "code is empty"),
        ({**TASK, "prompt": 3}, "prompt is no text"),
        ({**TASK, "test_list": "assert"}, "test_list is no list of texts"),
        ({**TASK, "test_imports": [1]}, "test_imports is no list of texts"),
        ({**TASK, "entry_point": "a b"}, "entry point 'a b' is no name"),
        ({"prompt": "p", "code": "x = 1"}, "no function at its top level"),
        ({"prompt": "p", "code": "x = = 1"}, "cannot be parsed .invalid syntax"),
        ({"messages": [{"role": "user", "content": "Hello."}]}, "no task with code"),
    ],
)
async def test_bad_input_is_named_before_any_call(script, asked, what):
    with pytest.raises(BadInput, match=what):
        await graph.ainvoke(asked, context=Params(model="script/any"))
    assert script.calls == 0


async def test_entry_point_and_signature_come_from_the_code_where_they_are_missing(script):
    code = "import math\ndef helper(a): return a\ndef last_digit(n: int, *, base=10): return n % base\n"
    out, _ = await run(script, candidate("last_digit(7)"), votes=[1], k=1, inputs={"prompt": "p", "code": code})
    assert (out["entry_point"], out["signature"]) == ("last_digit", "last_digit(n: int, *, base=10)")


async def test_a_chat_may_hold_the_code_in_a_fence(script):
    text = "Prompt:\nReturn the last digit.\n\nCode:\n```python\ndef last_digit(n):\n    return n % 10\n```\n"
    script.replies = {"sample_candidate": [candidate("last_digit(7)")], "vote_output": ballots(1)}
    out = await graph.ainvoke({"messages": [{"role": "user", "content": text}]}, context=Params(model="script/any", n_tests=1, k=1))
    assert (out["prompt"], out["code"]) == ("Return the last digit.", TASK["code"])


@pytest.mark.parametrize("method", ["utdebug", "utgen_intrinsic", "utgen_data"])
async def test_problems_without_tests_are_reported_on(method, sqlite):
    given = {key: TASK[key] for key in ("prompt", "code", "canonical_solution")}
    known = registry.load(method).params.model_fields
    few: dict[str, int] = {key: 1 for key in ("n_tests", "k", "max_rounds", "perturbations", "inputs") if key in known}
    result = await runs.start(sqlite, runs.new_record(method, {"model": "toy/default", **few}, given))
    assert result.status == "ok", result.error
    found = registry.load(method).module.report(await finished_runs(sqlite, [result.run_id], method))
    assert found.get("programs", found.get("problems")) == 1


# Resuming


@pytest.mark.parametrize("cut", range(1, 9, 2))
async def test_inv12_a_stopped_suite_goes_on_where_it_was(script, sqlite, cut):
    numbers = itertools.count()

    def answer(node, messages):
        if node == "sample_candidate":
            return candidate("last_digit(7)")
        return ballots(next(numbers) % 2)[0]

    script.answer = answer
    opened, heard = [], itertools.count(1)

    def listen(event):
        if event["type"] == "effect" and next(heard) >= cut:
            opened[0].stop("enough")

    record = runs.new_record("utgen", {"model": "script/any", "n_tests": 2, "k": 3}, TASK)
    result = await runs.start(sqlite, record, on_event=listen, on_open=opened.append)
    made = script.calls
    if result.status == "stopped":
        result = await runs.resume(sqlite, result.run_id)
    assert result.status == "ok"
    assert script.calls == made + result.calls["live"]
    report, execution = await runs.replay(sqlite, result.run_id)
    assert report["identical"]
    assert len({(e.place, e.digest) for e in await sqlite.entries(result.run_id)}) == len(await sqlite.entries(result.run_id))
    assert execution.values["answer"] == result.answer


# Intrinsic measures

CASES = {
    "attack and output": (candidate("last_digit(-7)", "7"), (True, True, True)),
    "attack alone": (candidate("last_digit(-7)", "8"), (True, False, False)),
    "output alone": (candidate("last_digit(7)", "7"), (False, True, False)),
    "neither": (candidate("last_digit(7)", "8"), (False, False, False)),
    "the right solution raises": (candidate("last_digit('a')", "7"), (False, False, False)),
    "no call": ("Output: `7`", (False, False, False)),
    "no output": ("Arguments: `last_digit(-7)`", (True, False, False)),
}


@pytest.mark.parametrize(("reply", "judged"), CASES.values(), ids=CASES)
async def test_a_test_is_judged_by_the_right_solution(script, reply, judged):
    script.replies = {"sample_tests": [reply]}
    out = await utgen_intrinsic.graph.ainvoke(TASK, context=utgen_intrinsic.Params(model="script/any", n_tests=1))
    found = out["judgements"][0]
    assert (found["attack"], found["output"], found["joint"]) == judged
    assert out["answer"] == float(judged[2])


async def test_code_that_raises_or_never_ends_is_attacked_by_any_valid_input(script):
    for code in ("def last_digit(n):\n    raise ValueError", "def last_digit(n):\n    while True: pass"):
        script.replies = {"sample_tests": [candidate("last_digit(7)", "7")]}
        params = utgen_intrinsic.Params(model="script/any", n_tests=1)
        out = await utgen_intrinsic.graph.ainvoke({**TASK, "code": code}, context=params)
        assert out["rates"] == {"attack": 1.0, "output": 1.0, "joint": 1.0}


async def test_the_rates_are_means_over_all_tests_and_the_report_over_problems(script):
    script.replies = {"sample_tests": [reply for reply, _ in list(CASES.values())[:4]]}
    out = await utgen_intrinsic.graph.ainvoke(TASK, context=utgen_intrinsic.Params(model="script/any", n_tests=4))
    assert out["rates"] == {"attack": 0.5, "output": 0.5, "joint": 0.25}
    assert script.calls == 4
    script.replies = {"sample_tests": ["none", "none"]}
    other = await utgen_intrinsic.graph.ainvoke(TASK, context=utgen_intrinsic.Params(model="script/any", n_tests=2))
    found = utgen_intrinsic.report([(out, []), (other, [])])
    assert found == {"programs": 2, "tests": 6, "read": 4, "attack": 2 / 6, "output": 2 / 6, "joint": 1 / 6}


async def test_the_measures_need_the_right_solution_and_show_it_to_nobody(script):
    bare = {key: value for key, value in TASK.items() if key != "canonical_solution"}
    params = utgen_intrinsic.Params(model="script/any")
    with pytest.raises(BadInput, match="canonical_solution is missing"):
        await utgen_intrinsic.graph.ainvoke(bare, context=params)
    with pytest.raises(BadInput, match="canonical_solution is missing"):
        runs.new_record("utgen_intrinsic", {}, bare)
    script.replies = {"sample_tests": ["none"] * 3}
    await utgen_intrinsic.graph.ainvoke(TASK, context=params)
    assert not [prompt for prompt in script.prompts["sample_tests"] if "abs(" in prompt]
