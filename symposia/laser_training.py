"""LASeR's training loop: a bandit chooses which reward model ranks a batch's responses, and minus the training loss is its reward.

Nguyen et al. (arXiv 2410.01735); numbers from the authors' code. The policy is anything that embeds, responds and trains, such as the one
of `laser_policy.py`; of a batch only the chosen arm is called. What the bandit learns stays in the store.

A training that was cut off goes on from its last whole iteration. The batches of the one that was begun are done again under their old
keys, so the same arms are chosen and no reward counts twice.

Ours: prompts are shuffled anew in each iteration; a batch without a pair trains nothing and teaches the bandit nothing; the mean loss is
one over batches, where the code divides by the number of prompts.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple, Protocol

from symposia.state.store import Store
from symposia.tools.bandit_rows import Row, add_reward, choose_arm
from symposia.tools.bandits import Pull, context_hash, context_of
from symposia.tools.ranked_pairs import Rule, ranked_pairs


class Pair(NamedTuple):
    """Two responses to a prompt, by their texts."""

    prompt: str
    chosen: str
    rejected: str


class Policy(Protocol):
    """The model that is trained."""

    def embed(self, prompts: Sequence[str]) -> list[list[float]]:
        """A vector per prompt."""

    def respond(self, prompts: Sequence[str], n: int, seed: int) -> list[list[str]]:
        """`n` sampled responses to each prompt."""

    def reference(self) -> Any:
        """A handle on the policy as it is now, which does not change with it."""

    def train(self, pairs: Sequence[Pair], reference: Any) -> float:
        """Train on the pairs against a reference: the mean loss, measured before each update."""

    def keep(self, iteration: int) -> None:
        """Keep the policy as it is after an iteration, counted from 1."""


Mark = Callable[[str, int, Sequence[Sequence[str]], Sequence[str]], Awaitable[list[list[float | None]]]]
"""Marks of responses, a list for each prompt, given the key of the batch, the arm, the responses and the prompts."""


@dataclass(frozen=True)
class Schedule:
    """How long and on what to train.

    Args:
        iterations: Passes over the prompts at most; 10 in the authors' code.
        batch_size: Prompts for which one arm is chosen and after which the bandit learns; 16 there.
        responses: Responses to a prompt; 30 there.
        pairs: Pairs of a prompt at most; 10 there, of a batch.
        pair_rule: Which pairs; see `tools/ranked_pairs.py`.
        threshold: A mean loss of an iteration below this, in absolute value, ends the training; 0.1 there.
        seed: Of the shuffling, the responses and the bandit's chance.
    """

    iterations: int = 10
    batch_size: int = 16
    responses: int = 30
    pairs: int = 10
    pair_rule: Rule = "half"
    threshold: float = 0.1
    seed: int = 0


@dataclass
class Progress:
    """How far a training has come: the mean loss of each whole iteration (None where nothing was trained), its batches, why it stopped."""

    losses: list[float | None] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str | None = None
    """`iterations` or `converged`."""
    before: float | None = None
    """Accuracy before the first iteration, where it was measured."""


async def train_with_arms(
    policy: Policy,
    prompts: Sequence[str],
    mark: Mark,
    store: Store,
    row: Row,
    key: str,
    schedule: Schedule,
    progress: Progress | None = None,
    on_iteration: Callable[[Progress], None] | None = None,
) -> Progress:
    """Train until the loss is small or no iteration is left.

    Args:
        policy: The model, as it is after the iterations that `progress` holds.
        prompts: What it is asked.
        mark: Asks an arm.
        store: Where the bandit is kept.
        row: The bandit.
        key: What names this training, also when it goes on.
        schedule: How long and on what.
        progress: What an earlier call came to; it is carried on.
        on_iteration: Is given the progress after each iteration, which the policy has been told to keep.
    """
    done = progress or Progress()
    while done.stop_reason is None:
        iteration = len(done.losses) + 1
        reference = policy.reference()
        found = [
            await _step(policy, batch, mark, store, row, f"{key}.{iteration}.{index}", schedule, reference)
            for index, batch in enumerate(_batches(prompts, iteration, schedule))
        ]
        losses = [step["loss"] for step in found if step["loss"] is not None]
        done.losses.append(fmean(losses) if losses else None)
        done.steps += [{"iteration": iteration, **step} for step in found]
        done.stop_reason = _stop(done, schedule)
        policy.keep(iteration)
        if on_iteration:
            on_iteration(done)
    return done


def _batches(prompts: Sequence[str], iteration: int, schedule: Schedule) -> list[list[str]]:
    """The prompts in this iteration's order, cut into batches; the last may be shorter."""
    order = list(prompts)
    random.Random(f"{schedule.seed} {iteration}").shuffle(order)
    return [order[i : i + schedule.batch_size] for i in range(0, len(order), schedule.batch_size)]


def _stop(done: Progress, schedule: Schedule) -> str | None:
    last = done.losses[-1]
    if last is not None and abs(last) < schedule.threshold:
        return "converged"
    return "iterations" if len(done.losses) >= schedule.iterations else None


async def _step(
    policy: Policy, batch: Sequence[str], mark: Mark, store: Store, row: Row, key: str, schedule: Schedule, reference: Any
) -> dict[str, Any]:
    """One batch: choose an arm, respond, mark, pair, train, and let the bandit learn."""
    rng = random.Random(f"{schedule.seed} {key}")
    context = context_of(policy.embed(batch), row.setup.dimension) if row.setup.kind == "linucb" else []
    choice, _ = await choose_arm(store, row, key, context, rng.random(), note=True)
    step = {"arm": row.arms[choice.arm], "context": context_hash(context), "pairs": 0, "loss": None, "reward": None}
    responses = policy.respond(batch, schedule.responses, rng.randrange(2**31))
    marks = await mark(key, choice.arm, responses, batch)
    pairs = [pair for one in zip(batch, responses, marks, strict=True) for pair in pairs_of(*one, schedule)]
    if not pairs:
        return step
    loss = policy.train(pairs, reference)
    pull = Pull(choice.arm, -loss, context, choice.probabilities[choice.arm])
    _, reward = await add_reward(store, row, f"{key} reward", pull)
    return {**step, "pairs": len(pairs), "loss": loss, "reward": reward}


def pairs_of(prompt: str, texts: Sequence[str], marks: Sequence[float | None], schedule: Schedule) -> list[Pair]:
    """The pairs among the responses to one prompt."""
    found = ranked_pairs(texts, marks, schedule.pairs, schedule.pair_rule)
    return [Pair(prompt, texts[pair["chosen"]], texts[pair["rejected"]]) for pair in found]
