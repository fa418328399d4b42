"""The referee of a debate between two sides, who may end it after each round; and the judges who decide what it left open.

The order of the steps follows MAD (arXiv 2305.19118). The referee keeps its own log of rounds and rulings; lister and judge come fresh.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from symposia.nodes.debater import SILENT, conversation
from symposia.nodes.extract import Rounds
from symposia.nodes.prompts import answer_format
from symposia.state.base import Answer
from symposia.state.channels import grow
from symposia.state.errors import ReplyError, shorten
from symposia.state.packing import sound
from symposia.tools.answers import extract
from symposia.tools.completion import Message
from symposia.tools.equality import canon
from symposia.tools.llm import Parser, ask, prompt, quorum

RULE = """\
You are the referee of a debate on the problem below. Weigh the arguments that both sides have given in this round. Is there now a clear
preference for one side? If there is, say for which one, why, and what the answer to the problem is; if not, the debate goes on.

Problem: {question}

Argument of the affirmative side:
{affirmative}

Argument of the negative side:
{negative}

Reply with one JSON object and nothing else: {{"settled": true or false, "side": "affirmative", "negative" or null, "reason": "why",
"answer": "the final answer alone, as text", or null}}."""

LIST = """\
A debate on the problem below has ended without a decision. List the candidate answers that its two sides have given, each once and in the
form asked for. Do not argue for any. {answer_format}

Problem: {question}

{arguments}"""

CHOOSE = """\
A debate on the problem below has ended without a decision. Compare the candidate answers in the light of both sides' arguments, choose one
of them and say why. {answer_format}

Problem: {question}

{arguments}

Candidate answers:
{candidates}"""


class Ruling(BaseModel):
    """What a referee says after a round."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    settled: bool
    side: Literal["affirmative", "negative"] | None
    reason: str
    answer: str | None


class Verdict(TypedDict):
    """A ruling as it counts: settled only with a side's answer that the task can read."""

    settled: bool
    side: str | None
    reason: str
    answer: Answer | None


class Refereed(Rounds):
    """One speech per list of `chains`, the affirmative side's first; the rulings on each two of them, as said and as they count."""

    rulings: Annotated[list[str], grow]
    verdicts: Annotated[list[Verdict], grow]
    candidates: NotRequired[str]
    choice: NotRequired[str]


def speech(state: Rounds, turn: int) -> str:
    """What was said in a turn, or that nothing was."""
    said: str = state["chains"][turn][0]
    return said or SILENT


def stated(answer: str | None, task: str) -> Answer | None:
    """The answer in a JSON field, read as one in a box of a text."""
    text = sound(answer or "").strip()
    return extract(text if "\\boxed" in text else f"\\boxed{{{text}}}", task) if text else None


async def known(state: Rounds, answer: Answer | None) -> Answer | None:
    """An answer in the form in which a side has given it before."""
    before = list(dict.fromkeys(a for answers in state["answers"] for a in answers if a is not None))
    return (await canon([answer], before, state["task"]))[0]


async def referee(state: Refereed) -> dict[str, Any]:
    """Rule on the newest two speeches; a ruling that stays unreadable, or settles without an answer, settles nothing.

    Raises:
        SymposiaError: The referee could not be reached.
    """
    params, round_ = state["params"], len(state["verdicts"])

    def asked(r: int) -> list[Message]:
        sides = {"affirmative": speech(state, 2 * r), "negative": speech(state, 2 * r + 1)}
        return prompt(params, "referee", question=state["question"], **sides)

    log = conversation((asked(r), state["rulings"][r]) for r in range(round_))
    reply = await ask(params, "referee", [*log, *asked(round_)], schema=Ruling)
    quorum([reply], 1)
    said = Ruling(**reply["value"]) if reply["status"] == "ok" else Ruling(settled=False, side=None, reason="", answer=None)
    answer = await known(state, stated(said.answer, state["task"]))
    verdict = Verdict(settled=said.settled and answer is not None, side=said.side, reason=sound(said.reason), answer=answer)
    return {"rulings": [reply["text"]], "verdicts": [verdict]}


def arguments(state: Rounds) -> list[str]:
    """The first and the last argument of each side, as parts of a prompt; once where a side spoke once."""
    parts = []
    for side, name in enumerate(("affirmative", "negative")):
        turns = range(side, len(state["chains"]), 2)
        parts += [f"First argument of the {name} side:\n", speech(state, turns[0]), "\n\n"]
        parts += [f"Last argument of the {name} side:\n", speech(state, turns[-1]), "\n\n"] if len(turns) > 1 else []
    return parts[:-1]


async def candidates(state: Refereed) -> dict[str, Any]:
    """List the answers of both sides, without taking a side.

    Raises:
        SymposiaError: The lister could not be reached.
    """
    params, form = state["params"], answer_format(state["task"])
    messages = prompt(params, "lister", question=state["question"], arguments=arguments(state), answer_format=form)
    reply = await ask(params, "lister", messages)
    quorum([reply], 1)
    return {"candidates": reply["text"]}


def answer_reader(task: str) -> Parser:
    """A parser of the answer that a text ends with."""

    def read(text: str) -> Answer:
        answer = extract(text, task)
        if answer is None:
            raise ReplyError(f"the reply states no answer; it ends with '{shorten(text[-80:])}'")
        return answer

    return read


async def choose(state: Refereed) -> dict[str, Any]:
    """Choose one of the candidates; a choice that stays unreadable leaves no answer.

    Raises:
        SymposiaError: The judge could not be reached.
    """
    params, form = state["params"], answer_format(state["task"])
    fields = {"arguments": arguments(state), "candidates": state.get("candidates") or "(none)", "answer_format": form}
    reply = await ask(params, "judge", prompt(params, "judge", question=state["question"], **fields), parse=answer_reader(state["task"]))
    quorum([reply], 1)
    return {"choice": reply["text"], "answer": await known(state, reply["value"]) if reply["status"] == "ok" else None}
