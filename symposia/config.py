"""Settings from `symposia.toml` and `SYMPOSIA_*` variables: the command line wins over a variable, a variable over the file."""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symposia.state.errors import BadInput, nearest

STORE = ".symposia/store.db"
_KNOWN = ("model", "store", "api_base", "timeout", "attempts", "max_wait", "concurrency", "roles", "prompts", "params")
_NUMBERS = {"timeout": float, "attempts": int, "max_wait": float, "concurrency": int}


@dataclass
class Config:
    """What applies when a command says nothing else."""

    model: str | None = None
    store: str = STORE
    roles: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Parameters by method, from `[params.METHOD]`."""
    process: dict[str, Any] = field(default_factory=dict)
    """Changes to `symposia.tools.settings`."""


def load_config(path: Path = Path("symposia.toml")) -> Config:
    """Read the file, if there is one, and the environment.

    Raises:
        BadInput: The file is no TOML or names an unknown setting; a number is none.
    """
    found = _file(path)
    for name in ("model", "store", "api_base", "api_key", *_NUMBERS):
        value = os.environ.get(f"SYMPOSIA_{name.upper()}")
        if value:
            found[name] = value
    process: dict[str, Any] = {k: found[k] for k in ("api_base", "api_key") if found.get(k)}
    for name, kind in _NUMBERS.items():
        if name in found:
            process[name] = _number(name, found[name], kind)
    return Config(
        model=found.get("model"),
        store=str(found.get("store", STORE)),
        roles=dict(found.get("roles", {})),
        prompts={role: prompt_text(value, path.parent) for role, value in found.get("prompts", {}).items()},
        params=dict(found.get("params", {})),
        process=process,
    )


def prompt_text(value: str, folder: Path = Path()) -> str:
    """A prompt: the text itself, or after `@` the name of a file that holds it.

    Raises:
        BadInput: The file cannot be read.
    """
    if not value.startswith("@"):
        return value
    path = folder / value[1:]
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"prompt file {path} cannot be read: {error}", remedy="name a text file: --prompt reviewer=@review.txt") from None


def _file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path}: {error}", remedy="correct the file, or remove it") from None
    if "api_key" in found:
        raise BadInput(f"{path} holds an api_key", remedy="keep keys out of files: set SYMPOSIA_API_KEY")
    for name in found:
        if name not in _KNOWN:
            near = nearest(name, _KNOWN, 1)
            raise BadInput(
                f"{path}: unknown setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(_KNOWN)}")
            )
    return found


def _number(name: str, value: Any, kind: type) -> Any:
    try:
        number = kind(value)
    except (TypeError, ValueError):
        raise BadInput(
            f"{name} is {value!r}, which is no number", remedy=f"set SYMPOSIA_{name.upper()} or {name} in symposia.toml"
        ) from None
    if number <= 0:
        raise BadInput(f"{name} is {value}, which must be above 0")
    return number
