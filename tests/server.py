"""A local model server that answers, misbehaves and keeps the books, for tests and benchmarks.

It speaks the OpenAI protocol (`/v1/chat/completions`, plain and streamed, `/v1/embeddings` and `/v1/models`) and the two
endpoints that vLLM serves reward models on (`/classify` and `/pooling`), so that the code under test runs whole, with sockets.
Every reply differs, also for equal prompts, unless `deterministic` is on: a text seen twice was asked for once.

As a process: `python tests/server.py --seed 0 --set '{"delay_s": 0.05}'` prints `{"port": ..., "url": ...}` and serves
until SIGTERM; `spawned()` does that from Python. In process: `async with Server(delay_s=0.05) as server: server.url`.

Beside the model endpoints: GET `/_count`, `/_log`, `/_wait?answered=3`; POST `/_set` (any field of `Behaviour`),
`/_reset`, `/_release`. Everything is bound to 127.0.0.1.

A fault is `kind` or `kind:argument`; `faults` holds rates (`{"429:2": 0.3, "cut": 0.05}`) or a list taken in order.
`429`, `500`, `502`, `503` take `Retry-After` as argument (`2`, `date:2`, `none`); `slow:3` answers 3 s late and plain
`slow` (or `timeout`) never; `storm:5` answers 429 to everything for 5 s; the rest is in `ERRORS`, `BROKEN`, `CONTENT`.

Sources of the reward shapes: vLLM, `docs/models/pooling_models/{reward,classify}.md`, and the protocol classes of
`vllm/entrypoints/pooling/{pooling,classify}/protocol.py`.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from email.utils import formatdate
from random import Random
from typing import Any, NamedTuple, Self

from aiohttp import web

Json = dict[str, Any]

ERRORS = {  # kind: message, type and code of the error object, as OpenAI words them
    "400": ("This model's maximum context length is 8192 tokens.", "invalid_request_error", "context_length_exceeded"),
    "401": ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "403": ("Your project has no access to this model.", "permission_error", "model_not_allowed"),
    "404": ("The model does not exist.", "invalid_request_error", "model_not_found"),
    "429": ("Rate limit reached.", "rate_limit_error", "rate_limit_exceeded"),
    "500": ("The server had an error.", "server_error", "internal_error"),
    "502": ("Bad gateway.", "server_error", "bad_gateway"),
    "503": ("The server is overloaded.", "server_error", "overloaded"),
}
BROKEN = ("cut", "drop", "malformed", "html", "error_body", "no_choices")
CONTENT = ("empty", "null", "refusal", "content_filter", "truncated")
KINDS = frozenset({"ok", "slow", "timeout", "storm", "hold", *ERRORS, *BROKEN, *CONTENT})
DEFAULT_RETRY = ("429", "503")  # kinds that carry `retry_after` when the fault names no argument

SENTENCES = (
    "There are {a} crates with {b} apples in each of them, so together that makes {a} * {b} = {product} apples.",
    "Of the {c} pencils on the desk {a} are given away, and {c} - {a} = {less} of them stay with the class.",
    "The first train covers {b} miles and the second one {c} miles, which is {b} + {c} = {more} miles in total.",
    "Each of the {a} friends pays {c} dollars for the ticket, hence the group spends {a} * {c} = {big} dollars.",
    "Since the price went up by {a} dollars from {b} dollars, the new price is {a} + {b} = {rise} dollars.",
    "We keep this number in mind, because the question asks for what is left after {b} more days have gone by.",
)


@dataclass
class Behaviour:
    """How the server answers; every field may be changed at run time by `/_set` or `Server.set`.

    Times are seconds, lengths characters, tokens four characters each.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0  # at most this much more, drawn from the seed
    chunk_delay_s: float = 0.0  # between two pieces of a stream
    deterministic: bool = False  # the reply is a function of the body (its `seed` included) and the choice
    ignore_n: bool = False
    length: tuple[int, int] = (600, 1200)
    answers: tuple[str, ...] = ("18", "24", "30", "42")  # the first as likely as all others together
    rules: tuple[tuple[str, str], ...] = ()  # (text in the last message, reply with {number} {id} {answer} {score})
    models: tuple[str, ...] = ("test-model",)
    strict_models: bool = False  # 404 for any other name
    key: str | None = None
    concurrency: int | None = None  # 429 above it
    context_length: int | None = None  # tokens; 400 above it
    retry_after: str | None = "1"  # of a 429 or 503 that names none: seconds, `date:SECONDS` or None
    faults: dict[str, float] | list[str] = field(default_factory=list)
    fault_path: str = ""  # only requests whose path holds this
    likely: dict[str, float] = field(default_factory=dict)  # log-probabilities of the first tokens, told to who asks; none are null
    hold: bool = False  # every 200 waits for `/_release`
    hold_last: bool = False  # of every stream the last piece of text waits for `/_release`
    kill: Json | None = None  # {"pid": p, "answered": n}: SIGKILL p when the n-th 200 is sent, before p can read it
    record_bodies: bool = False
    scores: tuple[tuple[str, float], ...] = ()  # (text, score in 0..1), the first found; else a hash of the text
    activation: bool | None = None  # None: outcome rewards as logits, process rewards as probabilities
    outcome_shape: str = "sequence"  # data of an outcome model: sequence [s], nested [[s]], token [[..], ..., [s]]
    good_index: int = 1  # column of "good" in a process reward; Math-Shepherd served with ids of "+ -" has 0
    classes: int = 2  # of `/classify`
    process_models: tuple[str, ...] = ("prm", "shepherd")  # names that make a process reward model
    step_tags: tuple[str, ...] = ("ки", "<extra_0>")
    dimensions: int = 8  # of an embedding, unless the request says
    embedding_form: str = "plain"  # or backwards, fewer, uneven, twice, null: how a reply of `/v1/embeddings` is wrong, or only odd

    def __post_init__(self) -> None:
        """Check what a typing slip would otherwise turn into a server that never misbehaves."""
        for fault in self.faults:
            if fault.partition(":")[0] not in KINDS:
                raise ValueError(f"unknown fault {fault!r}; kinds are {', '.join(sorted(KINDS))}")
        if isinstance(self.faults, dict) and sum(self.faults.values()) > 1:
            raise ValueError(f"the rates of the faults add up to {sum(self.faults.values())}, more than 1")
        if self.kill is not None and (self.kill["pid"] <= 1 or self.kill["pid"] == os.getpid()):
            raise ValueError(f"kill names the process {self.kill['pid']}; name the client")

    def changed(self, **changes: Any) -> "Behaviour":
        """A copy with some fields replaced; a name that is no field is an error."""
        unknown = changes.keys() - {f.name for f in fields(self)}
        if unknown:
            raise ValueError(f"unknown setting {', '.join(sorted(unknown))}; see Behaviour in tests/server.py")
        return replace(self, **changes)


class Reply(NamedTuple):
    """One choice of a chat completion."""

    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


def tokens(text: str) -> int:
    """Tokens of a text at four characters each, rounded up."""
    return -(-len(text) // 4)


def text_of(body: Json) -> str:
    """All text of the messages, parts of mixed content included, a line each."""
    contents = [message.get("content") or "" for message in body["messages"]]
    return "\n".join(c if isinstance(c, str) else "\n".join(part.get("text", "") for part in c) for c in contents)


def digest(value: Any) -> str:
    """SHA-256 of a value's JSON with sorted keys, 64 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def worked_steps(rng: Random, head: str, answer: str, length: int) -> str:
    r"""About `length` characters of labelled steps that end in `\boxed{answer}`."""
    lines = [f"Step 1: {head}"]
    size = len(head)
    while size < length - 60:
        a, b, c = rng.randrange(2, 10), rng.randrange(10, 40), rng.randrange(40, 90)
        values = {"a": a, "b": b, "c": c, "product": a * b, "less": c - a, "more": b + c, "big": a * c, "rise": a + b}
        lines.append(f"Step {len(lines) + 1}: {rng.choice(SENTENCES).format_map(values)}")
        size += len(lines[-1]) + 1
    return "\n".join([*lines, f"Step {len(lines) + 1}: This settles it. The answer is \\boxed{{{answer}}}"])


def hashed_score(text: str) -> float:
    """A number in [0, 1) that depends on nothing but the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def logit(score: float) -> float:
    """Log odds of a score, kept finite at 0 and 1."""
    bounded = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(bounded / (1 - bounded))


def error_body(kind: str, message: str | None = None) -> Json:
    """The error object of OpenAI for one of `ERRORS`."""
    default, type_, code = ERRORS[kind]
    return {"error": {"message": message or default, "type": type_, "param": None, "code": code}}


def retry_after(argument: str | None) -> dict[str, str]:
    """The header: seconds as they are, `date:SECONDS` as an HTTP date, nothing for None and `none`."""
    if argument is None or argument == "none":
        return {}
    if argument.startswith("date:"):
        return {"Retry-After": formatdate(time.time() + float(argument[5:]), usegmt=True)}
    return {"Retry-After": argument}


class BadRequest(Exception):
    """A request that no model server would take; the message goes back with status 400 or 404."""

    def __init__(self, message: str, kind: str = "400") -> None:
        """Keep the kind, which names status and code."""
        super().__init__(message)
        self.kind = kind


class Server:
    """The server; `async with Server(...) as server` serves on the running loop, at `server.url`.

    Args:
        seed: of ids, answers, jitter and fault rates.
        port: 0 picks a free one.
        reply: in-process only, text of a choice from (body, running number), in place of the worked steps.
        score: in-process only, score in 0..1 of a text for the reward endpoints.
        behaviour: fields of `Behaviour`.
    """

    def __init__(
        self,
        seed: int = 0,
        port: int = 0,
        reply: Callable[[Json, int], str | None] | None = None,
        score: Callable[[str], float] | None = None,
        **behaviour: Any,
    ) -> None:
        """Set up without binding anything."""
        self.seed, self.port, self.reply, self.score = seed, port, reply, score
        self.behaviour = Behaviour().changed(**behaviour)
        self._runner: web.AppRunner | None = None
        self._held: list[asyncio.Event] = []
        self._rng, self._number = Random(f"{seed} text"), 0  # kept by a reset, or replies would come again
        self.reset()

    # Running

    async def __aenter__(self) -> Self:
        """Bind and serve."""
        self._runner = web.AppRunner(self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.2, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=4096).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; requests still open are cut off."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def root(self) -> str:
        """Address without `/v1`, for `/classify`, `/pooling` and the endpoints of the books."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return f"{self.root}/v1"

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._serve(self._chat))
        app.router.add_post("/v1/embeddings", self._serve(self._embeddings))
        for prefix in ("", "/v1"):
            app.router.add_post(f"{prefix}/classify", self._serve(self._classify))
            app.router.add_post(f"{prefix}/pooling", self._serve(self._pooling))
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/_count", self._get_count)
        app.router.add_get("/_log", self._get_log)
        app.router.add_get("/_wait", self._get_wait)
        app.router.add_post("/_set", self._post_set)
        app.router.add_post("/_reset", self._post_reset)
        app.router.add_post("/_release", self._post_release)
        return app

    # Behaviour and books

    def set(self, **changes: Any) -> None:
        """Change the behaviour for the requests to come; new faults start a new plan."""
        self.behaviour = self.behaviour.changed(**changes)
        if "faults" in changes:
            self._plan = deque(self.behaviour.faults if isinstance(self.behaviour.faults, list) else ())

    def reset(self) -> None:
        """Empty the books, start the fault plan again and let go what is held; the behaviour stays."""
        self.release()
        self._luck = Random(f"{self.seed} faults")
        self._plan = deque(self.behaviour.faults if isinstance(self.behaviour.faults, list) else ())
        self._storm_until = 0.0
        self._choices = 0
        self.log: list[Json] = []
        self._open: set[int] = set()  # ids of the records in flight, so that a reset is not undercut by old ones
        self._max_in_flight = self._disconnected = 0
        self._statuses: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._by_model: dict[str, Counter[str]] = {}

    def release(self, n: int | None = None) -> int:
        """Let the first n held replies go, all by default; returns how many went."""
        going = self._held if n is None else self._held[:n]
        for gate in going:
            gate.set()
        self._held = self._held[len(going) :]
        return len(going)

    def count(self) -> Json:
        """Requests received, answered (sent whole, whatever the status), in flight and held, and by what."""
        return {
            "received": len(self.log),
            "answered": self._statuses.total(),
            "in_flight": len(self._open),
            "max_in_flight": self._max_in_flight,
            "held": len(self._held),
            "disconnected": self._disconnected,
            "choices": self._choices,
            "by_status": dict(self._statuses),
            "by_fault": dict(self._faults),
            "by_model": {model: dict(counts) for model, counts in self._by_model.items()},
        }

    async def _get_count(self, _: web.Request) -> web.Response:
        return web.json_response(self.count())

    async def _get_log(self, _: web.Request) -> web.Response:
        return web.json_response(self.log)

    async def _get_wait(self, request: web.Request) -> web.Response:
        """Answer once a number of `count` is reached: `?received=3`, `?held=1`; 504 after `timeout` (10 s)."""
        goals = {name: int(value) for name, value in request.query.items() if name != "timeout"}
        end = time.monotonic() + float(request.query.get("timeout", 10))
        while any((now := self.count())[name] < goal for name, goal in goals.items()):
            if time.monotonic() > end:
                return web.json_response(now, status=504)
            await asyncio.sleep(0.002)
        return web.json_response(now if goals else self.count())

    async def _post_set(self, request: web.Request) -> web.Response:
        try:
            self.set(**await request.json())
        except (ValueError, TypeError, KeyError) as error:
            return web.json_response(error_body("400", str(error)), status=400)
        return web.json_response(asdict(self.behaviour) | {"key": None})

    async def _post_reset(self, _: web.Request) -> web.Response:
        self.reset()
        return web.json_response(self.count())

    async def _post_release(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        return web.json_response({"released": self.release(body.get("n"))})

    async def _models(self, request: web.Request) -> web.Response:
        if not self._allowed(request):
            return web.json_response(error_body("401"), status=401)
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "test"} for name in self.behaviour.models]
        return web.json_response({"object": "list", "data": data})

    # One request, from arrival to the last byte

    def _serve(self, answer: Callable[["Exchange", Json], Awaitable[None]]) -> Callable[..., Awaitable[Any]]:
        """Wrap an endpoint: keep the books, refuse what is to be refused, draw the fault, then answer."""

        async def handle(request: web.Request) -> web.StreamResponse:
            exchange = Exchange(self, request)
            try:
                body = exchange.read(await request.read())
                if not await exchange.refuse(body):
                    await answer(exchange, body)
            except BadRequest as error:
                await exchange.send(error_body(error.kind, str(error)), status=int(error.kind))
            except (asyncio.CancelledError, ConnectionError):
                exchange.record["disconnected"] = True
                self._disconnected += 1
                raise
            finally:
                self._open.discard(id(exchange.record))
            return exchange.response or web.Response(status=500)

        return handle

    def _allowed(self, request: web.Request) -> bool:
        key = self.behaviour.key
        return key is None or request.headers.get("Authorization") == f"Bearer {key}"

    def _draw(self, path: str) -> str:
        """The fault of the next request: the next of the list, or one drawn by the rates."""
        if self.behaviour.fault_path not in path:
            return "ok"
        if isinstance(self.behaviour.faults, list):
            return self._plan.popleft() if self._plan else "ok"
        kinds, rates = list(self.behaviour.faults), list(self.behaviour.faults.values())
        return self._luck.choices([*kinds, "ok"], [*rates, 1 - sum(rates)])[0] if kinds else "ok"

    # Chat

    async def _chat(self, exchange: "Exchange", body: Json) -> None:
        prompt = self._checked_prompt(body)
        replies = [exchange.spoilt(self._shortened(body, self._reply(body, i))) for i in range(self._n(body))]
        usage = {"prompt_tokens": tokens(prompt), "completion_tokens": sum(tokens(r.text or "") for r in replies)}
        usage["total_tokens"] = sum(usage.values())
        id_ = f"chatcmpl-{self._rng.getrandbits(96):024x}"
        frame = {"id": id_, "created": int(time.time()), "model": body["model"]}
        await exchange.wait()
        if body.get("stream"):
            with_usage = (body.get("stream_options") or {}).get("include_usage")
            await exchange.stream(chunks(frame, replies, usage if with_usage else None))
            return
        choices = [
            {
                "index": i,
                "message": {"role": "assistant", "content": reply.text, "refusal": reply.refusal},
                "logprobs": self._logprobs() if body.get("top_logprobs") else None,
                "finish_reason": reply.finish_reason,
            }
            for i, reply in enumerate(replies)
        ]
        if exchange.kind == "no_choices":
            choices = []
        await exchange.send({**frame, "object": "chat.completion", "choices": choices, "usage": usage})

    def _logprobs(self) -> Json | None:
        tokens = [{"token": token, "logprob": value, "bytes": None} for token, value in self.behaviour.likely.items()]
        return {"content": [{**tokens[0], "top_logprobs": tokens}]} if tokens else None

    def _checked_prompt(self, body: Json) -> str:
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            raise BadRequest("'messages' must be a non-empty list")
        prompt = text_of(body)
        limit = self.behaviour.context_length
        if limit is not None and tokens(prompt) > limit:
            raise BadRequest(f"This model's maximum context length is {limit} tokens; you sent {tokens(prompt)}.")
        return prompt

    def _n(self, body: Json) -> int:
        n = body.get("n") or 1
        if not isinstance(n, int) or not 1 <= n <= 1024:
            raise BadRequest(f"'n' must be in 1..1024, not {n!r}")
        return 1 if self.behaviour.ignore_n else n

    def _reply(self, body: Json, choice: int) -> str | None:
        """Text of one choice, never the same twice unless `deterministic`."""
        self._number += 1
        self._choices += 1
        if self.reply is not None:
            return self.reply(body, self._number)
        rng, number = self._rng, self._number
        if self.behaviour.deterministic:
            rng = Random(f"{self.seed} {choice} {digest({k: v for k, v in body.items() if k not in ('stream', 'n')})}")
            number = rng.randrange(10**6)
        tag, answers = f"{rng.getrandbits(48):012x}", self.behaviour.answers
        answer = rng.choices(answers, [max(len(answers) - 1, 1), *[1] * (len(answers) - 1)])[0]
        last = text_of({"messages": body["messages"][-1:]})
        for sign, template in self.behaviour.rules:
            if sign in last:
                values = {"number": number, "id": tag, "answer": answer, "score": round(rng.random(), 2)}
                for name, value in values.items():
                    template = template.replace(f"{{{name}}}", str(value))
                return template
        head = f"This is reply {number} ({tag}); I go through it in order."
        return worked_steps(rng, head, answer, rng.randint(*self.behaviour.length))

    def _shortened(self, body: Json, text: str | None) -> Reply:
        """The reply within `max_tokens`, with the finish reason that says so."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        if text is None or limit is None or tokens(text) <= limit:
            return Reply(text)
        return Reply(text[: 4 * limit], "length")

    # Embeddings

    async def _embeddings(self, exchange: "Exchange", body: Json) -> None:
        """A vector per text, made of its hash; base64 of 32-bit floats where the request wants that."""
        texts = self._inputs(body)
        size, form = body.get("dimensions") or self.behaviour.dimensions, self.behaviour.embedding_form
        data = []
        for index, text in enumerate(texts):
            length = size + (1 if form == "uneven" and index else 0)
            vector: Any = [hashed_score(f"{text} {i}") * 2 - 1 for i in range(length)]
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack(f"<{length}f", *vector)).decode()
            data.append({"object": "embedding", "index": 0 if form == "twice" else index, "embedding": None if form == "null" else vector})
        data = data[::-1] if form == "backwards" else data[:-1] if form == "fewer" else data
        used = sum(tokens(text) for text in texts)
        await exchange.wait()
        usage = {"prompt_tokens": used, "total_tokens": used}
        await exchange.send({"object": "list", "data": data, "model": body["model"], "usage": usage})

    # Rewards

    def _scored(self, text: str) -> float:
        if self.score is not None:
            return self.score(text)
        return next((score for sign, score in self.behaviour.scores if sign in text), hashed_score(text))

    def _inputs(self, body: Json) -> list[str]:
        """Texts of a request for rewards or embeddings, from `input` (one or a list) or `messages`."""
        if "messages" in body:
            return [self._checked_prompt(body)]
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            raise BadRequest("'input' must be a non-empty text or a list of them, or give 'messages'")
        return texts

    async def _classify(self, exchange: "Exchange", body: Json) -> None:
        active = body.get("use_activation", self.behaviour.activation) is not False

        def item(index: int, text: str) -> Json:
            score = self._scored(text)
            probs = [1 - score, score] if self.behaviour.classes == 2 else [score]
            label = f"LABEL_{probs.index(max(probs))}"
            values = probs if active else [logit(p) for p in probs]
            return {"index": index, "label": label, "probs": values, "num_classes": len(probs)}

        await self._send_scores(exchange, body, "classify", item)

    async def _pooling(self, exchange: "Exchange", body: Json) -> None:
        process = any(sign in body["model"].lower() for sign in self.behaviour.process_models)
        rows = self._process_rows if process else self._outcome_rows
        active = body.get("use_activation", self.behaviour.activation)

        def item(index: int, text: str) -> Json:
            return {"index": index, "object": "pooling", "data": rows(text, process if active is None else active)}

        await self._send_scores(exchange, body, "pool", item)

    def _outcome_rows(self, text: str, active: bool) -> list[Any]:
        score = self._scored(text)
        value = score if active else logit(score)
        if self.behaviour.outcome_shape == "token":  # a row per token; the last one is the reward
            return [[0.5 if active else 0.0] for _ in range(tokens(text) - 1)] + [[value]]
        return [[value]] if self.behaviour.outcome_shape == "nested" else [value]

    def _process_rows(self, text: str, active: bool) -> list[list[float]]:
        """A row per step tag, each scored by all the text up to it; no tag, no row."""
        for tag in self.behaviour.step_tags:
            text = text.replace(tag, "\0")
        parts = text.split("\0")[:-1]
        rows = []
        for step in range(len(parts)):
            good = self._scored(parts[step] if self.behaviour.scores else "\n".join(parts[: step + 1]))
            row = [1 - good, good] if self.behaviour.good_index == 1 else [good, 1 - good]
            rows.append(row if active else [logit(p) for p in row])
        return rows

    async def _send_scores(self, exchange: "Exchange", body: Json, id_: str, item: Callable[[int, str], Json]) -> None:
        texts = self._inputs(body)
        data = [item(index, text) for index, text in enumerate(texts)]
        used = sum(tokens(text) for text in texts)
        usage = {"prompt_tokens": used, "total_tokens": used, "completion_tokens": 0, "prompt_tokens_details": None}
        frame = {"id": f"{id_}-{self._rng.getrandbits(128):032x}", "object": "list", "created": int(time.time())}
        await exchange.wait()
        await exchange.send({**frame, "model": body["model"], "data": data, "usage": usage})


class Exchange:
    """One request and its reply: the record in the log, the fault drawn for it, and how bytes go out."""

    def __init__(self, server: Server, request: web.Request) -> None:
        """Enter the arrival in the books."""
        self.server, self.request = server, request
        self.behaviour = server.behaviour  # as it was on arrival
        self.kind, self.argument = "ok", ""
        self.response: web.StreamResponse | None = None
        self.record: Json = {
            "index": len(server.log),
            "arrived": time.time(),
            "path": request.path,
            "model": None,
            "digest": None,
            "fault": "ok",
            "status": None,
            "answered": None,
            "disconnected": False,
        }
        server.log.append(self.record)
        server._open.add(id(self.record))
        server._max_in_flight = max(server._max_in_flight, len(server._open))

    def read(self, raw: bytes) -> Json:
        """The body, and what of it goes into the log."""
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise BadRequest(f"the body is no JSON: {error}") from error
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise BadRequest("'model' must be a text")
        self.record |= {"model": body["model"], "digest": digest(body.get("messages", body.get("input")))}
        if self.behaviour.record_bodies:
            self.record["body"] = body
        self._counts()["received"] += 1
        return body

    def _counts(self) -> Counter[str]:
        return self.server._by_model.setdefault(self.record["model"], Counter())

    async def refuse(self, body: Json) -> bool:
        """Answer at once what never reaches the model: no key, no such model, a limit, a storm, a fault drawn."""
        server, behaviour = self.server, self.behaviour
        if not server._allowed(self.request):
            await self.fail("401")
        elif behaviour.strict_models and body["model"] not in behaviour.models:
            raise BadRequest(f"The model {body['model']!r} does not exist.", "404")
        elif time.monotonic() < server._storm_until or len(server._open) > (behaviour.concurrency or math.inf):
            await self.fail("429")
        else:
            self.record["fault"] = server._draw(self.request.path)
            self.kind, _, self.argument = self.record["fault"].partition(":")
            server._faults[self.kind] += 1
            return await self._misbehave()
        return True

    async def _misbehave(self) -> bool:
        """Do the faults that need no reply of the model; False leaves the rest to `send`."""
        if self.kind in ERRORS:
            await self.fail(self.kind, self.argument)
        elif self.kind == "storm":
            self.server._storm_until = time.monotonic() + float(self.argument or 1)
            await self.fail("429")
        elif self.kind == "drop":
            self._abort()
        elif self.kind == "html":
            await self._put(200, b"<html><body>Service temporarily unavailable</body></html>", "text/html")
        elif self.kind == "error_body":
            await self.send(error_body("500"))
        else:
            return False
        return True

    async def fail(self, kind: str, argument: str = "") -> None:
        """An error object with its status, and `Retry-After` where it belongs."""
        wanted = argument or (self.behaviour.retry_after if kind in DEFAULT_RETRY else None)
        await self._put(int(kind), json.dumps(error_body(kind)).encode(), headers=retry_after(wanted))

    def spoilt(self, reply: Reply) -> Reply:
        """The choice as the fault wants it."""
        text = reply.text or ""
        return {
            "empty": Reply(""),
            "null": Reply(None),
            "refusal": Reply(None, refusal="I cannot help with that."),
            "content_filter": Reply("", "content_filter"),
            "truncated": Reply(text[: len(text) // 2], "length"),
        }.get(self.kind, reply)

    async def wait(self) -> None:
        """The latency of the model, or for ever, or until `/_release`."""
        if self.kind in ("slow", "timeout"):
            await asyncio.sleep(float(self.argument) if self.argument else math.inf)
        delay = self.behaviour.delay_s
        if self.behaviour.jitter_s:
            delay += self.server._luck.uniform(0, self.behaviour.jitter_s)
        if delay:
            await asyncio.sleep(delay)
        if self.kind == "hold" or self.behaviour.hold:
            await self._held()

    async def _held(self) -> None:
        """Wait for `/_release`."""
        gate = asyncio.Event()
        self.server._held.append(gate)
        try:
            await gate.wait()
        finally:
            if gate in self.server._held:  # the client went away first
                self.server._held.remove(gate)

    async def send(self, payload: Json, status: int = 200) -> None:
        """A JSON reply, whole, malformed or cut off in the middle."""
        raw = json.dumps(payload).encode()
        if self.kind == "cut" and status == 200:
            await self._cut(raw)
        else:
            await self._put(status, raw[: len(raw) // 2] if self.kind == "malformed" and status == 200 else raw)

    async def stream(self, events: Iterator[Json]) -> None:
        """Server-sent events; a cut or malformed one comes after the first two."""
        self.response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await self.response.prepare(self.request)
        listed = list(events)
        last = max((i for i, event in enumerate(listed) if event["choices"] and event["choices"][0]["delta"].get("content")), default=-1)
        for number, event in enumerate(listed):
            if number == 2 and self.kind == "cut":
                self._abort()
                return
            if number == last and self.behaviour.hold_last:
                await self._held()
            line = json.dumps(event)
            broken = number == 2 and self.kind == "malformed"
            await self.response.write(f"data: {line[: len(line) // 2] if broken else line}\n\n".encode())
            if self.behaviour.chunk_delay_s:
                await asyncio.sleep(self.behaviour.chunk_delay_s)
        with self._killing(200):
            await self.response.write_eof(b"data: [DONE]\n\n")
        self._close_books(200)

    async def _put(self, status: int, raw: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None) -> None:
        """Write a reply to its last byte here, so that the books say when it was really out."""
        self.response = response = web.Response(status=status, body=raw, content_type=content_type, headers=headers)
        with self._killing(status):
            await response.prepare(self.request)
            await response.write_eof()
        self._close_books(status)

    async def _cut(self, raw: bytes) -> None:
        """Announce the whole length, send half of it and hang up."""
        headers = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
        self.response = web.StreamResponse(headers=headers)
        await self.response.prepare(self.request)
        await self.response.write(raw[: len(raw) // 2])
        self._abort()

    def _abort(self) -> None:
        """Hang up; what is already written still goes out."""
        if self.request.transport is not None:
            self.request.transport.close()

    @contextmanager
    def _killing(self, status: int) -> Iterator[None]:
        """Around the reply that `kill` names: stop the client, let the bytes reach its socket, then kill it."""
        kill = self.server.behaviour.kill
        if kill is None or status != 200 or self.server._statuses["200"] + 1 < kill["answered"]:
            yield
            return
        self.server.set(kill=None)
        with suppress(ProcessLookupError):
            os.kill(kill["pid"], signal.SIGSTOP)
        time.sleep(0.005)  # a thread on another core takes a moment to stop
        yield
        self.record["killed"] = True
        with suppress(ProcessLookupError):
            os.kill(kill["pid"], signal.SIGKILL)

    def _close_books(self, status: int) -> None:
        self.record |= {"status": status, "answered": time.time()}
        if id(self.record) not in self.server._open:  # the books were emptied meanwhile
            return
        self.server._statuses[str(status)] += 1
        if self.record["model"] is not None:
            self._counts()["answered"] += 1


def chunks(frame: Json, replies: list[Reply], usage: Json | None) -> Iterator[Json]:
    """The events of a stream: role, pieces of 40 characters, finish reason, and usage if asked for."""
    frame = {**frame, "object": "chat.completion.chunk"}

    def event(index: int, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**frame, "choices": [choice], "usage": None}

    for index, reply in enumerate(replies):
        yield event(index, {"role": "assistant", "content": ""})
        text = reply.text or ""
        for start in range(0, len(text), 40):
            yield event(index, {"content": text[start : start + 40]})
        if reply.refusal is not None:
            yield event(index, {"refusal": reply.refusal})
        yield event(index, {}, reply.finish_reason)
    if usage is not None:
        yield {**frame, "choices": [], "usage": usage}


class Spawned(NamedTuple):
    """A server in a process of its own."""

    url: str
    root: str
    pid: int


@contextmanager
def spawned(seed: int = 0, port: int = 0, **behaviour: Any) -> Iterator[Spawned]:
    """Run the server in a process of its own for the length of a `with`; it also ends when this process does."""
    command = [sys.executable, __file__, "--seed", str(seed), "--port", str(port), "--with-parent"]
    with subprocess.Popen([*command, "--set", json.dumps(behaviour)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the test server did not start; its complaint is on stderr")
            url = json.loads(line)["url"]
            yield Spawned(url, url.removesuffix("/v1"), process.pid)
        finally:
            process.terminate()


async def serve(server: Server, with_parent: bool) -> None:
    """Serve until SIGTERM or SIGINT, or until the parent is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parent = os.getppid()
    async with server:
        print(json.dumps({"port": server.port, "url": server.url}), flush=True)
        while not stop.is_set() and not (with_parent and os.getppid() != parent):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.5)


def main() -> None:
    """Command line of the server."""
    parser = argparse.ArgumentParser(description="OpenAI-compatible server for tests; see the docstring of the file")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--seed", type=int, default=0, help="of ids, answers, jitter and fault rates")
    parser.add_argument("--delay", type=float, help="seconds before each answer")
    parser.add_argument("--key", help="API key every request has to bring")
    parser.add_argument("--concurrency", type=int, help="429 above this many requests in flight")
    parser.add_argument("--faults", type=json.loads, help='rates {"429": 0.3} or a list ["500", "ok"], as JSON')
    parser.add_argument("--deterministic", action="store_true", default=None, help="equal requests, equal replies")
    parser.add_argument("--set", type=json.loads, default={}, help="any fields of Behaviour, as a JSON object")
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process ends")
    args = parser.parse_args()
    given = {"delay_s": args.delay, "key": args.key, "concurrency": args.concurrency, "faults": args.faults}
    given |= {"deterministic": args.deterministic}
    behaviour = args.set | {name: value for name, value in given.items() if value is not None}
    asyncio.run(serve(Server(seed=args.seed, port=args.port, **behaviour), args.with_parent))


if __name__ == "__main__":
    main()
