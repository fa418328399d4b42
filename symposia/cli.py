"""The command line.

Results go to stdout, everything else to stderr; with `--json` stdout holds one object and nothing else. Exit codes: 0 done, no answer or
paused; 1 failed, stopped, a row failed, or a replay that differs; 2 bad input; 130 Ctrl-C. Whatever a command needs beyond typer is
imported inside it, so that `symposia --help` starts at once.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from symposia.bandit import bandit
from symposia.laser_command import laser_train
from symposia.train import train

if TYPE_CHECKING:
    from symposia.rows import Row
    from symposia.state.errors import SymposiaError
    from symposia.state.store import Store

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
UnsafeExec = Annotated[bool, typer.Option("--unsafe-exec", help="run generated code even where nothing holds it")]
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
    from symposia import command, output, registry, tables

    if name is not None:
        card = command.method_card(registry.load(name))
        output.emit(card) if as_json else tables.show_method(card)
        return 0
    cards = [command.method_card(registry.load(one)) for one in registry.names()]
    output.emit({"methods": cards}) if as_json else tables.show_methods(cards)
    return 0


@app.command("runs")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, help="how many, newest first")] = 50, store: StoreAddress = None, as_json: Json = False
) -> int:
    """List the newest runs of the store."""
    from symposia import command, output, tables

    config = command.configured(store)
    records = command.in_store(config, lambda opened: opened.runs(limit)) if command.exists(config) else []
    keys = ("run_id", "method", "status", "answer", "stop_reason", "row", "reference", "started", "seconds", "calls", "cost_usd", "parent")
    known = [{key: record.get(key) for key in keys} for record in records]
    output.emit({"runs": known}) if as_json else tables.show_runs(known, config.store)
    return 0


Without = Annotated[str, typer.Option(metavar="PARTS", help="leave out of the page: prompts, references, or both with a comma")]


@app.command()
def show(
    run_id: RunId,
    step: Annotated[int | None, typer.Option(metavar="N", help="one step, with the state after it")] = None,
    calls: Annotated[bool, typer.Option("--calls", help="every call with its prompt and reply")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="write it as a page that needs no server")] = None,
    without: Without = "",
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Show a run step by step; with --html also a batch, by its id."""
    from symposia import command
    from symposia.show.run import show_run

    config = command.existing(store)
    if html is not None:
        from symposia.viewer.export import parts_of, write_page

        page, parts = html, parts_of(without)
        command.in_store(config, lambda opened: write_page(opened, run_id, page, parts))
        return 0
    command.in_store(config, lambda opened: show_run(opened, run_id, step=step, calls=calls, as_json=as_json), prints=True)
    return 0


@app.command()
def diff(
    run_a: RunId,
    run_b: RunId,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="write both as a page that needs no server")] = None,
    without: Without = "",
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Show where two runs differ; with --html also two batches, by their ids."""
    from symposia import command
    from symposia.show.difference import diff_runs

    if html is not None:
        from symposia.viewer.export import parts_of, write_compared

        page, parts = html, parts_of(without)
        command.in_store(command.existing(store), lambda opened: write_compared(opened, run_a, run_b, page, parts))
        return 0
    command.in_store(command.existing(store), lambda opened: diff_runs(opened, run_a, run_b, as_json=as_json), prints=True)
    return 0


@app.command()
def draw(
    what: Annotated[str, typer.Argument(metavar="METHOD|RUN", help="a method's graph, or the dialogue tree of a run")],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="graph.svg or graph.mmd; tree.svg or tree.dot")] = None,
    store: StoreAddress = None,
) -> int:
    """Draw a method's graph, or a run's tree."""
    from symposia import command, registry
    from symposia.draw import draw_method

    config = command.configured(store)
    if what in registry.names() or not (re.fullmatch("[0-9a-f]+", what) and command.exists(config)):
        draw_method(what, out)
        return 0
    from symposia.trees import draw_run

    text = command.in_store(config, lambda opened: draw_run(opened, what, out))
    if text is not None:
        sys.stdout.write(text)
    return 0


@app.command()
def export(
    method: MethodName,
    data: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="what `symposia batch METHOD -o` wrote")],
    folder: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="where the files go")],
    against: Annotated[
        Path | None, typer.Option(metavar="OUT.jsonl", help="another batch over the same rows, for rows that a judge compares both by")
    ] = None,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Write what a method makes of finished runs, such as training files.

    Nothing is called; the runs are read from their journals.
    """
    from symposia import command, output, tables
    from symposia.finished import export_batch

    written = command.in_store(command.existing(store), lambda opened: export_batch(opened, method, data, folder, against))
    output.emit({"folder": str(folder), "rows": written}) if as_json else tables.show_export(folder, written)
    return 0


@app.command()
def report(
    method: MethodName,
    data: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="what `symposia batch METHOD -o` wrote")],
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Show what a method measures over finished runs, beside accuracy.

    Nothing is called; the runs are read from their journals.
    """
    from symposia import command, output, tables
    from symposia.finished import report_batch

    found = command.in_store(command.existing(store), lambda opened: report_batch(opened, method, data))
    output.emit(found) if as_json else tables.show_report(found)
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
    unsafe_exec: UnsafeExec = False,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Run a method.

    On a question, on the rows of a file, or else on a problem that comes with it.
    """
    from symposia import command, registry, rows, runs
    from symposia.params import assignments

    loaded = registry.load(method)
    config = command.configured(store, api_base, timeout, concurrency, unsafe_exec=unsafe_exec or None)
    given = command.given(config, method, model, role, prompt, param, seed)
    extra = rows.input_values(loaded, assignments(inputs or [], "--input")) | ({"task": task} if task else {})
    asked = command.asked_rows(loaded, question, file, extra)

    def record(row: "Row") -> dict[str, Any]:
        options: dict[str, Any] = {"pause_before": pause_before or (), "checkpoints": checkpoints}
        return runs.new_record(method, given, row.inputs, reference=row.reference, row=row.id, **options)

    records = [record(row) for row in asked]
    command.check_address(records[0], loaded, api_base)
    if asked[0].bundled:
        command.say_item(asked[0])
    return command.run_file(config, records, as_json) if file is not None else command.run_one(config, records[0], as_json)


@app.command()
def batch(
    method: MethodName,
    data: Annotated[
        str | None, typer.Argument(metavar="IN", help="IN.jsonl, .json, .csv, .tsv, .parquet, - or hf:NAME:CONFIG:SPLIT")
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="OUT.jsonl, a line per row; .parquet is written at the end")
    ] = ...,  # type: ignore[assignment]
    model: Model = None,
    role: Roles = None,
    prompt: Prompts = None,
    param: Params = None,
    mapping: Annotated[list[str] | None, typer.Option("--map", metavar="FIELD=NAME", help="a field's name in the data set")] = None,
    task: Annotated[str | None, typer.Option(metavar="T", help="form of the answers: auto, number, math, letter, text, ...")] = None,
    seed: Seed = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="the first N rows only")] = None,
    repeat: Annotated[int, typer.Option(metavar="N", min=1, help="run each row N times, with a seed each time with the next one")] = 1,
    grader: Annotated[str | None, typer.Option(metavar="G", help="auto, exact, math, code, letter or judge; default auto")] = None,
    judge_model: Annotated[str | None, typer.Option(metavar="M", help="the model of --grader judge")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(metavar="X", min=0, help="what the batch may cost in all, earlier starts included")
    ] = None,
    budget_tokens: Annotated[int | None, typer.Option(metavar="N", min=0, help="tokens it may use in all, earlier starts included")] = None,
    time_limit: Annotated[str | None, typer.Option(metavar="T", help="start no new call after this long: 45s, 30m, 2h")] = None,
    order: Annotated[str, typer.Option(metavar="row|model", help="model: all ready calls of a model before the next model")] = "row",
    engine: Annotated[str, typer.Option(metavar="E", help="local, processes (all cores) or ray (many machines)")] = "local",
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="workers of processes or ray")] = None,
    retry: Annotated[list[str] | None, typer.Option(metavar="STATUS", help="no_answer: try these again too, as failed rows are")] = None,
    origin: Annotated[Path | None, typer.Option("--from", metavar="OUT", help="fork every run of another batch")] = None,
    at: Annotated[int | None, typer.Option(metavar="N", min=1, help="with --from: from the state after this step")] = None,
    values: Values = None,
    prepare: Annotated[str | None, typer.Option(metavar="DATA", help="make the method's artefact from this data set first, once")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything and say what would be done")] = False,
    api_base: ApiBase = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    rpm: Annotated[int | None, typer.Option(metavar="N", min=1, help="requests per minute and model at most")] = None,
    tpm: Annotated[int | None, typer.Option(metavar="N", min=1, help="tokens per minute and model at most")] = None,
    unsafe_exec: UnsafeExec = False,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Run a method over a data set.

    The same command again goes on where it stopped: finished rows are skipped, failed ones tried again, half-finished ones continue.
    """
    from symposia import command, registry
    from symposia.batches.asked import Asked
    from symposia.batches.command import mapping_of, run_batch, seconds_of
    from symposia.params import make_params
    from symposia.state.errors import BadInput

    loaded, forks = registry.load(method), origin is not None
    if forks:
        command.existing(store)
    config = command.configured(store, api_base, timeout, concurrency, rpm=rpm, tpm=tpm, unsafe_exec=unsafe_exec or None)
    if forks and seed is not None:
        raise BadInput("--seed with --from", remedy="a fork keeps its parents' seeds; -p seed=N changes them all")
    given = {} if forks else command.given(config, method, model, role, prompt, param, seed)
    if not forks:
        command.check_address({"params": make_params(loaded, given).model_dump(mode="json")}, loaded, api_base)
    asked = Asked(
        method=method,
        source=data,
        out=out,
        mapping=mapping_of(mapping),
        extra={"task": task} if task else {},
        limit=limit,
        repeats=repeat,
        grader=grader,
        judge=judge_model,
        budget_usd=budget_usd,
        budget_tokens=budget_tokens,
        seconds=seconds_of(time_limit),
        order=order,
        engine=engine,
        workers=workers,
        retry=retry or [],
        origin=origin,
        at=at,
        values=command.edits(values),
        changes=command.changed(model, role, prompt, param) if forks else {},
        prepare=prepare,
        dry_run=dry_run,
    )
    return run_batch(config, asked, given, as_json)


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
    from symposia import command, runs

    config = command.existing(store, api_base, timeout, concurrency)
    given: dict[str, Any] = {"values": command.edits(values)}
    if answer is not None:
        given |= {"answer": command.json_value(answer, "--answer"), "answered": True}
    return command.execute(config, lambda opened, hooks: runs.resume(opened, run_id, **given, **hooks), as_json)


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
    from symposia import command, runs

    config = command.existing(store, api_base, timeout, concurrency)
    edits, changes = command.edits(values), command.changed(model, role, prompt, param)
    return command.execute(config, lambda opened, hooks: runs.fork(opened, run_id, at, values=edits, params=changes, **hooks), as_json)


@app.command()
def replay(run_id: RunId, store: StoreAddress = None, as_json: Json = False) -> int:
    """Execute a run again from its journal.

    Without any call; each state is compared with the record.
    """
    from symposia import command, output, runs, tables

    report, _ = command.in_store(command.existing(store), lambda opened: runs.replay(opened, run_id))
    output.emit(report) if as_json else tables.show_replay(report)
    return 0 if report["identical"] else 1


@app.command()
def cancel(run_id: RunId, store: StoreAddress = None, as_json: Json = False) -> int:
    """Stop a run that executes elsewhere.

    It starts no new call; those in flight end and are kept, and it can be resumed.
    """
    from symposia import command, output
    from symposia.state.errors import BadInput

    async def work(opened: "Store") -> str:
        record = await opened.run(run_id)
        if record["status"] != "started":
            raise BadInput(f"run {record['run_id']} is not running: it is {record['status']}", remedy="`symposia runs` lists the runs")
        await opened.ask_to_stop(record["run_id"])
        return str(record["run_id"])

    found = command.in_store(command.existing(store), work)
    output.emit({"run_id": found, "asked_to_stop": True}) if as_json else output.say(f"run {found} is asked to stop")
    return 0


@app.command()
def prepare(
    method: MethodName,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="a row per line, with its question; for mutagrep a repository's folder")],
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
    from symposia import artefacts, command, output, registry, rows, tables

    loaded = registry.load(method)
    config = command.configured(store, api_base, timeout, concurrency)
    given = command.given(config, method, model, role, prompt, param, seed)
    asked = rows.folder_rows(loaded, str(data))
    if not asked:
        objects = rows.read_jsonl(data)
        if not hasattr(loaded.module, "prepare_rows"):
            rows.rows_of(loaded, objects, {})
        asked = [row for _, row in objects]
    made, pressed = command.watched(config, lambda opened, hooks: artefacts.prepare(opened, method, asked, given, **hooks))
    if as_json:
        output.emit({**made, "content": tables.brief(made["content"])})
    else:
        tables.show_prepared(made, getattr(loaded.module, "page", None))
    return 130 if pressed else int(made["status"] not in command.FINE)


@app.command()
def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="where to listen; beyond this machine only with a key")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535)] = 8700,
    key: Annotated[list[str] | None, typer.Option(metavar="KEY", help="that clients must send; better in SYMPOSIA_SERVE_KEY")] = None,
    cors: Annotated[list[str] | None, typer.Option(metavar="ORIGIN", help="an origin whose pages may ask; * for any")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(metavar="NAME", help="a host name the server is known by")] = None,
    allow_model: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="models that a name may choose; default any")] = None,
    max_runs: Annotated[int, typer.Option(metavar="N", min=1, help="runs at once; more are refused")] = 256,
    max_calls: Annotated[int, typer.Option(metavar="N", min=1, help="calls that a run may need")] = 2000,
    max_body: Annotated[float, typer.Option(metavar="MB", min=0.001, help="largest body of a request")] = 10,
    model: Model = None,
    api_base: ApiBase = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    unsafe_exec: UnsafeExec = False,
    store: StoreAddress = None,
) -> int:
    """Serve the methods to any client of OpenAI's interface.

    A model's name is METHOD[@MODEL][?PARAM=VALUE&...], or a preset of symposia.toml; a run's steps are its reasoning.
    """
    from symposia import command
    from symposia.serve.command import serve as start

    config = command.configured(store, api_base, timeout, concurrency, unsafe_exec=unsafe_exec or None)
    config.model = model or config.model
    limits: dict[str, Any] = {"most_runs": max_runs, "most_calls": max_calls, "most_megabytes": max_body}
    names: dict[str, Any] = {"keys": key or (), "hosts": allow_host or (), "origins": cors or (), "models": allow_model or ()}
    return start(config, host=host, port=port, **names, **limits)


@app.command("eval")
def evaluate(
    outputs: Annotated[list[Path], typer.Argument(metavar="OUT [OTHER...]", help="what `symposia batch` wrote, .jsonl or .parquet")],
    grader: Annotated[str | None, typer.Option(metavar="G", help="grade again: auto, exact, math, code, letter or judge")] = None,
    judge_model: Annotated[str | None, typer.Option("--judge-model", metavar="M", help="LiteLLM name of the judge")] = None,
    plot: Annotated[list[Path] | None, typer.Option("--plot", metavar="FILE", help="accuracy against cost, .png or .svg")] = None,
    seed: Seed = None,
    confidence: Annotated[float, typer.Option(metavar="P", help="of the intervals, between 0 and 1")] = 0.95,
    api_base: ApiBase = None,
    timeout: Timeout = None,
    concurrency: Concurrency = None,
    store: StoreAddress = None,
    as_json: Json = False,
) -> int:
    """Tell what outputs of a batch are worth.

    Accuracy with its interval, cost and time; two or more are compared on the rows they share.
    """
    from symposia import command
    from symposia.evaluation import run_eval

    config = command.configured(store, api_base, timeout, concurrency)
    judge: dict[str, Any] = {"judge_model": judge_model, "seed": seed}
    return run_eval(config, outputs, grader=grader, **judge, plots=plot or (), confidence=confidence, as_json=as_json)


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


for _command in (train, laser_train, bandit):  # each with its options in a file of its own
    app.command()(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    as_json, debug = "--json" in given[:end], "--debug" in given[:end]
    kept = [word for i, word in enumerate(given) if word != "--debug" or i > end]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = _dispatch(kept, as_json, debug)
    for stream in (sys.stdout, sys.stderr):
        _let_go(stream)
    raise SystemExit(code)


def _let_go(stream: Any) -> None:
    """Empty a stream; of one that nobody reads any more what is left is dropped, or it would change the exit code."""
    try:
        stream.flush()
    except OSError:
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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


def _usage(error: Any) -> "SymposiaError":
    """A complaint of typer's as an error of ours."""
    from symposia.state.errors import BadInput

    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "symposia"
    message = error.format_message().rstrip(".")
    return BadInput(message[:1].lower() + message[1:], remedy=f"`{path} --help` says how")


if __name__ == "__main__":
    main()
