"""Settings of the process: addresses, limits, prices, retries. They never enter a run's parameters, state or digests."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from symposia.tools.pool.plan import PoolSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What a model may take; None where the setting for all models holds."""

    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None


@dataclass(frozen=True)
class Settings:
    """What may differ between two executions of the same run."""

    api_base: str | None = None
    """OpenAI-compatible address for models without a provider of their own."""
    api_key: str | None = None
    """Key for that address; providers' own keys come from their environment variables."""
    timeout: float = 600.0
    """Seconds until a request counts as lost."""
    attempts: int = 6
    """How often a request is sent at most, when the endpoint is busy or down."""
    max_wait: float = 60.0
    """Longest pause between two attempts, in seconds, also when the endpoint asks for more."""
    concurrency: int = 64
    """Requests in flight per model at most."""
    rpm: float | None = None
    """Requests per minute and model at most; None for any number."""
    tpm: float | None = None
    """Tokens per minute and model at most, prompt and completion; None for any number."""
    limits: Mapping[str, Limits] = field(default_factory=dict)
    """Limits of single models, by name with or without the provider; they go before those for all."""
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """USD per million prompt tokens and per million completion tokens, by name with or without the provider."""
    pool: PoolSettings = field(default_factory=PoolSettings)
    """How models named `local/...` are served on this machine."""
    unsafe_exec: bool = False
    """Whether code may run where nothing holds it (`tools/sandbox.py`)."""

    def __repr__(self) -> str:
        """Without the key."""
        return f"Settings(api_base={self.api_base!r}, timeout={self.timeout}, attempts={self.attempts}, concurrency={self.concurrency})"


_settings = Settings(
    api_base=os.environ.get("SYMPOSIA_API_BASE"),
    api_key=os.environ.get("SYMPOSIA_API_KEY"),
    unsafe_exec=os.environ.get("SYMPOSIA_UNSAFE_EXEC", "").lower() in ("1", "true", "yes", "on"),
)


def settings() -> Settings:
    """The settings in force."""
    return _settings


def configure(**changes: Any) -> Settings:
    """Change settings of this process; returns the former ones, for putting them back."""
    global _settings
    before = _settings
    _settings = replace(_settings, **changes)
    return before


def limits_of(model: str) -> Limits:
    """The limits of a model: its own, and for the rest those for all, so that `concurrency` is a number."""
    own = of_model(_settings.limits, model) or Limits()
    return Limits(own.concurrency or _settings.concurrency, own.rpm or _settings.rpm, own.tpm or _settings.tpm)


def of_model(values: Mapping[str, T], model: str) -> T | None:
    """What is set for a model under its name, else under its name without the provider."""
    return values.get(model, values.get(model.partition("/")[2]))
