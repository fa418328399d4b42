"""The describer of symbols: sentences put together from a symbol's name, docstring and arguments, as far as its code shows them.

A toy knows no synonyms: a sentence of its has the words of the code. With chance `error` a sentence says only the name.
"""

import ast
import json
import random
import re
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from textwrap import dedent
from typing import Final, NamedTuple

from symposia.tools.toy.roles import Skill

_SYMBOL: Final = re.compile(r'<symbol path="([^"\n]*)">\n(.*?)\n</symbol>', re.DOTALL)
_COUNT: Final = re.compile(r"\b[Ww]rite (\d{1,3}) different sentences")
_QUOTED: Final = re.compile(r'"""(.+?)"""|/\*\*(.+?)\*/', re.DOTALL)
_SEAM: Final = re.compile(r"(?<=[a-z\d])(?=[A-Z])|_+")
_MOST: Final = 160
"""Characters of a docstring's sentence that are said."""


class Seen(NamedTuple):
    """What a toy reads from a symbol's code."""

    words: str
    """Its name as words."""
    owner: str
    """What it stands in, as words; "" at the top."""
    sentences: list[str]
    """Of its docstring, without their stops."""
    arguments: list[str]


def play(messages: Sequence[Mapping[str, str]], skill: Skill, rng: random.Random) -> str | None:
    """The sentences as a JSON list; None when no symbol is to be described."""
    text = messages[-1]["content"] if messages else ""
    found, count = _SYMBOL.search(text), _COUNT.search(text)
    if found is None or count is None:
        return None
    return json.dumps(describe(read(found[1], found[2]), int(count[1]), skill, rng))


def read(path: str, code: str) -> Seen:
    """Name, surroundings, docstring and arguments; of code that is no whole Python, no arguments."""
    *_, owner, name = ["", *path.split(".")]
    try:
        node = next(iter(ast.parse(dedent(code)).body), None)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        node = None
    quoted = _QUOTED.search(code) if node is None else None  # of code that was cut off, or is in another language
    said, arguments = (cleandoc(quoted[1] or quoted[2]) if quoted else ""), []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        said = ast.get_docstring(node) or ""
        arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.arg not in ("self", "cls")]
    elif isinstance(node, ast.ClassDef):
        said = ast.get_docstring(node) or ""
        arguments = [child.name for child in node.body if isinstance(child, ast.FunctionDef) and not child.name.startswith("_")]
    paragraphs = " ".join(said.split("\n\n", 2)[0:2]).split()
    parts = [part.strip(" .") for part in re.split(r"(?<=[.!?])\s", " ".join(paragraphs))]
    return Seen(_words(name), _words(owner), [part[:_MOST] for part in parts if part], [_words(a) for a in arguments])


def _words(name: str) -> str:
    return " ".join(_SEAM.sub(" ", name).split()).lower() or name


def describe(seen: Seen, n: int, skill: Skill, rng: random.Random) -> list[str]:
    """`n` different sentences; those beyond the forms that a toy knows name one argument each, then a number."""
    says = seen.sentences or [seen.words]
    where = f" in {seen.owner}" if seen.owner else ""
    given = f" from {', '.join(seen.arguments[:4])}" if seen.arguments else ""
    forms = [
        f"I need code that does this: {_lower(says[0])}.",
        f"I want {seen.words}{where}: {_lower(says[0])}.",
        f"How do I get {seen.words}{given}?",
        f"I am looking for something{where} by which {_lower(says[-1])}, such as {seen.words}.",
        f"My program should {seen.words}{given}; {_lower(says[0])}.",
        *(f"I have {argument} and want {seen.words}{where}." for argument in seen.arguments),
    ]
    different = list(dict.fromkeys(" ".join(form.split()) for form in forms))
    different += [f"I want {seen.words}{where}, for the {number}th time." for number in range(len(different) + 1, n + 1)]
    return [f"I want {seen.words}, way {i}." if rng.random() < skill.error else form for i, form in enumerate(different[:n], 1)]


def _lower(sentence: str) -> str:
    """A sentence to go on with: its first letter small, unless the word is all capitals."""
    return sentence[:1].lower() + sentence[1:] if not sentence[:2].isupper() else sentence
