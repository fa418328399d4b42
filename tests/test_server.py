"""The test server itself: each of its answers, faults and counts, over real sockets."""

import asyncio
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientPayloadError, ClientSession, ClientTimeout, ServerDisconnectedError
from server import Server, hashed_score, logit, spawned, tokens

ASK = {"model": "test-model", "messages": [{"role": "user", "content": "How many apples are left?"}]}


@pytest_asyncio.fixture
async def http() -> AsyncIterator[ClientSession]:
    """A client of its own for each test."""
    async with ClientSession(timeout=ClientTimeout(20)) as session:
        yield session


async def ask(http: ClientSession, server: Server, **more: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of one chat completion."""
    async with http.post(f"{server.url}/chat/completions", json=ASK | more) as reply:
        return reply.status, await reply.json()


async def post(http: ClientSession, server: Server, path: str, **body: Any) -> dict[str, Any]:
    """Body of a POST that has to succeed."""
    async with http.post(f"{server.root}{path}", json=body) as reply:
        assert reply.status == 200
        data: dict[str, Any] = await reply.json()
        return data


def texts(body: dict[str, Any]) -> list[str]:
    """The choices of a completion."""
    return [choice["message"]["content"] for choice in body["choices"]]


async def test_replies_differ_for_equal_prompts_and_end_in_a_box(http: ClientSession) -> None:
    async with Server() as server:
        bodies = [(await ask(http, server, n=2))[1] for _ in range(10)]
        server.reset()
        bodies.append((await ask(http, server))[1])
    replies = [text for body in bodies for text in texts(body)]
    assert len(set(replies)) == len(replies) == 21
    assert all(500 <= len(text) <= 1400 and text.startswith("Step 1: ") and "\nStep 4: " in text for text in replies)
    assert len({tag for text in replies for tag in re.findall(r"\(([0-9a-f]{12})\)", text)}) == 21
    answers = {text.rpartition("\\boxed{")[2].rstrip("}") for text in replies}
    assert len(answers) > 1 and answers <= {"18", "24", "30", "42"}


async def test_usage_counts_prompt_and_all_choices(http: ClientSession) -> None:
    async with Server() as server:
        _, body = await ask(http, server, n=3)
    completion = sum(tokens(text) for text in texts(body))
    prompt = tokens("How many apples are left?")
    assert body["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert {choice["finish_reason"] for choice in body["choices"]} == {"stop"}


async def test_n_can_be_ignored_and_length_set(http: ClientSession) -> None:
    async with Server(ignore_n=True, length=(3000, 3000)) as server:
        _, body = await ask(http, server, n=4)
    (text,) = texts(body)
    assert 2800 < len(text) < 3200


async def test_max_tokens_cuts_and_says_so(http: ClientSession) -> None:
    async with Server() as server:
        _, body = await ask(http, server, max_tokens=10)
    assert len(texts(body)[0]) == 40
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 10


async def test_deterministic_replies_depend_on_body_and_seed_only(http: ClientSession) -> None:
    async with Server(deterministic=True) as server:
        first, again, other = [texts((await ask(http, server, seed=seed, n=2))[1]) for seed in (1, 1, 2)]
    assert first == again
    assert len({*first, *other}) == 4


async def test_rules_and_callables_make_the_reply(http: ClientSession) -> None:
    async with Server(rules=[("apples", "reply {number} ({id}) SCORE: {score} box {answer}")]) as server:
        _, body = await ask(http, server)
    assert texts(body)[0].startswith("reply 1 (") and "{" not in texts(body)[0]
    async with Server(reply=lambda body, number: f"{body['model']} {number}") as server:
        _, body = await ask(http, server, n=2)
    assert texts(body) == ["test-model 1", "test-model 2"]


async def test_stream_gives_pieces_finish_reason_and_usage(http: ClientSession) -> None:
    async with Server(deterministic=True) as server:
        _, whole = await ask(http, server)
        more = {"stream": True, "stream_options": {"include_usage": True}}
        async with http.post(f"{server.url}/chat/completions", json=ASK | more) as reply:
            lines = [line async for line in reply.content if line.strip()]
        assert server.count()["answered"] == 2
    assert reply.content_type == "text/event-stream"
    assert lines[-1] == b"data: [DONE]\n"
    events = [json.loads(line.removeprefix(b"data: ")) for line in lines[:-1]]
    pieces = [event["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(pieces) == Server(deterministic=True)._reply(ASK | more, 0) and len(pieces) > 10
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-1]["choices"] == [] and events[-1]["usage"]["completion_tokens"] == tokens("".join(pieces))
    assert whole["object"] == "chat.completion" and events[0]["object"] == "chat.completion.chunk"


@pytest.mark.parametrize("kind", ["cut", "malformed"])
async def test_stream_breaks_on_demand(http: ClientSession, kind: str) -> None:
    async with Server(faults=[kind]) as server:
        async with http.post(f"{server.url}/chat/completions", json=ASK | {"stream": True}) as reply:
            if kind == "cut":
                with pytest.raises(ClientPayloadError):
                    await reply.read()
            else:
                events = [line.removeprefix("data: ") for line in (await reply.text()).split("\n\n")]
                json.loads(events[1])
                with pytest.raises(ValueError):
                    json.loads(events[2])
        assert server.count()["by_fault"] == {kind: 1}


async def test_models_and_unknown_model(http: ClientSession) -> None:
    async with Server(models=["small", "big"], strict_models=True) as server:
        async with http.get(f"{server.url}/models") as reply:
            assert [model["id"] for model in (await reply.json())["data"]] == ["small", "big"]
        status, body = await ask(http, server)
        assert (status, body["error"]["code"]) == (404, "model_not_found")
        assert (await ask(http, server, model="big"))[0] == 200


async def test_key_is_required_when_set(http: ClientSession) -> None:
    async with Server(key="sesame") as server:
        status, body = await ask(http, server)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        async with http.get(f"{server.url}/models") as reply:
            assert reply.status == 401
        headers = {"Authorization": "Bearer sesame"}
        async with http.post(f"{server.url}/chat/completions", json=ASK, headers=headers) as reply:
            assert reply.status == 200


async def test_bad_requests_are_400(http: ClientSession) -> None:
    async with Server(context_length=20) as server:
        for body in (b"{", b"[]", b'{"model": "m"}', json.dumps(ASK | {"n": 0.5}).encode()):
            async with http.post(f"{server.url}/chat/completions", data=body) as reply:
                assert reply.status == 400
        status, said = await ask(http, server, messages=[{"role": "user", "content": "x" * 81}])
        assert (status, said["error"]["code"]) == (400, "context_length_exceeded")
        assert server.count()["by_status"] == {"400": 5}


@pytest.mark.parametrize("kind", ["400", "401", "403", "404", "429", "500", "502", "503"])
async def test_error_faults_come_in_order_then_all_is_well(http: ClientSession, kind: str) -> None:
    async with Server(faults=["ok", kind]) as server:
        statuses = []
        for _ in range(3):
            status, body = await ask(http, server)
            statuses.append(status)
            assert ("error" in body) == (status != 200)
        assert statuses == [200, int(kind), 200]
        assert [record["fault"] for record in server.log] == ["ok", kind, "ok"]


async def test_retry_after_in_seconds_as_a_date_and_not_at_all(http: ClientSession) -> None:
    async with Server(faults=["429", "429:7", "429:date:60", "503:none", "500"], retry_after="3") as server:
        headers = []
        for _ in range(5):
            async with http.post(f"{server.url}/chat/completions", json=ASK) as reply:
                headers.append(reply.headers.get("Retry-After"))
    assert headers[:2] == ["3", "7"] and headers[3:] == [None, None]
    assert headers[2] is not None and parsedate_to_datetime(headers[2]).timestamp() > time.time() + 30


async def test_content_faults(http: ClientSession) -> None:
    kinds = ["empty", "null", "refusal", "content_filter", "truncated", "no_choices", "error_body"]
    async with Server(faults=kinds) as server:
        bodies = {kind: (await ask(http, server))[1] for kind in kinds}
        assert server.count()["by_status"] == {"200": 7}
    said = {kind: body["choices"][0] for kind, body in bodies.items() if body.get("choices")}
    assert said["empty"]["message"]["content"] == ""
    assert said["null"]["message"] == {"role": "assistant", "content": None, "refusal": None}
    assert said["refusal"]["message"]["refusal"] and said["refusal"]["message"]["content"] is None
    assert said["content_filter"]["finish_reason"] == "content_filter"
    assert said["truncated"]["finish_reason"] == "length" and "boxed" not in said["truncated"]["message"]["content"]
    assert bodies["no_choices"]["choices"] == [] and "choices" not in bodies["error_body"]


async def test_broken_replies(http: ClientSession) -> None:
    url = "/chat/completions"
    async with Server(faults=["cut", "drop", "malformed", "html"]) as server:
        with pytest.raises(ClientPayloadError):
            async with http.post(server.url + url, json=ASK) as reply:
                await reply.read()
        with pytest.raises(ServerDisconnectedError):
            await http.post(server.url + url, json=ASK)
        async with http.post(server.url + url, json=ASK) as reply:
            assert reply.content_type == "application/json"
            with pytest.raises(ValueError):
                await reply.json()
        async with http.post(server.url + url, json=ASK) as reply:
            assert (reply.status, reply.content_type) == (200, "text/html")
        counts = server.count()
    assert (counts["received"], counts["answered"], counts["in_flight"]) == (4, 2, 0)


async def test_slow_never_answers_and_the_hang_up_is_recorded(http: ClientSession) -> None:
    async with Server(faults=["slow", "slow:0.01"]) as server:
        with pytest.raises(TimeoutError):
            await http.post(f"{server.url}/chat/completions", json=ASK, timeout=ClientTimeout(0.2))
        assert (await ask(http, server))[0] == 200
        async with http.get(f"{server.root}/_wait?disconnected=1") as reply:
            assert reply.status == 200
        assert [record["disconnected"] for record in server.log] == [True, False]
        assert server.log[0]["status"] is None and server.count()["in_flight"] == 0


async def test_rates_are_drawn_from_the_seed(http: ClientSession) -> None:
    drawn = []
    for seed in (1, 1, 2):
        async with Server(seed=seed, faults={"429:0": 0.3, "500": 0.2}) as server:
            drawn.append([(await ask(http, server))[0] for _ in range(60)])
    assert drawn[0] == drawn[1] != drawn[2]
    assert {200, 429, 500} == set(drawn[0])
    assert 18 <= drawn[0].count(200) <= 42


async def test_storm_refuses_everybody_for_a_while(http: ClientSession) -> None:
    async with Server(faults=["storm:600"]) as server:
        assert [(await ask(http, server))[0] for _ in range(3)] == [429] * 3
        server.set(faults=["storm:0.01"])
        server.reset()
        assert (await ask(http, server))[0] == 429
        await asyncio.sleep(0.02)
        assert (await ask(http, server))[0] == 200


async def test_concurrency_limit_and_in_flight(http: ClientSession) -> None:
    async with Server(hold=True, concurrency=3) as server:
        waiting = [asyncio.create_task(ask(http, server)) for _ in range(3)]
        async with http.get(f"{server.root}/_wait?held=3") as reply:
            assert (await reply.json())["in_flight"] == 3
        assert (await ask(http, server))[0] == 429
        assert (await post(http, server, "/_release", n=2))["released"] == 2
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert server.count()["held"] == 1
        server.release()
        assert [status for status, _ in await asyncio.gather(*waiting)] == [200] * 3
        counts = server.count()
    assert (counts["max_in_flight"], counts["in_flight"], counts["held"]) == (4, 0, 0)
    assert counts["by_model"] == {"test-model": {"received": 4, "answered": 4}}


async def test_delay_and_jitter_hold_back_the_answer(http: ClientSession) -> None:
    async with Server(delay_s=0.1, jitter_s=0.05) as server:
        await ask(http, server)
        (record,) = server.log
    assert record["answered"] - record["arrived"] >= 0.1


async def test_set_and_reset_over_http(http: ClientSession) -> None:
    async with Server() as server:
        await post(http, server, "/_set", faults=["500"], length=[100, 100], record_bodies=True)
        assert (await ask(http, server))[0] == 500
        _, body = await ask(http, server)
        assert len(texts(body)[0]) < 300
        async with http.get(f"{server.root}/_log") as reply:
            log = await reply.json()
        assert [record["status"] for record in log] == [500, 200]
        assert log[0]["body"] == ASK and log[0]["digest"] == log[1]["digest"]
        await post(http, server, "/_reset")
        assert server.count()["received"] == 0
        assert (await ask(http, server))[0] == 500  # the plan starts again
        for wrong in ({"dealy_s": 1}, {"faults": ["429", "tea"]}, {"faults": {"500": 1.5}}):
            async with http.post(f"{server.root}/_set", json=wrong) as reply:
                assert reply.status == 400
        assert server.behaviour.faults == ["500"]


async def test_fault_path_spares_the_other_endpoints(http: ClientSession) -> None:
    async with Server(faults=["500"], fault_path="chat") as server:
        await post(http, server, "/classify", model="m", input="x")
        assert (await ask(http, server))[0] == 500


async def test_classify(http: ClientSession) -> None:
    async with Server() as server:
        body = await post(http, server, "/v1/classify", model="orm", input=["good", "bad text"])
        raw = await post(http, server, "/classify", model="orm", input="good", use_activation=False)
        server.set(classes=1, scores=[("good", 0.75)])
        single = await post(http, server, "/classify", model="orm", input="good")
    assert body["object"] == "list" and body["model"] == "orm" and body["usage"]["total_tokens"] == 3
    score = hashed_score("good")
    label = f"LABEL_{int(score > 0.5)}"
    assert body["data"][0] == {"index": 0, "label": label, "probs": [1 - score, score], "num_classes": 2}
    assert raw["data"][0]["probs"] == [logit(1 - score), logit(score)]
    assert single["data"][0]["probs"] == [0.75] and single["data"][0]["num_classes"] == 1


async def test_pooling_outcome_shapes(http: ClientSession) -> None:
    messages = [{"role": "user", "content": "2 + 2"}, {"role": "assistant", "content": "right: 4"}]
    async with Server(score=lambda text: 0.8 if "right" in text else 0.1) as server:
        data = {}
        for shape in ("sequence", "nested", "token"):
            server.set(outcome_shape=shape)
            body = await post(http, server, "/pooling", model="internlm2-7b-reward", messages=messages)
            (item,) = body["data"]
            assert (item["index"], item["object"]) == (0, "pooling")
            data[shape] = item["data"]
        squashed = await post(http, server, "/pooling", model="orm", input=["right", "no"], use_activation=True)
    assert math.isclose(data["sequence"][0], math.log(4))
    assert data["nested"] == [data["sequence"]] and data["token"][-1] == data["sequence"]
    assert len(data["token"]) == body["usage"]["prompt_tokens"] == tokens("2 + 2\nright: 4")
    assert [item["data"][-1][0] for item in squashed["data"]] == [0.8, 0.1]


async def test_pooling_gives_a_process_reward_per_step_tag(http: ClientSession) -> None:
    text = "2 + 2? Step 1: fine ки\nStep 2: wrong ки\nStep 3: fine ки"
    async with Server(scores=[("wrong", 0.2), ("fine", 0.9)]) as server:
        body = await post(http, server, "/pooling", model="math-shepherd-mistral-7b-prm", input=text)
        server.set(good_index=0)
        turned = await post(http, server, "/pooling", model="Qwen2.5-Math-PRM-7B", input=[text.replace("ки", "<extra_0>")])
        bare = await post(http, server, "/pooling", model="prm", input="no tag")
        server.set(scores=[], good_index=1)
        hashed = await post(http, server, "/pooling", model="prm", input="same ки same ки same ки")
    assert [row[1] for row in body["data"][0]["data"]] == [0.9, 0.2, 0.9]
    assert [row[0] for row in turned["data"][0]["data"]] == [0.9, 0.2, 0.9]
    assert bare["data"][0]["data"] == []
    rows = hashed["data"][0]["data"]
    assert len({row[1] for row in rows}) == 3 and all(math.isclose(sum(row), 1) for row in rows)


async def test_server_process_and_a_kill_between_reply_and_reading(http: ClientSession) -> None:
    client = (
        "import sys, urllib.request\n"
        "for _ in range(9):\n"
        "    request = urllib.request.Request(sys.argv[1], sys.argv[2].encode())\n"
        "    print(len(urllib.request.urlopen(request).read()), flush=True)\n"
    )
    with spawned(seed=5, delay_s=0.05) as server:
        command = [sys.executable, "-c", client, f"{server.url}/chat/completions", json.dumps(ASK)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            async with http.post(f"{server.root}/_set", json={"kill": {"pid": process.pid, "answered": 3}}) as reply:
                assert reply.status == 200
            out, _ = await asyncio.to_thread(process.communicate)
        assert process.returncode == -9
        assert len(out.split()) == 2  # the third was sent and never read
        async with http.get(f"{server.root}/_log") as reply:
            log = await reply.json()
        assert [record["status"] for record in log] == [200] * 3 and log[2]["killed"]
        pid = server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_wrong_setting_stops_the_process_with_its_name() -> None:
    command = [sys.executable, sys.modules["server"].__file__ or "", "--faults", '["tea"]']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "unknown fault 'tea'" in done.stderr
