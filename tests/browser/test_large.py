"""A batch of ten thousand rows in headless Chromium: what is moved and drawn for it, and the way through it by keyboard and filter."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from browser_home import Desk, Shelf, filled, seated
from serving import served

pytestmark = pytest.mark.browser
BENCH = Path(__file__).parents[2] / "bench"
ROWS = 10_000
MOVED = 450_000
"""Bytes that the page of the batch may take, headers included, of a page that is open."""
NODES = 3_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """The batch that `bench/viewer.py batch` measures."""
    shelf = Shelf(tmp_path_factory.mktemp("large"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(BENCH)])
        shelf.ids["large"] = filled(import_module("viewer_batch").filled(shelf.folder, ROWS))
    return shelf


@pytest.fixture
def desk(chromium: Any, large: Shelf) -> Iterator[Desk]:
    with served(large.folder) as home, seated(chromium, home.root, large.ids) as found:
        yield found


def at(desk: Desk, row: int) -> None:
    """Wait until a row is the selected one, and look at how much is drawn."""
    desk.page.locator(f"#rows-{row}[aria-selected=true]").wait_for()
    assert desk.page.locator("[id^=rows-][aria-selected=true]").count() == 1
    assert desk.page.locator("*").count() < NODES


def test_ten_thousand_rows_move_little_draw_little_and_are_walked_and_filtered(desk: Desk) -> None:
    batch = desk.ids["large"]
    desk.open("#/batches")
    desk.page.locator("#batches-0").wait_for()
    asked: list[Any] = []
    desk.page.on("requestfinished", lambda request: asked.append(request))
    desk.go(f"#/batches/{batch}")
    desk.sees("10,000 of 10,000 rows")
    desk.page.locator(".facet").first.wait_for()
    at(desk, 0)
    assert desk.page.locator("#rows-0").get_attribute("aria-setsize") == str(ROWS)

    rows = desk.page.get_by_role("listbox", name="Rows of the batch")
    for key, row in (("j", 1), ("j", 2), ("k", 1)):
        desk.press(key)
        at(desk, row)
    desk.press("j", "j", "j")  # faster than they are drawn
    at(desk, 4)
    rows.focus()
    for key, row in (("End", ROWS - 1), ("k", ROWS - 2), ("PageUp", ROWS - 12), ("j", ROWS - 11), ("Home", 0)):
        desk.press(key)
        at(desk, row)
    desk.press("End")
    at(desk, ROWS - 1)
    assert desk.page.locator("#rows-0").count() == 0, "what is out of sight is not drawn"
    last = desk.page.locator(f"#rows-{ROWS - 1}")
    assert last.get_attribute("aria-posinset") == str(ROWS) and f"q{ROWS - 1}" in last.inner_text()

    paths = [request.url.removeprefix(desk.root) for request in asked]
    assert sorted(paths) == [f"/api/batches/{batch}/facets", f"/api/batches/{batch}/rows?q=", f"/api/batches/{batch}?quick=1"]
    sizes = [request.sizes() for request in asked]
    moved = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
    assert ROWS < moved <= MOVED, f"{moved} bytes"

    desk.page.locator("#find").fill(f"row:{','.join(f'q{n}' for n in range(5_000, 5_037))}")
    desk.sees("37 of 10,000 rows")
    rows.focus()
    desk.press("End")
    at(desk, 36)
    assert "q5036" in desk.page.locator("#rows-36").inner_text()
    assert len(asked) == 4, "the filter is one request more"
