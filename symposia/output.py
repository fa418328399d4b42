"""What the command line writes: results and tables on stdout, everything else on stderr, and no control character of a model's text.

Texts of models, rows and stores are printed as `rich.text.Text` after `safe`: never read as markup, and no escape sequence of theirs
reaches the terminal.
"""

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from symposia.state.errors import SymposiaError, shorten

_PIPE_WIDTH = 200  # columns of a table that goes into a file or a pipe
OUT = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, markup=False, highlight=False, emoji=False, soft_wrap=True)


class _Deaf(Console):
    """Goes quiet when nobody reads any more: a closed pipe must not end the work."""

    def on_broken_pipe(self) -> None:
        """Say nothing from now on."""
        self.quiet = True


ERR = _Deaf(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
COLORS = {"ok": "green", "no_answer": "yellow", "paused": "cyan", "failed": "red", "stopped": "red"}
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def safe(text: object) -> str:
    r"""A text with what would act or not be seen spelled out, such as `\x1b`: C0, C1, ESC, direction marks, zero-width and tag characters.

    New lines, tabs and the joiners of Persian, Hindi and emoji stay.
    """
    return _CONTROL.sub(lambda found: _spelled(ord(found[0])), str(text).replace("\r\n", "\n"))


def _spelled(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def say(line: object) -> None:
    """A line on stderr."""
    ERR.print(Text(safe(line)))


def emit(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, in ASCII, so that no terminal and no encoding can spoil it; indented for a reader at a terminal."""
    text = json.dumps(finite(value), indent=2 if sys.stdout.isatty() else None, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def finite(value: Any) -> Any:
    """A JSON value; JSON knows no infinity, so such a number becomes its name."""
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def complain(error: Mapping[str, Any], as_json: bool) -> None:
    """An error, as `to_record` gives it, on stderr: what, where, and what to do; with `as_json` also as one object on stdout."""
    if as_json:
        emit({"error": error})
    ERR.print(Text.assemble(("error: ", "bold red"), safe(error["message"])))
    if error.get("place"):
        say(f"   at {error['place']}")
    if error.get("remedy"):
        say(f"   -> {error['remedy']}")


def unexpected(error: BaseException) -> dict[str, Any]:
    """The record of an error that is none of ours."""
    text = f"{type(error).__name__}: {shorten(str(error))}"
    return SymposiaError(text, remedy="this should not happen; the same command with --debug shows where").to_record()


def models_of(record: Mapping[str, Any], roles: Sequence[str]) -> dict[str, str]:
    """The models of a run by role; `*` stands for all roles without one of their own."""
    params = record["params"]
    own = {role: ", ".join(models) if isinstance(models, list) else models for role, models in params["roles"].items()}
    return own if all(own.get(role) for role in roles) else {"*": params["model"], **own}


def toy_note(models: Iterable[str]) -> str | None:
    """What has to be said wherever a toy model's results are shown."""
    toys = sorted({name for names in models for name in names.split(", ") if name.startswith("toy/")})
    return f"{', '.join(toys)}: a rule-based toy, no language model" if toys else None


def cost(usd: float | None) -> str:
    """USD, or that no price is known."""
    return "no known price" if usd is None else f"{usd:.6f} USD".replace(".000000", "")


def new_table(*columns: str) -> Table:
    """An empty table in the one style."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(column), overflow="fold", no_wrap=i == 0)
    return table
