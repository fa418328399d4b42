"""The functions, methods and classes of a repository: where they stand, what they look like, and a fingerprint of what was read.

MutaGReP (arXiv 2502.15872, section 3 of the paper; the authors' code mines with `ast` as well). Other than there, `async` functions and
everything nested is found, under its full path; a file that cannot be read is left out with the reason. Of definitions with one full path
(overloads, the parts of a property) the first with a docstring is kept.

`leave_out` names words that keep a file out where one stands, by itself or with an s, in its path: `test` keeps out `tests/`,
`test_graph.py` and `graph_test.go`, but not `primetest.py`, which the authors' search for the letters would lose.
"""

import ast
import os
import re
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path, PurePosixPath
from textwrap import dedent
from typing import Any, Final, NamedTuple

from typing_extensions import TypedDict, Unpack

from symposia.state.errors import BadInput, UnknownName
from symposia.state.packing import digest, digest_of, sound

LANGUAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "python": (".py",),
    "javascript": (".js", ".jsx", ".mjs", ".cjs"),
    "typescript": (".ts", ".tsx", ".mts", ".cts"),
    "java": (".java",),
    "go": (".go",),
}
"""File endings by language; all but Python need the extra `code`."""

_TESTS: Final = ("test",)
_PYTHON: Final = ("python",)
_NOT_OURS: Final = frozenset({"node_modules", "__pycache__", "site-packages"})
_LARGEST: Final = 2_000_000
"""Bytes of a file that is still read; beyond stand tables that somebody generated."""


class Symbol(TypedDict):
    """A function, method or class of a repository."""

    name: str
    full_path: str
    """Module path from the root, then the chain of classes and functions it stands in, then its name, joined by points."""
    symbol_type: str
    """`function`, `method` or `class`."""
    code: str
    """Its whole source, without the indentation of its place."""
    docstring: str
    signature: str
    """Head and first sentence of the docstring; of a class, also the heads of its methods, a line each."""
    filename: str
    filepath: str
    """From the root, with slashes."""
    lineno: int


class Mined(NamedTuple):
    """What a repository holds, in the order of files and lines; and the files that could not be read, with the reason."""

    symbols: list[Symbol]
    skipped: list[dict[str, str]]
    fingerprint: str


class Found(NamedTuple):
    """A definition in a file: its symbol, but for what the file says."""

    chain: tuple[str, ...]
    symbol_type: str
    code: str
    docstring: str
    signature: str
    lineno: int


class Unreadable(Exception):
    """A file that holds no program; the message is the reason."""


class Rules(TypedDict, total=False):
    """Which files of a repository are read."""

    core_files: Sequence[str] | None
    """Those that count, from the root, as names or patterns (`package/*.py`); None for all."""
    leave_out: Sequence[str]
    """Words that keep a file out where one stands in its path; `test` when nothing is said."""
    languages: Sequence[str]
    """Keys of `LANGUAGES`; Python when nothing is said."""


def mine(root: str | Path, **rules: Unpack[Rules]) -> Mined:
    """The symbols of a repository in a folder; when that is itself a package, its name begins every full path.

    Raises:
        BadInput: There is no such folder, language or core file, or the extra `code` is missing.
    """
    package = Path(root).resolve().name if os.path.isfile(Path(root, "__init__.py")) else ""
    read, closed = _read(root, rules)
    mined = mine_texts(read, package, **rules)
    return mined._replace(skipped=[*closed, *mined.skipped])


def mine_texts(files: Mapping[str, str | bytes], package: str = "", **rules: Unpack[Rules]) -> Mined:
    """The symbols of files that are at hand, by their path from the root; `package` begins every full path.

    Raises:
        BadInput: There is no such language or core file, or the extra `code` is missing.
    """
    read = {path: raw.encode() if isinstance(raw := files[path], str) else raw for path in chosen(files, **rules)}
    symbols: dict[str, Symbol] = {}
    skipped = []
    for path, raw in read.items():
        try:
            for symbol in _of_file(path, raw, (package,) if package else ()):
                known = symbols.get(symbol["full_path"])
                if known is None or (symbol["docstring"] and not known["docstring"]):
                    symbols[symbol["full_path"]] = symbol
        except Unreadable as reason:
            skipped.append({"filepath": path, "reason": str(reason)})
    return Mined(list(symbols.values()), skipped, _fingerprint(read, rules))


def fingerprint(root: str | Path, **rules: Unpack[Rules]) -> str:
    """A digest of the files that `mine` would read and of the rules that chose them: 32 hexadecimal digits.

    Raises:
        BadInput: As `mine`.
    """
    return _fingerprint(_read(root, rules)[0], rules)


def _fingerprint(read: Mapping[str, bytes], rules: Rules) -> str:
    core = rules.get("core_files")
    said = [None if core is None else sorted(core), sorted(rules.get("leave_out", _TESTS)), sorted(rules.get("languages", _PYTHON))]
    return digest_of([said, [[path, digest(raw)] for path, raw in read.items()]]).hex()


def _read(root: str | Path, rules: Rules) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """The files of a folder that are read, by path; and the files and folders that may not be, with the reason."""
    if not Path(root).is_dir():
        raise BadInput(f"{root} is no folder", remedy="name the folder of a repository")
    read: dict[str, bytes] = {}
    closed: list[dict[str, str]] = []

    def refused(path: str | Path, error: OSError) -> None:
        closed.append({"filepath": Path(path).as_posix(), "reason": f"cannot be read: {error.strerror}"})

    for path in chosen(_walk(Path(root), lambda error: refused(os.path.relpath(error.filename, root), error)), **rules):
        try:
            read[path] = Path(root, path).read_bytes()
        except OSError as error:
            refused(path, error)
    return read, closed


def chosen(paths: Iterable[str], **rules: Unpack[Rules]) -> list[str]:
    """The paths, from the root of a repository, of the files that are read, sorted.

    Raises:
        BadInput: There is no such language, or no such core file.
    """
    languages, core = rules.get("languages", _PYTHON), rules.get("core_files")
    for language in languages:
        if language not in LANGUAGES:
            raise UnknownName.of("language", language, LANGUAGES, remedy=f"there are {', '.join(LANGUAGES)}")
    endings = tuple(ending for language in languages for ending in LANGUAGES[language])
    found = sorted(path for path in paths if path.endswith(endings) and not _left_out(path, rules.get("leave_out", _TESTS)))
    for pattern in core or ():
        if not any(fnmatchcase(path, pattern) for path in found):
            raise BadInput(f"no source file is {pattern!r}", remedy="name core files from the root, such as package/module.py")
    return found if core is None else [path for path in found if any(fnmatchcase(path, pattern) for pattern in core)]


def _walk(root: Path, refused: Callable[[OSError], None]) -> Iterator[str]:
    """Files that belong to a repository, with slashes: not those of hidden folders, of links or of installed packages."""
    for folder, folders, names in os.walk(root, onerror=refused):
        here = Path(folder)
        folders[:] = [f for f in folders if not f.startswith(".") and f not in _NOT_OURS and not os.path.exists(here / f / "pyvenv.cfg")]
        for name in names:
            path = (here / name).relative_to(root).as_posix()
            if path == sound(path) and _is_file(here / name):
                yield path


def _is_file(path: Path) -> bool:
    """Whether it is a file and no link; also where that cannot be told, so that reading it says why."""
    try:
        return path.is_file() and not path.is_symlink()
    except OSError:
        return True


def _left_out(path: str, words: Sequence[str]) -> bool:
    said = set(re.findall(r"[A-Za-z]+", path))
    return any(word in said or f"{word}s" in said for word in words)


def _of_file(path: str, raw: bytes, prefix: tuple[str, ...]) -> list[Symbol]:
    """The symbols of one file."""
    if len(raw) > _LARGEST:
        raise Unreadable(f"it has {len(raw):,} bytes, {_LARGEST:,} are read")
    pure = PurePosixPath(path)
    if pure.suffix == ".py":
        found, own = python_symbols(raw), pure.stem
        module = (*prefix, *pure.parent.parts, *([] if own == "__init__" else [own]))
    else:
        from symposia.tools.symbols_treesitter import other_symbols

        language = next(name for name, endings in LANGUAGES.items() if pure.suffix in endings)
        found = other_symbols(raw, language, pure.suffix)
        module = (*prefix, *pure.parent.parts, pure.stem)
    return [_symbol(one, module, pure) for one in found]


def _symbol(found: Found, module: tuple[str, ...], path: PurePosixPath) -> Symbol:
    return Symbol(
        name=found.chain[-1],
        full_path=".".join((*module, *found.chain)),
        symbol_type=found.symbol_type,
        code=sound(found.code),
        docstring=sound(found.docstring),
        signature=sound(found.signature),
        filename=path.name,
        filepath=str(path),
        lineno=found.lineno,
    )


def python_symbols(raw: bytes) -> list[Found]:
    """The definitions of a Python file, outer ones first.

    Raises:
        Unreadable: It does not parse.
    """
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(raw).readline)
        text = raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # another's escapes are not ours to mend
            tree = ast.parse(text)
        return list(_definitions(tree, (), False, text.split("\n")))
    except SyntaxError as error:
        raise Unreadable(f"line {error.lineno or 1}: {error.msg}") from None
    except (ValueError, LookupError, RecursionError, MemoryError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _definitions(node: ast.AST, chain: tuple[str, ...], in_class: bool, lines: list[str]) -> Iterator[Found]:
    """The definitions inside a node, also those behind `if` and `try`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | _Function):
            own, is_class = (*chain, child.name), isinstance(child, ast.ClassDef)
            first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            yield Found(
                own,
                "class" if is_class else "method" if in_class else "function",
                dedent("\n".join(lines[first - 1 : child.end_lineno])),
                ast.get_docstring(child) or "",
                signature(child),
                child.lineno,
            )
            yield from _definitions(child, own, is_class, lines)
        elif not isinstance(child, ast.expr):
            yield from _definitions(child, chain, in_class, lines)


def signature(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """A definition without its body: arguments, return type and the first sentence of the docstring; of a class, bases and method heads."""
    said = first_sentence(ast.get_docstring(node) or "")
    if not isinstance(node, ast.ClassDef):
        return _with_sentence(_head(node), said)
    bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
    heads = [f"{_head(child)} ..." for child in node.body if isinstance(child, _Function)]
    lines = [_with_sentence(f"class {node.name}{f'({bases})' if bases else ''}:", said), *heads]
    return "\n    ".join(lines)


def _head(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{kind} {node.name}({ast.unparse(node.args)}){returned}:"


def _with_sentence(head: str, sentence: str) -> str:
    return f"{head} {sentence}" if sentence else head


def first_sentence(text: str) -> str:
    """The first sentence of a text's first paragraph, on one line; "" of an empty text."""
    paragraph = " ".join(text.strip().split("\n\n", 1)[0].split())
    return re.split(r"(?<=[.!?])\s(?![a-z])", paragraph, maxsplit=1)[0]  # not after "e.g."


def repository_tree(symbols: Iterable[Mapping[str, Any]]) -> list[str]:
    """The files that the symbols stand in, sorted."""
    return sorted({symbol["filepath"] for symbol in symbols})
