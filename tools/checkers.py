"""Tests as data sets carry them, taken apart by their syntax tree: calls with the values expected, wherever these are literals."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Cases:
    """Calls of one function with the values expected, read from tests."""

    entry_point: str
    calls: list[str]
    """Tuples of arguments, as text."""
    expected: list[Any]
    absolute: float = 0.0
    as_sets: bool = False


def cases_of(tests: Tests) -> list[Cases | str]:
    """All tests as cases, or as texts to be run where they cannot be taken apart."""
    return [*_assertions(tests), *_checker(tests)]


def tuple_text(arguments: Sequence[str]) -> str:
    """A tuple, from the texts of its items."""
    return f"({''.join(f'{argument}, ' for argument in arguments)})"


def _assertions(tests: Tests) -> list[Cases | str]:
    """The assert statements: those that compare a call with a literal by function, all others as they are."""
    found: list[Cases | str] = []
    for text in tests.get("test_list", []):
        case, last = _case(text), found[-1] if found else None
        if case and isinstance(last, Cases) and last.entry_point == case.entry_point:
            found[-1] = Cases(case.entry_point, last.calls + case.calls, last.expected + case.expected)
        else:
            found.append(case or text)
    return found


@lru_cache(maxsize=256)
def _case(text: str) -> Cases | None:
    """`assert f(1, 2) == 3` as a case."""
    match _body(text):
        case [ast.Assert(test=ast.Compare(left=ast.Call(func=ast.Name(id=name)) as called, ops=[ast.Eq()], comparators=[value]))]:
            try:
                arguments = [value_text(read_node(argument)) for argument in called.args]
                return None if called.keywords else Cases(name, [tuple_text(arguments)], [read_node(value)])
            except (ReplyError, RecursionError):
                return None
    return None


def _checker(tests: Tests) -> list[Cases | str]:
    """The hidden tests: an EvalPlus checker as cases, any other as a text, which `check(candidate)` has to be called in."""
    text = tests.get("test")
    if not text:
        return []
    return [_evalplus(text) or with_call(text, tests.get("entry_point"))]


def with_call(text: str, entry_point: str | None) -> str:
    """Tests as a text that runs them: those of HumanEval only define `check`, which is then called."""
    names = {node.name for node in _body(text) if isinstance(node, ast.FunctionDef)}
    called = re.search(r"^check\(", text, re.MULTILINE)
    return f"{text}\n\ncheck({entry_point})\n" if "check" in names and not called and entry_point else text


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
            try:
                inputs, results = (_list(lists[key]) for key in ("inputs", "results"))
                as_sets = "set(out)" in text.partition("inputs =")[0]
                calls_as_text = [tuple_text([value_text(value) for value in arguments]) for arguments in inputs]
            except (ReplyError, TypeError, RecursionError):
                return None
            return Cases(name, calls_as_text, results, float(absolute), as_sets) if len(inputs) == len(results) else None
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
