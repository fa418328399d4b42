"""What `symposia laser-train` does: LASeR's training of a model on the pairs of reward models that a bandit chooses."""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symposia.laser_training import Mark, Progress, Schedule, train_with_arms
from symposia.state.errors import BadInput, StoreError
from symposia.state.journal import Run, opened
from symposia.state.packing import digest_of
from symposia.state.place import fan
from symposia.state.store import Store

if TYPE_CHECKING:
    from symposia.laser_policy import LanguageModel

PROGRESS, RECORD, METHOD = "progress.json", "laser.json", "laser_pairs"


@dataclass(frozen=True)
class Task:
    """A row to train or to measure on: what the policy is asked, the question in it, the form of the answer, and the known one."""

    prompt: str
    question: str
    task: str
    answer: Any


def tasks_of(data: Path, template: str) -> list[Task]:
    """The rows of the file, each question once.

    Raises:
        BadInput: A row has no question; all such rows are named.
    """
    from symposia.inputs import REFERENCES
    from symposia.nodes.prompts import answer_format
    from symposia.rows import check_task
    from symposia.sources import Problems, read_jsonl
    from symposia.tools.llm import parts

    found: dict[str, Task] = {}
    problems = Problems()
    for place, row in read_jsonl(data):
        with problems.caught():
            question, task = row.get("question"), row.get("task") or "auto"
            if not isinstance(question, str) or not question.strip():
                raise BadInput("the row has no `question`", remedy="give every row a text there", place=place)
            check_task(task)
            prompt = "".join(parts(template, {"question": question, "answer_format": answer_format(task)}))
            answer = next((row[name] for name in REFERENCES if row.get(name) is not None), None)
            found.setdefault(question, Task(prompt, question, task, answer))
    problems.check()
    return list(found.values())


async def trained(
    store: Store, *, model: str, out: Path, tasks: Sequence[Task], settings: Mapping[str, Any], training: Any, schedule: Schedule
) -> dict[str, Any]:
    """Train in an open store, and write the model and the record."""
    from symposia.laser_policy import LanguageModel
    from symposia.nodes.bandit_arms import bandit_row
    from symposia.output import say

    key = "laser-train-" + digest_of([settings, [asdict(task) for task in tasks]]).hex()[:10]
    progress = _progress(out, key)
    begun = len(progress.losses)
    row = bandit_row(settings["params"], embedder=model)
    training_set, test_set = _split(tasks, settings["test_share"], schedule.seed)
    policy = LanguageModel(str(out / f"iteration-{begun}") if begun else model, out, training)
    before = progress.before if begun else await _accuracy(policy, test_set)
    progress.before = before

    def kept(now: Progress) -> None:
        say(f"iteration {len(now.losses)}: mean loss {now.losses[-1]}")
        _write(out / PROGRESS, {"key": key, **asdict(now)})
        shutil.rmtree(out / f"iteration-{len(now.losses) - 1}", ignore_errors=True)

    mark = _marker(store, settings["params"], {task.prompt: task.question for task in training_set})
    prompts = [task.prompt for task in training_set]
    done = await train_with_arms(policy, prompts, mark, store, row, key, schedule, progress, kept)
    record = {**settings, "bandit": row.name, **asdict(done), "after": await _accuracy(policy, test_set)}
    policy.write(out)
    _write(out / RECORD, record)  # before what it would be made from again goes
    (out / PROGRESS).unlink()
    shutil.rmtree(out / f"iteration-{len(done.losses)}", ignore_errors=True)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return record


def _progress(out: Path, key: str) -> Progress:
    """How far the same training has come in this folder.

    Raises:
        BadInput: The folder holds another training.
    """
    if not (out / PROGRESS).exists():
        return Progress()
    found = json.loads((out / PROGRESS).read_text(encoding="utf-8"))
    if found.pop("key") != key:
        raise BadInput(f"{out} holds a training with other settings or rows", remedy="name another folder with -o")
    return Progress(**found)


def _split(tasks: Sequence[Task], share: float, seed: int) -> tuple[list[Task], list[Task]]:
    """The rows to train on, and those of known answers to measure on.

    Raises:
        BadInput: None is left to train on.
    """
    known = [task for task in tasks if task.answer is not None]
    kept = random.Random(seed).sample(known, round(share * len(known)))
    rest = [task for task in tasks if task not in kept]
    if not rest:
        raise BadInput("there is no row to train on", remedy="give more, or a smaller --test-share")
    return rest, kept


def _marker(store: Store, params: Mapping[str, Any], questions: Mapping[str, str]) -> Mark:
    """Asks an arm, in a journal of the batch's own: what a training that was cut off has paid for is read again."""
    from symposia.tools.reward_arms import mark

    async def marked(key: str, arm: int, responses: Sequence[Sequence[str]], prompts: Sequence[str]) -> list[list[float | None]]:
        asked = [
            partial(mark, params, arm, questions[prompt], text) for prompt, texts in zip(prompts, responses, strict=True) for text in texts
        ]
        async with opened(Run(key, store, await store.entries(key))):
            found = iter(await fan(asked))
        return [[next(found) for _ in texts] for texts in responses]

    return marked


async def _accuracy(policy: "LanguageModel", tasks: Sequence[Task]) -> float | None:
    """The share of the rows that a single greedy response answers rightly, in 0..1; None without rows."""
    from symposia.records import known_answers
    from symposia.tools.answers import extract
    from symposia.tools.equality import same

    right = 0
    for task, text in zip(tasks, policy.answer([task.prompt for task in tasks]), strict=True):
        answer = extract(text, task.task)
        right += answer is not None and any([await same(one, answer) for one in known_answers(task.answer)])
    return right / len(tasks) if tasks else None


def _write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}", remedy="name another folder with -o") from error
