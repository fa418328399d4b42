"""What a bandit's choices came to: shares of the arms, what they brought, and the regret.

The regret after t rewards is what the arm of the highest mean reward would have brought more, had it brought its mean each time: an
estimate from the rewards that were seen, since what another arm would have brought is not known.
"""

from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean
from typing import Any, NamedTuple

PHASES = 5
"""Parts of equal length in which the shares over time are given."""


class Chose(NamedTuple):
    """A choice: the arm, and the raw reward that it brought, if any."""

    arm: str
    reward: float | None


def regret(chosen: Sequence[Chose]) -> list[float]:
    """The cumulative regret after each reward, in units of the reward."""
    rewards = [one for one in chosen if one.reward is not None]
    best = max((mean for _, mean in _means(rewards)), default=0.0)
    return list(accumulate(best - one.reward for one in rewards if one.reward is not None))


def arm_report(names: Sequence[str], chosen: Sequence[Chose]) -> dict[str, Any]:
    """Per arm how often it was chosen, its mean reward (None without any) and its share in each fifth of the choices; and the regret."""
    means, found = dict(_means(chosen)), regret(chosen)
    phases = [part for i in range(PHASES) if (part := chosen[len(chosen) * i // PHASES : len(chosen) * (i + 1) // PHASES])]
    arms = {
        name: {
            "chosen": sum(one.arm == name for one in chosen),
            "rewards": sum(one.arm == name and one.reward is not None for one in chosen),
            "mean_reward": means.get(name),
            "share_over_time": [sum(one.arm == name for one in part) / len(part) for part in phases],
        }
        for name in names
    }
    return {"choices": len(chosen), "rewards": len(found), "arms": arms, "regret": found[-1] if found else None}


def _means(chosen: Sequence[Chose]) -> list[tuple[str, float]]:
    """The mean reward of each arm that has any."""
    rewards: dict[str, list[float]] = {}
    for one in chosen:
        if one.reward is not None:
            rewards.setdefault(one.arm, []).append(one.reward)
    return [(name, fmean(values)) for name, values in rewards.items()]
