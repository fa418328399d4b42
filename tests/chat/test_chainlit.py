"""The example app in Chainlit, driven in headless Chromium. `make test-chat` runs it, with an environment of its own.

Chainlit's page links to fonts and style sheets elsewhere; all of that is refused here, and the page has to work without.
`SYMPOSIA_UPDATE_PICTURES=1` keeps a picture of the chat among those of the README.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from commands import Server, ended, started

playwright = pytest.importorskip("playwright.sync_api", reason="browsers are driven by playwright: make test-chat")

if find_spec("chainlit") is None:  # looked for only: once imported it makes a folder where one stands
    pytest.skip("the app needs Chainlit: make test-chat", allow_module_level=True)

pytestmark = pytest.mark.chat
APP = Path(__file__).parents[2] / "examples" / "chainlit_app.py"
PICTURE = Path(__file__).parents[2] / "notebooks" / "pictures" / "chat.png"
UPDATE = os.environ.get("SYMPOSIA_UPDATE_PICTURES") == "1"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-gpu")
WAITS = 60_000  # milliseconds until something on the page counts as missing
STARTS = 120  # seconds until the app counts as broken


class Chat:
    """The app's page, without anything from other hosts."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        page.route(lambda url: not url.startswith(address), lambda route: route.abort())
        page.goto(address)
        page.wait_for_selector("#chat-input", timeout=WAITS)

    def ask(self, question: str) -> None:
        self.page.fill("#chat-input", question)
        self.page.locator("#chat-submit:enabled").click(timeout=WAITS)

    def sees(self, text: str) -> None:
        try:
            self.page.get_by_text(text).first.wait_for(timeout=WAITS)
        except playwright.TimeoutError:
            pytest.fail(f"no {text!r} on the page:\n{self.page.inner_text('body')}\n{Path('app.log').read_text()}", pytrace=False)

    def run_id(self) -> str:
        """The run that the last answer names."""
        self.sees("calls, run ")
        found = re.search(r"calls, run (\w+)", self.page.inner_text("body"))
        assert found
        return found[1]

    def steps(self) -> list[str]:
        """The names of the steps on the page, from top to bottom."""
        return [step.inner_text().split()[-1] for step in self.page.locator("button[id^=step-], p[id^=step-]").all()]


@pytest.fixture
def chat(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Chat]]:
    """Starts the app with variables of its environment, and opens its page."""
    if CHROMIUM is None:
        pytest.skip("the page needs a browser: apt-get install chromium")
    apps: list[subprocess.Popen[bytes]] = []

    def opened(page: Any, **environment: str) -> Chat:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
        command = [sys.executable, "-m", "chainlit", "run", str(APP), "--headless", "--host", "127.0.0.1", "--port", str(port)]
        with Path("app.log").open("wb") as log:
            given = {**os.environ, "TRACELOOP_TELEMETRY": "false", **environment}
            apps.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=given))
        _wait(f"http://127.0.0.1:{port}/", apps[-1])
        return Chat(page, f"http://127.0.0.1:{port}/")

    yield opened
    for app in apps:
        app.terminate()
        app.wait(timeout=STARTS)


def _wait(address: str, app: "subprocess.Popen[bytes]") -> None:
    """Until the app answers."""
    for _ in range(STARTS * 5):
        assert app.poll() is None, Path("app.log").read_text()
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(Path("app.log").read_text(), pytrace=False)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """A page of a browser that asks nothing of anybody by itself."""
    with playwright.sync_playwright() as driver:
        options = {"executable_path": CHROMIUM, "args": [f"--{flag}" for flag in QUIET], "chromium_sandbox": False}
        browser = driver.chromium.launch(**options)
        context = browser.new_context(viewport={"width": 980, "height": 1290}, service_workers="block")
        context.add_init_script("localStorage.setItem('vite-ui-theme', 'light')")
        yield context.new_page()
        browser.close()


def test_a_bundled_problem_shows_its_steps_and_its_answer(chat: Callable[..., Chat], page: Any) -> None:
    Path("symposia.toml").write_text("[params.debate_du]\nseed = 58\n")
    seen = chat(page)
    page.get_by_text("Paola has 5 bags").click(timeout=WAITS)
    run_id = seen.run_id()
    assert seen.steps() == ["solve", "extract", "debate", "extract", "vote", "finish"]
    text = page.inner_text("body")
    for part in ("solver: The answer is \\boxed{23}.", "answers 23, 17, 38", "debater: The answer is \\boxed{17}.", "17: 3 of 3"):
        assert part in text
    assert "a rule-based toy, no language model" in text
    assert text.index("17: 3 of 3") < text.index("calls, run")
    assert ended(started("replay", run_id, "--json")).json["identical"]
    if UPDATE:
        page.wait_for_timeout(1000)  # until nothing moves any more
        page.screenshot(path=PICTURE)


def test_steps_show_while_the_run_goes_on_and_the_stop_button_ends_it(chat: Callable[..., Chat], page: Any, models: Server) -> None:
    models.post("_set", hold=True)
    seen = chat(page, SYMPOSIA_MODEL="test-model", SYMPOSIA_API_BASE=models.at.url)
    seen.ask("What is 2 + 2?")
    page.locator("#step-solve", has_text="Using").wait_for(timeout=WAITS)
    models.get("_wait?held=3&timeout=60")
    assert seen.steps() == ["solve"]
    page.locator("#stop-button").click()
    page.locator("#step-solve", has_text="Used").wait_for(timeout=WAITS)
    models.post("_set", hold=False)
    models.post("_release")
    seen.ask("What is 2 + 3?")
    seen.run_id()
    assert sorted(run["status"] for run in ended(started("runs", "--json")).json["runs"]) == ["ok", "stopped"]
