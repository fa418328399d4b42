"""What a bandit had seen when a run asked it: which arms had been pulled, and what each had brought.

A bandit is kept as its log, beside the runs, so what it chose by is not in any run's state.
"""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from symposia.state.store import Entry, Store
from symposia.tools.bandit_rows import PULL

_LATEST = 2_000  # entries of a log that are looked at
_RECENT = 20  # pulls by which one sees whether it has settled


async def evidence(store: Store, entries: Sequence[Entry]) -> dict[str, Any] | None:
    """The pulls before a run's first choice: `{name, version, arms: [{pulls, mean, way}], recent}`; None of a run that asked no bandit.

    `way` is the running mean of an arm's rewards over its pulls, `recent` how often each arm was among the newest ones.

    Args:
        store: Where the log is.
        entries: What the run did.
    """
    asked = next((entry for entry in entries if entry.kind == "bandit" and _version(entry) is not None), None)
    if asked is None:
        return None
    name, version, arms = str(asked.request.get("bandit")), _version(asked) or 0, asked.request.get("setup", {}).get("arms", 0)
    sql = "SELECT value FROM updates WHERE name = ? AND version > ? AND version < ? ORDER BY version"
    log = [json.loads(row[0]) for row in await store.read(sql, (name, version - _LATEST, version))]
    pulls = [(value["arm"], value["raw"]) for value in log if value["type"] == PULL]
    brought = [[raw for arm, raw in pulls if arm == one] for one in range(arms)]
    recent = [arm for arm, _ in pulls[-_RECENT:]]
    return {
        **{"name": name, "version": version, "seen": len(pulls), "partly": version > _LATEST},
        "arms": [{"pulls": len(rewards), "mean": fmean(rewards) if rewards else None, "way": _means(rewards)} for rewards in brought],
        "recent": [recent.count(one) for one in range(arms)],
    }


def _version(entry: Entry) -> int | None:
    """Where in the log a choice stands; None of anything but a choice."""
    value = entry.outcome.get("value")
    found = value.get("version") if isinstance(value, Mapping) else None
    return found if isinstance(found, int) else None


def _means(rewards: Sequence[float], most: int = 60) -> list[float]:
    """The mean after each reward, of many the newest."""
    found, total = [], 0.0
    for count, reward in enumerate(rewards, 1):
        total += reward
        found.append(round(total / count, 4))
    return found[-most:]
