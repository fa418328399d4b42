"""Where runs live: records, journal entries, step digests and blobs, in SQLite or PostgreSQL.

Writes are grouped: everything appended within one pass of the event loop is one transaction (`journal.md`'s figures: 10 to 45 rows a
commit under load), and the future of an append resolves when its row is committed. `open_store` chooses by address: a path or
`sqlite:///path` is a file, `postgresql://...` a server (the `postgres` extra), None is memory.
"""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from symposia.state import packing
from symposia.state.errors import RunHeld, StoreError, StoreVersion, UnknownName
from symposia.state.packing import Blobs, decode, encode, pack, pack_shared, refs_of, unpack

VERSION = 1
_KNOWN_BLOBS = 20_000
_LOOK = 0.02  # seconds between two looks at who holds a run
_PATIENCE = 1000  # attempts: of those who add at once to the same name on a server, one succeeds each time

TABLES = (
    "CREATE TABLE IF NOT EXISTS symposia_format (version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, started DOUBLE PRECISION, method TEXT, status TEXT, record TEXT)",
    "CREATE TABLE IF NOT EXISTS blobs (digest {bytes} PRIMARY KEY, body {bytes})",
    "CREATE TABLE IF NOT EXISTS entries (seq {serial}, run TEXT, place TEXT, digest {bytes}, kind TEXT, request {bytes}, salt BIGINT,"
    " outcome {bytes}, role TEXT, model TEXT, calls INTEGER, requests INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER,"
    " usd DOUBLE PRECISION, ms DOUBLE PRECISION, copied INTEGER, notes {bytes})",
    "CREATE INDEX IF NOT EXISTS entries_run ON entries (run)",
    "CREATE TABLE IF NOT EXISTS steps (run TEXT, frame TEXT, step INTEGER, digest {bytes}, next TEXT, PRIMARY KEY (run, frame, step))",
    "CREATE TABLE IF NOT EXISTS cancels (run TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS artefacts (id TEXT PRIMARY KEY, method TEXT, record TEXT)",
    "CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, output TEXT, started DOUBLE PRECISION, record TEXT)",
    "CREATE TABLE IF NOT EXISTS merged (file TEXT PRIMARY KEY, seq BIGINT)",
    "CREATE TABLE IF NOT EXISTS updates (name TEXT, version BIGINT, key TEXT, value TEXT, PRIMARY KEY (name, version), UNIQUE (name, key))",
)

_ENTRY_COLUMNS = (
    "run, place, digest, kind, request, salt, outcome, role, model, calls, requests, prompt_tokens, completion_tokens, usd, ms,"
    " copied, notes"
)
ADD_ENTRY = f"INSERT INTO entries ({_ENTRY_COLUMNS}) VALUES ({', '.join('?' * 17)})"  # noqa: S608
ADD_BLOB = "INSERT INTO blobs (digest, body) VALUES (?, ?) ON CONFLICT DO NOTHING"
ADD_STEP = (
    "INSERT INTO steps (run, frame, step, digest, next) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (run, frame, step) DO UPDATE SET digest = excluded.digest, next = excluded.next"
)

PUT_RUN = (
    "INSERT INTO runs (id, started, method, status, record) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, record = excluded.record"
)
ADD_UPDATE = (
    "INSERT INTO updates (name, version, key, value) SELECT ?, coalesce(max(version), 0) + 1, ?, ? FROM updates WHERE name = ?"
    " ON CONFLICT DO NOTHING"
)
DROP_ENTRY = "DELETE FROM entries WHERE run = ? AND seq = ?"
DROP_STEPS = "DELETE FROM steps WHERE run = ?"

Write = tuple[str, Sequence[Sequence[Any]]]


@dataclass(slots=True)
class Usage:
    """What an effect cost: completions, HTTP requests, tokens, USD (None: no price known), milliseconds."""

    role: str = ""
    model: str = ""
    calls: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    ms: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Entry:
    """One effect of a run: what was asked where, and what came of it (`{"value": ...}` or `{"error": record}`)."""

    place: str
    digest: bytes
    kind: str
    request: dict[str, Any]
    outcome: dict[str, Any]
    usage: Usage
    salt: int | None = None
    copied: bool = False
    seq: int = 0


@dataclass(slots=True)
class Step:
    """The digest of a state after a step, and the nodes that come next; `frame` is the place of a subgraph, "" outside."""

    frame: str
    step: int
    digest: bytes
    next: list[str]


class Store(ABC):
    """Runs, entries, steps, blobs and artefacts; the two kinds of store differ in how SQL is executed and committed."""

    dialect: dict[str, str]
    hold_wait = 2.0
    """Seconds to wait for whoever executes a run: what has just ended or begun to wait for a person is still being put on the disk."""

    def __init__(self, url: str) -> None:
        """Remember the address; nothing is opened yet."""
        self.url = url
        self.address = url
        """What another process opens the same store with; unlike `url` it holds a server's password."""
        self._known: set[bytes] = set()
        self._held: set[int] = set()
        self._pending: list[tuple[list[Write], asyncio.Future[None]]] = []

    @abstractmethod
    async def open(self) -> None:
        """Connect and create what is missing.

        Raises:
            StoreError: It cannot be opened; `StoreVersion` when another version of the format wrote it.
        """

    @abstractmethod
    async def close(self) -> None:
        """Commit what is pending and disconnect."""

    @abstractmethod
    async def read(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query with `?` placeholders."""

    @abstractmethod
    def _schedule(self) -> None:
        """Have the pending writes committed soon."""

    @abstractmethod
    async def flush(self) -> None:
        """Return when everything appended is on the disk, power loss included."""

    @abstractmethod
    def saver(self) -> Any:
        """LangGraph's own checkpointer over the same store, as an async context manager."""

    @abstractmethod
    async def _take(self, key: int) -> bool:
        """Hold what a number of 64 bits stands for until `_let_go` or the end of the process; False if another process holds it."""

    @abstractmethod
    async def _let_go(self, key: int) -> None:
        """Let others hold it."""

    @asynccontextmanager
    async def held(self, run_id: str) -> AsyncIterator[None]:
        """Keep everybody else from executing a run: two who do buy everything twice, and mix up its steps.

        Raises:
            RunHeld: It is being executed, here or in another process.
        """
        key = int.from_bytes(packing.digest_of(run_id)[:8], "big", signed=True)
        deadline = time.monotonic() + self.hold_wait
        while not await self._hold(key):
            if time.monotonic() > deadline:
                raise RunHeld(f"run {run_id} is being executed", remedy=f"wait for its end, or stop it: symposia cancel {run_id}")
            await asyncio.sleep(_LOOK)
        try:
            yield
        finally:
            try:
                await asyncio.shield(self._let_go(key))  # also when whoever held it is cancelled once more
            finally:
                self._held.discard(key)

    async def _hold(self, key: int) -> bool:
        """Take it, unless a part of this process has it, which a server would grant it once more."""
        if key in self._held:
            return False
        self._held.add(key)
        taken = False
        try:
            taken = await self._take(key)
        finally:
            if not taken:
                self._held.discard(key)
        return taken

    async def __aenter__(self) -> "Store":
        """Open the store."""
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the store."""
        await self.close()

    def write(self, writes: list[Write]) -> "asyncio.Future[None]":
        """Queue statements for the next transaction; the future resolves when it is committed, or raises its error."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((writes, future))
        self._schedule()
        return future

    async def prepare(self) -> None:
        """Create the tables of an empty store, or check the version of an old one."""
        for sql in TABLES:
            await self.write([(sql.format(**self.dialect), [()])])
        rows = await self.read("SELECT version FROM symposia_format")
        if not rows:
            known = await self.read("SELECT count(*) FROM runs")
            if known[0][0]:
                rows = [(0,)]
            else:
                await self.write([("INSERT INTO symposia_format (version) VALUES (?)", [(VERSION,)])])
        if rows and rows[0][0] != VERSION:
            raise StoreVersion(
                f"store {self.url} has format {rows[0][0]}, this version of Symposia reads format {VERSION}",
                remedy="open it with the version that wrote it, or name another one with --store or SYMPOSIA_STORE",
            )

    # -- runs ---------------------------------------------------------------------------------------------------------------------------

    async def put_run(self, record: dict[str, Any]) -> None:
        """Write or replace a run's record, by its `run_id`; images of its question and of edits are blobs, which runs share."""
        blobs: Blobs = {}
        kept = _change_images(record, partial(_as_blobs, blobs=blobs))
        row = (record["run_id"], record["started"], record["method"], record["status"], json.dumps(kept))
        new = [(k, v) for k, v in blobs.items() if k not in self._known]
        await self.write([*([(ADD_BLOB, new)] if new else []), (PUT_RUN, [row])])
        self._remember(new)

    async def run(self, run_id: str) -> dict[str, Any]:
        """A run's record, by its id or an unambiguous beginning of it.

        Raises:
            UnknownName: There is no such run, or more than one.
        """
        rows = await self.read("SELECT record FROM runs WHERE id = ?", (run_id,))
        if not rows:
            prefix = run_id.replace("%", "").replace("_", "")
            rows = await self.read("SELECT record FROM runs WHERE id LIKE ? LIMIT 2", (prefix + "%",)) if prefix else []
        if len(rows) > 1:
            remedy = f"give more of its id; `symposia runs` lists the runs of {self.url}"
            raise UnknownName(f"several runs begin with {run_id!r}", remedy=remedy)
        if not rows:
            known = [r[0] for r in await self.read("SELECT id FROM runs ORDER BY started DESC LIMIT 1000")]
            raise UnknownName.of("run", run_id, known, remedy=f"`symposia runs` lists the runs of {self.url}")
        record: dict[str, Any] = json.loads(rows[0][0])
        refs = {ref for images in _images_of(record) for ref in _refs(images)}
        bodies = {bytes(k): decode(bytes(v)) for k, v in await self._bodies([*refs])} if refs else {}
        return _change_images(record, lambda images: [bodies[ref] for ref in _refs(images) if ref in bodies] or images)

    async def runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """The records of the newest runs, newest first; of the images of their questions and edits only the digests."""
        rows = await self.read("SELECT record FROM runs ORDER BY started DESC LIMIT ?", (limit,))
        return [json.loads(r[0]) for r in rows]

    # -- journal ------------------------------------------------------------------------------------------------------------------------

    def append(self, run_id: str, entry: Entry) -> "asyncio.Future[None]":
        """Queue an entry and the blobs it needs; await the future before using its outcome."""
        blobs: Blobs = {}
        request = pack_shared(entry.request, blobs)
        outcome = pack(entry.outcome, blobs)
        u = entry.usage
        notes = pack(u.notes, blobs) if u.notes else None
        row = (
            *(run_id, entry.place, entry.digest, entry.kind, request, entry.salt, outcome, u.role, u.model, u.calls, u.requests),
            *(u.prompt_tokens, u.completion_tokens, u.usd, round(u.ms, 2), int(entry.copied), notes),
        )
        new = [(k, v) for k, v in blobs.items() if k not in self._known]
        future = self.write([(ADD_BLOB, new), (ADD_ENTRY, [row])])
        future.add_done_callback(lambda done: self._remember(new) if not done.cancelled() and done.exception() is None else None)
        return future

    def _remember(self, blobs: Iterable[tuple[bytes, bytes]]) -> None:
        """Blobs that are committed need not be sent again."""
        if len(self._known) > _KNOWN_BLOBS:
            self._known.clear()
        self._known.update(k for k, _ in blobs)

    async def entries(self, run_id: str) -> list[Entry]:
        """All entries of a run in the order they were committed."""
        rows = await self.read(f"SELECT seq, {_ENTRY_COLUMNS} FROM entries WHERE run = ? ORDER BY seq", (run_id,))  # noqa: S608
        blobs = await self._blobs_of(data for row in rows for data in (row[5], row[7], row[17]) if data)
        fetch = blobs.__getitem__
        found = []
        for (
            seq,
            _run,
            place,
            digest,
            kind,
            request,
            salt,
            outcome,
            role,
            model,
            calls,
            requests,
            ptok,
            ctok,
            usd,
            ms,
            copied,
            notes,
        ) in rows:
            asked = unpack(bytes(request), fetch)
            used = Usage(role, model, calls, requests, ptok, ctok, usd, ms, unpack(bytes(notes), fetch) if notes else {})
            result = unpack(bytes(outcome), fetch)
            found.append(Entry(place, bytes(digest), kind, asked, result, used, salt, bool(copied), seq))
        return found

    async def drop(self, run_id: str, entries: Iterable[Entry]) -> None:
        """Forget entries of a run, such as the failures of a run that is tried again."""
        rows = [(run_id, e.seq) for e in entries]
        if rows:
            await self.write([(DROP_ENTRY, rows)])

    async def _blobs_of(self, packed: Iterable[bytes]) -> dict[bytes, bytes]:
        """All blobs that packed values need, a level of references at a time."""
        blobs: dict[bytes, bytes] = {}
        wanted = {ref for data in packed for ref in refs_of(bytes(data))}
        while wanted:
            ask = list(wanted)
            fresh: dict[bytes, bytes] = {}
            for i in range(0, len(ask), 500):
                fresh.update((bytes(k), bytes(v)) for k, v in await self._bodies(ask[i : i + 500]))
            blobs.update(fresh)
            wanted = {ref for body in fresh.values() if body[:1] == b"m" for ref in refs_of(body[1:])} - blobs.keys()
        return blobs

    async def _bodies(self, refs: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """Digest and body of blobs, 500 at most."""
        return await self.read(f"SELECT digest, body FROM blobs WHERE digest IN ({', '.join('?' * len(refs))})", refs)  # noqa: S608

    # -- steps, artefacts ---------------------------------------------------------------------------------------------------------------

    def append_step(self, run_id: str, step: Step) -> "asyncio.Future[None]":
        """Queue the digest of a state."""
        row = (run_id, step.frame, step.step, step.digest, json.dumps(step.next))
        return self.write([(ADD_STEP, [row])])

    async def steps(self, run_id: str) -> list[Step]:
        """The recorded steps of a run, by frame and step."""
        rows = await self.read("SELECT frame, step, digest, next FROM steps WHERE run = ? ORDER BY frame, step", (run_id,))
        return [Step(frame, step, bytes(digest), json.loads(names)) for frame, step, digest, names in rows]

    async def drop_steps(self, run_id: str) -> None:
        """Forget the recorded steps of a run that is executed again."""
        await self.write([(DROP_STEPS, [(run_id,)])])

    async def ask_to_stop(self, run_id: str) -> None:
        """Leave word for whoever executes the run that no new work should start."""
        await self.write([("INSERT INTO cancels (run) VALUES (?) ON CONFLICT DO NOTHING", [(run_id,)])])

    async def asked_to_stop(self, run_id: str) -> bool:
        """Whether somebody left that word; a resume takes it back."""
        return bool(await self.read("SELECT 1 FROM cancels WHERE run = ?", (run_id,)))

    async def go_on(self, run_id: str) -> None:
        """Take back the word to stop."""
        await self.write([("DELETE FROM cancels WHERE run = ?", [(run_id,)])])

    async def put_artefact(self, artefact_id: str, method: str, record: dict[str, Any]) -> None:
        """Keep what `prepare` made, under the digest of its content."""
        sql = "INSERT INTO artefacts (id, method, record) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        await self.write([(sql, [(artefact_id, method, json.dumps(record))])])

    async def artefact(self, artefact_id: str) -> dict[str, Any]:
        """What `prepare` made.

        Raises:
            UnknownName: There is no such artefact in this store.
        """
        rows = await self.read("SELECT record FROM artefacts WHERE id = ?", (artefact_id,))
        if not rows:
            known = [r[0] for r in await self.read("SELECT id FROM artefacts")]
            raise UnknownName.of("artefact", artefact_id, known, remedy="`symposia prepare METHOD DATA.jsonl` makes one")
        record: dict[str, Any] = json.loads(rows[0][0])
        return record

    # -- what runs change together ------------------------------------------------------------------------------------------------------

    async def add_update(self, name: str, key: str, value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Add a change to what is kept under a name and shared by runs, such as a bandit: its version and what is recorded.

        Versions of a name are 1, 2, 3 without a gap, in the order of the commits, so whoever sees one sees all before it. A key stands for
        one change: adding it again, as an effect does that a crash cut off, changes nothing and gives what was recorded the first time.

        Raises:
            StoreError: Others kept adding first.
        """
        for _ in range(_PATIENCE):
            await self.write([(ADD_UPDATE, [(name, key, json.dumps(value), name)])])
            await self._hand_in()
            rows = await self.read("SELECT version, value FROM updates WHERE name = ? AND key = ?", (name, key))
            if rows:
                return int(rows[0][0]), json.loads(rows[0][1])
        raise StoreError(f"store {self.url}: {name} is changed by too many at once", remedy="start the run again, with fewer at once")

    async def _hand_in(self) -> None:
        """See to it that what has been committed can be read; here it can."""
        return

    async def updates(self, name: str, after: int = 0) -> list[tuple[int, dict[str, Any]]]:
        """The changes to what is kept under a name, from a version on, in order."""
        rows = await self.read("SELECT version, value FROM updates WHERE name = ? AND version > ? ORDER BY version", (name, after))
        return [(int(version), json.loads(value)) for version, value in rows]

    async def updated_names(self) -> list[str]:
        """The names under which something is kept, sorted."""
        return [row[0] for row in await self.read("SELECT DISTINCT name FROM updates ORDER BY name")]

    # -- batches ------------------------------------------------------------------------------------------------------------------------

    async def put_batch(self, record: dict[str, Any]) -> None:
        """Write or replace a batch's record, by its `batch_id`; the ids of its runs begin with that id."""
        row = (record["batch_id"], record["output"], record["started"], json.dumps(record))
        sql = (
            "INSERT INTO batches (id, output, started, record) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET output = excluded.output, record = excluded.record"
        )
        await self.write([(sql, [row])])

    async def batches(self, *, batch_id: str | None = None, output: str | None = None) -> list[dict[str, Any]]:
        """The records of batches, newest first: the one of an id, or those that wrote to an output file."""
        column, wanted = ("id", batch_id) if batch_id is not None else ("output", output)
        rows = await self.read(f"SELECT record FROM batches WHERE {column} = ? ORDER BY started DESC", (wanted,))  # noqa: S608
        return [json.loads(r[0]) for r in rows]

    def beginning_with(self, column: str, prefix: str) -> tuple[str, tuple[str, str]]:
        """A condition over a column of ids, and its values: those that begin with a prefix of hexadecimal digits or letters.

        Ids are compared byte by byte: a linguistic collation, which a server's database may have, sorts signs before digits or skips them.
        """
        ordered = f"{column}{self.dialect['bytewise']}"
        return f"{ordered} >= ? AND {ordered} < ?", (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))

    async def statuses(self, batch_id: str) -> dict[str, str]:
        """The status of each run of a batch that has begun, by run id."""
        where, args = self.beginning_with("id", batch_id)
        return dict(await self.read(f"SELECT id, status FROM runs WHERE {where}", args))  # noqa: S608

    async def spent(self, batch_id: str) -> Usage:
        """What a batch, or a run, has paid so far, rows that are half done and judges included.

        `usd` sums the known prices; `notes["unpriced"]` counts the completions without one.
        """
        where, args = self.beginning_with("run", batch_id)
        sums = (
            "sum(calls), sum(requests), sum(prompt_tokens), sum(completion_tokens), sum(usd),"
            " sum(CASE WHEN usd IS NULL THEN calls ELSE 0 END)"
        )
        found = await self.read(f"SELECT {sums} FROM entries WHERE copied = 0 AND {where}", args)  # noqa: S608
        calls, requests, sent, back, usd, unpriced = (value or 0 for value in found[0])
        counts = {"calls": int(calls), "requests": int(requests), "prompt_tokens": int(sent), "completion_tokens": int(back)}
        return Usage(**counts, usd=float(usd), notes={"unpriced": int(unpriced)})  # type: ignore[arg-type]

    async def forget(self, run_id: str) -> None:
        """Remove a run with its entries and steps, so that it can be made anew."""
        tables = (("runs", "id"), ("entries", "run"), ("steps", "run"), ("cancels", "run"))
        await self.write([(f"DELETE FROM {table} WHERE {column} = ?", [(run_id,)]) for table, column in tables])  # noqa: S608

    async def cancelled(self) -> set[str]:
        """The runs that somebody asked to stop."""
        return {row[0] for row in await self.read("SELECT run FROM cancels")}

    def _fail(self, taken: list[tuple[list[Write], "asyncio.Future[None]"]], error: BaseException) -> None:
        """Tell everyone who waits for a commit that it failed."""
        for _, future in taken:
            if not future.done():
                future.set_exception(error)
                future.exception()  # looked at: not everybody who writes waits at once, and the first who does tells


def _change_images(record: dict[str, Any], change: Callable[[list[Any]], list[Any]]) -> dict[str, Any]:
    """A run's record with other lists of images, in its input and in the values that its marks set."""

    def changed(values: Any) -> Any:
        images = values.get("images") if isinstance(values, dict) else None
        return {**values, "images": change(images)} if images and isinstance(images, list) else values

    found = {**record, "input": changed(record["input"])} if "input" in record else record
    marks = [{**mark, "values": changed(mark["values"])} for mark in record.get("marks") or []]
    return {**found, "marks": marks} if marks else found


def _images_of(record: dict[str, Any]) -> list[list[Any]]:
    """The lists of images of a run's record."""
    found: list[list[Any]] = []

    def heard(images: list[Any]) -> list[Any]:
        found.append(images)
        return images

    _change_images(record, heard)
    return found


def _as_blobs(images: list[Any], blobs: Blobs) -> list[Any]:
    """Digests in place of images, which are added to `blobs`; a list that an edit filled with anything else stays."""
    if not all(isinstance(image, str) for image in images):
        return images
    refs = [packing.digest(image.encode()) for image in images]
    blobs.update((ref, encode(image)) for ref, image in zip(refs, images, strict=True))
    return [{"blob": ref.hex()} for ref in refs]


def _refs(images: list[Any]) -> list[bytes]:
    """The digests that stand in place of images; none for a list that an edit filled with anything else."""
    try:
        return [bytes.fromhex(image["blob"]) for image in images]
    except (KeyError, TypeError, ValueError):
        return []


def open_store(url: str) -> Store:
    """The store at an address, not yet opened: `postgresql://...`, else a SQLite file.

    Raises:
        StoreError: The address is PostgreSQL's, and its driver is not installed.
    """
    if url.startswith(("postgresql://", "postgres://")):
        try:
            from symposia.state.postgres import PostgresStore
        except ImportError as error:
            raise StoreError("the PostgreSQL driver is not installed", remedy="pip install 'symposia[postgres]'") from error
        return PostgresStore(url)
    from symposia.state.sqlite import SqliteStore

    return SqliteStore(url.removeprefix("sqlite:///"))
