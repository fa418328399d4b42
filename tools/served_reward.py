"""Reward models served over HTTP by vLLM or alike: a role's model is `reward/URL`, with options in the URL's query.

    reward/http://127.0.0.1:8000?model=internlm2-7b-reward                        outcome; also Qwen2.5-Math-RM
    reward/http://127.0.0.1:8000?model=skywork-reward&api=classify                outcome, a sequence classifier
    reward/http://127.0.0.1:8001?model=Qwen2.5-Math-PRM-7B                        process
    reward/http://127.0.0.1:8001?model=math-shepherd&form=text&tag=ки&good=0      process
    reward/local/skywork-reward?api=classify                                      a model of the pool, started when it is wanted

Options; what they hold must be percent-encoded where a URL demands it, as `%26` for `&`:

- `model`: the name under which the server offers it; needed, unless the pool serves it.
- `api`: `pooling` (default; reply `data`) or `classify` (reply `probs`, outcome only).
- `form`: `chat` (default), the question as user and the solution as assistant through the model's chat template, each step followed at once
  by the tag, as Qwen2.5-Math-PRM was trained; or `text`, question, a space and the solution, a space before each tag and a line end behind
  it, as Math-Shepherd was trained.
- `tag`: the text that ends a step and at which the model scores it; default `<extra_0>`, that of Qwen2.5-Math-PRM. Where a step or the
  question holds the tag itself, it is taken out, or the scores would shift.
- `good`: the column, 0 or 1, of the good class where there are two; default 1. Math-Shepherd served with the token ids of "+" and "-", in
  this order, has it in column 0.
- `activation`, of an outcome: `sigmoid` asks for logits and applies the sigmoid here, once; `none` takes what is served, which must lie in
  0..1. Default: `sigmoid` with `pooling`, `none` with `classify`, where the server's own is on.

Sources: MAgICoRe (arXiv 2409.12147), whose outcome score is the sigmoid of the scalar reward, and whose process score is the softmax of
good against bad at the tag; vLLM's pages on pooling models (reward, classify) for the replies and the routes, which have no `/v1`.

A key for the server comes from `SYMPOSIA_REWARD_KEY`. The address is no part of a request's digest: the same model served elsewhere is the
same model.
"""

import json
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from aiohttp import ClientError, ClientTimeout

from symposia.state.errors import (
    BadInput,
    EndpointDown,
    EngineFailed,
    MalformedReply,
    MissingKey,
    ModelError,
    ModelNotFound,
    RateLimited,
    RequestRejected,
    UnknownName,
    shorten,
)
from symposia.state.journal import Outcome, effect
from symposia.state.packing import text_of
from symposia.state.store import Usage
from symposia.tools.http import http
from symposia.tools.limits import limiter
from symposia.tools.pool.plan import of_pool
from symposia.tools.pool.residence import house
from symposia.tools.retry import retry_after, retrying
from symposia.tools.settings import of_model, settings

PREFIX = "reward/"
KEY = "SYMPOSIA_REWARD_KEY"

_EXAMPLE = "reward/http://127.0.0.1:8000?model=internlm2-7b-reward"
_CHOICES = {"api": ("pooling", "classify"), "form": ("chat", "text"), "good": ("0", "1"), "activation": ("sigmoid", "none")}
_TOO_LONG = re.compile(r"context.length|maximum model length|max_model_len", re.IGNORECASE)
_MALFORMED = 3
"""How often a request is sent that gets an unusable reply: more seldom than others, since a wrong shape is rarely luck."""

Message = dict[str, Any]


class TooLong(RequestRejected):
    """The text is longer than the model takes; it fails alone, other texts may fit."""


@dataclass(frozen=True)
class Served:
    """A served reward model, as its role's model names it."""

    address: str
    """Empty for a model of the pool."""
    model: str
    api: str = "pooling"
    form: str = "chat"
    tag: str = "<extra_0>"
    good: int = 1
    activation: str = "sigmoid"
    slots: str = field(default="", repr=False)
    """The whole name, by which its limiter is found."""


@lru_cache(maxsize=256)
def served(model: str) -> Served:
    """The served model that `reward/URL`, or `reward/local/NAME`, names.

    Raises:
        BadInput: No http(s) address, an address with a password, no `model`, an unknown option, or a value that it does not take.
    """
    local = of_pool(model)
    address, options = "" if local else _address(model), _options(model)
    if local:
        options.setdefault("model", local)
    for name, known in _CHOICES.items():
        if options.get(name, known[0]) not in known:
            given = shorten(options[name], 40)
            raise BadInput(f"{name}={given} in the reward model's address", remedy=f"{name} is {' or '.join(known)}")
    if not options.get("model") or not options.get("tag", "?").strip():
        raise BadInput("the reward model's address has no model, or an empty tag", remedy=f"write it as {_EXAMPLE}")
    usual = "none" if options.get("api") == "classify" else "sigmoid"
    texts = {"activation": usual, **{k: v for k, v in options.items() if k != "good"}}
    return Served(address=address, good=int(options.get("good", 1)), slots=model, **texts)


def _address(model: str) -> str:
    """The part before the query, without a `/v1`, where vLLM has no such routes."""
    try:
        url = urlsplit(model.removeprefix(PREFIX))
        bad = url.scheme not in ("http", "https") or not url.hostname or url.port == 0
    except ValueError:
        url, bad = SplitResult("", "", "", "", ""), True
    if "@" in url.netloc:
        raise BadInput("the reward model's address holds a name or password, and would be stored", remedy=f"set {KEY} instead")
    if bad:
        raise BadInput(f"'{shorten(model.partition('?')[0], 80)}' names no http address", remedy=f"write it as {_EXAMPLE}")
    if "#" in model:
        raise BadInput("the reward model's address has a '#'", remedy="write %23 for it")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/').removesuffix('/v1')}"


def _options(model: str) -> dict[str, str]:
    """The query, decoded; a plus sign is itself, as in names of models."""
    pairs = parse_qsl(urlsplit(model.removeprefix(PREFIX)).query.replace("+", "%2B"), keep_blank_values=True)
    known = ("model", "tag", *_CHOICES)
    for name, _ in pairs:
        if name not in known:
            raise UnknownName.of("option of a reward model", name, known, remedy=f"they are {', '.join(known)}")
    if len(dict(pairs)) < len(pairs):
        raise BadInput("the reward model's address gives an option twice", remedy="keep one")
    return dict(pairs)


async def outcome(model: str, question: str, chain: str) -> float | None:
    """How likely a solution is right, in 0..1; None when the server failed or its reply cannot be read.

    Raises:
        BadInput: `model` is no `reward/URL`.
        ModelError: Every text would fail alike: the key, the model's name or the request's form is refused.
    """
    target = served(model)
    request = {"activation": target.activation, "messages": _messages(question, [chain])}
    value: float | None = await _scored("outcome", target, request, lambda reply: _outcome(target, reply))
    return value


async def process(model: str, question: str, steps: Sequence[str]) -> list[float] | None:
    """How likely each step is right, in 0..1, a number per step; None when the server failed or its reply cannot be read.

    Raises:
        BadInput: `model` is no `reward/URL`, or its `api` scores no steps.
        ModelError: Every text would fail alike: the key, the model's name or the request's form is refused.
    """
    target = served(model)
    if target.api == "classify":
        raise BadInput("/classify gives one score per text and none per step", remedy="use a process reward model with api=pooling")
    if not steps:
        return []
    mark = target.tag if target.form == "chat" else f" {target.tag}\n"
    own = _standing(target.tag)
    parts = [part for step in steps for part in (own.sub("", step), mark)]
    request = {"messages": _messages(own.sub("", question), parts)}
    value: list[float] | None = await _scored("process", target, request, lambda reply: _process(target, reply, len(steps)))
    return value


def _standing(tag: str) -> re.Pattern[str]:
    """The tag where a tokenizer would see it: one made of letters only as a word of its own, so that words around it stay whole."""
    start, end = (r"\b" if re.match(r"\w", sign) else "" for sign in (tag[0], tag[-1]))
    return re.compile(start + re.escape(tag) + end)


def _messages(question: str, parts: list[str]) -> list[Message]:
    return [{"role": "user", "content": [question]}, {"role": "assistant", "content": parts}]


def price(model: str) -> float | None:
    """USD per token of a served reward model, by the name under which its server offers it; None when no setting says."""
    known = of_model(settings().prices, PREFIX + model)
    return None if known is None else known[0] / 1e6


async def _scored(role: str, target: Served, request: dict[str, Any], read: Callable[[Any], Any]) -> Any:
    """The score or scores as an effect; None when they cannot be had for this text."""
    asked = {"model": target.model, "api": target.api, "form": target.form, "good": target.good, **request}
    body = {"model": target.model, **_input(target, asked["messages"])}
    if asked.get("activation") == "sigmoid":
        body["use_activation"] = False
    slots = limiter(target.slots)

    async def perform() -> Outcome:
        usage = Usage(role=role, model=PREFIX + target.model)
        estimate = slots.rates.estimate(asked["messages"], 0) if slots.rates else 0.0
        value, tokens = await retrying(lambda: _once(target, body, read), usage, slots, malformed=_MALFORMED, tokens=estimate)
        usage.calls, usage.prompt_tokens = 1, tokens
        cost = price(target.model)
        usage.usd = None if cost is None else tokens * cost
        if slots.rates:
            slots.rates.used(estimate, tokens, 0)
        return Outcome(value, usage)

    try:
        return await effect("reward", asked, perform, hold=slots)
    except TooLong:
        return None
    except (EngineFailed, MissingKey, ModelNotFound, RequestRejected):
        raise
    except ModelError:
        return None


def _input(target: Served, messages: list[Message]) -> dict[str, Any]:
    """The texts as they are sent."""
    joined = [{**m, "content": text_of(m["content"])} for m in messages]
    return {"messages": joined} if target.form == "chat" else {"input": " ".join(m["content"] for m in joined)}


async def _once(target: Served, body: dict[str, Any], read: Callable[[Any], Any]) -> tuple[Any, int]:
    """One request: what `read` makes of its reply, and its tokens; every failure is a `ModelError`."""
    if local := of_pool(target.slots):
        async with house(local) as here:
            at = replace(target, address=here["api_base"].removesuffix("/v1"))
            name = here["model"].partition("/")[2]
            return await _posted(at, {**body, "model": name}, here["api_key"], read)
    return await _posted(target, body, os.environ.get(KEY, "").strip(), read)


async def _posted(target: Served, body: dict[str, Any], key: str, read: Callable[[Any], Any]) -> tuple[Any, int]:
    options: dict[str, Any] = {"json": body, "allow_redirects": False, "timeout": ClientTimeout(total=settings().timeout)}
    options |= {"headers": {"Authorization": f"Bearer {key}"}} if key else {}
    try:
        session = await http()
        async with session.post(f"{target.address}/{target.api}", **options) as response:
            status, pause, raw = response.status, response.headers.get("Retry-After"), await response.read()
    except TimeoutError as error:
        raise EndpointDown(f"{_at(target)} did not answer within {settings().timeout:g} s", remedy="raise --timeout") from error
    except (ClientError, OSError, ValueError) as error:
        text = shorten(_without(f"{type(error).__name__}: {error}", key))
        raise EndpointDown(f"{_at(target)} cannot be reached or hung up: {text}", remedy="start it; then resume the run") from error
    if status != 200:
        raise _refused(target, status, _without(raw.decode("utf-8", "replace"), key), pause)
    try:
        reply = json.loads(raw)
        return read(reply), _tokens(reply)
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        text = shorten(_without(f"{error}; it begins with '{raw[:80].decode('utf-8', 'replace')}'", key))
        raise MalformedReply(f"{_at(target)} answered no scores: {text}", remedy="see whether it serves this kind of model") from error


def _at(target: Served) -> str:
    return f"reward model {target.model} at {target.address}/{target.api}"


def _without(text: str, key: str) -> str:
    """A message without the key, should a server echo it."""
    return text.replace(key, "[key]") if key else text


def _refused(target: Served, status: int, text: str, pause: str | None) -> ModelError:
    """The failure that a status other than 200 stands for, with the knob that helps."""
    said = f"{_at(target)} says {status}: {shorten(text)}"
    if status in (401, 403):
        return MissingKey(said, remedy=f"set {KEY} to a key that the server accepts")
    if status == 404:
        return ModelNotFound(said, remedy="correct the address or its ?model=; vLLM serves reward models with --runner pooling")
    if status == 429:
        error: ModelError = RateLimited(said, remedy="lower --concurrency, or resume later")
    elif status >= 500 or status == 408:
        error = EndpointDown(said, remedy="see to the server, then resume the run")
    elif _TOO_LONG.search(text):
        return TooLong(said, remedy="serve the model with a longer context")
    else:
        return RequestRejected(said, remedy="correct the options of the reward model's address: api, form, tag, activation")
    error.pause = retry_after(pause)
    return error


def _outcome(target: Served, reply: Any) -> float:
    """The reward of a reply: `[s]`, `[[s]]`, or a row per token, of which the last counts."""
    data = _item(target, reply)
    if target.api == "pooling" and isinstance(data[-1], list):
        data = data[-1]
    return _unit(_numbers(data), target.good, logits=target.activation == "sigmoid")


def _process(target: Served, reply: Any, n: int) -> list[float]:
    """A score per step; rows that are no probabilities are logits."""
    rows = [_numbers(row if isinstance(row, list) else [row]) for row in _item(target, reply)]
    if len(rows) != n:
        raise ValueError(f"{len(rows)} rows for {n} steps, see the server's step tag")
    logits = not all(_probable(row) for row in rows)
    return [_unit(row, target.good, logits=logits) for row in rows]


def _item(target: Served, reply: Any) -> list[Any]:
    """The scores of the one text that was sent."""
    items = reply["data"]
    found = items[0]["probs" if target.api == "classify" else "data"]
    if len(items) != 1 or not isinstance(found, list):
        raise ValueError(f"{len(items)} results for one text, or no list of scores")
    return found


def _numbers(row: list[Any]) -> list[float]:
    if not row or any(isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in row):
        raise ValueError("a row of scores holds something else than finite numbers")
    return [float(x) for x in row]


def _probable(row: list[float]) -> bool:
    """Whether a row holds a probability, or those of both classes; half precision is off by some thousandths."""
    inside = all(-0.001 <= x <= 1.001 for x in row)
    return inside and (len(row) == 1 or abs(sum(row) - 1.0) <= 0.02)


def _unit(row: list[float], good: int, *, logits: bool) -> float:
    """The probability of the good class in 0..1, from one number or from both columns."""
    if len(row) > 2 or not (logits or _probable(row)):
        raise ValueError(f"{len(row)} classes, or values that are no probabilities, such as {row[0]:.4g}")
    value = row[good] if len(row) == 2 else row[0]
    if logits:
        return _sigmoid(value - row[1 - good] if len(row) == 2 else value)
    return min(max(value, 0.0), 1.0)


def _sigmoid(x: float) -> float:
    """The logistic function, without overflow; of the difference of two logits it is their softmax."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def _tokens(reply: dict[str, Any]) -> int:
    used = reply.get("usage") or {}
    return int(used.get("prompt_tokens") or 0)
