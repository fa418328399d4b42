"""Published ways of getting a better answer out of language models, as stateful LangGraphs.

`await arun("magicore", "a question", model=...)` runs a method, `graph("magicore")` is its compiled graph. Everything is imported on first
use, so `import symposia` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from symposia.api import abatch, afork, areplay, aresume, arun, batch, fork, graph, methods, replay, resume, run
    from symposia.chat_model import ChatModel
    from symposia.result import Result
    from symposia.state.errors import SymposiaError

_HOMES = {
    "ChatModel": "symposia.chat_model",
    "Result": "symposia.runs",
    "SymposiaError": "symposia.state.errors",
    **dict.fromkeys(
        ("abatch", "afork", "areplay", "aresume", "arun", "batch", "fork", "graph", "methods", "replay", "resume", "run"), "symposia.api"
    ),
}

__all__ = [
    "ChatModel",
    "Result",
    "SymposiaError",
    "abatch",
    "afork",
    "areplay",
    "aresume",
    "arun",
    "batch",
    "fork",
    "graph",
    "methods",
    "replay",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'symposia' has no attribute {name!r}")
