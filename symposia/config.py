"""Settings from `symposia.toml` and `SYMPOSIA_*` variables: the command line wins over a variable, a variable over the file."""

import math
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symposia.pools import pool_settings
from symposia.state.errors import BadInput, UnknownName, nearest
from symposia.tools.settings import Limits

STORE = ".symposia/store.db"
_NUMBERS = {"timeout": float, "attempts": int, "max_wait": float, "concurrency": int, "rpm": float, "tpm": float}
_LIMITS = ("concurrency", "rpm", "tpm")
_PRICES = ("input", "output")
_TEXTS = ("model", "store", "api_base")
_TABLES = {"roles": 'solver = "gpt-4o-mini"', "prompts": 'reviewer = "@review.txt"', "params": "[params.magicore] with k = 8"}
"""What stands in each, for an error."""
_KNOWN = ("model", "store", "api_base", *_NUMBERS, "roles", "prompts", "params", "limits", "prices", "pool", "presets")


@dataclass
class Config:
    """What applies when a command says nothing else."""

    model: str | None = None
    store: str = STORE
    roles: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Parameters by method, from `[params.METHOD]`."""
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What `symposia serve` offers beside the methods: a method with its model and parameters under a name, from `[presets.NAME]`."""
    process: dict[str, Any] = field(default_factory=dict)
    """Changes to `symposia.tools.settings`."""


def load_config(path: Path = Path("symposia.toml")) -> Config:
    """Read the file, if there is one, and the environment.

    Raises:
        BadInput: The file is no TOML or names an unknown setting; a number is none, or not in its range.
    """
    found = _file(path)
    for name, example in _TABLES.items():
        _check_table(path, found, name, example)
    for name in (*_TEXTS, "api_key", *_NUMBERS):
        value = os.environ.get(f"SYMPOSIA_{name.upper()}")
        if value:
            found[name] = value
    process: dict[str, Any] = {k: found[k] for k in ("api_base", "api_key") if found.get(k)}
    for name, kind in _NUMBERS.items():
        if name in found:
            process[name] = _number(name, found[name], kind)
    process |= {name: kept for name, kept in (("limits", _limits(path, found)), ("prices", _prices(path, found))) if kept}
    if "pool" in found:
        process["pool"] = pool_settings(path, found["pool"])
    return Config(
        model=found.get("model"),
        store=found.get("store", STORE),
        roles=dict(found.get("roles", {})),
        prompts={role: prompt_text(value, path.parent) for role, value in found.get("prompts", {}).items()},
        params=dict(found.get("params", {})),
        presets=_presets(path, found),
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
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"prompt file {path} cannot be read: {error}", remedy="name a text file: --prompt reviewer=@review.txt") from None


def _file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
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
    for name in _TEXTS:
        if name in found and not (isinstance(found[name], str) and found[name]):
            raise BadInput(f"{path}: {name} is {found[name]!r}, no text", remedy=f'such as {name} = "..."')
    return found


def _check_table(path: Path, found: dict[str, Any], section: str, example: str) -> None:
    """`[roles]`, `[prompts]` and `[params]`: tables, of texts the second, of tables the third."""
    table = found.get(section, {})
    if not isinstance(table, dict):
        raise BadInput(f"{path}: {section} is no table", remedy=f"such as {example}")
    kind, what = {"prompts": (str, "text"), "params": (dict, "table")}.get(section, (object, ""))
    for name, value in table.items():
        if not isinstance(value, kind):
            raise BadInput(f"{path}: {section}.{name} is {value!r}, no {what}", remedy=f"such as {example}")


def _limits(path: Path, found: dict[str, Any]) -> dict[str, Limits]:
    """`[limits.MODEL]`: requests at once, and requests and tokens per minute."""
    example = '[limits."gpt-4o-mini"] with concurrency = 32, rpm = 500, tpm = 200000'
    tables = _tables(path, found, "limits", _LIMITS, example)
    for model, table in tables.items():
        for name, value in table.items():
            if value <= 0 or (name == "concurrency" and not isinstance(value, int)):
                what = "a whole number above 0" if name == "concurrency" else "a number above 0"
                raise BadInput(f"{path}: limits.{model!r}.{name} is {value}, not {what}", remedy=f"such as {example}")
    return {model: Limits(**table) for model, table in tables.items()}


def _prices(path: Path, found: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """`[prices.MODEL]`: USD per million tokens."""
    example = '[prices."my-model"] with input = 0.15, output = 0.60, in USD per million tokens'
    tables = _tables(path, found, "prices", _PRICES, example)
    for model, table in tables.items():
        for name in _PRICES:
            if table.get(name, -1) < 0:
                given = f"is {table[name]}, below 0" if name in table else "is missing"
                raise BadInput(f"{path}: prices.{model!r}.{name} {given}", remedy=f"such as {example}")
    return {model: (float(table["input"]), float(table["output"])) for model, table in tables.items()}


def _presets(path: Path, found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """`[presets.NAME]`: a method, and what its runs are given."""
    example = '[presets.quick] with method = "self_consistency", model = "gpt-4o-mini", k = 8'
    tables = found.get("presets", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise BadInput(f"{path}: presets is no table of tables", remedy=f"such as {example}")
    for name, table in tables.items():
        if not re.fullmatch(r"[\w.-]{1,100}", name, re.ASCII):
            raise BadInput(f"{path}: presets.{name!r}: a name is of letters, digits, '_', '-' and '.'", remedy=f"such as {example}")
        if not isinstance(table.get("method"), str):
            raise BadInput(f"{path}: presets.{name} names no method", remedy=f"such as {example}")
        if isinstance(prompts := table.get("prompts"), dict):
            table["prompts"] = {role: prompt_text(str(text), path.parent) for role, text in prompts.items()}
    return tables


def _tables(path: Path, found: dict[str, Any], section: str, known: tuple[str, ...], example: str) -> dict[str, dict[str, Any]]:
    """The tables of a section, one per model, with finite numbers under known names only."""
    tables = found.get(section, {})
    if not isinstance(tables, dict):
        raise BadInput(f"{path}: {section} is no table", remedy=f"such as {example}")
    for model, table in tables.items():
        if not isinstance(table, dict):
            raise BadInput(f"{path}: {section}.{model!r} is no table", remedy=f"such as {example}; a name with dots needs quotes")
        for name, value in table.items():
            if name not in known:
                raise UnknownName.of(f"key of {section}.{model!r} in {path}", name, known, remedy=f"such as {example}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise BadInput(f"{path}: {section}.{model!r}.{name} is {value!r}, which is no number", remedy=f"such as {example}")
    return tables


def _number(name: str, value: Any, kind: type) -> Any:
    remedy = f"set SYMPOSIA_{name.upper()} or {name} in symposia.toml"
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{name} is {value!r}, which is no {'whole ' if kind is int else ''}number", remedy=remedy) from None
    if isinstance(value, bool) or (kind is int and isinstance(value, float) and number != value):
        raise BadInput(f"{name} is {value!r}, which is no {'number' if isinstance(value, bool) else 'whole number'}", remedy=remedy)
    if not 0 < number < math.inf:
        raise BadInput(f"{name} is {value}, which must be above 0 and finite")
    return number
