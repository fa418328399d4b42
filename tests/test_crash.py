"""MAgICoRe over HTTP, killed at random moments, by the script that measures it."""

import json
import subprocess
import sys
from pathlib import Path

from symposia.state.packing import pack, unpack

SCRIPT = Path(__file__).parent.parent / "bench" / "crash.py"


def test_kill_dash_nine_costs_at_most_what_was_in_flight(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"question": f"What is {i} plus {i}?"}) + "\n" for i in range(6)))
    command = [sys.executable, str(SCRIPT), "--data", str(rows), "--rows", "6", "--kills", "9", "--k", "5", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    print(f"lost {report['lost']} of {report['needed']} requests over {len(report['kills'])} kills: {report['kills']}")
    assert report["finished"]
    assert (report["lines"], report["rows_with_a_line"]) == (6, 6)
    assert any(kill["unwritten"] for kill in report["kills"]), "no kill fell between a row's end and its line"
    assert report["as_formula"] == 6
    assert 0 <= report["lost"] <= report["allowed"]
    assert report["replay_silent"]
    assert (report["identical"], report["replayed_live"]) == (6, 0)
    assert report["replies"] == report["distinct_replies"]
    assert report["places"] == report["entries"]


def test_a_chain_of_a_thousand_messages_comes_back():
    blobs: dict[bytes, bytes] = {}
    messages = [{"role": "user", "content": [f"message number {i} with enough text to be a blob of its own"]} for i in range(1000)]
    data = pack({"messages": messages}, blobs)
    assert unpack(data, blobs.__getitem__) == {"messages": messages}
