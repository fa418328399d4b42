"""The roles of the methods that run code: they read the task, compute, change the syntax tree and look what the sandbox says.

A toy reads tasks in the English of `tools/toy/lists.py`. It works an expected output out step by step, each going wrong with chance
`error`. It corrects code by trying every small edit of `tools/toy/mutants.py` against the feedback and taking one of those that satisfy it;
with chance `error` it takes any edit at all. Its chance of a right verdict on code is `check`. It never sees a right solution, but for the
roles that are given one to spoil or to explain.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from symposia.state.errors import ReplyError
from symposia.tools.literals import call_text, equal, read_call, read_value, value_text
from symposia.tools.programs import fence, read_code
from symposia.tools.toy.inputs import invent
from symposia.tools.toy.lists import NoResult, Task, read_task, slipped, work_out
from symposia.tools.toy.mutants import Mutant, mutants
from symposia.tools.toy.roles import Skill
from symposia.tools.toy.trials import try_all

UNREADABLE: Final = "I cannot read this task: it is not written in the few sentence forms that I know."

TRIES: Final = 30
"""Inputs invented at most until the task says what comes out for one."""

PAIRS: Final = (30, 8)
"""Edits of which further edits are tried, and how many of each, where no single edit satisfies the feedback."""

LOOKS: Final = 6
"""Inputs on which a toy tries code that it looks at."""

_FIELD: Final = r"^{}:[ \t]*(.+)$"
_FEEDBACK: Final = re.compile(r"^Input: (.+)\nThe code gives: .*\nExpected: (.+)$", re.MULTILINE)
_ASSERTED: Final = re.compile(r"assert (\w+\(.*\)) == (.+)")
_MENTIONED: Final = re.compile(r"^Look at `(.+)`", re.MULTILINE)
_PLAIN_EDITS: Final = frozenset({"comparison", "operator", "constant", "condition", "bound", "index", "slice", "indent", "order"})


class Case(NamedTuple):
    """A call that was shown: its arguments, and the value expected; without one, any value but the present one is an improvement."""

    args: list[Any]
    expected: str | None


class Chat(NamedTuple):
    """A chat about a program: the task's text and signature, the code at hand, and the last message."""

    task: str
    signature: str
    code: str
    last: str
    messages: Sequence[Mapping[str, str]]

    @property
    def entry(self) -> str:
        """The name of the function."""
        return self.signature.removeprefix("def ").split("(")[0].strip()


def about_program(messages: Sequence[Mapping[str, str]]) -> Chat | None:
    """The chat as one about a program; None when it is about something else."""
    first = next((m["content"] for m in messages if m["role"] == "user"), "")
    task, signature = _field(first, "Task"), _field(first, "Signature")
    if not task or not signature:
        return None
    codes = [read_code(m["content"]) for m in messages if "```" in m["content"]]
    return Chat(task, signature, next((code for code in reversed(codes) if "def " in code), ""), messages[-1]["content"], messages)


def _field(text: str, name: str) -> str:
    found = re.search(_FIELD.format(name), text, re.MULTILINE)
    return found[1].strip() if found else ""


async def play(chat: Chat, skill: Skill, rng: random.Random) -> str:
    """Play the role that the chat asks for, known by the form of reply that its last message names."""
    if chat.messages[-1]["role"] == "assistant":
        return predict(chat, chat.last, skill, rng)
    if _field(chat.last, "Call") and _field(chat.last, "Expected"):
        return explain(chat, skill, rng)
    if "### Input" in chat.last:
        return await write_test(chat, skill, rng)
    if _field(chat.last, "Call"):
        return predict(chat, chat.last, skill, rng)
    if '"The code is wrong."' in chat.last:
        return await judge(chat, skill, rng)
    if "subtle bug" in chat.last:
        return spoil(chat, skill, rng)
    return await repair(chat, skill, rng)


async def write_test(chat: Chat, skill: Skill, rng: random.Random) -> str:
    """A unit test: an input, to break the code if there is one to break, and the output, worked out with slips."""
    task, hard = read_task(chat.task, chat.signature), "### Hypothesis" in chat.last
    found = await _telling(task, chat, skill, rng) if task and hard else _example(task, rng, False) if task else None
    if task is None or found is None:
        return UNREADABLE
    call = _call(chat.entry, found)
    guess = f"### Hypothesis\nThe code may not have been written with such inputs as {call} in mind.\n\n" if hard else ""
    return f"{guess}### Input\nThis is a valid call.\nArguments: `{call}`\n\n### Output\n{_worked(task, found, skill, rng)}"


async def _telling(task: Task, chat: Chat, skill: Skill, rng: random.Random) -> list[Any] | None:
    """An input to break the code: with chance `check` one on which it is seen to go wrong, else one that programs tend to get wrong."""
    if rng.random() >= skill.check:
        return _example(task, rng, True)
    inputs, wrong = await _look(task, chat, rng)
    return rng.choice(wrong or inputs) if inputs else None


async def _look(task: Task, chat: Chat, rng: random.Random) -> tuple[list[list[Any]], list[list[Any]]]:
    """A few inputs on which the code was tried, and those of them for which it does not give what the task asks for."""
    inputs = [args for _ in range(LOOKS) if (args := _example(task, rng, True)) is not None]
    given = (await try_all([chat.code], chat.entry, inputs))[0] if inputs else []
    return inputs, [args for args, got in zip(inputs, given, strict=True) if not _same(got, value_text(work_out(task, args)[-1][1]))]


def predict(chat: Chat, text: str, skill: Skill, rng: random.Random) -> str:
    """The output of a correct program for the call that the text names last, worked out with slips."""
    task, args = read_task(chat.task, chat.signature), None
    for said in re.findall(r"(?:Call|Arguments):\s*`(.+)`", text):
        args = _arguments(said, chat.entry)
    if task is None or args is None:
        return UNREADABLE
    return _worked(task, args, skill, rng)


def explain(chat: Chat, skill: Skill, rng: random.Random) -> str:
    """Hypothesis, reason and steps for an output that is given; it slips at the value with chance `error`."""
    task, call, value = read_task(chat.task, chat.signature), _field(chat.last, "Call").strip("`"), _field(chat.last, "Expected").strip("`")
    args = _arguments(call, chat.entry)
    steps = _steps(task, args, Skill(0.0, 1.0), rng)[0] if task and args is not None else "Read the task, one phrase after the other."
    said = value_text(slipped(_literal(value), rng)) if rng.random() < skill.error else value
    return (
        f"### Hypothesis\nThe code goes wrong on inputs like that of {call}.\n\n### Input\nThe task covers this call, and the code was "
        f"hardly written with it in mind.\nArguments: `{call}`\n\n### Output\n{steps}\nOutput:\n```\n{said}\n```"
    )


async def judge(chat: Chat, skill: Skill, rng: random.Random) -> str:
    """A verdict on the code without a test to show: it is tried on a few inputs, and misjudged with chance 1 - `check`."""
    task = read_task(chat.task, chat.signature)
    inputs, wrong = await _look(task, chat, rng) if task else ([], [])
    if bool(wrong) == (rng.random() < skill.check) and inputs:
        return f"Feedback:\nLook at `{_call(chat.entry, (wrong or inputs)[0])}`: this is not what the task asks for.\nThe code is wrong."
    return "Feedback:\nI followed the code and found nothing that the task does not ask for.\nThe code is correct."


def spoil(chat: Chat, skill: Skill, rng: random.Random) -> str:
    """A right program with one small mistake put in; with chance `error` unchanged."""
    edits = [edit for edit in mutants(chat.code) if edit.kind in _PLAIN_EDITS] or [Mutant("", chat.code)]
    return fence(chat.code if rng.random() < skill.error else rng.choice(edits).code)


async def repair(chat: Chat, skill: Skill, rng: random.Random) -> str:
    """The code with an edit that satisfies all that was shown, chosen at random; with chance `error` with any edit."""
    edits = mutants(chat.code)
    if not edits:
        return f"I cannot read this code.\n{fence(chat.code)}"
    cases = _cases(chat)
    fitting: list[Mutant] = []
    if cases and rng.random() >= skill.error:
        fitting = await _fitting(edits, chat, cases)
        if not fitting:
            n, each = PAIRS
            some = [edit for first in rng.sample(edits, min(n, len(edits))) for edit in _some(mutants(first.code), each, rng)]
            fitting = await _fitting(some, chat, cases)
    edit = rng.choice(fitting or edits)
    return f"One edit, of the kind {edit.kind}.\n{fence(edit.code)}"


def _some(edits: Sequence[Mutant], n: int, rng: random.Random) -> list[Mutant]:
    return rng.sample(edits, min(n, len(edits)))


async def _fitting(edits: Sequence[Mutant], chat: Chat, cases: Sequence[Case]) -> list[Mutant]:
    """The edits that give what is expected for every case, and another value than now where none is known."""
    found = await try_all([chat.code, *(edit.code for edit in edits)], chat.entry, [case.args for case in cases])
    now = found[0]

    def fits(given: Sequence[str]) -> bool:
        return all(
            not got.startswith("!") and (got != old if case.expected is None else _same(got, case.expected))
            for got, old, case in zip(given, now, cases, strict=True)
        )

    return [edit for edit, given in zip(edits, found[1:], strict=True) if fits(given)]


def _cases(chat: Chat) -> list[Case]:
    """What the chat shows: an example in the task, the failing tests, and the call that a judge named."""
    users = [m["content"] for m in chat.messages if m["role"] == "user"]
    shown = [pair for text in users[:1] for pair in _ASSERTED.findall(text)] + [pair for text in users for pair in _FEEDBACK.findall(text)]
    found = [Case(args, value) for call, value in shown if (args := _arguments(call, chat.entry)) is not None]
    return found + [Case(args, None) for call in _MENTIONED.findall(chat.last) if (args := _arguments(call, chat.entry)) is not None]


def _example(task: Task, rng: random.Random, hard: bool) -> list[Any] | None:
    """Arguments for which the task says what comes out."""
    for _ in range(TRIES):
        args = invent(task, rng, hard)
        try:
            work_out(task, args)
        except NoResult:
            continue
        return args
    return None


def _worked(task: Task, args: Sequence[Any], skill: Skill, rng: random.Random) -> str:
    steps, value = _steps(task, args, skill, rng)
    return f"{steps}\nOutput:\n```\n{value}\n```" if value else steps


def _steps(task: Task, args: Sequence[Any], skill: Skill, rng: random.Random) -> tuple[str, str]:
    """The reasoning, a line a step, and the value's `repr`, empty when there is none."""
    try:
        trace = work_out(task, args, rng, skill.error)
    except NoResult as why:
        return f"The task does not say what comes out here: {why}.", ""
    return "\n".join(f"{phrase[:1].upper()}{phrase[1:]}: {value!r}" for phrase, value in trace), value_text(trace[-1][1])


def _call(entry: str, args: Sequence[Any]) -> str:
    return call_text(entry, [value_text(arg) for arg in args])


def _arguments(call: str, entry: str) -> list[Any] | None:
    """The arguments of a call written out; None when it is no call of literals."""
    try:
        return read_call(call, entry)
    except ReplyError:
        return None


def _literal(text: str) -> Any:
    try:
        return read_value(text)
    except ReplyError:
        return text


def _same(got: str, expected: str) -> bool:
    """Whether two values, written out, are equal."""
    return not got.startswith("!") and equal(_literal(got), _literal(expected))
