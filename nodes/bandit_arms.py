"""The bandit of LASeR as nodes: a question's context, the arm it is given to, what that brought, and learning from it."""

import random
from collections.abc import Mapping
from typing import Any, NotRequired

from symposia.nodes.select import Selected, answer_of
from symposia.state.errors import BadInput
from symposia.state.journal import current, effect, seed_at
from symposia.state.place import here
from symposia.tools import embed as embedding
from symposia.tools.bandit_rows import Row, add_reward, choose_arm, row_of
from symposia.tools.bandits import Pull, Setup, context_hash, context_of
from symposia.tools.equality import same
from symposia.tools.reward_arms import arm_names
from symposia.tools.token_overlap import token_f1

WARM_UP = {"linucb": 2}
"""First pulls of each arm, in turn, by kind; none of the others (ours)."""


class Chosen(Selected):
    """Responses that one arm has marked: which, how it came to be chosen, and what that brought."""

    context: NotRequired[list[float]]
    """What the bandit chooses by; empty where its kind looks at none."""
    arm: NotRequired[int]
    arm_probs: NotRequired[list[float]]
    bandit_version: NotRequired[int]
    """Where in the bandit's log the choice stands."""
    raw_reward: NotRequired[float | None]
    """How good the picked response is by the reference, in 0..1; None where it was not measured."""
    norm_reward: NotRequired[float | None]
    """What the bandit learned from that."""


def bandit_row(params: Mapping[str, Any], embedder: str | None = None) -> Row:
    """The bandit of a run; contexts are the embedder's, by default that of the role.

    Raises:
        BadInput: The fixed arm is none of its arms.
    """
    names = arm_names(params)
    if params["fixed_arm"] >= len(names):
        raise BadInput(f"there is no arm {params['fixed_arm']}", remedy=f"-p fixed_arm takes 0 to {len(names) - 1}")
    kind, warm_up = params["bandit_kind"], params["warm_up"]
    setup = Setup(
        kind=kind,
        arms=len(names),
        dimension=params["dimension"] if kind == "linucb" else 0,
        alpha=params["alpha"],
        gamma=params["gamma"],
        warm_up=WARM_UP.get(kind, 0) if warm_up is None else warm_up,
        fixed=params["fixed_arm"],
    )
    model = (embedder or embedding.embedder_of(params)) if kind == "linucb" else ""
    return row_of(params["bandit"], setup, names, model)


async def embed(state: Chosen) -> dict[str, Any]:
    """The question's context, without a completion; kinds of bandits that look at none get none.

    Raises:
        BadInput: The bandit cannot be, which is found out before any call.
    """
    params = state["params"]
    row = bandit_row(params)
    if row.setup.kind != "linucb":
        return {"context": []}
    rows = await embedding.embed([state["question"]], row.embedder)
    return {"context": context_of(rows, params["dimension"])}


async def select(state: Chosen) -> dict[str, Any]:
    """The arm that the bandit chooses now; a run that learns notes that, since it is to bring a reward, as does one that takes turns."""
    params, context = state["params"], state["context"]
    own, run, note = bandit_row(params), current(), bool(params.get("learn"))
    turns = own.setup.kind == "round_robin"
    key = f"{run.id} {here()}"

    async def perform(salt: int | None) -> dict[str, Any]:
        # The rows of a batch have one seed and would all draw alike.
        chance = random.random() if salt is None else random.Random(f"{salt} {state['question']}").random()
        choice, version = await choose_arm(run.store, own, key, context, chance, note=note or turns)
        return {"arm": choice.arm, "probs": choice.probabilities, "version": version}

    request = {"bandit": own.name, "setup": own.record(), "alpha": own.setup.alpha, "context": context_hash(context), "note": note}
    found = await effect("bandit", request, perform, salt=seed_at(params["seed"]))
    return {"arm": found["arm"], "arm_probs": found["probs"], "bandit_version": found["version"]}


async def feedback(state: Chosen) -> dict[str, Any]:
    """Measure the answer of the picked response by the run's reference, which no state and no prompt holds.

    There is nothing to measure where the bandit is frozen, the arm could mark no response, or the row has no reference.
    """
    if not state["params"]["learn"] or all(mark is None for mark in state["scores"][0]):
        return {"raw_reward": None}
    answer, metric, run = answer_of(state, 0, state["best_index"]), state["params"]["metric"], current()
    by_words = metric == "f1" or (metric == "auto" and state["task"] == "text")

    async def perform() -> float | None:
        known = run.reference if isinstance(run.reference, list) else [run.reference]
        accepted = [one for one in known if one is not None]
        if not accepted:
            return None
        if answer is None:
            return 0.0
        if by_words:
            said = f"{answer:g}" if isinstance(answer, float) else str(answer)
            return max(token_f1(said, str(one)) for one in accepted)
        return float(any([await same(str(one), answer) for one in accepted]))

    request = {"answer": answer, "by_words": by_words}
    return {"raw_reward": await effect("feedback", request, perform)}


async def update_bandit(state: Chosen) -> dict[str, Any]:
    """Let the bandit learn from the reward, once however often the run is begun again."""
    own, run, arm, raw = bandit_row(state["params"]), current(), state["arm"], state["raw_reward"]
    if raw is None:
        return {"norm_reward": None}
    pull = Pull(arm, raw, state["context"], state["arm_probs"][arm])
    key = f"{run.id} {here()}"

    async def perform() -> float | None:
        return (await add_reward(run.store, own, key, pull))[1]

    request = {"bandit": own.name, "arm": arm, "raw": raw, "context": context_hash(pull.context), "probability": pull.probability}
    return {"norm_reward": await effect("bandit", request, perform)}
