"""What must not get through `symposia serve`: wrong types, large bodies, unknown models, no key, other hosts and origins, path tricks."""

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request
from serving import Served, served
from starlette.types import Message

from symposia.config import Config, load_config
from symposia.registry import load
from symposia.serve.app import _chunk, _stream
from symposia.serve.conversation import Turn, input_of, question_of
from symposia.serve.guard import Rules, is_loopback
from symposia.serve.models import Catalogue, NoSuchModel
from symposia.serve.work import Cut, Runs, Work
from symposia.state.errors import BadInput
from symposia.state.store import Store

KEY = "the-key-of-this-server"
AUTH = {"Authorization": f"Bearer {KEY}"}
HI = [{"role": "user", "content": "What is 2 + 2?"}]
ASK: dict[str, Any] = {"model": "chain_of_thought", "messages": HI}
PNG = "data:image/png;base64,iVBORw0KGgo="
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
NAMES = ("model.example",)


def picture(url: str, **fields: str) -> dict[str, Any]:
    """A message with an image in it."""
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **fields}}]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a key, a name, an origin that may ask, and small limits."""
    rules = Rules(keys=(KEY,), hosts=NAMES, origins=("https://chat.example",), most_bytes=10 * 2**20)
    with served(tmp_path_factory.mktemp("guarded"), rules=rules, most_runs=3, most_calls=100, models=("toy/*",)) as found:
        yield found


def error_of(reply: httpx.Response) -> dict[str, Any]:
    """The error of a refusal, which has OpenAI's form and no text but JSON."""
    assert 400 <= reply.status_code < 500, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    found = reply.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert found["message"]
    assert isinstance(found, dict)
    return found


def deep(levels: int) -> dict[str, Any]:
    """A schema with so many levels."""
    return {} if not levels else {"a": deep(levels - 1)}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    """A request for an answer of a schema."""
    return {"model": "moa", "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {  # changes to a good request, status, what the message says
    "model number": ({"model": 7}, 400, "model"),
    "model unknown": ({"model": "magicor"}, 404, "did you mean 'magicore'"),
    "model markup": ({"model": "<script>alert(1)</script>"}, 404, "unknown model"),
    "model path": ({"model": "../../etc/passwd"}, 404, "unknown model"),
    "model escape": ({"model": "\x1b[31mred\x00"}, 404, "unknown model"),
    "model surrogate": ({"model": "\ud800"}, 400, "unicode"),
    "model long": ({"model": "x" * 5000}, 400, "5000 characters"),
    "model empty at": ({"model": "magicore@"}, 400, "after '@'"),
    "model of no characters": ({"model": "magicore@toy/default%00"}, 400, "cannot be printed"),
    "role of no characters": ({"model": "magicore?roles.solver=toy/%1b%5b31m"}, 400, "cannot be printed"),
    "model forbidden": ({"model": "magicore@gpt-4o"}, 400, "not allowed"),
    "role forbidden": ({"model": "magicore?roles.reviewer=gpt-4o"}, 400, "not allowed"),
    "address": ({"model": "magicore@reward/http://127.0.0.1:1"}, 400, "cannot hold an address"),
    "role address": ({"model": "magicore?roles.outcome=reward/http://127.0.0.1:1"}, 400, "cannot hold an address"),
    "parameter unknown": ({"model": "magicore?kk=3"}, 400, "did you mean k"),
    "parameter kind": ({"model": "magicore?k=many"}, 400, "valid integer"),
    "parameter twice": ({"model": "magicore?k=1&k=2"}, 400, "twice"),
    "parameter form": ({"model": "magicore?k"}, 400, "name=value"),
    "parameter deep": ({"model": "magicore?k=" + "[" * 900}, 400, "nested too deeply"),
    "parameter of many names": ({"model": "magicore?k" + ".a" * 450 + "=1"}, 400, "nested too deeply"),
    "parameter into a value": ({"model": "magicore?k=1&k.a=2"}, 400, "value already"),
    "parameter large": ({"model": f"chain_of_thought?sampling.solver.max_tokens={10**30}"}, 400, "more than 64 bits"),
    "parameter nan": ({"model": "weighted_best_of_n?power=NaN"}, 400, "power"),
    "calls": ({"model": "self_consistency?k=101"}, 400, "more than the 100 calls"),
    "calls huge": ({"model": f"self_consistency?k={10**30}"}, 400, ""),
    "task": ({"model": "chain_of_thought?task=nmber"}, 400, "did you mean 'number'"),
    "messages text": ({"messages": "hello"}, 400, "list"),
    "messages none": ({"messages": []}, 400, "messages"),
    "messages deep": ({"messages": [[[[[]]]]]}, 400, "messages"),
    "role": ({"messages": [{"role": "root", "content": "x"}]}, 400, "role"),
    "tool message": ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, 400, "role"),
    "last assistant": ({"messages": [*HI, {"role": "assistant", "content": "4"}]}, 400, "does not end with a message of the user"),
    "content number": ({"messages": [{"role": "user", "content": 5}]}, 400, "content"),
    "content empty": ({"messages": [{"role": "user", "content": " "}]}, 400, "empty"),
    "image address": ({"messages": [picture("https://127.0.0.1/secret.png")]}, 400, "nothing is fetched from an address"),
    "image file": ({"messages": [picture("file:///etc/passwd")]}, 400, "nothing is fetched"),
    "image other": ({"messages": [picture("data:text/html;base64,AAAA")]}, 400, "no PNG, JPEG"),
    "image detail": ({"messages": [picture(PNG, detail="high")]}, 400, "detail cannot be honoured"),
    "image unread": ({"model": "debate_du", "messages": [picture(PNG)]}, 400, "debate_du reads no images"),
    "images": ({"messages": [picture(PNG)] * 21}, 400, "20 at most"),
    "sound": ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, 400, "no sounds"),
    "part with more": (
        *({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]}, 400),
        "messages.0.content.0.text.cache_control: there is no such field, or no method can honour it",
    ),
    "part": ({"messages": [{"role": "user", "content": [7]}]}, 400, "content"),
    "tool calls": ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}, *HI]}, 400, "no method calls tools"),
    "n": ({"n": 17}, 400, "n: "),
    "n zero": ({"n": 0}, 400, "n: "),
    "n text": ({"n": "2"}, 400, "n: "),
    "n boolean": ({"n": True}, 400, "n: "),
    "seed": ({"seed": -1}, 400, "seed"),
    "temperature": ({"temperature": 9}, 400, "temperature"),
    "stop": ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop"),
    "stream": ({"stream": "yes"}, 400, "stream"),
    "stream options": ({"stream_options": {"include_usage": True}}, 400, "belong to a stream"),
    "unknown field": ({"temprature": 1}, 400, "no such field"),
    "tools": ({"tools": [{"type": "function"}]}, 400, "tools cannot be honoured"),
    "tool choice": ({"tool_choice": {"type": "function"}}, 400, "tool_choice cannot"),
    "format": ({"response_format": {"type": "json_object"}}, 400, "response_format cannot"),
    "format unknown": ({"response_format": {"type": "xml"}}, 400, "response_format"),
    "format deep": (form(deep(400)), 400, "nested too deeply"),
    "format very deep": (form(deep(900)), 400, "nested too deeply"),
    "format large": (form({"maximum": 10**400}), 400, "no number of 64 bits"),
    "format endless": (form({"maximum": float("inf")}), 400, "no number of 64 bits"),
    "format of nothing": ({"response_format": {"type": "json_schema"}}, 400, "response_format"),
    "logprobs": ({"logprobs": True}, 400, "logprobs cannot"),
    "penalty": ({"presence_penalty": 0.5}, 400, "presence_penalty cannot"),
    "effort": ({"reasoning_effort": "high"}, 400, "reasoning_effort cannot"),
    "store": ({"store": False}, 400, "store cannot"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_and_says_why(site: Served, case: str) -> None:
    change, status, says = WRONG[case]
    body = json.dumps({**ASK, **change})
    reply = httpx.post(site.root + CHAT, content=body, headers={**AUTH, "Content-Type": "application/json"})
    assert reply.status_code == status, reply.text
    assert says in error_of(reply)["message"]


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        ({"tools": [{"type": "function"}]}, "tools", "tools cannot be honoured: no method calls tools of the client"),
        ({"messages": [{**HI[0], "tool_calls": [{}]}]}, "messages.0.tool_calls", None),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "messages.0.content.0.text.text", None),
        ({"stop": ["a", ""]}, "stop.1", "stop.1: String should have at least 1 character"),
        ({"stop": 7}, "stop", "stop: Input should be a valid string; stop: Input should be a valid list"),
    ],
)
def test_a_refusal_names_the_field(site: Served, change: dict[str, Any], param: str, message: str | None) -> None:
    error = error_of(site.post(CHAT, {**ASK, **change}, headers=AUTH))
    assert (error["param"], error["message"]) == (param, message or error["message"])


NEUTRAL: dict[str, Any] = {
    **{"tools": [], "tool_choice": "auto", "response_format": {"type": "text"}, "logprobs": False, "presence_penalty": 0.0, "n": None},
    **{"frequency_penalty": 0, "logit_bias": {}, "store": True, "service_tier": "auto", "modalities": ["text"], "stop": None},
}


def test_what_asks_for_nothing_is_taken(site: Served) -> None:
    assert site.post(CHAT, {**ASK, **NEUTRAL}, headers=AUTH).status_code == 200
    for asked in ({"summary": "auto"}, {"effort": None, "summary": "detailed"}, {"effort": None}):
        reply = site.post(RESPONSES, {"model": "chain_of_thought", "input": "What is 2 + 2?", "reasoning": asked}, headers=AUTH)
        assert reply.json()["output"][0]["summary"][0]["text"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"previous_response_id": "resp_1"}, "send the turns before"),
        ({"text": {"format": {"type": "json_object"}}}, "response_format cannot"),
        ({"text": {"verbosity": "low"}}, "verbosity cannot"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "nothing is fetched"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "no files are kept"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input"),
        ({"input": []}, "input"),
        ({"background": True}, "background cannot"),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, "reasoning cannot"),
        ({"store": False}, "store cannot"),
    ],
)
def test_a_wrong_request_for_a_response(site: Served, change: dict[str, Any], says: str) -> None:
    reply = site.post(RESPONSES, {"model": "chain_of_thought", "input": "x", **change}, headers=AUTH)
    assert says in error_of(reply)["message"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"x"', 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 9000, 400),
    ],
    ids=["empty", "cut", "list", "null", "text", "bytes", "deep list", "deep object"],
)
def test_a_body_that_is_no_request(site: Served, raw: bytes, status: int) -> None:
    reply = httpx.post(site.root + CHAT, content=raw, headers={**AUTH, "Content-Type": "application/json"})
    assert reply.status_code == status
    error_of(reply)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_of_more_than_ten_megabytes(site: Served, chunked: bool) -> None:
    raw = json.dumps({**ASK, "messages": [{"role": "user", "content": "x" * (10 * 2**20)}]}).encode()
    pieces = (raw[at : at + 2**20] for at in range(0, len(raw), 2**20)) if chunked else raw
    reply = httpx.post(site.root + CHAT, content=pieces, headers={**AUTH, "Content-Type": "application/json"}, timeout=30)
    assert reply.status_code == 413
    assert error_of(reply)["code"] == "request_too_large"


HEADERS: dict[str, tuple[dict[str, str], int]] = {
    "no key": ({"Authorization": ""}, 401),
    "wrong key": ({"Authorization": "Bearer wrong"}, 401),
    "half a key": ({"Authorization": f"Bearer {KEY[:-1]}"}, 401),
    "other scheme": ({"Authorization": f"Basic {KEY}"}, 401),
    "key without scheme": ({"Authorization": KEY}, 401),
    "other host": ({"Host": "evil.example"}, 403),
    "host that begins well": ({"Host": "localhost.evil.example"}, 403),
    "host with a user": ({"Host": "localhost@evil.example"}, 403),
    "host with a path": ({"Host": "localhost/evil"}, 403),
    "host with a bad port": ({"Host": "localhost:x"}, 403),
    "no host name": ({"Host": ""}, 403),
    "other origin": ({"Origin": "https://evil.example"}, 403),
    "no origin": ({"Origin": "null"}, 403),
    "origin of no form": ({"Origin": "http://[::1"}, 403),
    "a page's form": ({"Content-Type": "text/plain"}, 415),
    "no content type": ({"Content-Type": ""}, 415),
}


@pytest.mark.parametrize("case", HEADERS)
def test_who_may_not_ask(site: Served, case: str) -> None:
    change, status = HEADERS[case]
    headers = {**AUTH, "Content-Type": "application/json", **change}
    for method, path in (("POST", CHAT), ("POST", RESPONSES), *((("GET", "/v1/models"),) if status != 415 else ())):
        reply = httpx.request(method, site.root + path, content=json.dumps(ASK) if method == "POST" else None, headers=headers)
        assert reply.status_code == status, (method, path, reply.text)
        error_of(reply)
        assert KEY not in reply.text


@pytest.mark.parametrize("host", ["localhost:8700", "127.0.0.1", "[::1]:8700", "MODEL.example", "model.example.", "192.0.2.7:80"])
def test_hosts_under_which_it_is_known(site: Served, host: str) -> None:
    assert httpx.get(f"{site.root}/v1/models", headers={**AUTH, "Host": host}).status_code == 200


def test_only_an_allowed_origin_may_ask(site: Served) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    good = httpx.options(site.root + CHAT, headers={**asks, "Origin": "https://chat.example", "Host": "localhost"})
    assert good.headers["access-control-allow-origin"] == "https://chat.example"
    bad = httpx.options(site.root + CHAT, headers={**asks, "Origin": "https://evil.example"})
    assert bad.status_code == 403
    assert "access-control-allow-origin" not in bad.headers
    answer = site.post(CHAT, ASK, headers={**AUTH, "Origin": "https://chat.example"})
    assert "X-Symposia-Run" in answer.headers["access-control-expose-headers"]
    assert site.post(CHAT, ASK, headers={**AUTH, "Origin": site.root}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/../../etc/passwd",
        "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1//models",
        "/..%00",
        "/v1/models/a%00b",
        "/docs",
        "/%ff",
    ],
)
def test_paths_that_lead_nowhere(site: Served, path: str) -> None:
    with socket.create_connection(site.root.removeprefix("http://").split(":")) as raw:  # type: ignore[arg-type]
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: raw.recv(65536), b""))
    assert reply.split()[1] == b"404"
    assert b"root:" not in reply
    assert b'"message"' in reply


def test_markup_and_escapes_are_text(site: Served) -> None:
    text = "What is 2 + 2? <img src=x onerror=alert(1)> \x1b[31m\x00\u202e {question} %s </script>"
    body = {**ASK, "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "\x1b[2J"}, *HI]}
    reply = site.post(CHAT, body, headers=AUTH)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    steps = reply.json()["choices"][0]["message"]["reasoning_content"]
    assert "\x1b" not in steps
    assert "\x1b" not in reply.text


def test_no_more_runs_at_once_than_allowed(site: Served) -> None:
    assert site.post(CHAT, {**ASK, "n": 3}, headers=AUTH).status_code == 200
    reply = site.post(CHAT, {**ASK, "n": 4}, headers=AUTH)
    assert reply.status_code == 429
    assert reply.headers["retry-after"] == "1"
    assert error_of(reply)["code"] == "too_many_runs"


def test_health_needs_no_key_and_other_methods_are_refused(site: Served) -> None:
    assert httpx.get(f"{site.root}/health").json()["status"] == "ok"
    assert httpx.get(site.root + CHAT, headers=AUTH).status_code == 405
    heads = [httpx.head(site.root + path, headers=AUTH) for path in ("/health", "/v1/models")]
    assert [(head.status_code, head.content) for head in heads] == [(200, b"")] * 2


def test_it_does_what_it_says_of_itself(site: Served, tmp_path: Path) -> None:
    """Schemathesis: good and bad requests made of the server's own description of itself.

    That a chat ends with a message of the user, which says something, no description can say, so a refusal of a described request is fine.
    """
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{site.root}/openapi.json", "--no-color"]
    command += ["--header", f"Authorization: {AUTH['Authorization']}", "--exclude-checks", "positive_data_acceptance"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--generation-deterministic", "--request-timeout", "20"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) generated, \1 passed", done.stdout)[0]) > 300


# Names, presets and chats, without a server


def test_a_name_holds_method_model_and_parameters() -> None:
    catalogue = Catalogue(Config(model="base", params={"magicore": {"k": 5}}))
    plain = catalogue.asked("magicore")
    assert (plain.loaded.method.name, plain.given["model"], plain.given["k"]) == ("magicore", "base", 5)
    full = catalogue.asked(
        "magicore@vertex_ai/claude@2024?k=8&sampling.solver.temperature=null&roles.reviewer=toy%2Fdefault%3Ferror%3D0&task=math"
    )
    assert full.given["model"] == "vertex_ai/claude@2024"
    assert full.given["roles"] == {"reviewer": "toy/default?error=0"}
    assert (full.given["k"], full.given["sampling"], full.task) == (8, {"solver": {"temperature": None}}, "math")


def test_presets_come_from_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "symposia.toml"
    (tmp_path / "solve.txt").write_text("Solve: {question}", encoding="utf-8")
    path.write_text(
        '[presets.quick]\nmethod = "self_consistency"\nmodel = "m"\nk = 3\ntask = "number"\nprompts = {solver = "@solve.txt"}\n',
        encoding="utf-8",
    )
    catalogue = Catalogue(load_config(path))
    quick = catalogue.asked("quick?k=4")
    assert (quick.given["model"], quick.given["k"], quick.task) == ("m", 4, "number")
    assert quick.given["prompts"]["solver"] == "Solve: {question}"
    assert catalogue.card("quick@other")["model"] == "other"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('[presets."a b"]\nmethod = "magicore"', "letters"),
        ("[presets.a]\nk = 3", "names no method"),
        ("presets = 3", "no table of tables"),
        ('[presets.a]\nmethod = "magicor"', "unknown method"),
        ('[presets.a]\nmethod = "magicore"\nk = 0', "presets.a: k"),
        ('[presets.magicore]\nmethod = "magicore"', "name of a method"),
        ('[presets.a]\nmethod = "magicore"\ntask = "x"', "no answer task"),
    ],
)
def test_a_wrong_preset_is_named(tmp_path: Path, table: str, says: str) -> None:
    path = tmp_path / "symposia.toml"
    path.write_text(table, encoding="utf-8")
    with pytest.raises(BadInput, match=says):
        Catalogue(load_config(path))


async def test_a_fault_of_the_server_within_a_stream_is_said(sqlite: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The status is out already, so the stream itself has to say it, and no more than the answer to another request would."""

    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"first": 1}
        raise RuntimeError("a secret of the server")

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    stream = _stream(Request({"type": "http"}, receive), Work(Runs(sqlite, 1), [], tells=True), events(), _chunk, end=b"data: [DONE]\n\n")
    first, last = [piece async for piece in stream.body_iterator]  # type: ignore[attr-defined]
    assert first == b'data: {"first": 1}\n\n'
    assert json.loads(last.removeprefix(b"data: "))["error"]["type"] == "server_error"
    assert b"secret" not in last
    assert "a secret of the server" in caplog.text


def test_methods_without_a_chat_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symposia.serve.models.takes_chat", lambda loaded: loaded.method.name != "magicore")
    catalogue = Catalogue(Config())
    assert catalogue.left_out == ("magicore",)
    assert "magicore" not in catalogue.names
    with pytest.raises(NoSuchModel, match="takes no chat"):
        catalogue.asked("magicore")


def test_a_chat_becomes_a_question() -> None:
    assert question_of([Turn("user", "  Why?\n")]) == "  Why?\n"
    text = question_of([Turn("system", "Be brief."), Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("user", "Why?", "Ann")])
    assert text.splitlines() == [
        *["Instructions for the answer:", "Be brief.", "", "The conversation so far:", "", "User: Hi", "", "Assistant: Hello", ""],
        *["The latest message, which is to be answered:", "", "User (Ann): Why?"],
    ]
    assert input_of(load("magicore"), [Turn("user", "x\ud800")], "math") == {"question": "x\ufffd", "task": "math"}


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize(
    ("text", "stops", "shown"),
    [("abcabd", ["abd"], "abc"), ("aaab", ["aab"], "a"), ("abc", [], "abc"), ("abc", ["x", "cd"], "abc"), ("abab", ["b", "ab"], "")],
)
def test_an_answer_ends_before_the_first_stop(text: str, stops: list[str], shown: str, size: int) -> None:
    cut = Cut(stops)
    pieces = [cut.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(pieces) + cut.feed("", last=True) == shown


def test_which_addresses_are_of_this_machine_only() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.0.2.1", "example.com", "localhost.example")] == [False] * 5


@pytest.mark.parametrize("given", ["Bearer", "Bearer " + "k" * 10_000, "Bearer ключ", "\xa0"])
def test_odd_keys_are_wrong_keys(site: Served, given: str) -> None:
    assert httpx.get(f"{site.root}/v1/models", headers={"Authorization": given.encode()}).status_code == 401
