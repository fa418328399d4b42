"""Tests as data sets carry them, taken apart by their syntax tree: calls with the values expected, wherever these are literals."""

import ast
import builtins
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NotRequired

from typing_extensions import TypedDict

from symposia.state.errors import ReplyError
from symposia.tools.literals import read_node, value_text


class Tests(TypedDict):
    """Tests of a program as data sets carry them: assert statements, or a checker that raises on a wrong program, or both."""

    entry_point: NotRequired[str]
    test_imports: NotRequired[list[str]]
    test_list: NotRequired[list[str]]
    test: NotRequired[str]


THROUGH = ("set", "sorted", "list", "tuple", "len", "bool")
"""What a test may do to a value before it compares it."""

_CLOSE = {"rel_tol": 1e-9, "abs_tol": 0.0}  # of math.isclose


@dataclass(frozen=True)
class Near:
    """A number that a value has to be close to, as `math.isclose` says it."""

    number: float
    relative: float
    absolute: float


@dataclass(frozen=True)
class Cases:
    """Calls of one function with the values expected, read from tests."""

    entry_point: str
    calls: list[str]
    """Tuples of arguments, as text."""
    expected: list[Any]
    """Values, or `Near` some number."""
    absolute: float = 0.0
    through: str = ""
    """One of `THROUGH`, or nothing."""


def cases_of(tests: Tests) -> list[Cases | str]:
    """All tests as cases, or as texts to be run where they cannot be taken apart."""
    return [*_joined(_case(text) or text for text in tests.get("test_list", [])), *_checker(tests)]


def tuple_text(arguments: Sequence[str]) -> str:
    """A tuple, from the texts of its items."""
    return f"({''.join(f'{argument}, ' for argument in arguments)})"


def _joined(parts: Iterable[Cases | str]) -> list[Cases | str]:
    """Tests in their order, neighbours of one kind as one."""
    found: list[Cases | str] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, Cases) and isinstance(last, Cases) and replace(last, calls=part.calls, expected=part.expected) == part:
            found[-1] = replace(last, calls=last.calls + part.calls, expected=last.expected + part.expected)
        else:
            found.append(part)
    return found


@lru_cache(maxsize=256)
def _case(text: str) -> Cases | None:
    """`assert f(1, 2) == 3` as a case."""
    match _body(text):
        case [ast.Assert(test=test)]:
            return _asserted(test)
    return None


def _asserted(test: ast.expr) -> Cases | None:
    """An assertion as a case: a call that is compared with a literal, is close to a number, or is true or not; None for any other."""
    try:
        match test:
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="abs"), args=[ast.BinOp(left=called, op=ast.Sub(), right=value)]),
                ops=[ast.Lt() | ast.LtE()],
                comparators=[bound],
            ):
                return _of(called, Near(read_node(value), 0.0, read_node(bound)))
            case ast.Compare(left=called, ops=[ast.Eq()], comparators=[value]):
                return _of(called, read_node(value))
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="isclose"), args=[called, value], keywords=given):
                bounds = _CLOSE | {str(one.arg): read_node(one.value) for one in given}
                return _of(called, Near(read_node(value), bounds.pop("rel_tol"), bounds.pop("abs_tol"))) if len(bounds) == 2 else None
            case ast.UnaryOp(op=ast.Not(), operand=called):
                return _of(called, False, "bool")
        return _of(test, True, "bool")
    except (ReplyError, RecursionError):
        return None


def _of(called: ast.expr, expected: Any, through: str = "") -> Cases | None:
    """A call, perhaps inside of `set(...)` and the like, as a case.

    Raises:
        ReplyError: An argument is no literal.
    """
    match called:
        case ast.Call(func=ast.Name(id=name), args=[ast.Call() as inner], keywords=[]) if name in THROUGH and not through:
            return _of(inner, expected, name)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if through != "bool" or not hasattr(builtins, name):
            return Cases(name, [tuple_text([value_text(read_node(argument)) for argument in arguments])], [expected], through=through)
    return None


def _checker(tests: Tests) -> list[Cases | str]:
    """The hidden tests: a checker of EvalPlus or HumanEval as cases, any other as a text, which `check(candidate)` has to be called in."""
    text = tests.get("test")
    if not text:
        return []
    evalplus = _evalplus(text)
    return [evalplus] if evalplus else _humaneval(text, entry_of(tests)) or [with_call(text, tests.get("entry_point"))]


def with_call(text: str, entry_point: str | None) -> str:
    """Tests as a text that runs them: those of HumanEval only define `check`, which is then called."""
    names = {node.name for node in _body(text) if isinstance(node, ast.FunctionDef)}
    return f"{text}\n\ncheck({entry_point})\n" if "check" in names and not _CALLED.search(text) and entry_point else text


def entry_of(tests: Tests) -> str | None:
    """The function that is tested, as far as the tests say it."""
    called = _CALLED.search(tests.get("test", ""))
    return tests.get("entry_point") or (called[1] if called else None)


_CALLED = re.compile(r"^check\(([^\W\d]\w*)\)", re.MULTILINE)


@lru_cache(maxsize=256)
def _humaneval(text: str, entry_point: str | None) -> list[Cases | str]:
    """The assertions of a function `check(candidate)` as cases, if all of them can be; else none."""
    checks = [node for node in _body(text) if isinstance(node, ast.FunctionDef)]
    if [node.name for node in checks] != ["check"] or len(checks[0].args.args) != 1 or not entry_point:
        return []
    asserted = [node.test for node in checks[0].body if isinstance(node, ast.Assert)]
    others = [node for node in checks[0].body if not isinstance(node, ast.Assert | ast.Pass) and not _is_constant(node)]
    cases = [_asserted(test) for test in asserted if not (isinstance(test, ast.Constant) and test.value)]
    if others or not all(case and case.entry_point == checks[0].args.args[0].arg for case in cases):
        return []
    return _joined(replace(case, entry_point=entry_point) for case in cases if case)


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@lru_cache(maxsize=256)
def _evalplus(text: str) -> Cases | None:
    """A checker that zips a list `inputs` with a list `results` and hands each call to `assertion(out, expected, atol)`."""
    body = _body(text)
    lists = {node.targets[0].id: node.value for node in body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
    calls = [node for node in ast.walk(body[-1]) if isinstance(node, ast.Call)] if body and isinstance(body[-1], ast.For) else []
    asserted = next((c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "assertion" and len(c.args) == 3), None)
    if asserted is None or not {"inputs", "results"} <= set(lists):
        return None
    match asserted.args:
        case [ast.Call(func=ast.Name(id=name), args=[ast.Starred()]), ast.Name(), ast.Constant(value=int() | float() as absolute)]:
            through = "set" if "set(out)" in text.partition("inputs =")[0] else ""
            try:
                inputs, results = (_list(lists[key]) for key in ("inputs", "results"))
                expected = [set(result) for result in results] if through else results
                calls_as_text = [tuple_text([value_text(value) for value in arguments]) for arguments in inputs]
            except (ReplyError, TypeError, RecursionError):
                return None
            return Cases(name, calls_as_text, expected, float(absolute), through) if len(inputs) == len(results) else None
    return None


def _list(node: ast.expr) -> list[Any]:
    """The items of a list of literals."""
    if not isinstance(node, ast.List):
        raise TypeError("not a list")
    return [read_node(item) for item in node.elts]


@lru_cache(maxsize=256)
def _body(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []


def row_tests(row: Mapping[str, Any]) -> str | None:
    """The tests of a data set's row as one text that raises on a wrong program, which stands for a known answer; None without any."""
    listed = row.get("test_list") or []
    hidden = row.get("test")
    if not isinstance(hidden, str) or not isinstance(listed, list):
        hidden = None
    if not hidden and not listed:
        return None
    imports = [one for one in row.get("test_imports") or [] if isinstance(one, str)]
    body = with_call(hidden, row.get("entry_point")) if hidden else "\n".join(map(str, listed))
    return "\n".join([*imports, body])


def holds_tests(reference: Any) -> bool:
    """Whether a known answer is one text of Python with assertions, or a list of them."""
    texts = reference if isinstance(reference, list) else [reference]
    return bool(texts) and all(isinstance(text, str) and "assert" in text and _asserts(text) for text in texts)


def _asserts(text: str) -> bool:
    return any(isinstance(node, ast.Assert) for statement in _body(text) for node in ast.walk(statement))


def read_tests(reference: Any) -> Tests:
    """The tests of a known answer: a list of statements, or a text, whose assert statements are told apart where it has nothing else."""
    if isinstance(reference, list):
        return Tests(test_list=[str(text) for text in reference])
    body = _body(str(reference))
    imports = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    asserted = [ast.unparse(node) for node in body if isinstance(node, ast.Assert)]
    if asserted and len(imports) + len(asserted) == len(body):
        return Tests(test_imports=imports, test_list=asserted)
    return Tests(test=str(reference))
