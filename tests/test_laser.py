"""LASeR: who is called and what is shown to whom, learning that no crash loses or doubles, pairs, export, and the training loop."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import Command

from symposia import cli, laser_train, registry, runs
from symposia.execution import plain
from symposia.graphs import laser, laser_pairs
from symposia.laser_policy import sampling_of
from symposia.laser_training import Mark, Pair, Progress, Schedule, train_with_arms
from symposia.params import make_params
from symposia.state.errors import BadInput, StoreError
from symposia.state.store import Entry, Store
from symposia.tools.bandit_rows import PULL, Row, bandit_at, pull_of
from symposia.tools.bandits import Setup, replayed
from symposia.tools.ranked_pairs import ranked_pairs
from symposia.training_rows import find_file, read_training

ARMS = ["script/a", "script/b", "script/c"]
QUESTION = {"question": "What is 3 plus 4?", "task": "number"}


def record(name: str = "laser", *, reference: Any = None, question: str = QUESTION["question"], **given: Any) -> dict[str, Any]:
    """A run over a question, with three scripted judges as arms unless it says otherwise."""
    params = {"model": "script/any", "roles": {"reward": ARMS}, "k": 3, "bandit": "b", **given}
    return runs.new_record(name, params, {**QUESTION, "question": question}, reference=reference)


async def values_of(store: Store, run_id: str) -> dict[str, Any]:
    """The last state of a run, by a replay that has to be identical."""
    report, execution = await runs.replay(store, run_id)
    assert report["identical"], report["first_divergence"]
    return execution.values


async def pulls(store: Store) -> list[dict[str, Any]]:
    return [value for _, value in await store.updates("b") if value["type"] == PULL]


@pytest.fixture
def played(script: Any) -> Any:
    """A script whose solutions answer 5, 6, 7 in turn, and whose judges like 7."""

    def answer(node: str, messages: list[dict[str, Any]]) -> str:
        prompt = messages[-1]["content"]
        if '"SCORE: x"' in prompt:
            return f"I looked.\nSCORE: {'0.9' if 'boxed{7}' in prompt else '0.2'}"
        return f"Step 1: it is \\boxed{{{5 + script.calls % 3}}}."

    script.answer = answer
    return script


# -- inference ----------------------------------------------------------------------------------------------------------------------------


async def test_only_the_chosen_arm_is_called(played: Any, sqlite: Store) -> None:
    for turn in range(6):
        before = len(played.options)
        result = await runs.start(sqlite, record(learn=True, reference=7, question=f"What is 3 plus {turn}?"))
        called = Counter(option["model"] for option in played.options[before:])
        state = await values_of(sqlite, result.run_id)
        assert state["arm"] == turn % 3  # the warm-up takes turns
        assert called == {"any": 3, "abc"[state["arm"]]: 3}
        assert (result.answer, result.stop_reason) == (7, "learned")
    assert [pull["arm"] for pull in await pulls(sqlite)] == [0, 1, 2, 0, 1, 2]


async def test_the_reference_is_in_no_prompt_state_or_request(played: Any, sqlite: Store) -> None:
    result = await runs.start(sqlite, record(learn=True, reference="secret-4711"))
    state = await values_of(sqlite, result.run_id)
    assert (state["raw_reward"], result.stop_reason) == (0.0, "learned")
    assert "4711" not in json.dumps(plain(state))
    assert not [p for prompts in played.prompts.values() for p in prompts if "4711" in p]
    entries = await sqlite.entries(result.run_id)
    assert not [e for e in entries if "4711" in json.dumps([e.request, e.outcome])]
    assert "4711" not in json.dumps(await sqlite.updates("b"))


@pytest.mark.parametrize(
    ("given", "reference", "raw"),
    [
        ({}, "7", None),
        ({"learn": True}, None, None),
        ({"learn": True}, ["9", "7.0"], 1.0),
        ({"learn": True}, 8, 0.0),
        ({"learn": True, "metric": "f1"}, "7 stamps", 2 / 3),
    ],
    ids=["frozen", "no reference", "one of several", "wrong", "f1"],
)
async def test_a_bandit_learns_only_when_it_may_and_can(given: Any, reference: Any, raw: float | None, played: Any, sqlite: Store) -> None:
    result = await runs.start(sqlite, record(reference=reference, **given))
    state = await values_of(sqlite, result.run_id)
    assert state["raw_reward"] == (raw if raw is None else pytest.approx(raw))
    assert [pull["raw"] for pull in await pulls(sqlite)] == ([] if raw is None else [state["raw_reward"]])
    assert state["norm_reward"] == (None if raw is None else 0.5)
    if not given:
        assert await sqlite.updates("b") == []


async def test_arms_take_turns_though_nothing_is_learned(played: Any, sqlite: Store) -> None:
    begun = [await runs.start(sqlite, record(bandit_kind="round_robin", question=f"What is 3 plus {n}?")) for n in range(4)]
    assert [(await values_of(sqlite, one.run_id))["arm"] for one in begun] == [0, 1, 2, 0]
    assert await pulls(sqlite) == []


async def test_open_text_is_measured_by_its_words(script: Any, sqlite: Store) -> None:
    script.answer = lambda node, messages: "SCORE: 0.5" if "SCORE" in messages[-1]["content"] else "A red fox."
    given = runs.new_record(
        "laser", {"model": "script/any", "k": 2, "learn": True}, {"question": "Who?", "task": "text"}, reference="red dog"
    )
    result = await runs.start(sqlite, given)
    assert (await values_of(sqlite, result.run_id))["raw_reward"] == pytest.approx(0.5)
    assert result.answer == "A red fox."


async def test_when_an_arm_can_mark_nothing_the_first_response_stands_and_nothing_is_learned(script: Any, sqlite: Store) -> None:
    script.answer = lambda node, messages: "no mark" if "SCORE" in messages[-1]["content"] else "It is \\boxed{7}."
    result = await runs.start(sqlite, record(learn=True, reference=7, max_reasks=0))
    state = await values_of(sqlite, result.run_id)
    assert (state["best_index"], state["scores"], result.stop_reason) == (0, [[None] * 3], "unscored")
    assert await pulls(sqlite) == []


async def test_the_best_mark_wins_and_the_first_of_equals(script: Any, sqlite: Store) -> None:
    marks = iter(["0.4", "0.8", "0.8"])
    script.answer = lambda node, messages: f"SCORE: {next(marks)}" if "SCORE" in messages[-1]["content"] else "It is \\boxed{7}."
    state = await values_of(sqlite, (await runs.start(sqlite, record())).run_id)
    assert (state["best_index"], state["scores"]) == (1, [[0.4, 0.8, 0.8]])


@pytest.mark.parametrize("kind", ["bandit", "feedback"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_at_any_effect_of_the_bandit_loses_and_doubles_nothing(
    kind: str, when: str, played: Any, sqlite: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await runs.start(sqlite, record(learn=True, reference=7))
    real: Callable[..., Any] = sqlite.append
    hits = 0
    total = {"bandit": 2, "feedback": 1}[kind]
    for nth in range(total):
        begun = record(learn=True, reference=7, question=f"What is {nth} plus 7?")
        hits = 0

        def append(run_id: str, entry: Entry, nth: int = nth) -> Any:
            nonlocal hits
            if entry.kind == kind:
                hits += 1
                if hits == nth + 1:
                    if when == "after":
                        real(run_id, entry)
                    raise StoreError("the power is gone")
            return real(run_id, entry)

        monkeypatch.setattr(sqlite, "append", append)
        before = len(await pulls(sqlite))
        failed = await runs.start(sqlite, begun)
        assert failed.status == "failed"
        monkeypatch.setattr(sqlite, "append", real)
        calls = played.calls
        result = await runs.resume(sqlite, failed.run_id)
        assert (result.status, result.answer) == ("ok", 7)
        assert played.calls - calls <= 6
        assert len(await pulls(sqlite)) == before + 1
        state = await values_of(sqlite, result.run_id)
        noted = [value for _, value in await sqlite.updates("b")]
        assert (noted[-1]["type"], noted[-1]["arm"]) == (PULL, state["arm"])
        assert Counter(value["type"] for value in noted) == {"setup": 1, "choice": len(await pulls(sqlite)), PULL: len(await pulls(sqlite))}


async def test_a_replay_and_a_finished_run_never_touch_the_bandit_and_a_fork_learns_its_own(played: Any, store: Store) -> None:
    first = await runs.start(store, record(learn=True, reference=7))
    await runs.start(store, record(learn=True, reference=7, question="What is 1 plus 1?"))
    before = await store.updates("b")
    assert (await values_of(store, first.run_id))["arm"] == 0  # as it was then, whatever the bandit knows now
    assert (await runs.resume(store, first.run_id)).status == "ok"
    assert await store.updates("b") == before
    steps = [s.step for s in await store.steps(first.run_id)]
    fork = await runs.fork(store, first.run_id, max(steps) - 1, params={"metric": "f1"})
    assert fork.status == "ok"
    assert await store.updates("b") == before  # what was learned is inherited
    other = await runs.fork(store, first.run_id, 1, params={"seed": 5})
    assert other.status == "ok"
    assert len(await pulls(store)) == 3


async def test_the_log_of_a_learning_phase_is_the_bandit(played: Any, sqlite: Store) -> None:
    rng = random.Random(0)
    for i in range(9):
        await runs.start(
            sqlite, record(learn=True, reference=rng.choice([7, 8]), question=f"What is {i} plus 4?", bandit_kind="exp3", seed=i)
        )
    setup = Setup("exp3", 3, 0, 0.1, 0.1, 0)
    row = Row("b", setup, tuple(f"{arm} (correctness)" for arm in ARMS), "")
    bandit = await bandit_at(sqlite, row)
    assert bandit == replayed(setup, [pull_of(pull) for pull in await pulls(sqlite)])
    assert bandit.step == 9


async def test_the_report_and_a_changed_bandit(played: Any, sqlite: Store) -> None:
    finished = []
    for i in range(3):
        result = await runs.start(sqlite, record(learn=True, reference=7, question=f"What is {i} plus 4?"))
        finished.append((await values_of(sqlite, result.run_id), ["7"]))
    report = laser.report(finished[::-1])
    assert {name: one["chosen"] for name, one in report["arms"].items()} == {f"{arm} (correctness)": 1 for arm in ARMS}
    assert (report["rewards"], report["regret"]) == (3, 0.0)
    failed = await runs.start(sqlite, record(rubrics=["style"]))
    assert failed.error is not None
    assert (failed.status, failed.error["name"]) == ("failed", "BadInput")
    assert "bandit 'b' has names" in failed.error["message"]
    failed = await runs.start(sqlite, record(bandit_kind="fixed", fixed_arm=3, bandit="other"))
    assert failed.error is not None
    assert "no arm 3" in failed.error["message"]
    assert failed.calls["live"] == 0


@pytest.mark.usefixtures("folder")
def test_workers_of_a_batch_teach_one_bandit(symposia: Command) -> None:
    lines = [
        json.dumps({"question": f"Tom has {n} pens. He buys {n + 2} pens. How many pens does Tom have now?", "answer": 2 * n + 2})
        for n in range(3, 9)
    ]
    Path("in.jsonl").write_text("\n".join(lines) + "\n")
    options = ("-p", "k=2", "-p", "learn=true", "-p", "bandit=b", "--role", "reward=toy/strong,toy/weak", "--seed", "1")
    done = symposia("batch", "laser", "in.jsonl", "-o", "out.jsonl", "--engine", "processes", "--concurrency", "2", *options, "--json")
    assert done.code == 0, done.err
    report = symposia("report", "laser", "out.jsonl", "--json").json
    assert (report["rewards"], sum(one["chosen"] for one in report["arms"].values())) == (6, 6)
    assert all(one["chosen"] >= 2 for one in report["arms"].values())  # the warm-up takes turns, whichever worker asks


# -- pairs --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["half", "nested"])
def test_pairs_are_of_different_texts_the_better_first(rule: Any) -> None:
    rng = random.Random(0)
    for _ in range(40):
        n = rng.randrange(9)
        texts = [rng.choice("abcde") for _ in range(n)]
        marks = [rng.choice([None, 0.1, 0.5, 0.5, 0.9, 1.0]) for _ in range(n)]
        pairs = ranked_pairs(texts, marks, 4, rule)
        assert len(pairs) <= 4
        assert len({(pair["chosen"], pair["rejected"]) for pair in pairs}) == len(pairs)
        for pair in pairs:
            better, worse = marks[pair["chosen"]], marks[pair["rejected"]]
            assert better is not None
            assert worse is not None
            assert pair["margin"] == better - worse > 0
            assert texts[pair["chosen"]] != texts[pair["rejected"]]


def test_the_two_orders_of_pairs() -> None:
    def found(rule: Any, most: int = 9) -> list[tuple[int, int]]:
        return [(pair["chosen"], pair["rejected"]) for pair in ranked_pairs("abcd", [0.1, 0.9, 0.6, 0.4], most, rule)]

    assert found("half") == [(1, 0), (1, 3), (2, 0), (2, 3)]
    assert found("nested") == [(1, 2), (1, 3), (1, 0), (2, 3), (2, 0), (3, 0)]
    assert found("nested", 3) == [(1, 2), (1, 3), (1, 0)]  # the best is chosen in the first n - 1 pairs
    assert ranked_pairs(["a"], [0.5], 9) == ranked_pairs("abc", [0.5] * 3, 9) == ranked_pairs("ab", [0.5, None], 9) == []


async def test_pairs_of_runs_become_training_rows(played: Any, sqlite: Store, tmp_path: Path) -> None:
    finished = []
    for n in (4, 5):
        result = await runs.start(sqlite, record("laser_pairs", k=6, question=f"What is 3 plus {n}?"))
        assert result.stop_reason == "paired"
        finished.append((await values_of(sqlite, result.run_id), list[str]()))
    assert await sqlite.updates("b") == []  # the bandit is read, never changed
    counts = laser_pairs.export(finished, tmp_path / "files")
    rows = read_training(find_file(tmp_path / "files", "dpo"), "dpo")
    assert counts == {"preference.train.jsonl": len(rows)}
    assert len(rows) == sum(len(state["pairs"]) for state, _ in finished) > 2
    for row in rows:
        prompt = row["prompt"][0]["content"]
        assert prompt in played.prompts["generate"]
        assert row["chosen"][0]["content"].endswith("boxed{7}.")
        assert not row["rejected"][0]["content"].endswith("boxed{7}.")
    report = laser_pairs.report(finished)
    assert (report["prompts"], report["pairs"], report["without_pairs"]) == (2, len(rows), 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write"):
        laser_pairs.export(finished, tmp_path / "file")


async def test_equal_marks_make_no_pair(script: Any, sqlite: Store) -> None:
    script.answer = lambda node, messages: "SCORE: 0.5" if "SCORE" in messages[-1]["content"] else f"It is \\boxed{{{script.calls}}}."
    result = await runs.start(sqlite, record("laser_pairs", k=4))
    assert (result.status, result.stop_reason, (await values_of(sqlite, result.run_id))["pairs"]) == ("ok", "no_pair", [])


# -- the training loop --------------------------------------------------------------------------------------------------------------------


class Fake:
    """A policy without weights: its loss is a function of the pairs and of how far it is."""

    def __init__(self, loss: Callable[[Sequence[Pair], int], float]) -> None:
        self.loss, self.trained, self.kept, self.references = loss, list[list[Pair]](), list[int](), list[Any]()

    def embed(self, prompts: Sequence[str]) -> list[list[float]]:
        return [[float(len(prompt)), 1.0, float(prompt.count("a"))] for prompt in prompts]

    def respond(self, prompts: Sequence[str], n: int, seed: int) -> list[list[str]]:
        rng = random.Random(seed)
        return [[f"{prompt} {rng.randrange(1000)}" for _ in range(n)] for prompt in prompts]

    def reference(self) -> Any:
        return len(self.kept)

    def train(self, pairs: Sequence[Pair], reference: Any) -> float:
        self.trained.append(list(pairs))
        self.references.append(reference)
        return self.loss(pairs, len(self.trained))

    def keep(self, iteration: int) -> None:
        self.kept.append(iteration)


PROMPTS = [f"prompt {'a' * n}" for n in range(10)]
NAMES = ("good", "noise", "flat")


def marker(called: Counter[str]) -> Mark:
    """Arms: one marks by the number at the end of a response, one by chance, and one marks all alike."""

    async def mark(key: str, arm: int, responses: Sequence[Sequence[str]], prompts: Sequence[str]) -> list[list[float | None]]:
        called[NAMES[arm]] += sum(map(len, responses))
        rng = random.Random(key)
        rules = (lambda text: int(text.split()[-1]) / 1000, lambda _: rng.random(), lambda _: 0.5)
        return [[rules[arm](text) for text in texts] for texts in responses]

    return mark


def row(arms: int = 2, kind: Any = "linucb", name: str = "b") -> Row:
    return Row(name, Setup(kind, arms, 3, warm_up=2), NAMES[:arms], "policy")


SHORT = Schedule(iterations=3, batch_size=4, responses=4, pairs=3)


async def test_a_small_loss_converges_and_a_large_one_takes_every_iteration(sqlite: Store) -> None:
    small = Fake(lambda *_: 0.05)
    done = await train_with_arms(small, PROMPTS, marker(Counter()), sqlite, row(), "t1", SHORT)
    assert (done.stop_reason, small.kept) == ("converged", [1])
    assert done.losses == [pytest.approx(0.05)]
    large = Fake(lambda *_: 1.0)
    done = await train_with_arms(large, PROMPTS, marker(Counter()), sqlite, row(name="c"), "t2", SHORT)
    assert (done.stop_reason, large.kept) == ("iterations", [1, 2, 3])
    assert done.losses == [pytest.approx(1.0)] * 3
    assert large.references == [0] * 3 + [1] * 3 + [2] * 3  # the policy at the beginning of the iteration


async def test_each_batch_calls_one_arm_makes_pairs_within_prompts_and_teaches_the_bandit(sqlite: Store) -> None:
    called: Counter[str] = Counter()
    policy = Fake(lambda pairs, _: len(pairs) / 100 + 1)
    done = await train_with_arms(policy, PROMPTS, marker(called), sqlite, row(), "t", SHORT)
    assert sum(called.values()) == 3 * len(PROMPTS) * SHORT.responses
    assert Counter(step["arm"] for step in done.steps)["good"] > 0
    for pairs in policy.trained:
        assert all(pair.chosen.startswith(f"{pair.prompt} ") and pair.rejected.startswith(f"{pair.prompt} ") for pair in pairs)
        assert max(Counter(pair.prompt for pair in pairs).values()) <= SHORT.pairs
    noted = await pulls(sqlite)
    assert [pull["raw"] for pull in noted] == [-step["loss"] for step in done.steps]
    assert [NAMES[pull["arm"]] for pull in noted] == [step["arm"] for step in done.steps]
    assert [step["iteration"] for step in done.steps] == [1] * 3 + [2] * 3 + [3] * 3
    orders = [list(dict.fromkeys(pair.prompt for pairs in policy.trained[i : i + 3] for pair in pairs)) for i in (0, 3, 6)]
    assert all(sorted(order) == sorted(PROMPTS) for order in orders)
    assert orders[0] != orders[1]


async def test_a_batch_without_a_pair_trains_nothing_and_teaches_nothing(sqlite: Store) -> None:
    policy = Fake(lambda *_: 1.0)
    flat = Row("b", Setup("fixed", 3, fixed=2), NAMES, "")
    done = await train_with_arms(policy, PROMPTS, marker(Counter()), sqlite, flat, "t", SHORT)
    assert (policy.trained, await pulls(sqlite), done.losses) == ([], [], [None] * 3)
    assert done.stop_reason == "iterations"
    one = Schedule(iterations=1, batch_size=4, responses=1)
    await train_with_arms(policy, PROMPTS, marker(Counter()), sqlite, row(name="one"), "u", one)
    assert policy.trained == []


@pytest.mark.parametrize("kind", ["linucb", "exp3"])
async def test_an_arm_that_marks_by_chance_gets_the_smaller_share(kind: Any, sqlite: Store) -> None:
    def loss(pairs: Sequence[Pair], _: int) -> float:
        """Pairs that agree with the numbers can be learned from."""
        return 1.0 - sum(int(pair.chosen.split()[-1]) > int(pair.rejected.split()[-1]) for pair in pairs) / len(pairs)

    long = Schedule(iterations=20, batch_size=2, responses=6, pairs=6, threshold=0.0)
    done = await train_with_arms(Fake(loss), PROMPTS, marker(Counter()), sqlite, row(kind=kind), "t", long)
    taken = Counter(step["arm"] for step in done.steps)
    assert sum(taken.values()) == 100
    assert taken["good"] > 60


async def test_a_training_that_is_cut_off_goes_on_with_the_same_arms_and_rewards(sqlite: Store) -> None:
    whole = await train_with_arms(Fake(lambda pairs, _: len(pairs) / 7), PROMPTS, marker(Counter()), sqlite, row(), "t", SHORT)
    expected = await pulls(sqlite)
    kept: list[Progress] = []

    def cut(pairs: Sequence[Pair], n: int) -> float:
        if n == 5:
            raise KeyboardInterrupt
        return len(pairs) / 7

    arms = row(name="again")
    with pytest.raises(KeyboardInterrupt):
        await train_with_arms(Fake(cut), PROMPTS, marker(Counter()), sqlite, arms, "t", SHORT, on_iteration=kept.append)
    assert [len(kept), kept[0].losses] == [1, whole.losses[:1]]
    done = await train_with_arms(Fake(lambda pairs, _: len(pairs) / 7), PROMPTS, marker(Counter()), sqlite, arms, "t", SHORT, kept[0])
    assert (done.losses, done.steps) == (whole.losses, whole.steps)
    assert [value for _, value in await sqlite.updates("again") if value["type"] == PULL] == expected


class Written(Fake):
    """Keeps folders, as a policy of weights does."""

    def __init__(self, model: str, out: Path, training: Any) -> None:
        super().__init__(lambda *_: 1.0)
        self.out = out

    def keep(self, iteration: int) -> None:
        self.write(self.out / f"iteration-{iteration}")

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    def answer(self, prompts: Sequence[str]) -> list[str]:
        return []


async def test_a_training_killed_while_it_tidies_up_is_whole_or_can_go_on(
    played: Any, sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(path: Path, **_: Any) -> None:
        shutil.rmtree(path, ignore_errors=True)
        if path.name in ("iteration-2", "checkpoints"):
            raise KeyboardInterrupt

    monkeypatch.setattr("symposia.laser_policy.LanguageModel", Written)
    monkeypatch.setattr(laser_train, "shutil", SimpleNamespace(rmtree=cut))
    tasks = [laser_train.Task(prompt, prompt, "number", None) for prompt in PROMPTS[:4]]
    settings = {"params": record("laser_pairs")["params"], "test_share": 0.0}
    short = Schedule(iterations=2, batch_size=4, responses=2, pairs=1)
    given: dict[str, Any] = {"model": "m", "out": tmp_path, "tasks": tasks, "settings": settings, "training": None, "schedule": short}
    with pytest.raises(KeyboardInterrupt):
        await laser_train.trained(sqlite, **given)
    made = json.loads((tmp_path / laser_train.RECORD).read_text()) if (tmp_path / laser_train.RECORD).exists() else None
    assert (made and made["stop_reason"] == "iterations") or (tmp_path / "iteration-2").exists()


# -- parameters ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "said"), [({"rubrics": [" "]}, "a rubric is empty"), ({"bandit_kind": "ucb"}, "bandit_kind")])
def test_parameters_that_cannot_be_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        make_params(registry.load("laser"), given)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "sampling.solver.temperature=0"), "all responses to a prompt are one"),
        (("-p", "sampling.solver.top_p=0.9"), "sampling.solver.top_p is set"),
        (("--role", "solver=script/x"), "the role solver is given a model"),
    ],
)
def test_what_the_trained_policy_does_not_do_is_refused(
    words: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rows.jsonl").write_text('{"question": "q"}\n')
    with pytest.raises(SystemExit) as end:
        cli.main(["laser-train", "rows.jsonl", "--model", "m", "-o", "out", *words])
    assert (end.value.code, said in capsys.readouterr().err) == (2, True)


def test_how_the_policy_samples_is_said_by_the_parameters() -> None:
    def found(**given: Any) -> dict[str, Any]:
        return sampling_of(laser_pairs.Params(sampling={"solver": given}).model_dump())

    assert found() == {"temperature": 0.8, "max_tokens": 512}
    assert found(temperature=None, max_tokens=7) == {"temperature": 1.0, "max_tokens": 7}


def test_the_papers_numbers() -> None:
    ours, pairs = laser.Params(), laser_pairs.Params()
    assert (pairs.k, pairs.pairs, ours.alpha, ours.sampling["solver"].temperature) == (30, 10, 0.1, 0.8)
    assert (Schedule().iterations, Schedule().batch_size, Schedule().responses, Schedule().threshold) == (10, 16, 30, 0.1)
