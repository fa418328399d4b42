"""Runs that go on as far as a test lets them: a model whose replies are held back one by one, and a method that asks a person."""

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NotRequired

import httpx
import pytest
from langgraph.config import get_config
from langgraph.graph import END, START

from symposia import registry, runs
from symposia.nodes.intake import intake
from symposia.state.ask import ask_person
from symposia.state.base import BaseParams, BaseState, Method, Question
from symposia.state.graph import StateGraph
from symposia.state.place import BRANCH
from symposia.state.store import open_store
from symposia.tools.providers import litellm


class Gates(litellm().CustomLLM):  # type: ignore[misc]
    """LiteLLM provider `gated/...`: a call is answered once its node and branch are in `free`, such as `solve.b2`, or all are."""

    def __init__(self) -> None:
        super().__init__()
        self.free: set[str] = set()
        self.asked: list[str] = []
        self.limited: set[str] = set()
        """Calls that are refused once, with a pause of ten minutes."""

    def close(self) -> None:
        """Hold everything back from now on."""
        self.free, self.asked, self.limited = set(), [], set()

    async def acompletion(self, *args: Any, **options: Any) -> Any:
        mine = f"{get_config()['metadata']['langgraph_node']}{BRANCH.get()}"
        self.asked.append(mine)
        if mine in self.limited:
            self.limited.discard(mine)
            refusal = httpx.Response(429, headers={"retry-after": "600"}, request=httpx.Request("POST", "http://gated.invalid"))
            raise litellm().RateLimitError("slowly", llm_provider="gated", model="any", response=refusal)
        while not self.free & {mine, "all"}:
            await asyncio.sleep(0.01)
        reply, module = options["model_response"], litellm()
        text = f"Step 1: so \\boxed{{{18 + len(self.asked) % 2}}}"
        reply.choices = [module.Choices(index=0, finish_reason="stop", message=module.Message(role="assistant", content=text))]
        reply.usage = module.Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)
        return reply


GATES = Gates()
litellm().custom_provider_map.append({"provider": "gated", "custom_handler": GATES})
litellm().utils.custom_llm_setup()


@contextmanager
def aside(work: Coroutine[Any, Any, Any]) -> Iterator[threading.Thread]:
    """Do something on a loop of its own for the length of a `with`, in the end with every gate open."""
    failed: list[BaseException] = []

    def did() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=did, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        GATES.free.add("all")
        thread.join(60)
        GATES.close()
    assert not thread.is_alive() and not failed, failed


@contextmanager
def going(folder: Path, method: str = "self_consistency", given: Mapping[str, Any] | None = None, **inputs: Any) -> Iterator[str]:
    """The id of a run that is executed in this process as far as its gates are open."""
    params = {"model": "gated/any", "k": 4, "seed": 1} if given is None else given
    record = runs.new_record(method, params, inputs or {"question": "How many?", "task": "number"}, checkpoints="none")
    begun = threading.Event()

    async def executed() -> None:
        async with open_store(str(folder / "store.db")) as store:
            await runs.start(store, record, on_open=lambda _: begun.set())

    with aside(executed()):
        assert begun.wait(30)
        yield record["run_id"]


class Params(BaseParams):
    """Parameters of the method below."""


class State(BaseState):
    """What a person has said."""

    opinion: NotRequired[Any]


QUESTION: dict[str, Any] = {"question": "which?"}


async def consult(state: State) -> dict[str, Any]:
    return {"opinion": await ask_person(QUESTION)}


def asking(times: int) -> Any:
    """The node above, but it asks so many questions, each as soon as the one before is answered."""

    async def consult(state: State) -> dict[str, Any]:
        return {"opinion": ", ".join([await ask_person({"question": f"question {n}?"}) for n in range(1, times + 1)])}

    return consult


def conclude(state: State) -> dict[str, Any]:
    return {"answer": str(state["opinion"]), "stop_reason": "asked"}


def consulting() -> Any:
    graph: Any = StateGraph(State, Params, input_schema=Question)
    graph.add_node(intake).add_node(consult).add_node("finish", conclude)
    return graph.add_edge(START, "intake").add_edge("intake", "consult").add_edge("consult", "finish").add_edge("finish", END)


@pytest.fixture
def consultation(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A method that asks a person whatever `QUESTION` holds, known as long as the test goes."""
    module: Any = ModuleType("symposia.graphs.consulting")
    module.METHOD = Method("consulting", "Consulting", "0000.00000", 2026, "test", (), "0")
    module.Params, module.build, module.graph = Params, consulting, consulting().compile()
    known = registry.names()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "names", lambda: (*known, "consulting"))
    yield "consulting"
    registry.load.cache_clear()
    registry._compiled.cache_clear()


async def asked(folder: Path, method: str = "consulting") -> str:
    """The id of a run that waits for a person."""
    async with open_store(str(folder / "store.db")) as store:
        return (await runs.start(store, runs.new_record(method, {}, {"question": "q"}))).run_id
