"""The test writer: one unit test for a task, its input chosen to break the code at hand, its output voted on by independent predictions.

What the prompts hold follows UTGen (arXiv 2502.01619, authors' code): a hypothesis about what breaks the code, a call with all arguments by
position, the output of a correct program, input and output under headings of their own. Our own wording. The output that the writer itself
gives is no ballot: predictors who do not see the code work it out anew (with `continue_writer` they go on from the writer's own text, cut
before its output, as the authors do; that takes a model that continues an assistant's turn).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from symposia.nodes.panel import model_for
from symposia.nodes.program_intake import Received
from symposia.state.base import Sample
from symposia.state.channels import grow
from symposia.state.errors import ReplyError
from symposia.state.place import fan
from symposia.tools.completion import Message
from symposia.tools.literals import call_text, read_call, read_value, value_text
from symposia.tools.llm import prompt, quorum, sample
from symposia.tools.programs import CALL, call_recorded, fence

WRITE_TEST = """\
{aim}

Task: {prompt}
Signature: {signature}
{code}
Answer in these parts, each under its heading.

{hypothesis}### Input
Reason about one valid input{which}. End this part with a line that begins with "Arguments:" and holds one call of {entry_point} between
backticks, with all arguments by position, as Python literals, without names: Arguments: `{entry_point}(...)`

### Output
Work out step by step what a correct program returns for this call. End with a line "Output:" and then that value, as a Python literal, in a
fence of three backticks."""

PREDICT = """\
Work out what a correct program for the task below returns for one call.

Task: {prompt}
Signature: {signature}
Call: `{call}`

Reason step by step. End with a line "Output:" and then the value that is returned, as a Python literal, in a fence of three backticks."""

_FAILING = (
    "The code below was written for the task below, and it is wrong: for some valid inputs it does not do what the task asks. Write one "
    "unit test that this code fails and a correct program passes."
)
_VALID = "Write one unit test for the task below: a valid input, and what a correct program returns for it."
_HYPOTHESIS = """\
### Hypothesis
Compare the code with the task, step by step. End with a hypothesis about which inputs break the code.

"""
_LABEL = re.compile(r"arguments?\W{0,4}:", re.IGNORECASE)
_OUTPUT = re.compile(r"output\W{0,4}:", re.IGNORECASE)
_OUTPUT_PART = re.compile(r"^#{1,6}[ \t]*output\b|^\W{0,4}output\W{0,4}:", re.IGNORECASE | re.MULTILINE)
_TRIPLE = re.compile(r"```(?:[a-z0-9]*\n)?(.*?)```", re.DOTALL)
_SINGLE = re.compile(r"`([^`\n]+)`")


class UnitTest(TypedDict):
    """A call and what a correct program returns for it, both as texts of literals."""

    arguments: list[str]
    expected: str
    votes: int
    """Ballots for `expected`, of those asked for."""
    parsed: int
    """Ballots that could be read."""
    reasoning: str
    """What the test writer wrote before its output."""


class Candidate(TypedDict):
    """A test writer's reply; `arguments` is None where no call could be read in it."""

    arguments: list[str] | None
    fault: str | None
    """Why none could be read."""
    reasoning: str


class Ballots(TypedDict):
    """Predictions for one candidate, in the order they were asked for; None for one that could not be read."""

    arguments: list[str]
    reasoning: str
    values: list[str | None]


class Tally(TypedDict):
    """What became of a candidate: `kept`, or `few votes` or `duplicate`."""

    call: str
    votes: int
    parsed: int
    fate: Literal["kept", "few votes", "duplicate"]


class Suite(Received):
    """A test suite in the making."""

    candidates: Annotated[list[Candidate], grow]
    """All that were drawn; their number is the attempts."""
    ballots: NotRequired[list[Ballots]]
    """Of the candidates that were drawn last."""
    tallies: Annotated[list[Tally], grow]
    suite: Annotated[list[UnitTest], grow]


def read_arguments(text: str, entry_point: str) -> list[str]:
    """The arguments of the call after a reply's first label "Arguments:", as texts of literals.

    Raises:
        ReplyError: There is no label, or no call of literals after it.
    """
    label = _LABEL.search(text)
    if label is None:
        raise ReplyError(f"no line 'Arguments:' before a call of {entry_point}")
    return [value_text(value) for value in read_call(text[label.end() :], entry_point)]


def read_output(text: str) -> str:
    """The value in the last fence after a reply's last label "Output:", else in its last backticks, as the text of a literal.

    Raises:
        ReplyError: There is no label, nothing in backticks after it, or no literal in them.
    """
    labels = list(_OUTPUT.finditer(text))
    if not labels:
        raise ReplyError("no line 'Output:'")
    tail = text[labels[-1].end() :]
    spans = _TRIPLE.findall(tail) or _SINGLE.findall(tail)
    if not spans:
        raise ReplyError("no value in backticks after 'Output:'")
    return value_text(read_value(spans[-1]))


def before_output(text: str) -> str:
    """A test writer's reply without its part on the output."""
    label = _LABEL.search(text)
    part = _OUTPUT_PART.search(text, label.end() if label else 0)
    return text[: part.start()].rstrip() if part else text


def writing(params: Mapping[str, Any], given: Mapping[str, Any]) -> list[Message]:
    """The prompt for a test: of the arm `random` without the code, of the others with it and the word that it is wrong."""
    fields = {key: given[key] for key in ("prompt", "signature", "entry_point")}
    if params["mode"] == "random":
        return prompt(params, "test_writer", aim=_VALID, code="", hypothesis="", which="", **fields)
    code = ["\nCode:\n", fence(given["code"]), "\n"]
    return prompt(params, "test_writer", aim=_FAILING, code=code, hypothesis=_HYPOTHESIS, which=" that breaks it", **fields)


def players(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters by which an arm's writer and predictors are played.

    The arms `utgen` and `oracle` have the models of the roles, such as trained ones; `prompted` and `random` the run's stock model.
    Predictors without a model of their own have the writer's.
    """
    if params["mode"] in ("prompted", "random"):
        return {**params, "roles": {k: v for k, v in params["roles"].items() if k not in ("test_writer", "output_predictor")}}
    return model_for(params, "output_predictor", "test_writer")


async def write_tests(params: Mapping[str, Any], given: Mapping[str, Any], n: int) -> list[Sample]:
    """Replies of the test writer, so many at once.

    Raises:
        SymposiaError: None of them came back.
    """
    replies = await sample(players(params), "test_writer", writing(params, given), n)
    quorum(replies, 1)
    return replies


def _candidate(reply: Sample, entry_point: str) -> Candidate:
    text = reply["text"]
    try:
        if reply["status"] != "ok":
            raise ReplyError(f"the reply is {reply['status']}")
        return Candidate(arguments=read_arguments(text, entry_point), fault=None, reasoning=before_output(text))
    except ReplyError as fault:
        return Candidate(arguments=None, fault=fault.message, reasoning=before_output(text))


async def sample_candidate(state: Suite) -> dict[str, Any]:
    """Draw as many candidates as tests are missing, never more than attempts are left."""
    replies = await write_tests(state["params"], state, missing(state))
    return {"candidates": [_candidate(reply, state["entry_point"]) for reply in replies]}


def missing(state: Suite) -> int:
    """How many candidates to draw next: at most 4 for each test of the suite in all."""
    wanted = int(state["params"]["n_tests"])
    return min(wanted - len(state["suite"]), 4 * wanted - len(state["candidates"]))


def drawn_last(state: Suite) -> list[Candidate]:
    """The candidates on which nobody has voted yet and whose call could be read."""
    readable = [c for c in state["candidates"] if c["arguments"] is not None]
    return readable[len(state["tallies"]) :]


async def vote_output(state: Suite) -> dict[str, Any]:
    """Predict `k` times what each candidate's call returns; in the arm `oracle`, ask the right solution."""
    params, candidates = state["params"], drawn_last(state)
    one = _ask_solution if params["mode"] == "oracle" else _predict
    values = await fan([partial(one, state, candidate) for candidate in candidates])
    pairs = zip(candidates, values, strict=True)
    return {"ballots": [Ballots(arguments=c["arguments"] or [], reasoning=c["reasoning"], values=v) for c, v in pairs]}


async def _predict(state: Suite, candidate: Candidate) -> list[str | None]:
    params = players(state["params"])
    if params["continue_writer"]:
        messages = [*writing(params, state), {"role": "assistant", "content": [candidate["reasoning"]]}]
    else:
        called = call_text(state["entry_point"], candidate["arguments"] or [])
        messages = prompt(params, "output_predictor", prompt=state["prompt"], signature=state["signature"], call=called)
    replies = await sample(params, "output_predictor", messages, params["k"])
    quorum(replies, params["quorum"])
    return [_ballot(reply["text"]) if reply["status"] == "ok" else None for reply in replies]


def _ballot(text: str) -> str | None:
    try:
        return read_output(text)
    except ReplyError:
        return None


async def _ask_solution(state: Suite, candidate: Candidate) -> list[str | None]:
    """What the right solution returns, within a second; it stands for all ballots."""
    bounds = replace(CALL, wall_seconds=1.0, cpu_seconds=1.0)
    called = await call_recorded(state["canonical_solution"], state["entry_point"], candidate["arguments"] or [], bounds)
    return [called["text"] if called["status"] == "ok" else None] * state["params"]["k"]


def bar_of(params: Mapping[str, Any]) -> int:
    """The votes a test needs: a share of the ballots asked for, halves rounded to the even number as Python does, at least 1."""
    return max(1, round(float(params["bar"]) * int(params["k"])))


def winner(values: Sequence[str | None]) -> tuple[str | None, int]:
    """The value with the most ballots and their number; of equals the one met first, None without any ballot."""
    counts = Counter(value for value in values if value is not None)
    return counts.most_common(1)[0] if counts else (None, 0)


def tally(state: Suite) -> dict[str, Any]:
    """Keep the candidates whose winning output has enough votes, and whose arguments no test has yet."""
    suite, tallies = list(state["suite"]), []
    for ballots in state["ballots"]:
        value, votes = winner(ballots["values"])
        enough = value is not None and votes >= bar_of(state["params"])
        parsed = sum(v is not None for v in ballots["values"])
        known = any(same_arguments(ballots["arguments"], test["arguments"]) for test in suite)
        if value is not None and enough and not known:
            arguments, reasoning = ballots["arguments"], ballots["reasoning"]
            suite.append(UnitTest(arguments=arguments, expected=value, votes=votes, parsed=parsed, reasoning=reasoning))
        fate: Literal["kept", "few votes", "duplicate"] = "few votes" if not enough else "duplicate" if known else "kept"
        called = call_text(state["entry_point"], ballots["arguments"])
        tallies.append(Tally(call=called, votes=votes, parsed=parsed, fate=fate))
    return {"suite": suite[len(state["suite"]) :], "tallies": tallies}


def same_arguments(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two calls have equal arguments; what cannot be compared is not equal."""
    try:
        return list(one) == list(other) or [read_value(text) for text in one] == [read_value(text) for text in other]
    except (RecursionError, ValueError, TypeError):
        return False
