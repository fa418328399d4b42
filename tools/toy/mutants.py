"""Programs that differ from one by a single small change, of the kind that people make by mistake: the edits that a toy knows.

Python's own syntax tree is changed in place, written out and put back. Which changes there are stands in the two functions by kind of
node, `_other_expressions` and `_other_bodies`; nothing is run here.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

Edit = Iterator[tuple[str, ast.expr]]
Bodies = Iterator[tuple[str, list[ast.stmt]]]


class Mutant(NamedTuple):
    """A changed program and what kind of change it was."""

    kind: str
    code: str


_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq, ast.GtE, ast.LtE),
    ast.NotEq: (ast.Eq, ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPERATORS: Final[dict[type[ast.operator], tuple[type[ast.operator], ...]]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Pow),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.FloorDiv: (ast.Div, ast.Mod),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
}
_CALLS: Final = {"max": "min", "min": "max", "any": "all", "all": "any", "sum": "len", "len": "sum"}
_METHODS: Final = {"upper": "lower", "lower": "upper", "startswith": "endswith", "endswith": "startswith", "isupper": "islower"}
_BEGINNINGS: Final = ("0", "1", "None", "''", "[]", "float('-inf')", "float('inf')")
_DEFAULTS: Final = ("0", "None", "''", "[]", "-1", "False", "True")
_INSIDE: Final = (ast.arguments, ast.Import, ast.ImportFrom)


def mutants(code: str) -> list[Mutant]:
    """Every program a single change away from this one, each once, in the order of the text; none when it is no Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = {ast.unparse(tree): ""}
    scope = _names(tree)
    for node in [n for n in ast.walk(tree) if not isinstance(n, _INSIDE)]:
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "ctx", "target", "targets") or isinstance(value, _INSIDE):
                continue
            if isinstance(value, ast.expr):
                for kind, other in _other_expressions(value, scope, field):
                    setattr(node, field, other)
                    found.setdefault(ast.unparse(tree), kind)
                setattr(node, field, value)
            elif isinstance(value, list):
                _in_list(tree, node, field, value, scope, found)
    return [Mutant(kind, text) for text, kind in found.items() if kind]


def _in_list(tree: ast.Module, node: ast.AST, field: str, value: list[ast.AST], scope: list[str], found: dict[str, str]) -> None:
    for i, item in enumerate(value):
        if isinstance(item, ast.expr):
            for kind, other in _other_expressions(item, scope, field):
                value[i] = other
                found.setdefault(ast.unparse(tree), kind)
            value[i] = item
    if value and isinstance(value[0], ast.stmt) and not isinstance(node, ast.Module):
        for kind, body in _other_bodies([s for s in value if isinstance(s, ast.stmt)], node, scope):
            setattr(node, field, body or [ast.Pass()])
            found.setdefault(ast.unparse(tree), kind)
        setattr(node, field, value)
    if field == "ifs" and value:
        setattr(node, field, [])
        found.setdefault(ast.unparse(tree), "condition")
        setattr(node, field, value)


def _names(tree: ast.Module) -> list[str]:
    """Arguments and variables, in the order of the text."""
    found: dict[str, None] = {}  # an ordered set
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                found[name] = None
    return list(found)


def _expr(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _plus(value: ast.expr, by: int) -> ast.expr:
    return ast.BinOp(value, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _cut(value: ast.expr, lower: int | None, upper: int | None, step: int | None = None) -> ast.expr:
    bounds = [None if bound is None else ast.Constant(bound) for bound in (lower, upper, step)]
    return ast.Subscript(value, ast.Slice(*bounds), ast.Load())


def _other_expressions(node: ast.expr, scope: list[str], field: str) -> Edit:
    """What an expression could have been instead."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield from (("comparison", ast.Compare(left, [other()], [right])) for other in _COMPARISONS.get(type(op), ()))
        case ast.Compare(left=left, ops=[first, second], comparators=comparators):
            for i, op in enumerate((first, second)):
                for other in _COMPARISONS.get(type(op), ()):
                    yield "comparison", ast.Compare(left, [other() if i == 0 else first, other() if i else second], comparators)
        case ast.BoolOp(op=op, values=values):
            yield "condition", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from (("condition", value) for value in values)
        case ast.BinOp(left=left, op=op, right=right):
            yield from (("operator", ast.BinOp(left, other(), right)) for other in _OPERATORS.get(type(op), ()))
            yield "operator", left
        case ast.UnaryOp(operand=operand):
            yield "operator", operand
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "condition", ast.IfExp(test, orelse, body)
        case ast.Constant():
            yield from _other_constants(node)
        case ast.Name(id=name) if name in scope:
            yield from (("name", ast.Name(other, ast.Load())) for other in scope if other != name)
        case ast.Subscript(value=value, slice=ast.Slice() as cut):
            yield from (("slice", ast.Subscript(value, other, ast.Load())) for other in _other_slices(cut))
            yield "slice", value
        case ast.Subscript(value=value, slice=index):
            yield from (("index", ast.Subscript(value, _plus(index, by), ast.Load())) for by in (-1, 1))
        case ast.Call():
            yield from _other_calls(node)
    if field == "iter":
        yield from _other_iterables(node)
    if field == "test":
        yield "condition", ast.UnaryOp(ast.Not(), node)


def _other_constants(node: ast.Constant) -> Edit:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield from (("constant", ast.Constant(other)) for other in dict.fromkeys((value + 1, value - 1, -value)) if other != value)
    elif isinstance(value, str) and value.islower():
        yield "constant", ast.Constant(value + value.upper() if len(value) > 1 else value.upper())
    elif value is None or value == "":
        yield from (("constant", _expr(other)) for other in ("0", "''") if other != repr(value))


def _other_slices(cut: ast.Slice) -> Iterator[ast.expr]:
    if cut.lower is not None:
        yield ast.Slice(None, cut.upper, cut.step)
        yield from (ast.Slice(_plus(cut.lower, by), cut.upper, cut.step) for by in (-1, 1))
    if cut.upper is not None:
        yield ast.Slice(cut.lower, None, cut.step)
        yield from (ast.Slice(cut.lower, _plus(cut.upper, by), cut.step) for by in (-1, 1))
    if (cut.lower is None) != (cut.upper is None):
        yield ast.Slice(cut.upper, cut.lower, cut.step)


def _other_calls(node: ast.Call) -> Edit:
    match node:
        case ast.Call(func=ast.Name(id="range"), args=args):
            for i, arg in enumerate(args):
                for by in (-1, 1):
                    yield "bound", _call("range", *args[:i], _plus(arg, by), *args[i + 1 :])
            if len(args) == 1:
                yield "bound", _call("range", ast.Constant(1), *args)
            else:
                yield "bound", _call("range", *args[1:])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            if name in _CALLS and not (keywords and name in ("max", "min") and _CALLS[name] == "len"):
                yield "call", ast.Call(ast.Name(_CALLS[name], ast.Load()), args, keywords)
            if keywords:
                yield "call", ast.Call(node.func, args, [])
            elif name == "sorted":
                yield "call", ast.Call(node.func, args, [ast.keyword("reverse", ast.Constant(True))])
            elif name in ("max", "min") and len(args) == 1:
                for default in ("None", "0", "''"):
                    yield "default", ast.Call(node.func, args, [ast.keyword("default", _expr(default))])
            if len(args) == 1 and name in ("sorted", "set", "list", "abs", "int", "round"):
                yield "call", args[0]
        case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args):
            if attr in _METHODS:
                yield "call", ast.Call(ast.Attribute(value, _METHODS[attr], ast.Load()), args, node.keywords)
            if attr in ("lower", "upper", "strip"):
                yield "call", value
            if attr == "split" and args:
                yield "call", ast.Call(node.func, [], [])


def _other_iterables(node: ast.expr) -> Edit:
    yield from (("slice", _cut(node, *cut)) for cut in ((1, None), (None, -1), (None, None, -1)))
    yield from (("copy" if name == "list" else "call", _call(name, node)) for name in ("list", "sorted", "set"))
    yield "call", ast.Call(ast.Attribute(node, "lower", ast.Load()), [], [])


def _other_bodies(body: list[ast.stmt], node: ast.AST, scope: list[str]) -> Bodies:
    """What a block of statements could have been instead."""
    for i, statement in enumerate(body):
        before, after = body[:i], body[i + 1 :]
        if not isinstance(statement, ast.FunctionDef):
            yield "statement", [*before, *after]
        if after and not isinstance(after[0], ast.Return):
            yield "order", [*before, after[0], statement, *after[1:]]
        yield from (("statement", [*before, *others, *after]) for others in _other_statements(statement, scope))
        if isinstance(statement, ast.For | ast.While | ast.If):
            inner = statement.body
            if isinstance(inner[-1], ast.Return) and len(inner) > 1:
                yield "indent", [*before, _with_body(statement, inner[:-1]), inner[-1], *after]
            if statement.orelse and isinstance(statement.orelse[-1], ast.Return):
                rest = _with_body(statement, inner, statement.orelse[:-1])
                yield "indent", [*before, rest, *([] if after else [statement.orelse[-1]]), *after]
            if isinstance(inner[-1], ast.If) and inner[-1].orelse and isinstance(inner[-1].orelse[-1], ast.Return):
                last = inner[-1]
                kept = _with_body(last, last.body, last.orelse[:-1])
                yield "indent", [*before, _with_body(statement, [*inner[:-1], kept]), last.orelse[-1], *after]
            if after and not isinstance(statement, ast.If):
                yield "indent", [*before, _with_body(statement, [*inner, after[0]]), *after[1:]]
                copies = [s for s in ast.walk(statement) if isinstance(s, ast.Assign | ast.AugAssign | ast.Expr)]
                yield from (("copied statement", [*before, statement, copied, *after]) for copied in copies)
    if isinstance(node, ast.FunctionDef):
        for test in [f"not {arg.arg}" for arg in node.args.args] + [f"len({node.args.args[0].arg}) < 2"] * bool(node.args.args):
            yield from (("guard", [ast.If(_expr(test), [ast.Return(_expr(value))], []), *body]) for value in _DEFAULTS)


def _with_body(node: ast.For | ast.While | ast.If, body: list[ast.stmt], orelse: list[ast.stmt] | None = None) -> ast.stmt:
    rest = node.orelse if orelse is None else orelse
    match node:
        case ast.For():
            return ast.For(node.target, node.iter, body, rest, lineno=0)
        case ast.While():
            return ast.While(node.test, body, rest)
    return ast.If(node.test, body, rest)


def _other_statements(node: ast.stmt, scope: list[str]) -> Iterator[Sequence[ast.stmt]]:
    """What a statement could have been instead."""
    match node:
        case ast.If(test=test, body=body, orelse=orelse):
            yield body
            if orelse:
                yield [ast.If(test, orelse, body)]
                yield [ast.If(test, body, [])]
                yield [ast.If(test, body, []), *orelse]
        case ast.AugAssign(target=target, op=op, value=value):
            yield from ([ast.AugAssign(target, other(), value)] for other in _OPERATORS.get(type(op), ()))
            yield [ast.Assign([target], value, lineno=0)]
        case ast.Assign(targets=[ast.Name()], value=ast.Constant() | ast.Call() | ast.Subscript() | ast.UnaryOp() as value):
            first = [f"{scope[0]}[0]"] if scope else []
            texts = [*_BEGINNINGS, *first] if not isinstance(value, ast.Call) or _is_number(value) else []
            yield from ([ast.Assign(node.targets, _expr(text), lineno=0)] for text in texts)
        case ast.Break():
            yield [ast.Continue()]
        case ast.Continue():
            yield [ast.Break()]
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name() as where, attr="append"), args=[item])):
            yield [ast.If(ast.Compare(item, [ast.NotIn()], [where]), [node], [])]
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield from ([ast.Return(other)] for other in (_call("sorted", value), _cut(value, None, None, -1)))


def _is_number(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in ("float", "int")
