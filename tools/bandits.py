"""Bandits: which of several arms to pull next, from a context and the rewards so far. LinUCB, Exp3, and three baselines that learn nothing.

Pure functions over a `Bandit`, which goes through JSON unchanged. LinUCB is the disjoint one of Li et al. (arXiv 1003.0146, algorithm 1),
as LASeR takes it (arXiv 2410.01735); of each arm it keeps the inverse of its design matrix A, by rank-one updates, so a pull costs d * d.
Exp3 (Auer et al., "The nonstochastic multiarmed bandit problem", 2002) looks at no context and follows arms that change.

Rewards are measured against all rewards so far, of every arm: 0 below their 20th percentile, 1 above their 80th, in between linear (the
authors' code). Ours: a reward that has nothing to be measured against counts 0.5, where the code lets the first one in as it is and then
divides by zero; and LinUCB begins with pulls in turn, without which a small alpha never leaves the first arm.

No library fits: MABWiser has LinUCB but no Exp3, and trains an object rather than a state that is plain JSON; contextualbandits takes
rewards of 0 and 1 alone and has to be compiled; Vowpal Wabbit learns by other rules, into a file of its own. What is left is numpy.
"""

import hashlib
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

T = TypeVar("T")

Kind = Literal["linucb", "exp3", "random", "round_robin", "fixed"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LOW, HIGH = 20.0, 80.0
"""Percentiles of the rewards between which a reward is linear; as in the authors' code."""
UNKNOWN = 0.5
"""A reward that nothing can be said of."""


@dataclass(frozen=True)
class Setup:
    """What decides a bandit's choices beside contexts and rewards.

    Args:
        kind: The rule.
        arms: How many arms there are.
        dimension: Numbers in a context.
        alpha: How far LinUCB trusts what it does not know; in standard deviations.
        gamma: The share of Exp3's pulls that are spread evenly, in (0, 1].
        warm_up: First pulls of each arm, in turn, whatever the rewards.
        fixed: The arm of the kind `fixed`, from 0.
    """

    kind: Kind = "linucb"
    arms: int = 2
    dimension: int = 1
    alpha: float = 0.1
    gamma: float = 0.1
    warm_up: int = 0
    fixed: int = 0


@dataclass(frozen=True)
class Bandit:
    """All that a bandit has learned."""

    setup: Setup
    history: tuple[float, ...] = ()
    """Raw rewards of all pulls, in order."""
    inverses: tuple["Array", ...] = ()
    """Of LinUCB, per arm: the inverse of A."""
    sums: tuple["Array", ...] = ()
    """Of LinUCB, per arm: b."""
    log_weights: tuple[float, ...] = ()
    """Of Exp3, per arm; the largest is 0."""

    @property
    def step(self) -> int:
        """Pulls so far."""
        return len(self.history)


class Choice(NamedTuple):
    """An arm, and how likely each arm was to be chosen."""

    arm: int
    probabilities: list[float]


@dataclass(frozen=True)
class Pull:
    """A reward that an arm brought, from which a bandit learns."""

    arm: int
    raw: float
    context: list[float] = field(default_factory=list)
    probability: float = 1.0
    """How likely the arm was to be chosen."""


def fresh(setup: Setup) -> Bandit:
    """A bandit that has seen nothing."""
    import numpy as np

    if setup.kind == "exp3":
        return Bandit(setup, log_weights=(0.0,) * setup.arms)
    if setup.kind == "linucb":
        size = setup.dimension
        return Bandit(setup, inverses=(np.eye(size),) * setup.arms, sums=(np.zeros(size),) * setup.arms)
    return Bandit(setup)


def scores(bandit: Bandit, context: Sequence[float]) -> list[float]:
    """LinUCB's upper confidence bounds, per arm: theta . c + alpha * sqrt(c' A^-1 c).

    Raises:
        ValueError: The context is of another dimension.
    """
    import numpy as np

    c = np.asarray(context, dtype=np.float64)
    if c.shape != (bandit.setup.dimension,):
        raise ValueError(f"the context has {c.size} numbers, the bandit takes {bandit.setup.dimension}")
    spread = [inverse @ c for inverse in bandit.inverses]
    known = zip(spread, bandit.sums, strict=True)
    return [float(wide @ b + bandit.setup.alpha * math.sqrt(max(float(wide @ c), 0.0))) for wide, b in known]


def probabilities(bandit: Bandit) -> list[float]:
    """Exp3's, per arm: they sum to 1, and none is below gamma / K."""
    weights = [math.exp(weight) for weight in bandit.log_weights]
    total, gamma, arms = math.fsum(weights), bandit.setup.gamma, bandit.setup.arms
    return [(1 - gamma) * weight / total + gamma / arms for weight in weights]


def choose(bandit: Bandit, context: Sequence[float], chance: float, turn: int | None = None) -> Choice:
    """The arm to pull next; of equal ones the first.

    Args:
        bandit: What it knows.
        context: What the choice is for; only LinUCB looks at it.
        chance: A random number in [0, 1); LinUCB, `round_robin` and `fixed` do not need it.
        turn: Choices made before this one, which are more than the pulls while rewards are awaited; by default the pulls.
    """
    setup, turn = bandit.setup, bandit.step if turn is None else turn
    if setup.kind == "round_robin" or turn < setup.warm_up * setup.arms:
        return _sure(turn % setup.arms, setup.arms)
    if setup.kind == "fixed":
        return _sure(setup.fixed, setup.arms)
    if setup.kind == "linucb":
        found = scores(bandit, context)
        return _sure(found.index(max(found)), setup.arms)
    spread = probabilities(bandit) if setup.kind == "exp3" else [1 / setup.arms] * setup.arms
    reached = [math.fsum(spread[: i + 1]) > chance for i in range(setup.arms)]
    return Choice(reached.index(True) if True in reached else setup.arms - 1, spread)


def _sure(arm: int, arms: int) -> Choice:
    return Choice(arm, [float(i == arm) for i in range(arms)])


def updated(bandit: Bandit, pull: Pull) -> tuple[Bandit, float]:
    """The bandit after a pull, and the reward in 0..1 that it learned from."""
    import numpy as np

    history = (*bandit.history, pull.raw)
    reward, arm = normalised(history, pull.raw), pull.arm
    after = replace(bandit, history=history)
    if bandit.setup.kind == "linucb":
        c = np.asarray(pull.context, dtype=np.float64)
        wide = bandit.inverses[arm] @ c
        inverse = bandit.inverses[arm] - np.outer(wide, wide) / (1 + wide @ c)
        after = replace(after, inverses=_put(bandit.inverses, arm, inverse), sums=_put(bandit.sums, arm, bandit.sums[arm] + reward * c))
    elif bandit.setup.kind == "exp3":
        gain = bandit.setup.gamma * reward / (pull.probability * bandit.setup.arms)
        weights = _put(bandit.log_weights, arm, bandit.log_weights[arm] + gain)
        after = replace(after, log_weights=tuple(weight - max(weights) for weight in weights))
    return after, reward


def _put(items: tuple[T, ...], place: int, item: T) -> tuple[T, ...]:
    return (*items[:place], item, *items[place + 1 :])


def normalised(history: Sequence[float], reward: float) -> float:
    """A reward in 0..1 by the percentiles of a history that holds it; 0.5 where these say nothing."""
    import numpy as np

    if len(history) < 2:
        return UNKNOWN
    low, high = (float(q) for q in np.percentile(np.asarray(history, dtype=np.float64), [LOW, HIGH]))
    if reward < low or reward > high:
        return float(reward > high)
    return (reward - low) / (high - low) if high > low else UNKNOWN


def replayed(setup: Setup, pulls: Iterable[Pull]) -> Bandit:
    """The bandit that these pulls make of a fresh one."""
    bandit = fresh(setup)
    for pull in pulls:
        bandit, _ = updated(bandit, pull)
    return bandit


def to_json(bandit: Bandit) -> dict[str, Any]:
    """Plain JSON, from which `from_json` makes the same bandit again, to the last bit."""
    return {
        "setup": asdict(bandit.setup),
        "history": list(bandit.history),
        "inverses": [inverse.tolist() for inverse in bandit.inverses],
        "sums": [b.tolist() for b in bandit.sums],
        "log_weights": list(bandit.log_weights),
    }


def from_json(value: Mapping[str, Any]) -> Bandit:
    """The bandit that `to_json` described."""
    import numpy as np

    return Bandit(
        Setup(**value["setup"]),
        tuple(value["history"]),
        tuple(np.asarray(inverse, dtype=np.float64) for inverse in value["inverses"]),
        tuple(np.asarray(b, dtype=np.float64) for b in value["sums"]),
        tuple(value["log_weights"]),
    )


def context_of(vectors: Sequence[Sequence[float]], dimension: int) -> list[float]:
    """The context of a batch, of unit length: a constant, and the mean of its prompts' vectors; the order of the prompts does not matter.

    The constant, as long as the mean (ours), lets an arm be good at everything: hidden states of a language model have most of their length
    in common, hashed words have not. Longer vectors are projected by random signs, always the same, which nearly keeps angles (Achlioptas,
    2003); shorter ones get zeros.

    Raises:
        ValueError: There are no vectors.
    """
    import numpy as np

    if not vectors:
        raise ValueError("a batch without prompts has no context")
    mean = np.asarray([math.fsum(column) / len(vectors) for column in zip(*vectors, strict=True)], dtype=np.float64)
    room = dimension - 1
    mean = mean @ _signs(mean.size, room) if mean.size > room else np.pad(mean, (0, room - mean.size))
    length = float(np.linalg.norm(mean))
    whole = np.concatenate([[1.0], mean / length if length else mean])
    found: list[float] = (whole / np.linalg.norm(whole)).tolist()
    return found


@cache
def _signs(size: int, dimension: int) -> "Array":
    """A matrix of -1 and 1 from the bits of a hash, which no release of a library changes."""
    import numpy as np

    data = hashlib.shake_256(f"context {size} {dimension}".encode()).digest(math.ceil(size * dimension / 8))
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))[: size * dimension]
    return bits.reshape(size, dimension).astype(np.float64) * 2 - 1


def context_hash(context: Sequence[float]) -> str:
    """Sixteen hexadecimal digits that name a context."""
    return hashlib.sha256(struct.pack(f"<{len(context)}d", *context)).hexdigest()[:16]
