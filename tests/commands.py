"""What tests of the command line share: a command in this process or in one of its own, and the books of a model server."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from server import Spawned, spawned

from symposia import cli
from symposia.tools.settings import configure

DEFAULTS = {"faults": {}, "hold": False, "delay_s": 0, "jitter_s": 0, "concurrency": None, "deterministic": False, "retry_after": "1"}


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; anything else there fails."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


Command = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in, no `SYMPOSIA_*` variable, and the process's settings put back at the end."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SYMPOSIA_") and name != "SYMPOSIA_NO_SKIPS"]:
        monkeypatch.delenv(name)
    before = configure()
    yield tmp_path
    configure(**vars(before))


@pytest.fixture
def symposia(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process."""

    def run(*arguments: Any) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        assert "Traceback" not in err
        return Done(end.value.code, out, err)

    return run


@pytest.fixture(scope="module")
def model_server() -> Iterator[Spawned]:
    """A model server in a process of its own."""
    with spawned() as found:
        yield found


@pytest.fixture
def models(model_server: Spawned) -> Iterator["Server"]:
    """The server with empty books and no faults."""
    Server(model_server).post("_reset")
    yield Server(model_server)
    Server(model_server).post("_set", **DEFAULTS)


@dataclass
class Server:
    """The model server as a test steers it."""

    at: Spawned

    @property
    def options(self) -> tuple[str, ...]:
        """What makes a command ask this server."""
        return ("--model", "test-model", "--api-base", self.at.url)

    def get(self, path: str) -> Any:
        """A page of its books."""
        with urllib.request.urlopen(f"{self.at.root}/{path}") as reply:
            return json.load(reply)

    def post(self, path: str, **body: Any) -> Any:
        """Steer it."""
        request = urllib.request.Request(f"{self.at.root}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    @property
    def received(self) -> int:
        """Requests that arrived."""
        return int(self.get("_count")["received"])


def started(*arguments: Any, **options: Any) -> "subprocess.Popen[str]":
    """A command in a process of its own, as a shell starts it."""
    command = [sys.executable, "-m", "symposia.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def ended(process: "subprocess.Popen[str]") -> Done:
    """What a process came to."""
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return Done(process.returncode, out, err)
