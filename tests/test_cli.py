"""The command line: what stands on stdout, what on stderr, the exit codes, and that what was paid for is not bought again."""

import asyncio
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Command, Server, ended, started

from symposia import __version__, cli, registry
from symposia.command import Ctrl
from symposia.output import emit, safe
from symposia.tools.settings import configure

pytestmark = pytest.mark.usefixtures("folder")
COMMANDS = [
    "methods",
    "run",
    "resume",
    "runs",
    "show",
    "diff",
    "cancel",
    "replay",
    "fork",
    "prepare",
    "draw",
    "demo",
    "batch",
    "eval",
    "export",
    "report",
]
SUM = "Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?"


# -- without a run --------------------------------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy() -> None:
    script = "import sys\nfrom symposia import cli\ntry:\n    cli.main(['--help'])\nexcept SystemExit as end:\n    code = end.code\n"
    script += "heavy = {'asyncio', 'pydantic', 'rich', 'langgraph', 'langchain_core', 'litellm', 'symposia.runs'} & set(sys.modules)\n"
    script += "print(sorted(heavy), file=sys.stderr)\nsys.exit(code)"
    done = ended(subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    assert (done.code, done.err.strip()) == (0, "[]")
    assert all(re.search(rf"^  {name}  ", done.out, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(symposia: Command, name: str) -> None:
    done = symposia(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: symposia {name}")


def test_version_and_bare_command(symposia: Command) -> None:
    assert symposia("--version").out == f"symposia {__version__}\n"
    assert symposia().out.startswith("Usage: symposia")


@pytest.mark.parametrize("name", registry.names())
def test_methods_tell_about_each(symposia: Command, name: str) -> None:
    card = symposia("methods", name, "--json").json
    loaded = registry.load(name)
    assert card["name"] == name
    assert card["roles"] == list(loaded.method.roles)
    assert set(card["parameters"]) == set(loaded.params.model_fields)
    assert card["parameters"]["model"]["default"] == "toy/default"
    assert all(field["description"] for field in card["parameters"].values())
    assert card["calls_by_default"] > 0
    assert card["input"]
    shown = symposia("methods", name).out
    assert all(field in shown for field in card["parameters"])


def test_methods_lists_all(symposia: Command) -> None:
    cards = symposia("methods", "--json").json["methods"]
    assert [card["name"] for card in cards] == list(registry.names())
    shown = symposia("methods").out
    assert all(name in shown for name in registry.names())


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (["rnu"], "did you mean 'run'", "symposia --help"),
        (["run"], "missing argument 'METHOD'", "symposia run --help"),
        (["runs", "--limt", "3"], "no such option: --limt", "symposia runs --help"),
        (["runs", "--limit", "three"], "invalid value for '--limit'", "symposia runs --help"),
        (["run", "self_refin"], "unknown method 'self_refin'; did you mean 'self_refine'", "symposia methods"),
        (["run", "magicore", "q", "-p", "max_round=1"], "no parameter max_round; did you mean max_rounds", ""),
        (["run", "magicore", "q", "-p", "k=0"], "k: input should be greater than or equal to 1, got 0", ""),
        (["run", "magicore", "q", "-p", "k"], "-p 'k' is not of the form name=value", "-p name=value"),
        (["run", "magicore", "q", "--role", "reviwer=m"], "unknown role 'reviwer'; did you mean 'reviewer'", "refiner"),
        (["run", "magicore", "q", "--role", "reviewer=a,,b"], "names no model", "reviewer=MODEL"),
        (["run", "magicore", "q", "--role", "solver=toy/stron"], "no toy model 'stron'; there are default, strong, weak", "toy/default"),
        (["run", "magicore", "q", "--pause-before", "refin"], "unknown node 'refin'; did you mean 'refine'", "classify"),
        (["run", "magicore", "q", "--checkpoints", "some"], "checkpoints is 'some'", "each or none"),
        (["run", "magicore", "q", "--input", "quesion=x"], "unknown input 'quesion'; did you mean 'question'", "task"),
        (["run", "magicore", "q", "--input", "task=@gone.txt"], "input task cannot be read", "@FILE"),
        (["run", "magicore", "q", "--task", "lettr"], "no answer task 'lettr'; did you mean 'letter'", "--task"),
        (["run", "magicore", "q", "--prompt", "reviewer=@gone.txt"], "gone.txt cannot be read", "@review.txt"),
        (["run", "magicore", "  "], "the question is empty", "QUESTION"),
        (["run", "magicore", "q", "--file", "x.jsonl"], "a question and --file are both given", "one of them"),
        (["run", "magicore", "--file", "gone.jsonl"], "gone.jsonl cannot be read", "UTF-8"),
        (["run", "magicore", "q", "--api-base", "localhost:8000"], "is no http address", "http://"),
        (["run", "magicore", "q", "--api-base", "http://127.0.0.1:9/v1"], "--api-base is given, but no model", "/v1/models"),
        (["show", "abc"], "there is no store at .symposia/store.db", "--store"),
        (["prepare", "magicore", "gone.jsonl"], "gone.jsonl cannot be read", "UTF-8"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_says_what_would_be_right(symposia: Command, folder: Path, arguments: list[str], message: str, remedy: str) -> None:
    done = symposia(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message.lower() in done.err.lower()
    assert remedy in done.err.partition("->")[2]
    error = symposia(*arguments, "--json")
    assert error.code == 2
    assert message.lower() in error.json["error"]["message"].lower()
    assert not (folder / ".symposia").exists()


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["methods", "nonsense", "--debug"])
    assert end.value.code == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ('{"question": ', "line 3", "no JSON"),
        ('["question"]', "line 3", "no JSON object"),
        ('{"question": "x", "answer": NaN}', "line 3", "NaN is no number in JSON"),
        ('{"quesiton": "x"}', "line 3, field question", "did you mean 'quesiton'"),
        ('{"prompt": "x", "id": 1}', "line 3, field question", "it has prompt, id"),
        ('{"question": " "}', "line 3, field question", "the question is empty"),
        ('{"question": 7}', "line 3, field question", "the question is 7, no text"),
        ('{"question": "x", "task": "lettr"}', "line 3", "did you mean 'letter'"),
    ],
)
def test_bad_rows_are_named_before_any_call(symposia: Command, folder: Path, line: str, place: str, message: str) -> None:
    (folder / "in.jsonl").write_text(f'{{"question": "1 + 1?"}}\n\n{line}\n')
    done = symposia("run", "self_consistency", "--file", "in.jsonl", "--json")
    assert done.code == 2
    assert done.json["error"]["place"] == f"in.jsonl, {place}"
    assert message in done.json["error"]["message"]
    assert f"at in.jsonl, {place}" in done.err
    assert not (folder / ".symposia").exists()


def test_an_empty_file_is_bad_input(symposia: Command, folder: Path) -> None:
    (folder / "in.jsonl").write_text("\n \n")
    assert "holds no row" in symposia("run", "self_consistency", "--file", "in.jsonl").err


def test_a_prompt_with_a_wrong_placeholder_is_bad_input(symposia: Command, folder: Path) -> None:
    (folder / "review.txt").write_text("Look at {draught}.")
    done = symposia("run", "self_refine", "q", "--prompt", "reviewer=@review.txt")
    assert done.code == 2
    assert "prompt of reviewer uses {draught}; it may use" in done.err


# -- what is printed ------------------------------------------------------------------------------------------------------------------


def test_control_characters_are_spelled_out() -> None:
    assert safe("a\x1b[2Jb\rc\x07\x9b1m\u202ed\ufeff\ud800") == "a\\x1b[2Jb\\x0dc\\x07\\x9b1m\\u202ed\\ufeff\\ud800"
    assert safe("two\r\nlines\tand é, 漢, 👩\u200d🚀 [bold]") == "two\nlines\tand é, 漢, 👩\u200d🚀 [bold]"


def test_json_is_plain_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"text": "\x1b]0;x\x07é\u202e\ud800", "number": float("inf"), "inner": [float("nan"), 1]})
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == {"text": "\x1b]0;x\x07é\u202e\ud800", "number": "inf", "inner": ["nan", 1]}


async def test_a_second_ctrl_c_cuts_through_nothing() -> None:
    done = []
    with Ctrl() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        done.append("what is between two steps of the loop")
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(60)
    current = asyncio.current_task()
    assert current
    current.uncancel()
    assert (done, stop.pressed) == (["what is between two steps of the loop"], True)


# -- runs of toy models ---------------------------------------------------------------------------------------------------------------


def test_run_without_a_question_takes_a_bundled_problem(symposia: Command) -> None:
    done = symposia("run", "self_consistency", "-p", "k=3", "--seed", "1", "--json")
    assert done.code == 0
    assert done.json["status"] == "ok"
    assert done.json["calls"] == {"live": 3, "replayed": 0, "by_role": {"solver": 3}}
    assert f"run {done.json['run_id']}\n" in done.err
    assert "the first bundled problem is taken" in done.err
    assert "no language model" in done.err
    record = symposia("runs", "--json").json["runs"][0]
    assert record["run_id"] == done.json["run_id"]
    assert record["reference"] is not None


def test_human_output_ends_with_the_next_command(symposia: Command) -> None:
    done = symposia("run", "self_consistency", SUM, "-p", "k=3", "--seed", "1")
    found = re.search(r"^next +symposia show (\w+)$", done.out, re.MULTILINE)
    assert done.code == 0
    assert found
    assert re.search(r"^calls +3: solver 3$", done.out, re.MULTILINE)
    assert "no language model" in done.out
    assert done.err == f"run {found[1]}\n"
    assert found[1] in symposia("runs").out


def test_the_question_from_stdin(symposia: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SUM.encode() + b"\n")))
    assert symposia("run", "chain_of_thought", "-", "--seed", "1", "--json").json["status"] == "ok"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"One line.\r\nHow many?\r\n")))
    asked = symposia("run", "chain_of_thought", "-", "--json").json["run_id"]
    assert symposia("show", asked, "--json").json["run"]["input"]["question"] == "One line.\nHow many?"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert "the question is empty" in symposia("run", "chain_of_thought", "-").err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))
    assert "standard input is no UTF-8" in symposia("run", "chain_of_thought", "-").err


def test_the_rows_of_a_file(symposia: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = symposia("run", "self_consistency", SUM, "-p", "k=5", "--seed", "1", "--json").json["answer"]
    rows = [{"id": "a", "question": SUM, "answer": answer}, {"question": SUM, "answer": -1}, {"question": SUM, "task": "number"}]
    text = "\ufeff" + "\n".join(json.dumps(row) for row in rows)
    (folder / "in.jsonl").write_text(text, encoding="utf-8")
    done = symposia("run", "self_consistency", "--file", "in.jsonl", "-p", "k=5", "--seed", "1", "--json")
    found = done.json["runs"]
    assert done.code == 0
    assert [row["row"] for row in found] == ["a", 2, 3]
    assert [row["correct"] for row in found] == [True, False, None]
    assert [row["reference"] for row in found] == [answer, -1, None]
    assert "3 of 3 rows, 0 failed, 1 of 2 correct" in done.err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    table = symposia("run", "self_consistency", "--file", "-", "-p", "k=1", "--seed", "1").out
    assert len(re.findall(r" ok ", table)) == 3


def test_pause_set_resume_replay_and_fork(symposia: Command) -> None:
    options = ("-p", "max_rounds=1", "--seed", "1", "--pause-before", "finish", "--json")
    paused = symposia("run", "self_refine", SUM, *options)
    run_id = paused.json["run_id"]
    assert (paused.code, paused.json["status"], paused.json["waiting"]["next"]) == (0, "paused", ["finish"])
    assert re.search(r"paused", symposia("runs").out)
    step = paused.json["waiting"]["step"]

    assert "unknown state key 'draughts'" in symposia("resume", run_id, "--set", "draughts=[]").err
    assert "no JSON" in symposia("resume", run_id, "--set", "answers=[1").err
    assert "asks nobody anything" in symposia("resume", run_id, "--answer", "true").err
    resumed = symposia("resume", run_id[:6], "--json")
    assert (resumed.code, resumed.json["status"], resumed.json["calls"]["live"]) == (0, "ok", 0)

    replayed = symposia("replay", run_id, "--json")
    assert (replayed.code, replayed.json["identical"], replayed.json["calls"]["live"]) == (0, True, 0)
    assert "identical" in symposia("replay", run_id).out

    forked = symposia("fork", run_id, "--at", step, "-p", "max_rounds=0", "--json")
    assert forked.json["parent"]["run"] == run_id
    assert forked.json["calls"]["live"] == 0
    assert f"run {forked.json['run_id']}" in forked.err
    assert "has the steps 1 to" in symposia("fork", run_id, "--at", "99").err
    assert "no parameter kk" in symposia("fork", run_id, "--at", step, "-p", "kk=1").err
    assert "unknown role" in symposia("fork", run_id, "--at", step, "--role", "judge=m").err
    assert "is not running: it is ok" in symposia("cancel", run_id).err
    assert symposia("cancel", run_id).code == 2
    assert "unknown run 'zz'" in symposia("replay", "zz").err


def test_a_changed_journal_is_not_identical(symposia: Command, folder: Path) -> None:
    run_id = symposia("run", "self_consistency", SUM, "-p", "k=2", "--seed", "1", "--json").json["run_id"]
    with sqlite3.connect(folder / ".symposia" / "store.db") as db:
        db.execute("DELETE FROM entries WHERE kind = 'llm' AND place LIKE '%b1'")
    db.close()
    done = symposia("replay", run_id, "--json")
    assert (done.code, done.json["identical"]) == (1, False)
    assert done.json["first_divergence"]["node"] == "solve"
    human = symposia("replay", run_id)
    assert human.code == 1
    assert "not identical" in human.out


def test_a_prepared_artefact_is_named_in_a_run(symposia: Command, folder: Path) -> None:
    (folder / "data.jsonl").write_text(json.dumps({"question": SUM}) + "\n")
    options = ("-p", "k=2", "--seed", "1")
    made = symposia("prepare", "magicore", "data.jsonl", *options, "--json")
    assert (made.code, made.json["method"], made.json["status"]) == (0, "magicore", "ok")
    again = symposia("prepare", "magicore", "data.jsonl", *options)
    assert f"artefact {made.json['artefact_id']}" in again.out
    artefact = f"artefact={made.json['artefact_id']}"
    assert artefact in again.out
    assert symposia("run", "magicore", SUM, *options, "-p", artefact, "--json").json["status"] == "ok"
    gone = symposia("run", "magicore", SUM, "-p", "artefact=gone", "--json")
    assert (gone.code, gone.json["error"]["name"]) == (2, "UnknownName")
    assert "needs nothing prepared" in symposia("prepare", "self_refine", "data.jsonl").err


def test_roles_of_several_models_and_looking_at_runs(symposia: Command) -> None:
    roles = ("--role", "solver=toy/weak,toy/strong", "--role", "solver=toy/default")
    first = symposia("run", "self_consistency", SUM, "-p", "k=3", *roles)
    run_id = symposia("runs", "--limit", "1", "--json").json["runs"][0]["run_id"]
    assert re.search(r"^model +solver: toy/weak, toy/strong, toy/default$", first.out, re.MULTILINE)
    shown = symposia("show", run_id, "--json")
    assert shown.json["run"]["params"]["roles"] == {"solver": ["toy/weak", "toy/strong", "toy/default"]}
    assert symposia("show", run_id, "--step", "1", "--calls").code == 0
    other = symposia("fork", run_id, "--at", "1", "--role", "solver=toy/default?error=0", "--json").json["run_id"]
    compared = symposia("diff", run_id, other, "--json")
    assert compared.code == 0
    assert compared.json
    assert "solve" in symposia("draw", "self_consistency").out


def test_settings_from_file_and_environment(symposia: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "symposia.toml").write_text('store = "mine.db"\n[params.self_consistency]\nk = 2\n')
    done = symposia("run", "self_consistency", SUM, "--json")
    assert done.json["calls"]["live"] == 2
    assert (folder / "mine.db").exists()
    monkeypatch.setenv("SYMPOSIA_STORE", "other.db")
    assert symposia("runs", "--json").json == {"runs": []}
    assert not (folder / "other.db").exists()
    assert len(symposia("runs", "--store", "mine.db", "--json").json["runs"]) == 1
    (folder / "symposia.toml").write_text('stor = "mine.db"\n')
    assert "unknown setting 'stor'; did you mean 'store'" in symposia("runs").err


def test_a_store_of_another_format(symposia: Command, folder: Path) -> None:
    with sqlite3.connect(folder / "old.db") as db:
        db.execute("CREATE TABLE symposia_format (version INTEGER NOT NULL)")
        db.execute("INSERT INTO symposia_format VALUES (0)")
    db.close()
    done = symposia("runs", "--store", "old.db")
    assert done.code == 1
    assert "has format 0" in done.err
    (folder / "text.db").write_text("no database at all, but a text that is long enough to be read as one" * 20)
    assert "is no SQLite file" in symposia("runs", "--store", "text.db").err


# -- runs against a server ------------------------------------------------------------------------------------------------------------


def test_failures_have_names_and_remedies(symposia: Command, models: Server, folder: Path) -> None:
    models.post("_set", faults=["401"])
    done = symposia("run", "chain_of_thought", "q", "--json", *models.options)
    assert (done.code, done.json["status"], done.json["answer"]) == (1, "failed", None)
    assert done.json["error"]["name"] == "MissingKey"
    assert "SYMPOSIA_API_KEY" in done.json["error"]["remedy"]
    human = symposia("runs")
    assert "failed" in human.out

    resumed = symposia("resume", done.json["run_id"], "--api-base", models.at.url, "--json")
    assert (resumed.code, resumed.json["status"], resumed.json["calls"]["live"]) == (0, "ok", 1)

    models.post("_set", faults=["ok", "401", "ok"])
    (folder / "in.jsonl").write_text('{"question": "a"}\n' * 3)
    rows = symposia("run", "chain_of_thought", "--file", "in.jsonl", *models.options)
    assert rows.code == 1
    assert len(re.findall(r" ok ", rows.out)) == 2
    assert "row 2: " in rows.err


def test_an_endpoint_that_is_down(symposia: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(attempts=1)
    done = symposia("run", "chain_of_thought", "q", "--model", "m", "--api-base", "http://127.0.0.1:9/v1")
    assert done.code == 1
    assert "cannot be reached" in done.err
    assert "-> start it, or correct --api-base" in done.err
    assert re.search(r"^next +symposia resume \w+$", done.out, re.MULTILINE)


def test_ctrl_c_lets_calls_end_and_resume_buys_none_again(symposia: Command, models: Server) -> None:
    models.post("_set", hold=True)
    process = started("run", "self_consistency", "q", "-p", "k=5", "--concurrency", "2", "--json", *models.options)
    models.get("_wait?held=2&timeout=60")
    process.send_signal(signal.SIGINT)
    assert process.stderr
    heard = [process.stderr.readline(), process.stderr.readline()]
    assert heard[0].startswith("run ")
    assert heard[1].startswith("stopping")
    models.post("_set", hold=False)
    models.post("_release")
    stopped = ended(process)
    assert (stopped.code, stopped.json["status"], stopped.json["calls"]["live"]) == (130, "stopped", 2)
    assert models.received == 2

    resumed = symposia("resume", stopped.json["run_id"], "--api-base", models.at.url, "--json")
    assert (resumed.code, resumed.json["status"]) == (0, "ok")
    assert resumed.json["calls"] == {"live": 3, "replayed": 2, "by_role": {"solver": 5}}
    assert models.received == 5
    assert symposia("replay", resumed.json["run_id"]).code == 0


def test_a_second_ctrl_c_ends_at_once(symposia: Command, models: Server) -> None:
    models.post("_set", hold=True)
    process = started("run", "self_consistency", "q", "-p", "k=2", "--json", *models.options)
    models.get("_wait?held=2&timeout=60")
    process.send_signal(signal.SIGINT)
    assert process.stderr
    run_id = process.stderr.readline().split()[1]
    assert process.stderr.readline().startswith("stopping")
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert (done.code, done.out) == (130, "")
    models.post("_set", hold=False)
    models.post("_release")
    assert symposia("runs", "--json").json["runs"][0]["status"] == "stopped"
    assert symposia("resume", run_id, "--api-base", models.at.url, "--json").json["status"] == "ok"


def test_cancel_from_another_process(symposia: Command, models: Server) -> None:
    models.post("_set", delay_s=0.2)
    process = started("run", "self_consistency", "q", "-p", "k=100", "--concurrency", "1", "--json", *models.options)
    assert process.stderr
    run_id = process.stderr.readline().split()[1]
    models.get("_wait?answered=1&timeout=60")
    assert symposia("cancel", run_id, "--json").json == {"run_id": run_id, "asked_to_stop": True}
    done = ended(process)
    assert (done.code, done.json["status"]) == (1, "stopped")
    assert done.json["calls"]["live"] == models.received < 100
