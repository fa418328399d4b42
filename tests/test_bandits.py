"""Bandits: the mathematics by hand, what they learn from seeded simulations, toy judges as arms, and the row in the store."""

import asyncio
import json
import math
import random
from collections.abc import Sequence
from importlib import resources
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from symposia.nodes.arm_scorer import JUDGE_ARM
from symposia.nodes.prompts import SOLVE, answer_format
from symposia.state.errors import BadInput
from symposia.state.shards import WorkerStore
from symposia.state.sqlite import SqliteStore
from symposia.state.store import Store, open_store
from symposia.tools import toy
from symposia.tools.answers import extract
from symposia.tools.bandit_report import Chose, arm_report, regret
from symposia.tools.bandit_rows import Row, add_reward, bandit_at, choose_arm, pull_of, row_of
from symposia.tools.bandits import (
    KINDS,
    Bandit,
    Kind,
    Pull,
    Setup,
    choose,
    context_hash,
    context_of,
    fresh,
    from_json,
    normalised,
    probabilities,
    replayed,
    scores,
    to_json,
    updated,
)
from symposia.tools.reward_arms import arm_names
from symposia.tools.token_overlap import token_f1


def taught(setup: Setup, *pulls: tuple[int, list[float], float]) -> Bandit:
    """A LinUCB after pulls (arm, context, reward in 0..1), whose history makes the raw rewards those in 0..1."""
    bandit = fresh(setup)
    for arm, context, reward in pulls:
        bandit = Bandit(setup, (0.0,) * 50 + (1.0,) * 50, bandit.inverses, bandit.sums)
        bandit, learned = updated(bandit, Pull(arm, reward, context))
        assert learned == reward
    return bandit


def same(one: Bandit, other: Bandit) -> bool:
    """Whether two bandits are equal to the last bit."""
    return json.dumps(to_json(one)) == json.dumps(to_json(other))


# -- by hand, section 8 of the specification ----------------------------------------------------------------------------------------------


def test_a_fresh_linucb_takes_the_first_arm_and_the_warm_up_takes_turns() -> None:
    bandit = fresh(Setup(arms=3, dimension=2, alpha=0.1))
    assert scores(bandit, [3.0, 4.0]) == pytest.approx([0.5] * 3)
    assert choose(bandit, [3.0, 4.0], 0.9).arm == 0
    assert scores(bandit, [0.0, 0.0]) == [0.0] * 3
    assert choose(bandit, [0.0, 0.0], 0.9).arm == 0
    warm = fresh(Setup(arms=3, dimension=2, warm_up=2))
    assert [choose(warm, [1.0, 0.0], 0.0, turn).arm for turn in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(ValueError, match="1 numbers, the bandit takes 2"):
        choose(bandit, [1.0], 0.0)


def test_linucb_after_one_pull() -> None:
    setup, c = Setup(arms=2, dimension=2, alpha=0.1), [1.0, 0.0]
    good, bad = taught(setup, (0, c, 1.0)), taught(setup, (0, c, 0.0))
    assert np.allclose(np.linalg.inv(good.inverses[0]), np.diag([2.0, 1.0]))
    assert good.sums[0].tolist() == [1.0, 0.0]
    assert scores(good, c) == pytest.approx([0.5 + 0.1 * math.sqrt(0.5), 0.1])
    assert choose(good, c, 0.0).arm == 0
    assert scores(bad, c) == pytest.approx([0.1 * math.sqrt(0.5), 0.1])
    assert choose(bad, c, 0.0).arm == 1


def test_the_design_matrices_stay_sound() -> None:
    rng, bandit, total = np.random.default_rng(0), fresh(Setup(arms=3, dimension=5)), 0.0
    for i in range(200):
        context = rng.normal(size=5).tolist()
        total += math.fsum(x * x for x in context)
        bandit, _ = updated(bandit, Pull(i % 3, float(rng.random()), context))
    designs = [np.linalg.inv(inverse) for inverse in bandit.inverses]
    assert all((inverse == inverse.T).all() and (np.linalg.eigvalsh(inverse) > 0).all() for inverse in bandit.inverses)
    assert sum(np.trace(design) for design in designs) - 3 * 5 == pytest.approx(total)


def test_orthogonal_contexts_have_arms_of_their_own() -> None:
    bandit, wanted = fresh(Setup(arms=2, dimension=2, warm_up=2)), []
    for step in range(24):
        mine = step // 2 % 2
        context = [float(mine == 0), float(mine == 1)]
        choice = choose(bandit, context, 0.0)
        wanted.append(choice.arm == mine)
        bandit, _ = updated(bandit, Pull(choice.arm, float(choice.arm == mine), context))
    assert all(wanted[4:])


@pytest.mark.parametrize(("reward", "learned"), [(-1.0, 0.5), (-3.0, 0.0), (1.0, 1.0), (0.2, 1.0), (-2.2, 0.0)])
def test_rewards_are_measured_by_percentiles(reward: float, learned: float) -> None:
    assert normalised([-3.0, -2.0, -1.0, 0.0, 1.0], reward) == pytest.approx(learned)


def test_rewards_that_nothing_is_known_of_are_in_the_middle() -> None:
    assert normalised([], 3.0) == normalised([-7.0], -7.0) == normalised([2.0] * 9, 2.0) == 0.5
    assert normalised([1.0] * 9 + [0.0], 0.0) == 0.0  # most rewards are equal: a lower one is still lower
    assert normalised([0.0] * 9 + [1.0], 1.0) == 1.0
    rng = random.Random(0)
    history = [rng.gauss(0, 100) for _ in range(50)]
    assert all(0 <= normalised(history, reward) <= 1 for reward in history)


def test_a_reward_is_measured_against_a_history_that_holds_it() -> None:
    bandit, first = updated(fresh(Setup("exp3")), Pull(0, 0.0))
    _, second = updated(bandit, Pull(0, 1.0))
    assert (first, second) == (0.5, 1.0)


def test_exp3_after_one_pull() -> None:
    setup = Setup("exp3", arms=2, gamma=0.1)
    bandit, learned = updated(Bandit(setup, (0.0,) * 9, log_weights=(0.0, 0.0)), Pull(0, 1.0, probability=0.5))
    assert learned == 1.0
    assert math.exp(bandit.log_weights[0] - bandit.log_weights[1]) == pytest.approx(1.10517, abs=1e-5)
    assert probabilities(bandit)[0] == pytest.approx(0.52248, abs=1e-5)
    nothing, learned = updated(Bandit(setup, (1.0,) * 9, log_weights=bandit.log_weights), Pull(1, 0.0, probability=0.5))
    assert (learned, probabilities(nothing)) == (0.0, probabilities(bandit))


def test_exp3_spreads_a_share_evenly_and_stays_finite() -> None:
    rng, bandit = random.Random(0), fresh(Setup("exp3", arms=3, gamma=0.3))
    for _ in range(3000):
        choice = choose(bandit, [], rng.random())
        assert sum(choice.probabilities) == pytest.approx(1)
        assert min(choice.probabilities) >= 0.1 - 1e-12
        bandit, _ = updated(bandit, Pull(choice.arm, float(choice.arm == 1) + rng.random(), [], choice.probabilities[choice.arm]))
    assert max(bandit.log_weights) == 0
    assert [choose(bandit, [], chance).arm for chance in (0.0, 0.5, 0.999999)] == [0, 1, 2]


def test_the_baselines_learn_nothing() -> None:
    turns = fresh(Setup("round_robin", arms=3))
    assert [choose(turns, [], 0.5, turn).arm for turn in range(4)] == [0, 1, 2, 0]
    assert {choose(fresh(Setup("fixed", arms=3, fixed=2)), [], chance).arm for chance in (0.0, 0.9)} == {2}
    chances = [choose(fresh(Setup("random", arms=4)), [], (i + 0.5) / 400).arm for i in range(400)]
    assert [chances.count(arm) for arm in range(4)] == [100] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_pulls_make_the_same_bandit_again_and_json_keeps_it(kind: Kind) -> None:
    rng, setup = random.Random(1), Setup(kind, arms=3, dimension=3, warm_up=1)
    bandit, pulls = fresh(setup), []
    for _ in range(40):
        context = [rng.gauss(0, 1) for _ in range(3)]
        choice = choose(bandit, context, rng.random())
        pulls.append(Pull(choice.arm, rng.gauss(0, 1), context, choice.probabilities[choice.arm]))
        bandit, _ = updated(bandit, pulls[-1])
        bandit = from_json(json.loads(json.dumps(to_json(bandit))))
    assert same(replayed(setup, pulls), bandit)
    assert bandit.step == 40


# -- contexts -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "dimension"), [(2048, 64), (3, 64), (7, 8), (5, 1)])
def test_a_context_has_unit_length_and_the_order_of_prompts_does_not_matter(size: int, dimension: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(16, size)).tolist()
    context = context_of(vectors, dimension)
    assert len(context) == dimension
    assert math.fsum(x * x for x in context) == pytest.approx(1)
    for seed in range(5):
        random.Random(seed).shuffle(vectors)
        assert context_of(vectors, dimension) == context
    assert context_hash(context) == context_hash(list(context)) != context_hash([*context[1:], 0.0])


def test_projected_contexts_keep_who_is_near_whom() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 2048))
    near = one + 0.3 * rng.normal(size=2048)
    a, b, c = (np.asarray(context_of([v.tolist()], 64)) for v in (one, near, other))
    assert a @ b > 0.9 > 0.75 > a @ c
    assert context_of([[0.0] * 9], 4) == [1.0, 0.0, 0.0, 0.0]  # a text of no known word
    assert context_of([[1.0, 0.0]], 3) == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0.0])
    with pytest.raises(ValueError, match="without prompts"):
        context_of([], 4)


# -- what they learn ------------------------------------------------------------------------------------------------------------------


def shares(setup: Setup, rewards: Sequence[float], seed: int, pulls: int = 300, noise: float = 0.1) -> list[int]:
    """How often each arm is pulled when it brings a reward of its own with noise, on a constant context."""
    rng, bandit, times = random.Random(seed), fresh(setup), [0] * setup.arms
    for _ in range(pulls):
        choice = choose(bandit, [1.0], rng.random())
        times[choice.arm] += 1
        raw = rewards[choice.arm] + rng.gauss(0, noise)
        bandit, _ = updated(bandit, Pull(choice.arm, raw, [1.0], choice.probabilities[choice.arm]))
    return times


@pytest.mark.parametrize("setup", [Setup(arms=3, warm_up=2), Setup("exp3", arms=3, gamma=0.1)], ids=["linucb", "exp3"])
def test_the_best_arm_gets_most_pulls(setup: Setup) -> None:
    assert all(shares(setup, (0.2, 0.5, 0.8), seed)[2] > 150 for seed in range(5))


def test_without_a_warm_up_linucb_stays_with_its_first_arms() -> None:
    assert all(shares(Setup(arms=3), (0.2, 0.5, 0.8), seed)[2] < 20 for seed in range(3))


TOYS = (0.1, 0.5, 0.95)
"""How reliable three toy judges are: the chance that a check is right."""


def picked_rightly(check: float, problems: Sequence[dict[str, Any]], seed: int) -> float:
    """The share of four problems of whose four solutions a toy judge marks a right one highest."""
    right = 0
    for n in range(4):
        problem, number = problems[(4 * seed + n) % len(problems)], 1000 * seed + 10 * n
        asked = SOLVE.format(question=problem["question"], answer_format=answer_format("number"))
        texts = [toy.reply("default?error=0.4", [{"role": "user", "content": asked}], number + i) for i in range(4)]
        judged = [JUDGE_ARM.format(rubric="", question=problem["question"], chain=text) for text in texts]
        marks = [toy.reply(f"default?check={check}", [{"role": "user", "content": one}], number + i) for i, one in enumerate(judged)]
        values = [float(mark.rsplit("SCORE: ", 1)[1]) for mark in marks]
        right += extract(texts[values.index(max(values))], "number") == problem["answer"]
    return right / 4


@pytest.fixture(scope="module")
def judged() -> list[list[float]]:
    """Rewards of batches of problems that each of three toy judges has picked solutions for."""
    lines = resources.files("symposia").joinpath("items", "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()
    easy = [problem for problem in map(json.loads, lines) if problem["level"] == "easy"]
    return [[picked_rightly(check, easy, seed) for seed in range(30)] for check in TOYS]


def followed(setup: Setup, table: Sequence[Sequence[float]], seed: int) -> tuple[float, float]:
    """The share of the best arm in the last 100 of 200 pulls, and of the one that is best then in the last 200 of 600 more.

    The arms change places after the first 200; contexts are those of random embeddings.
    """
    rng, bandit, arms = random.Random(seed), fresh(setup), []
    for step in range(800):
        context = context_of([[rng.gauss(0, 1) for _ in range(4)]], setup.dimension)
        choice = choose(bandit, context, rng.random())
        arms.append(choice.arm)
        now = table if step < 200 else table[::-1]
        bandit, _ = updated(bandit, Pull(choice.arm, rng.choice(now[choice.arm]), context, choice.probabilities[choice.arm]))
    return arms[100:200].count(2) / 100, arms[-200:].count(0) / 200


@pytest.mark.parametrize(
    "setup", [Setup(arms=3, dimension=5, alpha=0.5, warm_up=2), Setup("exp3", arms=3, dimension=5, gamma=0.2)], ids=["linucb", "exp3"]
)
def test_a_bandit_over_toy_judges_finds_the_best_and_follows_a_change(setup: Setup, judged: list[list[float]]) -> None:
    means = [fmean(rewards) for rewards in judged]
    assert means[0] + 0.1 < means[1] < means[2] - 0.05
    found = [followed(setup, judged, seed) for seed in range(4)]
    assert fmean(before for before, _ in found) > 0.5
    assert fmean(after for _, after in found) > 0.5


# -- in the store -------------------------------------------------------------------------------------------------------------------------

SETUP = Setup(arms=2, dimension=2, warm_up=1)
ROW = Row("b", SETUP, ("x", "y"), "toy/hashing")


async def pull(store: Store, key: str, raw: float, row: Row = ROW) -> int:
    """Choose and learn; the arm."""
    context = [1.0, raw]
    choice, _ = await choose_arm(store, row, f"{key} select", context, 0.5, note=True)
    await add_reward(store, row, f"{key} update", Pull(choice.arm, raw, context, choice.probabilities[choice.arm]))
    return choice.arm


async def logged(store: Store, name: str = "b") -> Bandit:
    """The bandit that the pulls in the log make of an empty one."""
    return replayed(SETUP, [pull_of(value) for _, value in await store.updates(name) if value["type"] == "pull"])


async def test_a_row_goes_on_after_a_restart(store_url: str) -> None:
    rng = random.Random(0)
    for part in range(3):
        async with open_store(store_url) as store:
            arms = [await pull(store, f"{part} {i}", rng.random()) for i in range(5)]
            assert part or arms[:2] == [0, 1]
            known = await bandit_at(store, ROW)
            assert known.step == 5 * (part + 1)
            assert same(known, await logged(store))
    async with open_store(store_url) as store:
        versions = [version for version, _ in await store.updates("b")]
        assert versions == list(range(1, 1 + 1 + 2 * 15))
        assert same(await bandit_at(store, ROW), known)


async def test_what_is_done_twice_counts_once(store: Store) -> None:
    first, version = await choose_arm(store, ROW, "run 3.select", [1.0, 0.0], 0.5, note=True)
    await pull(store, "other", 0.4)
    again, same_version = await choose_arm(store, ROW, "run 3.select", [1.0, 0.0], 0.9, note=True)
    assert (again, same_version) == (first, version)
    learned = [await add_reward(store, ROW, "run 9.update", Pull(first.arm, raw, [1.0, 0.0])) for raw in (0.7, 0.7, 0.2)]
    assert learned[0] == learned[1] == learned[2]
    assert (await bandit_at(store, ROW)).history == (0.4, 0.7)


async def test_rows_at_once_lose_nothing_and_take_turns_in_the_warm_up(store_url: str) -> None:
    setup = Setup(arms=4, dimension=2, warm_up=3)
    row = Row("b", setup, ("w", "x", "y", "z"), "toy/hashing")
    async with open_store(store_url) as one, open_store(store_url) as other:
        arms = await asyncio.gather(*(pull((one, other)[i % 2], f"{i}", i / 12, row) for i in range(12)))
        assert sorted(arms) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        bandits = [await bandit_at(store, row) for store in (one, other)]
        assert same(*bandits)
        assert sorted(bandits[0].history) == [i / 12 for i in range(12)]


async def test_workers_share_a_bandit_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    async with SqliteStore(path) as main, WorkerStore(path, "t1") as one, WorkerStore(path, "t2") as other:
        for i, store in zip(range(6), (one, other) * 3, strict=True):
            await pull(store, f"{i}", i / 6)
        for store in (main, one, other):
            assert (await bandit_at(store, ROW)).history == tuple(i / 6 for i in range(6))
        assert [await pull(store, "late", 0.9) for store in (one, other)] == [1, 1]  # the same key: once
        assert (await bandit_at(main, ROW)).step == 7


async def test_a_frozen_choice_leaves_no_trace(store: Store) -> None:
    choice, version = await choose_arm(store, ROW, "k", [1.0, 0.0], 0.5, note=False)
    assert (choice.arm, version, await store.updates("b"), await store.updated_names()) == (0, 0, [], [])
    assert await choose_arm(None, ROW, "k", [1.0, 0.0], 0.5, note=True) == (choice, 0)
    assert await add_reward(None, ROW, "k", Pull(0, 1.0, [1.0, 0.0])) == (0, None)


async def test_a_name_stands_for_one_bandit(store: Store) -> None:
    await pull(store, "a", 0.5)
    free = Row("b", Setup(arms=2, dimension=2, warm_up=1, alpha=9.0), ROW.arms, ROW.embedder)
    await choose_arm(store, free, "k", [1.0, 0.0], 0.5, note=False)  # how bold a choice is may differ
    for other in (
        Row("b", SETUP, ("x", "z"), ROW.embedder),
        Row("b", SETUP, ROW.arms, "e"),
        Row("b", Setup(arms=2, dimension=3), ROW.arms, "e"),
    ):
        with pytest.raises(BadInput, match=r"the bandit 'b' has .*-p bandit=NAME"):
            await choose_arm(store, other, "k", [1.0, 0.0, 0.0], 0.5, note=False)
        with pytest.raises(BadInput, match=r"the bandit 'b' has .*-p bandit=NAME"):
            await choose_arm(store, other, "k", [1.0, 0.0, 0.0], 0.5, note=True)
    assert len(await store.updates("b")) == 3
    names = {row_of("", setup, ROW.arms, "e").name for setup in (SETUP, Setup(arms=2, dimension=3), Setup("exp3", arms=2))}
    assert len(names) == 3
    assert row_of("", SETUP, ROW.arms, "e").name == row_of("", SETUP, ROW.arms, "e").name
    assert row_of("mine", SETUP, ROW.arms, "e").name == "mine"


async def test_a_state_of_the_past_can_be_had_again(store: Store) -> None:
    numbers = count()
    for _ in range(6):
        await pull(store, f"{next(numbers)}", random.Random(next(numbers)).random())
    made = []
    for key in ("0 select", "4 select", "8 select"):  # chosen anew by what stood before them, though the row has moved on
        choice, version = await choose_arm(store, ROW, key, [0.6, 0.8], 0.5, note=True)
        pulls = [pull_of(value) for at, value in await store.updates("b") if at < version and value["type"] == "pull"]
        turn = sum(value["type"] == "choice" for at, value in await store.updates("b") if at < version)
        assert choice == choose(replayed(SETUP, pulls), [0.6, 0.8], 0.5, turn)
        made.append(len(pulls))
    assert made == [0, 2, 4]


# -- arms, measures, report -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "rubrics", "names"),
    [
        (None, [], ["m (correctness)", "m (reasoning)", "m (instructions)", "m (style)"]),
        (["a", "b"], [], ["a (correctness)", "b (correctness)"]),
        (["a", "b"], ["style", "Be strict."], ["a (style)", "b (Be strict.)"]),
        ("a", ["style"], ["a (style)"]),
        (["a"], ["style", "reasoning"], ["a (style)", "a (reasoning)"]),
        (["reward/http://h?model=r", "a"], [], ["reward/http://h?model=r", "a (correctness)"]),
        ("reward/http://h?model=r", [], ["reward/http://h?model=r"]),
    ],
)
def test_arms_are_models_with_rubrics(models: Any, rubrics: list[str], names: list[str]) -> None:
    assert arm_names({"model": "m", "roles": {"reward": models} if models else {}, "rubrics": rubrics}) == names


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("The red fox.", "red fox", 1.0),
        ("red fox", "a red dog", 0.5),
        ("no", "yes", 0.0),
        ("", "", 1.0),
        ("", "x", 0.0),
        ("a a b", "b", 1.0),
    ],
)
def test_words_in_common(answer: str, reference: str, f1: float) -> None:
    assert token_f1(answer, reference) == pytest.approx(f1)


def test_the_report_says_who_was_chosen_when_and_the_regret() -> None:
    chosen = [Chose("a", 0.0), Chose("b", 1.0), Chose("a", None), Chose("b", 0.5), Chose("b", None)]
    assert regret(chosen) == pytest.approx([0.75, 0.5, 0.75])
    report = arm_report(["a", "b", "c"], chosen)
    assert (report["choices"], report["rewards"], report["regret"]) == (5, 3, pytest.approx(0.75))
    assert report["arms"]["a"] == {"chosen": 2, "rewards": 1, "mean_reward": 0.0, "share_over_time": [1, 0, 1, 0, 0]}
    assert report["arms"]["c"] == {"chosen": 0, "rewards": 0, "mean_reward": None, "share_over_time": [0] * 5}
    assert (arm_report(["a"], [])["regret"], regret([])) == (None, [])


# -- the command --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(folder: Path) -> Path:
    """A store with a bandit that has learned something."""

    async def fill() -> None:
        (folder / ".symposia").mkdir()
        async with open_store(str(folder / ".symposia/store.db")) as store:
            for i in range(10):
                await pull(store, f"{i}", i % 3 / 2)
            await choose_arm(store, Row("new", SETUP, ("x", "y"), "e"), "k", [1.0, 0.0], 0.5, note=True)

    asyncio.run(fill())
    return folder


def bandit_command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    from symposia import cli

    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main(["bandit", *words])
    out, err = capsys.readouterr()
    assert isinstance(end.value.code, int)
    assert "Traceback" not in err, err
    return end.value.code, out, err


def test_bandits_are_listed_shown_and_drawn(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bandit_command(capsys, "--json") == (0, '{"bandits": ["b", "new"]}\n', "")
    code, out, _ = bandit_command(capsys, "b", "--json", "--plot", "arms.svg")
    found = json.loads(out)
    assert (code, found["rewards"], found["noted"], set(found["arms"])) == (0, 10, 10, {"x", "y"})
    first = Path("arms.svg").read_bytes()
    assert first.startswith(b"<?xml")
    assert bandit_command(capsys, "b", "--plot", "arms.svg")[0] == 0
    assert Path("arms.svg").read_bytes() == first
    assert bandit_command(capsys, "b", "--plot", "arms.png")[0] == 0
    assert Path("arms.png").read_bytes().startswith(b"\x89PNG")
    _, out, _ = bandit_command(capsys, "b")
    assert "b: linucb, 10 rewards, regret" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bb",), "unknown bandit 'bb'; did you mean 'b'?"),
        (("new", "--plot", "x.svg"), "has had no reward yet"),
        (("b", "--plot", "x.gif"), "neither .png nor .svg"),
    ],
)
def test_what_cannot_be_shown_is_said(kept: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = bandit_command(capsys, *words)
    assert (code, said in err) == (2, True), err
