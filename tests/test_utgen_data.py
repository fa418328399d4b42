"""UTGen's training data: what its gates let through and what they count, and the file that comes of it."""

import json
from importlib.resources import files

import pytest

from symposia.graphs import utgen_data
from symposia.nodes.rationale_writer import unfit
from symposia.state.base import Sample
from symposia.tools.literals import read_value
from symposia.tools.programs import call, fence, passes

ROWS = [json.loads(line) for line in (files("symposia.items") / "programs.jsonl").read_text(encoding="utf-8").splitlines()]
TASK = {
    "prompt": "Return the largest of the numbers in the list.",
    "signature": "largest(numbers)",
    "entry_point": "largest",
    "code": "def largest(numbers):\n    return max(numbers)\n",
    "test_list": ["assert largest([1, 3, 2]) == 3", "assert largest([4]) == 4", "assert largest([-1, -2]) == -1"],
}
FAULTY = "def largest(numbers):\n    return max(numbers, default=0) if max(numbers) > 0 else 0\n"
WORSE = "def largest(numbers):\n    return min(numbers)\n"


def params(**given):
    return utgen_data.Params(model="script/any", **{"perturbations": 1, "inputs": 1, **given})


def wrote(call_text):
    """A test writer's reply; its output is wrong on purpose."""
    return f"### Hypothesis\nNegative numbers.\n\n### Input\nArguments: `{call_text}`\n\n### Output\nOutput:\n```\n99\n```"


def rationale(value, call_text="largest([-5])", hypothesis="Negative numbers break it."):
    return (
        f"### Hypothesis\n{hypothesis}\n\n### Input\nAll are negative.\nArguments: `{call_text}`\n\n### Output\nOutput:\n```\n{value}\n```"
    )


async def run(script, programs, tests, rationales, row=TASK, **given):
    """A run over scripted replies, all of which have to be used."""
    script.replies = {"perturb_gold": programs, "propose_inputs": tests, "write_rationale": rationales}
    state = await utgen_data.graph.ainvoke(row, context=params(perturbations=max(1, len(programs)), **given))
    assert not any(script.replies.values())
    script.replies = {}
    return state


def balanced(state):
    """Whether at each stage what was proposed is what was kept and what was dropped."""
    dropped = {
        stage: sum(n for key, n in state["rejects"].items() if key.startswith(f"{stage}.")) for stage in ("program", "input", "rationale")
    }
    asked = state["params"]
    return (
        len(state["faulty"]) + dropped["program"] == (asked["perturbations"] if state["gold"] else 0)
        and len(state["attacks"]) + dropped["input"] == len(state["faulty"]) * asked["inputs"]
        and len(state["records"]) + dropped["rationale"] == len(state["attacks"])
    )


# The gates


async def test_utgen_data_inv13_a_variant_equal_to_the_right_program_is_dropped(script):
    same = "# another layout\ndef largest(numbers):\n    return (max(numbers))  # the same\n"
    state = await run(script, [fence(same)], [], [])
    assert (state["answer"], state["stop_reason"]) == (0, "no_faulty_program")
    assert state["rejects"] == {"program.same_code": 1}


async def test_utgen_data_inv13_a_rationale_that_ends_in_another_value_is_asked_for_again_and_then_dropped(script):
    state = await run(script, [fence(FAULTY)], [wrote("largest([-5])")], [rationale(99), rationale("[-5]"), rationale(-5)])
    assert (state["answer"], state["stop_reason"], state["rejects"]) == (1, "records", {})
    state = await run(script, [fence(FAULTY)], [wrote("largest([-5])")], [rationale(99)] * 3)
    assert (state["answer"], state["stop_reason"], state["rejects"]) == (0, "no_rationale", {"rationale.other_output": 1})
    state = await run(script, [fence(FAULTY)], [wrote("largest([-5])")], [rationale(99)], max_retries=0)
    assert state["rejects"] == {"rationale.other_output": 1}


async def test_only_unfit_rationales_are_asked_for_again(script):
    inputs = [wrote("largest([-5])"), wrote("largest([-7, -8])")]
    said = [rationale(0), rationale(-7, "largest([-7, -8])"), rationale(-5)]
    state = await run(script, [fence(FAULTY)], inputs, said, inputs=2)
    assert [record["attack"] for record in state["records"]] == [1, 0]
    assert script.calls == 1 + 2 + 3


async def test_the_label_is_what_the_right_program_returns_not_what_a_model_wrote(script):
    state = await run(script, [fence(FAULTY)], [wrote("largest([-5])")], [rationale(-5)])
    assert state["attacks"] == [{"program": 0, "arguments": ["[-5]"], "expected": "-5", "got": "0"}]


async def test_each_gate_of_a_program_has_its_count(script):
    programs = [
        "I would rather not.",
        fence("def smallest(numbers):\n    return min(numbers)"),
        fence(TASK["code"]),
        fence(FAULTY),
        fence(FAULTY + "\n"),
        fence("import nothing_of_this_name\n\n\ndef largest(numbers):\n    return 1"),
        fence("def largest(numbers):\n    return sorted(numbers)[-1]"),
        fence("def largest(numbers):\n    return 4"),
    ]
    state = await run(script, programs, [wrote("largest([-5])")], [rationale(-5)], hard=True)
    assert state["rejects"] == {
        "program.does_not_load": 1,
        "program.fails_most_tests": 1,
        "program.no_function": 1,
        "program.no_python": 1,
        "program.passes_all_tests": 1,
        "program.same_as_another": 1,
        "program.same_code": 1,
    }
    assert [faulty["program"] for faulty in state["faulty"]] == [3]
    assert balanced(state)


async def test_each_gate_of_an_input_has_its_count(script):
    inputs = [
        "No idea.",
        wrote("largest(numbers=[1])"),
        wrote("largest([])"),
        wrote("largest([3])"),
        wrote("largest([-5])"),
        wrote("largest([ -5 ])"),
        wrote("largest([print])"),
    ]
    state = await run(script, [fence(FAULTY)], inputs, [rationale(-5)], inputs=len(inputs))
    assert state["rejects"] == {"input.gold_fails": 1, "input.no_input": 3, "input.same_input": 1, "input.same_output": 1}
    assert balanced(state)


async def test_a_faulty_program_that_fails_or_never_ends_on_an_input_is_attacked_by_it(script):
    codes = [
        "def largest(numbers):\n    return max(numbers) if numbers[0] > 0 else numbers[9]",
        "def largest(numbers):\n    while numbers[0] < 0:\n        pass\n    return max(numbers)",
    ]
    state = await run(
        script,
        [fence(code) for code in codes],
        [wrote("largest([-5])"), wrote("largest([-6])")],
        [rationale(-5), rationale(-6, "largest([-6])")],
    )
    assert state["answer"] == 2
    assert "IndexError" in state["attacks"][0]["got"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (rationale(-5), ""),
        (rationale("-5.0"), ""),
        (rationale(5), "other_output"),
        (rationale(-5, "largest([-6])"), "other_input"),
        (rationale(-5, hypothesis=" "), "no_hypothesis"),
        (rationale(-5).replace("### Hypothesis", "First"), "no_hypothesis"),
        (rationale("five"), "unreadable"),
    ],
)
def test_what_makes_a_rationale_unfit(text, reason):
    attack = {"program": 0, "arguments": ["[-5]"], "expected": "-5", "got": "0"}
    assert unfit(Sample(status="ok", text=text), attack, "largest") == reason
    assert unfit(Sample(status="truncated", text=text), attack, "largest") == "no_reply"


async def test_a_problem_whose_solution_is_wrong_costs_no_call(script):
    state = await run(script, [], [], [], row={**TASK, "canonical_solution": WORSE})
    assert (state["answer"], state["stop_reason"], script.calls) == (0, "wrong_solution", 0)
    assert balanced(state)


async def test_without_tests_a_variant_has_to_load(script):
    row = {key: value for key, value in TASK.items() if key != "test_list"}
    state = await run(
        script,
        [fence("def largest(numbers):\n    return 1 +"), fence("1 / 0\n" + FAULTY), fence(FAULTY)],
        [wrote("largest([-5])")],
        [rationale(-5)],
        row=row,
    )
    assert state["rejects"] == {"program.does_not_load": 1, "program.no_python": 1}


async def test_only_the_perturber_sees_the_right_program(script):
    row = {**TASK, "code": FAULTY, "canonical_solution": TASK["code"]}
    await run(script, [fence(WORSE)], [wrote("largest([1, 2])")], [rationale(2, "largest([1, 2])")], row=row)
    shown = {node: "return max(numbers)" in "".join(prompts) for node, prompts in script.prompts.items()}
    assert shown == {"perturb_gold": True, "propose_inputs": False, "write_rationale": False}


# Over the toys


async def made():
    """Runs of the toys over three bundled problems."""
    return [
        await utgen_data.graph.ainvoke(row_input(row), context=utgen_data.Params(seed=seed, model="toy/weak"))
        for seed, row in enumerate(ROWS[:3])
    ]


def row_input(row):
    return {key: value for key, value in row.items() if key != "id"}


async def test_in_every_record_the_programs_differ_and_the_label_is_the_right_ones_value(tmp_path):
    states = await made()
    assert all(balanced(state) for state in states)
    rows = [row for state in states for row in utgen_data.rows_of(state)]
    assert len(rows) == sum(state["answer"] for state in states) > 5
    for state in states:
        faulty = {one["program"]: one["code"] for one in state["faulty"]}
        for record in state["records"]:
            attack = state["attacks"][record["attack"]]
            gold = await call(state["gold"], state["entry_point"], attack["arguments"])
            assert (gold["status"], gold["text"]) == ("ok", attack["expected"])
            assert not passes(await call(faulty[attack["program"]], state["entry_point"], attack["arguments"]), attack["expected"])
            assert "### Hypothesis" in record["rationale"]
    report = utgen_data.report([(state, []) for state in states])
    assert report["problems"] == 3
    assert report["kept"]["records"] == len(rows)
    assert sum(report["rejects"].values()) == sum(sum(state["rejects"].values()) for state in states)


async def test_the_file_is_one_that_datasets_loads_as_chats(tmp_path):
    datasets = pytest.importorskip("datasets")
    states = await made()
    written = utgen_data.export([(state, []) for state in [*states, states[0]]], tmp_path / "out")
    loaded = datasets.Dataset.from_json(str(tmp_path / "out" / utgen_data.FILE), cache_dir=str(tmp_path / "cache"))
    assert written == {utgen_data.FILE: len(loaded)}
    assert len({(row["task"], row["call"]) for row in loaded}) == len(loaded) == sum(state["answer"] for state in states)
    for row in loaded:
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        asked, answer = (message["content"] for message in row["messages"])
        assert row["code"] in asked
        assert row["task"] in asked
        assert "Expected:" not in asked
        assert row["call"] in answer
        read_value(row["expected"])
