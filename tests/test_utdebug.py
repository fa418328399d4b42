"""UTDebug: the numbered invariants of its specification that concern the loop, its arms and parameters, its cost, and its report."""

import itertools
import json
import random
import re

import pytest

from symposia import runs
from symposia.graphs.utdebug import METHOD, PROFILES, Params, build, graph, report
from symposia.nodes.debugger import read_verdict
from symposia.records import run_record
from symposia.state.errors import BadInput, ModelNotFound

GOLD = "def last_digit(n):\n    return abs(n) % 10\n"
FAULTY = "def last_digit(n):\n    return n % 10\n"
WORSE = "def last_digit(n):\n    return None\n"
OTHER = "def last_digit(n):\n    return n % 10 if n > -100 else -n % 10\n"
TASK = {
    "prompt": "Return the last digit of a number.",
    "signature": "last_digit(n)",
    "entry_point": "last_digit",
    "code": FAULTY,
    "test_list": ["assert last_digit(123) == 3", "assert last_digit(25) == 5"],
}
HIDDEN = {"canonical_solution": GOLD, "test": "assert last_digit(-3) == 3\nassert last_digit(12) == 2\n"}
INPUTS = (12, -3, -208)


def fenced(code):
    return f"Like this.\n```python\n{code}```"


class World:
    """Test writer, predictors and debugger, by the nodes that ask them: tests of `inputs` in turn with right outputs, edits as listed."""

    def __init__(self, script, *edits, inputs=INPUTS, output=lambda n: abs(n) % 10, verdicts=()):
        self.edits, self.verdicts, self.output = list(edits), list(verdicts), output
        self.inputs = itertools.cycle(inputs)
        self.chats = []
        self.suites = 0
        script.answer = self.answer

    def answer(self, node, messages):
        last = messages[-1]["content"]
        match node:
            case "sample_candidate":
                return f"Arguments: `last_digit({next(self.inputs)})`\n\n### Output\nOutput: `0`"
            case "vote_output":
                return f"Output:\n```\n{self.output(int(re.search(r'Call: `last_digit[(](.*)[)]`', last)[1]))!r}\n```"
            case "debug":
                self.chats.append(messages)
                return self.edits.pop(0)
            case "select_feedback":
                self.chats.append(messages)
                return self.verdicts.pop(0)
        raise AssertionError(node)


async def run(inputs=TASK, **given):
    return await graph.ainvoke(inputs, context=Params(**{"model": "script/any", "k": 1, **given}))


def shown(world):
    """The input of each feedback."""
    return [re.search(r"Input: last_digit\((.*)\)", chat[-1]["content"])[1] for chat in world.chats]


# The loop


async def test_a_right_edit_is_accepted_and_solved_by_a_fresh_suite(script):
    world = World(script, fenced(GOLD))
    out = await run({**TASK, **HIDDEN})
    assert (out["answer"], out["stop_reason"], out["round"]) == (GOLD.strip(), "solved", 1)
    assert out["history"] == [
        {"round": 1, "feedback": 1, "before": pytest.approx(1 / 3), "after": 1.0, "accepted": True, "code": GOLD.strip()}
    ]
    assert len(out["seen"]) == 6
    assert [(one["passed"], one["total"]) for one in out["hidden"]] == [(0, 1), (1, 1)]
    assert [(one["passed"], one["total"]) for one in out["visible"]] == [(2, 2), (2, 2)]
    assert not world.edits


async def test_inv1_a_worse_edit_is_never_kept_and_inv2_the_state_is_as_before(script, sqlite):
    World(script, fenced(WORSE), fenced(GOLD))
    result = await runs.start(sqlite, runs.new_record("utdebug", {"model": "script/any", "k": 1}, TASK))
    assert (result.answer, result.stop_reason) == (GOLD.strip(), "solved")
    _, execution = await runs.replay(sqlite, result.run_id, keep=True)
    around = [m.values for m in execution.moments if not m.frame and (m.ran == ["run_suite"] or m.ran == ["decide"])][:2]
    for key in ("current_code", "suite", "results", "pass_rate"):
        assert around[0][key] == around[1][key]
    assert around[1]["history"][0]["accepted"] is False
    assert (around[1]["history"][0]["before"], around[1]["history"][0]["after"]) == (pytest.approx(1 / 3), 0)
    steps = (await run_record(sqlite, result.run_id))["steps"]
    decided = [step["wrote"]["history"]["gist"] for step in steps if step["ran"] == ["decide"]]
    assert ["accepted=False" in told for told in decided] == [True, False]


@pytest.mark.parametrize(
    ("edit", "kept"), [(WORSE, False), (OTHER, True), (FAULTY + "\n# the same\n", True), (GOLD, True), ("x = = 1\n", False)]
)
async def test_inv1_the_rule_is_strict_for_worse_edits_only(script, edit, kept):
    World(script, fenced(edit))
    out = await run(max_rounds=1)
    assert out["history"][0]["accepted"] is kept
    assert out["answer"] == (edit if kept else FAULTY).strip("\n") + ("" if kept else "\n")
    rates = out["history"][0]
    assert (rates["after"] >= rates["before"]) is kept


async def test_inv1_with_backtracking_off_every_edit_is_kept(script):
    World(script, fenced(WORSE), fenced(OTHER), fenced(WORSE))
    out = await run(backtracking=False)
    assert [done["accepted"] for done in out["history"]] == [True] * 3
    assert out["answer"] == WORSE.strip()


@pytest.mark.parametrize("seed", range(5))
async def test_inv2_the_rate_along_accepted_edits_never_falls(script, seed):
    chance = random.Random(seed)
    edits = [chance.choice([WORSE, OTHER, FAULTY, "nothing"]) for _ in range(6)]
    World(script, *map(fenced, edits), inputs=[chance.randrange(-500, 500) for _ in range(9)])
    out = await run(max_rounds=6, n_tests=2)
    for done in out["history"]:
        assert done["accepted"] is (done["after"] >= done["before"])
    current = FAULTY
    for done in out["history"]:
        current = done["code"] if done["accepted"] else current
    assert out["answer"] == current


async def test_inv6_code_that_passes_its_first_suite_ends_at_once_though_it_is_wrong(script):
    world = World(script, inputs=(1, 2, 3))
    out = await run({**TASK, **HIDDEN})
    assert (out["stop_reason"], out["round"], out["answer"], world.chats) == ("solved", 0, FAULTY, [])
    assert [one["passed"] for one in out["hidden"]] == [0]
    assert script.calls == 3 * 2


@pytest.mark.parametrize("retries", [0, 1, 2])
async def test_inv5_without_any_test_the_run_ends_with_the_code_it_got(script, retries):
    script.answer = lambda node, messages: "nothing"
    out = await run(n_tests=2, suite_retries=retries)
    assert (out["stop_reason"], out["answer"], out["round"]) == ("no_tests", FAULTY, 0)
    assert script.calls == 4 * 2 * (1 + retries)


async def test_an_empty_suite_is_tried_once_more(script):
    world = World(script, fenced(GOLD))
    first, answer = itertools.count(), world.answer
    script.answer = lambda node, m: "nothing" if node == "sample_candidate" and next(first) < 4 else answer(node, m)
    out = await run(n_tests=1, inputs={**TASK})
    assert (out["stop_reason"], out["empty_suites"]) == ("solved", 1)


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.exit(3)\n",
        "x = = 1\n",
        "def last_digit(n):\n    while True: pass\n",
        "def last_digit(n):\n    return [0] * (1 << 40)\n",
        "def last_digit(n):\n    print('x')\n    return input()\n",
        "def last_digit(n):\n    raise SystemExit\n",
        "def first_digit(n):\n    return n\n",
    ],
)
async def test_inv7_code_that_gives_no_value_fails_every_test_and_can_be_debugged(script, code):
    world = World(script, fenced(GOLD))
    out = await run({**TASK, "code": code, "test_list": []}, n_tests=2, call_seconds=0.3)
    assert out["stop_reason"] == "solved"
    assert out["history"][0]["before"] == 0
    assert "The code gives: no value: " in world.chats[0][-1]["content"]


async def test_inv7_the_suite_has_a_deadline_over_all_tests(script):
    World(script)
    inputs = {**TASK, "code": "def last_digit(n):\n    while True: pass\n", "test_list": []}
    out = await run(inputs, n_tests=2, max_rounds=0, suite_seconds=0.2)
    assert [result["got"] for result in out["results"]] == ["no value: no result within 0.1 s"] * 2


async def test_a_program_that_changes_its_argument_changes_no_other_test(script):
    code = "def last_digit(n):\n    n.append(0)\n    return len(n)\n"
    calls = itertools.count()
    script.answer = lambda node, m: f"Arguments: `last_digit([1, {next(calls)}])`" if node == "sample_candidate" else "Output:\n```\n3\n```"
    out = await run({**TASK, "code": code}, n_tests=3)
    assert (out["stop_reason"], out["pass_rate"]) == ("solved", 1.0)


# Feedback and chat


async def test_inv11_after_a_rejected_edit_another_failing_test_is_shown(script):
    world = World(script, *[fenced(WORSE)] * 4)
    await run(max_rounds=4)
    assert shown(world) == ["-3", "-208", "-3", "-3"]
    world = World(script, *[fenced(WORSE)] * 3)
    await run(max_rounds=3, feedback_policy="first")
    assert shown(world) == ["-3", "-3", "-3"]


async def test_after_an_accepted_edit_nothing_counts_as_shown(script):
    world = World(script, fenced(WORSE), fenced(OTHER), fenced(GOLD))
    out = await run(max_rounds=4)
    assert shown(world) == ["-3", "-208", "-3"]
    assert out["stop_reason"] == "solved"
    assert [done["accepted"] for done in out["history"]] == [False, True, True]


async def test_the_debugger_sees_task_code_and_feedback_and_no_more(script):
    world = World(script, fenced(GOLD))
    await run({**TASK, **HIDDEN})
    (chat,) = world.chats
    assert [message["role"] for message in chat] == ["user", "assistant", "user"]
    assert chat[0]["content"].endswith(
        "Task: Return the last digit of a number.\nSignature: last_digit(n)\nExample: assert last_digit(123) == 3"
    )
    assert chat[1]["content"] == f"```python\n{FAULTY}```"
    assert chat[2]["content"].startswith("The code fails a unit test.\n\nInput: last_digit(-3)\nThe code gives: 7\nExpected: 3\n")


@pytest.mark.parametrize(("drop", "roles"), [(True, "uau"), (False, "uauau")])
async def test_a_rejected_answer_leaves_the_chat_unless_it_is_to_stay(script, drop, roles):
    world = World(script, fenced(WORSE), fenced(OTHER), fenced(GOLD))
    await run(drop_rejected=drop)
    assert ["".join(message["role"][0] for message in chat) for chat in world.chats] == ["uau", roles, "uau"]
    if not drop:
        assert world.chats[1][2]["content"] == world.chats[0][2]["content"]
        assert world.chats[1][3]["content"] == fenced(WORSE)


@pytest.mark.parametrize("reply", ["```text\nnothing\n```", "```python\n```"])
async def test_a_reply_without_code_is_a_rejected_edit(script, reply):
    World(script, reply, fenced(GOLD))
    out = await run()
    assert (out["stop_reason"], [done["accepted"] for done in out["history"]]) == ("solved", [False, True])


async def test_the_end_of_a_long_value_is_cut_out_of_the_feedback(script):
    world = World(script, fenced(GOLD), output=lambda n: "x" * 9000)
    await run(max_rounds=1)
    assert len(world.chats[0][-1]["content"]) < 3000


# Parameters


async def test_an_edit_can_be_judged_on_the_tests_of_all_suites(script):
    edits = ("def last_digit(n):\n    return n % 10 if n != -3 else 3\n", "def last_digit(n):\n    return 8 if n == -208 else 4\n")
    for validate_on, accepted in (("suite", [True, True]), ("all", [True, False])):
        World(script, *map(fenced, edits), inputs=(12, -3, 14, -208, 5, 6))
        out = await run(n_tests=2, max_rounds=2, validate_on=validate_on)
        assert [done["accepted"] for done in out["history"]] == accepted, validate_on
    assert (out["history"][1]["before"], out["history"][1]["after"]) == (3 / 4, 2 / 4)


async def test_of_two_outputs_for_one_call_the_newer_counts(script):
    world = World(script, fenced(OTHER), fenced(GOLD), inputs=(-3, 12, -3, 208))
    outputs = iter([9, 2, 3, 8])
    world.output = lambda n: next(outputs)
    out = await run(n_tests=2, max_rounds=2, validate_on="all")
    assert (out["history"][1]["before"], out["history"][1]["after"]) == (pytest.approx(2 / 3), 1.0)


async def test_eager_suites_are_made_for_every_edit(script):
    world = World(script, fenced(WORSE), fenced(GOLD))
    out = await run(eager=True, max_rounds=2)
    suites = [prompt for prompt in script.prompts["sample_candidate"] if "Code:" in prompt]
    assert ["return None" in prompt for prompt in suites] == [False] * 3 + [True] * 3 + [False] * 3
    assert ["abs(n)" in prompt for prompt in suites] == [False] * 6 + [True] * 3
    assert (out["stop_reason"], [done["accepted"] for done in out["history"]]) == ("solved", [False, True])
    assert not world.edits


def test_a_profile_lays_its_values_under_the_given_ones():
    assert Params() == Params(profile="paper")
    given = Params(profile="repository", eager=False)
    assert {key: getattr(given, key) for key in PROFILES["repository"]} == {**PROFILES["repository"], "eager": False}
    assert Params.model_validate(given.model_dump(mode="json")) == given
    plain = Params()
    assert (plain.n_tests, plain.k, plain.bar, plain.max_rounds, plain.call_seconds, plain.suite_seconds) == (3, 8, 0.5, 3, 2.0, 60.0)
    assert all(getattr(plain, key) != value for key, value in PROFILES["repository"].items())


async def test_the_oracle_arm_debugs_by_the_right_outputs(script):
    World(script, fenced(GOLD), output=lambda n: 4711)
    out = await run({**TASK, **HIDDEN}, mode="oracle")
    assert out["stop_reason"] == "solved"
    assert script.prompts["vote_output"] == []
    with pytest.raises(BadInput, match="oracle needs a right solution"):
        await run(mode="oracle")


# The arm without tests


async def test_the_arm_none_asks_for_a_verdict_and_acts_on_it(script):
    verdicts = ["Feedback: it fails for -3. The code is wrong.", "Feedback: fine. The code is correct."]
    world = World(script, fenced(GOLD), verdicts=verdicts)
    out = await run(mode="none")
    assert (out["answer"], out["stop_reason"], script.calls) == (GOLD.strip(), "judged_right", 3)
    assert world.chats[1][-1]["content"].startswith("it fails for -3. The code is wrong.\n\nCorrect the code.")
    assert (out["suite"], out["history"][0]["before"], out["history"][0]["accepted"]) == ([], None, True)


@pytest.mark.parametrize("rounds", [0, 1, 3])
async def test_the_arm_none_takes_two_calls_a_round(script, rounds):
    World(script, *[fenced(WORSE)] * rounds, verdicts=["Feedback: no. The code is wrong."] * rounds)
    out = await run(mode="none", max_rounds=rounds)
    assert (script.calls, out["stop_reason"], out["round"]) == (2 * rounds, "budget", rounds)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Feedback: The code is correct.", "right"),
        ("Feedback: no. The CODE IS WRONG.", "wrong"),
        ("The code is wrong. Feedback: all good", "right"),
        ("The code is wrong.", "wrong"),
        ("Feedback: it is not wrong to say that the code is correct; the code is wrong", "right"),
        ("Hm.", "right"),
    ],
)
def test_a_verdict_is_right_when_said_so_or_not_said_wrong(text, verdict):
    assert read_verdict(text) == verdict


# Cost


async def test_the_cost_is_that_of_the_specification(script):
    given = {"n_tests": 3, "k": 8, "max_rounds": 3}
    World(script, *[fenced(FAULTY + f"# {i}\n") for i in range(3)])
    out = await run(**given)
    assert (script.calls, out["stop_reason"]) == (3 * 3 * 9 + 3, "budget")
    script.calls = 0
    World(script, *[fenced(WORSE)] * 3)
    await run(**given)
    assert script.calls == 3 * 9 + 3
    for eager, calls in ((False, 3 * 12 * 9 + 3), (True, 4 * 12 * 9 + 3)):
        script.calls = 0
        World(script, *[fenced(FAULTY + f"# {i}\n") for i in range(3)], inputs=[-3])
        params = Params(model="script/any", suite_retries=0, eager=eager, **given)
        await graph.ainvoke(TASK, context=params)
        assert script.calls == calls == METHOD.count(METHOD.calls, params)


# Nothing known reaches a prompt


@pytest.mark.parametrize("mode", ["utgen", "random", "none"])
async def test_inv9_a_poisoned_solution_changes_no_transcript(script, mode):
    transcripts = []
    for known in ({}, {"canonical_solution": "poison 4711", "test": "raise ValueError('poison 4711')"}):
        world = World(script, fenced(WORSE), fenced(GOLD), verdicts=["The code is wrong."] * 2 + ["The code is correct."])
        script.prompts.clear()
        await run({**TASK, **known}, mode=mode)
        transcripts.append([dict(script.prompts), world.chats])
    assert transcripts[0] == transcripts[1]
    assert "4711" not in json.dumps(transcripts)


# Resuming


@pytest.mark.parametrize("cut", [1, 4, 7, 11, 15, 18, 22])
async def test_inv12_a_run_stopped_anywhere_comes_to_the_same_end(script, sqlite, cut):
    def scripted():
        World(script, fenced(WORSE), fenced(GOLD))

    scripted()
    given = {"model": "script/any", "k": 2}
    whole = await runs.start(sqlite, runs.new_record("utdebug", given, TASK))
    opened, heard = [], itertools.count(1)
    scripted()

    def listen(event):
        if event["type"] == "effect" and next(heard) >= cut:
            opened[0].stop("enough")

    result = await runs.start(sqlite, runs.new_record("utdebug", given, TASK), on_event=listen, on_open=opened.append)
    assert result.status == "stopped"
    result = await runs.resume(sqlite, result.run_id)
    states = [(await runs.replay(sqlite, one.run_id))[1].values for one in (whole, result)]
    assert states[0] == states[1]
    entries = [sorted((e.place, e.digest) for e in await sqlite.entries(one.run_id)) for one in (whole, result)]
    assert entries[0] == entries[1]


async def test_a_second_turn_of_a_chat_starts_anew(script):
    from langgraph.checkpoint.memory import InMemorySaver

    chatty = build().compile(checkpointer=InMemorySaver())
    config, params = {"configurable": {"thread_id": "1"}}, Params(model="script/any", k=1)
    text = f"Prompt:\n{TASK['prompt']}\n\nCode:\n```python\n{FAULTY}```"
    World(script, fenced(WORSE), fenced(GOLD))
    first = await chatty.ainvoke({"messages": [{"role": "user", "content": text}]}, config, context=params)
    assert (first["round"], len(first["history"]), first["messages"][-1].content) == (2, 2, GOLD.strip())
    World(script, fenced(GOLD))
    second = await chatty.ainvoke({"messages": [{"role": "user", "content": text}]}, config, context=params)
    assert (second["round"], len(second["history"]), len(second["seen"]), len(second["messages"])) == (1, 1, 6, 4)


async def test_an_unreachable_model_fails_the_run_by_name(script, sqlite):
    World(script)
    result = await runs.start(sqlite, runs.new_record("utdebug", {"model": "script/any", "k": 1, "roles": {"debugger": "nobody/x"}}, TASK))
    assert (result.status, result.error["name"], result.error["node"]) == ("failed", ModelNotFound.__name__, "debug")


# The report


async def test_the_report_is_pass_at_1_before_after_and_by_round(script):
    finished = []
    for edits, inputs in (([GOLD], INPUTS), ([WORSE, WORSE, WORSE], INPUTS), ([], (1, 2, 3))):
        World(script, *map(fenced, edits), inputs=inputs)
        finished.append((await run({**TASK, **HIDDEN}), []))
    World(script, inputs=(1, 2, 3))
    finished.append((await run({**TASK, **HIDDEN, "code": GOLD}), []))
    assert report(finished) == {
        **{"programs": 4, "measured": 4, "before": 0.25, "after": 0.5, "repaired": 1, "broken": 0, "rounds": 1.0},
        "by_round": {"0": 0.25, "1": 0.5, "2": 0.5, "3": 0.5},
        "edits": {"accepted": 1, "rejected": 3},
        "stopped": {"budget": 1, "solved": 3},
    }
    assert report([])["before"] is None
