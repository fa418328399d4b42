"""What the commands share: settings, input, the execution of one run or many, Ctrl-C, and what is printed at the end."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, NotRequired, Required, Self, TypeVar, get_args, get_origin

from typing_extensions import get_type_hints

from symposia import output, pools, registry, rows, runs, tables
from symposia.api import given_params
from symposia.config import Config, load_config, prompt_text
from symposia.execution import Event, Listener
from symposia.output import models_of, say, toy_note
from symposia.params import assignments, merged, nested
from symposia.records import is_correct
from symposia.registry import Loaded
from symposia.result import Result
from symposia.rows import Row
from symposia.state.errors import BadInput, shorten
from symposia.state.journal import Run
from symposia.state.store import Store, open_store
from symposia.telemetry import telemetry
from symposia.tools.checkers import holds_tests
from symposia.tools.settings import configure
from symposia.watching import Rows, Watch

T = TypeVar("T")
FINE = ("ok", "no_answer", "paused")


class Ctrl:
    """Ctrl-C while runs execute: the first press lets no new call start and those in flight end, the second ends at once.

    The second one waits for the event loop to come round, so that it never cuts through a commit; a third one waits for nothing.
    """

    def __init__(self, stop: Callable[[str], None] | None = None) -> None:
        """Nothing is pressed; `stop` is called with the reason, else the run that is open is stopped."""
        self.pressed = False
        self._run: Run | None = None
        self._stop_all = stop

    def __enter__(self) -> Self:
        """Listen; inside a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave Ctrl-C to whoever had it."""
        signal.signal(signal.SIGINT, self._before)

    def opened(self, run: Run) -> None:
        """Know the run that is to be stopped; `runs` calls this."""
        self._run = run
        self._stop()

    def _press(self, _number: int, _frame: FrameType | None) -> None:
        if self.pressed and self._task is not None and not self._task.cancelling():
            self._loop.call_soon_threadsafe(self._task.cancel)  # between two steps of the loop, never within a commit
            return
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        self._loop.call_soon_threadsafe(self._said)

    def _said(self) -> None:
        self._stop()
        say("stopping: calls in flight end and are kept; Ctrl-C again ends at once")

    def _stop(self) -> None:
        if self.pressed and self._stop_all is not None:
            self._stop_all("interrupted")
        elif self.pressed and self._run is not None:
            self._run.stop("interrupted")


Hooks = dict[str, Any]
Work = Callable[[Store, Hooks], Awaitable[T]]
"""Executes something in a store, handing the hooks on as `on_event` and `on_open`."""


def execute(config: Config, work: Work[Result], as_json: bool, run_id: str | None = None) -> int:
    """Execute one run and print what it came to."""

    async def both(opened: Store, hooks: Hooks) -> tuple[Result, dict[str, Any]]:
        result = await work(opened, hooks)
        return result, await _with_models(opened, await opened.run(result.run_id))

    (result, record), pressed = watched(config, both, run_id)
    roles = registry.load(result.method).method.roles
    if as_json:
        output.emit(result.to_json())
        _say_toys(record)
    else:
        tables.show_result(result, record, roles)
    return 130 if pressed else int(result.status not in FINE)


def watched(config: Config, work: Work[T], run_id: str | None = None) -> tuple[T, bool]:
    """What some work on one run gives, and whether Ctrl-C was pressed; says the run's id before its first call."""

    async def inside(opened: Store) -> tuple[T, bool]:
        with Ctrl() as stop, Watch() as watch:
            if run_id:
                watch.announce(run_id)
            return await work(opened, {"on_event": together(watch.hear, telemetry()), "on_open": stop.opened}), stop.pressed

    return in_store(config, inside)


def together(first: Listener, second: Listener | None) -> Listener:
    """Two listeners as one."""
    if second is None:
        return first

    def hear(event: Event) -> None:
        first(event)
        second(event)

    return hear


def run_one(config: Config, record: dict[str, Any], as_json: bool) -> int:
    """Execute a new run."""

    async def work(opened: Store, hooks: Hooks) -> Result:
        _say_engines(await _with_models(opened, record))
        return await runs.start(opened, record, **hooks)

    return execute(config, work, as_json, record["run_id"])


def run_file(config: Config, records: list[dict[str, Any]], as_json: bool) -> int:
    """Execute the rows of a file one after the other."""

    async def work(opened: Store) -> tuple[list[dict[str, Any]], bool]:
        first = await _with_models(opened, records[0])
        _say_toys(first)
        _say_engines(first)
        done = []
        with Ctrl() as stop, Rows(len(records)) as progress:
            for record in records:
                if stop.pressed:
                    break
                done.append(await _run_row(opened, record, stop, progress))
        return done, stop.pressed

    done, pressed = in_store(config, work)
    if as_json:
        output.emit({"runs": done})
    else:
        tables.show_rows(done)
    return 130 if pressed else int(any(row["status"] not in FINE for row in done))


async def _run_row(opened: Store, record: dict[str, Any], stop: Ctrl, progress: Rows) -> dict[str, Any]:
    """Execute one row; what fails in it is in its result."""
    record["started"] = time.time()
    result = await runs.start(opened, record, None, stop.opened)
    verdict = await is_correct(record)
    progress.done(result.status, verdict)
    return {**result.to_json(), "row": record["row"], "reference": record["reference"], "correct": verdict}


def in_store(config: Config, work: Callable[[Store], Awaitable[T]], *, prints: bool = False) -> T:
    """What an async function makes of the open store; unless it `prints`, stdout is kept free of whatever some library says."""

    async def inside() -> T:
        async with open_store(config.store) as opened:
            return await work(opened)

    with nullcontext() if prints else redirect_stdout(sys.stderr):
        try:
            return asyncio.run(inside())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None  # which `Ctrl` has made of the second Ctrl-C


def configured(
    store: str | None = None, api_base: str | None = None, timeout: float | None = None, concurrency: int | None = None, **further: Any
) -> Config:
    """The configuration with the options of a command over it, its process settings in force; `further` are settings of few commands."""
    config = load_config()
    over = {"api_base": api_base, "timeout": timeout, "concurrency": concurrency, **further}
    config.process |= {name: value for name, value in over.items() if value is not None}
    config.store = store or config.store
    base = config.process.get("api_base")
    if base and not str(base).startswith(("http://", "https://")):
        raise BadInput(f"api base {base!r} is no http address", remedy="such as --api-base http://127.0.0.1:8000/v1")
    configure(**config.process)
    return config


def existing(store: str | None = None, api_base: str | None = None, timeout: float | None = None, concurrency: int | None = None) -> Config:
    """The configuration of a command about a run that exists, which none does in a store that is not there."""
    config = configured(store, api_base, timeout, concurrency)
    if not exists(config):
        raise BadInput(f"there is no store at {config.store}", remedy="name the one the run is in: --store ADDRESS")
    return config


def exists(config: Config) -> bool:
    """Whether a store stands at the address; a server is asked when it is opened."""
    server = config.store.startswith(("postgresql://", "postgres://"))
    return server or Path(config.store.removeprefix("sqlite:///")).exists()


def asked_rows(loaded: Loaded, question: str | None, file: str | None, extra: dict[str, Any]) -> list[Row]:
    """What a run, or several, are asked: the rows of a file, a question, inputs, or the first bundled problem."""
    rows.check_task(extra.get("task"))
    if file is not None:
        if question is not None:
            raise BadInput("a question and --file are both given", remedy="give one of them")
        objects = rows.read_jsonl(None, _stdin()) if file == "-" else rows.read_jsonl(Path(file))
        return rows.rows_of(loaded, objects, extra)
    if question is not None:
        return [rows.Row(None, {**extra, "question": _stdin().rstrip("\n") if question == "-" else question}, None)]
    if extra.keys() - {"task"}:
        return [rows.Row(None, extra, None)]
    item = rows.toy_item(loaded)
    item.inputs |= extra
    return [item]


def say_item(item: Row) -> None:
    """Say on stderr which bundled problem was taken."""
    text = shorten(str(item.inputs.get("question") or item.inputs.get("prompt", "")), 300)
    known = "" if item.reference is None or holds_tests(item.reference) else f" (known answer: {item.reference})"
    say(f"no question given, so the first bundled problem is taken, {item.id}{known}: {text}")


def _stdin() -> str:
    """All of standard input, its lines ended as in a file that is read as text."""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input is no UTF-8: {error}") from None


def given(
    config: Config,
    method: str,
    model: str | None,
    role: Sequence[str] | None,
    prompt: Sequence[str] | None,
    param: Sequence[str] | None,
    seed: int | None,
) -> dict[str, Any]:
    """The parameters that the options and the configuration give, the options winning."""
    params = nested(assignments(param or [], "-p"))
    return given_params(config, method, model=model, roles=role_models(role), prompts=prompt_texts(prompt), seed=seed, params=params)


def changed(model: str | None, role: Sequence[str] | None, prompt: Sequence[str] | None, param: Sequence[str] | None) -> dict[str, Any]:
    """The parameters that a fork's options change."""
    over = {"model": model, "roles": role_models(role), "prompts": prompt_texts(prompt)}
    return merged(nested(assignments(param or [], "-p")), {name: value for name, value in over.items() if value})


def role_models(pairs: Sequence[str] | None) -> dict[str, str | list[str]]:
    """Models by role; a role named again, or with commas, has several."""
    found: dict[str, list[str]] = {}
    for pair in pairs or []:
        for role, names in assignments([pair], "--role").items():
            models = [name.strip() for name in names.split(",")]
            if not all(models):
                raise BadInput(f"--role {pair!r} names no model", remedy=f"--role {role}=MODEL")
            found.setdefault(role, []).extend(models)
    return {role: models[0] if len(models) == 1 else models for role, models in found.items()}


def prompt_texts(pairs: Sequence[str] | None) -> dict[str, str]:
    """Prompts by role, read from their files."""
    return {role: prompt_text(text) for role, text in assignments(pairs or [], "--prompt").items()}


def edits(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Keys of the state and their new values."""
    return {key: json_value(text, f"--set {key}") for key, text in assignments(pairs or [], "--set").items()}


def json_value(text: str, option: str) -> Any:
    """A JSON value; a plain word may go without quotes, a broken list or object is an error."""
    try:
        return json.loads(text)
    except ValueError as error:
        if text.lstrip()[:1] in ("[", "{", '"'):
            raise BadInput(f"{option}: no JSON: {error}", remedy="quote it for the shell: '[1, 2]'") from None
        return text


def check_address(record: dict[str, Any], loaded: Loaded, api_base: str | None) -> None:
    """An address without a model would go unused, and toys would answer."""
    models = models_of(record, loaded.method.roles).values()
    if api_base and all(model.startswith("toy/") for model in models):
        raise BadInput("--api-base is given, but no model", remedy=f"--model NAME; {api_base.rstrip('/')}/models lists them")


async def _with_models(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """A run's record with the models that its artefact names."""
    roles = await pools.roles_of(store, registry.load(record["method"]).method, record["params"])
    return {**record, "params": {**record["params"], "roles": roles}}


def _say_toys(record: dict[str, Any]) -> None:
    """Say on stderr when toys answer."""
    if note := toy_note(models_of(record, registry.load(record["method"]).method.roles).values()):
        say(note)


def _say_engines(record: dict[str, Any]) -> None:
    """Say on stderr which models of this machine will be started."""
    models = models_of(record, registry.load(record["method"]).method.roles)
    for line in pools.told(pools.planned(models), by_model=False):
        say(line)


def method_card(loaded: Loaded) -> dict[str, Any]:
    """A method as `methods --json` tells it."""
    method, defaults = loaded.method, loaded.params()
    values = defaults.model_dump(mode="json")
    schema = loaded.params.model_json_schema()["properties"]
    parameters = {
        name: {"default": values.get(name, schema[name].get("default")), "description": schema[name].get("description", "")}
        for name in schema
    }
    hints = get_type_hints(method.input, include_extras=True)
    return {
        **asdict(method),
        "calls_by_default": method.count(method.calls, defaults),
        "scoring_by_default": method.count(method.scoring, defaults),
        "nodes": [node for node in loaded.module.graph.nodes if not node.startswith("__")],
        "prepares": hasattr(loaded.module, "prepare"),
        "parameters": parameters,
        "input": {name: _input_card(hint) for name, hint in hints.items()},
    }


def _input_card(hint: Any) -> dict[str, str]:
    """Type and meaning of an input."""
    while get_origin(hint) in (NotRequired, Required):
        hint = get_args(hint)[0]
    kind, *notes = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    meaning = next((note.description for note in notes if getattr(note, "description", None)), "")
    return {"type": getattr(kind, "__name__", str(kind).replace("typing.", "")), "description": meaning}
