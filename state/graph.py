"""`StateGraph` whose compiled graph journals: the one hook that methods, subgraphs, `langgraph dev` and plain `ainvoke` go through.

A run is opened outside (`symposia.runs`); a graph invoked without one opens a run in memory, so that effects always have a journal. A
graph called from a node of another one enters its frame, so that two calls of one subgraph never share a place.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.graph import StateGraph as LangGraphStateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.typing import ContextT, InputT, OutputT, StateT

from symposia.state.journal import RUN, Run
from symposia.state.place import frames_of, inside


class JournaledGraph(CompiledStateGraph[StateT, ContextT, InputT, OutputT]):
    """A compiled graph that keeps its place in the run; `ainvoke`, `abatch` and `astream_events` go through `astream`."""

    async def astream(self, input: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:
        """As LangGraph's, with the run and the frame set while the graph's own code runs, and never in the consumer's."""
        if options.get("context") is None and self.context_schema is not None and not _inherits(config, self.context_schema):
            options["context"] = {}
        opened = RUN.get()
        run = opened or Run("memory")
        frames = frames_of(config, foreign=opened is None)
        if frames:
            run.enter(_namespace(config), frames)
        stream = super().astream(input, config, **options)
        try:
            while True:
                token = RUN.set(run)
                try:
                    with inside(frames):
                        chunk = await anext(stream)
                except StopAsyncIteration:
                    return
                finally:
                    RUN.reset(token)
                yield chunk
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


class StateGraph(LangGraphStateGraph[StateT, ContextT, InputT, OutputT]):
    """LangGraph's `StateGraph`, compiled to a `JournaledGraph`."""

    def compile(self, *args: Any, **options: Any) -> JournaledGraph[StateT, ContextT, InputT, OutputT]:
        """As LangGraph's `compile`."""
        compiled = super().compile(*args, **options)
        compiled.__class__ = JournaledGraph
        return cast("JournaledGraph[StateT, ContextT, InputT, OutputT]", compiled)


def _namespace(config: Any) -> str:
    """LangGraph's namespace of the calling task, which names the subgraph in a stream."""
    return str(_configured(config, "checkpoint_ns") or "")


def _inherits(config: Any, schema: type) -> bool:
    """Whether the calling graph has parameters of this kind to hand down, as LangGraph does."""
    return schema in type(getattr(_configured(config, "__pregel_runtime"), "context", None)).__mro__


def _configured(config: Any, key: str) -> Any:
    """A value that the calling task's configuration has; None outside of a task."""
    found = (((candidate or {}).get("configurable") or {}).get(key) for candidate in (config, var_child_runnable_config.get()))
    return next((value for value in found if value), None)
