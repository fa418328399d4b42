"""Two settings of a plan search against each other: pairs of their programs, the votes on a pair, and who wins how often.

MutaGReP (arXiv 2502.15872, the authors' code): a judge sees both programs beside a known one and says which is nearer to it, three times in
each order; votes in the second order are turned round, and a wins only with more votes than b, so that a tie is b's. That code divides wins
by three although there are six votes, so that its rate can pass 1; here the rate is wins over pairs.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from typing_extensions import TypedDict

from symposia.state.errors import BadInput, shorten

Side = Literal["a", "b"]
_KEYS: Final = ("question", "program", "chosen")


class Vote(TypedDict):
    """What a judge said: the program it was shown first, the one it chose, None where that could not be read, and its reasons."""

    first: Side
    chosen: Side | None
    reasoning: str


def chosen(first: Side, number: int) -> Side:
    """The program that stood as number 1 or 2 where `first` stood first."""
    return first if number == 1 else "b" if first == "a" else "a"


def winner(votes: Sequence[Vote]) -> Side | None:
    """The side of most votes, b on a tie; None where none could be read."""
    a, b = counted(votes)
    return None if not a and not b else "a" if a > b else "b"


def counted(votes: Sequence[Vote]) -> tuple[int, int]:
    """The votes for a and for b."""
    sides = [vote["chosen"] for vote in votes]
    return sides.count("a"), sides.count("b")


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """Who won how often over finished runs, each given as its last state; shares from 0 to 1, None without anything to share.

    `win_rate` is the share of pairs that a won, of those on which a vote could be read, `vote_share` that of the votes for a, `ties` the
    pairs that b has for want of a majority, and `first_share` the share of votes for the program shown first: about 0.5 where the order of
    the programs does not matter.
    """
    ballots = [state["votes"] for state, _ in finished]
    won, counts = [winner(votes) for votes in ballots], [counted(votes) for votes in ballots]
    read = [vote for votes in ballots for vote in votes if vote["chosen"] is not None]
    return {
        "pairs": len(won),
        "unreadable": won.count(None),
        "won_by_a": won.count("a"),
        "won_by_b": won.count("b"),
        "ties": sum(a == b > 0 for a, b in counts),
        "win_rate": _share(won.count("a"), len(won) - won.count(None)),
        "votes": len(read),
        "vote_share": _share(sum(vote["chosen"] == "a" for vote in read), len(read)),
        "first_share": _share(sum(vote["chosen"] == vote["first"] for vote in read), len(read)),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def contests(a: str | Path, b: str | Path) -> list[dict[str, str]]:
    """Rows for `mutagrep_judge` from two files `plans.jsonl` of `symposia export mutagrep`: same requests, other settings.

    A run without a program loses nothing but its text: the judge sees an empty one.

    Raises:
        BadInput: A line is none of an export, the files hold other requests, or a row has no known program.
    """
    return paired(_exported(a), _exported(b), a, b)


def paired(mine: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], a: str | Path, b: str | Path) -> list[dict[str, str]]:
    """`contests` of rows that are at hand; `a` and `b` are what they are called in errors.

    Raises:
        BadInput: The rows are over other requests, or one has no known program.
    """
    if len(mine) != len(theirs):
        raise BadInput(
            f"{a} has {len(mine)} rows, {b} has {len(theirs)}", remedy="take two batches over the same rows, both run to their end"
        )
    rows = []
    for number, (one, other) in enumerate(zip(mine, theirs, strict=True), 1):
        if one["question"] != other["question"]:
            asked = shorten(one["question"], 40), shorten(other["question"], 40)
            raise BadInput(f"row {number} is {asked[0]!r} in {a} and {asked[1]!r} in {b}", remedy="take two batches over the same rows")
        if not one["program"]:
            raise BadInput(f"row {number} of {a} has no known program", remedy="run the batch from rows with one: --map answer=FIELD")
        rows.append({"request": one["question"], "program": one["program"], "a": one["chosen"] or "", "b": other["chosen"] or ""})
    return rows


def _exported(file: str | Path) -> list[dict[str, Any]]:
    """The rows of an export; only a line feed ends one, since a text may hold the line separators of Unicode."""
    rows, remedy = [], "give the file plans.jsonl that symposia export mutagrep wrote"
    for number, line in enumerate(Path(file).read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"no JSON: {shorten(str(error))}", remedy=remedy, place=place) from error
        if not isinstance(row, dict):
            raise BadInput(f"no JSON object but {shorten(repr(row), 60)}", remedy=remedy, place=place)
        if lacking := [key for key in _KEYS if key not in row]:
            raise BadInput(f"the row has no {' and no '.join(lacking)}", remedy=remedy, place=place)
        rows.append(row)
    return rows
