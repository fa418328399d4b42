"""Model calls against a real local server: every way it can misbehave, what comes of it by name, and what the ledger says."""

import asyncio
import gc
import json
import logging
import math
from functools import partial
from typing import Literal

import pytest
from pydantic import BaseModel, Field
from server import Server

from symposia.result import ledger
from symposia.state.base import BaseParams, Sampling
from symposia.state.errors import (
    EndpointDown,
    MalformedReply,
    MissingKey,
    ModelError,
    ModelNotFound,
    QuorumMissed,
    RateLimited,
    ReplyError,
    RequestRejected,
    from_record,
)
from symposia.state.journal import Run, opened
from symposia.state.store import open_store
from symposia.tools import llm
from symposia.tools.completion import complete
from symposia.tools.limits import Limiter, limiter
from symposia.tools.llm import ask, leaning, prompt, quorum, sample
from symposia.tools.providers import price, tells_tokens
from symposia.tools.rewards import read_score
from symposia.tools.settings import configure, settings

KEY = "secret-key-4711-secret"
HI = [{"role": "user", "content": ["hi ", "there"]}]


@pytest.fixture(autouse=True)
def process_settings():
    """Short pauses, and the settings put back."""
    before = settings()
    configure(api_base=None, api_key=None, max_wait=0.02, attempts=3, timeout=20.0, concurrency=64)
    yield
    configure(**{name: getattr(before, name) for name in before.__dataclass_fields__})


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def params(**given):
    return BaseParams(**{"model": "test-model", **given}).model_dump(mode="json")


async def within(run, call):
    """The result of a call as an effect of a run."""

    async def go():
        run.begin()
        async with opened(run):
            return await call()

    return await asyncio.create_task(go())


async def asked(server, run=None, *, role="solver", parse=None, schema=None, **given):
    """One reply of the server to `HI`."""
    configure(api_base=server.url)
    return await within(run or Run("r"), partial(ask, params(**given), role, HI, parse=parse, schema=schema))


async def sampled(server, k, run=None, **given):
    """`k` samples of the server."""
    configure(api_base=server.url)
    return await within(run or Run("r"), partial(sample, params(**given), "solver", HI, k))


# Failures by name

FINAL = [
    ("400", RequestRejected, "longer context"),
    ("401", MissingKey, "SYMPOSIA_API_KEY"),
    ("403", MissingKey, "SYMPOSIA_API_KEY"),
    ("404", ModelNotFound, "--api-base"),
]
PASSING = [
    ("429:0", RateLimited, "--concurrency"),
    ("storm:60", RateLimited, "--concurrency"),
    ("500", EndpointDown, "--api-base"),
    ("502", EndpointDown, "--api-base"),
    ("503:0", EndpointDown, "--api-base"),
    ("cut", EndpointDown, "--api-base"),
    ("drop", EndpointDown, "--api-base"),
    ("timeout", EndpointDown, "--timeout"),
    ("malformed", MalformedReply, "endpoint's own log"),
    ("html", MalformedReply, "endpoint's own log"),
    ("error_body", MalformedReply, "endpoint's own log"),
    ("no_choices", MalformedReply, "endpoint's own log"),
    ("empty", MalformedReply, "endpoint's own log"),
    ("null", MalformedReply, "endpoint's own log"),
]
BOTH = pytest.mark.parametrize("model", ["test-model", "openai/test-model"])


@BOTH
@pytest.mark.parametrize(("fault", "error", "remedy"), [*FINAL, *PASSING], ids=[case[0] for case in (*FINAL, *PASSING)])
async def test_a_lasting_fault_is_named_with_its_remedy_and_replayed(fault, error, remedy, model):
    configure(api_key=KEY, timeout=0.2 if fault == "timeout" else 20.0)
    run = Run("r")
    async with Server(faults={fault: 1.0}) as server:
        reply = await asked(server, run, model=model)
        received = server.count()["received"]
        again = await asked(server, Run("r", entries=run.live, strict=True), model=model)
        assert server.count()["received"] == received
    assert again == reply
    assert (reply["status"], reply["text"]) == ("failed", "")
    assert type(from_record(reply["error"])) is error
    assert remedy in reply["error"]["remedy"]
    assert server.url in reply["error"]["message"] or fault in ("no_choices", "empty", "null")
    assert "test-model" in reply["error"]["message"]
    assert reply["error"]["place"] == "0.outside"
    (entry,) = run.live
    usage = entry.usage
    assert received == usage.requests == (1 if (fault, error, remedy) in FINAL else 3)
    assert (usage.calls, usage.usd, usage.role) == (0, None, "solver")
    assert [a["error"] for a in usage.notes.get("attempts", [])] == [error.__name__] * (usage.requests - 1)


@BOTH
@pytest.mark.parametrize("fault", [case[0] for case in PASSING if case[0] != "storm:60"])
async def test_a_passing_fault_costs_requests_and_no_calls(fault, model):
    configure(api_key=KEY, timeout=1.0 if fault == "timeout" else 20.0)
    run = Run("r")
    async with Server(faults=[fault, "ok"]) as server:
        reply = await asked(server, run, model=model)
    assert reply["status"] == "ok"
    assert "\\boxed{" in reply["text"]
    usage = run.live[0].usage
    assert (usage.calls, usage.requests, len(usage.notes["attempts"])) == (1, 2, 1)
    assert usage.prompt_tokens == 2
    assert usage.completion_tokens > 100
    found = ledger(run.live)
    assert (found["calls"], found["requests"], found["by_role"]) == (1, 2, {"solver": 1})


@BOTH
@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [("refusal", "refused", "I cannot help"), ("content_filter", "refused", ""), ("truncated", "truncated", "Step 1")],
)
async def test_replies_that_ended_otherwise_are_calls_that_do_not_count(fault, status, text, model):
    configure(api_key=KEY)
    run = Run("r")
    async with Server(faults={fault: 1.0}) as server:
        reply = await asked(server, run, model=model, parse=read_score)
        assert server.count()["received"] == 1  # nobody is asked again for the form of a refusal
    assert reply["status"] == status
    assert reply["text"].startswith(text)
    assert (run.live[0].usage.calls, run.live[0].usage.requests) == (1, 1)


async def test_tokens_used_up_before_the_first_word_are_a_truncated_reply():
    async with Server(faults={"truncated": 1.0}, reply=lambda body, number: "x") as server:
        reply = await asked(server)
        assert server.count()["received"] == 1
    assert (reply["status"], reply["text"]) == ("truncated", "")


async def test_a_server_that_is_gone():
    async with Server() as server:
        pass
    reply = await asked(server)
    assert reply["error"]["name"] == "EndpointDown"
    assert "cannot be reached" in reply["error"]["message"]


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ("openai/gpt-4o-mini", MissingKey, "set OPENAI_API_KEY"),
        ("gpt-4o-mini", MissingKey, "set OPENAI_API_KEY"),
        ("anthropic/claude-3-5-haiku-latest", MissingKey, "set ANTHROPIC_API_KEY"),
        ("no-provider-has-this", ModelNotFound, "provider/model"),
        ("nobody/has-this", ModelNotFound, "provider/model"),
    ],
)
async def test_a_missing_key_or_provider_is_named_without_a_second_attempt(model, error, words, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    run = Run("r")
    reply = await within(run, partial(ask, params(model=model), "solver", HI))
    assert type(from_record(reply["error"])) is error
    assert words in reply["error"]["remedy"]
    assert run.live[0].usage.requests == 1


# Waiting


@pytest.mark.parametrize(("fault", "least"), [("429:0.5", 0.5), ("503:0.5", 0.5), ("429:date:2", 0.9)])
async def test_retry_after_is_honoured(fault, least):
    configure(max_wait=5.0)
    run = Run("r")
    async with Server(faults=[fault]) as server:
        reply = await asked(server, run)
        first, second = (record["arrived"] for record in server.log)
    assert reply["status"] == "ok"
    assert second - first >= least
    assert run.live[0].usage.notes["attempts"][0]["waited"] >= least


async def test_no_pause_is_longer_than_max_wait():
    run = Run("r")
    async with Server(faults=["429:3600", "503:3600"]) as server:
        reply = await asked(server, run)
    assert reply["status"] == "ok"
    assert [a["waited"] for a in run.live[0].usage.notes["attempts"]] == [0.02, 0.02]


async def test_a_429_holds_back_the_requests_of_others():
    """Whoever comes after a 429 waits too, as long as the endpoint asked."""
    configure(max_wait=5.0, concurrency=2)
    async with Server(faults=["429:0.6"], delay_s=0.1) as server:
        await sampled(server, 5)
        arrived = [record["arrived"] for record in server.log]
    assert len(arrived) == 6
    assert min(arrived[2:]) - arrived[0] >= 0.6  # the second was on its way already


async def test_a_storm_is_outlived():
    configure(max_wait=0.3, attempts=20)
    run = Run("r")
    async with Server(faults=["ok", "storm:0.5"], retry_after="0.2") as server:
        replies = await sampled(server, 8, run)
        assert limiter("test-model").limit < 64
    assert [r["status"] for r in replies] == ["ok"] * 8
    usage = ledger(run.live)
    assert usage["calls"] == 8
    assert usage["requests"] == server.count()["received"] > 8


# Concurrency


async def test_requests_in_flight_are_limited_per_model():
    configure(concurrency=3)
    async with Server(hold=True) as server:
        task = asyncio.create_task(sampled(server, 12, roles={"solver": ["a", "b"]}))
        while server.count()["held"] < 6:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)  # whoever comes too early is here by now
        assert {name: each["received"] for name, each in server.count()["by_model"].items()} == {"a": 3, "b": 3}
        server.set(hold=False)
        server.release()
        await task
        assert server.count()["received"] == 12
        assert server.count()["max_in_flight"] == 6


async def test_the_limit_falls_after_429s_and_rises_again():
    configure(concurrency=10)
    async with Server(faults=["429:0"] * 4) as server:
        await sampled(server, 6)
        slots = limiter("test-model")
        fallen = slots.limit
        assert fallen < 10.0
        await sampled(server, 20)
        assert fallen < slots.limit <= 10.0
        assert slots.active == 0
        assert slots.most == 10


def test_a_limit_never_falls_below_one_and_never_rises_above_the_most():
    slots = Limiter(8)
    for _ in range(40):
        slots._cut_at = -1e9  # as if the last wave were long ago
        slots.refused(0.0)
    assert slots.limit == 1.0
    for _ in range(200):
        slots.answered()
    assert slots.limit == 8.0


def test_one_wave_of_429s_is_one_cut():
    slots = Limiter(10)
    for _ in range(5):
        slots.refused(3600.0)
    assert slots.limit == 7.0


async def test_a_lower_limit_lets_fewer_through_and_a_cancelled_one_keeps_no_slot():
    slots = Limiter(2)
    inside, most = 0, 0

    async def work():
        nonlocal inside, most
        async with slots:
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(0.002)
            finally:
                inside -= 1

    tasks = [asyncio.create_task(work()) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[1::3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (most, slots.active) == (2, 0)
    slots.limit = 1.0
    most = 0
    await asyncio.gather(*(work() for _ in range(5)))
    assert (most, slots.active) == (1, 0)


# Asking again for the form


def score_at(number, good="I think so.\nSCORE: 0.25"):
    """A server's reply function whose `number`-th reply can be read."""
    return lambda body, n: good if n == number else f"no idea {n}"


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_an_unreadable_reply_is_asked_for_again_with_the_complaint(number):
    run = Run("r")
    async with Server(reply=score_at(number), record_bodies=True) as server:
        reply = await asked(server, run, parse=read_score)
        bodies = [record["body"]["messages"] for record in server.log]
    assert (reply["status"], reply["value"]) == ("ok", 0.25)
    assert len(bodies) == number
    for i, messages in enumerate(bodies):
        assert [m["role"] for m in messages] == ["user", *["assistant", "user"] * i]
        assert messages[0]["content"] == "hi there"
        for turn in range(i):
            assert messages[1 + 2 * turn]["content"] == f"no idea {turn + 1}"
            assert "no line 'SCORE: x'" in messages[2 + 2 * turn]["content"]
    assert [e.place for e in run.live] == ["0.outside", "0.outside.n1", "0.outside.n2"][:number]
    assert ledger(run.live)["calls"] == number


@pytest.mark.parametrize("reasks", [0, 1, 4])
async def test_asking_again_ends_after_max_reasks(reasks):
    async with Server(reply=score_at(0)) as server:
        reply = await asked(server, parse=read_score, max_reasks=reasks)
        assert server.count()["received"] == 1 + reasks
    assert reply["status"] == "unreadable"
    assert reply["text"] == f"no idea {1 + reasks}"
    assert isinstance(from_record(reply["error"]), ReplyError)


async def test_a_failure_while_asking_again_is_the_failure():
    async with Server(reply=score_at(0), faults=["ok", "401"]) as server:
        reply = await asked(server, parse=read_score)
    assert reply["error"]["name"] == "MissingKey"


async def test_without_a_parser_nothing_is_asked_again():
    async with Server(reply=score_at(0)) as server:
        reply = await asked(server)
        assert server.count()["received"] == 1
    assert (reply["status"], reply["text"]) == ("ok", "no idea 1")
    assert "value" not in reply


# Structured output


class Verdict(BaseModel):
    """A verdict of fixed shape."""

    label: Literal["right", "wrong"]
    steps: list[int] = []


@BOTH
@pytest.mark.parametrize(
    ("likely", "value"),
    [
        ({"yes": -1.0, "no": -1.0, "perhaps": -0.1}, 0.5),
        (
            {" Yes": -0.5, "\u2581yes": -0.7, '"no': -3.0},
            (math.exp(-0.5) + math.exp(-0.7)) / (math.exp(-0.5) + math.exp(-0.7) + math.exp(-3)),
        ),
        ({"yes": -0.2}, 1.0),
        ({"Yesterday": -0.1}, None),
        ({"yes": -9999.0, "no": -9999.0}, None),
        ({}, None),
    ],
)
async def test_a_leaning_is_the_share_of_one_word_beside_the_other(model, likely, value):
    run, lean = Run("r"), partial(leaning, params(model=model), "extractor", HI, ("yes", "no"))
    async with Server(likely=likely, record_bodies=True) as server:
        configure(api_base=server.url, api_key=KEY)
        reply = await within(run, lean)
        (body,) = [each["body"] for each in server.log]
    assert (reply["status"], reply["value"]) == ("ok", value if value is None else pytest.approx(value))
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    assert await within(Run("r", entries=run.live, strict=True), lean) == reply


def test_only_providers_that_tell_probabilities_are_asked_for_them():
    names = (
        "anthropic/claude-3-sonnet-20240229",
        "openai/gpt-4o",
        "hosted_vllm/any",
        "compatible/any",
        "local/any",
        "toy/default",
        "no/such",
    )
    assert [tells_tokens(name) for name in names] == [False, True, True, True, True, True, False]


async def test_a_leaning_that_fails_is_none():
    async with Server(faults={"400": 1.0}) as server:
        configure(api_base=server.url)
        reply = await within(Run("r"), partial(leaning, params(), "extractor", HI, ("yes", "no")))
    assert (reply["status"], reply["value"]) == ("failed", None)


async def test_structured_output_is_asked_for_where_the_provider_has_it():
    configure(api_key=KEY)
    async with Server(reply=lambda body, n: '{"label": "wrong", "steps": [2]}', record_bodies=True) as server:
        reply = await asked(server, model="openai/gpt-4o-mini", schema=Verdict)
        body = server.log[0]["body"]
    assert reply["value"] == {"label": "wrong", "steps": [2]}
    form = body["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == ("json_schema", "Verdict", True)
    assert form["json_schema"]["schema"]["properties"]["label"]["enum"] == ["right", "wrong"]
    assert form["json_schema"]["schema"]["additionalProperties"] is False


@pytest.mark.parametrize("text", ['{"label": "right"}', 'Well:\n```json\n{"label": "right",\n "steps": []}\n```\nSo it is.'])
async def test_elsewhere_the_shape_is_read_from_the_text(text):
    async with Server(reply=lambda body, n: text, record_bodies=True) as server:
        reply = await asked(server, schema=Verdict)
        assert "response_format" not in server.log[0]["body"]
    assert reply["value"] == {"label": "right", "steps": []}


async def test_a_parser_reads_what_is_no_json_of_the_shape():
    def parse(text):
        if "VERDICT" not in text:
            raise ReplyError("no verdict")
        return {"label": "wrong", "steps": []}

    texts = ['{"label": "perhaps"}', "VERDICT: wrong"]
    async with Server(reply=lambda body, n: texts[n - 1]) as server:
        reply = await asked(server, schema=Verdict, parse=parse)
    assert (reply["status"], reply["value"]["label"]) == ("ok", "wrong")


async def test_a_wrong_shape_is_complained_about():
    async with Server(reply=lambda body, n: '{"label": "perhaps"}', record_bodies=True) as server:
        reply = await asked(server, schema=Verdict, max_reasks=1)
        complaint = server.log[1]["body"]["messages"][-1]["content"]
    assert reply["status"] == "unreadable"
    assert "Verdict" in complaint
    assert "label" in complaint


# Samples


async def test_samples_come_in_order_and_differ():
    async with Server(jitter_s=0.02) as server:
        run = Run("r")
        replies = await sampled(server, 20, run)
        assert server.count()["received"] == 20
        again = await sampled(server, 20, Run("r", entries=run.live, strict=True))
    assert again == replies
    assert len({r["text"] for r in replies}) == 20
    assert {e.place for e in run.live} == {f"0.outside.b{i}" for i in range(20)}


@pytest.mark.parametrize(("ignore_n", "requests"), [(False, [5]), (True, [5, 4, 3, 2, 1])], ids=["honoured", "ignored"])
async def test_n_is_used_and_what_is_missing_is_asked_for(ignore_n, requests):
    run = Run("r")
    async with Server(ignore_n=ignore_n, record_bodies=True) as server:
        replies = await sampled(server, 5, run, use_n=True)
        assert [record["body"].get("n", 1) for record in server.log] == requests
    assert len({r["text"] for r in replies}) == len(replies) == 5
    assert ledger(run.live)["calls"] == 5
    assert ledger(run.live)["requests"] == len(requests)


async def test_an_empty_choice_among_others_is_asked_for_again():
    async with Server(reply=lambda body, n: "" if n == 2 else f"reply {n}") as server:
        replies = await sampled(server, 3, use_n=True)
    assert [r["text"] for r in replies] == ["reply 1", "reply 3", "reply 4"]


async def test_a_failure_fills_what_is_missing():
    async with Server(ignore_n=True, faults=["ok", "ok", "401"]) as server:
        replies = await sampled(server, 4, use_n=True)
    assert [r["status"] for r in replies] == ["ok", "ok", "failed", "failed"]


@pytest.mark.parametrize("use_n", [False, True])
async def test_several_models_of_a_role_take_turns(use_n):
    async with Server(models=("a", "b", "c")) as server:
        run = Run("r")
        await sampled(server, 7, run, roles={"solver": ["a", "b", "c"]}, use_n=use_n)
        counts = {name: each["received"] for name, each in server.count()["by_model"].items()}
    assert counts == {"a": 3, "b": 2, "c": 2}
    by_place = {e.place: e.usage.model for e in run.live}
    assert [by_place[f"0.outside.b{i}"] for i in range(7)] == ["a", "b", "c", "a", "b", "c", "a"]


async def test_a_role_without_a_model_of_its_own_has_the_default():
    async with Server() as server:
        await asked(server, role="solver", roles={"reviewer": "other"})
        await asked(server, role="reviewer", roles={"reviewer": "other"})
        assert [record["model"] for record in server.log] == ["test-model", "other"]


# Quorum


@pytest.mark.parametrize(("faults", "least", "error"), [(["ok", "401", "500"], 1, None), (["ok", "401", "404"], 2, QuorumMissed)])
async def test_a_quorum_names_the_failures(faults, least, error):
    configure(attempts=1, concurrency=1)
    async with Server(faults=faults) as server:
        replies = await sampled(server, 3)
    assert sorted(r["status"] for r in replies) == ["failed", "failed", "ok"]
    if error is None:
        quorum(replies, least)
        return
    with pytest.raises(error, match="1 of 3") as caught:
        quorum(replies, least)
    assert "1 x MissingKey, 1 x ModelNotFound" in str(caught.value)
    assert "quorum" in caught.value.remedy


async def test_when_all_fail_alike_the_failure_itself_is_raised():
    async with Server(faults={"401": 1.0}) as server:
        replies = await sampled(server, 3)
    with pytest.raises(MissingKey, match="does not accept the key"):
        quorum(replies, 1)


# What is sent


async def sent(model="test-model", **given):
    """The body of a request."""
    async with Server(record_bodies=True) as server:
        await asked(server, model=model, **given)
        return server.log[0]["body"]


class Sampled(BaseParams):
    """Parameters whose solver has a sampling of its own."""

    sampling: dict[str, Sampling] = Field({"solver": Sampling(temperature=0.8, top_p=0.95, max_tokens=300, min_tokens=50, stop=["END"])})


@pytest.mark.parametrize(("model", "shortest"), [("test-model", 50), ("hosted_vllm/test-model", 50), ("openai/test-model", None)])
async def test_min_tokens_goes_to_vllm_only(model, shortest):
    configure(api_key=KEY)
    async with Server(record_bodies=True) as server:
        configure(api_base=server.url)
        await within(Run("r"), partial(ask, Sampled(model=model).model_dump(mode="json"), "solver", HI))
        body = server.log[0]["body"]
    assert body.get("min_tokens") == shortest
    assert "extra_body" not in body
    assert (body["temperature"], body["top_p"], body["stop"]) == (0.8, 0.95, ["END"])
    assert body.get("max_tokens") == 300 or body.get("max_completion_tokens") == 300


async def test_what_is_not_set_is_not_sent():
    body = await sent()
    assert set(body) <= {"model", "messages", "stream"}
    assert body["messages"] == [{"role": "user", "content": "hi there"}]


async def test_a_seed_is_sent_only_when_given_and_differs_by_place():
    assert "seed" not in await sent()
    seeds = []
    for _ in range(2):
        async with Server(record_bodies=True) as server:
            await sampled(server, 4, seed=5)
            seeds.append(sorted(record["body"]["seed"] for record in server.log))
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 4
    assert all(0 <= seed < 2**31 for seed in seeds[0])


def test_a_prompt_is_its_parts():
    given = {"prompts": {"solver": "Solve {question}; {{braces}} stay. {listed}"}}
    (message,) = prompt(given, "solver", question="2 + {2}", listed=["a", "b"])
    assert message["role"] == "user"
    assert "".join(message["content"]) == "Solve 2 + {2}; {braces} stay. ab"
    assert {"2 + {2}", "a", "b"} <= set(message["content"])  # each value is a part of its own, and stored once
    assert llm.model_of(params(roles={"solver": ["a", "b"]}), "solver", 3) == "b"


# Secrets


async def test_the_key_is_sent_and_kept_nowhere(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("server.ERRORS", {"401": (f"Incorrect API key provided: {KEY}", "invalid_request_error", "invalid_api_key")})
    path = tmp_path / "store.db"
    async with Server(key=KEY, faults=["ok", "401", "cut"]) as server:
        configure(api_key=KEY)
        async with open_store(str(path)) as store:
            run = Run("r", store)
            replies = [await asked(server, run)]
            replies += await sampled(server, 2, run)
            await store.flush()
    assert sorted(r["status"] for r in replies) == ["failed", "ok", "ok"]
    failed = next(r for r in replies if r["status"] == "failed")
    assert "key provided: [key]" in failed["error"]["message"]
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"test-model" in stored
    for place in (stored, json.dumps(replies).encode(), repr(run.live).encode(), caplog.text.encode(), repr(settings()).encode()):
        assert KEY.encode() not in place


async def test_an_echoed_key_of_a_variable_or_a_password_is_cut_out(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("server.ERRORS", {"401": (f"Incorrect API key: {KEY}", "invalid_request_error", "invalid_api_key")})
    async with Server(faults={"401": 1.0}) as server:
        configure(api_base=server.url.replace("127.0.0.1", "user:pass-word-1@127.0.0.1"))
        reply = await within(Run("r"), partial(ask, params(model="openai/test-model"), "solver", HI))
    assert reply["status"] == "failed"
    assert KEY not in str(reply)
    assert "pass-word-1" not in str(reply)


async def test_address_key_and_time_limits_do_not_change_a_request():
    """A replay finds the entry whatever the settings are now."""
    run = Run("r")
    async with Server() as server:
        reply = await asked(server, run)
    configure(api_base="http://elsewhere.invalid/v1", api_key=KEY, timeout=1.0, attempts=1, concurrency=1)
    again = await within(Run("r", entries=run.live, strict=True), partial(ask, params(), "solver", HI))
    assert again == reply
    assert set(run.live[0].request) == {"model", "messages"}


# Prices


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "gpt-4o-mini"])
async def test_a_known_price_gives_usd(model):
    configure(api_key=KEY)
    run = Run("r")
    async with Server(reply=lambda body, n: "x" * 400) as server:
        await asked(server, run, model=model)
    known = price(model)
    assert known is not None
    assert 0 < known[0] < known[1] < 1e-5
    usage = run.live[0].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 100)
    assert usage.usd == pytest.approx(2 * known[0] + 100 * known[1])
    assert ledger(run.live)["cost_usd"] == pytest.approx(usage.usd, abs=1e-6)


async def test_an_unknown_price_is_none_and_not_zero():
    run = Run("r")
    async with Server() as server:
        await sampled(server, 2, run)
    assert [e.usage.usd for e in run.live] == [None, None]
    assert ledger(run.live)["cost_usd"] is None
    assert price("toy/default") == (0.0, 0.0)


# The calls themselves


async def test_complete_gives_what_came_back_and_raises_what_failed():
    configure(max_wait=0.0)
    async with Server(ignore_n=True, faults=["ok", "404"]) as server:
        configure(api_base=server.url)
        run = Run("r")
        (choice,) = await within(run, partial(complete, "solver", "test-model", HI, n=3))
        assert (set(choice), choice["finish"], choice["refusal"]) == ({"text", "finish", "refusal"}, "stop", None)
        with pytest.raises(ModelNotFound) as caught:
            await within(Run("other"), partial(complete, "solver", "test-model", HI))
    assert isinstance(caught.value, ModelError)
    assert caught.value.place == "0.outside"


async def test_text_that_is_no_unicode_can_be_kept(tmp_path):
    async with Server(reply=lambda body, n: "half a pair: \ud83d.") as server, open_store(str(tmp_path / "s.db")) as store:
        reply = await asked(server, Run("r", store))
        (entry,) = await store.entries("r")
    assert reply["text"] == "half a pair: \ufffd." == entry.outcome["value"]["choices"][0]["text"]


def test_every_loop_has_limiters_of_its_own_and_can_call():
    async def main():
        async with Server() as server:
            assert limiter("test-model").active == 0
            return (await asked(server))["status"]

    assert [asyncio.run(main()) for _ in range(3)] == ["ok"] * 3
    gc.collect()


async def test_litellm_callbacks_of_the_host_hear_of_each_call(monkeypatch):
    from litellm.integrations.custom_logger import CustomLogger

    heard = []

    class Hearer(CustomLogger):
        async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
            heard.append(kwargs["model"])

    async with Server() as server:
        assert (await asked(server))["status"] == "ok"
        monkeypatch.setattr("litellm.callbacks", [Hearer()])
        assert (await asked(server))["status"] == "ok"
        async with asyncio.timeout(10):
            while not heard:
                await asyncio.sleep(0.01)
    assert heard == ["test-model"]
