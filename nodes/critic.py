"""The critic of a solution that is improved draft by draft: feedback, a verdict and, where the prompt asks for one, a score.

What the prompt holds follows Self-Refine (arXiv 2303.17651, authors' code): the question, the draft, and for mathematics all earlier drafts
with the feedback they got. The authors look for a phrase in the feedback, which a negated one has too; ours ends with a verdict to parse.
"""

import re
from typing import Annotated, Any

from typing_extensions import TypedDict

from symposia.nodes.prompts import asked
from symposia.nodes.score import Scored
from symposia.state.channels import grow
from symposia.state.errors import ReplyError, shorten
from symposia.tools.llm import ask, prompt, quorum
from symposia.tools.rewards import read_score

_VERDICT = re.compile(r"^[ \t>*_#]{0,8}VERDICT[ \t*_]{0,4}:([^\n]{0,80})$", re.IGNORECASE | re.MULTILINE)
_SCORE = re.compile(r"^[ \t*]*SCORE[ \t*]*:", re.IGNORECASE | re.MULTILINE)
_WORDS = {"correct": True, "incorrect": False}


class Critiqued(Scored):
    """One draft per round, with its feedback and verdict; a verdict is None where none could be read."""

    feedback: Annotated[list[list[str]], grow]
    verdicts: Annotated[list[list[bool | None]], grow]


class Verdict(TypedDict):
    """What a critic decided: whether the draft stays as it is, and its score in 0..1; None what it did not say."""

    approved: bool | None
    score: float | None


def read_verdict(text: str) -> Verdict:
    """The last line "VERDICT: correct" or "VERDICT: incorrect", and the last line "SCORE: x"; one of the two is enough.

    Raises:
        ReplyError: There is neither, or one of them says something else.
    """
    found = _VERDICT.findall(text)
    score = read_score(text) if _SCORE.search(text) else None
    if not found and score is None:
        raise ReplyError(f"the reply has no line 'VERDICT: correct' or 'VERDICT: incorrect'; it ends with '{shorten(text[-80:])}'")
    if not found:
        return Verdict(approved=None, score=score)
    word = found[-1].strip(" \t\r*_.!\"'`").lower()
    if word not in _WORDS:
        raise ReplyError(f"the verdict '{shorten(found[-1], 40)}' is neither 'correct' nor 'incorrect'")
    return Verdict(approved=_WORDS[word], score=score)


def transcript(state: Critiqued) -> list[str]:
    """The drafts that have feedback, oldest first, each followed by it, as parts of a prompt."""
    pairs = zip(state["chains"], state["feedback"], strict=False)  # the newest draft may have none yet
    return [
        part
        for n, (draft, feedback) in enumerate(pairs, start=1)
        for part in (f"Draft {n}:\n", draft[0], f"\n\nFeedback {n}:\n", feedback[0], "\n\n")
    ]


async def critique(state: Critiqued) -> dict[str, Any]:
    """Append the feedback on the newest draft; a verdict that stays unreadable after the re-asks approves nothing.

    Raises:
        SymposiaError: The critic could not be reached; a draft that nobody looked at is not passed on as reviewed.
    """
    params, earlier = state["params"], transcript(state)
    history = ["\nEarlier drafts with the feedback they got:\n\n", *earlier] if earlier else []
    messages = prompt(params, "reviewer", question=asked(state), history=history, draft=state["chains"][-1][0])
    reply = await ask(params, "reviewer", messages, parse=read_verdict)
    quorum([reply], 1)
    verdict = reply["value"] if reply["status"] == "ok" else Verdict(approved=None, score=None)
    return {"feedback": [[reply["text"]]], "verdicts": [[verdict["approved"]]], "scores": [[verdict["score"]]]}
