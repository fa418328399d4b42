"""A browser at a served store of recorded runs. Every test ends with a quiet console, and with nothing asked of anyone else."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from scripted import SCRIPT, Script
from serving import served

from symposia import registry, runs
from symposia.api import abatch
from symposia.rows import toy_item
from symposia.state.store import Store, open_store
from symposia.tools.providers import litellm

T = TypeVar("T")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-gpu")
WAITS = 20_000  # milliseconds until something on the page counts as missing
HARD = {"k": 6, "max_rounds": 2, "calib_mean": 1.9, "confidence_threshold": 0.9, "model": "toy/default?error=0.5", "seed": 4}
AT_ONCE = """([keys, sign]) => {
    const seen = () => [...document.querySelectorAll(sign)].map((e) => e.id + e.textContent).join();
    let was = seen();
    const watch = new MutationObserver(() => {
        const now = seen();
        if (!now || now === was) return;
        was = now;
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: keys.shift(), bubbles: true }));
        if (!keys.length) watch.disconnect();
    });
    watch.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
HOSTILE = (
    "<img src=x onerror=alert(1)> </script><script>alert(2)</script> [x](javascript:alert(3)) ![p](http://elsewhere.invalid/?q=1) "
    "\x1b[31m \u202edlo\u202c z\u200bw \U000e0041"
)
LONG = "many words " * 1000
ZARA = "Zara has 40 stickers. She gives a quarter of her stickers to Milo. How many stickers does Zara have left?"
OMAR = "Omar has 45 stamps. He gives 18 stamps to Priya. How many stamps does Omar have left?"


class Player:
    """Answers for a script: every problem stays hard, what is broken fails, and every text tries to act."""

    def __call__(self, node: str, messages: list[dict[str, Any]]) -> str:
        text = messages[-1]["content"]
        if "broken" in text:
            raise litellm().AuthenticationError("no", llm_provider="script", model="any")
        if node == "review":
            return f"Step 2 is wrong. {HOSTILE}"
        if node == "score":
            return "SCORES: 0.9, 0.0" if "SCORES" in text else "SCORE: 0.4"
        return f"Step 1: so {HOSTILE} {LONG}\nStep 2: so \\boxed{{18}}"


@dataclass
class Shelf:
    """A store on disk, and its runs and batches by name."""

    folder: Path
    ids: dict[str, str] = field(default_factory=dict)


@dataclass
class Desk:
    """A page of the server with what went wrong on it."""

    page: Any
    root: str
    ids: dict[str, str]
    faults: list[str] = field(default_factory=list)
    actions: int = 0

    def open(self, address: str) -> None:
        """Open an address afresh."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.root}/{address}")

    def go(self, address: str) -> None:
        """Go to an address as a link does."""
        self.page.evaluate("hash => { location.hash = hash; }", address)

    def press(self, *keys: str) -> None:
        """Press keys, each an action."""
        for key in keys:
            self.actions += 1
            self.page.keyboard.press(key)

    def press_at_once(self, *keys: str, sign: str) -> None:
        """Press keys, each in the very moment in which what a selector finds was drawn anew, before the browser has shown it."""
        self.page.evaluate(AT_ONCE, [list(keys), sign])

    def click(self, what: Any) -> None:
        """Click something, an action."""
        self.actions += 1
        what.click()

    def sees(self, text: str, where: str = "body") -> None:
        """Wait until a text stands somewhere."""
        self.page.locator(where).get_by_text(text).first.wait_for(timeout=WAITS)

    def heading(self, text: str) -> None:
        """Wait for the heading of what is looked at."""
        self.page.locator(".detail h2", has_text=text).wait_for(timeout=WAITS)

    def selected(self) -> str:
        """The step that is selected."""
        return str(self.page.locator(".steps-pane [aria-selected=true]").inner_text())


async def one(store: Store, method: str, given: dict[str, Any], **options: Any) -> str:
    item = toy_item(registry.load(method))
    record = runs.new_record(method, given, item.inputs, reference=item.reference, row=item.id, **options)
    return (await runs.start(store, record)).run_id


async def fill(shelf: Shelf) -> None:
    """A batch with rows that were refined and are still wrong, a run of each hostile kind, and a batch with failures."""
    async with open_store(str(shelf.folder / "store.db")) as store:
        rows = [{"id": "stickers", "question": ZARA, "answer": 30}, {"id": "stamps", "question": OMAR, "answer": 27}]
        params = {key: value for key, value in HARD.items() if key != "model"}
        batch = await abatch("magicore", rows, shelf.folder / "hard.jsonl", model=str(HARD["model"]), params=params, store=store)
        shelf.ids["hard"] = batch["batch_id"]
        listed = await store.runs()
        shelf.ids |= {run["row"]: run["run_id"] for run in listed}
        shelf.ids["many"] = await one(store, "self_consistency", {"k": 400, "seed": 1, "model": "toy/default"}, checkpoints="none")
        long = {"k": 1, "model": "toy/default", "prompts": {"solver": "Be careful. " * 300 + "{question}"}}
        shelf.ids["long"] = await one(store, "self_consistency", long, checkpoints="none")
        SCRIPT["now"] = Script()
        SCRIPT["now"].answer = Player()
        given = {"model": "script/any", "k": 2, "max_rounds": 1, "calib_mean": 2.0, "confidence_threshold": 1.0}
        record = runs.new_record("magicore", given, {"question": f"How many? {HOSTILE}", "task": "number"}, reference=18)
        shelf.ids["hostile"] = (await runs.start(store, record)).run_id
        rows = [{"id": f"r{i}", "question": f"{kind} {i}?", "answer": 18} for i, kind in enumerate(["even", "broken", "even", "broken"])]
        shelf.ids["failures"] = (await abatch("magicore", rows, shelf.folder / "out.jsonl", model="script/any", params=given, store=store))[
            "batch_id"
        ]
        del SCRIPT["now"]


def filled(work: Coroutine[Any, Any, T]) -> T:
    """What async work gives, done in a thread of its own: playwright holds the loop of this one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    found = Shelf(tmp_path_factory.mktemp("browser"))
    filled(fill(found))
    return found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's Chromium, for one module: playwright keeps an event loop going as long as it is there."""
    playwright = pytest.importorskip("playwright.sync_api", reason="browsers are driven by playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("the page needs a browser: apt-get install chromium")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, *(f"--{flag}" for flag in QUIET)])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def root(shelf: Shelf) -> Iterator[str]:
    with served(shelf.folder) as found:
        yield found.root


@contextlib.contextmanager
def seated(chromium: Any, root: str, ids: dict[str, str], **look: Any) -> Iterator[Desk]:
    """A page whose faults are counted when it closes."""
    usual = {"viewport": {"width": 1280, "height": 900}, "permissions": ["clipboard-read", "clipboard-write"]}
    context = chromium.new_context(**{**usual, **look})
    context.set_default_timeout(WAITS)
    page = context.new_page()
    desk = Desk(page, root, ids)
    own = (root, "about:", "file:", "data:")

    def dismissed(dialog: Any) -> None:
        desk.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", dismissed)
    page.on("console", lambda said: desk.faults.append(f"console: {said.text}") if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: desk.faults.append(f"error: {error}"))
    page.on("request", lambda asked: None if asked.url.startswith(own) else desk.faults.append(f"elsewhere: {asked.url}"))
    page.on(
        "requestfailed", lambda asked: None if "ABORTED" in asked.failure else desk.faults.append(f"failed: {asked.url} {asked.failure}")
    )
    yield desk
    context.close()
    assert not desk.faults


@pytest.fixture
def desk(chromium: Any, root: str, shelf: Shelf) -> Iterator[Desk]:
    with seated(chromium, root, shelf.ids) as found:
        yield found
