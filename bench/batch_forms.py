"""The forms that `bench/batch.py` measures, each a process: ours through the command line, the others as scripts of `bench/peers/`."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "peers"
BARE = {"aiohttp": "bare_aiohttp.py", "litellm": "bare_litellm.py"}
ENGINES = {"symposia local": "local", "symposia processes": "processes"}
WARM = "symposia warm"
"""The local engine in a process that is warm, as the bare forms are."""
PEERS = {
    "its_hub": ("peer_its_hub.py", ("its_hub[lm]",)),
    "dspy": ("peer_dspy.py", ("dspy",)),
    "inspect_ai": ("peer_inspect.py", ("inspect-ai", "openai")),
    "optillm": ("peer_optillm.py", ("optillm",)),
}
"""By name: the script, and what to install."""


class FormFailed(Exception):
    """A form that could not be installed or did not end well; the message is its last words."""


@dataclass
class Measured:
    """One run of a form. Seconds; `work` is without start-up: imports, and for scripts also a first row."""

    wall_s: float
    work_s: float
    cpu_s: float
    whole_cpu_s: float | None
    answered: int


def run(command: list[str], given: str = "", env: dict[str, str] | None = None, limit_s: float = 3600.0) -> tuple[str, float, float]:
    """Run a process to its end; its output, wall seconds and CPU seconds, children included.

    Raises:
        FormFailed: It ended with an error, or took longer than `limit_s`.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as source:
        source.write(given)
        source.seek(0)
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=source, stdout=out, stderr=said, env={**os.environ, **(env or {})})
        used = None
        while used is None:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                used = usage.ru_utime + usage.ru_stime
                process.returncode = os.waitstatus_to_exitcode(status)
            elif time.perf_counter() - start > limit_s:
                process.kill()
                process.wait()
                raise FormFailed(f"not done after {limit_s:.0f} s")
            else:
                time.sleep(0.002)
        wall = time.perf_counter() - start
        for stream in (out, said):
            stream.seek(0)
        text, complaint = out.read(), said.read()
    if process.returncode:
        lines = [line for line in (complaint or text).splitlines() if line.strip()]
        raise FormFailed(f"exit code {process.returncode}: {' / '.join(lines[-2:])[:400]}")
    return text, wall, used


def script(python: str, name: str, job: dict[str, Any]) -> Measured:
    """Measure a script of `bench/peers/`.

    Raises:
        FormFailed: It did not end well.
    """
    text, _, whole = run([python, str(SCRIPTS / name)], json.dumps(job), {"TQDM_DISABLE": "1"})
    found = json.loads(text.strip().splitlines()[-1])
    return Measured(found["imports_s"] + found["wall_s"], found["wall_s"], found["cpu_s"], whole, found["answered"])


def arguments(job: dict[str, Any], folder: str, engine: str, questions: list[str]) -> list[str]:
    """What follows `symposia` in the command that does the questions as a batch into an empty folder."""
    source, out = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
    source.write_text("".join(json.dumps({"id": str(i), "question": q}) + "\n" for i, q in enumerate(questions)), encoding="utf-8")
    params = [word for name, value in job["given"].items() for word in ("-p", f"{name}={json.dumps(value)}")]
    where = ["-o", str(out), "--store", str(Path(folder, "store.db")), "--api-base", job["url"], "--model", job["model"]]
    how = ["--engine", engine, "--concurrency", str(job["in_flight"]), "--json"]
    return ["batch", job["method"], str(source), *where, *how, *params]


def answered_in(folder: str) -> int:
    """The rows with an answer in the output of a batch."""
    lines = Path(folder, "out.jsonl").read_text(encoding="utf-8").splitlines()
    return len({row["id"] for row in map(json.loads, lines) if row.get("answer") is not None})


def batch(engine: str, job: dict[str, Any], questions: list[str]) -> Measured:
    """Measure `symposia batch` as a process; `work_s` is what its summary says, start-up and end left out.

    Raises:
        FormFailed: It did not end well.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "symposia.cli", *arguments(job, folder, engine, questions)]
        text, wall, cpu = run(command)
        summary = json.loads(text)
        return Measured(wall, float(summary["seconds"]), cpu, cpu, answered_in(folder))


def environment(folder: Path, name: str) -> tuple[str, str]:
    """The interpreter of a peer's own environment, made when there is none, and the peer's version.

    Raises:
        FormFailed: It does not install.
    """
    needs = PEERS[name][1]
    home = folder / name / "venv"
    python = str(home / "bin" / "python")
    if not home.exists():
        print(f"installing {', '.join(needs)} in {home}", file=sys.stderr)
        venv.create(home, with_pip=True)
    distribution = re.split(r"[\[<=>]", needs[0])[0]
    ask = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    try:
        return python, run([python, "-c", ask])[0].strip()
    except FormFailed:
        run([python, "-m", "pip", "install", "--quiet", *needs], limit_s=1800)
        return python, run([python, "-c", ask])[0].strip()
