"""The debater: a turn of one speaker, or of all agents at once, over what was said before.

A debate is kept as rounds of `chains`, never as logs: an agent's own conversation is built again from them at each turn, so a checkpoint
holds every text once and a permuted or resumed round shows the same messages.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from symposia.nodes.extract import Rounds
from symposia.state.base import Sample
from symposia.state.place import fan
from symposia.tools.completion import Message
from symposia.tools.llm import Parser, ask, quorum

DEBATE = """\
{advice} Work in numbered steps: start every step on a new line with its label, "Step 1:", "Step 2:" and so on.
{answer_format}

Problem: {question}
{others}"""

OPPOSE = """\
You are the negative side of a debate on the problem below. {manner}
Say where and why you disagree with the argument of the affirmative side, then give your own solution in numbered steps, "Step 1:",
"Step 2:" and so on. {answer_format}

Problem: {question}

Argument of the affirmative side:
{argument}"""

ARGUE = """\
You go on with the debate on the problem below, on the {side} side. {manner}
Say whether you agree with the latest argument of the other side, and why; then give your own solution as you see it now, in numbered steps,
"Step 1:", "Step 2:" and so on. {answer_format}

Problem: {question}

Latest argument of the other side:
{argument}"""

OPINE = """\
Solve the problem below. Work in numbered steps: start every step on a new line with its label, "Step 1:", "Step 2:" and so on.
{answer_format} Then end with one line "CONFIDENCE: x", where x from 0 to 1 says how sure you are of it.
{demonstrations}
Problem: {question}"""

DISCUSS = """\
Solve the problem below. Work in numbered steps: start every step on a new line with its label, "Step 1:", "Step 2:" and so on.
{answer_format} Then end with one line "CONFIDENCE: x", where x from 0 to 1 says how sure you are of it.
After the problem stand the answers that the agents of this round table, you among them, have given so far, with their explanations and how
sure each agent is. Compare them with your own view: say first with which of them you agree, with which not, and why.
{demonstrations}
Problem: {question}

{answers}"""

SILENT = "(This side gave no argument.)"
"""What stands in a prompt for a speech that was refused without a word."""


def agreed(state: Rounds) -> bool:
    """Whether every agent gave an answer in the newest round, all of them the same."""
    answers = set(state["answers"][-1])
    return len(answers) == 1 and None not in answers


def conversation(turns: Iterable[tuple[Sequence[Message], str]]) -> list[Message]:
    """A speaker's own log from what it was asked and what it said, oldest first; a turn without a reply is left out as a whole."""
    return [message for asked, said in turns if said for message in (*asked, {"role": "assistant", "content": [said]})]


async def everyone(params: dict[str, Any], role: str, logs: Sequence[Sequence[Message]], parse: Parser | None = None) -> list[Sample]:
    """One reply of each agent to its own messages, all at once, so that nobody hears the others of the same round.

    Raises:
        SymposiaError: Fewer than `quorum` replies came back.
    """
    replies = await fan([partial(ask, params, role, log, parse=parse, agent=agent) for agent, log in enumerate(logs)])
    quorum(replies, params["quorum"])
    return replies
