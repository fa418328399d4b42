"""The command line.

Results go to stdout, everything else to stderr; with `--json` stdout holds one object and nothing else. Exit codes: 0 done, no answer or
paused; 1 failed, stopped, a row failed, or a replay that differs; 2 bad input; 130 Ctrl-C. Whatever a command needs beyond typer is
imported inside it, so that `symposia --help` starts at once.
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from types import FrameType

    from symposia.config import Config
    from symposia.output import Rows, Watch
    from symposia.registry import Loaded
    from symposia.rows import Row
    from symposia.runs import Result
    from symposia.state.journal import Run
    from symposia.state.store import Store

T = TypeVar("T")
FINE = ("ok", "no_answer", "paused")
_USAGE: type = typer.BadParameter.__mro__[2]  # the base of all complaints about usage

app = typer.Typer(
    name="symposia",
    help="Published ways of getting a better answer out of language models, as graphs to run, watch, replay and fork.",
    epilog="Settings also come from symposia.toml and SYMPOSIA_* variables; --debug shows the traceback of an error.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# -- options that several commands have -----------------------------------------------------------------------------------------------

MethodName = Annotated[str, typer.Argument(metavar="METHOD", help="its name, as `symposia methods` lists it")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="its id, or the beginning of it")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout, nothing else there")]
StoreAddress = Annotated[str | None, typer.Option("--store", metavar="ADDRESS", help="a SQLite file or postgresql://...")]
Model = Annotated[str | None, typer.Option("--model", metavar="M", help="LiteLLM name of the model of every role without its own")]
Roles = Annotated[list[str] | None, typer.Option("--role", metavar="ROLE=M", help="a role's model; repeated or with commas, several")]
Prompts = Annotated[list[str] | None, typer.Option("--prompt", metavar="ROLE=TEXT|@FILE", help="a role's prompt")]
Params = Annotated[list[str] | None, typer.Option("-p", "--param", metavar="NAME=VALUE", help="a parameter; see `methods METHOD`")]
Values = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=JSON", help="a key of the state")]
ApiBase = Annotated[str | None, typer.Option("--api-base", metavar="URL", help="OpenAI-compatible address of a bare model name")]
Timeout = Annotated[float | None, typer.Option("--timeout", metavar="S", min=0.001, help="seconds until a request counts as lost")]
Concurrency = Annotated[int | None, typer.Option("--concurrency", metavar="N", min=1, help="requests in flight per model at most")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="makes repeatable what can be")]


@app.callback(invoke_without_command=True)
def begin(ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="say the version and end")] = False) -> None:
    """Say the version, or without a command the help."""
    from symposia import __version__

    if version:
        typer.echo(f"symposia {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


# -- looking --------------------------------------------------------------------------------------------------------------------------


@app.command()
def methods(name: Annotated[str | None, typer.Argument(metavar="METHOD")] = None, as_json: Json = False) -> int:
    """List the methods, or tell about one."""
    from symposia import output, registry

    if name is not None:
        card = method_card(registry.load(name))
        output.emit(card) if as_json else output.show_method(card)
        return 0
    cards = [method_card(registry.load(one)) for one in registry.names()]
    output.emit({"methods": cards}) if as_json else output.show_methods(cards)
    return 0


@app.command("runs")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, help="how many, newest first")] = 50, store: StoreAddress = None, as_json: Json = False
) -> int:
    """List the newest runs of the store."""
    from symposia import output

    config = _configured(store)
    records = _in_store(config, lambda opened: opened.runs(limit)) if _exists(config) else []
    keys = ("run_id", "method", "status", "answer", "stop_reason", "row", "reference", "started", "seconds", "calls", "cost_usd", "parent")
    known = [{key: record.get(key) for key in keys} for record in records]
    output.emit({"runs": known}) if as_json else output.show_runs(known, config.store)
    return 0


@app.command()
def show(
    run_id: RunId,
    step: Annotated[int | None, typer.Option(metavar="N", help="one step, with the state after it")] = None,
    calls: Annotated[bool, typer.Option("--calls", help="every call with its prompt and reply")] = False,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Show a run step by step."""
    from symposia.show import show_run

    _in_store(_existing(store), lambda opened: show_run(opened, run_id, step=step, calls=calls, as_json=as_json), prints=True)
    return 0


@app.command()
def diff(run_a: RunId, run_b: RunId, store: StoreAddress = None, as_json: Json = False) -> int:
    """Show where two runs differ."""
    from symposia.show import diff_runs

    _in_store(_existing(store), lambda opened: diff_runs(opened, run_a, run_b, as_json=as_json), prints=True)
    return 0


@app.command()
def draw(
    method: MethodName, out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="graph.svg or graph.mmd")] = None
) -> int:
    """Draw a method's graph."""
    from symposia.draw import draw_method

    draw_method(method, out)
    return 0


# -- running --------------------------------------------------------------------------------------------------------------------------


@app.command()
def run(
    method: MethodName,
    question: Annotated[str | None, typer.Argument(metavar="[QUESTION|-]", help="the question; - reads it from stdin")] = None,
    file: Annotated[str | None, typer.Option("--file", metavar="IN.jsonl", help="a run per row; - reads the rows from stdin")] = None,
    model: Model = None,
    role: Roles = None,
    prompt: Prompts = None,
    param: Params = None,
    inputs: Annotated[list[str] | None, typer.Option("--input", metavar="KEY=VALUE|@FILE", help="a further input")] = None,
    task: Annotated[str | None, typer.Option(metavar="T", help="form of the answer: auto, number, math, letter, text, ...")] = None,
    seed: Seed = None,
    pause_before: Annotated[list[str] | None, typer.Option(metavar="NODE", help="pause before this node")] = None,
    checkpoints: Annotated[str, typer.Option(metavar="each|none", help="keep the state after each step, or only the journal")] = "each",
    api_base: ApiBase = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Run a method.

    On a question, on the rows of a file, or else on a problem that comes with it.
    """
    from symposia import api, registry, rows, runs
    from symposia.params import assignments, nested

    loaded = registry.load(method)
    config = _configured(store, api_base, timeout, concurrency)
    params = nested(assignments(param or [], "-p"))
    given = api.given_params(config, method, model=model, roles=_roles(role), prompts=_prompts(prompt), seed=seed, params=params)
    extra = rows.input_values(loaded, assignments(inputs or [], "--input")) | ({"task": task} if task else {})
    asked = _rows(loaded, question, file, extra)

    def record(row: "Row") -> dict[str, Any]:
        pauses = tuple(pause_before or ())
        return runs.new_record(
            method, given, row.inputs, reference=row.reference, row=row.id, pause_before=pauses, checkpoints=checkpoints
        )

    records = [record(row) for row in asked]
    _check_address(records[0], loaded, api_base)
    return _run_file(config, records, as_json) if file is not None else _run_one(config, records[0], as_json)


@app.command()
def resume(
    run_id: RunId,
    values: Values = None,
    answer: Annotated[str | None, typer.Option(metavar="JSON", help="the answer to what the run asks")] = None,
    api_base: ApiBase = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Go on with a run that did not end.

    Paused, failed, stopped or killed: what it paid for is not bought again.
    """
    from symposia import runs

    config = _existing(store, api_base, timeout, concurrency)
    edits = _edits(values)
    reply = None if answer is None else _value(answer, "--answer")

    async def work(opened: "Store", watch: "Watch", stop: Ctrl) -> "Result":
        return await runs.resume(
            *(opened, run_id), values=edits, answer=reply, answered=answer is not None, on_event=watch.hear, on_open=stop.opened
        )

    return _execute(config, work, as_json)


@app.command()
def fork(
    run_id: RunId,
    at: Annotated[int, typer.Option(metavar="N", help="start from the state after this step")],
    values: Values = None,
    param: Params = None,
    model: Model = None,
    role: Roles = None,
    prompt: Prompts = None,
    api_base: ApiBase = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Start a changed run from a step of another.

    Only what the change touches is called.
    """
    from symposia import runs
    from symposia.params import assignments, merged, nested

    config = _existing(store, api_base, timeout, concurrency)
    edits = _edits(values)
    over = {"model": model, "roles": _roles(role), "prompts": _prompts(prompt)}
    changes = merged(nested(assignments(param or [], "-p")), {k: v for k, v in over.items() if v})

    async def work(opened: "Store", watch: "Watch", stop: Ctrl) -> "Result":
        return await runs.fork(opened, run_id, at, values=edits, params=changes, on_event=watch.hear, on_open=stop.opened)

    return _execute(config, work, as_json)


@app.command()
def replay(run_id: RunId, store: StoreAddress = None, as_json: Json = False) -> int:
    """Execute a run again from its journal.

    Without any call; each state is compared with the record.
    """
    from symposia import output, runs

    report, _ = _in_store(_existing(store), lambda opened: runs.replay(opened, run_id))
    output.emit(report) if as_json else output.show_replay(report)
    return 0 if report["identical"] else 1


@app.command()
def cancel(run_id: RunId, store: StoreAddress = None, as_json: Json = False) -> int:
    """Stop a run that executes elsewhere.

    It starts no new call; those in flight end and are kept, and it can be resumed.
    """
    from symposia import output
    from symposia.state.errors import BadInput

    async def work(opened: "Store") -> str:
        record = await opened.run(run_id)
        if record["status"] != "started":
            raise BadInput(f"run {record['run_id']} is not running: it is {record['status']}", remedy="`symposia runs` lists the runs")
        await opened.ask_to_stop(record["run_id"])
        return str(record["run_id"])

    found = _in_store(_existing(store), work)
    output.emit({"run_id": found, "asked_to_stop": True}) if as_json else output.say(f"run {found} is asked to stop")
    return 0


@app.command()
def prepare(
    method: MethodName,
    data: Annotated[Path, typer.Argument(metavar="DATA.jsonl", help="a row per line, with its question")],
    model: Model = None,
    role: Roles = None,
    prompt: Prompts = None,
    param: Params = None,
    seed: Seed = None,
    api_base: ApiBase = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Make what a method needs once for a data set.

    Runs name it with `-p artefact=ID`.
    """
    from symposia import api, output, registry, rows, runs
    from symposia.params import assignments, nested

    loaded = registry.load(method)
    config = _configured(store, api_base, timeout, concurrency)
    params = nested(assignments(param or [], "-p"))
    given = api.given_params(config, method, model=model, roles=_roles(role), prompts=_prompts(prompt), seed=seed, params=params)
    objects = rows.read_jsonl(data)
    rows.rows_of(loaded, objects, {})

    async def work(opened: "Store") -> tuple[dict[str, Any], bool]:
        with Ctrl() as stop, output.Watch() as watch:
            asked = [row for _, row in objects]
            return await runs.prepare(opened, method, asked, given, on_event=watch.hear, on_open=stop.opened), stop.pressed

    made, pressed = _in_store(config, work)
    output.emit(made) if as_json else output.show_prepared(made)
    return 130 if pressed else int(made["status"] not in FINE)


@app.command()
def demo(
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="problems at most")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="makes it repeatable")] = 0,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """See the methods work, offline."""
    from symposia.demo import run_demo

    return run_demo(limit, seed, store, as_json)


# -- what the commands share ----------------------------------------------------------------------------------------------------------


class Ctrl:
    """Ctrl-C while runs execute: the first press lets no new call start and those in flight end, the second ends at once."""

    def __init__(self) -> None:
        """Nothing is pressed, no run is open."""
        self.pressed = False
        self._run: Run | None = None

    def __enter__(self) -> "Ctrl":
        """Listen; inside a running event loop."""
        import asyncio
        import signal

        self._loop = asyncio.get_running_loop()
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave Ctrl-C to whoever had it."""
        import signal

        signal.signal(signal.SIGINT, self._before)

    def opened(self, run: "Run") -> None:
        """Know the run that is to be stopped; `runs` calls this."""
        self._run = run
        self._stop()

    def _press(self, _number: int, _frame: "FrameType | None") -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        self._loop.call_soon_threadsafe(self._said)

    def _said(self) -> None:
        from symposia.output import say

        say("stopping: calls in flight end and are kept; Ctrl-C again ends at once")
        self._stop()

    def _stop(self) -> None:
        if self.pressed and self._run is not None:
            self._run.stop("interrupted")


def _execute(config: "Config", work: Callable[["Store", "Watch", Ctrl], Awaitable["Result"]], as_json: bool) -> int:
    """Execute one run and print what it came to."""
    from symposia import output, registry

    async def both(opened: "Store") -> tuple["Result", dict[str, Any], bool]:
        with Ctrl() as stop, output.Watch() as watch:
            result = await work(opened, watch, stop)
        return result, await opened.run(result.run_id), stop.pressed

    result, record, pressed = _in_store(config, both)
    roles = registry.load(result.method).method.roles
    if as_json:
        output.emit(result.to_json())
        _say_toys(record, roles)
    else:
        output.show_result(result, record, roles)
    return 130 if pressed else int(result.status not in FINE)


def _run_one(config: "Config", record: dict[str, Any], as_json: bool) -> int:
    """Execute a new run."""
    from symposia import runs

    async def work(opened: "Store", watch: "Watch", stop: Ctrl) -> "Result":
        watch.announce(record["run_id"])
        return await runs.start(opened, record, watch.hear, stop.opened)

    return _execute(config, work, as_json)


def _run_file(config: "Config", records: list[dict[str, Any]], as_json: bool) -> int:
    """Execute the rows of a file one after the other."""
    from symposia import output, registry

    roles = registry.load(records[0]["method"]).method.roles
    _say_toys(records[0], roles)

    async def work(opened: "Store") -> tuple[list[dict[str, Any]], bool]:
        done = []
        with Ctrl() as stop, output.Rows(len(records)) as progress:
            for record in records:
                if stop.pressed:
                    break
                done.append(await _run_row(opened, record, stop, progress))
        return done, stop.pressed

    done, pressed = _in_store(config, work)
    if as_json:
        output.emit({"runs": done})
    else:
        output.show_rows(done)
    return 130 if pressed else int(any(row["status"] not in FINE for row in done))


async def _run_row(opened: "Store", record: dict[str, Any], stop: Ctrl, progress: "Rows") -> dict[str, Any]:
    """Execute one row; what fails in it is in its result."""
    import time

    from symposia import runs
    from symposia.records import is_correct

    record["started"] = time.time()
    result = await runs.start(opened, record, None, stop.opened)
    verdict = await is_correct(record)
    progress.done(result.status, verdict)
    return {**result.to_json(), "row": record["row"], "reference": record["reference"], "correct": verdict}


def _in_store(config: "Config", work: Callable[["Store"], Awaitable[T]], *, prints: bool = False) -> T:
    """What an async function makes of the open store; unless it `prints`, stdout is kept free of whatever some library says."""
    import asyncio
    from contextlib import nullcontext, redirect_stdout

    from symposia.state.store import open_store

    async def inside() -> T:
        async with open_store(config.store) as opened:
            return await work(opened)

    with nullcontext() if prints else redirect_stdout(sys.stderr):
        return asyncio.run(inside())


def _configured(
    store: str | None = None, api_base: str | None = None, timeout: float | None = None, concurrency: int | None = None
) -> "Config":
    """The configuration with the options of a command over it, its process settings in force."""
    from symposia.config import load_config
    from symposia.state.errors import BadInput
    from symposia.tools.settings import configure

    config = load_config()
    over = {"api_base": api_base, "timeout": timeout, "concurrency": concurrency}
    config.process |= {name: value for name, value in over.items() if value is not None}
    config.store = store or config.store
    base = config.process.get("api_base")
    if base and not str(base).startswith(("http://", "https://")):
        raise BadInput(f"api base {base!r} is no http address", remedy="such as --api-base http://127.0.0.1:8000/v1")
    configure(**config.process)
    return config


def _existing(
    store: str | None = None, api_base: str | None = None, timeout: float | None = None, concurrency: int | None = None
) -> "Config":
    """The configuration of a command about a run that exists, which none does in a store that is not there."""
    from symposia.state.errors import BadInput

    config = _configured(store, api_base, timeout, concurrency)
    if not _exists(config):
        raise BadInput(f"there is no store at {config.store}", remedy="name the one the run is in: --store ADDRESS")
    return config


def _exists(config: "Config") -> bool:
    server = config.store.startswith(("postgresql://", "postgres://"))
    return server or Path(config.store.removeprefix("sqlite:///")).exists()


def _rows(loaded: "Loaded", question: str | None, file: str | None, extra: dict[str, Any]) -> list["Row"]:
    """What a run, or several, are asked: the rows of a file, a question, inputs, or the first bundled problem."""
    from symposia import output, rows
    from symposia.state.errors import BadInput, shorten

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
    text = shorten(str(item.inputs.get("question", item.id)), 300)
    output.say(f"no question given, so the first bundled problem is taken, {item.id} (known answer: {item.reference}): {text}")
    return [rows.Row(item.id, {**item.inputs, **extra}, item.reference)]


def _stdin() -> str:
    """All of standard input."""
    from symposia.state.errors import BadInput

    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input is no UTF-8: {error}") from None


def _roles(pairs: Sequence[str] | None) -> dict[str, str | list[str]]:
    """Models by role; a role named again, or with commas, has several."""
    from symposia.params import assignments
    from symposia.state.errors import BadInput

    found: dict[str, list[str]] = {}
    for pair in pairs or []:
        for role, names in assignments([pair], "--role").items():
            models = [name.strip() for name in names.split(",")]
            if not all(models):
                raise BadInput(f"--role {pair!r} names no model", remedy=f"--role {role}=MODEL")
            found.setdefault(role, []).extend(models)
    return {role: models[0] if len(models) == 1 else models for role, models in found.items()}


def _prompts(pairs: Sequence[str] | None) -> dict[str, str]:
    """Prompts by role, read from their files."""
    from symposia.config import prompt_text
    from symposia.params import assignments

    return {role: prompt_text(text) for role, text in assignments(pairs or [], "--prompt").items()}


def _edits(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Keys of the state and their new values."""
    from symposia.params import assignments

    return {key: _value(text, f"--set {key}") for key, text in assignments(pairs or [], "--set").items()}


def _value(text: str, option: str) -> Any:
    """A JSON value; a plain word may go without quotes, a broken list or object is an error."""
    import json

    from symposia.state.errors import BadInput

    try:
        return json.loads(text)
    except ValueError as error:
        if text.lstrip()[:1] in ("[", "{", '"'):
            raise BadInput(f"{option}: no JSON: {error}", remedy="quote it for the shell: '[1, 2]'") from None
        return text


def _check_address(record: dict[str, Any], loaded: "Loaded", api_base: str | None) -> None:
    """An address without a model would go unused, and toys would answer."""
    from symposia.output import models_of
    from symposia.state.errors import BadInput

    models = models_of(record, loaded.method.roles).values()
    if api_base and all(model.startswith("toy/") for model in models):
        raise BadInput("--api-base is given, but no model", remedy=f"--model NAME; {api_base.rstrip('/')}/models lists them")


def _say_toys(record: dict[str, Any], roles: Sequence[str]) -> None:
    """Say on stderr when toys answer."""
    from symposia.output import models_of, say, toy_note

    if note := toy_note(models_of(record, roles).values()):
        say(note)


def method_card(loaded: "Loaded") -> dict[str, Any]:
    """A method as `methods --json` tells it."""
    from dataclasses import asdict

    from typing_extensions import get_type_hints

    method, defaults = loaded.method, loaded.params()
    values = defaults.model_dump(mode="json")
    schema = loaded.params.model_json_schema()["properties"]
    parameters = {name: {"default": values[name], "description": schema[name].get("description", "")} for name in schema}
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
    from typing_extensions import NotRequired, Required, get_args, get_origin

    while get_origin(hint) in (NotRequired, Required):
        hint = get_args(hint)[0]
    kind, *notes = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    meaning = next((note.description for note in notes if getattr(note, "description", None)), "")
    return {"type": getattr(kind, "__name__", str(kind).replace("typing.", "")), "description": meaning}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    as_json, debug = "--json" in given[:end], "--debug" in given[:end]
    kept = [word for i, word in enumerate(given) if word != "--debug" or i > end]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    raise SystemExit(_dispatch(kept, as_json, debug))


def _dispatch(arguments: list[str], as_json: bool, debug: bool) -> int:
    """Run a command; an error of any kind becomes a message and an exit code."""
    from symposia.state.errors import BadInput, SymposiaError

    try:
        return int(app(arguments, prog_name="symposia", standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        from symposia import output

        if isinstance(error, SymposiaError):
            output.complain(error.to_record(), as_json)
            return 2 if isinstance(error, BadInput) else 1
        if isinstance(error, _USAGE):
            output.complain(_usage(error).to_record(), as_json)
            return 2
        output.complain(output.unexpected(error), as_json)
        return 1


def _usage(error: Any) -> Any:
    """A complaint of typer's as an error of ours."""
    from symposia.state.errors import BadInput

    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "symposia"
    message = error.format_message().rstrip(".")
    return BadInput(message[:1].lower() + message[1:], remedy=f"`{path} --help` says how")


if __name__ == "__main__":
    main()
