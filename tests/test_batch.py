"""`symposia batch`: rows in, lines out, and what happens on the way: starts, stops, faults, money, models, other files."""

import fcntl
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Server, ended, started

from symposia.api import abatch
from symposia.batches.command import seconds_of
from symposia.state.errors import BadInput
from symposia.tools.settings import configure

pytestmark = pytest.mark.usefixtures("folder")


def rows(n: int, name: str = "in.jsonl", **over: Any) -> Path:
    """A data set of n sums."""
    path = Path(name)
    path.write_text(
        "".join(json.dumps({"id": f"r{i}", "question": f"What is {i} plus {i}?", "answer": 2 * i} | over) + "\n" for i in range(n))
    )
    return path


def lines(path: str | Path = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def by_id(path: str | Path = "out.jsonl") -> dict[Any, dict[str, Any]]:
    found = lines(path)
    assert len({line["id"] for line in found}) == len(found), "a row has two lines"
    return {line["id"]: line for line in found}


# -- in and out -----------------------------------------------------------------------------------------------------------------------


def test_a_line_per_row_and_the_same_command_again_does_nothing(symposia: Command, models: Server) -> None:
    command = ("batch", "self_consistency", rows(20), "-o", "out.jsonl", "-p", "k=3", "--json", *models.options)
    done = symposia(*command)
    assert done.code == 0, done.err
    assert done.json["rows"] == {"total": 20, "done_before": 0, "ok": 20, "no_answer": 0, "failed": 0, "left": 0}
    assert done.json["calls"]["live"] == done.json["requests"] == models.received == 60
    found = by_id()
    assert set(found) == {f"r{i}" for i in range(20)}
    keys = [
        "id",
        "row",
        "run_id",
        "status",
        "answer",
        "reference",
        "correct",
        "stop_reason",
        "error",
        "calls",
        "requests",
        "usage",
        "cost_usd",
        "seconds",
    ]
    assert list(found["r3"]) == keys
    assert (found["r3"]["row"], found["r3"]["reference"], found["r3"]["calls"]) == (
        4,
        6,
        {"live": 3, "replayed": 0, "by_role": {"solver": 3}},
    )
    before = Path("out.jsonl").read_bytes()
    again = symposia(*command)
    assert (again.code, again.json["calls"]["live"], again.json["rows"]["done_before"]) == (0, 0, 20)
    assert Path("out.jsonl").read_bytes() == before
    assert models.received == 60


def test_a_changed_row_is_run_again_and_a_changed_reference_only_graded(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", "in.jsonl", "-o", "out.jsonl", "--json", *models.options)
    rows(4)
    assert symposia(*command).code == 0
    first = by_id()
    changed = [json.loads(line) for line in Path("in.jsonl").read_text().splitlines()]
    changed[1]["question"] = "What is 5 minus 3?"
    changed[2]["answer"] = first["r2"]["answer"]
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    done = symposia(*command)
    assert done.code == 0
    second = by_id()
    assert models.received == 5
    assert second["r1"]["run_id"] != first["r1"]["run_id"]
    assert second["r2"]["run_id"] == first["r2"]["run_id"]
    assert second["r2"]["correct"] is True
    assert {k: second[k] for k in ("r0", "r3")} == {k: first[k] for k in ("r0", "r3")}


def test_a_further_row_and_a_limit(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", rows(6), "-o", "out.jsonl", "--json", *models.options)
    assert symposia(*command, "--limit", 2).json["rows"]["total"] == 2
    assert symposia(*command).json["rows"] == {"total": 6, "done_before": 2, "ok": 6, "no_answer": 0, "failed": 0, "left": 0}
    assert models.received == 6
    assert symposia(*command, "--limit", 1).json["rows"]["total"] == 1
    assert len(by_id()) == 6, "lines of rows beyond the limit stay"


def test_another_parameter_needs_another_file(symposia: Command, models: Server) -> None:
    command = ("batch", "self_consistency", rows(2), "-o", "out.jsonl", *models.options)
    assert symposia(*command, "-p", "k=2").code == 0
    before = Path("out.jsonl").read_bytes()
    done = symposia(*command, "-p", "k=3")
    assert done.code == 2
    assert "k was 2, is now 3" in done.err
    assert "-o FILE" in done.err
    other = symposia("batch", "chain_of_thought", "in.jsonl", "-o", "out.jsonl", *models.options)
    assert (other.code, "method was" in other.err) == (2, True)
    assert Path("out.jsonl").read_bytes() == before
    assert models.received == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [("precious notes\n", "no JSON"), ('{"question": "q"}\n', "no line of a batch"), ('{"a": 1}\n{"b"', "no line of a batch")],
)
def test_a_file_that_is_something_else_is_left_alone(symposia: Command, models: Server, text: str, message: str) -> None:
    Path("out.jsonl").write_text(text)
    done = symposia("batch", "chain_of_thought", rows(2), "-o", "out.jsonl", *models.options)
    assert (done.code, message in done.err, "out.jsonl, line 1" in done.err) == (2, True, True)
    assert Path("out.jsonl").read_text() == text
    assert models.received == 0


def test_a_line_cut_off_by_a_kill_is_written_again_without_a_call(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", rows(5), "-o", "out.jsonl", "--json", *models.options)
    assert symposia(*command).code == 0
    whole = by_id()
    data = Path("out.jsonl").read_bytes()
    Path("out.jsonl").write_bytes(data[: data.rindex(b"\n", 0, -1) + 30])
    done = symposia(*command)
    assert (done.code, done.json["calls"]["live"], models.received) == (0, 0, 5)
    assert by_id() == whole


def test_a_store_that_does_not_know_the_batch(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", rows(2), "-o", "out.jsonl", *models.options)
    assert symposia(*command, "--store", "one.db").code == 0
    done = symposia(*command, "--store", "two.db")
    assert (done.code, "not in two.db" in done.err, "--store" in done.err) == (2, True, True)


def test_repeats_are_samples_of_their_own(symposia: Command, models: Server) -> None:
    done = symposia("batch", "chain_of_thought", rows(3), "-o", "out.jsonl", "--repeat", 2, "--seed", 7, "--json", *models.options)
    assert (done.json["rows"]["ok"], models.received) == (6, 6)
    assert Counter((line["id"], line["repeat"]) for line in lines()) == {(f"r{i}", n): 1 for i in range(3) for n in (1, 2)}


def test_parquet_comes_whole_at_the_end(symposia: Command, models: Server) -> None:
    from symposia.parquet import read_parquet

    command = ("batch", "chain_of_thought", rows(4), "-o", "out.parquet", "--json", *models.options)
    models.post("_set", faults=["400"])
    assert symposia(*command).code == 1
    assert symposia(*command).code == 0
    found = read_parquet(Path("out.parquet"))
    assert [(line["id"], line["row"], line["status"]) for line in found] == [(f"r{i}", i + 1, "ok") for i in range(4)]
    assert models.received == 5
    assert symposia(*command).json["calls"]["live"] == 0
    assert sorted(p.name for p in Path().glob("out*")) == ["out.parquet"]


def test_fields_are_mapped(symposia: Command, models: Server) -> None:
    Path("in.csv").write_text("key,prompt,gold\n7,What is 2 plus 2?,4\n")
    options = ("--map", "question=prompt", "--map", "id=key", "--map", "answer=gold")
    assert symposia("batch", "chain_of_thought", "in.csv", "-o", "out.jsonl", *options, *models.options).code == 0
    assert [(line["id"], line["reference"]) for line in lines()] == [("7", "4")]


def test_bad_rows_are_named_before_the_first_call(symposia: Command, models: Server) -> None:
    Path("in.jsonl").write_text('{"question": "q"}\n{"prompt": "q"}\n{"question": 3}\nno json\n')
    done = symposia("batch", "chain_of_thought", "in.jsonl", "-o", "out.jsonl", *models.options)
    assert done.code == 2
    assert all(text in done.err for text in ("line 2", "line 3", "line 4")) or "line 4" in done.err
    assert not Path("out.jsonl").exists()
    assert models.received == 0


# -- faults ---------------------------------------------------------------------------------------------------------------------------


def test_a_third_of_faults_ends_ok_or_with_a_name_and_a_second_pass_finishes(symposia: Command, models: Server) -> None:
    rates = {"429:0": 0.06, "500": 0.06, "timeout": 0.03, "cut": 0.05, "empty": 0.05, "malformed": 0.05}
    models.post("_set", faults=rates, retry_after="0")
    options = ("--timeout", 0.3, "--concurrency", 32, "--json", *models.options)
    command = ("batch", "chain_of_thought", rows(60), "-o", "out.jsonl", *options)
    Path("symposia.toml").write_text("attempts = 2\nmax_wait = 0.1\n")
    done = symposia(*command)
    found = by_id()
    assert len(found) == 60
    failed = [line for line in found.values() if line["status"] == "failed"]
    assert failed, "no row failed: the test shows nothing"
    assert all(line["error"]["name"] in ("RateLimited", "EndpointDown", "MalformedReply") and line["error"]["remedy"] for line in failed)
    assert done.code == 1
    assert sum(cause["count"] for cause in done.json["failures"]) == len(failed) == done.json["rows"]["failed"]
    models.post("_set", faults={})
    received = models.received
    again = symposia(*command)
    assert (again.code, again.json["rows"]["ok"], again.json["rows"]["done_before"]) == (0, 60, 60 - len(failed))
    assert models.received - received == len(failed)
    assert {k: v for k, v in by_id().items() if found[k]["status"] == "ok"} == {k: v for k, v in found.items() if v["status"] == "ok"}


def test_no_answer_is_tried_again_when_asked(symposia: Command, models: Server) -> None:
    models.post("_set", faults=["refusal"])
    command = ("batch", "chain_of_thought", rows(2), "-o", "out.jsonl", "--json", "--concurrency", 1, *models.options)
    assert symposia(*command).json["rows"]["no_answer"] == 1
    assert symposia(*command).json["calls"]["live"] == 0
    done = symposia(*command, "--retry", "no_answer")
    assert (done.json["rows"]["ok"], done.json["calls"]["live"], models.received) == (2, 1, 3)


def test_two_batches_on_one_file(symposia: Command, models: Server) -> None:
    models.post("_set", hold=True)
    command = ("batch", "chain_of_thought", rows(2), "-o", "out.jsonl", *models.options)
    first = started(*command)
    models.get("_wait?held=2&timeout=60")
    second = symposia(*command, "--store", "other.db")
    assert (second.code, "another batch is writing to out.jsonl" in second.err) == (2, True)
    models.post("_set", hold=False)
    models.post("_release")
    assert ended(first).code == 0
    assert len(by_id()) == 2
    assert models.received == 2


def test_a_full_disk_loses_nothing(symposia: Command, models: Server) -> None:
    """The disk is full as soon as the output holds 2 KB: half a line still fits, the rest goes to a device that has no room."""
    script = (
        "import os, sys; from symposia import cli; from symposia.batches import out; write = out._write\n"
        "def full(number, data):\n"
        "    if os.fstat(number).st_size < 2000: return write(number, data)\n"
        "    write(number, data[:100]); write(os.open('/dev/full', os.O_WRONLY), data[100:])\n"
        "out._write = full; cli.main(sys.argv[1:])"
    )
    models.post("_set", delay_s=0.03)
    command = ("batch", "chain_of_thought", str(rows(30)), "-o", "out.jsonl", "--concurrency", "2", *models.options)
    done = ended(subprocess.Popen([sys.executable, "-c", script, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    assert done.code == 1
    assert "no space left on the disk" in done.err
    written = lines()
    assert 0 < len(written) < 30
    received = models.received
    assert symposia(*command).code == 0
    assert len(by_id()) == 30
    assert models.received == received + 30 - received, "what was paid for before the disk was full was bought again"


def test_a_full_store_is_said(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", str(rows(40)), "-o", "out.jsonl", "--store", "s.db", *models.options)
    script = (
        "import sys; from symposia import cli; from symposia.state.sqlite import SqliteStore; set_up = SqliteStore._set_up\n"
        "async def small(self):\n"
        "    await set_up(self); self._connection.execute('PRAGMA max_page_count=42')\n"
        "SqliteStore._set_up = small; cli.main(sys.argv[1:])"
    )
    done = ended(subprocess.Popen([sys.executable, "-c", script, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    assert (done.code, "no space left on the disk" in done.err) == (1, True), done.err
    with sqlite3.connect("s.db") as db:
        kept = db.execute("SELECT count(*) FROM entries").fetchone()[0]
    received = models.received
    assert symposia(*command).code == 0
    assert len(by_id()) == 40
    assert models.received == received + 40 - kept


def test_a_store_and_an_output_that_cannot_be_written(symposia: Command, models: Server) -> None:
    Path("shut").mkdir()
    command = ("batch", "chain_of_thought", rows(1), *models.options)
    Path("shut/s.db").write_text("no database, just text, and long enough to be read as a header of one: " + "x" * 100)
    done = symposia(*command, "-o", "out.jsonl", "--store", "shut/s.db")
    assert (done.code, "no SQLite file" in done.err) == (1, True)
    done = symposia(*command, "-o", "shut")
    assert (done.code, "no regular file" in done.err) == (2, True)
    done = symposia(*command, "-o", "in.jsonl/out.jsonl")
    assert (done.code, "cannot be written" in done.err) == (2, True)
    if os.geteuid():
        Path("shut").chmod(stat.S_IRUSR | stat.S_IXUSR)
        done = symposia(*command, "-o", "shut/out.jsonl")
        assert (done.code, "cannot be written" in done.err) == (2, True)
    assert models.received == 0


# -- stopping -------------------------------------------------------------------------------------------------------------------------


def test_ctrl_c_lets_what_is_in_flight_end_and_the_same_command_goes_on(symposia: Command, models: Server) -> None:
    models.post("_set", hold=True)
    command = ("batch", "self_consistency", rows(10), "-o", "out.jsonl", "-p", "k=2", "--concurrency", 4, "--json", *models.options)
    batch = started(*command)
    models.get("_wait?held=4&timeout=60")
    batch.send_signal(signal.SIGINT)
    time.sleep(0.5)
    models.post("_set", hold=False)
    models.post("_release")
    first = ended(batch)
    assert first.code == 130
    assert "stopping" in first.err
    assert first.json["rows"]["left"] + len(lines()) == 10
    assert models.received == 4
    second = symposia(*command)
    assert (second.code, len(by_id()), models.received) == (0, 10, 20)


def test_a_second_ctrl_c_ends_at_once(symposia: Command, models: Server) -> None:
    command = ("batch", "self_consistency", rows(6), "-o", "out.jsonl", "-p", "k=2", "--concurrency", 4, *models.options)
    models.post("_set", faults=["ok"] * 4 + ["hold"] * 100)
    batch = started(*command)
    models.get("_wait?held=4&timeout=60")
    for _ in range(2):
        batch.send_signal(signal.SIGINT)
        time.sleep(0.4)
    done = ended(batch)
    assert (done.code, "ended at once" in done.err) == (130, True)
    models.post("_release")
    models.post("_set", faults={})
    assert symposia(*command).code == 0
    assert len(by_id()) == 6
    assert models.received == 12 + 4


def test_a_budget_in_tokens_stops_and_holds_over_starts(symposia: Command, models: Server) -> None:
    command = ("batch", "self_consistency", rows(20), "-o", "out.jsonl", "-p", "k=2", "--concurrency", 4, "--json", *models.options)
    first = symposia(*command, "--budget-tokens", 3000)
    spent = first.json["spent_in_all"]["tokens"]
    assert first.code == 1
    assert "the budget in tokens is used up" in first.json["stopped"]
    assert 1500 < spent <= 3000 + 4 * 400
    assert 0 < len(lines()) < 20
    received = models.received
    again = symposia(*command, "--budget-tokens", 3000)
    assert (again.code, again.json["rows"]["left"] > 0) == (1, True)
    assert models.received - received <= 3000 // 250, "an earlier start's tokens were forgotten"
    assert symposia(*command).code == 0
    assert (len(by_id()), models.received) == (20, 40)


def test_a_budget_in_usd_needs_prices(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", rows(8), "-o", "out.jsonl", "--concurrency", 2, "--json", *models.options)
    done = symposia(*command, "--budget-usd", 0.01)
    assert (done.code, done.json["error"]["name"], "test-model" in done.err, "symposia.toml" in done.err) == (2, "BadInput", True, True)
    assert models.received == 0
    Path("symposia.toml").write_text('[prices."test-model"]\ninput = 10\noutput = 20\n')
    done = symposia(*command, "--budget-usd", 0.02)
    assert done.code == 1
    assert "the budget in USD is used up" in done.json["stopped"]
    assert 0.008 < done.json["cost_usd"] <= 0.03
    found = lines()[0]
    assert found["cost_usd"] == pytest.approx((found["usage"]["prompt_tokens"] * 10 + found["usage"]["completion_tokens"] * 20) / 1e6)


def test_a_served_reward_model_has_a_price_when_one_is_set(symposia: Command, models: Server) -> None:
    roles = ("--role", f"outcome=reward/{models.at.root}?model=orm", *models.options)
    command = ("batch", "best_of_n", rows(2), "-o", "out.jsonl", "-p", "k=2", "--budget-usd", 5, "--json", *roles)
    Path("symposia.toml").write_text('[prices."test-model"]\ninput = 10\noutput = 20\n')
    done = symposia(*command)
    assert (done.code, "reward/orm" in done.err, models.received) == (2, True, 0)
    Path("symposia.toml").write_text('[prices."test-model"]\ninput = 0\noutput = 0\n[prices."reward/orm"]\ninput = 30\noutput = 0\n')
    done = symposia(*command)
    assert done.code == 0
    assert 0 < done.json["cost_usd"] == pytest.approx(sum(line["cost_usd"] for line in lines()), abs=1e-5)


def test_a_time_limit(symposia: Command, models: Server) -> None:
    models.post("_set", delay_s=0.3)
    command = ("batch", "chain_of_thought", rows(40), "-o", "out.jsonl", "--concurrency", 1, "--json", *models.options)
    done = symposia(*command, "--time-limit", "1s")
    assert (done.code, done.json["stopped"]) == (1, "the time limit is reached")
    assert 0 < len(lines()) == models.received < 40


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("45s", 45), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("0.5h", 1800)])
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["soon", "-3", "0", "5 days", ""])
def test_no_times(text: str) -> None:
    with pytest.raises(BadInput):
        seconds_of(text)


# -- scheduling -----------------------------------------------------------------------------------------------------------------------


def test_calls_fill_the_slots_and_rows_overlap(symposia: Command, models: Server) -> None:
    models.post("_set", delay_s=0.05)
    done = symposia("batch", "self_consistency", rows(30), "-o", "out.jsonl", "-p", "k=3", "--concurrency", 16, *models.options)
    assert done.code == 0
    assert models.get("_count")["max_in_flight"] == 16


def test_by_model_each_model_comes_once_per_stage(symposia: Command, models: Server) -> None:
    models.post("_set", deterministic=True, record_bodies=True)
    roles = ("--role", "reviewer=second", "--role", "refiner=third")
    command = ("batch", "self_refine", rows(12), *roles, "-p", "max_rounds=2", "--seed", 1, *models.options)
    assert symposia(*command, "-o", "by_row.jsonl").code == 0
    models.post("_reset")
    assert symposia(*command, "-o", "by_model.jsonl", "--order", "model").code == 0
    used = [entry["model"] for entry in models.get("_log")]
    brought = [model for model, before in zip(used, [None, *used], strict=False) if model != before]
    assert brought == ["test-model", "second", "third", "second", "third", "second"]
    same = ("status", "answer", "correct", "calls", "usage")
    ours, theirs = by_id("by_model.jsonl"), by_id("by_row.jsonl")
    assert {k: [v[key] for key in same] for k, v in ours.items()} == {k: [v[key] for key in same] for k, v in theirs.items()}


# -- forks, and looking at rows -------------------------------------------------------------------------------------------------------


def test_a_fork_of_a_batch_calls_only_what_changed(symposia: Command, models: Server) -> None:
    assert symposia("batch", "self_consistency", rows(5), "-o", "out.jsonl", "-p", "k=4", *models.options).code == 0
    assert models.received == 20
    done = symposia(
        "batch", "self_consistency", "--from", "out.jsonl", "--at", 1, "-p", "k=6", "-o", "new.jsonl", "--json", "--api-base", models.at.url
    )
    assert done.code == 0, done.err
    assert (done.json["calls"]["live"], models.received) == (10, 30)
    old, new = by_id(), by_id("new.jsonl")
    assert old.keys() == new.keys()
    assert all(line["calls"] == {"live": 2, "replayed": 4, "by_role": {"solver": 6}} for line in new.values())
    run_id = new["r2"]["run_id"]
    assert symposia("replay", run_id, "--json").json["identical"]
    again = symposia(
        "batch", "self_consistency", "--from", "out.jsonl", "--at", 1, "-p", "k=6", "-o", "new.jsonl", "--json", "--api-base", models.at.url
    )
    assert (again.code, models.received) == (0, 30)
    other = symposia("batch", "self_consistency", "--from", "out.jsonl", "--at", 1, "-p", "k=5", "-o", "new.jsonl")
    assert (other.code, "other parameters" in other.err) == (2, True)
    far = symposia("batch", "self_consistency", "--from", "out.jsonl", "--at", 90, "-p", "k=5", "-o", "far.jsonl")
    assert (far.code, "--at" in far.err) == (2, True)


def test_a_fork_of_a_killed_batch_or_of_a_table_has_its_references(symposia: Command, models: Server) -> None:
    Path("in.jsonl").write_text(
        "".join(json.dumps({"id": i, "question": f"q{i}", "answer": a}) + "\n" for i, a in enumerate((["x", 2], 3)))
    )
    for out in ("out.parquet", "out.log"):
        assert symposia("batch", "chain_of_thought", "in.jsonl", "-o", out, *models.options).code == 0
    first = Path("out.log").read_text().splitlines(keepends=True)[0]
    with open("out.log", "a") as file:
        file.write(first + '{"id": 7, "ro')  # a row again, as in files that were joined, and a line as a kill leaves it
    for out in ("out.parquet", "out.log"):
        done = symposia("batch", "chain_of_thought", "--from", out, "--at", 1, "-o", f"fork-{out}.jsonl", "--api-base", models.at.url)
        assert (done.code, "torn and passed over" in done.err) == (0, out == "out.log"), done.err
        forked = sorted((line["id"], line["reference"]) for line in lines(f"fork-{out}.jsonl"))
        assert forked == [(0, ["x", 2]), (1, 3)]
    assert models.received == 4


def test_each_row_is_a_run(symposia: Command, models: Server) -> None:
    assert symposia("batch", "self_consistency", rows(2), "-o", "out.jsonl", "-p", "k=2", *models.options).code == 0
    for line in lines():
        assert symposia("replay", line["run_id"], "--json").json["identical"]
        assert symposia("show", line["run_id"]).code == 0
    assert models.received == 4


def test_a_row_can_be_cancelled(symposia: Command, models: Server) -> None:
    models.post("_set", hold=True)
    command = ("batch", "self_consistency", rows(2), "-o", "out.jsonl", "-p", "k=2", "--concurrency", 3, "--json", *models.options)
    batch = started(*command)
    models.get("_wait?held=3&timeout=60")
    known = {record["row"]: record["run_id"] for record in symposia("runs", "--json").json["runs"]}
    assert symposia("cancel", known["r0"]).code == 0
    time.sleep(1.2)
    models.post("_set", hold=False)
    models.post("_release")
    done = ended(batch)
    assert (done.code, done.json["rows"]["ok"], done.json["rows"]["left"]) == (0, 2, 0) or done.json["rows"]["left"] == 1


def test_a_dry_run_calls_nothing(symposia: Command, models: Server) -> None:
    done = symposia("batch", "self_consistency", rows(10), "-o", "out.jsonl", "-p", "k=4", "--dry-run", "--json", *models.options)
    assert (done.code, done.json["rows_to_do"], done.json["calls_at_most"], models.received) == (0, 10, 40, 0)


def test_the_graders(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", rows(3, answer="18"), "-o", "out.jsonl", "--json", *models.options)
    assert symposia(*command, "--grader", "exact").code == 0
    exact = {line["id"]: line["correct"] for line in lines()}
    assert symposia(*command, "--grader", "math").code == 0
    assert models.received == 3, "another grader must not run the rows again"
    graded = {line["id"]: (line["correct"], line["answer"]) for line in lines()}
    assert all(correct == (float(answer) == 18) for correct, answer in graded.values())
    assert exact.keys() == graded.keys()
    done = symposia(*command, "--grader", "judge")
    assert (done.code, "--judge-model" in done.err) == (2, True)


def test_a_lock_is_freed_when_the_batch_ends(symposia: Command, models: Server) -> None:
    assert symposia("batch", "chain_of_thought", rows(1), "-o", "out.jsonl", *models.options).code == 0
    with open("out.jsonl", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_from_python(models: Server, capsys: pytest.CaptureFixture[str]) -> None:
    configure(api_base=models.at.url)
    given = [{"id": i, "question": f"What is {i} plus {i}?", "answer": 2 * i} for i in range(3)]
    options: dict[str, Any] = {"model": "test-model", "params": {"k": 2}}
    summary = await abatch("self_consistency", given, "out.jsonl", **options)
    assert (summary["rows"]["ok"], models.received, set(by_id())) == (3, 6, {0, 1, 2})
    assert (await abatch("self_consistency", given, "out.jsonl", **options))["calls"]["live"] == 0
    forked = await abatch("self_consistency", None, "new.jsonl", origin=Path("out.jsonl"), at=1, params={"k": 3})
    assert (forked["calls"]["live"], models.received) == (3, 9)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(BadInput, match="row 2"):
        await abatch("self_consistency", [given[0], {"id": 9}], "other.jsonl", **options)


# -- what a review found --------------------------------------------------------------------------------------------------------------


def test_a_file_of_one_line_without_its_end_is_not_ours_to_cut(symposia: Command, models: Server) -> None:
    for text in ('{"question": "q"}', "notes"):
        Path("out.jsonl").write_text(text)
        done = symposia("batch", "chain_of_thought", rows(2), "-o", "out.jsonl", *models.options)
        assert (done.code, Path("out.jsonl").read_text()) == (2, text)
    assert models.received == 0


def test_a_dry_run_and_a_refused_command_change_nothing(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", rows(3), "-o", "out.jsonl", "--concurrency", 1, "--json", *models.options)
    assert symposia(*command, "-p", "max_reasks=1", "--dry-run").code == 0
    assert not Path("out.jsonl").exists()
    models.post("_set", faults=["400", "refusal"])
    assert symposia(*command).code == 1
    before = Path("out.jsonl").read_bytes()
    assert symposia(*command, "--retry", "no_answer", "--dry-run").json["rows_to_do"] == 2
    assert symposia(*command, "--budget-usd", 1).code == 2
    assert Path("out.jsonl").read_bytes() == before
    assert symposia(*command).json["rows"]["ok"] == 2


def test_the_first_calls_keep_to_a_small_budget(symposia: Command, models: Server) -> None:
    command = ("batch", "self_consistency", rows(12), "-o", "out.jsonl", "-p", "k=4", "--json", *models.options)
    assert symposia(*command, "--budget-tokens", 700).json["spent_in_all"]["tokens"] <= 1000
    received = models.received
    assert symposia(*command, "--budget-tokens", 900).json["spent_in_all"]["tokens"] <= 1000
    assert models.received - received <= 2


def test_a_budget_that_is_spent_already_leaves_the_rows_for_later(symposia: Command, models: Server) -> None:
    command = ("batch", "self_consistency", rows(8), "-o", "out.jsonl", "-p", "k=2", "--json", *models.options)
    assert symposia(*command, "--budget-tokens", 1500).code == 1
    received = models.received
    again = symposia(*command, "--budget-tokens", 100)
    assert (again.code, again.json["rows"]["left"], models.received) == (1, 8 - len(lines()), received)
    assert "used up" in again.json["stopped"]
    assert symposia(*command).json["rows"]["ok"] == 8


def test_a_judge_of_the_configuration_needs_a_price_too(symposia: Command, models: Server) -> None:
    Path("symposia.toml").write_text('[roles]\ngrader = "judge"\n[prices."test-model"]\ninput = 1\noutput = 1\n')
    command = ("batch", "chain_of_thought", rows(1), "-o", "out.jsonl", "--grader", "judge", "--budget-usd", 1, *models.options)
    done = symposia(*command)
    assert (done.code, "that of judge is not known" in done.err, models.received) == (2, True, 0)


VERDICT = {"rules": [["VERDICT", "They are the same.\nVERDICT: correct"]]}


def test_a_judge_in_a_batch_by_model_within_a_budget(symposia: Command, models: Server) -> None:
    models.post("_set", **VERDICT)
    judge = ("--grader", "judge", "--judge-model", "judge")
    command = ("batch", "chain_of_thought", rows(6), "-o", "out.jsonl", *judge, "--json", *models.options)
    done = symposia(*command, "--order", "model")
    assert (done.code, done.json["accuracy"]["correct"], models.received) == (0, 6, 18)
    used = [entry["model"] for entry in models.get("_log")]
    assert used == ["test-model"] * 6 + ["judge"] * 12
    assert done.json["spent_in_all"]["calls"] == 18
    assert all(line["grade"]["calls"]["live"] == 2 for line in lines())
    assert symposia("eval", "out.jsonl", *judge, "--api-base", models.at.url, "--json").code == 0
    assert models.received == 18
    other = symposia(*command[:3], "-o", "new.jsonl", *command[5:], "--budget-tokens", 3000, "--concurrency", 4)
    assert (other.code, other.json["spent_in_all"]["tokens"] <= 3400) == (1, True)
    models.post("_set", rules=[])


def test_a_judge_that_fails_is_named_and_asked_again(symposia: Command, models: Server) -> None:
    judge = ("--grader", "judge", "--judge-model", "judge")
    command = ("batch", "chain_of_thought", rows(2), "-o", "out.jsonl", *judge, "--json", *models.options)
    models.post("_set", faults=["ok", "ok", "400", "400", "400", "400"])
    done = symposia(*command)
    assert (done.code, done.json["not_graded"], done.json["failures"][0]["name"]) == (1, 2, "RequestRejected")
    models.post("_set", faults=[], **VERDICT)
    again = symposia(*command)
    assert (again.code, again.json["accuracy"]["correct"]) == (0, 2)
    models.post("_set", rules=[])


def test_several_known_answers_and_one_that_is_none(symposia: Command, models: Server) -> None:
    models.post("_set", answers=["18"])
    assert symposia("batch", "chain_of_thought", rows(2, answer=["17", "18"]), "-o", "out.jsonl", *models.options).code == 0
    assert [line["correct"] for line in lines()] == [True, True]
    done = symposia("batch", "chain_of_thought", rows(2, answer={"value": 18}), "-o", "other.jsonl", "--grader", "math", *models.options)
    assert (done.code, "neither a text, a number" in done.err) == (2, True)
    models.post("_set", answers=["18", "24", "30", "42"])


def test_a_failed_row_with_another_reference_is_graded_by_it(symposia: Command, models: Server) -> None:
    models.post("_set", faults=["400"], answers=["18"])
    command = ("batch", "chain_of_thought", "in.jsonl", "-o", "out.jsonl", *models.options)
    rows(1, answer="18")
    assert symposia(*command).code == 1
    rows(1, answer="22")
    assert symposia(*command).code == 0
    assert [(line["reference"], line["correct"]) for line in lines()] == [("22", False)]
    models.post("_set", answers=["18", "24", "30", "42"])


def test_a_fork_tries_again_what_failed_after_its_step(symposia: Command, models: Server) -> None:
    models.post("_set", faults=["400"])
    assert symposia("batch", "chain_of_thought", rows(2), "-o", "out.jsonl", "--concurrency", 1, *models.options).code == 1
    fork = (
        "batch",
        "chain_of_thought",
        "--from",
        "out.jsonl",
        "--at",
        1,
        "-p",
        "max_reasks=1",
        "-o",
        "new.jsonl",
        "--api-base",
        models.at.url,
    )
    assert symposia(*fork).code == 0
    assert {line["status"] for line in lines("new.jsonl")} == {"ok"}
    assert models.received == 3


def test_a_limit_does_not_count_other_rows(symposia: Command, models: Server) -> None:
    command = ("batch", "chain_of_thought", rows(5), "-o", "out.jsonl", "--json", *models.options)
    assert symposia(*command).code == 0
    done = symposia(*command, "--limit", 2)
    assert done.json["rows"] == {"total": 2, "done_before": 2, "ok": 2, "no_answer": 0, "failed": 0, "left": 0}


def test_after_the_output_is_removed_an_unfinished_batch_does_not_bind(symposia: Command, models: Server) -> None:
    command = ("batch", "self_consistency", rows(8), "-o", "out.jsonl", "--json", *models.options)
    assert symposia(*command, "-p", "k=2", "--budget-tokens", 1000).code == 1
    Path("out.jsonl").unlink()
    assert symposia(*command, "-p", "k=3").code == 0


def test_parquet_holds_each_row_once_and_what_is_done_when_stopped(symposia: Command, models: Server) -> None:
    from symposia.parquet import read_parquet

    command = ("batch", "chain_of_thought", "in.jsonl", "-o", "out.parquet", "--concurrency", 1, "--json", *models.options)
    rows(6)
    assert symposia(*command, "--budget-tokens", 800).code == 1
    assert 0 < len(read_parquet(Path("out.parquet"))) < 6
    changed = [json.loads(line) for line in Path("in.jsonl").read_text().splitlines()]
    changed[0]["question"] = "What is 5 minus 3?"
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    assert symposia(*command).code == 0
    assert [line["id"] for line in read_parquet(Path("out.parquet"))] == [f"r{i}" for i in range(6)]


def test_a_link_and_its_target_stay_one(symposia: Command, models: Server) -> None:
    Path("data").mkdir()
    Path("out.jsonl").symlink_to("data/real.jsonl")
    Path("out.jsonl.tmp").write_text("mine")
    models.post("_set", faults=["400"])
    command = ("batch", "chain_of_thought", rows(3), "-o", "out.jsonl", *models.options)
    assert symposia(*command).code == 1
    Path("data/real.jsonl").chmod(0o640)
    assert symposia(*command).code == 0
    assert Path("out.jsonl").is_symlink()
    assert len(by_id("data/real.jsonl")) == 3
    assert (Path("data/real.jsonl").stat().st_mode & 0o777, Path("out.jsonl.tmp").read_text()) == (0o640, "mine")


def test_a_hopeless_batch_ends_soon(symposia: Command, models: Server) -> None:
    models.post("_set", key="right")
    command = ("batch", "chain_of_thought", rows(200), "-o", "out.jsonl", "--concurrency", 4, "--json", *models.options)
    done = symposia(*command)
    models.post("_set", key=None)
    assert (done.code, "the first 20 rows all failed" in done.json["stopped"]) == (1, True)
    assert done.json["failures"][0]["name"] == "MissingKey"
    assert 20 <= done.json["rows"]["failed"] < 60
    assert symposia(*command).json["rows"]["ok"] == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--map", "qestion=prompt"), "unknown field 'qestion'"),
        (("--workers", "3"), "--workers with --engine local"),
        (("--order", "colour"), "unknown order"),
        (("--engine", "proceses"), "did you mean 'processes'"),
        (("--retry", "ok"), "unknown status"),
        (("--at", "3"), "--from and --at go together"),
        (("--time-limit", "soon"), "is no time"),
        (("-o", "out.csv"), "no output of the form .csv"),
    ],
)
def test_options_that_cannot_be(symposia: Command, models: Server, options: tuple[str, ...], words: str) -> None:
    given = () if "-o" in options else ("-o", "out.jsonl")
    done = symposia("batch", "chain_of_thought", rows(1), *given, *options, *models.options)
    assert (done.code, words in done.err) == (2, True), done.err
    assert models.received == 0


async def test_a_budget_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInput, match="the budget in USD is nan"):
        await abatch("chain_of_thought", [{"question": "q"}], "out.jsonl", budget_usd=float("nan"))


def test_an_address_without_a_model_is_no_toy(symposia: Command, models: Server) -> None:
    done = symposia("batch", "chain_of_thought", rows(1), "-o", "out.jsonl", "--api-base", models.at.url)
    assert (done.code, "--api-base is given, but no model" in done.err) == (2, True)


def test_a_pipe_that_closes_does_not_end_the_batch(models: Server) -> None:
    models.post("_set", hold=True)
    command = ("batch", "chain_of_thought", rows(4), "-o", "out.jsonl", "--concurrency", 2, *models.options)
    with started(*command) as batch:
        models.get("_wait?held=2&timeout=60")
        assert batch.stderr is not None
        batch.stderr.close()
        batch.send_signal(signal.SIGINT)
        time.sleep(0.5)
        models.post("_set", hold=False)
        models.post("_release")
        assert batch.wait(60) == 130
    assert len(lines()) == 2
