"""Definitions of files in other languages than Python, and the names their code calls, read by tree-sitter (the extra `code`).

Each grammar comes as a package of its own, which holds the compiled parser: nothing is fetched when it is used.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from textwrap import dedent
from typing import TYPE_CHECKING, Final

from symposia.state.errors import BadInput
from symposia.tools.symbols import Found, Unreadable, first_sentence

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_GRAMMARS: Final = {
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "java": ("tree_sitter_java", "language"),
    "go": ("tree_sitter_go", "language"),
}
_CLASSES: Final = frozenset(
    {"class_declaration", "abstract_class_declaration", "interface_declaration", "enum_declaration", "record_declaration", "type_spec"}
)
_FUNCTIONS: Final = frozenset(
    {
        "function_declaration",
        "generator_function_declaration",
        "method_definition",
        "method_declaration",
        "constructor_declaration",
        "method_signature",
    }
)
_ARROWS: Final = frozenset({"arrow_function", "function_expression", "generator_function"})
_WRAPPERS: Final = frozenset({"export_statement", "lexical_declaration", "variable_declaration", "type_declaration"})
"""Statements around a definition: the comment that explains it stands before them."""
_CALLS: Final = {
    "call_expression": "function",
    "new_expression": "constructor",
    "method_invocation": "name",
    "object_creation_expression": "type",
}


@cache
def _parser(grammar: str) -> "Parser":
    """The parser of a grammar.

    Raises:
        BadInput: The extra `code` is not installed.
    """
    package, function = _GRAMMARS[grammar]
    try:
        from tree_sitter import Language, Parser

        return Parser(Language(getattr(import_module(package), function)()))
    except ImportError as error:
        raise BadInput(f"{error.name} is not installed, which reads {grammar}", remedy="pip install 'symposia[code]'") from error


def other_symbols(raw: bytes, language: str, ending: str = "") -> list[Found]:
    """The definitions of a file, outer ones first.

    Raises:
        Unreadable: It does not parse.
        BadInput: The extra `code` is not installed.
    """
    root = _parser("tsx" if ending == ".tsx" else language).parse(raw).root_node
    if root.has_error:
        raise Unreadable(f"line {_first_error(root)}: syntax error")
    return list(_definitions(root, (), False))


def other_calls(code: str, language: str) -> set[str]:
    """The names that code calls, plainly, as a method or with `new`; what does not parse is read as far as it goes."""
    return {name for node in _all(_parser(language).parse(code.encode()).root_node) if (name := _called(node))}


def _called(node: "Node") -> str:
    """The last name of what a node calls, "" when it calls nothing that has a name."""
    target = node.child_by_field_name(_CALLS[node.type]) if node.type in _CALLS else None
    while target is not None:
        inner = next((found for f in ("property", "field", "name") if (found := target.child_by_field_name(f))), None)
        if inner is None:
            return _text(target) if target.type.endswith("identifier") else ""
        target = inner
    return ""


def _all(root: "Node") -> Iterator["Node"]:
    """A node and everything below it, without recursion: generated code may be nested deeply."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def _first_error(root: "Node") -> int:
    return min((node.start_point[0] + 1 for node in _all(root) if node.is_error or node.is_missing), default=1)


def _definitions(root: "Node", chain: tuple[str, ...], in_class: bool) -> Iterator[Found]:
    waiting: list[tuple[Node, tuple[str, ...], bool]] = [(root, chain, in_class)]
    while waiting:
        node, chain, in_class = waiting.pop()
        kind = _kind(node, in_class)
        if kind:
            chain = (*chain, *_name(node))
            yield Found(chain, kind, _code(node), _comment(node), _signature(node, kind), node.start_point[0] + 1)
        inside = kind == "class" if kind else in_class and node.type != "statement_block"
        waiting += [(child, chain, inside) for child in reversed(node.named_children)]


def _kind(node: "Node", in_class: bool) -> str:
    """`function`, `method` or `class`; "" of a node that defines none of them."""
    if node.type in _CLASSES:
        return "class" if node.type != "type_spec" or _type_of(node) in ("struct_type", "interface_type") else ""
    value = node.child_by_field_name("value")
    arrow = (
        node.type in ("variable_declarator", "public_field_definition", "field_definition") and value is not None and value.type in _ARROWS
    )
    if node.type not in _FUNCTIONS and not arrow:
        return ""
    return "method" if in_class or node.child_by_field_name("receiver") else "function"


def _type_of(node: "Node") -> str:
    declared = node.child_by_field_name("type")
    return declared.type if declared else ""


def _name(node: "Node") -> tuple[str, ...]:
    """The name of a definition; of a method of Go, after its type's."""
    found = node.child_by_field_name("name") or node.child_by_field_name("property")
    name = _text(found) if found else "default"
    receiver = node.child_by_field_name("receiver")
    owner = next((_text(inner) for inner in _all(receiver) if inner.type == "type_identifier"), "") if receiver else ""
    return (owner, name) if owner else (name,)


def _statement(node: "Node") -> "Node":
    """The whole statement of a definition, with `export` or `const` around it."""
    while node.parent is not None and node.parent.type in _WRAPPERS and len(node.parent.named_children) == 1:
        node = node.parent
    return node


def _code(node: "Node") -> str:
    whole = _statement(node)
    return dedent(" " * whole.start_point[1] + _text(whole))


def _comment(node: "Node") -> str:
    """The comments right before a definition, without their marks."""
    said: list[str] = []
    below, before = _statement(node), _statement(node).prev_sibling
    while before is not None and "comment" in before.type and below.start_point[0] - before.end_point[0] <= 1:
        said.insert(0, _text(before))
        below, before = before, before.prev_sibling
    lines = [
        line.strip().removeprefix("/**").removeprefix("/*").removesuffix("*/").lstrip("/*").strip() for line in "\n".join(said).split("\n")
    ]
    return "\n".join(lines).strip()


def _signature(node: "Node", kind: str) -> str:
    head = ": ".join(filter(None, [_head(node), first_sentence(_comment(node))]))
    if kind != "class":
        return head
    body = node.child_by_field_name("body")
    stubs = [_head(child) for child in (body.named_children if body else []) if child.type in _FUNCTIONS]
    return "\n    ".join([head, *(f"{stub} ..." for stub in stubs)])


def _head(node: "Node") -> str:
    """What stands before the body, on one line."""
    holder = node.child_by_field_name("value") or node
    body = holder.child_by_field_name("body")
    raw = node.text or b""
    cut = raw[: body.start_byte - node.start_byte] if body else raw.split(b"{", 1)[0]
    return " ".join(cut.decode("utf-8", "replace").split()).removesuffix("=>").strip()


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")
