"""Graders: whether a run's answer is the known one, decided by a rule or by a language model that judges.

| grader | an answer is correct when |
|---|---|
| `auto` | it equals the reference as `tools.equality.same` decides: numbers within 0.01, letters, words, then symbolic algebra |
| `exact` | it is the reference's text, outer blanks apart; case and inner blanks count, and 18.0 is written 18 |
| `math` | as `auto`, between the final answers of both texts: the contents of the last box, or what follows "####" |
| `code` | the program in it passes the tests that the reference holds (a text of Python or a list of them), run in the sandbox |
| `letter` | it names the same option; "B", "(B)" and "(B) 5 cm" name B |
| `judge` | a model that sees the question says so twice, with the two answers in both orders |

Where the reference is Python with assertions, `auto` is `code`. The tests of a row are its fields `test` or `test_list`, with
`test_imports` and `entry_point`, unless a reference is mapped. A program in an answer is its first fence, or the whole text.

A run without an answer is wrong; one that failed or has no reference is not graded (None). The judge's calls are effects of a small run of
their own, whose id comes from the graded run's and all that they depend on, with its entries in the same store: grading again, or after a
kill, buys only what is missing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from langgraph.graph import END, START

from symposia.nodes.grader import ORDERS, Case, Judged, Params
from symposia.nodes.grader import grade as judge_step
from symposia.records import any_same, known_answers
from symposia.result import ledger
from symposia.state.base import Sample
from symposia.state.errors import BadInput, ReplyError, UnknownName, shorten
from symposia.state.graph import JournaledGraph, StateGraph
from symposia.state.journal import Run, opened
from symposia.state.packing import digest_of, sound
from symposia.state.store import Store
from symposia.tools.answers import extract, last_box, letter
from symposia.tools.checkers import holds_tests, read_tests
from symposia.tools.programs import check, passed_all, read_code

__all__ = ["GRADERS", "NO_CALLS", "Grade", "Params", "check_grader", "grade", "judge_params", "question_of"]

GRADERS = ("auto", "exact", "math", "code", "letter", "judge")
NO_CALLS: dict[str, Any] = {
    "calls": {"live": 0, "replayed": 0},
    "requests": 0,
    "usage": {"prompt_tokens": 0, "completion_tokens": 0},
    "cost_usd": 0.0,
}
"""What a grading costs that calls no model."""


@dataclass(frozen=True)
class Grade:
    """Whether an answer is correct, why, and what finding out cost."""

    correct: bool | None
    """None: there is nothing to compare, or the judge's calls failed."""
    detail: dict[str, Any] | None = None
    """Of tests: `{grader, passed, total, first_failure}`; of a judge:
    `{grader, model, verdicts, replies, undecided, error, journal}`; `undecided` says why two verdicts do not count."""
    spent: dict[str, Any] = field(default_factory=lambda: NO_CALLS)
    """`{calls: {live, replayed}, requests, usage: {prompt_tokens, completion_tokens}, cost_usd}`, in completions, HTTP requests and USD."""


def judge_params(model: str | None, *, prompt: str | None = None, seed: int | None = None, max_reasks: int = 2) -> Params:
    """The judge's parameters, checked.

    Args:
        model: LiteLLM name of the judge.
        prompt: A template in place of ours, with some of `{question}`, `{first}` and `{second}`.
        seed: Sent along where the provider takes one.
        max_reasks: How often a verdict that cannot be read is asked for again.

    Raises:
        BadInput: No model is named, or a toy, which cannot judge; the prompt has an unknown placeholder.
    """
    if not model:
        raise BadInput("the grader 'judge' needs a model", remedy="name one: --judge-model M, or [roles] grader in symposia.toml")
    if model.startswith("toy/"):
        raise BadInput(f"{model} cannot judge: toys play no grader", remedy="name a language model: --judge-model M")
    try:
        return Params(model=model, seed=seed, max_reasks=max_reasks, prompts={"grader": prompt} if prompt else {})
    except ValueError as error:
        raise BadInput(f"the judge's parameters: {shorten(str(error))}", remedy="see the placeholders of its prompt") from None


def check_grader(grader: str, params: Params | None, references: Iterable[tuple[str, Any]]) -> None:
    """Find out before any call whether a grader can grade these rows.

    Args:
        grader: One of `GRADERS`.
        params: What `judge_params` gives, for the judge.
        references: The place of each row and its known answer, None where there is none.

    Raises:
        BadInput: No such grader, a judge without a model, no row with a reference, a reference that is no answer, none from A to J for the
            grader `letter`, or one without tests for the grader `code`.
    """
    if grader not in GRADERS:
        raise UnknownName.of("grader", grader, GRADERS, remedy=f"there are {', '.join(GRADERS)}")
    if grader == "judge" and params is None:
        judge_params(None)
    known = [(place, reference) for place, reference in references if reference is not None]
    if not known:
        raise BadInput("no row has a reference to grade against", remedy="give rows a field `answer` or `reference`")
    for place, reference in known:
        try:
            answers = known_answers(reference)
        except BadInput as error:
            raise BadInput(error.message, remedy=error.remedy, place=place) from None
        if grader == "letter" and not any(_option(one) for one in answers):
            what = f"the reference {shorten(str(reference), 60)!r} names no option from A to J"
            raise BadInput(what, remedy="take another grader, such as --grader auto", place=place)
        if grader == "code" and not holds_tests(reference):
            what = f"the reference {shorten(str(reference), 60)!r} holds no Python with assertions"
            raise BadInput(what, remedy="give rows a field test or test_list, or map one: --map reference=FIELD", place=place)


async def grade(
    store: Store | None,
    line: Mapping[str, Any],
    question: str | None,
    grader: str,
    params: Params | None = None,
    on_open: Callable[[Run], None] | None = None,
) -> Grade:
    """Grade a finished run; of several known answers any will do.

    Args:
        store: Where the judge's calls are kept; None keeps them in memory.
        line: Of the run: `run_id`, `status`, `answer` and `reference`.
        question: What the run was asked, for the judge; `question_of` finds it.
        grader: One of `GRADERS`.
        params: What `judge_params` gives, for the judge.
        on_open: Is given the open run of a judge, for whoever may have to stop it.

    Raises:
        BadInput: The judge lacks its model or the question; no such grader; the reference is no text, number or list of these.
        Stopped: The judge's run takes no new work.
    """
    answer, reference = line.get("answer"), line.get("reference")
    if reference is None or line["status"] not in ("ok", "no_answer"):
        return Grade(None)
    if line["status"] == "no_answer" or answer is None:
        return Grade(False)
    match grader:
        case "code":
            return await _run_tests(answer, reference)
        case "auto" if holds_tests(reference):
            return await _run_tests(answer, reference)
        case "auto":
            return Grade(await any_same(reference, answer))
        case "exact":
            return Grade(_written(answer) in [_written(one) for one in known_answers(reference)])
        case "math":
            return Grade(await any_same([_final(one) for one in known_answers(reference)], _final(answer)))
        case "letter":
            options = {_option(one) for one in known_answers(reference)} - {None}
            return Grade(_option(answer) in options if options else None)
        case "judge":
            known = " or ".join(_written(one) for one in known_answers(reference))
            return await _judge(store, {**line, "reference": known}, question, params or judge_params(None), on_open)
    raise UnknownName.of("grader", grader, GRADERS, remedy=f"there are {', '.join(GRADERS)}")


async def _run_tests(answer: Any, reference: Any) -> Grade:
    """Whether the program in an answer passes all tests; an answer that is none, a number or tests itself, is not graded."""
    if not isinstance(answer, str) or "test_list" in read_tests(answer):
        return Grade(None)
    found = await check(read_code(str(answer)), read_tests(reference))
    return Grade(passed_all(found), {"grader": "code", **found})


def question_of(record: Mapping[str, Any]) -> str | None:
    """What a run was asked: its question, else the last message of its chat; None for a method that takes neither."""
    given = record["input"]
    if isinstance(given.get("question"), str) and given["question"].strip():
        return str(given["question"])
    last = given["messages"][-1] if given.get("messages") else None
    content = last.get("content") if isinstance(last, Mapping) else None
    return content if isinstance(content, str) and content.strip() else None


def _written(answer: Any) -> str:
    """An answer as text, a number with a whole value as a whole number."""
    whole = isinstance(answer, float) and answer.is_integer()
    return str(int(answer) if whole else answer).strip()


def _final(answer: Any) -> Any:
    """The final answer of a text that marks one, such as a whole solution; any other answer as it is."""
    if not isinstance(answer, str):
        return answer
    box = last_box(answer)
    return box if box is not None else extract(answer, "auto") if "####" in answer else answer


def _option(answer: Any) -> str | None:
    """The option an answer names."""
    found = letter(answer) or extract(str(answer), "letter")
    return found if isinstance(found, str) else None


@cache
def _graph() -> JournaledGraph[Judged, None, Case, Judged]:
    """One node: what a place and a digest need."""
    builder = StateGraph(Judged, input_schema=Case)
    builder.add_node("grade", judge_step)
    builder.add_edge(START, "grade").add_edge("grade", END)
    return builder.compile()


async def _judge(
    store: Store | None, line: Mapping[str, Any], question: str | None, params: Params, on_open: Callable[[Run], None] | None
) -> Grade:
    """Ask the judge, reading from the journal what it said before; calls that failed are made again."""
    if question is None:
        raise BadInput(f"run {line['run_id']} was asked no question a judge could see", remedy="take another grader than judge")
    known, answer = sound(_written(line["reference"])), sound(_written(line["answer"]))
    case = Case(params=params.model_dump(mode="json"), question=sound(question), reference=known, candidate=answer)
    run_id = f"{line['run_id']}g{digest_of(dict(case)).hex()[:15]}"
    entries = await store.entries(run_id) if store else []
    failures = [e for e in entries if "error" in e.outcome]
    if store:
        await store.drop(run_id, failures)
    run = Run(run_id, store, [e for e in entries if e not in failures])
    if on_open:
        on_open(run)
    async with opened(run):
        state = await _graph().ainvoke(case)
    replies: list[Sample] = state["replies"]
    found = ledger([*run.entries, *run.live])
    live = sum(e.usage.calls for e in run.live)
    spent = {key: found[key] for key in ("requests", "usage", "cost_usd")}
    spent["calls"] = {"live": live, "replayed": found["calls"] - live}
    return _verdict(replies, params, run_id, spent)


def _verdict(replies: list[Sample], params: Params, run_id: str, spent: dict[str, Any]) -> Grade:
    """Two verdicts as one: correct when both say so; a judge that contradicts itself has not confirmed the answer."""
    errors = [_error(reply) for reply in replies if reply["status"] != "ok"]
    verdicts = [reply["value"] if reply["status"] == "ok" else None for reply in replies]
    undecided = "orders disagree" if not errors and verdicts[0] != verdicts[1] else None
    detail = {
        "grader": "judge",
        "model": params.roles.get("grader", params.model),
        "verdicts": dict(zip(ORDERS, verdicts, strict=True)),
        "replies": [shorten(reply["text"], 300) for reply in replies],
        "undecided": undecided,
        "error": errors[0] if errors else None,
        "journal": run_id,
    }
    return Grade(None if errors else all(verdicts), detail, spent)


def _error(reply: Sample) -> dict[str, Any]:
    """Why a reply gives no verdict; a refusal or a cut is an error of the reply."""
    if "error" in reply:
        return reply["error"]
    what = {"refused": "the judge refused to answer", "truncated": "the judge's reply was cut off"}[reply["status"]]
    return ReplyError(f"{what}: {shorten(reply['text'], 80)}", remedy="take another judge: --judge-model M").to_record()
