"""The runs behind one request: started together, told while they go, cancelled when the client has gone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from symposia import runs
from symposia.command import together
from symposia.execution import Event
from symposia.registry import Loaded
from symposia.result import Result
from symposia.serve.errors import NEVER_AGAIN, Refused, failed
from symposia.serve.story import Story
from symposia.state.errors import SymposiaError
from symposia.state.place import node_of
from symposia.state.store import Store
from symposia.telemetry import telemetry
from symposia.tools.tokens import AUDIENCE, Audience

FINE = ("ok", "no_answer")


class Piece(NamedTuple):
    """A piece of text for the client: of the steps or of the answer of a run, counted from 0."""

    run: int
    kind: Literal["reasoning", "content"]
    text: str


class Cut:
    """An answer up to the first of some texts that end it; what may be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Nothing has come yet."""
        self._stops, self._held = list(stops), ""
        self.ended = False
        """Whether one of them has come."""

    def feed(self, text: str, *, last: bool = False) -> str:
        """What can be shown of the text so far, without what was shown before."""
        if self.ended:
            return ""
        held = self._held + text
        ends = [at for stop in self._stops if (at := held.find(stop)) >= 0]
        if ends:
            self.ended = True
            return held[: min(ends)]
        keep = 0 if last else max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text begin `stop`."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


class Strand:
    """One run of a request, and what the client has been told of it."""

    def __init__(self, index: int, loaded: Loaded, record: dict[str, Any], stops: Sequence[str]) -> None:
        """The run has not started."""
        self.index, self.record = index, record
        self.result: Result | None = None
        self.finish = "stop"
        self.shown_tokens = 0
        """Completion tokens of the reply that is the answer word for word, if there is one."""
        self.texts = {"reasoning": "", "content": ""}
        self._writer: str | None = getattr(loaded.module, "ANSWER_NODE", None)
        self._story, self._cut = Story(loaded, record), Cut(stops)
        self._told = ""
        self._values: dict[str, Any] = {}

    @property
    def writer(self) -> str | None:
        """The node whose reply can be told while it is written: not one that is asked again where it has not the form asked for."""
        return None if self.record["input"].get("response_format") else self._writer

    def begin(self) -> list[Piece]:
        """What is known before the first step."""
        return self._pieces("reasoning", self._story.beginning())

    async def hear(self, event: Event) -> list[Piece]:
        """What the client is told of an event; once the answer has begun, nothing but the answer."""
        if event["type"] == "step":
            self._values = event["values"]
        elif event["type"] == "effect" and node_of(event["entry"].place) == self._writer and "value" in event["entry"].outcome:
            self.shown_tokens = event["entry"].usage.completion_tokens
            ended = event["entry"].outcome["value"]["choices"][0]["finish"]
            self.finish = ended if ended in ("length", "content_filter") else "stop"
        return [] if self._told else self._pieces("reasoning", await self._story.tell(event))

    def write(self, text: str) -> list[Piece]:
        """A piece of the answer, as the writer's model gives it."""
        self._told += text
        return self._pieces("content", self._cut.feed(text))

    def end(self, result: Result) -> list[Piece]:
        """The rest of the answer.

        Raises:
            Refused: The run failed, or its answer is not what the client has been told.
        """
        self.result = result
        if result.status not in FINE:
            raise failed(result.to_json())
        answer = self._answer(result)
        if not answer.startswith(self._told):
            said = "the model's stream broke off and the answer was written anew, so what came here is not the answer"
            raise Refused(
                502, f"run {result.run_id}: {said}; the run has it", code="BrokenStream", headers=NEVER_AGAIN, run=result.to_json()
            )
        rest = self._cut.feed(answer[len(self._told) :], last=True)
        self.finish = "stop" if self._cut.ended else self.finish
        return self._pieces("content", rest)

    def _answer(self, result: Result) -> str:
        """What the method shows in a chat, else its answer."""
        messages = self._values.get("messages") or []
        return str(messages[-1].text) if messages and messages[-1].type == "ai" else str(result.answer)

    def _pieces(self, kind: Literal["reasoning", "content"], text: str) -> list[Piece]:
        self.texts[kind] += text
        return [Piece(self.index, kind, text)] if text else []


class Runs:
    """All runs of the server: one store, at most so many at once."""

    def __init__(self, store: Store, most: int) -> None:
        """None runs yet."""
        self.store, self._most = store, most
        self._tasks: set[asyncio.Task[Any]] = set()
        self._telemetry = telemetry()

    def work(self, loaded: Loaded, records: Sequence[dict[str, Any]], stops: Sequence[str], *, tells: bool) -> "Work":
        """Start the runs of a request.

        Args:
            loaded: Their method.
            records: A record for each.
            stops: Texts that end an answer.
            tells: Whether the client hears answers while they are written.

        Raises:
            Refused: The server has as many runs as it takes.
        """
        if len(self._tasks) + len(records) > self._most:
            found = f"{len(self._tasks)} runs are going and {len(records)} more are asked for; at most {self._most} go at once"
            raise Refused(429, found, code="too_many_runs", headers={"Retry-After": "1"})
        return Work(self, [Strand(i, loaded, record, stops) for i, record in enumerate(records)], tells)

    def task(self, strand: Strand, queue: "asyncio.Queue[_Item]", tells: bool) -> asyncio.Task[Any]:
        """Execute a run by itself; it ends as it can when the request is gone."""
        task = asyncio.create_task(self._execute(strand, queue, tells))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Stop all runs; what they have is kept, and they can be resumed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _execute(self, strand: Strand, queue: "asyncio.Queue[_Item]", tells: bool) -> None:
        def put(what: Any) -> None:
            queue.put_nowait(_Item(strand, what))

        if tells and strand.writer:
            AUDIENCE.set(Audience(strand.writer, put))
        try:
            put(await runs.start(self.store, strand.record, together(put, self._telemetry)))
        except SymposiaError as error:  # of the store, or an artefact that is not there: the run did not begin
            put(error)
        except asyncio.CancelledError:
            put(None)
            raise
        except Exception as error:
            put(error)


@dataclass(slots=True)
class _Item:
    """Something about a run: an event, a piece of the answer, the result, an error, or None when it was cancelled."""

    strand: Strand
    what: Any


class Work:
    """The runs of one request."""

    def __init__(self, home: Runs, strands: list[Strand], tells: bool) -> None:
        """Start them."""
        self.strands = strands
        self._queue: asyncio.Queue[_Item] = asyncio.Queue()
        self._tasks = [home.task(strand, self._queue, tells) for strand in strands]

    @property
    def run_ids(self) -> list[str]:
        """Their ids."""
        return [strand.record["run_id"] for strand in self.strands]

    def cancel(self) -> None:
        """Stop the runs and the calls they have in flight."""
        for task in self._tasks:
            task.cancel()

    async def pieces(self) -> AsyncIterator[Piece]:
        """What the client is told, as it happens, until all runs have ended.

        Raises:
            Refused: A run failed; the others are cancelled.
        """
        open_ = len(self.strands)
        try:
            for strand in self.strands:
                for piece in strand.begin():
                    yield piece
            while open_:
                item = await self._queue.get()
                open_ -= not isinstance(item.what, str | dict)
                for piece in await _told(item):
                    yield piece
        finally:
            self.cancel()

    async def whole(self) -> None:
        """Wait until all runs have ended.

        Raises:
            Refused: A run failed; the others are cancelled.
        """
        async for _ in self.pieces():
            pass


async def _told(item: _Item) -> list[Piece]:
    match item.what:
        case str() as text:
            return item.strand.write(text)
        case Result() as result:
            return item.strand.end(result)
        case SymposiaError() as error:
            run_id = item.strand.record["run_id"]
            raise failed({"run_id": run_id, "status": "failed", "error": error.to_record()})
        case BaseException() as error:
            raise error
        case None:
            raise Refused(503, "the run was stopped: the client or the server goes away", code="Stopped", headers=NEVER_AGAIN)
    return await item.strand.hear(item.what)
