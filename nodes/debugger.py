"""The debugger: corrects a program after one failing test, or after its own verdict where there are no tests.

What the prompts hold follows UTDebug (arXiv 2502.01619, authors' code): the chat is the task, the code as the assistant's answer, then the
feedback, which says input, what the code gave and what was expected. Our own wording.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

from symposia.nodes.test_runner import Debugging, Feedback
from symposia.state.errors import shorten
from symposia.tools.completion import Message
from symposia.tools.literals import call_text
from symposia.tools.llm import ask, parts, prompt, quorum
from symposia.tools.programs import fence, read_code

DEBUG = """\
Write the Python function that the task below asks for. Reply with the whole code, its imports included, in one fence that is tagged python.

Task: {prompt}
Signature: {signature}{example}"""

FEEDBACK = """\
The code fails a unit test.

Input: {call}
The code gives: {got}
Expected: {expected}

Correct the code. Reply with the whole corrected code in one fence that is tagged python."""

JUDGE_CODE = """\
Check whether the code does what the task asks. Write "Feedback:" and then what is wrong with it, if anything, and how to correct it. End
with one sentence, either "The code is correct." or "The code is wrong."."""

REVISE = """\
{feedback}

Correct the code. Reply with the whole corrected code in one fence that is tagged python."""

_LONGEST = 2000  # characters of a value in a prompt
_RIGHT, _WRONG = re.compile(r"\bcode is correct\b", re.IGNORECASE), re.compile(r"\bcode is wrong\b", re.IGNORECASE)
_LABEL = re.compile(r"feedback\W{0,4}:", re.IGNORECASE)


async def select_feedback(state: Debugging) -> dict[str, Any]:
    """Choose the failing test that the debugger is shown; without tests, let the debugger judge the code itself.

    By default the first failing test that was not yet shown for this code, when all were the first again; with `feedback_policy=first`
    always the first.
    """
    if state["params"]["mode"] == "none":
        return await _own_verdict(state)
    index = next_failure(state)
    test, got = state["suite"][index], state["results"][index]["got"]
    values = {"call": call_text(state["entry_point"], test["arguments"]), "got": got, "expected": test["expected"]}
    text = FEEDBACK.format(**{key: shorten(value, _LONGEST) if len(value) > _LONGEST else value for key, value in values.items()})
    used = [*state["used_feedback"], *([index] if index not in state["used_feedback"] else [])]
    return {"feedback": Feedback(index=index, text=text), "used_feedback": used}


def next_failure(state: Debugging) -> int:
    """The index of the test to show."""
    failing = [i for i, result in enumerate(state["results"]) if result["status"] != "pass"]
    fresh = [i for i in failing if i not in state["used_feedback"]]
    return (fresh or failing)[0] if state["params"]["feedback_policy"] == "next" else failing[0]


async def _own_verdict(state: Debugging) -> dict[str, Any]:
    reply = await ask(state["params"], "debugger", [*_opening(state), {"role": "user", "content": [JUDGE_CODE]}])
    quorum([reply], 1)
    text = reply["text"]
    feedback = Feedback(index=None, text="".join(parts(REVISE, {"feedback": _tail(text).strip() or text})))
    return {"verdict": read_verdict(text) if reply["status"] == "ok" else "wrong", "feedback": feedback}


def read_verdict(text: str) -> Literal["right", "wrong"]:
    """The verdict after the label "Feedback:": right when it says so, or does not say that the code is wrong (as in the authors' code)."""
    said = _tail(text)
    return "right" if _RIGHT.search(said) or not _WRONG.search(said) else "wrong"


def _tail(text: str) -> str:
    """What follows the first label; the whole text without one."""
    label = _LABEL.search(text)
    return text[label.end() :] if label else text


def _opening(state: Debugging) -> list[Message]:
    """The task, and the current code as the answer to it."""
    examples: Sequence[str] = state.get("test_list") or []
    fields = {"prompt": state["prompt"], "signature": state["signature"], "example": f"\nExample: {examples[0]}" if examples else ""}
    return [*prompt(state["params"], "debugger", **fields), {"role": "assistant", "content": [fence(state["current_code"])]}]


async def debug(state: Debugging) -> dict[str, Any]:
    """Ask for corrected code. A reply that holds none, or was refused or cut off, is an edit that nobody accepts.

    Raises:
        SymposiaError: The debugger could not be reached.
    """
    messages = _opening(state)
    for answer in state["rejected"]:
        messages += [{"role": "user", "content": [answer["feedback"]]}, {"role": "assistant", "content": [answer["reply"]]}]
    reply = await ask(state["params"], "debugger", [*messages, {"role": "user", "content": [state["feedback"]["text"]]}])
    quorum([reply], 1)
    return {"reply": reply["text"], "candidate_code": read_code(reply["text"]) if reply["status"] == "ok" else ""}
