r"""Decide whether two answers are the same, and bring equal answers to one form.

The rule is MAgICoRe's (arXiv 2409.12147, code of 2024-09-19): equal after LaTeX clean-up, numbers that differ by less
than 0.01, or equal by symbolic algebra; a comparison has five seconds, and one that needs longer says "not equal". Where
no side is a plain number ("1+2\sqrt{3}" and "2\sqrt{5}" differ by 0.008) we ask for equality up to rounding.

Numbers, letters and words are decided here. The rest goes to math-verify in worker processes (`equality_worker.py`):
its alarm wants a main thread, the event loop must not wait, and an answer such as 9^(9^(9^9)) must take down nothing but
its worker. A text reaches sympy as LaTeX only and is never evaluated as Python. How far a comparison gets in five
seconds depends on the machine's load, so within a run its outcome is an effect of the journal.
"""

import asyncio
import atexit
import json
import math
import os
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Final

from symposia.state.journal import effect
from symposia.tools.answers import Answer, task_of
from symposia.tools.latex import CHARACTERS, clean, letter, rational

TOLERANCE: Final = 0.01
"""Numbers that differ by less are equal; absolute."""

LIMIT: Final = 5.0
"""Seconds one symbolic comparison may take."""

LONGEST: Final = 500
"""Characters up to which a text is compared symbolically; reading LaTeX takes more than linear time."""

_ROUNDING: Final = 1e-9  # relative difference of two closed expressions that are the same number
_GRACE: Final = 1.0  # seconds after the worker's own limit at which it is killed
_START: Final = 120.0  # seconds to load sympy, on a busy machine
_WORKERS: Final = os.cpu_count() or 1
_MAX_OVERTIMES: Final = 2  # a text that took so many comparisons past the limit is left out of further ones
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "HOME", "LANG", "SYSTEMROOT")


def same_pure(a: Answer, b: Answer, tolerance: float = TOLERANCE) -> bool | None:
    """Whether two answers are equal, None when only symbolic algebra can tell."""
    first, second = rational(a), rational(b)
    if first is not None and second is not None:
        return abs(first - second) < Fraction(str(tolerance))
    if clean(str(a)) == clean(str(b)):
        return True
    words = [_word(answer) for answer in (a, b)]
    if words[0] is not None and words[1] is not None:
        return words[0] == words[1]
    named = any(word is not None for word in words)
    if (named and (first is not None or second is not None)) or max(len(str(a)), len(str(b))) > LONGEST:
        return False
    return None


def _word(answer: Answer) -> str | None:
    """A choice letter or a word such as a name, in one spelling; "ab" and "x" may be products or variables."""
    if choice := letter(answer):
        return choice
    text = clean(str(answer))
    return text.lower() if text.isalpha() and len(text) > 2 else None


async def canon(answers: Sequence[Answer | None], known: Sequence[Answer] = (), task: str = "auto") -> list[Answer | None]:
    """Map each answer to the form that was met first, among `known` and then the answers before it; None stays None.

    Answers of tasks with numbers, letters or text are never compared symbolically. Of the others some are; then the
    whole grouping is one effect, `equal`.
    """
    pool = [*known, *answers]
    symbolic = task_of(task) in ("auto", "math")
    places, undecided = _group_pure(pool)
    if symbolic and undecided:

        async def perform() -> list[int | None]:
            return await group(pool)

        request = {"answers": list(answers), "known": list(known), "tolerance": TOLERANCE}
        places = await effect("equal", request, perform)
    return [None if place is None else pool[place] for place in places[len(known) :]]


async def group(pool: Sequence[Answer | None], limit: float = LIMIT) -> list[int | None]:
    """For each answer the index of the first one it equals (its own if none), with symbolic algebra; no journal."""
    symbols = Symbols(limit)
    await symbols.read(_group_pure(pool)[1])
    forms: list[tuple[int, Answer]] = []
    places: list[int | None] = []
    for i, answer in enumerate(pool):
        place = None if answer is None else await _place(answer, forms, symbols)
        if answer is not None and place is None:
            forms.append((i, answer))
            place = i
        places.append(place)
    return places


async def same(a: Answer, b: Answer, limit: float = LIMIT) -> bool:
    """Whether two answers are equal, for graders: the rule of `canon` without a journal.

    Args:
        a: the reference.
        b: what is graded.
        limit: seconds for the symbolic comparison, if one is needed.
    """
    verdict = same_pure(a, b)
    return (await group([a, b], limit))[1] == 0 if verdict is None else verdict


async def aclose() -> None:
    """End the idle worker processes; a later comparison starts new ones."""
    close()


def _group_pure(pool: Sequence[Answer | None]) -> tuple[list[int | None], list[str]]:
    """Group as far as `same_pure` can tell, and the texts it could not decide about."""
    forms: list[tuple[int, Answer]] = []
    places: list[int | None] = []
    undecided: dict[str, None] = {}  # an ordered set
    for i, answer in enumerate(pool):
        if answer is None:
            places.append(None)
            continue
        verdicts = [same_pure(form, answer) for _, form in forms]
        if True in verdicts:
            places.append(forms[verdicts.index(True)][0])
            continue
        open_forms = [form for (_, form), verdict in zip(forms, verdicts, strict=True) if verdict is None]
        undecided |= dict.fromkeys(str(one) for one in [*open_forms, answer] if open_forms)
        forms.append((i, answer))
        places.append(i)
    return places, list(undecided)


async def _place(answer: Answer, forms: list[tuple[int, Answer]], symbols: "Symbols") -> int | None:
    """The form an answer belongs to: one that is equal without algebra, else the first that is equal with it."""
    verdicts = [same_pure(form, answer) for _, form in forms]
    if True in verdicts:
        return forms[verdicts.index(True)][0]
    for (i, form), verdict in zip(forms, verdicts, strict=True):
        if verdict is None and await symbols.equal(form, answer):
            return i
    return None


class Symbols:
    """The symbolic comparisons of one grouping: each text is read once, closed ones are compared by value."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.values: dict[str, float | None] = {}  # of the readable texts; None: no closed real number
        self.overtimes: Counter[str] = Counter()

    async def read(self, texts: Iterable[str]) -> None:
        """Find out which texts are readable LaTeX and what number they stand for."""
        texts = list(texts)
        replies = await asyncio.gather(*(_ask([text], self.limit) for text in texts))
        self.values |= {text: r.get("value") for text, r in zip(texts, replies, strict=True) if r.get("readable")}

    async def equal(self, one: Answer, other: Answer) -> bool:
        """Whether both are readable and equal; past the limit they are not."""
        a, b = str(one), str(other)
        if not {a, b} <= self.values.keys() or max(self.overtimes[a], self.overtimes[b]) >= _MAX_OVERTIMES:
            return False
        first, second = self.values[a], self.values[b]
        if first is not None and second is not None:
            plain = rational(one) is not None or rational(other) is not None
            return abs(first - second) < TOLERANCE if plain else math.isclose(first, second, rel_tol=_ROUNDING)
        reply = await _ask([a, b], self.limit)
        self.overtimes.update([a, b] if reply.get("overtime") else [])
        return bool(reply.get("equal"))


class Worker:
    """One process that compares; pipes are read by the running loop for one reply only, so any loop may use it next."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("equality_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,  # no keys: what runs there has read untrusted text
            start_new_session=True,  # Ctrl-C is for the parent; a worker it ended would look like "not equal"
        )
        self.requests, self.replies = _pipe(self.process.stdin), _pipe(self.process.stdout)
        os.set_blocking(self.replies.fileno(), False)  # the loop reads only what is there
        self.ready = False

    async def ask(self, texts: list[str], limit: float) -> dict[str, Any] | None:
        """The reply to one comparison, `overtime` past the limit; None when the process ended instead."""
        if not self.ready and not await self._line(_START):
            raise RuntimeError("the process that compares answers did not start; is math-verify installed?")
        self.ready = True
        try:
            self.requests.write(json.dumps({"texts": texts, "limit": limit}).encode() + b"\n")
        except BrokenPipeError:
            return None
        line = await self._line(limit + _GRACE)
        if line is None:
            return {"overtime": True, "stuck": True}
        return dict(json.loads(line)) if line else None

    async def _line(self, limit: float) -> bytes | None:
        """One line, b"" at the end of the pipe, None after `limit` seconds."""
        pipe, loop = self.replies.fileno(), asyncio.get_running_loop()
        done: asyncio.Future[bytes] = loop.create_future()
        read = bytearray()

        def take() -> None:
            chunk = os.read(pipe, 65536)
            read.extend(chunk)
            if (not chunk or chunk.endswith(b"\n")) and not done.done():
                done.set_result(bytes(read))

        loop.add_reader(pipe, take)
        try:
            # Not `timeout()`: a reply that is there counts, however late the loop looks.
            await asyncio.wait([done], timeout=limit)
        finally:
            loop.remove_reader(pipe)
        if not done.done():
            return None
        return done.result() if done.result().endswith(b"\n") else b""

    def usable(self) -> bool:
        """Whether the process lives and has nothing to say, as it should be between comparisons."""
        poll = select.poll()
        poll.register(self.replies, select.POLLIN)
        return self.process.poll() is None and not poll.poll(0)

    def close(self) -> None:
        """End the process now."""
        self.process.kill()
        self.process.wait()
        self.requests.close()
        self.replies.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("a process was started without pipes")
    return pipe


_idle: list[Worker] = []  # shared by all loops of the process; append and pop are atomic
_slots: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}


async def _ask(texts: list[str], limit: float) -> dict[str, Any]:
    """Send a comparison to a free worker, at most one per processor at a time."""
    request = [_symbolic(text) for text in texts]
    async with _slot():
        used = _free()
        reply = await _ask_one(used, request, limit) if used else None
        if reply is None:  # no idle worker, or something ended it meanwhile, which says nothing about these texts
            reply = await _ask_one(await asyncio.to_thread(Worker), request, limit)
    return reply or {"overtime": True}  # a fresh worker that died did so of these texts


async def _ask_one(worker: Worker, request: list[str], limit: float) -> dict[str, Any] | None:
    """Ask one worker, and keep it for the next comparison unless it failed."""
    reply = None
    try:
        reply = await worker.ask(request, limit)
    finally:
        if reply is None or "stuck" in reply or len(_idle) >= _WORKERS:
            worker.close()
        else:
            _idle.append(worker)
    return reply


def _slot() -> asyncio.Semaphore:
    """The running loop's limit; those of closed loops are dropped."""
    for loop in list(_slots):
        if loop.is_closed():
            _slots.pop(loop, None)
    return _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_WORKERS))


def _free() -> Worker | None:
    """An idle worker that still lives."""
    while _idle:
        worker = _idle.pop()
        if worker.usable():
            return worker
        worker.close()
    return None


def _symbolic(text: str) -> str:
    """What math-verify is given: one line, no dollars (it is wrapped in a pair of them)."""
    text = " ".join(text.translate(CHARACTERS).split())
    for mark in ("\\$", "$", "**", "\\(", "\\)", "\\[", "\\]"):
        text = text.replace(mark, "")
    return text.strip().rstrip(".").strip()


def close() -> None:
    """End the idle workers; also done when the interpreter exits."""
    while _idle:
        _idle.pop().close()


def _forget() -> None:
    """After a fork: the workers belong to the parent, and the child must not read its replies."""
    for worker in _idle:
        worker.process.returncode = 0
    _idle.clear()
    _slots.clear()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)
