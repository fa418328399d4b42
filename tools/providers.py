"""LiteLLM, imported on first use and tuned; and the toy models as one of its providers.

The import costs 2 to 3 s and would ask the network for prices, so it happens once, here, with the price map that comes with the package.
"""

import asyncio
import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from symposia.state.errors import SymposiaError
from symposia.tools import compatible
from symposia.tools.pool.plan import LOCAL
from symposia.tools.settings import of_model, settings

_loading: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
_OPEN_ADDRESSES = ("openai/", "hosted_vllm/", "text-completion-openai/", "litellm_proxy/")


@cache
def litellm() -> ModuleType:
    """The LiteLLM module, ready for use."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    for name in ("AIOHTTP_CONNECTOR_LIMIT", "AIOHTTP_CONNECTOR_LIMIT_PER_HOST"):
        os.environ.setdefault(name, "100000")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm as module
    warnings.filterwarnings("ignore", message="Item .* on TypedDict class")
    module.suppress_debug_info = True
    module.telemetry = False
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    module.custom_provider_map.append({"provider": "toy", "custom_handler": _toys(module)})
    module.custom_provider_map.append({"provider": compatible.NAME, "custom_handler": compatible.provider(module)})
    module.utils.custom_llm_setup()  # type: ignore[no-untyped-call]
    return module


async def loaded() -> None:
    """LiteLLM, imported in a thread: for the seconds it takes, an event loop that serves others must not stand still."""
    if not litellm.cache_info().currsize:
        async with _loading.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            await asyncio.to_thread(litellm)


_HEARERS = ("callbacks", "success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback")


@contextmanager
def unheard() -> Iterator[None]:
    """Spare LiteLLM the log record of each call when nobody has a callback to receive it: a quarter of its time."""
    module = litellm()
    inner = _inner_call()
    if inner is None or any(getattr(module, name, None) for name in _HEARERS):
        yield
        return
    token = inner.set(True)
    try:
        yield
    finally:
        inner.reset(token)


@cache
def _inner_call() -> ContextVar[bool] | None:
    """LiteLLM's own mark of calls within calls, which it does not log; None in a version that has none."""
    try:
        from litellm._internal_context import is_internal_call
    except ImportError:
        return None
    return is_internal_call


def _toys(module: ModuleType) -> Any:
    """The toy models as a LiteLLM provider, in this process."""
    from symposia.tools import toy

    class Toys(module.CustomLLM):  # type: ignore[misc, name-defined]
        def completion(self, *args: Any, **options: Any) -> Any:
            return asyncio.run(self.acompletion(*args, **options))

        async def acompletion(self, *args: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            params = options.get("optional_params") or {}
            reply = options["model_response"]
            messages = options["messages"]
            n = params.get("n") or 1
            seed = params.get("seed")
            if any(not isinstance(message["content"], str) for message in messages):
                raise module.BadRequestError("a toy model sees no images", model=options["model"], llm_provider="toy")
            try:
                texts = [await toy.areply(options["model"], messages, None if seed is None else seed + i) for i in range(n)]
                likely = toy.likely(messages) if params.get("top_logprobs") else None
            except ValueError as error:
                raise module.NotFoundError(str(error), model=options["model"], llm_provider="toy") from None
            except SymposiaError as error:  # a toy that runs code needs the sandbox
                raise module.BadRequestError(str(error), model=options["model"], llm_provider="toy") from None
            told = {} if likely is None else {"logprobs": _logprobs(likely)}
            reply.choices = [
                module.Choices(index=i, finish_reason="stop", message=module.Message(role="assistant", content=text), **told)
                for i, text in enumerate(texts)
            ]
            sent = sum(len(str(m["content"]).split()) for m in messages)
            back = sum(len(text.split()) for text in texts)
            reply.model = f"toy/{options['model']}"
            reply.usage = module.Usage(prompt_tokens=sent, completion_tokens=back, total_tokens=sent + back)
            return reply

    return Toys()


def _logprobs(likely: dict[str, float]) -> dict[str, Any]:
    """Probabilities by first token in the form of OpenAI's interface, the likeliest first; none of them is 0."""
    tokens = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in sorted(likely.items(), key=lambda item: -item[1])]
    return {"content": [{**tokens[0], "top_logprobs": tokens}]}


def route(model: str) -> dict[str, Any]:
    """What LiteLLM is told about a model: its full name, and for an OpenAI-compatible address that address and its key.

    Of a model of the pool only the name: where it is shows when its engine is there (`tools.pool.residence.house`).
    """
    if model.startswith(LOCAL):
        return {"model": model}
    base = settings().api_base
    open_address = model.startswith(_OPEN_ADDRESSES)
    if open_address or (base and not ("/" in model and model.split("/", 1)[0] in _providers())):
        name = model if open_address else f"{compatible.NAME}/{model}"
        key = {"api_key": settings().api_key} if settings().api_key else {}
        return {"model": name, **({"api_base": base} if base else {}), **key}
    return {"model": model}


def _providers() -> set[str]:
    """LiteLLM's providers, and those registered in this process."""
    module = litellm()
    return {*_own_providers(), *(str(p["provider"]) for p in module.custom_provider_map)}


@cache
def _own_providers() -> frozenset[str]:
    return frozenset(str(getattr(p, "value", p)) for p in litellm().provider_list)


def price(model: str) -> tuple[float, float] | None:
    """USD per prompt token and per completion token, as configured, else as LiteLLM knows them; None when there is no price."""
    known = _known_price(model)
    own = of_model(settings().prices, model)
    return (own[0] / 1e6, own[1] / 1e6) if own else known


@cache
def _known_price(model: str) -> tuple[float, float] | None:
    """LiteLLM's price; unknown names are registered, for speed."""
    module = litellm()
    if model.startswith(("toy/", LOCAL)):
        _register(model)
        return 0.0, 0.0
    for name in (model, model.split("/", 1)[-1]):
        known = module.model_cost.get(name)
        if known and known.get("input_cost_per_token") is not None:
            return float(known["input_cost_per_token"]), float(known.get("output_cost_per_token") or 0.0)
    _register(model)
    return None


def _register(model: str) -> None:
    """Tell LiteLLM a name, or it repeats a failing search for its price at every call."""
    provider = model.split("/", 1)[0]
    entry = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "litellm_provider": provider, "mode": "chat"}
    litellm().register_model({model: entry})


def takes_schema(model: str) -> bool:
    """Whether the provider of a model offers structured output."""
    try:
        return bool(litellm().supports_response_schema(model=model))
    except Exception:
        return False


def tells_tokens(model: str) -> bool:
    """Whether the provider of a model tells the probabilities of tokens."""
    try:
        return model.startswith(LOCAL) or "top_logprobs" in (litellm().get_supported_openai_params(model=model) or [])
    except Exception:
        return False
