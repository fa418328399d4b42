"""A crew in a process of its own: a set-up and then orders as lines of JSON on stdin, a line of JSON on stdout for each.

`python -m symposia.batches.worker` is started by `symposia.batches.processes`. When nobody listens any more, because the batch is over or
its process was killed, the worker drops what it has in flight and ends: nothing new is sent on behalf of nobody. No pickle goes either way.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import IO, Any

from symposia.state.errors import SymposiaError, from_record, shorten
from symposia.state.shards import open_worker_store
from symposia.tools.settings import Limits, configure, settings

LINE = 1 << 30
"""Bytes that a line may have: it holds whole rows, with their answers."""
MARK = b"symposia "
"""What a line of a worker's begins with, to be told from what else may be printed while Python starts."""
_LEAVE = 4.0  # seconds after which an end that hangs is cut short

_log = logging.getLogger("symposia.batches")


def most_crews() -> int:
    """How many crews may share the slots of the models, at least one each."""
    now = settings()
    return min([now.concurrency, *(one.concurrency for one in now.limits.values() if one.concurrency)])


def share(crews: int) -> dict[str, Any]:
    """The settings of this process for one of several crews, as JSON: the key left out, and of every limit an equal share.

    The slots of a crew change with the leases it is given; its requests and tokens per minute stay as they are here.
    """
    now = settings()
    same = {name: getattr(now, name) for name in ("api_base", "timeout", "attempts", "max_wait", "unsafe_exec")}
    limits = {name: _divided(one, crews) for name, one in now.limits.items()}
    every = _divided(Limits(now.concurrency, now.rpm, now.tpm), crews)
    return {**same, **every, "limits": limits, "prices": {name: list(pair) for name, pair in now.prices.items()}}


def take_share(given: Mapping[str, Any]) -> None:
    """Put in force what `share` made."""
    limits = {name: Limits(**one) for name, one in given["limits"].items()}
    prices = {name: (pair[0], pair[1]) for name, pair in given["prices"].items()}
    configure(**{**given, "limits": limits, "prices": prices})


def _divided(one: Limits, crews: int) -> dict[str, Any]:
    return {
        "concurrency": one.concurrency and one.concurrency // crews,
        "rpm": one.rpm and one.rpm / crews,
        "tpm": one.tpm and one.tpm / crews,
    }


def answer_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report as it came, or the error that stands in its place.

    Raises:
        SymposiaError: What went wrong in the crew.
    """
    if "error" in report:
        raise from_record(report["error"])
    return dict(report)


async def report_of(crew: Any, order: str | bytes) -> dict[str, Any]:
    """What a crew reports on an order, or the error that it ends with."""
    try:
        report: dict[str, Any] = await crew.exchange(json.loads(order))
    except Exception as error:  # whatever it is, the boss is told
        return error_report(error)
    return report


def error_report(error: Exception) -> dict[str, Any]:
    """An error in the place of a report; one that is none of ours is a fault, and its traceback goes to the log."""
    if not isinstance(error, SymposiaError):
        _log.error("a worker failed", exc_info=error)
        error = SymposiaError(f"a worker failed: {type(error).__name__}: {shorten(str(error))}", remedy="this is a fault; see the log")
    return {"error": error.to_record()}


def main() -> None:
    """Serve the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to decide about
    lines = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the lines
    asyncio.run(_serve(lines))


async def _serve(lines: IO[bytes]) -> None:
    orders = asyncio.StreamReader(limit=LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin.buffer)
    try:
        await _work(orders, lines)
    finally:
        cut = threading.Timer(_LEAVE, os._exit, (1,))
        cut.daemon = True
        cut.start()


async def _work(orders: asyncio.StreamReader, lines: IO[bytes]) -> None:
    """Set up, then answer order after order until there are no more."""
    first = await orders.readline()
    if not first:
        return
    given = json.loads(first)
    try:
        take_share(given["settings"])
        from symposia.batches.crew import Crew
        from symposia.batches.engines import calm_collector

        store = open_worker_store(given["store"], given["token"])
        await store.open()
    except Exception as error:  # whatever it is, the parent is told
        await _say(lines, error_report(error))
        return
    calm_collector()
    crew = Crew(store, given["terms"])
    try:
        await _say(lines, {"ready": os.getpid()})
        await _answer(crew, orders, lines)
    finally:
        warnings.simplefilter("ignore")  # calls that are dropped before they began
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(crew.close(), _LEAVE / 2)
        await store.close()


async def _answer(crew: Any, orders: asyncio.StreamReader, lines: IO[bytes]) -> None:
    following = asyncio.create_task(orders.readline())
    while line := await following:
        # The next order comes after this one's report: what is read before that is the end.
        following = asyncio.create_task(orders.readline())
        report = asyncio.create_task(report_of(crew, line))
        await asyncio.wait({following, report}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            report.cancel()
            await asyncio.gather(report, return_exceptions=True)
            return
        await _say(lines, report.result())


async def _say(lines: IO[bytes], report: Mapping[str, Any]) -> None:
    data = b"\n" + MARK + json.dumps(report).encode() + b"\n"  # what was printed before may have ended within a line

    def write() -> None:
        lines.write(data)
        lines.flush()

    with contextlib.suppress(BrokenPipeError):
        await asyncio.to_thread(write)


if __name__ == "__main__":
    main()
