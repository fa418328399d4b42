"""The toys that read tasks, write tests, change programs and look what the sandbox says; and the bundled programs they are shown on."""

import ast
import json
import random
from importlib.resources import files

import pytest

from symposia.graphs import utdebug
from symposia.nodes.debugger import DEBUG, FEEDBACK, JUDGE_CODE
from symposia.nodes.perturber import PERTURB
from symposia.nodes.test_writer import PREDICT, WRITE_TEST, read_arguments, read_output, winner, writing
from symposia.tools import toy
from symposia.tools.literals import equal, read_value, value_text
from symposia.tools.programs import check, passed_all, read_code
from symposia.tools.toy.inputs import invent
from symposia.tools.toy.lists import NoResult, read_task, slipped, work_out
from symposia.tools.toy.mutants import mutants
from symposia.tools.toy.trials import try_all

ROWS = [json.loads(line) for line in (files("symposia.items") / "programs.jsonl").read_text(encoding="utf-8").splitlines()]
RIGHT = "toy/default?error=0&check=1".removeprefix("toy/")
SEEDS = range(20)


def hidden_cases(row):
    """Inputs and results of a row's hidden tests."""
    found = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(row["test"]).body if isinstance(node, ast.Assign)}
    return list(zip(found["inputs"], found["results"], strict=True))


def row_of(entry_point):
    return next(row for row in ROWS if row["entry_point"] == entry_point)


def debugging(row, code, call, got, expected):
    """The chat in which a debugger is asked."""
    return [
        {"role": "user", "content": DEBUG.format(prompt=row["prompt"], signature=row["signature"], example="")},
        {"role": "assistant", "content": f"```python\n{code}\n```"},
        {"role": "user", "content": FEEDBACK.format(call=call, got=got, expected=expected)},
    ]


def asked_to_write(row, mode, code=None):
    """The chat in which a test writer is asked."""
    asked = writing({"mode": mode, "prompts": {"test_writer": WRITE_TEST}}, {**row, "code": code or row["code"]})
    return [{"role": "user", "content": "".join(asked[0]["content"])}]


# The bundled programs


def test_there_are_programs_enough_and_each_is_there_once():
    assert len(ROWS) >= 24
    for key in ("id", "entry_point", "code", "canonical_solution", "prompt"):
        assert len({row[key] for row in ROWS}) == len(ROWS)


async def test_every_right_program_passes_all_its_tests_and_every_faulty_one_fails_a_hidden_one():
    several = 0
    for row in ROWS:
        right = await check(row["canonical_solution"], row)
        assert passed_all(right), (row["id"], right["first_failure"])
        assert right["total"] >= 14
        hidden = {"entry_point": row["entry_point"], "test": row["test"]}
        assert not passed_all(await check(row["code"], hidden)), row["id"]
        several += passed_all(await check(row["code"], {"entry_point": row["entry_point"], "test_list": row["test_list"]}))
    assert several >= 10  # bugs that the visible tests do not show


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_toys_reading_of_a_task_is_the_right_program(row):
    task = read_task(row["prompt"], row["signature"])
    assert task is not None
    assert task.entry == row["entry_point"]
    for arguments, result in hidden_cases(row):
        assert work_out(task, arguments)[-1][1] == result, arguments


# Reading and computing


@pytest.mark.parametrize(
    ("sentence", "arguments", "result"),
    [
        ("Return the sum of the squares of the even numbers in the list.", [[1, 2, 4]], 20),
        ("Return the sum of the squares of the odd numbers in the list.", [[1, 2, 4]], 1),
        ("Return the first 2 of the words of the text joined with '-'.", ["b a c"], "b-a"),
        ("Return a list of the first 2 of the words of the text in alphabetical order.", ["b a c"], ["a", "b"]),
        ("Return the largest of the numbers in the list, or -1 when there are none.", [[]], -1),
        ("Return the second largest of the numbers in the list, or None when there are fewer than 2.", [[3]], None),
        ("Return whether any of the numbers in the list is at least 3.", [[1, 3]], True),
        ("Return whether all of the numbers in the list are positive.", [[]], True),
    ],
)
def test_a_phrase_means_what_it_says(sentence, arguments, result):
    names = "text" if "text" in sentence else "numbers"
    assert work_out(read_task(sentence, f"solve({names})"), arguments)[-1][1] == result


@pytest.mark.parametrize(
    "sentence",
    [
        "Sort the list.",
        "Return the wisest of the numbers in the list.",
        "Return the sum of the numbers in the list that are at least m.",
    ],
)
def test_what_it_cannot_read_it_does_not_guess(sentence):
    assert read_task(sentence, "solve(numbers)") is None


def test_a_task_that_says_nothing_of_an_input_has_no_result():
    task = read_task("Return the largest of the numbers in the list.", "solve(numbers)")
    for arguments in ([[]], [["a", 1]], [[1], 2]):
        with pytest.raises(NoResult):
            work_out(task, arguments)


def test_error_0_makes_no_slip_and_error_1_nearly_always_one():
    task = read_task(ROWS[1]["prompt"], ROWS[1]["signature"])
    right = work_out(task, [[2, 3, 4]])[-1][1]
    rng = random.Random(1)
    assert all(work_out(task, [[2, 3, 4]], rng, 0.0)[-1][1] == right for _ in range(50))
    assert sum(work_out(task, [[2, 3, 4]], rng, 1.0)[-1][1] != right for _ in range(50)) > 40


@pytest.mark.parametrize("value", [3, 2.5, True, "ab", [1, 2], ["a"]], ids=repr)
def test_a_slip_is_another_value_of_the_kind(value):
    for seed in SEEDS:
        assert slipped(value, random.Random(seed)) != value
        assert isinstance(slipped(value, random.Random(seed)), type(value))


def test_inputs_meant_to_break_a_program_are_edge_cases_more_often():
    task = read_task(row_of("count_at_least")["prompt"], row_of("count_at_least")["signature"])
    rng = random.Random(1)

    def odd(arguments):
        numbers, limit = arguments
        return len(numbers) < 2 or limit in numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers) - 1

    common, hard = (sum(odd(invent(task, rng, which)) for _ in range(200)) for which in (False, True))
    assert hard > 1.5 * common


# Changing programs


def test_every_mutant_is_another_program_that_compiles_and_each_is_there_once():
    for row in ROWS:
        found = mutants(row["code"])
        assert len(found) > 20
        assert len({mutant.code for mutant in found}) == len(found)
        for mutant in found:
            compile(mutant.code, "mutant", "exec")
            assert ast.dump(ast.parse(mutant.code)) != ast.dump(ast.parse(row["code"]))


def test_what_is_no_python_has_no_mutants():
    assert mutants("def f(:") == []


async def test_most_bundled_bugs_are_a_single_edit_away_from_right():
    near = 0
    for row in ROWS:
        cases = hidden_cases(row)
        found = await try_all([m.code for m in mutants(row["code"])], row["entry_point"], [arguments for arguments, _ in cases])
        near += any(all(value_text(result) == got for (_, result), got in zip(cases, given, strict=True)) for given in found)
    assert near >= 0.7 * len(ROWS)


async def test_a_trial_survives_programs_that_do_not_end_or_print_or_exit():
    codes = [
        "def f(x):\n    return x + 1",
        "def f(x):\n    while True:\n        pass",
        "def f(x):\n    print('!')\n    return x",
        "import sys\nsys.exit(3)",
        "def f(x):\n    x.append(1)\n    return x",
        "def g(x):\n    return x",
        "def f(x):\n    while True:\n        try:\n            x + 1\n        except BaseException:\n            pass",
        "def f(x):\n    return -x",
    ]
    found = await try_all(codes, "f", [[1], [2]])
    assert found == [
        ["2", "3"],
        ["!Endless", "!Endless"],
        ["1", "2"],
        ["!SystemExit", "!SystemExit"],
        ["!AttributeError", "!AttributeError"],
        ["!KeyError", "!KeyError"],
        found[6],
        ["-1", "-2"],
    ]
    assert all(one.startswith("!") for one in found[6])


# Playing the roles


@pytest.mark.parametrize("mode", ["utgen", "random"])
async def test_a_writer_that_does_not_err_writes_right_tests_in_the_layout_asked_for(mode):
    for row in ROWS[:6]:
        text = await toy.areply(RIGHT, asked_to_write(row, mode), 1)
        arguments = [read_value(argument) for argument in read_arguments(text, row["entry_point"])]
        task = read_task(row["prompt"], row["signature"])
        assert equal(read_value(read_output(text)), work_out(task, arguments)[-1][1])
        assert ("### Hypothesis" in text) is (mode == "utgen")


async def test_a_test_meant_to_break_the_code_does_so_more_often_than_a_random_one():
    """20 seeds fixed beforehand, on five programs."""
    broken = {"utgen": 0, "random": 0}
    for mode in broken:
        for row in ROWS[:5]:
            replies = [await toy.areply("default", asked_to_write(row, mode), seed) for seed in range(4)]
            inputs = [[read_value(a) for a in read_arguments(text, row["entry_point"])] for text in replies]
            right, faulty = await try_all([row["canonical_solution"], row["code"]], row["entry_point"], inputs)
            broken[mode] += sum(a != b for a, b in zip(right, faulty, strict=True))
    assert broken["utgen"] > broken["random"]


async def test_a_vote_among_predictions_is_right_more_often_than_one_of_them():
    """20 seeds fixed beforehand."""
    row = row_of("sum_of_even_squares")
    asked = PREDICT.format(prompt=row["prompt"], signature=row["signature"], call="sum_of_even_squares([1, 2, 3, 4, 6])")
    single = voted = 0
    for seed in SEEDS:
        texts = [await toy.areply("weak", [{"role": "user", "content": asked}], 100 * seed + i) for i in range(8)]
        values = [read_output(text) for text in texts]
        single += values[0] == "56"
        voted += winner(values)[0] == "56"
    assert voted > single


async def test_a_debugger_takes_an_edit_that_satisfies_the_feedback_unless_it_errs():
    row = row_of("count_at_least")
    chat = debugging(row, row["code"], "count_at_least([4, 4, 5], 4)", "1", "3")
    fits = {"default?error=0": 0, "default?error=1": 0}
    for model in fits:
        for seed in range(6):
            code = read_code(await toy.areply(model, chat, seed))
            assert code.strip() != row["code"].strip()
            fits[model] += (await try_all([code], "count_at_least", [[[4, 4, 5], 4]]))[0] == ["3"]
    assert fits["default?error=0"] == 6
    assert fits["default?error=1"] < 6


async def test_two_edits_are_tried_where_none_alone_helps():
    """20 seeds fixed beforehand."""
    code, row = "def f(a, b):\n    return a - b * 2", {"prompt": "Return something.", "signature": "f(a, b)"}
    single = await try_all([mutant.code for mutant in mutants(code)], "f", [[5, 3]])
    assert ["14"] not in single
    chat = debugging(row, code, "f(5, 3)", "-1", "14")
    fixed = [read_code(await toy.areply("default?error=0", chat, seed)) for seed in SEEDS]
    assert ["14"] in await try_all(fixed, "f", [[5, 3]])


async def test_a_judge_of_code_that_does_not_err_is_right():
    for row in ROWS[:4]:
        for code, verdict in ((row["code"], "wrong"), (row["canonical_solution"], "correct")):
            chat = [*debugging(row, code, "", "", "")[:2], {"role": "user", "content": JUDGE_CODE}]
            said = [await toy.areply(RIGHT, chat, seed) for seed in range(3)]
            assert any(f"The code is {verdict}." in text for text in said)
            assert verdict == "wrong" or all("is wrong" not in text for text in said)


async def test_a_perturber_changes_a_right_program_unless_it_errs():
    row = ROWS[0]
    asked = PERTURB.format(prompt=row["prompt"], signature=row["signature"], code=f"```python\n{row['canonical_solution']}```")
    chat = [{"role": "user", "content": asked}]
    trees: dict[int, set[str]] = {0: set(), 1: set()}
    for error, found in trees.items():
        replies = [await toy.areply(f"default?error={error}", chat, seed) for seed in SEEDS]
        found |= {ast.dump(ast.parse(read_code(text))) for text in replies}
    right = ast.dump(ast.parse(row["canonical_solution"]))
    assert trees[1] == {right}
    assert right not in trees[0]
    assert len(trees[0]) > 5


async def test_a_seed_makes_every_role_repeatable_and_another_one_changes_it():
    row = row_of("longest_run")
    for chat in (asked_to_write(row, "utgen"), debugging(row, row["code"], "longest_run([1, 7, 7])", "1", "2")):
        first, again = [await toy.areply("default", chat, 5) for _ in range(2)]
        assert first == again
        assert len({await toy.areply("default", chat, seed) for seed in range(8)}) > 1


async def test_a_task_it_cannot_read_gets_no_test():
    row = {**ROWS[0], "prompt": "Write a python function to find the wisest number."}
    text = await toy.areply("default", asked_to_write(row, "utgen"), 1)
    assert "cannot read this task" in text
    assert "Arguments: `" not in text


async def test_a_debug_loop_of_toys_mends_programs_and_takes_bad_edits_back():
    """Eight programs with a debugger that often errs; an edit that passes fewer tests than its parent is never kept."""
    mended, history = 0, []
    for row in ROWS[:8]:
        params = utdebug.Params(seed=1, roles={"debugger": "toy/default?error=0.4"})
        state = await utdebug.graph.ainvoke({key: value for key, value in row.items() if key != "id"}, context=params)
        mended += passed_all(await check(state["answer"], row))
        history += state["history"]
    assert mended >= 3
    assert {one["accepted"] for one in history} == {True, False}
    assert all(one["accepted"] == (one["after"] >= one["before"]) for one in history)
