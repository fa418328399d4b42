"""What to spend calls on: solutions, verifications or an early stop; accuracy against calls, with intervals, on the bundled problems.

    python bench/equal_compute.py [--model toy/default] [--verifier toy/strong] [--seeds 2] [--solutions 8] [--verifications 8] [--limit N]

The first table gives each budget, in solutions, to self-consistency and to GenRM: with `--fixed` verifications of each solution, and with
whichever split turned out best, which flatters it. The second table stops by each rule of Adaptive-Consistency, beside fixed numbers of
samples and Self-MoA. All arms of a problem and a seed read the same solutions. Intervals are 95 %, clustered by problem where seeds repeat
it. With toy models the figures show that the measurement runs, and say nothing of language models or of the papers.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import fmean
from typing import Any

from symposia.graphs import adaptive_consistency, genrm, self_consistency, self_moa
from symposia.graphs.adaptive_consistency import Rule, look
from symposia.graphs.genrm import Arm, choose, cost, cut, sizes
from symposia.statistics import interval
from symposia.tools.equality import same_pure
from symposia.tools.vote import tally, winner

IN_FLIGHT = 16  # runs
MOST = 40
"""Samples at most of the adaptive arms, as in their papers."""

RULES: tuple[Rule, ...] = ("beta", "dirichlet", "certain", "window")


@dataclass(frozen=True)
class Pool:
    """What was asked about one problem with one seed: the last state of a run per arm."""

    row: dict[str, Any]
    verified: dict[str, Any]
    sampled: dict[str, Any]
    mixed: dict[str, Any]

    def right(self, answer: Any) -> bool:
        """Whether an answer is the known one."""
        return answer is not None and bool(same_pure(self.row["answer"], answer))

    def voted(self, n: int) -> Any:
        """The answer of a vote over the first n samples."""
        return winner(tally(self.sampled["answers"][0][:n]))


async def pools(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> list[Pool]:
    """Ask everything, a problem after the other within each seed."""
    gate = asyncio.Semaphore(IN_FLIGHT)
    largest = int(cost(options.solutions, options.verifications, 1))

    async def ask(method: Any, row: dict[str, Any], seed: int, **given: Any) -> dict[str, Any]:
        params = method.Params(model=options.model, seed=seed, **given)
        async with gate:
            state: dict[str, Any] = await method.graph.ainvoke({"question": row["question"], "task": row["task"]}, context=params)
        return state

    async def one(row: dict[str, Any], seed: int) -> Pool:
        roles = {"verifier": options.verifier, "aggregator": options.verifier}
        split = {"k": options.solutions, "verifications": options.verifications}
        verified, sampled, mixed = await asyncio.gather(
            ask(genrm, row, seed, **split, roles=roles),
            ask(self_consistency, row, seed, k=max(largest, MOST)),
            ask(self_moa, row, seed, roles=roles),
        )
        return Pool(row, verified, sampled, mixed)

    return list(await asyncio.gather(*(one(row, seed) for seed in range(options.seeds) for row in rows)))


def split_answer(pool: Pool, solutions: int, verifications: int, arm: Arm) -> Any:
    """What GenRM answers from the first solutions and verifications of a pool."""
    return choose(cut(pool.verified, range(solutions), verifications, arm)).get("answer")


def stop(pool: Pool, rule: Rule) -> tuple[int, Any]:
    """How many samples Adaptive-Consistency draws under a rule, and what it answers."""
    params, drawn = adaptive_consistency.Params(k=MOST, rule=rule), 0
    while more := (found := look(params, pool.sampled["answers"][0][:drawn]))["next"]:
        drawn += more
    return drawn, pool.sampled["answers"][0][drawn - 1] if rule == "window" and found["sure"] else pool.voted(drawn)


def shown(found: Sequence[tuple[str, bool]]) -> str:
    """An accuracy with its interval, in per cent."""
    of = interval(found)
    return f"{100 * of.estimate:5.1f} [{100 * of.low:5.1f}, {100 * of.high:5.1f}]" if of else "-"


def scored(asked: Sequence[Pool], answers: Sequence[Any]) -> list[tuple[str, bool]]:
    """Whether each answer is right, with the id of its problem."""
    return [(pool.row["id"], pool.right(answer)) for pool, answer in zip(asked, answers, strict=True)]


def compare_splits(asked: Sequence[Pool], options: argparse.Namespace) -> None:
    """Print the table of budgets."""
    found: dict[tuple[int, int, Arm], list[tuple[str, bool]]] = {}
    arms: tuple[Arm, ...] = ("weighted", "best")
    for n in range(1, options.solutions + 1):
        for m in sizes(options.verifications):
            for arm in arms:
                found[n, m, arm] = scored(asked, [split_answer(pool, n, m, arm) for pool in asked])
    print(f"\n{'budget':>6}  {'self-consistency':22}{f'GenRM, {options.fixed} each, weighted':30}{'GenRM, best split':22} of it")
    for budget in sizes(int(cost(options.solutions, options.verifications, 1))):
        plain = shown(scored(asked, [pool.voted(budget) for pool in asked]))
        fixed = found.get((int(budget / cost(1, options.fixed, 1)), options.fixed, "weighted"))
        able = {key: fmean(right for _, right in rows) for key, rows in found.items() if cost(key[0], key[1], 1) <= budget}
        top = max(able, key=lambda key: able[key]) if able else None
        best = (shown(found[top]), f"{top[0]} x {top[1]}, {top[2]}") if top else ("-", "")
        print(f"{budget:6}  {plain:22}{shown(fixed) if fixed else '-':30}{best[0]:22} {best[1]}")


def compare_stops(asked: Sequence[Pool]) -> None:
    """Print the table of early stops."""
    print(f"\n{'arm':32}{'mean calls':>10}  {'accuracy':22}{'as the vote of 40':>18}")
    arms: list[tuple[str, list[float], list[Any]]] = [
        (f"self-consistency, k {k}", [k] * len(asked), [pool.voted(k) for pool in asked]) for k in (1, 5, 10, MOST)
    ]
    for rule in RULES:
        stopped = [stop(pool, rule) for pool in asked]
        arms.append((f"adaptive, {rule}", [n for n, _ in stopped], [answer for _, answer in stopped]))
    mixed = [pool.mixed for pool in asked]
    arms.append(("Self-MoA", [sum(map(len, s["chains"])) for s in mixed], [s["answer"] for s in mixed]))
    for name, calls, answers in arms:
        same = fmean(answer == pool.voted(MOST) for answer, pool in zip(answers, asked, strict=True))
        print(f"{name:32}{fmean(calls):10.1f}  {shown(scored(asked, answers)):22}{100 * same:16.1f} %")


def main() -> None:
    """Ask once, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="toy/default", help="of the solver")
    parser.add_argument("--verifier", default="toy/default", help="of the verifier and the aggregator")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--solutions", type=int, default=8, help="verified solutions at most")
    parser.add_argument("--verifications", type=int, default=8, help="verifications of each at most")
    parser.add_argument("--fixed", type=int, default=4, help="verifications of each in the fixed split")
    parser.add_argument("--limit", type=int, default=None, help="problems to take, the hardest first")
    options = parser.parse_args()
    text = (files("symposia.items") / "arithmetic.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(row) for row in text.splitlines()][::-1][: options.limit]
    print(f"{len(rows)} problems, {options.seeds} seeds; solver {options.model}, verifier {options.verifier}")
    asked = asyncio.run(pools(rows, options))
    compare_splits(asked, options)
    compare_stops(asked)


if __name__ == "__main__":
    main()
