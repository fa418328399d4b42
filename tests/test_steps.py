"""`tools/steps.py`: cutting a solution into steps, and marking them."""

import pytest

from symposia.tools.steps import annotate, mark, split_steps


@pytest.mark.parametrize(
    ("chain", "steps"),
    [
        ("Step 1: a\nStep 2: b", ["Step 1: a", "Step 2: b"]),
        ("Step 1: a\nmore of it\nStep 2: b\nThe end.", ["Step 1: a\nmore of it", "Step 2: b\nThe end."]),
        ("Let us begin.\nStep 1: a\nStep 2: b", ["Let us begin.\nStep 1: a", "Step 2: b"]),
        ("Step 1: a\n\n \n\nStep 2: b\n\n", ["Step 1: a", "Step 2: b"]),
        ("Step 3: a\nStep 10: b\nStep 3: c", ["Step 3: a", "Step 10: b", "Step 3: c"]),
        ("**Step 1:** a\n## STEP 2 b\n> step 3. c", ["**Step 1:** a", "## STEP 2 b", "> step 3. c"]),
        ("Step 1: as step 2 shows, Step 2 is next", ["Step 1: as step 2 shows, Step 2 is next"]),
        ("Stepping 1 on\nSteps 2 follow\nStep two", ["Stepping 1 on\nSteps 2 follow\nStep two"]),
        ("no label\nat all", ["no label\nat all"]),
        ("Step 1: only", ["Step 1: only"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_steps_are_cut_before_each_label_that_begins_a_line(chain, steps):
    assert split_steps(chain) == steps


def test_no_text_but_blank_lines_is_lost():
    chain = "Intro\n\nStep 1: a\n  b\nStep 2: c\n\nd"
    assert "\n".join(split_steps(chain)) == "Intro\nStep 1: a\n  b\nStep 2: c\nd"


@pytest.mark.parametrize(
    ("score", "expected"), [(0.57, "6/10"), (0.0, "0/10"), (1.0, "10/10"), (0.04, "0/10"), (0.94, "9/10"), (0.3, "3/10")]
)
def test_a_mark_is_the_score_to_one_decimal_times_ten(score, expected):
    assert mark(score) == expected


def test_each_step_is_followed_by_its_mark():
    assert "".join(annotate("Step 1: a\nStep 2: b", [0.25, 0.97])) == "Step 1: a 2/10\nStep 2: b 10/10\n"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([], "Step 1: a\nStep 2: b\n"), ([0.5], "Step 1: a 5/10\nStep 2: b\n"), ([0.5, 0.5, 0.9], "Step 1: a 5/10\nStep 2: b 5/10\n")],
)
def test_steps_without_a_score_stay_unmarked_and_scores_without_a_step_are_left_out(scores, expected):
    assert "".join(annotate("Step 1: a\nStep 2: b", scores)) == expected


def test_an_empty_solution_has_nothing_to_mark():
    assert annotate("", [0.5]) == []


def test_the_text_of_a_step_is_a_part_of_its_own():
    assert annotate("Step 1: a\nStep 2: b", [0.5, 0.6])[::2] == ["Step 1: a", "Step 2: b"]
