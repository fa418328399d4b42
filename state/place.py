"""Where in a run an effect happens, spelled the same on every execution.

A place is `STEP.NODE[.sI][~A][.fF][.bB][.nN]`, frames of subgraphs joined by `/`, parts that say nothing left out: `8.refine.b3` is the
fourth branch of node `refine` in step 8, `5.suite.s1/2.vote` the node `vote` in step 2 of the graph that the second `Send` of step 5
called.

- step, node and the index of a `Send` come from LangGraph's metadata, which is equal on every execution (task ids and namespaces are not);
- `A` counts attempts of a node under a `RetryPolicy`;
- `B` is the position inside `fan`: LangGraph does not know what runs inside a node, so parallel effects go through `fan`; fans nest
  (`.b3.b1`), and `F` counts the fans made one after the other at the same place;
- `N` counts the effects made one after the other at the same place.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from langchain_core.runnables.config import var_child_runnable_config

from symposia.state.errors import PlaceError

T = TypeVar("T")

FRAMES: ContextVar[tuple[str, ...]] = ContextVar("symposia_frames", default=())
BRANCH: ContextVar[str] = ContextVar("symposia_branch", default="")
COUNT: ContextVar[tuple[str, int]] = ContextVar("symposia_count", default=("", 0))
CALLS: ContextVar[tuple[str, int]] = ContextVar("symposia_calls", default=("", 0))
FANS: ContextVar[tuple[str, int]] = ContextVar("symposia_fans", default=("", 0))


@dataclass
class Shift:
    """By how much LangGraph counts ahead of the run: steps of its thread, which may have been through other runs, and graphs around it."""

    by: int = 0
    around: int = 0


SHIFT: ContextVar[Shift | None] = ContextVar("symposia_shift", default=None)

_STEP = re.compile(r"(^|/)\d+\.")


async def fan(thunks: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run the thunks at once and return their results in order; each gets a branch of the place of its own.

    When one fails the others still end, since their calls are paid for; then the first error is raised.
    """
    base = here()
    last, f = FANS.get()
    fans = f + 1 if last == base else 0
    FANS.set((base, fans))
    prefix = BRANCH.get() + (f".f{fans}" if fans else "")

    async def branch(i: int, thunk: Callable[[], Awaitable[T]]) -> T:
        BRANCH.set(f"{prefix}.b{i}")
        return await thunk()

    tasks = [asyncio.create_task(branch(i, thunk)) for i, thunk in enumerate(thunks)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)


def here() -> str:
    """The place of the running code, without the count of effects.

    Raises:
        PlaceError: Inside a subgraph that was compiled from LangGraph's own `StateGraph`, whose frame nobody recorded.
    """
    config = var_child_runnable_config.get() or {}
    task = _task_place(config)
    frames = FRAMES.get()
    shift = SHIFT.get()
    if task is not None and depth(config) - 1 - (shift.around if shift else 0) > len(frames):
        raise PlaceError(
            f"node {config['metadata']['langgraph_node']!r} runs in a subgraph whose place is not known",
            remedy="build the subgraph with symposia.state.graph.StateGraph",
        )
    place = "/".join((*frames, task) if task else frames) or "0.outside"
    return place + BRANCH.get()


def next_place() -> str:
    """The place of the next effect of the running code: `here`, with a count from the second effect on."""
    base = here()
    last, n = COUNT.get()
    count = n + 1 if last == base else 0
    COUNT.set((base, count))
    return f"{base}.n{count}" if count else base


@contextmanager
def inside(frames: tuple[str, ...]) -> Iterator[None]:
    """Run code as the inside of a subgraph at `frames`, all counts anew, and restore the caller's place after it."""
    outer, branch = FRAMES.set(frames), BRANCH.set("")
    counts = [(counter, counter.set(("", 0))) for counter in (COUNT, CALLS, FANS)]
    try:
        yield
    finally:
        FRAMES.reset(outer)
        BRANCH.reset(branch)
        for counter, token in counts:
            counter.reset(token)


def frames_of(config: Mapping[str, Any] | None, foreign: bool = False) -> tuple[str, ...]:
    """The frames for a graph that starts now: the caller's, and the calling task when a task of another graph calls it.

    With `foreign` the graphs around it are not ours and kept no frames; their nodes stand for them.
    """
    for candidate in (config, var_child_runnable_config.get()):
        task = _task_place(candidate or {})
        if task is not None:
            around = _nodes_of(candidate)[:-1] if foreign else FRAMES.get()
            base = task + BRANCH.get()
            last, n = CALLS.get()
            count = n + 1 if last == base else 0
            CALLS.set((base, count))
            return (*around, f"{base}.n{count}" if count else base)
    return FRAMES.get()


def depth(config: Mapping[str, Any] | None) -> int:
    """How many graphs stand around the running code, its own among them; 0 outside of a graph."""
    return len(_nodes_of(config))


def _nodes_of(config: Mapping[str, Any] | None) -> list[str]:
    """`0.NODE` for each graph around the running code and for its own, from LangGraph's namespace, which has no steps."""
    namespace = ((config or {}).get("metadata") or {}).get("langgraph_checkpoint_ns") or ""
    return [f"0.{part.split(':', 1)[0]}" for part in namespace.split("|") if ":" in part]


def _task_place(config: Mapping[str, Any]) -> str | None:
    """`STEP.NODE[.sI][~A]` of the LangGraph task that runs this code; None outside of one."""
    meta = config.get("metadata") or {}
    if "langgraph_step" not in meta:
        return None
    path = meta["langgraph_path"]
    send = f".s{path[1]}" if path[0] == "__pregel_push" else ""
    runtime = config.get("configurable", {}).get("__pregel_runtime")
    info = getattr(runtime, "execution_info", None)
    attempt = (getattr(info, "node_attempt", 1) or 1) - 1
    shift = None if FRAMES.get() else SHIFT.get()
    step = meta["langgraph_step"] - (shift.by if shift else 0)
    return f"{step}.{meta['langgraph_node']}{send}" + (f"~{attempt}" if attempt else "")


def step_of(place: str) -> int:
    """The outermost step of a place: 8 for `8.refine.b3`."""
    return int(place.split(".", 1)[0])


def steps_of(place: str) -> tuple[int, ...]:
    """The step in each frame, outermost first."""
    return tuple(int(f.split(".", 1)[0]) for f in place.split("/"))


def node_of(place: str) -> str:
    """The innermost node of a place: `refine` for `8.refine.b3`."""
    return place.rsplit("/", 1)[-1].split(".")[1].split("~")[0]


def site(place: str) -> str:
    """A place without its step numbers: the same for every round of a loop."""
    return _STEP.sub(r"\1", place)


def shift(place: str, by: int) -> str:
    """A place moved by `by` steps in its outermost frame."""
    step, rest = place.split(".", 1)
    return f"{int(step) + by}.{rest}"
