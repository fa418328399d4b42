"""A method in a file of its own that is changed after runs of it were recorded, as happens to whoever works on one."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import symposia.graphs as package
from symposia import registry, runs
from symposia.state.store import open_store
from symposia.viewer import methods

NAME = "wayfarer"
SOURCE = '''"""Two steps and a call, to be changed."""

from typing import Any, NotRequired

from langgraph.graph import END, START

from symposia.nodes.intake import intake
from symposia.state.base import BaseParams, BaseState, Method, Question
from symposia.state.graph import StateGraph
from symposia.tools.llm import ask, prompt
from symposia.tools.rewards import read_score

METHOD = Method("wayfarer", "Wayfarer", "0000.00000", 2026, "test", ("judge",), "1")


class Params(BaseParams):
    """One prompt."""

    prompts: dict[str, str] = {"judge": "How good is it? End with a line 'SCORE: x'. {question}"}


class State(BaseState):
    """What was written on the way."""

    notes: NotRequired[list[str]]
    score: NotRequired[float | None]


def note(state: State) -> dict[str, Any]:
    """Write something down."""
    return {"notes": ["as it was"]}


async def judge(state: State) -> dict[str, Any]:
    """Ask."""
    params = state["params"]
    reply = await ask(params, "judge", prompt(params, "judge", question=state["question"]), parse=read_score)
    return {"score": reply.get("value")}


def finish(state: State) -> dict[str, Any]:
    """End."""
    return {"answer": str(state.get("score")), "stop_reason": "judged"}


def build() -> Any:
    """Wire the nodes."""
    builder: Any = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(note).add_node(judge).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "note").add_edge("note", "judge").add_edge("judge", "finish")
    return builder.add_edge("finish", END)


graph = build().compile()
'''


@dataclass
class Wayfarer:
    """The method's file."""

    file: Path

    def change(self, old: str, new: str) -> None:
        """Edit the file as an author would, and forget what was loaded of it."""
        source = self.file.read_text(encoding="utf-8")
        assert old in source
        self.file.write_text(source.replace(old, new), encoding="utf-8")
        forget()

    def remove(self) -> None:
        """Delete the file."""
        self.file.unlink()
        forget()


def forget() -> None:
    """Let the next question load the method anew, as a new process would."""
    sys.modules.pop(f"symposia.graphs.{NAME}", None)
    importlib.invalidate_caches()
    for known in (registry.names, registry.load, registry._compiled, methods.method_page):
        known.cache_clear()


@contextmanager
def wayfarer(folder: Path) -> Iterator[Wayfarer]:
    """The method, known for the length of a `with`."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{NAME}.py"
    file.write_text(SOURCE, encoding="utf-8")
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    package.__path__.append(str(folder))
    forget()
    try:
        yield Wayfarer(file)
    finally:
        package.__path__.remove(str(folder))
        sys.dont_write_bytecode = written
        forget()


async def recorded(folder: Path) -> str:
    """The id of a run of the method, with LangGraph's checkpoints, in the store of a folder."""
    async with open_store(str(folder / "store.db")) as store:
        record = runs.new_record(NAME, {"model": "toy/default", "seed": 1}, {"question": "How good is it?"}, checkpoints="each")
        return (await runs.start(store, record)).run_id
