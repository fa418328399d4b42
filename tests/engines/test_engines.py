"""The pool with a real engine: `transformers serve` on the CPU, tiny models made on the spot, one resident at a time.

`make test-engines` runs it; the engine stands in an environment of its own, whose `bin` is named by `ENGINES_BIN`.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from commands import Command

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("folder")]
ENGINES = Path(os.environ.get("ENGINES_BIN", ".venv-engines/bin")).resolve()
EXPERTS = ("ada", "ben", "cyd")
ROWS = 4


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny models, made here."""
    folder = tmp_path_factory.mktemp("weights")
    made = [ENGINES / "python", Path(__file__).with_name("make_models.py"), *(folder / name for name in EXPERTS)]
    subprocess.run(made, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return folder


@pytest.fixture
def pool(weights: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool's settings, and rows to work on."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    command = f"{ENGINES}/transformers serve {{weights}} --host {{host}} --port {{port}} --device cpu"
    models = "".join(f'[pool.models.{name}]\nweights = "{weights / name}"\n' for name in EXPERTS)
    Path("symposia.toml").write_text(f'[pool]\ncommand = "{command}"\nstart_seconds = 120\n{models}')
    Path("in.jsonl").write_text("".join(json.dumps({"id": i, "question": f"What is {i} plus {i}?"}) + "\n" for i in range(ROWS)))


def batch(symposia: Command, out: str, *options: str):
    roles = ",".join(f"local/{name}" for name in EXPERTS)
    sampling = ("-p", "sampling.solver.max_tokens=8", "-p", "k=3")
    return symposia("batch", "self_consistency", "in.jsonl", "-o", out, *sampling, "--role", f"solver={roles}", *options, "--json")


@pytest.mark.usefixtures("pool")
def test_grouped_there_is_a_process_per_expert_and_ungrouped_more(symposia: Command) -> None:
    done = batch(symposia, "grouped.jsonl", "--order", "model")
    assert done.code == 0, done.err
    engines = done.json["engines"]
    assert {name: one["loads"] for name, one in engines.items()} == {f"local/{name}": 1 for name in EXPERTS}
    assert len({pid for one in engines.values() for pid in one["pids"]}) == 3
    assert done.json["calls"]["live"] == 3 * ROWS
    for name in EXPERTS:
        assert "POST /v1/chat/completions" in Path(f".symposia/engines/{name}.log").read_text()

    again = batch(symposia, "ungrouped.jsonl", "--order", "row", "--limit", "2", "--concurrency", "1")
    assert again.code == 0, again.err
    assert sum(one["loads"] for one in again.json["engines"].values()) > 3
    assert not any(Path(f"/proc/{pid}").exists() for one in again.json["engines"].values() for pid in one["pids"])


@pytest.mark.usefixtures("pool")
def test_what_the_engines_said_is_replayed_without_them(symposia: Command) -> None:
    done = batch(symposia, "out.jsonl", "--order", "model", "--limit", "1")
    assert done.code == 0, done.err
    run_id = json.loads(Path("out.jsonl").read_text())["run_id"]
    Path("symposia.toml").unlink()
    replayed = symposia("replay", run_id, "--json")
    assert replayed.code == 0, replayed.err
    assert replayed.json["identical"]
    assert replayed.json["calls"] == {"live": 0, "replayed": 3}


@pytest.mark.usefixtures("pool")
def test_weights_that_are_none_fail_with_the_engines_words(symposia: Command) -> None:
    Path("empty").mkdir()
    done = symposia("run", "chain_of_thought", "What is 2 plus 2?", "--model", "local/empty", "--json")
    assert done.code == 1
    assert done.json["error"]["name"] == "EngineFailed"
    assert "before it was ready" in done.json["error"]["message"]
