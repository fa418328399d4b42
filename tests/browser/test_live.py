"""Runs and batches that go on, in the browser: followed, stopped, answered, and taken up again when the server was gone."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser_home import Desk, filled, seated
from gated import GATES, QUESTION, aside, asked, asking, consultation, going  # noqa: F401 - a fixture among them
from serving import served

from symposia.api import abatch

pytestmark = pytest.mark.browser
GONE = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def places(desk: Desk) -> list[str]:
    """The calls of the step that is shown, from top to bottom."""
    return [line.inner_text() for line in desk.page.locator(".call-list .call-line .mono").all()]


def test_a_run_is_followed_with_its_calls_under_their_node(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path) as server, going(tmp_path) as run_id, seated(chromium, server.root, {}) as desk:
        desk.open(f"#/runs/{run_id}")
        desk.sees("0 of 4", ".doing")
        desk.sees("4 in flight", ".going")
        desk.sees("0 of at most 4 calls", ".going")
        desk.heading("Step 2 · solve")
        assert desk.actions == 0  # is it working, and what does it cost so far?
        for branch, done in (("b2", 1), ("b0", 2), ("b3", 3)):
            GATES.free.add(f"solve.{branch}")
            desk.sees(f"{done} of 4", ".doing")
        desk.page.locator(".call-list a").nth(2).wait_for()
        assert places(desk) == ["solve.b0", "solve.b2", "solve.b3"]
        assert "3 of 4" in desk.selected() and desk.selected().count("solve") == 1
        assert desk.page.locator(".detail-head").inner_text().count("solve") == 1
        desk.sees("3 of at most 4 calls", ".going")
        desk.press("k")
        desk.heading("Step 1 · intake")
        GATES.free.add("all")
        desk.page.locator(".steps-pane .row", has_text="finish").wait_for()
        desk.page.locator(".going").wait_for(state="detached")
        desk.heading("Step 1 · intake")  # whoever has moved is left where they are
        assert desk.page.locator("[role=status]", has_text="The run has ended").count() <= 1


def test_end_follows_again_and_the_view_stays_where_the_run_ended(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path) as server, going(tmp_path) as run_id, seated(chromium, server.root, {}) as desk:
        desk.open(f"#/runs/{run_id}/1")
        desk.heading("Step 1 · intake")
        desk.sees("4 in flight", ".going")
        desk.press("End")
        desk.heading("Step 2 · solve")
        GATES.free.add("all")
        desk.page.locator(".going").wait_for(state="detached")
        last = len(httpx.get(f"{server.root}/api/runs/{run_id}").json()["steps"])
        desk.heading(f"Step {last} ")
        desk.page.wait_for_url(f"**/#/runs/{run_id}/{last}")


def test_new_work_is_stopped_with_one_click(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path) as server, seated(chromium, server.root, {}) as desk:
        with going(tmp_path, "magicore", {"model": "gated/any", "k": 2, "seed": 1}) as run_id:
            desk.open(f"#/runs/{run_id}")
            desk.sees("2 in flight", ".going")
            desk.click(desk.page.get_by_role("button", name="Stop new work"))
            desk.sees("what is in flight still ends", ".going")
            time.sleep(1)  # the run looks twice a second whether it is to stop
            GATES.free |= {"solve.b0", "solve.b1"}
            desk.page.locator(".outcome .tag", has_text="stopped").wait_for()
        assert desk.actions == 1
        assert httpx.get(f"{server.root}/api/runs/{run_id}/calls").json()["total"] == 2


def test_a_rate_limit_is_told_with_its_seconds(chromium: Any, tmp_path: Path) -> None:
    GATES.limited = {"solve.b1"}
    with served(tmp_path) as server, going(tmp_path) as run_id, seated(chromium, server.root, {}) as desk:
        desk.open(f"#/runs/{run_id}")
        desk.page.locator(".going .facts", has_text="1 waiting (rate limit, ").wait_for()
        desk.sees("3 in flight", ".going")
        httpx.post(f"{server.root}/api/runs/{run_id}/cancel", json={}, headers={"X-Symposia": "1"})


@pytest.mark.parametrize(
    ("question", "typed", "answer"),
    [
        ({"question": "Which of them is right?", "choices": ["the left one", "the right one"]}, ["Space", "ArrowDown"], "the right one"),
        ({"question": "In your words?"}, list("so be it"), "so be it"),
        ({"question": "Approve it?", "schema": {"type": "boolean"}}, ["Space"], "True"),
        (
            {
                "question": "How many, and why?",
                "schema": {
                    "type": "object",
                    "required": ["n"],
                    "properties": {"n": {"type": "integer"}, "why": {"type": "string"}, "__proto__": {"type": "string"}},
                },
            },
            ["4", "Tab", "s", "o"],
            "{'n': 4, 'why': 'so'}",
        ),
        ({"question": "Anything?", "schema": {"type": "array"}, "draft": "<b>one</b>"}, list("[1, 2]"), "[1, 2]"),
    ],
    ids=["choice", "text", "yes or no", "fields", "json"],
)
def test_a_person_answers_by_keyboard(
    chromium: Any,
    tmp_path: Path,
    consultation: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    question: dict[str, Any],
    typed: list[str],
    answer: str,
) -> None:
    QUESTION.clear()
    QUESTION.update(question)
    run_id = filled(asked(tmp_path, consultation))
    with served(tmp_path) as server, seated(chromium, server.root, {}) as desk:
        desk.open(f"#/runs/{run_id}")
        desk.sees(question["question"], ".asks")
        desk.page.locator(".going .facts").wait_for()
        desk.page.keyboard.press("a")
        for key in typed:
            desk.page.keyboard.press(key)
        desk.page.keyboard.press("Control+Enter")
        desk.page.locator(".outcome b").get_by_text(answer, exact=True).wait_for()
        desk.page.locator(".going").wait_for(state="detached")
    QUESTION.clear()
    QUESTION["question"] = "which?"


def test_what_is_not_yet_an_answer_is_said_beside_the_form(chromium: Any, tmp_path: Path, consultation: str) -> None:  # noqa: F811
    QUESTION.update({"question": "How many?", "schema": {"type": "integer"}})
    run_id = filled(asked(tmp_path, consultation))
    with served(tmp_path) as server, seated(chromium, server.root, {}) as desk:
        desk.open(f"#/runs/{run_id}")
        field = desk.page.get_by_label("Your answer")
        field.fill("about 4")
        field.press("Enter")
        desk.sees("a whole number is wanted", ".asks")
        assert httpx.get(f"{server.root}/api/runs/{run_id}?quick=1").json()["run"]["status"] == "paused"
    QUESTION.pop("schema")


def test_what_is_asked_next_takes_the_place_of_what_somebody_else_has_answered(
    chromium: Any,
    tmp_path: Path,
    consultation: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gated.consult", asking(3))
    run_id = filled(asked(tmp_path, consultation))
    with served(tmp_path) as server, seated(chromium, server.root, {}) as desk:
        address = f"{server.root}/api/runs/{run_id}"

        def answered(n: int) -> None:
            """Somebody else answers, and the run asks the next question."""
            httpx.post(f"{address}/answer", json={"answer": f"answer {n}"}, headers={"X-Symposia": "1"})
            while f"question {n + 1}" not in str(httpx.get(f"{address}?quick=1").json()["run"].get("waiting")):
                time.sleep(0.02)

        answered(1)
        desk.open("#/runs")
        desk.press_at_once("a", sign=".asks")
        desk.go(f"#/runs/{run_id}")
        desk.sees("question 2?", ".asks")
        desk.page.locator(".asks textarea:focus").wait_for()
        desk.page.locator(".going .facts").wait_for()
        with desk.page.expect_event("requestfailed", lambda gone: "/events" in gone.url):
            desk.page.evaluate(HIDE, True)
        answered(2)
        desk.page.evaluate(HIDE, False)
        desk.sees("question 3?", ".asks")
        assert desk.page.locator(".asks", has_text="question 2?").count() == 0
        desk.page.get_by_label("Your answer").fill("mine")
        desk.page.get_by_role("button", name="Send").click()
        desk.page.locator(".outcome b").get_by_text("answer 1, answer 2, mine", exact=True).wait_for()


def test_an_end_that_comes_while_the_run_is_being_read_is_shown_without_a_rest(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path) as server, going(tmp_path) as run_id, seated(chromium, server.root, {}) as desk:
        address = f"{server.root}/api/runs/{run_id}"

        def late(route: Any) -> None:
            before = route.fetch()
            GATES.free.add("all")
            while httpx.get(f"{address}?quick=1").json()["run"]["status"] == "started":
                time.sleep(0.05)
            time.sleep(1.5)  # a rest of twenty times as long would follow
            route.fulfill(response=before)

        desk.page.route(address, late, times=1)
        desk.open(f"#/runs/{run_id}")
        desk.page.locator(".going").wait_for()
        desk.page.locator(".going").wait_for(state="detached")


@contextmanager
def process(folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A server in a process of its own, killed in the end."""
    command = [sys.executable, "-m", "symposia.cli", "serve", "--port", str(port), "--store", str(folder / "store.db")]
    with (folder / "log.txt").open("ab") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            assert server.poll() is None, (folder / "log.txt").read_text()
            time.sleep(0.1)
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.send_signal(signal.SIGKILL)
        server.wait()


def test_a_server_that_was_killed_and_started_again_goes_on_where_it_was(chromium: Any, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = f"http://127.0.0.1:{port}"
    with going(tmp_path) as run_id, seated(chromium, root, {}) as desk:
        with process(tmp_path, port):
            desk.open(f"#/runs/{run_id}")
            desk.sees("This server does not execute the run", ".going")
            GATES.free.add("solve.b1")
            desk.sees("1 so far", ".steps-pane")
        desk.sees("Connection lost at step 2, trying again", ".going")
        desk.heading("Step 2 · solve")
        assert places(desk) == ["solve.b1"]  # what was shown stays
        GATES.free.add("solve.b0")
        with process(tmp_path, port):
            desk.page.locator(".going", has_text="Connection lost").wait_for(state="detached")
            desk.sees("2 so far", ".steps-pane")
            desk.page.locator(".call-list a").nth(1).wait_for()
            assert places(desk) == ["solve.b0", "solve.b1"]
            GATES.free.add("all")
            desk.page.locator(".going").wait_for(state="detached")
            desk.page.goto("about:blank")  # it asks nobody any more
            assert desk.faults and all(any(sign in fault for sign in GONE) for fault in desk.faults)
            desk.faults.clear()


def test_eight_tabs_follow_one_server(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path) as server, going(tmp_path) as run_id, seated(chromium, server.root, {}) as desk:
        tabs = [desk.page, *(desk.page.context.new_page() for _ in range(7))]
        for tab in tabs:
            tab.goto(f"{server.root}/#/runs/{run_id}")
        for tab in tabs:  # none is hidden here: browsers without windows show every tab
            tab.locator(".doing", has_text="0 of 4").wait_for()
        GATES.free.add("solve.b3")
        for tab in tabs:
            tab.locator(".doing", has_text="1 of 4").wait_for()
        desk.page.evaluate("() => fetch('api/session').then(r => r.json())")  # there is a connection left
        for tab in tabs[1:]:
            tab.close()


def test_a_hidden_tab_closes_its_stream_and_catches_up(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path) as server, going(tmp_path) as run_id, seated(chromium, server.root, {}) as desk:
        ends: list[str] = []
        begun: list[str] = []
        desk.page.on("requestfailed", lambda gone: ends.append(gone.url))
        desk.page.on("request", lambda made: begun.append(made.url) if "/events" in made.url else None)
        desk.open(f"#/runs/{run_id}")
        desk.sees("0 of 4", ".doing")
        with desk.page.expect_event("requestfailed", lambda gone: "/events" in gone.url):
            desk.page.evaluate(HIDE, True)
        GATES.free |= {"solve.b0", "solve.b1"}
        while httpx.get(f"{server.root}/api/runs/{run_id}/calls").json()["total"] < 2:
            time.sleep(0.02)
        assert desk.page.locator(".doing", has_text="0 of 4").count() == 1
        before = len(begun)
        desk.page.evaluate(HIDE, False)
        desk.sees("2 of 4", ".doing")
        assert before == 1 and len(begun) == 2 and "after=" in begun[1]


def test_a_batch_counts_on_and_the_reader_keeps_their_place(chromium: Any, tmp_path: Path) -> None:
    rows = [{"id": f"r{i}", "question": f"{i} + 2?", "answer": 18} for i in range(4)]
    given: dict[str, Any] = {"model": "gated/any", "params": {"k": 1}, "budget_tokens": 10_000}
    work = abatch("self_consistency", rows, tmp_path / "out.jsonl", store=str(tmp_path / "store.db"), **given)
    with served(tmp_path) as server, seated(chromium, server.root, {}) as desk, aside(work):
        while not (listed := httpx.get(f"{server.root}/api/batches").json()["items"]) or listed[0]["rows"] < 4:
            time.sleep(0.02)
        desk.open(f"#/batches/{listed[0]['id']}")
        desk.sees("4 running", ".going")
        desk.sees("10,000 tokens left", ".going")
        desk.sees("4 of 4 rows")
        desk.page.evaluate("() => { const now = Date.now; Date.now = () => now() + 60_000; }")
        desk.sees("the command that began it goes on with it", ".going")
        desk.press("j")
        desk.page.locator("#rows-1[aria-selected=true]").wait_for()
        desk.press("j")
        chosen = desk.page.locator("#rows-2[aria-selected=true]")
        chosen.wait_for()
        GATES.free.add("all")
        desk.page.locator(".going").wait_for(state="detached")
        desk.page.locator(".outcome", has_text="graded").wait_for()
        assert "r2" in chosen.inner_text() and desk.actions == 2


def test_a_key_that_does_not_open_any_more_is_said(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path) as server, going(tmp_path) as run_id, seated(chromium, server.root, {}) as desk:
        desk.page.route("**/events?*", lambda route: route.fulfill(status=401, json={"error": "KeyNeeded", "message": "no key"}))
        desk.open(f"#/runs/{run_id}")
        desk.sees("type the key again", ".going")
        assert all("401" in fault for fault in desk.faults)
        desk.faults.clear()
