"""`StateGraph` whose compiled graph journals: the one hook that methods, subgraphs, `langgraph dev` and plain `ainvoke` go through.

A run is opened outside (`symposia.runs`); a graph invoked without one is asked for one where a host keeps runs (`symposia.hosting`), and
else opens one in memory, so that effects always have a journal. A graph called from a node of another one enters its frame, so that two
calls of one subgraph never share a place.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, ClassVar, Protocol, cast

from langchain_core.messages import convert_to_messages
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.channels import DeltaChannel
from langgraph.graph import StateGraph as LangGraphStateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateUpdate
from langgraph.typing import ContextT, InputT, OutputT, StateT
from typing_extensions import get_type_hints

from symposia.state.chats import without_images
from symposia.state.errors import BadInput
from symposia.state.images import marked, read_message
from symposia.state.journal import RUN, Run
from symposia.state.packing import sound
from symposia.state.place import SHIFT, Shift, frames_of, inside

COPY = "__copy__"
"""LangGraph's name for an update that copies a checkpoint, with edits or without."""
INPUT = "__input__"
"""LangGraph's name for an update that puts an input on a thread, for somebody to go on with."""
GROWING: ContextVar[tuple[str, ...]] = ContextVar("symposia_growing", default=())
"""Keys of the lists that only grow, of the graph whose node runs: what a new question on an old thread has to empty."""


class Hosted(Protocol):
    """What a host that keeps runs gives for an invocation of a graph: the open run, and the config to go on with."""

    run: Run
    shift: Shift
    config: Any

    async def end(self) -> None:
        """The invocation is over, however it ended."""


class JournaledGraph(CompiledStateGraph[StateT, ContextT, InputT, OutputT]):
    """A compiled graph that keeps its place in the run; `ainvoke`, `abatch` and `astream_events` go through `astream`."""

    host: ClassVar[Callable[..., Awaitable[Hosted | None]] | None] = None
    """Is asked for a run with the graph, its input, its config and its options, when nobody has opened one."""

    embeds: ClassVar[bool] = False
    """Whether that holds also where the graph is a part of another one, whose run nobody keeps."""

    host_edited: ClassVar[Callable[..., Awaitable[None]] | None] = None
    """Is told of an edit of a thread's state that is not a run's own, with the graph and the config of the state."""

    async def astream(self, input: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:
        """As LangGraph's, with the run and the frame set while the graph's own code runs, and never in the consumer's."""
        if options.get("context") is None and self.context_schema is not None and not _inherits(config, self.context_schema):
            options["context"] = {}
        opened = RUN.get()
        input = self._asked(input, alone=opened is not None)
        frames = frames_of(config, foreign=opened is None)
        kept = opened is not None and not (self.embeds and opened.id == "memory")
        hosted = await self.host(self, input, config, options) if self.host and not kept and (self.embeds or not frames) else None
        config, frames = (hosted.config, ()) if hosted else (config, frames)
        run = hosted.run if hosted else opened or Run("memory")
        shift = hosted.shift if hosted else SHIFT.get() if frames else None
        if frames:
            run.enter(_namespace(config), frames)
        growing = tuple(k for k, c in self.channels.items() if isinstance(c, DeltaChannel) and c.typ is list)
        stream = super().astream(input, config, **options)
        try:
            while True:
                tokens = RUN.set(run), GROWING.set(growing), SHIFT.set(shift)
                try:
                    with inside(frames):
                        chunk = await anext(stream)
                except StopAsyncIteration:
                    return
                finally:
                    RUN.reset(tokens[0])
                    GROWING.reset(tokens[1])
                    SHIFT.reset(tokens[2])
                yield chunk
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
            if hosted:
                await hosted.end()

    async def abulk_update_state(self, config: Any, supersteps: Sequence[Sequence[Any]]) -> Any:
        """As LangGraph's, with the nodes that an edit stands for in its checkpoint, so that the edit can be done again."""
        if not supersteps:
            return await super().abulk_update_state(config, supersteps)
        at: Any = config
        for superstep in supersteps:
            updates = list(superstep)
            if [update.as_node for update in updates] == [COPY] and updates[0].values:  # a copy that is edited: these are two steps
                at = await super().abulk_update_state(at, [[StateUpdate(None, COPY)]])
                updates = [StateUpdate(*each) for each in updates[0].values]
            updates = [each._replace(values=self._edited(each)) for each in updates]
            nodes = [update.as_node for update in updates if update.as_node]
            named = {"symposia_as_node": "|".join(nodes)} if nodes and nodes != [COPY] else {}
            at = {**at, "metadata": {**(config.get("metadata") or {}), **named}}
            at = await super().abulk_update_state(at, [updates])
        if self.host_edited and RUN.get() is None:
            await self.host_edited(self, at)
        return at

    def _edited(self, update: StateUpdate) -> Any:
        """What an update of a thread writes; of images in messages the marks, unless it is a run's own, which are in its record."""
        values = update.values
        if update.as_node == INPUT:
            return self._asked(values)
        if RUN.get() is not None or not isinstance(values, Mapping) or not values.get("messages"):
            return values
        return {**values, "messages": without_images(values["messages"])}

    def _asked(self, input: Any, alone: bool = False) -> Any:
        """The input with all that a question brings, also on a thread whose state still holds an earlier one, and its images once.

        A chat asks the question of its last message. A question has the images that come with it, and none of an earlier one. Of images in
        messages the marks are kept: each checkpoint holds the messages. A run of its own is `alone`: nothing was asked before.

        Raises:
            BadInput: A message holds something that the method cannot read.
        """
        if isinstance(input, Command):
            return _without_images(input)
        if not isinstance(input, Mapping) or "question" not in self.channels or not (input.get("question") or input.get("messages")):
            return input
        takes, images, asked = "images" in get_type_hints(self.builder.input_schema), list[str](), dict(input)
        if given := input.get("messages"):
            messages = convert_to_messages(given if isinstance(given, list) else [given])
            if not input.get("question"):
                asked["question"] = sound(read_message(messages[-1], images))
            asked["messages"] = [marked(message) for message in messages]
        if images and not takes:
            raise BadInput("the last message holds an image, and this method reads none", remedy="leave it out")
        if images or (takes and not alone and input.get("images") is None):
            asked["images"] = images
        return asked


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


def _without_images(command: Command[Any]) -> Command[Any]:
    """A command that writes, of images in messages, the marks, as an edit does."""
    written = command._update_as_tuples()
    if not any(key == "messages" for key, _ in written):
        return command
    return replace(command, update=[(key, without_images(value) if key == "messages" else value) for key, value in written])


def _inherits(config: Any, schema: type) -> bool:
    """Whether the calling graph has parameters of this kind to hand down, as LangGraph does."""
    return schema in type(getattr(_configured(config, "__pregel_runtime"), "context", None)).__mro__


def _configured(config: Any, key: str) -> Any:
    """A value that the calling task's configuration has; None outside of a task."""
    found = (((candidate or {}).get("configurable") or {}).get(key) for candidate in (config, var_child_runnable_config.get()))
    return next((value for value in found if value), None)
