"""Names and errors that try to act: of nodes, keys, models and rows, in runs, batches, comparisons, forks, and files from a disk."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NotRequired, TypedDict, get_type_hints

import pytest
from browser_home import HOSTILE, Desk, Shelf, filled, seated
from langgraph.graph import END, START
from pydantic import Field
from scripted import SCRIPT, Script
from serving import served

from symposia import registry
from symposia.api import abatch
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.state.base import BaseParams, BaseState, Method, Question
from symposia.state.errors import from_record
from symposia.state.graph import StateGraph
from symposia.state.store import open_store
from symposia.tools.llm import ask, prompt
from symposia.tools.providers import litellm
from symposia.viewer import steps

pytestmark = pytest.mark.browser
IMAGE = "<img src=x onerror=alert(1)>"
NODE = f"{IMAGE} __proto__"
KEY = f"</script><script>alert(2)</script> {IMAGE}"
MODEL = f"script/{IMAGE}"
LINE = "x" * 5_000_000


class Params(BaseParams):
    """Of the method below."""

    prompts: dict[str, str] = Field({IMAGE: "{question}"})


def build() -> Any:
    """A method whose node, key and role bear hostile names."""
    fields = {**get_type_hints(BaseState, include_extras=True), KEY: NotRequired[Any], "__proto__": NotRequired[Any]}
    state: Any = TypedDict("State", fields, total=False)  # type: ignore[operator]

    async def act(values: Any) -> dict[str, Any]:
        reply = await ask(values["params"], IMAGE, prompt(values["params"], IMAGE, question=values["question"]))
        if reply["status"] != "ok":
            raise from_record(reply["error"])
        return {KEY: {HOSTILE: reply["text"], "__proto__": HOSTILE}, "__proto__": [HOSTILE, {"constructor": HOSTILE}]}

    def finish(values: Any) -> dict[str, Any]:
        return conclude(values[KEY]["__proto__"], HOSTILE[:60])

    graph: Any = StateGraph(state, Params, input_schema=Question)
    graph.add_node(intake).add_node(NODE, act).add_node("finish", finish)
    return graph.add_edge(START, "intake").add_edge("intake", NODE).add_edge(NODE, "finish").add_edge("finish", END)


@contextmanager
def known() -> Iterator[None]:
    """The method, as long as the tests go."""
    module: Any = ModuleType("symposia.graphs.hostile")
    module.METHOD = Method("hostile", f"Hostile {IMAGE}", "0000.00000", 2026, "test", (IMAGE,), "0")
    module.Params, module.build, module.graph = Params, build, build().compile()
    names = registry.names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        for place in (registry, steps):
            patch.setattr(place, "names", lambda: (*names, "hostile"))
        yield
    registry.load.cache_clear()
    registry._compiled.cache_clear()


def player(node: str, messages: list[dict[str, Any]]) -> str:
    """Fails in hostile words, replies in one endless line, or in hostile words."""
    text = messages[-1]["content"]
    if "broken" in text:
        raise litellm().AuthenticationError(HOSTILE, llm_provider="script", model=MODEL)
    return LINE if "long" in text else HOSTILE


async def fill(shelf: Shelf) -> None:
    async with open_store(str(shelf.folder / "store.db")) as store:
        SCRIPT["now"] = Script()
        SCRIPT["now"].answer = player
        rows = [{"id": f"{kind} {IMAGE}", "question": f"{kind} {HOSTILE}", "answer": HOSTILE} for kind in ("good", "long", "broken")]
        for name, model in (("one", MODEL), ("two", f"{MODEL} two")):
            found = await abatch("hostile", rows, shelf.folder / f"{name}.jsonl", model=model, params={}, store=store)
            shelf.ids[name] = found["batch_id"]
        for run in await store.runs():
            kind = str(run["row"]).split()[0]
            shelf.ids[f"{kind} {'one' if run['run_id'].startswith(shelf.ids['one']) else 'two'}"] = run["run_id"]
        del SCRIPT["now"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Desk]:
    shelf = Shelf(tmp_path_factory.mktemp("injection"))
    with known():
        filled(fill(shelf))
        with served(shelf.folder) as found, seated(chromium, found.root, shelf.ids) as desk:
            desk.open("#/runs")
            desk.page.locator("#runs-0").wait_for()
            yield desk


def inert(desk: Desk, mark: str, *, names: tuple[str, ...] = (IMAGE,)) -> None:
    """What is shown stands there as text, and nothing of it has become an element."""
    desk.page.locator(mark).first.wait_for()
    for name in names:
        desk.page.locator("body").get_by_text(name).first.wait_for(state="attached")
    assert desk.page.locator("img, iframe, object, embed, form[action], a[href^=javascript], a[href^=data]").count() == 0
    assert desk.page.locator("script").count() == desk.page.locator("head > script[src], body > script[type], body > script").count()
    assert desk.page.locator("*").count() < 3000
    assert desk.page.get_by_text("could not be shown").count() == 0
    assert desk.page.evaluate("() => ({}).constructor === Object && ({}).polluted === undefined")


def test_names_of_nodes_keys_and_models_are_text_in_a_run(desk: Desk) -> None:
    run = f"#/runs/{desk.ids['good one']}"
    for address in (f"{run}/2", f"{run}/2?show=whole", f"{run}/2?show=json&scale=time", f"{run}/3"):
        desk.go(address)
        desk.heading("Step")
        inert(desk, ".detail .value, .detail .json")
    desk.page.locator(".graph .node", has_text=IMAGE).wait_for()
    desk.go(f"{run}/2")
    desk.page.locator(".call-list a").first.click()
    desk.heading(NODE)
    inert(desk, ".said-part .text", names=(IMAGE, NODE, MODEL))
    desk.press("f")
    inert(desk, "dialog .bill", names=(IMAGE,))
    desk.page.locator("dialog").get_by_label(IMAGE).first.fill(f"{MODEL},{MODEL}")
    desk.page.locator("dialog .bill code, dialog .trouble").first.wait_for()
    desk.press("Escape")


def test_errors_are_text_in_a_batch_and_at_the_call(desk: Desk) -> None:
    desk.go(f"#/batches/{desk.ids['one']}")
    inert(desk, ".group", names=(NODE, IMAGE))
    desk.page.locator(".group").click()
    desk.sees("1 of 3 rows")
    desk.page.locator("#rows-0").click()
    desk.page.locator(".call-facts").wait_for()
    inert(desk, ".said-part", names=(IMAGE,))
    desk.page.locator(".notice.bad").get_by_text(IMAGE).first.wait_for()
    for code in ("U+001B", "U+202E", "U+200B"):
        desk.page.locator(f".sign[title='{code}']").first.wait_for()


def test_comparisons_of_runs_and_batches_are_text(desk: Desk) -> None:
    desk.go(f"#/compare/{desk.ids['good one']}/{desk.ids['good two']}")
    inert(desk, ".pairs")
    desk.go(f"#/compare/{desk.ids['one']}/{desk.ids['two']}?rows=all")
    inert(desk, "#pairs-0")
    desk.go("#/runs?q=img")
    inert(desk, "#runs-0, .empty", names=())


def test_a_line_of_five_megabytes_is_a_head_and_a_button(desk: Desk) -> None:
    desk.go(f"#/runs/{desk.ids['long one']}/2")
    inert(desk, ".detail .value")
    desk.page.locator(".call-list a").first.click()
    inert(desk, ".reply .more")
    assert "5,000,000" in desk.page.locator(".reply .more").inner_text()
    assert desk.page.evaluate("() => document.body.textContent.length") < 200_000
    assert desk.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("what", ["run", "runs", "batch", "batches"])
def test_files_from_a_disk_hold_texts_only(desk: Desk, tmp_path: Path, what: str) -> None:
    ids = desk.ids
    path, addresses = {
        "run": (f"/runs/{ids['good one']}/export", [f"runs/{ids['good one']}/2", f"runs/{ids['good one']}/2?show=whole"]),
        "runs": (f"/compare/export?a={ids['good one']}&b={ids['broken two']}", [f"compare/{ids['good one']}/{ids['broken two']}"]),
        "batch": (f"/batches/{ids['one']}/export?runs=1", [f"batches/{ids['one']}", f"runs/{ids['broken one']}"]),
        "batches": (f"/compare/export?a={ids['one']}&b={ids['two']}", [f"compare/{ids['one']}/{ids['two']}", f"batches/{ids['two']}"]),
    }[what]
    file = tmp_path / "file.html"
    file.write_bytes(desk.page.request.get(f"{desk.root}/api{path}").body())
    for address in addresses:
        desk.page.goto("about:blank")
        desk.page.goto(f"file://{file}#/{address}")
        inert(desk, ".detail .value, .call-facts, .pairs, .group, .crosses")
        assert desk.page.locator("script[src]").count() == 0
    desk.page.keyboard.press("?")
    inert(desk, "dialog .about", names=(MODEL,))
    desk.open("#/runs")
