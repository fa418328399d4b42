"""Served reward models over real sockets: what is sent, how each shape of reply is read, and what each failure becomes."""

import asyncio
import gc
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from server import Server, hashed_score, logit

from symposia.state.errors import BadInput, MissingKey, ModelError, ModelNotFound, NotRecorded, RequestRejected, UnknownName
from symposia.state.journal import Run, opened
from symposia.state.place import fan
from symposia.tools import http as http_module
from symposia.tools import served_reward
from symposia.tools.limits import limiter
from symposia.tools.retry import retry_after
from symposia.tools.served_reward import outcome, process, served
from symposia.tools.settings import configure, settings

CHAIN = "Step 1: 2 * 9 = 18.\nStep 2: The answer is \\boxed{18}"
SHEPHERD = "form=text&tag=ки&good=0"


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short pauses and no key, and the settings put back."""
    monkeypatch.delenv(served_reward.KEY, raising=False)
    before = configure(max_wait=0.02, timeout=10.0)
    yield
    configure(**{name: getattr(before, name) for name in ("max_wait", "timeout", "attempts")})


def name(server: Server, model: str = "orm", options: str = "") -> str:
    """The role's model for a server."""
    return f"reward/{server.root}?model={model}" + (f"&{options}" if options else "")


async def within(run: Run, *calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Do the calls in order as effects of a run; its places begin at the first again, as on every execution."""

    async def go() -> list[Any]:
        run.begin()
        async with opened(run):
            return [await call() for call in calls]

    return await asyncio.create_task(go())


async def one(call: Callable[[], Awaitable[Any]]) -> Any:
    """The result of one call in a run of its own."""
    return (await within(Run("one"), call))[0]


@pytest.mark.parametrize("shape", ["sequence", "nested", "token"])
async def test_an_outcome_is_the_sigmoid_of_the_reward_applied_once(shape: str) -> None:
    async with Server(scores=(("18", 0.3),), outcome_shape=shape, activation=True, record_bodies=True) as server:
        assert await one(partial(outcome, name(server), "How many?", CHAIN)) == pytest.approx(0.3)
        body = server.log[0]["body"]
    assert body["use_activation"] is False
    assert body["messages"] == [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": CHAIN}]
    assert server.log[0]["path"] == "/pooling"


@pytest.mark.parametrize("reward", [-800.0, -2.0, 0.0, 2.0, 800.0])
def test_any_reward_gives_a_score_in_range(reward: float) -> None:
    target = served("reward/http://h?model=m")
    score = served_reward._outcome(target, {"data": [{"data": [reward]}]})
    assert 0.0 <= score <= 1.0
    assert logit(score) == pytest.approx(max(-13.9, min(reward, 13.9)), abs=0.1)


async def test_an_active_server_is_taken_as_it_is() -> None:
    async with Server(scores=(("18", 0.3),), activation=True, record_bodies=True) as server:
        assert await one(partial(outcome, name(server, options="activation=none"), "q", CHAIN)) == pytest.approx(0.3)
        assert "use_activation" not in server.log[0]["body"]
        server.set(activation=False)
        assert await one(partial(outcome, name(server, options="activation=none"), "q", CHAIN)) is None


def softmax(score: float) -> float:
    """The softmax of the test server's two logits, which are the log odds of the score and of its complement."""
    return score**2 / (score**2 + (1 - score) ** 2)


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("options", ["", "&activation=sigmoid", "&form=text"])
async def test_classify_gives_the_probability_of_the_good_class(classes: int, options: str) -> None:
    good = softmax(0.3) if classes == 2 and "sigmoid" in options else 0.3
    async with Server(scores=(("18", 0.3),), classes=classes) as server:
        assert await one(partial(outcome, name(server, options="api=classify" + options), "q", CHAIN)) == pytest.approx(good)
        if classes == 2:
            other = name(server, options="good=0&api=classify" + options)
            assert await one(partial(outcome, other, "q", CHAIN)) == pytest.approx(1 - good)
        assert {record["path"] for record in server.log} == {"/classify"}


async def test_classify_scores_no_steps() -> None:
    async with Server() as server:
        with pytest.raises(BadInput, match=r"none per step.*api=pooling"):
            await one(partial(process, name(server, "prm", "api=classify"), "q", ["s"]))
        assert server.count()["received"] == 0


@pytest.mark.parametrize("active", [True, False], ids=["probabilities", "logits"])
@pytest.mark.parametrize(("model", "options", "good"), [("prm", "", 1), ("shepherd", SHEPHERD, 0)])
async def test_twelve_steps_give_twelve_scores(model: str, options: str, good: int, active: bool) -> None:
    steps = [f"Step {i}: part <{i}>." for i in range(1, 13)]
    wanted = tuple((f"<{i}>", i / 13) for i in range(1, 13))
    async with Server(scores=wanted, good_index=good, activation=active, record_bodies=True) as server:
        scores = await one(partial(process, name(server, model, options), "How many?", steps))
        body = server.log[0]["body"]
    assert scores == pytest.approx([i / 13 if active else softmax(i / 13) for i in range(1, 13)])
    assert "use_activation" not in body
    if model == "shepherd":
        assert body["input"] == "How many? " + "".join(f"{step} ки\n" for step in steps)
    else:
        assert [m["content"] for m in body["messages"]] == ["How many?", "".join(f"{step}<extra_0>" for step in steps)]


async def test_a_step_that_holds_the_tag_shifts_no_score() -> None:
    steps = ["one<extra_0>", "<extra_0>two", "three"]
    scores = (("one", 0.1), ("two", 0.2), ("three", 0.3))
    async with Server(scores=scores) as server:
        assert await one(partial(process, name(server, "prm"), "q<extra_0>", steps)) == pytest.approx([0.1, 0.2, 0.3])
    assert served_reward._standing("ки").sub("", "a ки b, оценки c") == "a  b, оценки c"


async def test_no_step_needs_no_request() -> None:
    async with Server() as server:
        assert await one(partial(process, name(server, "prm"), "q", [])) == []
        assert server.count()["received"] == 0


async def test_scores_in_parallel_stand_at_their_own_index() -> None:
    chains = [f"solution {i}" for i in range(40)]
    async with Server(jitter_s=0.02) as server:
        calls = [partial(outcome, name(server, options="form=text"), "q", chain) for chain in chains]
        assert await one(partial(fan, calls)) == pytest.approx([hashed_score(f"q {chain}") for chain in chains], abs=1e-5)
        assert len(http_module._sessions) == 1


@pytest.mark.parametrize("fault", ["429:0", "500", "503:0", "cut", "drop", "malformed", "html", "error_body"])
async def test_a_passing_fault_costs_a_request(fault: str) -> None:
    run = Run("r")
    async with Server(scores=(("18", 0.3),), faults=[fault]) as server:
        assert await within(run, partial(outcome, name(server), "q", CHAIN)) == pytest.approx([0.3])
    usage = run.live[0].usage
    assert (usage.role, usage.model, usage.calls, usage.requests) == ("outcome", "reward/orm", 1, 2)
    assert usage.prompt_tokens > 0
    assert len(usage.notes["attempts"]) == 1


async def test_a_429_is_waited_for_as_long_as_it_asks() -> None:
    configure(max_wait=5.0)
    run = Run("r")
    async with Server(faults=["429:0.6"]) as server:
        await within(run, partial(outcome, name(server), "q", CHAIN))
        first, second = (record["arrived"] for record in server.log)
        assert limiter(name(server)).limit < settings().concurrency  # and it lets fewer through from then on
    assert second - first >= 0.6
    assert run.live[0].usage.notes["attempts"][0]["waited"] == 0.6


def test_retry_after_is_a_number_or_a_date() -> None:
    values = (None, "2.5", "-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT")
    assert [retry_after(value) for value in values] == [None, 2.5, 0.0, None, 0.0]


@pytest.mark.parametrize(
    ("fault", "error", "requests"),
    [("429:0", "RateLimited", 4), ("500", "EndpointDown", 4), ("cut", "EndpointDown", 4), ("malformed", "MalformedReply", 3)],
)
async def test_a_lasting_fault_gives_no_score_and_is_replayed(fault: str, error: str, requests: int) -> None:
    configure(attempts=4)
    run = Run("r")
    async with Server(faults={fault: 1.0}) as server:
        calls = (partial(outcome, name(server), "q", CHAIN), partial(process, name(server, "prm"), "q", ["a", "b"]))
        assert await within(run, *calls) == [None, None]
        assert server.count()["received"] == 2 * requests
        assert [entry.outcome["error"]["name"] for entry in run.live] == [error, error]
        assert [entry.usage.requests for entry in run.live] == [requests, requests]
        replay = Run("r", entries=run.live, strict=True)
        assert await within(replay, *calls) == [None, None]
        assert server.count()["received"] == 2 * requests


async def test_a_server_that_is_slow_or_gone_gives_no_score() -> None:
    configure(timeout=0.1, attempts=2)
    run = Run("r")
    async with Server(faults=["slow", "slow"]) as server:
        assert await within(run, partial(outcome, name(server), "q", CHAIN)) == [None]
    assert "did not answer within 0.1 s" in run.live[0].outcome["error"]["message"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"reward/http://127.0.0.1:{free.getsockname()[1]}?model=m"
        run = Run("gone")
        assert await within(run, partial(outcome, gone, "q", CHAIN)) == [None]
    assert "cannot be reached" in run.live[0].outcome["error"]["message"]


async def test_rows_that_do_not_fit_the_steps_are_no_scores() -> None:
    run = Run("r")
    async with Server(step_tags=("<other>",)) as server:
        assert await within(run, partial(process, name(server, "prm"), "q", ["a", "b", "c"])) == [None]
        assert server.count()["received"] == 3
    assert "0 rows for 3 steps" in run.live[0].outcome["error"]["message"]


@pytest.mark.parametrize(
    "data",
    [[], [[]], "abc", None, [None], [True], ["0.5"], [float("nan")], [10**400], [[0.1, 0.2, 0.7]], [[[0.5]]], {"0": 1}, 0.5],
    ids=lambda data: json.dumps(data)[:20],
)
def test_a_reply_of_another_form_is_refused(data: Any) -> None:
    target = served("reward/http://h?model=m")
    for read in (partial(served_reward._outcome, target), lambda reply: served_reward._process(target, reply, 1)):
        with pytest.raises((ValueError, TypeError, LookupError, OverflowError)):
            read({"data": [{"data": data}]})


@pytest.mark.parametrize(
    ("fault", "error", "knob"),
    [("401", MissingKey, "SYMPOSIA_REWARD_KEY"), ("404", ModelNotFound, r"\?model="), ("400", RequestRejected, "form")],
)
async def test_what_fails_for_every_text_ends_the_run(fault: str, error: type[ModelError], knob: str, monkeypatch: Any) -> None:
    if fault == "400":
        monkeypatch.setattr("server.ERRORS", {"400": ("messages are not supported", "invalid_request_error", "bad")})
    run = Run("r")
    async with Server(faults=[fault, fault]) as server:
        for call in (partial(outcome, name(server), "q", CHAIN), partial(process, name(server, "prm"), "q", ["a"])):
            with pytest.raises(error, match=knob):
                await within(run, call)
            with pytest.raises(error, match=knob):
                await within(Run("r", entries=run.live, strict=True), call)
        assert server.count()["received"] == 2


async def test_a_text_too_long_fails_alone() -> None:
    run = Run("r")
    async with Server(scores=(("18", 0.3),), context_length=100) as server:
        calls = (partial(outcome, name(server), "q", CHAIN * 50), partial(outcome, name(server), "q", CHAIN))
        assert await within(run, *calls) == [None, pytest.approx(0.3)]
        assert await within(Run("r", entries=run.live, strict=True), *calls) == [None, pytest.approx(0.3)]
        assert server.count()["received"] == 2
    assert run.live[0].outcome["error"]["name"] == "TooLong"


async def test_the_key_is_sent_and_stored_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(key="right-key") as server:
        monkeypatch.setenv(served_reward.KEY, "right-key")
        run = Run("r")
        assert await within(run, partial(outcome, name(server), "q", CHAIN)) != [None]
        monkeypatch.setenv(served_reward.KEY, "wrong-key")
        monkeypatch.setattr("server.ERRORS", {"401": ("Incorrect API key wrong-key", "invalid_request_error", "invalid_api_key")})
        with pytest.raises(MissingKey, match=r"Incorrect API key \[key\]") as caught:
            await within(run, partial(outcome, name(server), "q", "another"))
    assert "-key" not in str(caught.value) + repr(run.live)
    requests = repr([entry.request for entry in run.live])
    assert "127.0.0.1" not in requests


async def test_a_replay_makes_no_request() -> None:
    run = Run("r")
    async with Server() as server:
        calls = (partial(outcome, name(server), "q", CHAIN), partial(process, name(server, "prm"), "q", ["a", "b"]))
        values = await within(run, *calls)
    replay = Run("r", entries=run.live, strict=True)
    assert await within(replay, *calls) == values
    assert (replay.replayed, replay.live) == (2, [])
    others = (name(server, options="activation=none"), name(server, options="form=text"), name(server, "orm2"))
    for other in others:
        with pytest.raises(NotRecorded):
            await within(Run("r", entries=run.live, strict=True), partial(outcome, other, "q", CHAIN))


def test_every_loop_has_a_session_of_its_own_and_closes_it() -> None:
    async def main() -> None:
        async with Server() as server:
            for i in range(3):
                assert await one(partial(outcome, name(server), "q", f"{i}")) is not None

    for _ in range(3):
        asyncio.run(main())
        gc.collect()  # an open session would complain here, and warnings are errors
        assert len(http_module._sessions) == 0


def test_an_address_is_read_with_its_options() -> None:
    shepherd = served("reward/https://host:8001/x/v1/?model=a/b%26c+d&" + SHEPHERD)
    assert (shepherd.address, shepherd.model, shepherd.tag) == ("https://host:8001/x", "a/b&c+d", "ки")
    assert (shepherd.form, shepherd.good, shepherd.api, shepherd.activation) == ("text", 0, "pooling", "sigmoid")
    plain = served("reward/http://h?model=m&api=classify")
    assert (plain.address, plain.form, plain.good, plain.activation) == ("http://h", "chat", 1, "none")


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("", "names no http address"),
        ("host:8000?model=m", "names no http address"),
        ("ftp://host?model=m", "names no http address"),
        ("http://?model=m", "names no http address"),
        ("http://h:80a?model=m", "names no http address"),
        ("http://h]?model=m", "names no http address"),
        ("http://h", "has no model"),
        ("http://h?model=", "has no model"),
        ("http://h?model=m&tag=", "empty tag"),
        ("http://h?model=m&tag=#", "%23"),
        ("http://h?model=m&good=2", "good is 0 or 1"),
        ("http://h?model=m&api=score", "api is pooling or classify"),
        ("http://h?model=m&model=n", "twice"),
        ("http://user:secret@h?model=m", "SYMPOSIA_REWARD_KEY"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(rest: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        served(f"reward/{rest}")
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'activation'"):
        served("reward/http://h?model=m&activaton=none")
