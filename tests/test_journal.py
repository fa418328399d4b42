"""Effects: committed before use, done once, read ever after; failures too."""

import asyncio
import time
from functools import partial
from typing import Any

import pytest

from symposia.state.errors import EndpointDown, NotRecorded, PlaceError, Stopped, StoreError, from_record
from symposia.state.journal import Failed, Outcome, Parent, Run, current, effect, now, opened, seed_at
from symposia.state.packing import request_digest
from symposia.state.place import fan
from symposia.state.sqlite import SqliteStore
from symposia.state.store import Entry, Store, Usage, Write
from symposia.tools.limits import Limiter


async def never() -> Any:
    pytest.fail("a recorded effect was done again")


def giving(value: Any):
    async def perform() -> Any:
        return value

    return perform


async def again(run: Run, **options: Any) -> Run:
    """A new execution over what a run's store holds, or over its entries in memory."""
    entries = await run.store.entries(run.id) if run.store else list(run.live)
    return Run(run.id, run.store, entries, **options)


# -- done once, committed before use ----------------------------------------


async def test_a_recorded_effect_is_read_and_nothing_is_done(store):
    first = Run("r", store)
    async with opened(first):
        live = [await effect("test", {"n": 1}, giving({"a": [1, "two", None, 0.5]})), await effect("test", {"n": 2}, giving("x" * 500))]
    second = await again(first)
    async with opened(second):
        assert [await effect("test", {"n": 1}, never), await effect("test", {"n": 2}, never)] == live
    assert (len(first.live), first.replayed, len(second.live), second.replayed) == (2, 0, 0, 2)
    assert [e.place for e in await store.entries("r")] == ["0.outside", "0.outside.n1"]


async def test_another_request_or_kind_at_the_same_place_is_another_effect(store):
    run = Run("r", store)
    async with opened(run):
        await effect("test", {"n": 1}, giving("first"))
    for kind, request, value in (("test", {"n": 2}, "second"), ("other", {"n": 1}, "third")):
        async with opened(await again(run)):
            assert await effect(kind, request, giving(value)) == value
    assert [e.outcome["value"] for e in await store.entries("r")] == ["first", "second", "third"]
    async with opened(await again(run)):
        assert await effect("test", {"n": 1}, never) == "first", "what is recorded stays, also beside other requests"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        -(2**63),
        2**64 - 1,
        0.1,
        float("-inf"),
        "",
        "ä🙂\x00",
        "long " * 200,
        [],
        {},
        (1, (2,)),
        {"messages": "text"},
        [{"a": (1,)}],
    ],
    ids=lambda v: repr(v)[:20],
)
async def test_live_and_replayed_values_have_the_same_types(value, sqlite):
    run = Run("r", sqlite)
    async with opened(run):
        live = await effect("test", {}, giving(value))
    async with opened(await again(run)):
        replayed = await effect("test", {}, never)
    assert repr(live) == repr(replayed)


async def test_nothing_is_delivered_before_it_is_committed(sqlite):
    run, delivered = Run("r", sqlite), []

    async def one(i: int) -> None:
        delivered.append(await effect("test", {"i": i}, giving(i)))
        held = [row[0] for row in await sqlite.read("SELECT place FROM entries")]
        assert f"0.outside.b{i}" in held

    async with opened(run):
        await fan([partial(one, i) for i in range(20)])
    assert sorted(delivered) == list(range(20))


class Failing(SqliteStore):
    """A store whose commits fail from the third entry on."""

    def write(self, writes: list[Write]) -> "asyncio.Future[None]":
        if any("INTO entries" in sql for sql, _ in writes):
            [(held,)] = self._connection.execute("SELECT count(*) FROM entries").fetchall()
            if held >= 2:
                writes = [*writes, ("INSERT INTO no_such_table VALUES (1)", [()])]
        return super().write(writes)


async def test_an_effect_that_cannot_be_committed_raises_and_gives_nothing(tmp_path):
    async with Failing(str(tmp_path / "store.db")) as store:
        run, delivered = Run("r", store), []
        async with opened(run):
            for i in range(2):
                delivered.append(await effect("test", {"i": i}, giving(i)))
            with pytest.raises(StoreError, match="no such table"):
                delivered.append(await effect("test", {"i": 2}, giving(2)))
            with pytest.raises(StoreError):
                await effect("test", {"i": 3}, giving(3))
        assert delivered == [0, 1]
        assert run.in_flight == 0
        assert len(run.live) == len(await store.entries("r")) == 2


async def test_a_value_that_is_no_json_is_an_error_and_not_recorded(sqlite):
    run = Run("r", sqlite)
    async with opened(run):
        for value in ({1: "one"}, {"a": {1, 2}}, "\ud800", 10**30):
            with pytest.raises(TypeError):
                await effect("test", {}, giving(value))
    assert (await sqlite.entries("r"), run.in_flight) == ([], 0)


async def test_a_limiters_slot_is_held_until_the_commit(sqlite):
    slots, seen = Limiter(2), []

    class Watching(Run):
        async def commit(self, entry: Entry) -> None:
            seen.append(slots.active)
            await super().commit(entry)

    async with opened(Watching("r", sqlite)):
        await fan([partial(effect, "test", {}, giving(i), hold=slots) for i in range(6)])
    assert seen
    assert set(seen) <= {1, 2}
    assert slots.active == 0


# -- failures ----------------------------------------


async def test_a_failure_is_recorded_and_raised_again_the_same(store):
    async def fails() -> Any:
        raise Failed(EndpointDown("no answer", remedy="start it"), Usage(role="solver", requests=3, notes={"attempts": [{"waited": 1.5}]}))

    run = Run("r", store)
    async with opened(run):
        await effect("test", {}, giving(0))
        with pytest.raises(EndpointDown) as live:
            await effect("test", {}, fails)
    async with opened(await again(run)):
        await effect("test", {}, never)
        with pytest.raises(EndpointDown) as replayed:
            await effect("test", {}, never)
    assert live.value.to_record() == replayed.value.to_record()
    assert live.value.to_record() == {
        "name": "EndpointDown",
        "message": "no answer",
        "node": "outside",
        "step": 0,
        "place": "0.outside.n1",
        "remedy": "start it",
    }
    entry = (await store.entries("r"))[-1]
    assert (entry.usage.role, entry.usage.requests, entry.usage.notes) == ("solver", 3, {"attempts": [{"waited": 1.5}]})


async def test_a_failure_that_quotes_half_a_sign_can_be_kept(sqlite):
    async def fails() -> Any:
        raise Failed(EndpointDown("too long: \ud83d"), Usage(notes={"attempts": [{"message": "busy with \ud83d"}]}))

    run = Run("r", sqlite)
    async with opened(run):
        with pytest.raises(EndpointDown, match="too long: \ufffd"):
            await effect("test", {}, fails)
    (entry,) = await sqlite.entries("r")
    assert entry.outcome["error"]["message"] == "too long: \ufffd"
    assert entry.usage.notes == {"attempts": [{"message": "busy with \ufffd"}]}


async def test_an_unforeseen_exception_is_not_recorded(sqlite):
    async def breaks() -> Any:
        raise KeyError("a fault of the code")

    run = Run("r", sqlite)
    async with opened(run):
        with pytest.raises(KeyError):
            await effect("test", {}, breaks)
    assert await sqlite.entries("r") == []
    async with opened(await again(run)):
        assert await effect("test", {}, giving("now")) == "now"


async def test_a_cancelled_effect_is_not_recorded_and_is_no_longer_in_flight(sqlite):
    async def waits() -> Any:
        await asyncio.Event().wait()

    run = Run("r", sqlite)
    async with opened(run):
        task = asyncio.create_task(effect("test", {}, waits))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        assert run.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (run.in_flight, await sqlite.entries("r")) == (0, [])


# -- strict, stopped ----------------------------------------


async def test_a_strict_run_does_nothing_and_names_the_request():
    first = Run("r")
    async with opened(first):
        await effect("test", {"n": 1}, giving(1))
    run = Run("r", None, first.live, strict=True)
    async with opened(run):
        with pytest.raises(NotRecorded, match=r"test at 0\.outside is not in the journal") as caught:
            await effect("test", {"n": 2}, never)
    assert caught.value.got == {"place": "0.outside", "kind": "test", "request": {"n": 2}}
    assert run.divergence == {
        "step": 0,
        "node": "outside",
        "place": "0.outside",
        "expected": {"place": "0.outside", "request": {"n": 1}},
        "got": caught.value.got,
    }


async def test_a_stopped_run_waits_for_what_is_in_flight_and_still_reads(sqlite):
    run, gate = Run("r", sqlite), asyncio.Event()

    async def slow() -> Any:
        await gate.wait()
        return "paid for"

    async with opened(run):
        await effect("test", {"n": 0}, giving("recorded"))
        paid = asyncio.create_task(effect("test", {"n": 1}, slow))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        run.stop("the budget is used up")
        refused = asyncio.create_task(fan([partial(effect, "test", {"n": 2}, never)]))
        await asyncio.sleep(0.01)
        assert not refused.done(), "it waits for the call that is in flight"
        gate.set()
        with pytest.raises(Stopped, match=r"no new work: the budget is used up.*symposia resume r"):
            await refused
        assert await paid == "paid for"
    assert len(await sqlite.entries("r")) == 2
    second = await again(run)
    second.stop("still")
    async with opened(second):
        assert await effect("test", {"n": 0}, never) == "recorded"


async def test_what_waits_for_a_slot_when_the_run_is_stopped_is_not_begun():
    run, slots, begun = Run("r"), Limiter(2), []

    async def slow(i: int) -> int:
        begun.append(i)
        await asyncio.sleep(0.01)
        run.stop("enough")
        return i

    async with opened(run):
        with pytest.raises(Stopped):
            await fan([partial(effect, "test", {}, partial(slow, i), hold=slots) for i in range(8)])
    assert begun == [0, 1]
    assert [e.outcome["value"] for e in run.live] == [0, 1]
    assert (run.in_flight, slots.active) == (0, 0)


# -- the clock, seeds, places ----------------------------------------


async def test_the_clock_is_an_effect(store):
    run = Run("r", store)
    before = time.time()
    async with opened(run):
        first, second = await now(), await now()
    assert before <= first <= second <= time.time()
    async with opened(await again(run, strict=True)):
        assert [await now(), await now()] == [first, second]


async def seeds(root: int | None, rounds: int = 2) -> list[int | None]:
    """The seeds that the effects of a run get, two branches a round."""
    found: list[int | None] = []

    async def perform(seed: int | None) -> Any:
        found.append(seed)

    async with opened(Run("any name")):
        for _ in range(rounds):
            await fan([partial(effect, "test", {}, perform, salt=seed_at(root))] * 2)
    return found


async def test_seeds_come_from_the_root_the_site_and_the_round():
    first = await seeds(7)
    assert len({*first}) == 4
    assert first == await seeds(7)
    assert (await seeds(7, rounds=3))[:4] == first, "more rounds keep the former's seeds"
    assert not {*first} & {*(await seeds(8))}
    assert all(isinstance(s, int) and 0 <= s < 2**31 for s in first)
    assert await seeds(None) == [None] * 4


def test_the_seed_of_a_round_does_not_depend_on_its_step():
    """An edit moves every later step by one; the seeds stay."""

    def of(*places: str) -> list[int | None]:
        run = Run("r")
        return [seed_at(7)(run, place) for place in places]

    plain = of("2.solve.b0", "4.review.b0", "6.review.b0", "8.review.b0")
    assert of("2.solve.b0", "4.review.b0", "7.review.b0", "9.review.b0") == plain
    assert len({*plain}) == 4
    run = Run("r")
    assert seed_at(7)(run, "4.review.b0") == seed_at(7)(run, "4.review.b0"), "asked twice at one place it is the same"


async def test_the_seed_is_part_of_what_is_looked_up():
    run = Run("r")

    async def perform(seed: int | None) -> Any:
        return seed

    async with opened(run):
        first = await effect("test", {}, perform, salt=seed_at(1))
    async with opened(Run("r", None, run.live)):
        assert await effect("test", {}, perform, salt=seed_at(2)) != first
    async with opened(Run("r", None, run.live, strict=True)):
        assert await effect("test", {}, perform, salt=seed_at(1)) == first
    assert run.live[0].salt == first


async def test_a_place_serves_one_effect_until_the_next_execution():
    run = Run("r")
    run.use("1.node")
    with pytest.raises(PlaceError, match=r"two effects have the place 1\.node"):
        run.use("1.node")
    run.begin()
    run.use("1.node")


async def test_a_run_is_open_only_within_its_block():
    run = Run("r")
    async with opened(run):
        assert current() is run
        async with opened(Run("inner")) as inner:
            assert current() is inner
        assert current() is run
    with pytest.raises(PlaceError):
        current()


# -- a fork's look into its parent ----------------------------------------


def entry(place: str, value: Any, seq: int, request: Any = None) -> Entry:
    asked = request or {"request": "equal"}
    return Entry(place, request_digest("test", asked, None), "test", asked, {"value": value}, Usage(calls=1), seq=seq)


KEY = request_digest("test", {"request": "equal"}, None)


def taken(parent: Parent, *places: str) -> list[Any]:
    return [None if (found := parent.take(place, KEY)) is None else found.outcome["value"] for place in places]


def test_a_fork_takes_the_same_place_and_each_entry_once():
    entries = [entry(f"{i}.loop", i, i) for i in range(1, 6)]
    assert taken(Parent(entries, 2, False), *(f"{i}.loop" for i in range(1, 8))) == [1, 2, 3, 4, 5, None, None]
    assert taken(Parent(reversed(entries), 2, False), "1.loop", "1.loop") == [1, 2], "in the order of steps, not of commits"


def test_after_an_edit_steps_stand_one_later_and_a_loop_still_takes_its_own_samples():
    """A node that repeats every step asks the same thing each time, so the place one earlier is the right one, not the equal place."""
    entries = [entry(f"{i}.loop", i, i) for i in range(1, 6)]
    assert taken(Parent(entries, 2, True), "1.loop", "2.loop", "4.loop", "5.loop", "6.loop", "7.loop") == [1, 2, 3, 4, 5, None]
    assert taken(Parent(entries, 2, True), "1.loop", "2.loop", "6.loop", "5.loop") == [1, 2, 5, 4], "whichever comes first"


def test_what_moved_to_another_step_is_taken_from_its_site_by_request():
    entries = [
        entry("3.a.b0", "first", 1),
        entry("5.a.b0", "second", 2),
        entry("5.a.b1", "other branch", 3),
        entry("5.b.b0", "other node", 4),
    ]
    assert taken(Parent(entries, 0, False), "4.a.b0", "8.a.b0", "9.a.b0") == ["first", "second", None]
    other = Parent([entry("3.a", "x", 1, {"request": "different"})], 0, False)
    assert taken(other, "3.a") == [None]


async def test_what_a_fork_takes_is_copied_so_that_it_stands_alone(store):
    parent = Run("parent", store)
    async with opened(parent):
        await effect("test", {"n": 1}, giving("long " * 100))
    child = Run("child", store, parent=Parent(await store.entries("parent"), 1, False))
    async with opened(child):
        assert await effect("test", {"n": 1}, never) == "long " * 100
        assert await effect("test", {"n": 2}, giving("new")) == "new"
    assert ([e.copied for e in await store.entries("child")], child.replayed, len(child.live)) == ([True, False], 1, 1)
    alone = Run("child", store, await store.entries("child"), strict=True)
    async with opened(alone):
        assert [await effect("test", {"n": 1}, never), await effect("test", {"n": 2}, never)] == ["long " * 100, "new"]
    assert len(await store.entries("parent")) == 1


async def test_a_run_in_memory_needs_no_store():
    run = Run("memory")
    async with opened(run):
        assert await effect("test", {}, giving(Outcome([1], Usage(role="solver", calls=2)))) == [1]
    assert isinstance(run.store, Store | None)
    [done] = run.live
    assert (done.usage.role, done.usage.calls) == ("solver", 2)
    assert done.usage.ms >= 0


def test_every_recorded_error_comes_back_by_its_name():
    assert isinstance(from_record({"name": "Stopped", "message": "m"}), Stopped)
