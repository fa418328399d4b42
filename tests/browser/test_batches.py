"""Batches in headless Chromium: why rows failed, which way debates moved answers, filters and their menus, and two batches side by side."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, NotRequired

import pytest
from browser_home import HARD, OMAR, ZARA, Desk, Shelf, filled, one, seated
from gated import GATES, going
from langgraph.graph import END, START
from playwright.sync_api import expect
from pydantic import Field
from scripted import SCRIPT, Script
from serving import served

from symposia import registry
from symposia.api import abatch
from symposia.nodes.critic import read_verdict
from symposia.nodes.intake import intake
from symposia.rows import toy_item
from symposia.state.base import BaseParams, BaseState, Method, Question
from symposia.state.errors import from_record
from symposia.state.graph import StateGraph
from symposia.state.store import open_store
from symposia.tools.llm import ask, prompt
from symposia.viewer import reads

pytestmark = pytest.mark.browser
DEBATE = {"k": 3, "max_rounds": 2, "seed": 4}


class Params(BaseParams):
    """Of the strict method below."""

    prompts: dict[str, str] = Field({"solver": "{question}", "reviewer": "Is {answer} right? {question}"})


class State(BaseState):
    """An answer, and what a reviewer says to it."""

    verdict: NotRequired[str]


async def solve(state: State) -> dict[str, Any]:
    reply = await ask(state["params"], "solver", prompt(state["params"], "solver", question=state["question"]))
    return {"answer": int(reply["text"])}


async def review(state: State) -> dict[str, Any]:
    asked = prompt(state["params"], "reviewer", question=state["question"], answer=str(state.get("answer")))
    reply = await ask(state["params"], "reviewer", asked, parse=read_verdict)
    if reply["status"] != "ok":
        raise from_record(reply["error"])
    return {"verdict": reply["text"]}


def build() -> StateGraph[State, Params, Question, State]:
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(solve).add_node(review)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "review").add_edge("review", END)
    return builder


@contextmanager
def strict() -> Iterator[None]:
    """A method that fails where a review cannot be read; those that stand go on without it."""
    module: Any = ModuleType("symposia.graphs.strict")
    module.METHOD = Method("strict", "Strict", "0000.00000", 2026, "test", ("solver", "reviewer"), "2")
    module.Params, module.build, module.graph = Params, build, build().compile()
    known = registry.names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(registry, "names", lambda: (*known, "strict"))
        yield
    registry.load.cache_clear()
    registry._compiled.cache_clear()


def critic(node: str, messages: list[dict[str, Any]]) -> str:
    """Solves everything alike, and says nothing that a parser reads about what is vague."""
    text = " ".join(message["content"] for message in messages)
    if node == "review":
        return "I would rather not say." if "vague" in text else "VERDICT: correct"
    return "18" if "even" in text else "20"


async def fill(shelf: Shelf) -> None:
    """A batch whose reviews cannot be read, and a debate over some problems with three settings of the toys."""
    async with open_store(str(shelf.folder / "store.db")) as store:

        async def made(method: str, rows: list[dict[str, Any]], name: str, model: str, params: dict[str, Any]) -> str:
            found = await abatch(method, rows, shelf.folder / f"{name}.jsonl", model=model, params=params, store=store)
            return str(found["batch_id"])

        SCRIPT["now"] = Script()
        SCRIPT["now"].answer = critic
        kinds = ["even", "vague", "odd", "vague", "even", "vague"]
        rows = [{"id": f"r{n}", "question": f"{kind} {n}?", "answer": 18} for n, kind in enumerate(kinds)]
        shelf.ids["failures"] = await made("strict", rows, "failures", "script/any", {})
        del SCRIPT["now"]
        lines = files("symposia.items").joinpath("arithmetic.jsonl").read_text(encoding="utf-8").splitlines()
        problems = [json.loads(line) for line in lines[:8]]
        for name, model in (("debate", "toy/default?error=0.4"), ("careful", "toy/default?error=0.05")):
            shelf.ids[name] = await made("debate_du", problems, name, model, DEBATE)
        hard = [{"id": "stickers", "question": ZARA, "answer": 30}, {"id": "stamps", "question": OMAR, "answer": 27}]
        params = {key: value for key, value in HARD.items() if key != "model"}
        shelf.ids["hard"] = await made("magicore", hard, "hard", str(HARD["model"]), params)
        shelf.ids["other"] = await made("self_consistency", problems, "other", "toy/default", {"k": 2, "seed": 1})


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    found = Shelf(tmp_path_factory.mktemp("batches"))
    with strict():
        filled(fill(found))
        yield found


@pytest.fixture(scope="module")
def home(batches: Shelf) -> Iterator[str]:
    with served(batches.folder) as found:
        yield found.root


@pytest.fixture
def desk(chromium: Any, home: str, batches: Shelf) -> Iterator[Desk]:
    with seated(chromium, home, batches.ids) as found:
        yield found


def api(desk: Desk, path: str) -> Any:
    return json.loads(desk.page.request.get(f"{desk.root}/api{path}").text())


# -- why a row is wrong -------------------------------------------------------------------------------------------------------------------


def test_a_row_that_was_refined_and_is_still_wrong_is_found_by_mouse(desk: Desk) -> None:
    desk.open(f"#/batches/{desk.ids['hard']}")
    desk.sees("2 of 2 rows")
    desk.actions += 1
    desk.page.get_by_label("Add to the filter").select_option("correct:no")
    desk.sees("1 of 2 rows")
    desk.page.locator("#rows-0").wait_for()
    desk.click(desk.page.locator("#rows-0"))
    desk.heading("Step")
    assert desk.actions == 2, "both rows were refined, so a third would say nothing"
    assert "wrong from here" in desk.selected()


# -- which rows failed, and why -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_a_group_of_failures_opens_at_the_reply_and_the_complaint(desk: Desk, by: str) -> None:
    desk.open(f"#/batches/{desk.ids['failures']}")
    group = desk.page.get_by_role("button", name="3 × ReplyError in review")
    group.wait_for()
    if by == "keyboard":
        group.focus()
        desk.press("Enter")
    else:
        desk.click(group)
    desk.sees("3 of 6 rows")
    if by == "keyboard":
        desk.page.locator("#rows-0").wait_for()
        desk.page.get_by_role("listbox", name="Rows of the batch").focus()
        desk.press("Enter")
    else:
        desk.click(desk.page.locator("#rows-0"))
    desk.heading("3.review")
    assert desk.actions == 2
    desk.sees("I would rather not say.", ".reply")
    desk.sees("VERDICT: correct", ".detail .notice")
    assert "unreadable" in desk.page.locator(".call-facts").inner_text(), "the reply on which the run failed is not in order"


def test_a_filter_that_leaves_nothing_names_what_removed_the_last_row(desk: Desk) -> None:
    desk.open(f"#/batches/{desk.ids['failures']}?filter=status%3Aok+correct%3Ano+error%3AReplyError")
    desk.sees("removed the last 1")
    desk.page.locator(".empty code", has_text="error:ReplyError").first.wait_for()
    desk.page.get_by_role("button", name="Take error:ReplyError out").click()
    desk.sees("1 of 6 rows")
    expect(desk.page.locator("#find")).to_have_value("status:ok correct:no")


def test_a_menu_writes_the_filter_and_the_address_keeps_it(desk: Desk) -> None:
    desk.open(f"#/batches/{desk.ids['failures']}")
    desk.sees("6 of 6 rows")
    menu = desk.page.get_by_label("Add to the filter")
    menu.select_option("correct:yes")
    desk.sees("2 of 6 rows")
    menu.select_option("error:ReplyError node:review")
    desk.sees("No row passes")
    expect(desk.page.locator("#find")).to_have_value("correct:yes error:ReplyError node:review")
    desk.open(f"#{desk.page.url.partition('/#')[2]}")
    desk.sees("No row passes")
    desk.page.get_by_role("button", name="clear").click()
    desk.sees("6 of 6 rows")


def test_another_filter_begins_with_its_first_row(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_WHOLE", 4)
    monkeypatch.setattr(reads, "_WINDOW", 2)
    desk.open(f"#/batches/{desk.ids['failures']}")
    for rows in ("rows 1 to 2", "rows 3 to 4"):
        desk.sees(rows, ".foot")
        desk.page.get_by_role("button", name="next rows").click()
    desk.sees("rows 5 to 6", ".foot")
    desk.page.get_by_role("button", name="3 × ReplyError in review").click()
    desk.sees("3 of 6 rows")
    desk.sees("rows 1 to 2", ".foot")
    assert "r1" in desk.page.locator("#rows-0").inner_text()


def test_a_poll_waits_for_the_answer_that_is_out(desk: Desk) -> None:
    desk.page.clock.install()
    desk.open("#/batches")
    desk.page.locator("#batches-0").wait_for()
    held: list[Any] = []
    desk.page.route("**/api/batches", lambda route: held.append(route))
    with desk.page.expect_request("**/api/batches"):
        desk.page.clock.run_for(10_000)
    desk.page.clock.run_for(40_000)
    desk.page.evaluate("() => fetch('api/session').then(r => r.json())")  # whatever was asked before has come through
    assert len(held) == 1
    answer = held[0].fetch()
    told = answer.json()
    told["items"][0]["method"] = "told late"
    held[0].fulfill(response=answer, json=told)
    desk.sees("told late", "#batches-0")
    with desk.page.expect_request("**/api/batches"):
        desk.page.clock.run_for(10_000)
    desk.page.unroute("**/api/batches")


# -- which way a debate persuades ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_a_debate_counts_its_changes_of_answer_and_every_cell_is_a_filter(desk: Desk, by: str) -> None:
    desk.open(f"#/batches/{desk.ids['debate']}")
    cell = desk.page.locator(".move", has_text="right to wrong")
    cell.wait_for()
    desk.page.locator(".changes h2", has_text="in 8 rows").wait_for()
    assert desk.actions == 0, "the counts are there without a click"
    told = api(desk, f"/batches/{desk.ids['debate']}/facets")["changes"]["moves"]
    shown = desk.page.locator(".move b").all_inner_texts()
    kinds = ("wrong-right", "right-wrong", "wrong-wrong", "held")
    assert [int(text.split()[-1]) for text in shown] == [told.get(kind, {"answers": 0})["answers"] for kind in kinds]
    assert sum(told[kind]["answers"] for kind in told) == 8 * 3 * 2, "agents, and turns from one answer to the next"
    if by == "keyboard":
        cell.focus()
        desk.press("Enter")
    else:
        desk.click(cell)
    desk.sees(f"{told['right-wrong']['rows']} of 8 rows")
    expect(desk.page.locator("#find")).to_have_value("changed:right-wrong")
    assert desk.page.locator(".rows .moved-line .bad").count() == told["right-wrong"]["rows"]


def test_what_the_last_states_say_splits_the_rows(desk: Desk) -> None:
    desk.open(f"#/batches/{desk.ids['debate']}")
    facet = desk.page.locator(".facet", has_text="last state").first
    bar = facet.locator("button").first
    bar.wait_for()
    n = bar.locator(".num").first.inner_text()
    bar.click()
    desk.sees(f"{n} of 8 rows")
    expect(desk.page.locator("#find")).to_have_value(re.compile(r"^state\."))


# -- two batches --------------------------------------------------------------------------------------------------------------------------


def test_a_batch_is_compared_with_another_by_keyboard(desk: Desk) -> None:
    desk.open(f"#/batches/{desk.ids['debate']}")
    desk.sees("8 of 8 rows")
    desk.press("c")
    desk.page.locator(".against a").first.wait_for()
    desk.page.locator(f".against a[href*='{desk.ids['careful']}']").focus()
    desk.press("Enter")
    desk.sees("Who is right where")
    found = api(desk, f"/compare?a={desk.ids['debate']}&b={desk.ids['careful']}")
    cells = {name: desk.page.locator(".cross-cell").nth(n).locator("b").inner_text() for n, name in enumerate(found["table"])}
    assert {name: int(n) for name, n in cells.items()} == found["table"] and found["table"]["wrong_right"] > 0
    desk.sees("McNemar's exact test")
    desk.page.get_by_role("button", name="rows wrong in A, right in B").focus()
    desk.press("Enter")
    desk.page.locator(".list-of-pairs [role=status]", has_text=f"{found['table']['wrong_right']} of 8").wait_for()
    assert desk.page.url.endswith("rows=wrong_right")
    desk.page.locator("#pairs-0").wait_for()
    assert desk.page.locator("#pairs-0 .tag.good").count() == desk.page.locator("#pairs-0 .tag.bad").count() == 1
    desk.page.get_by_role("listbox", name="Rows of both batches").focus()
    desk.press("Enter")
    desk.sees("First difference: step")


def test_different_methods_are_compared_by_their_outcomes_only(desk: Desk) -> None:
    desk.open(f"#/compare/{desk.ids['debate']}/{desk.ids['other']}?rows=all")
    desk.sees("The methods differ, so their steps do not correspond; outcomes only.")
    desk.page.locator("#pairs-7").wait_for()
    assert desk.page.get_by_role("link", name="step by step").count() == 0
    desk.page.locator("#pairs-0").click()
    desk.heading("Step")
    assert f"#/runs/{desk.ids['debate']}" in desk.page.url


def test_the_rows_that_the_filter_keeps_come_as_csv(desk: Desk, tmp_path: Path) -> None:
    desk.open(f"#/batches/{desk.ids['failures']}?filter=error%3AReplyError")
    desk.sees("3 of 6 rows")
    with desk.page.expect_download() as download:
        desk.page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "rows.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "rows.csv").read_text())))
    assert [row["row"] for row in rows] == ["r1", "r3", "r5"]
    assert {row["node"] for row in rows} == {"review"} and "VERDICT" in rows[0]["message"]


@pytest.mark.parametrize("kind", ["batch", "batches", "runs"])
def test_one_key_saves_what_is_shown(desk: Desk, kind: str) -> None:
    a, b = desk.ids["debate"], desk.ids["careful"]
    rows = [api(desk, f"/batches/{batch}/rows")["items"][0]["run"] for batch in (a, b)]
    address = {"batch": f"/batches/{a}", "batches": f"/compare/{a}/{b}", "runs": f"/compare/{rows[0]}/{rows[1]}"}[kind]
    desk.open(f"#{address}")
    desk.page.locator("summary", has_text="export").wait_for()
    with desk.page.expect_download() as download:
        desk.press("e")
    assert (
        download.value.suggested_filename.endswith(".html") and f'"{Path(download.value.path()).read_text()[:15]}"' == '"<!doctype html>"'
    )
    desk.press("?")
    desk.sees("save the run, the batch or what is compared as one file", "dialog")


def test_a_step_that_was_open_is_asked_again_once_it_has_ended(chromium: Any, tmp_path: Path) -> None:
    async def whole() -> str:
        async with open_store(str(tmp_path / "store.db")) as store:
            return await one(store, "self_consistency", {"model": "toy/default", "k": 4, "seed": 1})

    first = filled(whole())
    inputs = toy_item(registry.load("self_consistency")).inputs
    with served(tmp_path) as server, going(tmp_path, **inputs) as second, seated(chromium, server.root, {}) as desk:
        GATES.free.add("solve.b0")  # so the step has a call, and has written nothing
        while not api(desk, f"/runs/{second}/calls")["total"]:
            desk.page.wait_for_timeout(50)
        desk.open(f"#/compare/{first}/{second}")
        desk.sees("still running", ".bar")
        desk.page.locator(".pairs > li", has_text="step 2 · solve differs").get_by_role("link", name="B", exact=True).wait_for()
        desk.sees("not in B", ".pairs")
        GATES.free.add("all")
        desk.page.locator(".bar .tag.live").wait_for(state="detached")
        desk.page.locator(".pairs", has_text="not in B").wait_for(state="detached")
        desk.go(f"#/runs/{second}/2")
        desk.heading("Step 2 · solve")
        desk.page.locator(".detail h4", has_text="chains").wait_for()


@pytest.mark.parametrize("width", [390, 320])
def test_nothing_scrolls_sideways_on_a_phone(chromium: Any, home: str, batches: Shelf, width: int) -> None:
    with seated(chromium, home, batches.ids, viewport={"width": width, "height": 800}) as desk:
        addresses = [f"#/batches/{batches.ids[name]}" for name in ("failures", "debate")]
        for address in (*addresses, f"#/compare/{batches.ids['debate']}/{batches.ids['careful']}"):
            desk.open(address)
            desk.page.locator("#rows-0, #pairs-0").first.wait_for()
            assert desk.page.evaluate("() => document.documentElement.scrollWidth") <= width, address
            assert desk.page.evaluate("() => scrollY") == 0, "it opens at its top"
