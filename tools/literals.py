"""Python values as text: calls and literals read by their syntax tree, never evaluated, and when two values are equal.

Numbers, texts, bytes, booleans, None and containers of these are values; so are `inf` and `nan`, `float("inf")`, `set()` and
`frozenset(...)`. A state keeps a value as its `repr`, which `read_value` reads again.
"""

import ast
import math
import re
from collections.abc import Sequence
from typing import Any

from symposia.state.errors import ReplyError, shorten

LONGEST = 20_000
"""Characters of a call or a literal that are read; a test whose input is longer helps nobody."""

ABSOLUTE, RELATIVE = 1e-6, 1e-7
"""By how much floats may differ and count as equal, as in EvalPlus."""

_CLOSINGS = 200  # closing brackets after which a call is tried to be read
_NAMES = {"inf": math.inf, "nan": math.nan}
_TROUBLE = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError, OverflowError)


def read_value(text: str, longest: int = LONGEST) -> Any:
    """The value that a text of Python spells out, at most so many characters long.

    Raises:
        ReplyError: It is no literal, or too long.
    """
    try:
        return _value(_tree(text.strip(), longest))
    except _TROUBLE as error:
        raise ReplyError(f"no Python literal: {shorten(text, 80)!r} ({shorten(str(error), 80)})") from None


def read_node(node: ast.expr) -> Any:
    """The value that a syntax tree spells out.

    Raises:
        ReplyError: It is no literal.
    """
    try:
        return _value(node)
    except _TROUBLE as error:
        raise ReplyError(f"no Python literal: {shorten(str(error), 80)}") from None


def read_call(text: str, name: str) -> list[Any]:
    """The arguments of the first call of a function in a text: `f((1, 2))` has one, `f(1, 2)` two, `f()` none.

    Raises:
        ReplyError: There is no such call, or one with names, other calls, starred or keyword arguments.
    """
    start = re.search(rf"(?<![\w.]){re.escape(name)}\s*\(", text)
    if start is None:
        raise ReplyError(f"no call of {name} in {shorten(text, 80)!r}")
    call = _call(text[start.start() : start.start() + LONGEST])
    if call is None:
        raise ReplyError(f"the call cannot be read: {shorten(text[start.start() :], 80)!r}")
    if call.keywords or any(isinstance(argument, ast.Starred) for argument in call.args):
        raise ReplyError(f"arguments by name or starred: {shorten(ast.unparse(call), 80)!r}; all have to stand by position")
    try:
        return [_value(argument) for argument in call.args]
    except _TROUBLE as error:
        raise ReplyError(f"an argument is no literal: {shorten(str(error), 80)}") from None


def value_text(value: Any) -> str:
    """The text of a value as a state keeps it: its `repr`, with the items of sets in order, so that it is the same in every process."""
    match value:
        case list():
            return f"[{', '.join(map(value_text, value))}]"
        case tuple():
            return f"({', '.join(map(value_text, value))}{',' if len(value) == 1 else ''})"
        case dict():
            return f"{{{', '.join(f'{value_text(key)}: {value_text(item)}' for key, item in value.items())}}}"
        case set() | frozenset() if value:
            items = f"{{{', '.join(sorted(map(value_text, value)))}}}"
            return items if isinstance(value, set) else f"frozenset({items})"
    return repr(value)


def call_text(name: str, arguments: Sequence[str]) -> str:
    """A call of a function, from the texts of its arguments."""
    return f"{name}({', '.join(arguments)})"


def equal(got: Any, expected: Any, absolute: float = 0.0) -> bool:
    """Whether a value is the expected one, as EvalPlus compares: by `==`, floats within a tolerance.

    So `True` and 1 are equal, as Python says, and a list is no tuple unless it is one of floats.

    Args:
        got: What a program returned.
        expected: What it should.
        absolute: By how much numbers may differ; 0 stands for `ABSOLUTE` where the expected value is a float, or a list or tuple of floats,
            and for exactly nothing elsewhere.
    """
    try:
        if got == expected:
            return True
        close_by = absolute or (ABSOLUTE if _floats(expected) else 0.0)
        return close_by > 0 and _close(got, expected, close_by)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False


def _floats(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, list | tuple) and all(isinstance(item, float) for item in value))


def _close(got: Any, expected: Any, absolute: float) -> bool:
    if isinstance(expected, list | tuple):
        same_length = isinstance(got, list | tuple) and len(got) == len(expected)
        return same_length and all(_close(one, other, absolute) for one, other in zip(got, expected, strict=True))
    return bool(got == expected or abs(got - expected) <= absolute + RELATIVE * abs(expected))


def _tree(text: str, longest: int = LONGEST) -> ast.expr:
    if len(text) > longest:
        raise ValueError(f"{len(text)} characters")
    return ast.parse(text, mode="eval").body


def _call(text: str) -> ast.Call | None:
    """The shortest beginning of a text that is a call: brackets in texts and inner brackets do not end it."""
    for n, closing in enumerate(re.finditer(r"\)", text)):
        if n >= _CLOSINGS:
            return None
        try:
            found = _tree(text[: closing.end()])
        except _TROUBLE:
            continue
        return found if isinstance(found, ast.Call) else None
    return None


def _value(node: ast.expr) -> Any:
    """The value of a syntax tree of literals."""
    match node:
        case ast.Constant(value=value) if value is not ...:
            return value
        case ast.Name(id="inf" | "nan" as name):
            return _NAMES[name]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Set(elts=items):
            return {_value(item) for item in items}
        case ast.Dict(keys=keys, values=values) if all(keys):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = _number(_value(operand))
            return -number if isinstance(sign, ast.USub) else +number
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as sign, right=ast.Constant(value=complex() as imaginary)):
            real = _number(_value(left))
            return real + imaginary if isinstance(sign, ast.Add) else real - imaginary
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(text))], keywords=[]):
            return float(text)
        case ast.Call(func=ast.Name(id="set" | "frozenset" as kind), args=arguments, keywords=[]) if len(arguments) <= 1:
            members = _value(arguments[0]) if arguments else ()
            return set(members) if kind == "set" else frozenset(members)
    raise ValueError(f"{type(node).__name__} is none of the values")


def _number(value: Any) -> Any:
    if type(value) not in (int, float, complex):
        raise ValueError(f"a sign before a {type(value).__name__}")
    return value
