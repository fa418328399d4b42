"""Files that work from a disk, and a server behind a path: every address shows the same there as on the server itself."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from browser_home import Desk, Shelf, filled, seated
from playwright.sync_api import expect
from proxied import behind
from serving import served

from symposia.api import abatch
from symposia.state.store import open_store

pytestmark = pytest.mark.browser


def saved(desk: Desk, path: str, file: Path) -> str:
    """A file that the server exports, as an address."""
    answer = desk.page.request.get(f"{desk.root}/api{path}")
    assert answer.status == 200
    file.write_bytes(answer.body())
    return f"file://{file}"


def shows(desk: Desk, root: str, address: str) -> list[str]:
    """What stands at an address that is opened afresh."""
    desk.page.goto("about:blank")
    desk.page.goto(f"{root}{address}")
    desk.page.locator(".detail .value, .detail .said-part .text, .pairs, #rows-0").first.wait_for()
    desk.page.locator(".graph .node").nth(2).wait_for() if "#/runs/" in address else None
    before: list[str] = []
    for _ in range(40):
        desk.page.wait_for_timeout(150)
        found = [part.inner_text() for part in desk.page.locator(".detail h2, .detail h3, .detail h4, .pairs, .rows-all .cut").all()]
        found += desk.page.locator("[aria-selected=true] .n").all_inner_texts()
        if found and found == before and not desk.page.locator(".waiting").count():
            break  # nothing comes any more
        before = found
    return before


def test_every_address_shows_the_same_on_a_server_behind_a_path_and_in_a_file(desk: Desk, tmp_path: Path) -> None:
    run_id, other = desk.ids["stickers"], desk.ids["stamps"]
    run = saved(desk, f"/runs/{run_id}/export", tmp_path / "run.html")
    both = saved(desk, f"/compare/export?a={run_id}&b={other}", tmp_path / "both.html")
    addresses = {
        f"#/runs/{run_id}/6": run,
        f"#/runs/{run_id}/8?show=whole": run,
        f"#/runs/{run_id}/8.refine.b1?part=prompt": run,
        f"#/runs/{run_id}/3?as.answers=tree+of+keys": run,
        f"#/compare/{run_id}/{other}": both,
        f"#/runs/{other}/7": both,
    }
    with behind(desk.root) as prefixed, seated(desk.page.context.browser, prefixed, {}) as guest:
        for address in addresses:
            assert shows(guest, f"{prefixed}/", address) == shows(desk, f"{desk.root}/", address), address
    for address, file in addresses.items():
        assert shows(desk, file, address) == shows(desk, f"{desk.root}/", address), address


def test_a_file_of_a_batch_filters_its_rows_and_opens_the_runs_that_it_holds(desk: Desk, tmp_path: Path) -> None:
    file = saved(desk, f"/batches/{desk.ids['failures']}/export?runs=1", tmp_path / "batch.html")
    desk.page.goto(file)
    desk.page.locator("#rows-3").wait_for()
    desk.page.locator(".group").first.click()
    desk.sees("2 of 4 rows")
    desk.page.locator("#rows-0").click()
    desk.heading("2.solve.b0")
    desk.page.keyboard.press("/")
    desk.page.keyboard.type("BROKEN 1")
    desk.page.keyboard.press("Enter")
    desk.page.locator(".hits a", has_text="prompt · 2.solve.b1").wait_for()
    desk.page.locator("nav.top .brand").click()
    desk.page.locator("#find").fill("row:r0 calls>=1")
    desk.sees("1 of 4 rows")
    desk.page.locator("#find").fill("-row:r0")
    desk.sees("3 of 4 rows")
    desk.page.locator("#find").fill("row:r0")
    desk.sees("1 of 4 rows")
    desk.page.locator("#rows-0").click()
    desk.sees("this was not exported", ".trouble")
    desk.page.keyboard.press("?")
    desk.sees(f"symposia show {desk.ids['failures']} --html", "dialog")
    desk.sees("1 whole, 3 by their row alone", "dialog")


@pytest.fixture(scope="module")
def debates(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A debate over some problems, with toys that err often and with toys that seldom do."""
    shelf = Shelf(tmp_path_factory.mktemp("debates"))
    lines = files("symposia.items").joinpath("arithmetic.jsonl").read_text(encoding="utf-8").splitlines()
    problems = [json.loads(line) for line in lines[:8]]

    async def fill() -> None:
        async with open_store(str(shelf.folder / "store.db")) as store:
            for name, model in (("often", "toy/default?error=0.4"), ("seldom", "toy/default?error=0.05")):
                params = {"k": 3, "max_rounds": 2, "seed": 4}
                made = await abatch("debate_du", problems, shelf.folder / f"{name}.jsonl", model=model, params=params, store=store)
                shelf.ids[name] = made["batch_id"]

    filled(fill())
    return shelf


@pytest.fixture
def hall(chromium: Any, debates: Shelf) -> Iterator[Desk]:
    with served(debates.folder) as home, seated(chromium, home.root, debates.ids) as found:
        yield found


def test_a_file_of_a_batch_filters_by_states_and_changes_of_answer_as_the_server_does(hall: Desk, tmp_path: Path) -> None:
    base = f"/batches/{hall.ids['often']}"
    hall.page.goto(saved(hall, f"{base}/export?runs=0", tmp_path / "batch.html"))
    facet = hall.page.locator(".facet", has_text="last state").first
    n = facet.locator("button .num").first.inner_text()
    facet.locator("button").first.click()
    hall.sees(f"{n} of 8 rows")
    expect(hall.page.locator("#find")).to_have_value(re.compile(r"^state\."))
    told = hall.page.request.get(f"{hall.root}/api{base}/facets").json()
    key = next(facet["key"] for facet in told["facets"] if facet["key"].startswith("state."))
    for q in (
        "changed:right-wrong",
        "-changed:wrong-right,right-wrong",
        f"{key}>=1",
        f"-{key}:none",
        "state.task:AUTO,none",
        "state.gone:none",
    ):
        asked = hall.page.request.get(f"{hall.root}/api{base}/rows?q={quote(q)}").json()
        hall.page.locator("#find").fill(q)
        hall.sees(f"{asked['total']} of 8 rows")
        shown = hall.page.locator(".rows [role=option]").count()
        assert shown == asked["total"], q
    hall.page.locator("#find").fill("changed:held row:nothing")
    hall.sees("removed the last")
    hall.page.locator("#find").fill("changed:right")
    hall.sees("there is no change of answer right")


def test_a_file_of_a_debate_counts_its_changes_of_answer(hall: Desk, tmp_path: Path) -> None:
    base = f"/batches/{hall.ids['often']}"
    told = hall.page.request.get(f"{hall.root}/api{base}/export?runs=0&as=json").json()["changes"]["moves"]
    hall.page.goto(saved(hall, f"{base}/export?runs=0", tmp_path / "batch.html"))
    hall.page.locator(".changes h2", has_text="in 8 rows").wait_for()
    shown = [int(text.split()[-1]) for text in hall.page.locator(".move b").all_inner_texts()]
    assert shown == [told.get(move, {"answers": 0})["answers"] for move in ("wrong-right", "right-wrong", "wrong-wrong", "held")]
    hall.page.locator(".move", has_text="right to wrong").click()
    hall.sees(f"{told['right-wrong']['rows']} of 8 rows")
    expect(hall.page.locator("#find")).to_have_value("changed:right-wrong")
    assert hall.page.locator(".rows .moved-line .bad").count() == told["right-wrong"]["rows"]


def test_the_cells_of_two_batches_filter_in_a_file(hall: Desk, tmp_path: Path) -> None:
    a, b = hall.ids["often"], hall.ids["seldom"]
    hall.page.goto(saved(hall, f"/compare/export?a={a}&b={b}", tmp_path / "both.html"))
    for which in ("right_right", "right_wrong", "wrong_right", "wrong_wrong", "all", "changed"):
        told = hall.page.request.get(f"{hall.root}/api/compare?a={a}&b={b}&rows={which}").json()
        hall.go(f"#/compare/{a}/{b}?rows={which}")
        hall.sees(f"{told['total']} of 8", ".list-of-pairs [role=status]")
        path = f"/compare?a={a}&b={b}&rows={which}"
        found = hall.page.evaluate("path => globalThis.symposiaLater.answerOf(globalThis.symposiaData, path)", path)
        assert found == told, which
    cell = hall.page.get_by_role("button", name="rows wrong in A, right in B")
    n = cell.locator("b").inner_text()
    assert int(n) > 0
    cell.click()
    hall.sees(f"{n} of 8", ".list-of-pairs [role=status]")
    assert hall.page.locator("#pairs-0 .tag.good").count() == hall.page.locator("#pairs-0 .tag.bad").count() == 1
    hall.page.goto("about:blank")
    hall.page.goto(saved(hall, f"/compare/export?a={a}&b={b}&without=references", tmp_path / "shorn.html"))
    hall.page.locator(".cross-cell").first.wait_for()
    assert hall.page.locator(".cross-cell:disabled").count() == 4
    hall.page.get_by_role("button", name="all rows").click()
    hall.sees("8 of 8", ".list-of-pairs [role=status]")


def test_a_file_says_that_its_models_are_toys_and_what_was_left_out(desk: Desk, tmp_path: Path) -> None:
    run_id = desk.ids["stickers"]
    desk.open(f"#/runs/{run_id}/6")
    desk.heading("Step 6")
    desk.page.get_by_text("export", exact=True).click()
    desk.page.get_by_label("with prompts").click()
    desk.page.get_by_label("with references").click()
    desk.sees(f"symposia show {run_id} --html {run_id}.html --without prompts,references", ".saves")
    with desk.page.expect_download() as download:
        desk.page.get_by_role("link", name="HTML file").click()
    file = tmp_path / "shorn.html"
    download.value.save_as(file)
    desk.page.goto(f"file://{file}#/runs/{run_id}/8.refine.b1")
    desk.sees("left out of this file", ".said-part")
    top = desk.page.locator("nav.top").inner_text()
    assert "toy models" in top and "toy/default?error=0.5" in top and "without prompts and references" in top
    assert desk.page.locator(".outcome .bad").count() == 0  # neither right nor wrong is told


def test_hostile_texts_do_nothing_in_a_file_that_compares(desk: Desk, tmp_path: Path) -> None:
    a, b = desk.ids["hostile"], desk.ids["stamps"]
    file = saved(desk, f"/compare/export?a={a}&b={b}", tmp_path / "both.html")
    for place in (f"compare/{a}/{b}", f"runs/{a}/7?show=whole", f"runs/{a}/2.solve.b0?how=pretty", f"runs/{a}/2.solve.b0?in=img"):
        desk.page.goto("about:blank")
        desk.page.goto(f"{file}#/{place}")
        desk.page.locator(".detail .value, .detail .text, .pairs").first.wait_for()
        desk.page.get_by_text("<img src=x onerror=alert(1)>").first.wait_for(state="attached")
        assert desk.page.locator("img, iframe, script[src]").count() == 0
    desk.page.locator("mark.found", has_text="img").first.wait_for()


@pytest.mark.parametrize("width", [320, 390])
def test_the_export_box_and_the_finder_fit_a_small_screen(chromium: Any, root: str, shelf: Shelf, width: int) -> None:
    with seated(chromium, root, shelf.ids, viewport={"width": width, "height": 700}) as desk:
        desk.open(f"#/runs/{shelf.ids['stickers']}/8.refine.b1?find=review")
        desk.heading("8.refine.b1")
        desk.page.locator(".hits a").first.wait_for()
        desk.page.get_by_text("export", exact=True).click()
        box = desk.page.locator(".saves-box").bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
        assert desk.page.evaluate("() => document.documentElement.scrollWidth") <= width
