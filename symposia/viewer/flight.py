"""What was in flight during a step: how long each of its branches took, and which of them came to something else than a reply."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from symposia.viewer.calls import base_of

_MOST = 48  # branches that are told one by one


def flight_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The branches of a step from the lines of its calls: `{n, ms, odd}`; None where nothing was called.

    `ms` is what each branch took in milliseconds, its calls one after the other and those taken from a parent as nothing, in the order of
    their places; of more than 48 branches it is a sample from the longest to the shortest. `odd` are the positions in `ms` of branches with
    a failed, refused, truncated or unreadable reply, for a sample only their number.
    """
    branches: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        branches[base_of(line["place"])].append(line)
    if not branches:
        return None
    took = [_short(sum(0.0 if line["from"] == "replayed" else line["ms"] for line in branch)) for branch in branches.values()]
    odd = [i for i, branch in enumerate(branches.values()) if any(line["status"] != "ok" for line in branch)]
    if len(took) <= _MOST:
        return {"n": len(took), "ms": took, "odd": odd}
    ordered = sorted(took, reverse=True)
    return {"n": len(took), "ms": [ordered[i * (len(ordered) - 1) // (_MOST - 1)] for i in range(_MOST)], "odd": len(odd)}


def _short(ms: float) -> float:
    """A time by its first three digits, since thousands of them are sent."""
    found = float(f"{ms:.3g}")
    return int(found) if found.is_integer() else found
