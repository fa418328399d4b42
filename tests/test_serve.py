"""`symposia serve` with the clients that people have: openai, LiteLLM and langchain-openai, over sockets."""

import asyncio
import base64
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import litellm
import openai
import pytest
from commands import Command, Server, ended, started
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from server import Spawned, spawned
from serving import Served, served

from symposia import registry, runs
from symposia.serve.models import takes_chat
from symposia.state.store import open_store
from symposia.tools.settings import configure

# LiteLLM looks at every attribute of a streamed piece, also at two that pydantic warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")

QUESTION = "Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?"
MOA = "moa@test-model?k=1&max_rounds=0"
PRESETS = {"quick": {"method": "self_consistency", "model": "toy/default?error=0", "k": 3, "description": "three samples"}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Spawned]:
    """A model server in a process of its own."""
    with spawned(record_bodies=True, length=[300, 400]) as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: Spawned) -> Iterator[Served]:
    """A server whose bare model names are those of the model server."""
    before = configure(api_base=upstream.url, max_wait=0.02, attempts=3)
    with served(tmp_path_factory.mktemp("site"), presets=PRESETS) as found:
        yield found
    configure(**vars(before))


@pytest.fixture
def models(upstream: Spawned) -> Iterator[Server]:
    """The model server with empty books and no faults."""
    books = Server(upstream)
    usual: dict[str, Any] = {"faults": {}, "hold": False, "hold_last": False, "deterministic": False, "rules": []}
    books.post("_reset")
    yield books
    books.post("_set", **usual)
    books.post("_release")


@pytest.fixture(scope="module")
def client(site: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=site.url, api_key="none", max_retries=0, timeout=20) as found:
        yield found


def chat(text: str = QUESTION) -> list[Any]:
    return [{"role": "user", "content": text}]


def kept(site: Served, run_id: str) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """A run's record, its entries, and the report of its replay."""

    async def read() -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
        async with open_store(site.store) as store:
            return await store.run(run_id), await store.entries(run_id), (await runs.replay(store, run_id))[0]

    return asyncio.run(read())


def until(condition: Any, seconds: float = 10) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)


def test_every_method_that_takes_a_chat_is_a_model(client: openai.OpenAI) -> None:
    offered = {model.id: model for model in client.models.list()}
    methods = [name for name in registry.names() if takes_chat(registry.load(name))]
    assert list(offered) == [*methods, "quick"]
    assert offered["magicore"].model_dump()["model"] == "toy/default"
    assert offered["quick"].model_dump() | {"method": "self_consistency", "calls": 3} == offered["quick"].model_dump()
    one = client.models.retrieve("self_consistency@gpt-4o-mini?k=8")
    assert one.model_dump() | {"model": "gpt-4o-mini", "calls": 8} == one.model_dump()


def test_a_completion_is_a_run_with_honest_usage(site: Served, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="magicore?k=3", messages=chat(), seed=4)
    answer = raw.parse()
    told = answer.model_dump()["symposia"]["runs"][0]
    run_id = raw.headers["x-symposia-run"]
    record, entries, replayed = kept(site, run_id)
    assert (run_id, replayed["identical"], record["params"]["seed"], record["params"]["k"]) == (told["run_id"], True, 4, 3)
    assert answer.choices[0].message.content == str(record["answer"])
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == sum(e.usage.prompt_tokens for e in entries) > 0
    assert answer.usage.completion_tokens == sum(e.usage.completion_tokens for e in entries)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.choices[0].message.model_dump()["reasoning_content"].startswith("MAgICoRe, toy/default")


def test_a_stream_tells_the_steps_then_the_answer(client: openai.OpenAI) -> None:
    options = {"include_usage": True}
    stream = client.chat.completions.create(model="quick", messages=chat(), stream=True, stream_options=options)  # type: ignore[call-overload]
    pieces = list(stream)
    steps = "".join(c.choices[0].delta.model_dump().get("reasoning_content") or "" for c in pieces if c.choices)
    text = "".join(c.choices[0].delta.content or "" for c in pieces if c.choices)
    assert text == "19"
    assert steps.count("  solver (toy/default?error=0): ") == 3
    assert "vote_weights: 19: 3 of 3" in steps
    assert "rule-based toy" in steps
    assert pieces[0].model_dump()["symposia"]["run_ids"] == [pieces[0].id.removeprefix("chatcmpl-")]
    assert pieces[-1].usage.completion_tokens > 0
    assert [c.choices[0].finish_reason for c in pieces if c.choices][-1] == "stop"


@pytest.mark.parametrize(
    ("model", "writer"),
    [(MOA, "aggregator"), ("moa@openai/test-model?k=1&max_rounds=0", "aggregator"), ("chain_of_thought@test-model", "solver")],
    ids=["our provider", "LiteLLM's", "a method of one call"],
)
def test_the_client_has_the_first_token_while_the_last_is_held_back(
    site: Served, client: openai.OpenAI, models: Server, monkeypatch: pytest.MonkeyPatch, model: str, writer: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    models.post("_set", hold_last=True)
    stream = client.chat.completions.create(model=model, messages=chat(), stream=True)
    pieces = (chunk.choices[0] for chunk in stream)
    first = next(piece.delta.content for piece in pieces if piece.delta.content)
    until(lambda: models.get("_count")["held"] == 1)
    models.post("_release")
    text = first + "".join(piece.delta.content or "" for piece in pieces)
    record, entries, replayed = kept(site, models_run(site))
    written = next(e for e in entries if e.usage.role == writer)
    assert written.outcome["value"]["choices"] == [{"text": text, "finish": "stop", "refusal": None}]
    assert "stream" not in written.request
    assert written.usage.prompt_tokens > 0 < written.usage.completion_tokens
    assert (record["status"], replayed["identical"]) == ("ok", True)


def models_run(site: Served) -> str:
    """The newest run."""

    async def read() -> str:
        async with open_store(site.store) as store:
            return str((await store.runs(1))[0]["run_id"])

    return asyncio.run(read())


WRITERS = [name for name in registry.names() if hasattr(registry.load(name).module, "ANSWER_NODE")]


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_writer_says_is_the_answer(client: openai.OpenAI, models: Server, name: str) -> None:
    """The rest of an answer is sent at its end, so a method whose `ANSWER_NODE` is wrong would break off."""
    k = "?k=2" if "k" in registry.load(name).params.model_fields else ""
    stream = client.chat.completions.create(model=f"{name}@test-model{k}", messages=chat(), stream=True)
    contents = [c.choices[0].delta.content for c in stream if c.choices[0].delta.content]
    assert len(contents) > 3


def test_a_broken_stream_is_written_anew_or_said(client: openai.OpenAI, models: Server) -> None:
    """Two equal texts are joined where the first broke off; of two different ones the client hears that what it has is not the answer."""
    models.post("_set", faults=["ok", "cut"], deterministic=True)
    stream = client.chat.completions.create(model=MOA, messages=chat(), stream=True, seed=1)
    text = "".join(c.choices[0].delta.content or "" for c in stream)
    assert text.startswith("This is reply") or text.startswith("Step 1: This is reply")
    assert text.count("This is reply") == 1
    models.post("_set", faults=["ok", "cut"], deterministic=False)
    stream = client.chat.completions.create(model=MOA, messages=chat(), stream=True)
    with pytest.raises(openai.APIError, match="stream broke off"):
        list(stream)


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])
def test_a_client_that_goes_away_stops_the_calls(site: Served, models: Server, streams: bool) -> None:
    models.post("_set", hold=True)
    body = {"model": "self_consistency@test-model?k=5", "messages": chat(), "stream": streams}

    def ask() -> None:
        timeout = httpx.Timeout(20, read=1.5)
        with pytest.raises(httpx.ReadTimeout), httpx.stream("POST", f"{site.url}/chat/completions", json=body, timeout=timeout) as reply:
            list(reply.iter_bytes())

    ask()  # gives up after 1.5 s without a byte
    begun = time.monotonic()
    until(lambda: models.get("_count")["in_flight"] == 0)
    assert time.monotonic() - begun < 1
    count = models.get("_count")
    assert (count["received"], count["disconnected"], count["answered"]) == (5, 5, 0)
    run_id = models_run(site)
    until(lambda: kept(site, run_id)[0]["status"] == "stopped")


def test_several_answers_seed_stop_and_sampling(site: Served, client: openai.OpenAI, models: Server) -> None:
    asked: dict[str, Any] = {"temperature": 0.3, "max_tokens": 500, "top_p": 0.9, "seed": 11, "n": 2, "user": "ann", "metadata": {"a": "b"}}
    raw = client.chat.completions.with_raw_response.create(model=MOA, messages=chat(), stop=["reply", "Step 2"], **asked)
    answer = raw.parse()
    ids = raw.headers["x-symposia-run"].split(",")
    records = [kept(site, run_id)[0] for run_id in ids]
    assert [r["params"]["seed"] for r in records] == [11, 12]
    assert records[0]["served"] == {"model": MOA, "user": "ann", "metadata": {"a": "b"}}
    assert [c.message.content for c in answer.choices] == ["Step 1: This is "] * 2
    bodies = [each["body"] for each in models.get("_log")]
    assert len(bodies) == 4
    assert all((b["temperature"], b["max_tokens"], b["top_p"]) == (0.3, 500, 0.9) for b in bodies)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == sum(r["usage"]["completion_tokens"] for r in records)
    short = client.chat.completions.create(model=MOA, messages=chat(), max_completion_tokens=20)
    assert short.choices[0].finish_reason == "length"
    ended = client.chat.completions.create(model=MOA, messages=chat(), max_completion_tokens=20, stop="is reply")
    assert (ended.choices[0].finish_reason, ended.choices[0].message.content) == ("stop", "Step 1: This ")


def test_turns_and_instructions_reach_every_role(client: openai.OpenAI, models: Server) -> None:
    turns: list[Any] = [
        {"role": "system", "content": "Count in dozens."},
        {"role": "user", "content": [{"type": "text", "text": "I have 12 eggs."}], "name": "Ann"},
        {"role": "assistant", "content": "That is one dozen."},
        {"role": "user", "content": "And with 12 more?"},
    ]
    client.chat.completions.create(model=MOA, messages=turns)
    for entry in models.get("_log"):
        prompt = entry["body"]["messages"][-1]["content"]
        places = [prompt.index(t) for t in ("Count in dozens.", "User (Ann): I have 12 eggs.", "Assistant: That is one", "And with 12")]
        assert places == sorted(places)


def test_a_method_with_an_input_of_its_own_reads_the_chat(client: openai.OpenAI) -> None:
    text = "Document:\nThe mill closed in 1911. It had 40 workers.\nSummary:\nThe mill closed in 1911. It had 90 workers."
    answer = client.chat.completions.create(model="mamm_refine", messages=chat(text), seed=1)
    assert "The mill closed in 1911." in (answer.choices[0].message.content or "")
    with pytest.raises(openai.BadRequestError, match="no system message"):
        client.chat.completions.create(model="mamm_refine", messages=[{"role": "system", "content": "Be brief."}, *chat(text)])
    with pytest.raises(openai.BadRequestError, match='write "Document:"'):
        client.chat.completions.create(model="mamm_refine", messages=chat())


PICTURE = "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(60_000)).decode()
SEEN: list[Any] = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}, {"type": "text", "text": "This?"}]},
    {"role": "assistant", "content": "A cat."},
    {"role": "user", "content": "And its colour?"},
]


@pytest.mark.parametrize("model", ["chain_of_thought", "self_consistency", "best_of_n", "self_refine", "self_moa"])
def test_an_image_reaches_every_model_and_is_kept_once(site: Served, client: openai.OpenAI, models: Server, model: str) -> None:
    k = "&k=2" if "k" in registry.load(model).params.model_fields else ""
    client.chat.completions.create(model=f"{model}@test-model?max_reasks=0{k}", messages=SEEN, n=2)
    sent = [each["body"]["messages"] for each in models.get("_log")]
    assert len(sent) >= 2
    for messages in sent:
        parts = messages[-1]["content"]
        assert [part["image_url"]["url"] for part in parts if part["type"] == "image_url"] == [PICTURE]
        before, after = (part["text"] for part in parts if part["type"] == "text")
        assert before.endswith("User: ")
        assert after.startswith("\nThis?\n\nAssistant: A cat.")
    record, entries, replayed = kept(site, models_run(site))
    assert (record["input"]["images"], replayed["identical"]) == ([PICTURE], True)
    assert all("[image " in str(e.request["messages"]) and PICTURE not in str(e.request) for e in entries if e.kind == "llm")


def test_images_are_one_blob_of_the_store(site: Served, client: openai.OpenAI) -> None:
    """Two runs of two methods: the store holds the data once, a listing of runs never."""
    for model in ("chain_of_thought", "self_consistency"):
        client.chat.completions.create(model=f"{model}@test-model", messages=SEEN)

    async def read() -> tuple[int, str]:
        async with open_store(site.store) as store:
            large = await store.read("SELECT count(*) FROM blobs WHERE length(body) > 40000")
            return int(large[0][0]), str(await store.runs(1000))

    large, listed = asyncio.run(read())
    assert large == 1
    assert PICTURE[-100:] not in listed


async def test_an_image_of_other_clients(site: Served, client: openai.OpenAI, models: Server) -> None:
    asked: Any = [{"role": "user", "content": [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": PICTURE}]}]
    client.responses.create(model="chain_of_thought@test-model", input=asked)
    options: dict[str, Any] = {"model": "openai/chain_of_thought@test-model", "api_base": site.url, "api_key": "none"}
    await litellm.acompletion(**options, messages=SEEN)
    model = ChatOpenAI(model="chain_of_thought@test-model", base_url=site.url, api_key="none", max_retries=0)  # type: ignore[arg-type]
    shown = {"type": "image", "base64": PICTURE.partition(",")[2], "mime_type": "image/png"}
    model.invoke([HumanMessage([{"type": "text", "text": "What?"}, shown])])
    sent = [str(each["body"]["messages"]) for each in models.get("_log")]
    assert [text.count(PICTURE) for text in sent] == [1, 1, 1]


FOUND = '{"n": 19}'
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "found", "schema": SCHEMA}}


def test_the_form_of_an_answer_is_asked_of_who_writes_it(site: Served, client: openai.OpenAI, models: Server) -> None:
    models.post("_set", rules=[["one JSON object", FOUND]])
    answer = client.chat.completions.create(model=MOA, messages=chat(), response_format=FORM)
    assert answer.choices[0].message.content == FOUND
    first, last = (each["body"] for each in models.get("_log"))
    assert ("response_format" in first, last["response_format"]) == (False, FORM)
    assert '"integer"' in last["messages"][-1]["content"]
    record, _, replayed = kept(site, models_run(site))
    assert (record["status"], record["answer"], replayed["identical"]) == ("ok", FOUND, True)
    models.post("_set", rules=[])
    with pytest.raises(openai.InternalServerError, match="asked for a JSON object and replied"):
        client.responses.create(model=MOA, input=QUESTION, text={"format": {"type": "json_object"}})
    for model, says in (("self_consistency@test-model", "no single model writes"), ("moa", "takes no form of a reply")):
        with pytest.raises(openai.BadRequestError, match=says):
            client.chat.completions.create(model=model, messages=chat(), response_format={"type": "json_object"})


def test_a_reply_that_has_to_be_asked_for_again_is_not_streamed(client: openai.OpenAI, models: Server) -> None:
    models.post("_set", rules=[["That could not be read", FOUND]])
    stream = client.chat.completions.create(model=MOA, messages=chat(), response_format={"type": "json_object"}, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == FOUND
    assert len(models.get("_log")) == 3


def test_responses_of_the_openai_client(site: Served, client: openai.OpenAI) -> None:
    answer = client.responses.create(model="quick", input=QUESTION, instructions="Be careful.", metadata={"a": "b"})
    assert (answer.output_text.isdecimal(), answer.status, answer.metadata) == (True, "completed", {"a": "b"})
    record = kept(site, answer.id.removeprefix("resp_"))[0]
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == tuple(record["usage"].values())
    again: Any = [{"role": "user", "content": QUESTION}, *[item.model_dump() for item in answer.output], {"role": "user", "content": "So?"}]
    client.responses.create(model="quick", input=again)
    asked = kept(site, models_run(site))[0]["input"]["question"]
    assert f"Assistant: {answer.output_text}" in asked
    assert "vote_weights" not in asked


def test_a_stream_of_responses_is_real(client: openai.OpenAI, models: Server) -> None:
    models.post("_set", hold_last=True)
    text, kinds = "", []
    with client.responses.stream(model=MOA, input=QUESTION) as stream:
        for event in stream:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                if not text:
                    until(lambda: models.get("_count")["held"] == 1)
                    models.post("_release")
                text += event.delta
        final = stream.get_final_response()
    assert final.output_text == text
    assert kinds[0] == "response.created"
    assert kinds.index("response.reasoning_summary_text.delta") < kinds.index("response.output_text.delta")
    assert kinds[-1] == "response.completed"
    models.post("_set", faults=["401"], hold_last=False)
    failed = [e.type for e in client.responses.create(model=MOA, input=QUESTION, stream=True)]
    assert failed[-1] == "response.failed"


async def test_litellm_as_a_client(site: Served) -> None:
    options: dict[str, Any] = {"model": "openai/quick", "api_base": site.url, "api_key": "none", "messages": chat()}
    answer: Any = await litellm.acompletion(**options, seed=3)
    assert answer.choices[0].message.content == "19"
    assert "vote_weights" in answer.choices[0].message.reasoning_content
    assert answer.usage.prompt_tokens > 0
    said = [*chat(), answer.choices[0].message, *chat()]  # which LiteLLM sends with all it notes beside an answer
    assert (await litellm.acompletion(**{**options, "messages": said})).choices[0].message.content == "19"
    stream: Any = await litellm.acompletion(**options, stream=True, stream_options={"include_usage": True})
    text, steps, used = "", "", 0
    async for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            steps += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
        used = max(used, getattr(getattr(chunk, "usage", None), "completion_tokens", 0) or 0)
    assert text == "19"
    assert "vote_weights" in steps
    assert used > 0


async def test_langchain_as_a_client(site: Served) -> None:
    model = ChatOpenAI(model="quick", base_url=site.url, api_key="none", max_retries=0, stream_usage=True)  # type: ignore[arg-type]
    answer = await model.ainvoke([SystemMessage("Be careful."), HumanMessage(QUESTION)])
    assert str(answer.content).isdecimal()
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    pieces = [chunk async for chunk in model.astream([HumanMessage(QUESTION)])]
    assert "".join(str(chunk.content) for chunk in pieces) == "19"
    newer = ChatOpenAI(model="quick", base_url=site.url, api_key="none", use_responses_api=True)  # type: ignore[arg-type]
    assert (await newer.ainvoke(QUESTION)).text == "19"


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("401", openai.InternalServerError, "does not accept the key"),
        ("404", openai.NotFoundError, "no model"),
        ("400", openai.BadRequestError, "context length"),
        ("429", openai.RateLimitError, "rate limit"),
        ("html", openai.InternalServerError, "no completion"),
        ("drop", openai.InternalServerError, "cannot be reached"),
    ],
)
def test_a_failed_run_is_an_error_with_its_cause(client: openai.OpenAI, models: Server, fault: str, kind: Any, says: str) -> None:
    models.post("_set", faults={fault: 1.0}, retry_after="0")
    with pytest.raises(kind, match=says) as failure:
        client.chat.completions.create(model="chain_of_thought@test-model", messages=chat())
    run = failure.value.response.json()["symposia"]
    assert run["status"] == "failed"
    assert failure.value.response.headers["x-symposia-run"] == run["run_id"]
    assert failure.value.response.headers["x-should-retry"] == "false"


def test_a_failure_within_a_stream_is_said(client: openai.OpenAI, models: Server) -> None:
    models.post("_set", faults={"401": 1.0})
    with pytest.raises(openai.APIError, match="does not accept the key"):
        list(client.chat.completions.create(model="chain_of_thought@test-model", messages=chat(), stream=True))


def test_the_command_refuses_what_would_be_open(symposia: Command, folder: Path) -> None:
    done = symposia("serve", "--host", "0.0.0.0")
    assert done.code == 2
    assert "SYMPOSIA_SERVE_KEY" in done.err
    assert symposia("serve", "--key", "short").code == 2
    (folder / "symposia.toml").write_text('[presets.mine]\nmethod = "self_consistency"\nkk = 2\n', encoding="utf-8")
    assert "presets.mine: self_consistency has no parameter kk; did you mean" in symposia("serve").err


def test_the_command_serves_until_ctrl_c(folder: Path) -> None:
    (folder / "symposia.toml").write_text('[presets.mine]\nmethod = "self_consistency"\nk = 2\n', encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secret = "a-long-key-of-the-server"
    own = {**os.environ, "SYMPOSIA_SERVE_KEY": secret}
    process = started("serve", "--port", port, "--model", "toy/default?error=0", cwd=folder, env=own)

    def up() -> bool:
        assert process.poll() is None, process.communicate()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        except httpx.ConnectError:
            return False

    until(up, 60)
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=secret) as client:
        answer = client.chat.completions.create(model="mine", messages=chat())
    assert answer.choices[0].message.content == "19"
    assert answer.model_dump()["symposia"]["runs"][0]["calls"]["live"] == 2
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert (done.code, done.out) == (130, "")
    assert f"http://127.0.0.1:{port}/v1 with a key" in done.err
    assert secret not in done.err
    assert not [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
