"""Programs under test: calls read and never evaluated, values compared outside, tests of data sets, the grader `code`."""

import asyncio
import math

import pytest

from symposia.grading import check_grader, grade
from symposia.state.errors import BadInput, ReplyError
from symposia.tools import program_runner
from symposia.tools.checkers import Near, cases_of, holds_tests, read_tests, row_tests
from symposia.tools.literals import LONGEST, call_text, equal, read_call, read_value, value_text
from symposia.tools.programs import CALL, call, check, fence, passed_all, passes, read_code

SHORT = type(CALL)(wall_seconds=0.5, cpu_seconds=1, memory_mib=256)
CHECKER = """\
import numpy as np
from math import inf

def assertion(out, exp, atol):
    assert out == exp


inputs = [[13, 9], [1, -1]]
results = [True, False]
for i, (inp, exp) in enumerate(zip(inputs, results)):
    assertion(bigger(*inp), exp, 0)
"""


# Calls and literals


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("f((1, 2))", [(1, 2)]),
        ("f([1, 2])", [[1, 2]]),
        ("f(1)", [1]),
        ('f("a)b")', ["a)b"]),
        ("f()", []),
        ("Call f(1, -2.5) and see f(3)", [1, -2.5]),
        ("`f({1: [None, True]},\n  {2, 3})`", [{1: [None, True]}, {2, 3}]),
        ("f(inf, -inf, 1+2j, b'x', set(), float('-inf'))", [math.inf, -math.inf, 1 + 2j, b"x", set(), -math.inf]),
        ("of f (7)", [7]),
    ],
)
def test_inv10_a_call_is_read_whatever_its_brackets(text, arguments):
    assert read_call(text, "f") == arguments
    assert read_call(call_text("f", list(map(value_text, arguments))), "f") == arguments


NO_CALLS = """g(1) | xf(1) | o.f(1) | f(1 | f(x) | f(n=1) | f(*[1]) | f(open('x')) | f(1 + 2) | f(2 ** 9) | f('a' * 9) | f({**{}})"""
LONG_CALLS = ["f(" + "(" * 10_000 + ")" * 10_000 + ")", "f('" + "x" * LONGEST + "')", "f(" + "9" * 5000 + ")"]


@pytest.mark.parametrize("text", [*NO_CALLS.split(" | "), "f(...)", "f(-'a')", "f({[]})", "f(\0)", *LONG_CALLS])
def test_what_is_no_call_of_literals_is_refused(text):
    with pytest.raises(ReplyError):
        read_call(text, "f")


def test_nan_is_read_and_equals_nothing():
    value = read_value("nan")
    assert math.isnan(value)
    assert value_text(value) == "nan"
    assert not equal(value, value + 0)


def test_the_text_of_a_set_does_not_hang_on_its_order():
    assert value_text({"b", "a", "c"}) == "{'a', 'b', 'c'}"
    assert value_text([(1,), frozenset({2, 1}), {}, set(), {"k": {3, 2}}]) == "[(1,), frozenset({1, 2}), {}, set(), {'k': {2, 3}}]"
    assert read_value(value_text(frozenset({frozenset({1}), frozenset()}))) == {frozenset({1}), frozenset()}


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (0.1 + 0.2, 0.3, True),
        ([0.1 + 0.2, 1.0], (0.3, 1.0), True),
        (True, 1, True),
        (0.3001, 0.3, False),
        (1, 1.0000001, True),
        (10**9 + 50.0, 1e9, True),
        (math.inf, math.inf, True),
        ([1, 2], (1, 2), False),
        ([0.1], [0.1, 0.2], False),
        ([[0.1 + 0.2]], [[0.3]], False),
        ("a", 0.5, False),
        (None, [0.5], False),
    ],
)
def test_inv8_equality_is_that_of_the_checkers(got, expected, same):
    assert equal(got, expected) is same


def test_tolerance_of_a_checker():
    assert equal([[1.00001]], [[1.0]], 1e-4)
    assert not equal([1.00001], [1.0])


# Calls in the sandbox

TRICKS = """
import sys
class Liar(int):
    def __eq__(self, other): return True
    def __repr__(self): return "5"
class Odd:
    def __eq__(self, other): return True
    def __repr__(self): return "5"
def f(kind, items=()):
    if kind == "lie": return Liar(4)
    if kind == "odd": return Odd()
    if kind == "exit": sys.exit(0)
    if kind == "end": __import__("os")._exit(0)
    if kind == "loop":
        while True: pass
    if kind == "read": return input()
    if kind == "fill": return [0] * (1 << 31)
    if kind == "print": print("5"); print("x" * 100)
    if kind == "raise": raise ValueError("no")
    if kind == "change": items.append(1); return items
    if kind == "keys": return {2: 1}.keys()
    if kind == "half": return __import__("fractions").Fraction(1, 2)
    if kind == "third": return __import__("fractions").Fraction(1, 3)
    if kind == "sub": return __import__("collections").OrderedDict(a=(1, {2}))
    return 5
"""


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("plain", "ok", "5"),
        ("print", "ok", "5"),
        ("lie", "ok", "4"),
        ("odd", "odd", "5"),
        ("keys", "ok", "{2}"),
        ("half", "ok", "0.5"),
        ("third", "odd", "Fraction(1, 3)"),
        ("sub", "ok", "{'a': (1, {2})}"),
        ("exit", "error", "SystemExit: 0"),
        ("raise", "error", "ValueError: no"),
        ("read", "error", "EOFError"),
        ("fill", "error", "MemoryError"),
        ("end", "timeout", "ended without a result"),
        ("loop", "timeout", "no result within 0.5 s"),
    ],
)
async def test_inv7_whatever_a_program_does_a_call_has_a_result(kind, status, text):
    called = await call(TRICKS, "f", [repr(kind)], SHORT)
    assert called["status"] == status
    assert text in called["text"]
    assert passes(called, "5") is (kind in ("plain", "print"))


@pytest.mark.parametrize("code", ["x = = 1", "def g(): return 5", "while True: pass", "raise SystemExit", "import nothing", "f = 5"])
async def test_inv7_a_program_that_does_not_load_gives_no_value(code):
    called = await call(code, "f", [], SHORT)
    assert called["status"] in ("error", "timeout")


async def test_inv8_arguments_are_made_anew_for_each_call():
    found = await check(TRICKS, {"test_list": ["assert f('change', [0]) == [0, 1]"] * 3})
    assert (found["passed"], found["total"]) == (3, 3)


async def test_common_modules_need_no_import_and_builtins_stay():
    code = "def f(): return Counter('aab'), math.gcd(4, 6), pow(2, 5, 7), List is not None"
    assert (await call(code, "f", []))["text"] == "({'a': 2, 'b': 1}, 2, 4, True)"


async def test_a_series_of_calls_that_take_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(program_runner, "CALL_SECONDS", 0.05)
    code = "def f(n):\n    while n: pass\n    return n\n"
    found = await check(code, {"test_list": [f"assert f({n}) == {n}" for n in (0, 1, 0, 2, 3, 0, 0)]})
    assert (found["passed"], found["total"]) == (2, 7)
    assert "f(1) gives no result within the time of a call" in (found["first_failure"] or "")


async def test_what_a_program_prints_is_thrown_away_however_much_it_is():
    code = "print('x' * (1 << 22))\ndef f():\n    import os\n    os.write(1, b'y' * (1 << 22))\n    return 1\n"
    assert await call(code, "f", []) == {"status": "ok", "text": "1"}
    assert (await check(code, {"test": "assert f() == 1\nprint('z')"}))["passed"] == 1


async def test_a_single_call_has_all_the_time_of_its_bounds(monkeypatch):
    monkeypatch.setattr(program_runner, "CALL_SECONDS", 0.05)
    code = "import time\ndef f():\n    while time.process_time() < 0.3: pass\n    return 1\n"
    assert await call(code, "f", [], type(CALL)(wall_seconds=60, cpu_seconds=60)) == {"status": "ok", "text": "1"}


# Tests of data sets


def test_checkers_are_taken_apart():
    (cases,) = cases_of({"test": CHECKER})
    assert (cases.entry_point, cases.calls, cases.expected, cases.through) == ("bigger", ["(13, 9, )", "(1, -1, )"], [True, False], "")
    in_sets = CHECKER.replace("    assert out", "    out = set(out)\n    assert out").replace(", 0)", ", 0.0001)")
    assert cases_of({"test": in_sets}) == [in_sets]  # True is nothing to make a set of
    (cases,) = cases_of({"test": in_sets.replace("[True, False]", "[[2, 1, 2], [1]]")})
    assert (cases.through, cases.absolute, cases.expected) == ("set", 0.0001, [{1, 2}, {1}])


def test_assertions_are_taken_apart():
    asserted = ["f(1) == 2", "(f(2)) == [3]", "g(1) == 1", "not f(3)", "f('a')", "set(f(4)) == set([2, 1])", "abs(f(5) - 0.5) < 1e-3"]
    asserted += ["math.isclose(f(6), 1.0, rel_tol=0.01)", "f(7) == 7, 'why'"]
    found = cases_of({"test_list": [f"assert {text}" for text in asserted]})
    assert [(part.entry_point, part.calls, part.expected, part.through) for part in found] == [
        ("f", ["(1, )", "(2, )"], [2, [3]], ""),
        ("g", ["(1, )"], [1], ""),
        ("f", ["(3, )", "('a', )"], [False, True], "bool"),
        ("f", ["(4, )"], [{1, 2}], "set"),
        ("f", ["(5, )", "(6, )", "(7, )"], [Near(0.5, 0.0, 1e-3), Near(1.0, 0.01, 0.0), 7], ""),
    ]


KEPT = ["f(x=1) == 2", "f(1) is True", "f(x) == 1", "f(1) == g(1)", "all(f(i) for i in [1])", "all([1])", "1 < f(1)", "f(f(1)) == 1"]
KEPT += ["isinstance(f(1), int)", "math.isclose(f(1), 1.0, tol=1)", "abs(f(1)) < 2", "[f(1)] == [1]", "not 1"]


@pytest.mark.parametrize("text", KEPT)
def test_other_assertions_are_run_as_they_are(text):
    assert cases_of({"test_list": [f"assert {text}"]}) == [f"assert {text}"]
    check_function = f"def check(f):\n    assert f(2) == 2\n    assert {text}\n"
    assert cases_of({"test": check_function, "entry_point": "h"}) == [f"{check_function}\n\ncheck(h)\n"]


def test_a_check_function_is_taken_apart():
    text = "METADATA = {}\n\n\ndef check(candidate):\n    'why'\n    assert candidate(2, 1) == True, 'no'\n    assert True\n"
    text += "    assert not candidate(1)\n"
    assert cases_of({"test": text, "entry_point": "bigger"}) == cases_of({"test": text + "\ncheck(bigger)\n"})
    assert [(part.entry_point, part.calls) for part in cases_of({"test": text, "entry_point": "bigger"})] == [
        ("bigger", ["(2, 1, )"]),
        ("bigger", ["(1, )"]),
    ]
    assert cases_of({"test": text}) == [text]
    looped = text + "    for n in range(3):\n        assert candidate(n)\n"
    assert cases_of({"test": looped, "entry_point": "f"}) == [f"{looped}\n\ncheck(f)\n"]


@pytest.mark.parametrize(
    ("code", "passed", "failure"),
    [
        ("def bigger(a, b): return a > b > 0", (2, 2), None),
        ("def bigger(a, b): return True", (1, 2), "bigger(1, -1) gives True, expected False"),
        ("def bigger(a): return True", (0, 2), "TypeError"),
        ("import sys; sys.exit(0)", (0, 2), "does not load: SystemExit"),
        ("import os; os._exit(0)", (0, 2), "ended without a result"),
    ],
)
async def test_a_checker_counts_what_a_program_passes(code, passed, failure):
    found = await check(code, {"test": CHECKER})
    assert ((found["passed"], found["total"]), found["first_failure"] is None) == (passed, failure is None)
    assert (failure or "") in (found["first_failure"] or "")
    assert passed_all(found) is (failure is None)


@pytest.mark.parametrize(
    ("code", "good"), [("def add(a, b): return a + b", True), ("def add(a, b): return a - b", False), ("exit()", False)]
)
async def test_other_tests_run_beside_the_program(code, good):
    check_function = "def check(candidate):\n    for n in range(3):\n        assert candidate(n, 1) == n + 1\n"
    assert passed_all(await check(code, {"test": check_function, "entry_point": "add"})) is good
    listed = {"test_list": ["assert math.isclose(add(1, 2), 3)"], "test_imports": ["import math"]}
    assert passed_all(await check(code, listed)) is good


CHEATS = {
    "equal to all": "class A(int):\n    def __eq__(self, other): return True\n    __sub__ = __abs__ = lambda *a: 0\ndef f(n): return A(7)",
    "an odd object": "class A:\n    def __eq__(self, other): return True\ndef f(n): return A()",
    "in a list": "class A:\n    def __eq__(self, other): return True\ndef f(n): return [A()]",
    "own zip": "def zip(*lists): return []\ndef f(n): return 0",
    "other builtins": "import builtins\nbuiltins.zip = lambda *lists: []\nbuiltins.abs = lambda n: 0\ndef f(n): return 0",
    "left": "import os\ndef f(n): os._exit(86)",
    "left by an exit handler": "import atexit, os\natexit.register(os._exit, 86)\ndef f(n): raise SystemExit(0)",
    "the runner's names": "import __main__\n__main__._tell = __main__._said = print\ndef f(n): return 0",
    "the runner's names on the stack": "import sys\nframe = sys._getframe()\nwhile frame:\n    tell = frame.f_globals.get('_tell')\n"
    "    if tell: frame.f_globals['_tell'] = lambda mark, **said: tell(mark, value='True')\n    frame = frame.f_back\ndef f(n): return 0",
    "a trace": "import sys\nsys.settrace(lambda *a: None)\ndef f(n): return 0",
    "no asserts": "import sys\nsys.flags = None\nAssertionError = BaseException\ndef f(n): return 0",
}
KINDS = {
    "in a loop": "def check(candidate):\n    for n, square in zip([2, 3], [4, 9]):\n        assert candidate(n) == square\n",
    "one by one": "def check(candidate):\n    assert candidate(2) == 4\n    assert abs(candidate(3) - 9) < 1e-6\n",
    "in a list": "def check(candidate):\n    for n, square in zip([2, 3], [4, 9]):\n        assert candidate(n) in (square, [square])\n",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_program_passes_no_tests_by_a_trick(kind):
    tests = {"test": KINDS[kind], "entry_point": "f"}
    assert passed_all(await check("def f(n): return n * n", tests))
    passed = [name for name, code in CHEATS.items() if passed_all(await check(code, tests))]
    assert passed == []


async def test_what_a_program_says_can_be_kept():
    called = await call("def f(): raise ValueError('\\ud800')", "f", [])
    assert called["text"] == "ValueError: \N{REPLACEMENT CHARACTER}"


def test_no_tests_are_none_passed():
    assert not passed_all({"passed": 0, "total": 0, "first_failure": None})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Here:\n```python\nx = 1\n```\nor\n```python\ny\n```", "x = 1"),
        ("```\nplain\n```\n```python\nx = 1\n```", "x = 1"),
        ("```text\nno\n```\n```\nplain\n```", "plain"),
        ("x = 1\n```text\nno\n```", "x = 1"),
        ("x = 1", "x = 1"),
        ("```python\nx = 1", "x = 1"),
        ("", ""),
    ],
)
def test_the_code_of_a_reply(text, code):
    assert read_code(text) == code


def test_a_fence_cannot_be_closed_from_inside():
    code = 'TEXT = """\n```\n````python\n"""'
    assert read_code(fence(code)) == code


# The grader


def line(reference, answer, status="ok"):
    return {"run_id": "r1", "status": status, "answer": answer, "reference": reference}


GOOD, BAD = "Here.\n```python\ndef bigger(a, b):\n    return a > b > 0\n```", "def bigger(a, b): return False"


@pytest.mark.parametrize("grader", ["code", "auto"])
@pytest.mark.parametrize(
    "reference",
    [CHECKER, ["assert bigger(2, 1)", "assert bigger(1, 2) == False"], "import math\nassert bigger(2, 1) == True\nassert bigger(3, 1)"],
)
async def test_code_is_graded_by_its_tests(grader, reference):
    good, bad = [await grade(None, line(reference, answer), None, grade_by) for answer, grade_by in ((GOOD, grader), (BAD, grader))]
    assert (good.correct, bad.correct) == (True, False)
    assert good.detail is not None
    assert good.detail["grader"] == "code"
    assert (await grade(None, line(reference, None, "no_answer"), None, grader)).correct is False
    assert (await grade(None, line(reference, None, "failed"), None, grader)).correct is None


@pytest.mark.parametrize("answer", [0.5, 3, "assert bigger(2, 1) == True"])
async def test_what_is_no_program_is_not_graded_by_tests(answer):
    assert (await grade(None, line(CHECKER, answer), None, "auto")).correct is None


async def test_a_row_of_a_data_set_has_its_tests_as_a_reference():
    row = {"test": "def check(candidate):\n    assert candidate(2, 1)\n", "entry_point": "bigger", "test_imports": ["import math"]}
    assert (await grade(None, line(row_tests(row), GOOD), None, "code")).correct is True
    assert row_tests({"test_list": ["assert f(1)"]}) == "assert f(1)"
    assert row_tests({"question": "?", "test": 3}) is None
    assert read_tests("import re\nassert f(1)") == {"test_imports": ["import re"], "test_list": ["assert f(1)"]}


@pytest.mark.parametrize(
    ("reference", "tests"), [("assert f(1) == 1", True), (["assert f(1)", "18"], False), ("18", False), ("I assert it", False)]
)
def test_only_python_with_assertions_is_tests(reference, tests):
    assert holds_tests(reference) is tests
    if tests:
        check_grader("code", None, [("row 1", reference)])
    else:
        with pytest.raises(BadInput, match="no Python with assertions"):
            check_grader("code", None, [("row 1", reference)])


async def test_many_calls_at_once_keep_their_results_apart():
    done = await asyncio.gather(*(call("def f(n): return n", "f", [str(n)]) for n in range(20)))
    assert [one["text"] for one in done] == [str(n) for n in range(20)]
