"""Limits of a model: the learned number of requests at once, requests and tokens per minute, leases, the gate, and whoever is cancelled."""

import asyncio
import contextlib
import logging
import random
import time
from functools import partial

import pytest
from server import Server

from symposia.config import load_config
from symposia.state.errors import BadInput, RateLimited, Stopped
from symposia.state.journal import Failed, Run, effect, opened
from symposia.state.place import fan
from symposia.state.store import Usage
from symposia.tools import limits
from symposia.tools.completion import complete
from symposia.tools.http import http
from symposia.tools.limits import Gate, Limiter, limiter, limiters
from symposia.tools.permits import Permits
from symposia.tools.providers import price
from symposia.tools.rates import Rate, Rates
from symposia.tools.retry import retrying
from symposia.tools.settings import Limits, configure, limits_of, settings

HI = [{"role": "user", "content": ["four", "char"]}]


@pytest.fixture(autouse=True)
def process_settings():
    before = settings()
    configure(api_base=None, api_key=None, attempts=10, max_wait=0.3, concurrency=64, rpm=None, tpm=None, limits={}, prices={})
    yield
    configure(**{name: getattr(before, name) for name in before.__dataclass_fields__})


async def until(holds):
    """Wait until something holds."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


# What is learned


async def asking(server, slots, run):
    """Ask a server again and again, as fast as the limiter lets."""
    session = await http()

    async def send():
        async with session.post(
            f"{server.url}/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        ) as response:
            await response.read()
            if response.status == 429:
                error = RateLimited("busy")
                error.pause = float(response.headers["Retry-After"])
                raise error

    while not run.stop_reason:
        async with slots:
            with contextlib.suppress(Failed):
                await retrying(send, Usage(), slots)


@contextlib.asynccontextmanager
async def clients(server, n, slots):
    """So many clients at work; and the share of 429s among the server's next so many requests."""
    run = Run("r")

    async def refused(count):
        first = len(server.log)
        await until(lambda: len(server.log) >= first + count)
        part = server.log[first : first + count]
        return sum(record["status"] == 429 for record in part) / count

    async with opened(run):
        tasks = [asyncio.create_task(asking(server, slots, run)) for _ in range(n)]
        yield refused
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_permits_follow_a_server_that_halves_its_limit_and_doubles_it(caplog):
    caplog.set_level(logging.INFO, "symposia.limits")
    said = []
    limits.on_change(lambda model, one: said.append((model, int(one.limit))))
    server = Server(delay_s=0.02, jitter_s=0.02, concurrency=64, retry_after="0.1", length=(10, 20))
    async with server, clients(server, 100, limiter("m")) as refused:
        assert await refused(200) == 0.0
        server.set(concurrency=32)
        assert await refused(600) < 0.05
        halved = [permits for _, permits in said]
        server.set(concurrency=64)
        assert await refused(600) < 0.05
    assert min(halved) <= 32
    assert max(halved[len(halved) // 2 :]) <= 40
    assert said[-1] == ("m", 64)
    assert caplog.messages[0] == "permits of m: 64 -> 44 (429)"
    assert [int(text.split()[5]) for text in caplog.messages] == [permits for _, permits in said]


def play(permits, n, takes, rng, rate=0.0):
    """Keep a server that takes so many at once busy with n requests; the share it refused, and the mean limit over their second half."""
    flying, refused, seen = [], 0, []
    while len(seen) < n:
        while len(flying) < int(permits.limit) and len(seen) < n:
            number = permits.sent()
            seen.append(permits.limit)
            if len(flying) >= takes or rng.random() < rate:
                refused += 1
                permits.refusal(number)
                break
            flying.append(number)
        if flying:
            permits.answered(flying.pop(rng.randrange(len(flying))))
    half = seen[n // 2 :]
    return refused / n, sum(half) / len(half)


@pytest.mark.parametrize("takes", [2, 8, 32])
def test_a_steady_limit_is_rarely_tried_and_well_used(takes):
    permits, rng = Permits(64), random.Random(takes)
    play(permits, 500, takes, rng)
    share, mean = play(permits, 3000, takes, rng)
    assert share < 0.02
    assert 0.85 * takes < mean < takes + 1


def test_after_a_cut_a_free_server_is_used_in_full_within_some_rounds():
    permits, rng = Permits(64), random.Random(1)
    play(permits, 2000, 32, rng)
    assert permits.limit < 40
    assert play(permits, 1000, 1000, rng)[0] == 0.0
    assert permits.limit == 64.0


def test_a_server_that_comes_back_is_used_in_full_again():
    permits, rng = Permits(64), random.Random(1)
    play(permits, 300, 64, rng)
    play(permits, 40, 0, rng)
    assert permits.limit < 8
    play(permits, 700, 64, rng)
    assert permits.limit == 64.0


@pytest.mark.parametrize("rate", [0.03, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_refusals_at_random_do_not_shut_the_door(rate, seed):
    permits, rng = Permits(64), random.Random(seed)
    play(permits, 1000, 1000, rng, rate)
    assert play(permits, 3000, 1000, rng, rate)[1] > 20
    assert play(permits, 1000, 32, rng, rate)[0] < rate + 0.08, "a limit is seen also among them"


async def test_one_refusal_stops_nobody_else_and_those_after_the_cut_do():
    slots, now = Limiter(10), asyncio.get_running_loop().time
    first, second = slots.sent(), slots.sent()
    slots.refused(30.0, first)
    slots.refused(30.0, second)
    assert (slots.limit, slots.resume_at) == (7.0, 0.0)
    slots.refused(30.0, slots.sent())
    assert slots.limit == pytest.approx(4.9)
    assert slots.resume_at > now() + 29
    run = Run("r")
    waiting = asyncio.create_task(slots.ready(run))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    run.stop("enough")
    await waiting


async def test_a_refused_request_gives_way_when_slots_were_cut():
    slots, run = Limiter(2), Run("r")
    async with slots, slots:
        slots.lease(1)
        again = asyncio.create_task(slots.ready(run, again=True))
        begins = asyncio.create_task(slots.__aenter__())
        await asyncio.sleep(0)
        assert (slots.active, slots.waiting, again.done()) == (1, 2, False)
        slots.lease(2)
        await again
        assert (slots.active, slots.waiting) == (2, 1), "it goes before those that have not begun"
        begins.cancel()
        slots.lease(1)
        cancelled = asyncio.create_task(slots.ready(run, again=True))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([begins, cancelled])
    assert (slots.active, slots.waiting) == (0, 0)


# Slots


async def test_a_lease_changes_the_ceiling_both_ways():
    slots = limiter("m")
    slots.lease(2)
    tasks = [asyncio.create_task(slots.__aenter__()) for _ in range(6)]
    await asyncio.sleep(0)
    assert (slots.most, slots.limit, slots.active, slots.waiting) == (2, 2.0, 2, 4)
    slots.lease(4)
    assert (slots.active, slots.waiting) == (4, 2)
    slots.lease(0)
    limits.freed().clear()
    for _ in range(3):
        await slots.__aexit__(None, None, None)
    assert (slots.active, slots.waiting, limits.freed().is_set()) == (1, 2, False)
    slots.refused(0.0)
    slots.lease(3)
    await asyncio.gather(*tasks)
    assert (slots.limit, slots.active, slots.waiting, limits.freed().is_set()) == (3.0, 3, 0, True)
    assert limiters() == {"m": slots}


async def test_a_slot_that_is_given_back_wakes_the_scheduler():
    freed = limits.freed()
    async with limiter("m"):
        assert not freed.is_set()
    assert freed.is_set()


async def test_who_is_cancelled_while_waiting_keeps_no_slot():
    slots = Limiter(1)
    await slots.__aenter__()
    waiting = [asyncio.create_task(slots.__aenter__()) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # before its turn
    await slots.__aexit__(None, None, None)  # the second has its turn, and
    waiting[1].cancel()  # is cancelled before it hears of it
    await asyncio.wait(waiting[:3], timeout=5)
    assert (slots.active, slots.waiting) == (1, 1)
    assert [task.cancelled() for task in waiting[:3]] == [True, True, False]
    waiting[3].cancel()
    await asyncio.wait(waiting, timeout=5)
    await slots.__aexit__(None, None, None)
    assert (slots.active, slots.waiting) == (0, 0)


async def test_who_waits_for_a_slot_that_never_comes_hears_of_the_stop():
    slots, run = limiter("m"), Run("r")
    slots.lease(0)

    async def never():
        raise AssertionError("it was begun")

    async with opened(run):
        task = asyncio.create_task(effect("test", {}, never, hold=slots))
        await until(lambda: slots.waiting == 1)
        run.stop("the budget is used up")
        limits.wake_stopped()
        with pytest.raises(Stopped, match="the budget is used up"):
            await task
    assert (slots.active, slots.waiting) == (0, 0)


# The gate


class Heard(Gate):
    def __init__(self):
        super().__init__()
        self.wanted = []

    def wants(self, model):
        self.wanted.append(model)


async def test_a_gate_lets_in_one_model_at_a_time():
    gate, inside = Heard(), []

    async def call(model):
        async with limiter(model):
            inside.append(model)

    limits.gate(gate)
    tasks = [asyncio.create_task(call(model)) for model in ("a", "b", "a", "c", "b")]
    await asyncio.sleep(0)
    assert (gate.wanted, inside) == (["a", "b", "a", "c", "b"], [])
    tasks[3].cancel()
    gate.admit("b")
    await asyncio.wait([tasks[1], tasks[3], tasks[4]])
    await call("b")
    assert inside == ["b", "b", "b"]
    gate.admit("a")
    gate.admit("b")  # before anybody has come through
    await asyncio.sleep(0.01)
    assert (inside, gate.wanted[5:]) == (["b", "b", "b"], ["a", "a"])
    limits.gate(None)
    await asyncio.gather(tasks[0], tasks[2], call("c"))
    assert inside[3:] == ["a", "a", "c"] or inside[3:] == ["c", "a", "a"]
    assert {one.active for one in limiters().values()} == {0}


async def test_who_waits_at_the_gate_hears_of_the_stop():
    run = Run("r")
    limits.gate(Gate())

    async def never():
        raise AssertionError("it was begun")

    async with opened(run):
        task = asyncio.create_task(effect("test", {}, never, hold=limiter("m")))
        await asyncio.sleep(0.01)
        run.stop("enough")
        limits.wake_stopped()
        with pytest.raises(Stopped):
            await task
    limits.gate(None)


# Requests and tokens per minute


async def test_no_more_requests_than_the_rate_and_half_a_second_of_it():
    rate, clock = Rate(12_000), asyncio.get_running_loop().time  # 200 a second
    start, times = clock(), []

    async def one():
        await rate.take(1)
        times.append(clock() - start)

    await asyncio.gather(*(one() for _ in range(300)))
    assert len(times) == 300
    assert all(i + 1 <= 100 + 200 * at + 1 for i, at in enumerate(times))


async def test_an_amount_above_the_bucket_waits_for_all_of_it_in_its_turn():
    rate, clock, order = Rate(60_000), asyncio.get_running_loop().time, []  # 1,000 a second, 500 at once
    start = clock()

    async def one(amount):
        await rate.take(amount)
        order.append((amount, clock() - start))

    await asyncio.gather(one(400), one(900), one(1))
    assert [amount for amount, _ in order] == [400, 900, 1]
    assert order[1][1] >= 0.79


async def test_estimates_are_corrected_by_what_was_used():
    rates = Rates(None, 60_000)
    assert rates.estimate([{"content": ["a" * 300, "b" * 100]}], 2, 50) == 100 + 2 * 50
    assert rates.estimate([{"content": "a" * 400}], 2) == 100
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9000}}
    assert rates.estimate([{"content": [{"type": "text", "text": "a" * 400}, image, image]}, {"content": "a" * 40}], 2) == 2110
    await rates.tokens.take(200)
    rates.used(200.0, 80, 60, 2)
    assert rates.estimate([{"content": "a" * 400}], 3) == 100 + 3 * 30
    assert rates.tokens.free(360)  # 500 at once, less 140 that were used
    rates.used(0.0, 1000, 0)
    assert not rates.tokens.free(0)
    rates.used(1e9, 1, 0)
    assert not rates.tokens.free(1001), "a refund is no burst"


async def test_a_call_keeps_to_the_rates_of_its_model():
    configure(limits={"limited": Limits(concurrency=7, rpm=1200)}, tpm=1e9)
    run = Run("r")
    async with Server(reply=lambda body, n: "x" * 400) as server, opened(run):
        configure(api_base=server.url)
        start = time.time()
        await fan([partial(complete, "solver", "limited", HI)] * 30)
        last = max(record["arrived"] for record in server.log)
        slots = limiter("limited")
    assert slots.most == 7
    assert slots.rates.estimate(HI, 1) == 2 + 100
    assert last - start > (30 - 10 - 1) / 20  # 10 at once, then 20 a second
    assert limits_of("other") == Limits(64, None, 1e9)


async def test_a_call_that_waits_for_its_rate_is_not_begun_when_the_run_is_stopped():
    configure(rpm=1, tpm=60)
    run = Run("r")
    async with Server() as server, opened(run):
        configure(api_base=server.url)
        calls = asyncio.create_task(fan([partial(complete, "solver", "m", HI)] * 4))
        await until(lambda: len(run.live) == 1)
        run.stop("the time limit is reached")
        with pytest.raises(Stopped, match="the time limit is reached"):
            await calls
        assert server.count()["received"] == 1
    assert (len(run.live), run.in_flight, limiter("m").active) == (1, 0, 0)


async def test_nothing_is_sent_again_once_the_run_is_stopped():
    configure(max_wait=60.0)
    run = Run("r")
    async with Server(faults=["429:50"]) as server, opened(run):
        configure(api_base=server.url)
        call = asyncio.create_task(complete("solver", "m", HI))
        await until(lambda: server.count()["answered"] == 1)
        run.stop("enough")
        with pytest.raises(Stopped):
            await call
        assert server.count()["received"] == 1
    assert (run.live, limiter("m").active) == ([], 0)


# Settings


FILE = """
rpm = 600
[limits."gpt-4o-mini"]
concurrency = 32
tpm = 200000
[prices."my-model"]
input = 0.15
output = 0.60
[prices."openai/gpt-4o-mini"]
input = 0
output = 1
"""


async def test_limits_and_prices_come_from_the_file_and_rates_from_the_environment(tmp_path, monkeypatch):
    (tmp_path / "symposia.toml").write_text(FILE)
    monkeypatch.setenv("SYMPOSIA_TPM", "90000")
    configure(**load_config(tmp_path / "symposia.toml").process)
    assert limits_of("gpt-4o-mini") == limits_of("openai/gpt-4o-mini") == Limits(32, 600.0, 200000)
    assert limits_of("my-model") == Limits(64, 600.0, 90000.0)
    assert price("my-model") == price("openai/my-model") == pytest.approx((0.15e-6, 0.60e-6))
    assert price("openai/gpt-4o-mini") == (0.0, 1e-6)
    assert price("gpt-4o-mini") not in (None, (0.0, 1e-6))
    configure(prices={"my-model": (1.0, 2.0)})
    assert price("my-model") == (1e-6, 2e-6), "no price is remembered"
    run = Run("r")
    async with Server(reply=lambda body, n: "x" * 400) as server, opened(run):
        configure(api_base=server.url)
        await complete("solver", "my-model", HI)
    assert run.live[0].usage.usd == pytest.approx(2e-6 + 200e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limits = 3", "limits is no table"),
        ("[limits]\nconcurrency = 3", "limits.'concurrency' is no table"),
        ('[limits."m"]\nrmp = 3', "unknown key of limits.'m'.*'rmp'; did you mean 'rpm'"),
        ('[limits."m"]\nrpm = -3', "limits.'m'.rpm is -3, not a number above 0"),
        ('[limits."m"]\nconcurrency = 0.5', "limits.'m'.concurrency is 0.5, not a whole number above 0"),
        ('[limits."m"]\ntpm = "many"', "limits.'m'.tpm is 'many', which is no number"),
        ('[limits."m"]\ntpm = inf', "limits.'m'.tpm is inf, which is no number"),
        ('[prices."m"]\ninput = -0.1\noutput = 1', "prices.'m'.input is -0.1, below 0"),
        ('[prices."m"]\ninput = 0.1', "prices.'m'.output is missing"),
        ('[prices."m"]\ninput = true', "prices.'m'.input is True, which is no number"),
        ('roles = "gpt-4o-mini"', "roles is no table"),
        ("[prompts]\nsolver = 5", "prompts.solver is 5, no text"),
        ("[params]\nmagicore = 8", "params.magicore is 8, no table"),
        ("store = 5", "store is 5, no text"),
        ('store = ""', "store is '', no text"),
        ("rpm = 0", "rpm is 0, which must be above 0"),
        ("tpm = nan", "tpm is nan, which must be above 0"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path, text, words):
    path = tmp_path / "symposia.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=words) as caught:
        load_config(path)
    if "must be" not in words:
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("true", "True, which is no number"), ("inf", "inf, which is no whole number"), ("2.5", "2.5, which is no whole number")],
)
def test_a_number_of_requests_is_whole(tmp_path, text, words):
    path = tmp_path / "symposia.toml"
    path.write_text(f"concurrency = {text}")
    with pytest.raises(BadInput, match=f"concurrency is {words}"):
        load_config(path)


def test_a_mark_of_utf_8_is_no_part_of_a_file(tmp_path):
    path = tmp_path / "symposia.toml"
    path.write_text('[prompts]\nsolver = "@solver.txt"', encoding="utf-8-sig")
    (tmp_path / "solver.txt").write_text("Solve: {question}", encoding="utf-8-sig")
    assert load_config(path).prompts == {"solver": "Solve: {question}"}
