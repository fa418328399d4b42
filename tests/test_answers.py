"""Extraction of answers and the reading of numbers and LaTeX."""

import subprocess
import sys

import pytest

from symposia.tools.answers import TASKS, clean, extract, letter, numeric, task_of

LARGE = 500_000
BOXES = [r"\boxed{", r"\boxed ", r"\boxed{ }", r"\boxed{x}"]
NUMBERS = ["1", "1,", "1,111", "1 /", "- ", r"\frac{1}{"]
PIECES = [*BOXES, *NUMBERS, "{", "}", " ", "\n", "\\", r"\text{a}", "answer is ", "answer:\n", "(A", "A "]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{5}", 5.0),
        (r"\boxed{0}", 0.0),
        (r"\boxed{1,234,567.89}", 1234567.89),
        (r"\boxed{1,000}", 1000.0),
        (r"\boxed{\$1{,}234}", 1234.0),
        (r"\boxed{-3}", -3.0),
        ("\\boxed{\u22123}", -3.0),
        (r"\boxed{x = -1,234}", -1234.0),
        (r"\boxed{12 - 5}", 5.0),
        (r"\boxed{5 - 10 = - 5}", -5.0),
        (r"\boxed{\frac{3}{4}}", 0.75),
        (r"\fbox{3/4}", 0.75),
        (r"\boxed{50\%}", 50.0),
        (r"\boxed{864 \mbox{ inches}^2}", 864.0),
        (r"\boxed{3 \text{ m}^2 \text{ of cloth}}", 3.0),
        (r"\boxed 42.", 42.0),
        (r"\boxed{1} then \boxed{2}", 2.0),
        (r"\boxed{x=\boxed{-5}}", -5.0),
        (r"\boxed{7} and, cut off, \boxed{\frac{1", 7.0),
        (r"\boxed{}", None),
        (r"\boxed{none}", None),
        ("the answer is 5", None),
        ("", None),
        ("  \n ", None),
    ],
)
def test_number_is_the_last_in_the_last_box(text, expected):
    assert extract(text, "gsm8k") == expected
    assert extract(text, "svamp") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"Thus $\boxed{ \frac{\sqrt{3}}{2} }$.", r"\frac{\sqrt{3}}{2}"),
        (r"\boxed{\left\{ 1, 2 \right\}}", r"\left\{ 1, 2 \right\}"),
        (r"\boxed{a}\fbox{b}", "b"),
        (r"{ \boxed{x} {", "x"),
        (r"} \boxed{x}", "x"),
        (r"\boxed{x", None),
        (r"\boxedx{3}", None),
        ("x = 3", None),
    ],
)
def test_math_is_the_content_of_the_last_box(text, expected):
    assert extract(text, "math") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"(A) looks right, but \boxed{C}", "C"),
        (r"\boxed{\text{(B)}}", "B"),
        (r"\boxed{\textbf{(E)}\ 12}", "E"),
        (r"\boxed{H}", "H"),
        (r"\boxed{42}, so (D)", "D"),
        ("(A) or rather (C)", "C"),
        ("I choose B) 5", "B"),
        ("(H)", "H"),
        ("Answer: B", "B"),
        ("**C**", "C"),
        ("$D$", "D"),
        ("The answer is A because the rest is wrong.", "A"),
        ("A is correct", "A"),
        ("Answer is unclear", None),
        ("A triangle has three sides.", None),
        ("It is D. A triangle has three sides.", "D"),
        ("I think so", None),
        ("Because of E = mc^2", None),
        ("ABCD", None),
        ("", None),
    ],
)
def test_letter_is_a_choice_and_no_article_or_initial(text, expected):
    assert extract(text, "mmlu") == expected
    assert extract(text, "sat") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"The answer is 3. Or (B). \boxed{\frac12}", r"\frac12"),
        (r"\boxed{\text{(B)}}", "B"),
        ("**Answer:** 42.", "42"),
        ("**Answer:**\n42", "42"),
        ("#### 1,200", "1200"),
        ("The answer is 42 because 40 + 2 is 42.1 rounded.", "42"),
        ("The answer is 3.5. Then 7 more lines.", "3.5"),
        (r"The answer is $\frac{1}{2}$.", r"\frac{1}{2}"),
        ("**Final Answer**: (B) 5 cm", "B"),
        ("Answer: Evelyn", "Evelyn"),
        ("The answer is not clear", None),
        ("First 5, then (C), costs $18", "C"),
        ("It costs 5 and then -18 dollars", "-18"),
        ("nothing here", None),
        ("", None),
    ],
)
def test_auto_takes_box_then_statement_then_letter_then_number(text, expected):
    assert extract(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"yes \boxed{no}", "no"),
        ("Answer: the red one\nbye", "the red one"),
        ("well\nthe blue one \n\n", "the blue one"),
        (" \n", None),
    ],
)
def test_text_is_box_then_answer_line_then_last_line(text, expected):
    assert extract(text, "text") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234", 1234.0),
        (r"\frac{1}{2}", 0.5),
        (r"\dfrac12", 0.5),
        (r"\frac{270}7\text{ degrees}", 270 / 7),
        (r"-\frac{24}{25}", -0.96),
        (r"2\frac{1}{2}", 2.5),
        ("1 1/2", 1.5),
        ("3½", 3.5),
        ("1/2", 0.5),
        (r"50\%", 50.0),
        (r"\$5", 5.0),
        ("$-5$", -5.0),
        (r"5 \text{ cm}", 5.0),
        (r"5\,\mathrm{m/s}", 5.0),
        ("5 apples", 5.0),
        ("12cm", 12.0),
        (r"90^\circ", 90.0),
        (r"10,\!080", 10080.0),
        (".0000672", 0.0000672),
        (r"3 \times 10^{5}", 300000.0),
        ("1e5", 100000.0),
        (0, 0.0),
        (0.5, 0.5),
        ("5 million", None),
        ("5x", None),
        ("2k", None),
        ("5 m", None),
        ("204_5", None),
        ("-2,1", None),
        ("1,23", None),
        ("5^2", None),
        ("3 + 4", None),
        ("1/0", None),
        ("9" * 500, None),
        ("x = 5", None),
        ("", None),
        (float("nan"), None),
        (None, None),
    ],
)
def test_numeric_reads_a_number_in_any_dress_and_nothing_else(text, expected):
    assert numeric(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"\tfrac{a}{b}", r"\frac{a}{b}"),
        (r"\left( 3, \, 4 \right]", "(3,4]"),
        (r"$145^\circ$", "145"),
        (r"\text{Evelyn}", "Evelyn"),
        (r"\sqrt3", r"\sqrt{3}"),
        (r"2x \text{ cm}", "2x"),
        ("p - q", "p-q"),
        ("\u2212x.", "-x"),
    ],
)
def test_clean_brings_spellings_together(one, other):
    assert clean(one) == clean(other)


def test_clean_keeps_what_matters():
    assert len({clean(text) for text in ("x", "-x", "x^2", "x_2", r"\sqrt{x}", "(x]", "[x]", "1 million", "1")}) == 9


def test_letter_is_read_from_any_dress():
    assert [letter(text) for text in ("B", "(B)", "B.", r"\text{(B)}", "$J$")] == ["B", "B", "B", "B", "J"]
    assert [letter(text) for text in ("K", "b", "AB", "", 5)] == [None] * 5


@pytest.mark.parametrize("task", sorted(set(TASKS.values())))
@pytest.mark.parametrize(
    "piece",
    PIECES,
)
def test_a_huge_text_of_one_piece_ends(piece, task):
    """A pattern of quadratic time would hang here for many minutes; no clock needed."""
    extract(piece * (LARGE // len(piece)), task)
    numeric(piece * (LARGE // len(piece)))


def test_unknown_task_names_the_nearest():
    assert task_of(" GSM8K ") == "number"
    with pytest.raises(ValueError, match="'gsmk8'; did you mean 'gsm8k'"):
        extract("5", "gsmk8")


def test_reading_answers_loads_no_algebra():
    code = "import sys, symposia.tools.answers; print('sympy' in sys.modules, 'math_verify' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]


@pytest.mark.parametrize("text", [r"\boxed{N/A}", "The answer is N/A."])
def test_not_available_is_no_letter(text):
    assert extract(text, "letter") is None
