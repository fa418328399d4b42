"""Paths of the guide by keyboard and by mouse with their actions counted, and every kind of address opened afresh elsewhere.

A group of failures and a debate's changes are in test_batches, a fork with its bill in test_pages, a run that goes on in test_live.
"""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser_home import Desk, Shelf, filled, one, seated
from proxied import behind
from serving import served

from symposia.api import abatch
from symposia.state.store import open_store

pytestmark = pytest.mark.browser
PARAMS = {"k": 4, "max_rounds": 1, "calib_mean": 1.9, "confidence_threshold": 0.8, "seed": 4}


async def fill(shelf: Shelf) -> None:
    """A batch of which some rows are wrong, some were refined, and one is both; another over the same rows; a run with a subgraph."""
    lines = files("symposia.items").joinpath("arithmetic.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[:10]]
    async with open_store(str(shelf.folder / "store.db")) as store:
        for name, error in (("batch", 0.6), ("careful", 0.1)):
            out = shelf.folder / f"{name}.jsonl"
            found = await abatch("magicore", rows, out, model=f"toy/default?error={error}", params=PARAMS, store=store)
            shelf.ids[name] = found["batch_id"]
        shelf.ids["utdebug"] = await one(store, "utdebug", {"model": "toy/default?error=0.4", "seed": 3}, checkpoints="none")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    found = Shelf(tmp_path_factory.mktemp("paths"))
    filled(fill(found))
    return found


@pytest.fixture(scope="module")
def root(shelf: Shelf) -> Iterator[str]:
    with served(shelf.folder) as found:
        yield found.root


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_the_one_row_that_was_refined_and_is_still_wrong_takes_three_actions(desk: Desk, by: str) -> None:
    desk.open(f"#/batches/{desk.ids['batch']}")
    desk.sees("10 of 10 rows")
    if by == "keyboard":
        desk.press("/")
        desk.actions += 1  # what is typed, to the Enter that leaves the field
        desk.page.keyboard.type("correct:no visited:refine")
        desk.page.keyboard.press("Enter")
        desk.sees("1 of 10 rows")
        desk.page.locator("#rows-0").wait_for()
        desk.press("Enter")
    else:
        desk.actions += 1
        desk.page.get_by_label("Add to the filter").select_option("correct:no")
        items = json.loads(desk.page.request.get(f"{desk.root}/api/batches/{desk.ids['batch']}/rows").text())["items"]
        wrong = sum(row["correct"] is False for row in items)
        assert 1 < wrong < 10
        desk.sees(f"{wrong} of 10 rows")
        desk.actions += 1
        desk.page.get_by_label("Add to the filter").select_option("visited:refine")
        desk.sees("1 of 10 rows")
        desk.click(desk.page.locator("#rows-0"))
    desk.heading("Step")
    assert desk.actions == 3
    desk.page.locator(".detail .turning.wrong").wait_for()
    assert "wrong from here" in desk.selected()


def test_the_graph_shows_what_ran_within_a_subgraph(desk: Desk) -> None:
    page = json.loads(desk.page.request.get(f"{desk.root}/api/runs/{desk.ids['utdebug']}").text())
    suites = [step["n"] for step in page["steps"] if step["nodes"] == ["ut_suite"]]
    desk.open(f"#/runs/{desk.ids['utdebug']}/1")
    desk.page.get_by_role("button", name=re.compile("^vote_output, visited")).click()
    desk.heading(f"Step {suites[0]}")
    assert desk.page.get_by_label("inside a subgraph that was visited").count() == 0


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_showing_a_colleague_takes_one_key(desk: Desk, by: str, tmp_path: Path) -> None:
    address = f"#/runs/{desk.ids['utdebug']}/3"
    desk.open(address)
    desk.heading("Step 3")
    if by == "keyboard":
        desk.press("y")
        desk.sees("Link copied.")
    else:
        desk.click(desk.page.get_by_role("button", name="copy link"))
        desk.sees("copied")
    assert desk.actions == 1
    assert desk.page.evaluate("() => navigator.clipboard.readText()") == f"{desk.root}/{address}"
    if by == "mouse":
        desk.page.get_by_text("export", exact=True).click()
    with desk.page.expect_download() as download:
        if by == "keyboard":
            desk.press("e")
        else:
            desk.click(desk.page.get_by_role("link", name="HTML file"))
    assert desk.actions == 2, "one for the link, one for the file; a mouse opens the box of the file first"
    download.value.save_as(tmp_path / "run.html")
    desk.page.goto(f"file://{tmp_path}/run.html{address}")
    desk.heading("Step 3")


# Ages at the end of a line are left out, they go on; so is the box of the export, which a file has none of.
CHOSEN = r"""() => {
  const said = part => part.textContent.replace(/\d+ \w+$/, "");
  const all = marks => [...document.querySelectorAll(marks)];
  return {
    parts: all("[aria-pressed=true], [aria-expanded=true]").map(said),
    rows: all("[role=option][aria-selected=true]").map(said),
    filter: all("#find").map(field => field.value),
    fields: all("main :is(input, select):not(.saves *)").map(field => (field.type === "checkbox" ? field.checked : field.value)),
    heads: all(".detail h2, .detail h4, .pairs h2, main.list h1, main.list h2").map(head => head.textContent),
  };
}"""


def chosen(desk: Desk, address: str, mark: str) -> Any:
    """What is chosen, pressed, unfolded and written in the fields of an address that is opened afresh, once nothing comes any more."""
    desk.page.goto("about:blank")
    desk.page.goto(address)
    desk.page.locator(mark).first.wait_for()
    before: Any = None
    for _ in range(40):
        desk.page.wait_for_timeout(200)
        found = desk.page.evaluate(CHOSEN)
        if found == before and not desk.page.locator(".waiting").count():
            break
        before = found
    return before


def test_every_kind_of_address_chooses_the_same_behind_a_path_and_in_a_file(desk: Desk, tmp_path: Path) -> None:
    ids = desk.ids
    rows = json.loads(desk.page.request.get(f"{desk.root}/api/batches/{ids['batch']}/rows").text())["items"]
    run = rows[0]["run_id"] if "run_id" in rows[0] else rows[0]["run"]
    calls = json.loads(desk.page.request.get(f"{desk.root}/api/runs/{ids['utdebug']}/calls").text())["items"]
    inner = next(call["place"] for call in calls if "/" in call["place"])  # a call inside a subgraph
    both = f"/compare/export?a={ids['batch']}&b={ids['careful']}"
    addresses = {
        f"#/runs/{ids['utdebug']}/{inner}": (f"/runs/{ids['utdebug']}/export", ".said-part .text"),
        f"#/runs/{run}/2?scale=time&find=solve": (f"/runs/{run}/export", ".hits a"),
        f"#/runs/{run}/2.solve.b1?part=reply&in=step&how=pretty": (f"/runs/{run}/export", ".reply"),
        f"#/batches/{ids['batch']}?filter=correct%3Ano": (f"/batches/{ids['batch']}/export", "#rows-0"),
        f"#/compare/{ids['batch']}/{ids['careful']}": (both, ".crosses"),
        "#/runs?q=method%3Autdebug": (None, "#runs-0"),
        "#/batches": (None, "#batches-0"),
        f"#/compare/{ids['batch']}/{ids['careful']}?rows=wrong_right": (None, "#pairs-0"),
    }
    with behind(desk.root) as prefixed, seated(desk.page.context.browser, prefixed, {}) as guest:
        for n, (address, (path, mark)) in enumerate(addresses.items()):
            here = chosen(desk, f"{desk.root}/{address}", mark)
            assert len(here["rows"]) == 1, address
            filters = parse_qs(urlsplit(address.removeprefix("#")).query)
            assert here["filter"] in ([], [next((filters[name][0] for name in ("filter", "find", "q") if name in filters), "")]), address
            assert here["filter"] or not filters.keys() & {"filter", "find", "q"}, address
            assert chosen(guest, f"{prefixed}/{address}", mark) == here, address
            if path is None:
                continue
            file = tmp_path / f"{n}.html"
            file.write_bytes(desk.page.request.get(f"{desk.root}/api{path}").body())
            assert chosen(desk, f"file://{file}{address}", mark) == here, address
