"""A page of a terminal, and what its parts share: a line of pieces, an answer, what is said of toys."""

import os
from collections.abc import Mapping, Sequence
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from symposia.output import safe
from symposia.shapes import number
from symposia.state.errors import shorten

Part = str | tuple[str, str]
Record = Mapping[str, Any]
_PIPE_WIDTH = 120  # columns where there is no terminal


def page_of(file: IO[str]) -> Console:
    """A console that reads nothing as markup; where there is no terminal to ask for its width, the page is wide."""
    width = None if file.isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH
    return Console(file=file, width=width, markup=False, highlight=False, emoji=False)


def line(*parts: Part) -> Text:
    """Pieces of text with their styles, control characters spelled out."""
    return Text.assemble(*(Text(safe(p)) if isinstance(p, str) else Text(safe(p[0]), style=p[1]) for p in parts))


def answer_text(value: Any) -> str:
    """An answer on one line, cut; a number with its digits, since two that differ must not look alike."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.12g}"
    return number(value) if isinstance(value, int | float) else shorten(str(value), 300)


def toys_said(toys: Sequence[str]) -> str:
    """What is said of toy models wherever they played."""
    return f"toy models ({', '.join(toys)}): rule-based, no language models"
