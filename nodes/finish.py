"""What a last node writes: the answer, why it stopped, and a chat message for whoever reads the run as a chat."""

from typing import Any

from langchain_core.messages import AIMessage

from symposia.state.base import Answer


def conclude(answer: Answer | None, stop_reason: str, text: str = "") -> dict[str, Any]:
    """The end of a run; `text` is what a chat shows, by default the answer itself."""
    shown = text or ("No sample gave an answer." if answer is None else f"{answer:g}" if isinstance(answer, float) else str(answer))
    return {"answer": answer, "stop_reason": stop_reason, "messages": [AIMessage(shown)]}
