"""The viewer's modules as one script: what the page loads, and what an exported file carries. Nobody needs a bundler.

Each module becomes a function that returns its exports, called once, those it imports first. So the modules keep to a part of JavaScript:
`import { a, b as c } from "./file.js"` at the start of a line, `export function|async function|const|class NAME`, and, in what is
vendored, one `export { a as b }` at the end.
"""

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from symposia.output import finite
from symposia.state.errors import SymposiaError

STATIC = Path(__file__).resolve().parent / "static"
ENTRY = "app.js"
LATER = "later.js"
"""What is loaded when it is first needed: views that the list of runs does without."""
LAYOUT = "vendor/dagre.esm.js"
"""The graph's layout: loaded when a graph is first drawn, and joined into an exported file, which can load nothing."""

_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"([^"]+)";?[^\S\n]*$', re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function\*?|const|class)\s+(\w+))", re.MULTILINE)
_LIST = re.compile(r"export\s*\{([^}]*)\};?(?:\s|//[^\n]*|/\*(?:(?!\*/).)*\*/)*\Z", re.DOTALL)
_COMMENT = re.compile(r"^[^\S\n]*(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/)[^\S\n]*\n", re.MULTILINE | re.DOTALL)
_TYPES = re.compile(r"/\*\* ?@(?:type|param)\b(?:(?!\*/).)*\*/ ?|^[^\S\n]+|(?<=[;{}]) +//[^\n\"'`]*$", re.MULTILINE)
"""Comments on lines of their own, types, what is said at the end of a line, and indents, which count for nothing in code and in templates:
the files have them for who reads, the page does without."""
_OTHER = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


_SHELF = f"globalThis.symposiaLater = modules[{json.dumps(LATER)}].views;"


class JoinError(SymposiaError):
    """A module uses a form of import or export that cannot be joined."""


@cache
def joined(*, with_layout: bool = False) -> str:
    """The whole page as one script, made once.

    Args:
        with_layout: Whether all is in it: the graph's layout too, as `globalThis.symposiaLayout`, and what else is loaded later.

    Raises:
        JoinError: A module cannot be joined.
    """
    parts = ['"use strict";', "(() => {", "const modules = globalThis.symposiaModules = Object.create(null);"]
    if with_layout:
        parts += [f"globalThis.symposiaLayout = {_wrapped(LAYOUT, _read(LAYOUT))}", *_modules(LATER, {}), _SHELF]
    parts += _modules(ENTRY, _order(LATER) if with_layout else {})
    return "\n".join([*parts, "})();\n"])


@cache
def joined_later() -> str:
    """What the page loads when it is first needed, without what it has already.

    Raises:
        JoinError: A module cannot be joined.
    """
    parts = ['"use strict";', "(() => {", "const modules = globalThis.symposiaModules;", *_modules(LATER, _order(ENTRY)), _SHELF]
    return "\n".join([*parts, "})();\n"])


def _order(entry: str) -> dict[str, str]:
    """A module and those it imports by their names, in the order in which they are called."""
    order: dict[str, str] = {}
    _visit(entry, order, ())
    return order


def _modules(entry: str, known: Mapping[str, str]) -> list[str]:
    """A module and those it imports, but for those that are there already."""
    return [f"modules[{_quoted(name)}] = {_wrapped(name, source)}" for name, source in _order(entry).items() if name not in known]


def page(data: Mapping[str, Any], *, title: str) -> str:
    """A page with its data as one HTML file, which works from a disk and can load nothing.

    Args:
        data: What the page would have asked for: answers by their paths without `/api`, and under `/export` what is said of the file.
        title: Of the document.

    Raises:
        JoinError: A module cannot be joined.
    """
    script, style = joined(with_layout=True), (STATIC / "app.css").read_text(encoding="utf-8")
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    packed = gzip.compress(json.dumps(finite(data), allow_nan=False, separators=(",", ":")).encode(), 9, mtime=0)
    head = [
        '<meta charset="utf-8">',
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}; require-trusted-types-for 'script'; trusted-types 'none'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        '<link rel="icon" href="data:,">',
        f"<style>{style}</style>",
    ]
    held = f'<script type="application/octet-stream" id="data">{base64.b64encode(packed).decode()}</script>'
    body = f'<div id="app"></div>\n{held}\n<script>{script}</script>'
    return "\n".join(["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>", f"<body>{body}</body>", "</html>", ""])


def _hash(text: str) -> str:
    """How a policy names what stands in the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _visit(name: str, order: dict[str, str], above: tuple[str, ...]) -> None:
    """Put a module after those it imports."""
    if name in order:
        return
    if name in above:
        raise JoinError(f"modules import each other: {' -> '.join((*above, name))}", remedy="move what both need into a third")
    source = _read(name)
    for found in _IMPORT.finditer(source):
        _visit(_target(name, found[2]), order, (*above, name))
    order[name] = source


def _wrapped(name: str, source: str) -> str:
    """A module as a call that gives its exports."""

    def imported(found: re.Match[str]) -> str:
        return f"const {{ {_renamed(found[1])} }} = modules[{_quoted(_target(name, found[2]))}];"

    exports = [found[1] for found in _EXPORT.finditer(source)]
    plain = _IMPORT.sub(imported, source)
    body = _EXPORT.sub("", plain if name.startswith("vendor/") else _TYPES.sub("", _COMMENT.sub("", plain)))
    if listed := _LIST.search(body):
        body = body[: listed.start()]
        pairs = [entry.split(" as ") for entry in listed[1].split(",") if entry.strip()]
        exports += [f"{pair[-1].strip()}: {pair[0].strip()}" for pair in pairs]
    if left := _OTHER.search(body):
        raise JoinError(f"{name}: {left[0]!r} cannot be joined", remedy="use a named import of one file, or `export function|const`")
    return f"(() => {{\n{body}\nreturn {{ {', '.join(exports)} }};\n}})();"


def _renamed(names: str) -> str:
    """`a, b as c` in the form of a pattern: `a, b: c`."""
    return ", ".join(" ".join(entry.split()).replace(" as ", ": ") for entry in names.split(",") if entry.strip())


def _target(name: str, relative: str) -> str:
    """The file that an import names, from the folder of the pages."""
    parts: list[str] = []
    for part in (PurePosixPath(name).parent / relative).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def _read(name: str) -> str:
    try:
        return (STATIC / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise JoinError(f"there is no module {name}", remedy="imports name files under symposia/viewer/static") from None


def _quoted(name: str) -> str:
    return f'"{name}"'
