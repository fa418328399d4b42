"""Settings of the process: addresses, limits, retries. They never enter a run's parameters, state or digests."""

import os
from dataclasses import dataclass, replace
from typing import Any


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

    def __repr__(self) -> str:
        """Without the key."""
        return f"Settings(api_base={self.api_base!r}, timeout={self.timeout}, attempts={self.attempts}, concurrency={self.concurrency})"


_settings = Settings(api_base=os.environ.get("SYMPOSIA_API_BASE"), api_key=os.environ.get("SYMPOSIA_API_KEY"))


def settings() -> Settings:
    """The settings in force."""
    return _settings


def configure(**changes: Any) -> Settings:
    """Change settings of this process; returns the former ones, for putting them back."""
    global _settings
    before = _settings
    _settings = replace(_settings, **changes)
    return before
