"""Bandits in the store: kept under a name, shared by runs, and changed as effects.

What is kept is the log of choices and rewards, not what they add up to: a bandit is the sum of its pulls, so a reward costs a kilobyte
whatever the bandit's size, and any state it ever had can be had again. Each change has a key made of its run and its place. An effect that
a crash cut off between the store and the journal is done again under the same key, which changes nothing, so no reward is lost or doubled.

A choice that is to be learned from is noted before it is made, and made from what stood in the log before the note: choices made at once by
several rows of a batch, by worker processes or machines still take turns in the warm-up, and a choice made again is the same one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from symposia.state.errors import BadInput, shorten
from symposia.state.packing import digest_of
from symposia.state.store import Store
from symposia.tools.bandits import Bandit, Choice, Pull, Setup, choose, fresh, updated

SETUP, CHOICE, PULL = "setup", "choice", "pull"
_FREE = ("alpha", "fixed")
"""Parts of a set-up that do not enter what is learned."""


@dataclass(frozen=True)
class Row:
    """A bandit's name, and what it chooses among."""

    name: str
    setup: Setup
    arms: tuple[str, ...]
    """Names of the arms, one each."""
    embedder: str
    """The model whose vectors are the contexts."""

    def record(self) -> dict[str, Any]:
        """What has to be the same for all who share the bandit."""
        shared = {key: value for key, value in asdict(self.setup).items() if key not in _FREE}
        return {**shared, "names": list(self.arms), "embedder": self.embedder}


def row_of(name: str, setup: Setup, arms: Sequence[str], embedder: str) -> Row:
    """A bandit by its name; without one it gets a name from what it chooses among, so that bandits that differ never meet."""
    row = Row(name, setup, tuple(arms), embedder)
    return row if name else Row(f"laser-{digest_of([row.record()]).hex()[:12]}", setup, row.arms, embedder)


@dataclass(frozen=True)
class Known:
    """A bandit as a log tells it, up to a version."""

    bandit: Bandit
    version: int = 0
    choices: int = 0
    """Choices noted so far, whether or not their rewards have come."""
    reward: float | None = None
    """What was learned from the last reward, in 0..1."""

    def then(self, version: int, value: Mapping[str, Any]) -> "Known":
        """With the next change."""
        if value["type"] == PULL:
            bandit, reward = updated(self.bandit, pull_of(value))
            return Known(bandit, version, self.choices, reward)
        return replace(self, version=version, choices=self.choices + (value["type"] == CHOICE))


_newest: WeakKeyDictionary[Store, dict[Row, Known]] = WeakKeyDictionary()
"""What is known of each bandit, so that only what is new has to be read."""


def pull_of(value: Mapping[str, Any]) -> Pull:
    """A reward as it stands in a log."""
    return Pull(value["arm"], value["raw"], value["context"], value["probability"])


async def state_at(store: Store, row: Row, before: int | None = None) -> Known:
    """The bandit as it was before a version, or as it is now.

    Raises:
        BadInput: The name stands for a bandit that chooses among other arms, or otherwise.
    """
    kept = _newest.setdefault(store, {})
    found = kept.get(row)
    if found is None or (before is not None and found.version >= before):
        found = Known(fresh(row.setup))
    for version, value in await store.updates(row.name, found.version):
        if before is not None and version >= before:
            break
        if value["type"] == SETUP:
            _check(row, value)
        found = found.then(version, value)
    if row not in kept or found.version > kept[row].version:
        kept[row] = found
    return found


async def choose_arm(store: Store | None, row: Row, key: str, context: Sequence[float], chance: float, *, note: bool) -> tuple[Choice, int]:
    """Choose by what is known: the choice, and the version it is made at, which is 0 without a store.

    Args:
        store: Where the bandit is kept; without one it knows nothing.
        row: The bandit.
        key: What the choice is for; made again for the same, it is the same choice.
        context: The choice's context.
        chance: A random number in [0, 1).
        note: Whether the choice counts, in the warm-up and for whose turn is next.

    Raises:
        BadInput: The name stands for a bandit that chooses among other arms, or otherwise.
    """
    if store is None:
        return choose(fresh(row.setup), context, chance), 0
    if not note:
        known = await state_at(store, row)
        return choose(known.bandit, context, chance, known.choices), known.version
    _, kept = await store.add_update(row.name, SETUP, {"type": SETUP, **row.record()})
    _check(row, kept)
    version, noted = await store.add_update(row.name, key, {"type": CHOICE, "chance": chance})
    known = await state_at(store, row, version)
    return choose(known.bandit, context, noted["chance"], known.choices), version


async def add_reward(store: Store | None, row: Row, key: str, pull: Pull, **notes: Any) -> tuple[int, float | None]:
    """Learn from a reward, once for each key: its version, and the reward in 0..1 that was learned; without a store nothing is."""
    if store is None:
        return 0, None
    version, _ = await store.add_update(row.name, key, {"type": PULL, **asdict(pull), **notes})
    known = await state_at(store, row, version + 1)
    return version, known.reward


async def bandit_at(store: Store, row: Row) -> Bandit:
    """The bandit as it is now."""
    return (await state_at(store, row)).bandit


def _check(row: Row, value: Mapping[str, Any]) -> None:
    """Make sure that a log is this bandit's."""
    differ = [key for key, own in row.record().items() if value.get(key) != own]
    if differ:
        kept, own = (shorten(str(side.get(differ[0])), 80) for side in (value, row.record()))
        raise BadInput(f"the bandit {row.name!r} has {differ[0]} {kept}, not {own}", remedy="name another one with -p bandit=NAME, or none")
