"""The toy models: each role does its work from the prompt alone, and the statistics that the demonstration rests on hold."""

import ast
import json
import math
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from symposia.nodes import prompts
from symposia.serve.conversation import Turn, question_of
from symposia.tools import toy
from symposia.tools.answers import extract
from symposia.tools.toy.prompts import latest, read_prompt

ROOT = Path(__file__).resolve().parent.parent
ROWS = [json.loads(line) for line in (ROOT / "symposia/items/arithmetic.jsonl").read_text(encoding="utf-8").splitlines()]
SEEDS = range(20)  # fixed before the first run
EXACT = "default?error=0&check=1"

QUESTION = "Lena has 12 marbles. She finds 7 more marbles. She gives 4 marbles to Max. How many marbles does Lena have now?"
WRONG = 'Step 1: "She finds 7 more marbles": 12 - 7 = 5.\nStep 2: "She gives 4 marbles to Max": 5 - 4 = 1.\nThe answer is \\boxed{1}.'
RIGHT = WRONG.replace("12 - 7 = 5", "12 + 7 = 19").replace("5 - 4 = 1", "19 - 4 = 15").replace("{1}", "{15}")
FEEDBACK = 'Step 1 subtracts where the text adds ("She finds 7 more marbles"): it should be 12 + 7 = 19.'
DEMONSTRATION = (
    "Problem: Ann has 3 hats. She buys 4 hats. How many hats does Ann have?\n\nSolution with marks:\nStep 1: 3 - 4 = -1. 2/10\n"
    "The answer is \\boxed{-1}. 1/10\n\nTeacher's feedback:\nStep 1 subtracts: it should be 3 + 4 = 7.\n\nImproved solution:\n"
    "Step 1: 3 + 4 = 7.\nThe answer is \\boxed{7}."
)


def say(model, text, seed):
    return toy.reply(model, [{"role": "user", "content": text}], seed)


def steps_of(chain):
    return [step.strip() for step in re.split(r"(?m)^(?=Step \d)", chain) if step.strip()]


def solve(model, question, seed):
    return say(model, prompts.SOLVE.format(question=question, answer_format=prompts.answer_format("number")), seed)


def review(model, question, annotated, seed):
    slots = {"attention": "6", "demonstration": DEMONSTRATION, "question": question, "annotated": annotated}
    return say(model, prompts.REVIEW.format(**slots), seed)


def refine(model, question, annotated, feedback, seed):
    slots = {"demonstration": DEMONSTRATION, "question": question, "annotated": annotated, "feedback": feedback}
    return say(model, prompts.REFINE.format(answer_format=prompts.answer_format("number"), **slots), seed)


def last_line(text, label):
    line = text.splitlines()[-1]
    assert line.startswith(label), text
    return line.removeprefix(label)


def outcome(model, question, chain, seed):
    text = say(model, prompts.JUDGE_OUTCOME.format(question=question, chain=chain), seed)
    return float(last_line(text, "SCORE: "))


def step_scores(model, question, steps, seed):
    flat = "\n".join(step.replace("\n", " ") for step in steps)
    text = say(model, prompts.JUDGE_STEPS.format(question=question, steps=flat, n_steps=len(steps)), seed)
    return [float(x) for x in last_line(text, "SCORES: ").split(", ")]


def annotate(steps, scores):
    return "\n".join(f"{step} {score * 10:.0f}/10" for step, score in zip(steps, scores, strict=True))


def is_right(chain, row):
    answer = extract(chain, "number")
    return answer is not None and abs(float(answer) - row["answer"]) < 1e-6


# ---- the problems ----


def test_the_problems_are_many_and_sorted_and_have_one_form():
    order = ["easy", "medium", "hard"]
    levels = [order.index(row["level"]) for row in ROWS]
    assert len(ROWS) >= 60
    assert levels == sorted(levels)
    assert min(map(levels.count, range(3))) >= 15
    assert [row["id"] for row in ROWS] == [f"arith-{n:02d}" for n in range(1, len(ROWS) + 1)]
    assert all(set(row) == {"id", "question", "answer", "level", "task"} and row["task"] == "number" for row in ROWS)
    assert len({row["question"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_without_error_the_toy_solves(row):
    assert is_right(solve(EXACT, row["question"], 0), row)


def test_another_number_in_a_problem_gives_another_answer():
    same, tried = [], 0
    for row in ROWS:
        before = extract(solve(EXACT, row["question"], 0), "number")
        changed = 0
        for found in re.finditer(r"\d+", row["question"]):
            text = row["question"][: found.start()] + str(int(found[0]) + 3) + row["question"][found.end() :]
            changed += extract(solve(EXACT, text, 0), "number") != before
            tried += 1
        if not changed:
            same.append(row["id"])
    assert tried > 200
    assert not same


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Zbigniew owns 31 gizmos. He gets 9 more gizmos. How many gizmos does Zbigniew have now?", 40),
        ("Each drawer contains 14 forks. Otto has 3 drawers. How many forks does Otto have?", 42),
        ("Maya has $30. She spends $12.50 on a book. How much money does Maya have left?", 17.5),
        ("Ida shares twenty-one figs equally among 3 cousins. How many figs does each cousin get?", 7),
        ("Ugo is 4 years younger than Pia. Pia is 30 years old. How old is Ugo?", 26),
        ("There are 40 lamps. Three quarters of the lamps are broken. How many lamps are left?", 10),
    ],
)
def test_names_objects_and_spellings_of_numbers_are_free(question, answer):
    assert is_right(solve(EXACT, question, 0), {"answer": answer})


def test_an_unreadable_problem_gets_a_guess_or_no_box():
    guess = solve(EXACT, "If 3 blorps frumble 7 glorps, what is the flux?", 0)
    assert "guess" in guess and extract(guess, "number") is not None
    assert "boxed" not in solve(EXACT, "Why is the sky blue?", 0)


# ---- the roles ----


MARBLES = "Lena has 12 marbles. She finds 7 more marbles."
APPLES = "Tom has 3 apples. He buys 4 more apples. How many apples does Tom have now?"


@pytest.mark.parametrize(
    ("turns", "answer"),
    [
        ([("user", f"{MARBLES} How many marbles does Lena have now?"), ("assistant", "19"), ("user", APPLES)], "7"),
        ([("user", MARBLES), ("assistant", "I see 2 numbers."), ("user", "How many marbles does Lena have now?")], "19"),
        ([("system", "Use 5 words."), ("user", APPLES)], "7"),
    ],
)
def test_of_a_chat_the_last_question_is_solved_with_what_was_said_for_it(turns, answer):
    question = question_of([Turn(role, text) for role, text in turns])
    assert extract(solve(EXACT, question, 1)) == answer
    assert latest(f"User: {APPLES}\nAssistant: 7\nUser: And 2 + 2?") == "And 2 + 2?"
    assert latest(f"User: {APPLES}") == f"User: {APPLES}", "no chat, but a problem about a user"


def test_the_solver_writes_numbered_steps_and_boxes_the_answer():
    chain = solve(EXACT, QUESTION, 0)
    assert chain == RIGHT


def test_the_reviewer_names_the_mistake_in_the_low_step_only():
    feedback = review(EXACT, QUESTION, annotate(steps_of(WRONG), [0.2, 0.9]), 0)
    assert feedback == FEEDBACK
    assert "Step 2 goes on with the wrong number 5" in review(EXACT, QUESTION, annotate(steps_of(WRONG), [0.9, 0.1]), 0)
    assert "looks right" in review(EXACT, QUESTION, annotate(steps_of(RIGHT), [0.9, 0.3]), 0)
    assert "No step" in review(EXACT, QUESTION, annotate(steps_of(WRONG), [0.9, 0.9]), 0)


def test_the_reviewer_notices_a_number_misread_a_false_sum_and_a_step_left_out():
    low = [0.1, 0.1]
    misread = WRONG.replace("12 - 7 = 5", "12 + 8 = 20").replace("5 - 4 = 1", "20 - 4 = 16")
    assert "takes 8 where the text says 7" in review(EXACT, QUESTION, annotate(steps_of(misread), low), 0)
    assert "slip in its calculation" in review(EXACT, QUESTION, annotate(steps_of(RIGHT.replace("= 19", "= 29")), low), 0)
    short = 'Step 1: "She gives 4 marbles to Max": 12 - 4 = 8.\nThe answer is \\boxed{8}.'
    feedback = review(EXACT, QUESTION, annotate([short], low[:1]), 0)
    assert 'Before step 1 a step is missing ("She finds 7 more marbles"): it should be 12 + 7 = 19.' in feedback
    assert extract(refine(EXACT, QUESTION, annotate([short], low[:1]), feedback, 0), "number") == 15


def test_a_poor_reviewer_accuses_what_is_right_and_misses_what_is_wrong():
    assert "it should be" in review("default?check=0", QUESTION, annotate(steps_of(RIGHT), [0.1, 0.1]), 0)
    assert "it should be" not in review("default?check=0", QUESTION, annotate(steps_of(WRONG), [0.1, 0.1]), 0)


def test_the_refiner_mends_what_the_feedback_names_and_works_out_the_rest_anew():
    annotated = annotate(steps_of(WRONG), [0.2, 0.4])
    assert refine(EXACT, QUESTION, annotated, FEEDBACK, 0) == RIGHT
    assert refine(EXACT, QUESTION, annotated, "Step 1 looks right to me.", 0) == WRONG
    bad = FEEDBACK.replace("12 + 7 = 19", "12 * 7 = 84")
    assert extract(refine("default?error=0&check=0", QUESTION, annotated, bad, 0), "number") == 80


def test_the_refiner_reads_the_last_problem_not_the_demonstration():
    prompt = prompts.REFINE.format(
        answer_format="", demonstration=DEMONSTRATION, question=QUESTION, annotated=annotate(steps_of(WRONG), [0.1, 0.1]), feedback=FEEDBACK
    )
    seen = read_prompt([{"role": "user", "content": prompt}])
    assert (seen.role, seen.problem, seen.feedback) == ("refiner", QUESTION, FEEDBACK)
    assert seen.solution.startswith('Step 1: "She finds')


def test_the_outcome_judge_tells_right_from_wrong():
    right = [outcome(EXACT, QUESTION, RIGHT, seed) for seed in SEEDS]
    wrong = [outcome("default?check=1", QUESTION, WRONG, seed) for seed in SEEDS]
    assert sum(right) / 20 > 0.75 > 0.45 > sum(wrong) / 20
    assert outcome(EXACT, QUESTION, "I do not know.", 0) < 0.1


def test_the_step_judge_gives_one_score_a_step():
    scores = [step_scores(EXACT, QUESTION, steps_of(RIGHT.replace("19 - 4 = 15", "19 + 4 = 23")), seed) for seed in SEEDS]
    assert all(len(s) == 2 for s in scores)
    assert sum(s[0] for s in scores) / 20 > 0.75
    assert step_scores(EXACT, QUESTION, ["Step 1: think."], 0)[0] < 0.95
    assert len(step_scores(EXACT, "Why?", steps_of(RIGHT), 0)) == 2


def test_the_critic_ends_with_a_verdict_and_the_rewriter_acts_on_it():
    ask = {"history": "", "question": QUESTION}
    assert say(EXACT, prompts.CRITIQUE.format(draft=RIGHT, **ask), 0).endswith("VERDICT: correct")
    critique = say(EXACT, prompts.CRITIQUE.format(draft=WRONG, **ask), 0)
    assert critique == f"{FEEDBACK}\nVERDICT: incorrect"
    history = f"Solution 1:\n{RIGHT}\n\nFeedback 1:\nSomething else.\n\nSolution 2:\n{WRONG}\n\nFeedback 2:\n{critique}"
    assert say(EXACT, prompts.REWRITE.format(answer_format="", history=history, question=QUESTION), 0) == RIGHT
    again = prompts.CRITIQUE.format(draft=WRONG, history=f"\n{history}\n", question=QUESTION)
    assert say(EXACT, again, 0).endswith("VERDICT: incorrect")


def test_a_complaint_and_other_words_leave_the_role_as_it_was():
    judge = prompts.JUDGE_OUTCOME.format(question=QUESTION, chain=RIGHT)
    asked = [
        {"role": "user", "content": judge},
        {"role": "assistant", "content": "Fine."},
        {"role": "user", "content": "There is no score."},
    ]
    assert "SCORE: " in toy.reply(EXACT, asked, 0)
    assert say(EXACT, f"Please help me.\n\nQuestion: {QUESTION}\n\nThink step by step.", 0) == RIGHT
    assert say(EXACT, QUESTION, 0) == RIGHT
    other = f"Question: {QUESTION}\n\nOld solution:\n{WRONG}\n\nFeedback:\n{FEEDBACK}\n\nNow write it again."
    assert say(EXACT, other, 0) == RIGHT


# ---- seeds and settings ----


def test_a_seed_decides_everything_and_none_nothing():
    question = ROWS[-1]["question"]
    for seed in SEEDS:
        assert solve("weak", question, seed) == solve("weak", question, seed)
    assert len({solve("weak", question, seed) for seed in SEEDS}) > 5
    assert len({solve("weak", question, None) for _ in range(20)}) > 5
    assert [solve("weak", question, s) for s in SEEDS] != [solve("weak?error=0.2", question, s) for s in SEEDS]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("defualt", "default, strong, weak"),
        ("default?eror=0.1", "error, check"),
        ("default?error=2", "from 0 to 1"),
        ("default?error=nan", "from 0 to 1"),
        ("default?check=", "from 0 to 1"),
    ],
)
def test_an_unknown_name_or_setting_is_an_error_that_names_the_known(model, said):
    with pytest.raises(ValueError, match=said):
        solve(model, QUESTION, 0)


@pytest.mark.parametrize(
    "text",
    ["", "?", "Tom has 1/0 hats. How many hats does Tom have?", "Tom has " + "9" * 5000 + " hats. How many hats?", "in a " * 20000 + "?"],
    ids=["empty", "mark", "zero", "digits", "long"],
)
@pytest.mark.parametrize("cue", ["", "SCORE:", "SCORES: for each of the 3 steps", "VERDICT:", "Feedback on it:", "Improved solution:"])
def test_hostile_text_gets_some_reply(text, cue):
    assert say("default", f"Problem: {text}\n\nSolution:\nStep 1: 1 / 0 = 2/0\n\n{cue}", 0)


# ---- isolation ----


TO_RUN_CODE = {f"symposia.{name}" for name in ("tools.sandbox", "tools.programs", "tools.literals", "state.errors")}


def test_nothing_of_the_toys_knows_the_problems():
    for path in (ROOT / "tools/toy").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                own = name == "symposia.tools.toy" or name.startswith("symposia.tools.toy.") or name in TO_RUN_CODE
                assert own or name.split(".")[0] in sys.stdlib_module_names, (path.name, name)
                assert name.split(".")[0] not in {"os", "io", "pathlib", "importlib", "pkgutil", "subprocess"}


def test_a_reply_opens_no_file_and_loads_no_problems():
    code = (
        "import sys; from symposia.tools import toy; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(args[0]) if event in ('open', 'import') else None)\n"
        "toy.reply('default', [{'role': 'user', 'content': sys.argv[1]}], 1)\n"
        "assert not [m for m in sys.modules if m.startswith('symposia.items')]\n"
        "assert not opened, opened"
    )
    subprocess.run([sys.executable, "-c", code, f"Problem: {QUESTION}"], check=True, cwd=ROOT)


# ---- statistics, over twenty seeds fixed beforehand ----


@cache
def accuracy(model):
    """Part of single samples that are right, per seed."""
    return [sum(is_right(solve(model, row["question"], seed), row) for row in ROWS) / len(ROWS) for seed in SEEDS]


def test_single_samples_are_right_somewhat_more_often_than_not():
    rates = accuracy("default")
    assert 0.5 < sum(rates) / 20 < 0.65, rates


def test_the_strong_toy_beats_the_default_and_the_default_the_weak():
    strong, middle, weak = (sum(accuracy(model)) / 20 for model in ("strong", "default", "weak"))
    assert strong > middle + 0.08, (strong, middle)
    assert middle > weak + 0.08, (middle, weak)


def vote(answers, weights):
    mass: dict[object, float] = defaultdict(float)
    for answer, weight in zip(answers, weights, strict=True):
        mass[answer] += weight
    return max(mass, key=mass.__getitem__)


def rounds(row, seed, k=8):
    """Right or not: the samples' share, their vote, the refined samples' share, and the weighted vote over the best of both."""
    question, base = row["question"], 1000 * seed
    chains = [solve("default", question, base + i) for i in range(k)]
    marks = [step_scores("default", question, steps_of(c), base + i) for i, c in enumerate(chains)]
    annotated = [annotate(steps_of(c), m) for c, m in zip(chains, marks, strict=True)]
    feedback = [review("default", question, a, base + i) for i, a in enumerate(annotated)]
    refined = [refine("default", question, a, f, base + i) for i, (a, f) in enumerate(zip(annotated, feedback, strict=True))]
    again = [step_scores("default", question, steps_of(c), base + 500 + i) for i, c in enumerate(refined)]
    scores = [
        outcome("default", question, c, base + i) + math.prod(m)
        for i, (c, m) in enumerate(zip(chains + refined, marks + again, strict=True))
    ]
    pool = sorted(zip(scores, chains + refined, strict=True), key=lambda pair: -pair[0])[:k]
    right = [is_right(c, row) for c in chains + refined]
    first = vote([extract(c, "number") for c in chains], [1.0] * k) == row["answer"]
    last = vote([extract(c, "number") for _, c in pool], [s for s, _ in pool]) == row["answer"]
    return sum(right[:k]) / k, first, sum(right[k:]) / k, last


def test_a_vote_beats_a_sample_and_review_and_refinement_beat_a_vote():
    rows = ROWS[::3]
    per_seed = [[sum(column) / len(rows) for column in zip(*(rounds(row, seed) for row in rows), strict=True)] for seed in SEEDS]
    sample, voted, refined, merged = (sum(column) / 20 for column in zip(*per_seed, strict=True))
    assert voted > sample + 0.08, per_seed
    assert refined > sample + 0.05, per_seed
    assert merged > voted + 0.08, per_seed
