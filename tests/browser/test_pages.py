"""The viewer in headless Chromium: the paths that people come with, by keyboard and by mouse, and what must never happen."""

import json
from pathlib import Path
from typing import Any

import pytest
from browser_home import Desk, Shelf, filled, one, seated
from playwright.sync_api import expect
from serving import served

from symposia import registry
from symposia.serve.guard import Rules
from symposia.state.store import open_store

pytestmark = pytest.mark.browser
SMALL = {"k": 2, "max_rounds": 1, "n": 2, "n_agents": 2}


# -- the paths of the guide ---------------------------------------------------------------------------------------------------------------


def test_a_refined_problem_that_is_still_wrong_opens_at_its_turning_point(desk: Desk) -> None:
    desk.open(f"#/batches/{desk.ids['hard']}")
    desk.sees("2 of 2 rows")
    desk.press("/")
    desk.actions += 1
    desk.page.keyboard.type("correct:no visited:refine")
    desk.page.keyboard.press("Enter")  # leaves the field
    desk.sees("1 of 2 rows")
    desk.press("Enter")
    desk.heading("Step")
    assert desk.actions == 3
    assert "wrong from here" in desk.selected()
    desk.sees("Turning point: from here the leading answer stays wrong.")
    desk.page.locator(".step-line .name", has_text="classify").first.click()
    desk.sees("history[-1].is_hard", ".why")
    desk.page.locator(".step-line .name", has_text="review").first.click()
    desk.sees("critiques of chains")
    desk.page.locator(".review ins, .review del").first.wait_for()


def test_failures_are_groups_and_a_row_opens_at_the_failing_call(desk: Desk) -> None:
    desk.open(f"#/batches/{desk.ids['failures']}")
    desk.click(desk.page.locator(".group"))
    desk.sees("2 of 4 rows")
    desk.click(desk.page.locator("#rows-0"))
    desk.heading(".solve")
    assert desk.actions == 2
    desk.sees("failed", ".call-facts")
    desk.sees("broken 1?", ".said-part")
    desk.sees("Error", ".reply, .said-part .notice")


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_a_fork_says_its_bill_and_opens_in_compare(desk: Desk, by: str) -> None:
    desk.open(f"#/runs/{desk.ids['stamps']}/6")
    desk.heading("Step 6")
    if by == "keyboard":
        desk.press("f")
    else:
        desk.click(desk.page.get_by_role("button", name="Fork", exact=True))
    field = desk.page.locator("dialog").get_by_label("reviewer").first
    desk.actions += 1
    field.fill("toy/default?error=0.1")
    bill = desk.page.locator(".bill", has_text="certain")
    bill.get_by_text("--role 'reviewer=toy/default?error=0.1'").wait_for()
    assert "18 calls reused" in bill.inner_text()
    if by == "keyboard":
        desk.press("Enter")
    else:
        desk.click(desk.page.locator("dialog").get_by_role("button", name="Fork", exact=True))
    desk.sees("First difference: step 7")
    assert desk.actions == 3
    assert desk.page.locator(".pairs [aria-expanded=true]").inner_text().startswith("▾ step 7")


def test_a_fork_edits_what_the_run_holds_and_any_run_is_compared_with_another(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['long']}/2")
    desk.heading("Step 2")
    desk.press("f")
    dialog = desk.page.locator("dialog")
    dialog.locator("summary", has_text="Prompts").click()
    template = dialog.locator("textarea")
    template.wait_for()
    assert len(template.input_value()) > 3_000, "an edit of its head would lose the rest"
    expect(dialog.locator("ins")).to_have_count(1)
    dialog.locator("summary", has_text="State after").click()
    dialog.get_by_role("button", name="edit chains").click()
    field = dialog.locator("textarea.mono")
    assert "$text" not in field.input_value() and len(json.loads(field.input_value())[0]) == 1
    assert dialog.get_by_label("use_n").evaluate("field => field.tagName") == "SELECT"
    dialog.get_by_role("button", name="Cancel").click()
    desk.press("c")
    desk.page.locator(".against a:focus").wait_for()
    desk.press("Enter")
    desk.sees("Compare", "h1")
    said = desk.page.locator(".came").inner_text()
    assert "calls +399" in said and "answer" in said
    figures = desk.page.evaluate("() => [3.14159265, 1234567.5, '1,000'].map(symposiaModules['words.js'].figure)")
    cuts = desk.page.evaluate("() => ['ab', 'a ... b', 'a ... c'].map(cut => symposiaModules['words.js'].standsFor(cut, 'ab'))")
    assert cuts == [True, True, False], "a list's question is known again where its middle is cut out"
    assert figures == ["3.14159265", "1234567.5", "1,000"], "answers that differ do not look alike"


def test_a_link_and_a_file_show_the_same(desk: Desk, tmp_path: Path) -> None:
    desk.open(f"#/runs/{desk.ids['stickers']}/8")
    desk.heading("Step 8")
    desk.page.locator(".call-list a").nth(1).click()
    desk.heading("8.refine.b1")
    desk.press("y")
    desk.sees("Link copied.")
    link = desk.page.evaluate("() => navigator.clipboard.readText()")
    assert link.endswith(f"#/runs/{desk.ids['stickers']}/8.refine.b1")
    desk.open(link.partition("/#")[2].join(["#", ""]))
    desk.heading("8.refine.b1")
    with desk.page.expect_download() as download:
        desk.press("e")
    file = tmp_path / "run.html"
    download.value.save_as(file)
    desk.page.goto(f"file://{file}#/runs/{desk.ids['stickers']}/8.refine.b1")
    desk.heading("8.refine.b1")
    desk.page.locator(".graph .node.now").wait_for()
    desk.page.keyboard.press("Escape")
    desk.heading("Step 8")
    desk.page.get_by_role("button", name="whole state").click()
    desk.page.locator("section.value[aria-label=prm_steps]").wait_for()
    assert desk.page.locator("nav.top").inner_text().startswith("Symposia")


# -- moving about -------------------------------------------------------------------------------------------------------------------------


def test_keys_and_back_move_through_a_run(desk: Desk) -> None:
    desk.open("#/runs")
    desk.page.locator("#runs-0").wait_for()
    desk.open(f"#/runs/{desk.ids['stickers']}/4")
    desk.heading("Step 4")
    for key, wanted in (("j", "Step 5"), ("k", "Step 4"), ("]", "Step 10"), ("[", "Step 4"), ("t", "Step 3")):
        desk.press(key)
        desk.heading(wanted)
    desk.open(f"#/runs/{desk.ids['stickers']}/8.refine.b0")
    desk.heading("8.refine.b0")
    for key, wanted in (("n", "8.refine.b1"), ("p", "8.refine.b0"), ("]", "14.refine.b0"), ("Escape", "Step 14")):
        desk.press(key)
        desk.heading(wanted)
    desk.page.go_back()
    desk.heading("14.refine.b0")
    desk.press("Escape")
    desk.heading("Step 14")
    desk.press("Escape")
    desk.sees("2 of 2 rows")  # of the batch that the run is of: no list was looked at before it
    desk.press("?")
    desk.sees("same place a round before or after", "dialog")


def test_the_graph_goes_where_it_is_clicked_and_marks_the_path(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['stickers']}/2")
    review = desk.page.get_by_role("button", name="review, visited 2 times, steps 7, 13")
    review.focus()
    desk.press("Enter")
    desk.heading("Step 7")
    review.click()
    desk.heading("Step 13")
    assert desk.page.locator(".graph .node.now").count() == 1
    assert desk.page.locator(".graph .edge.taken").count() > 8


def test_a_value_shows_as_what_the_reader_chooses_and_the_address_keeps_it(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['stickers']}/3")
    choice = desk.page.get_by_label("Show answers as")
    expect(choice).to_have_value("votes")
    choice.select_option("tree of keys")
    desk.page.locator("section[aria-label=answers] .json").first.wait_for()
    address = desk.page.url.partition("/#")[2]
    desk.open(f"#{address}")
    desk.page.locator("section[aria-label=answers] .json").first.wait_for()


# -- what must hold everywhere ------------------------------------------------------------------------------------------------------------


def test_texts_of_models_never_act(desk: Desk, tmp_path: Path) -> None:
    run_id = desk.ids["hostile"]
    page = json.loads(desk.page.request.get(f"{desk.root}/api/runs/{run_id}").text())
    places = {s["nodes"][0]: s["n"] for s in page["steps"]}
    addresses = [f"#/runs/{run_id}/{n}{query}" for n in places.values() for query in ("", "?show=whole", "?show=json")]
    calls = json.loads(desk.page.request.get(f"{desk.root}/api/runs/{run_id}/calls").text())["items"]
    addresses += [f"#/runs/{run_id}/{call['place']}" for call in calls if call["place"].endswith("b0")]
    addresses += ["#/runs", f"#/compare/{run_id}/{desk.ids['stamps']}"]
    desk.open("#/runs")
    for address in addresses:
        desk.go(address)
        desk.page.wait_for_url(f"**/{address}")
        desk.page.locator(".detail-head + *, #runs-0, .pairs").first.wait_for()
    desk.open(f"#/runs/{run_id}/{places['review']}")
    desk.sees("<img src=x onerror=alert(1)>", ".detail")
    for code in ("U+001B", "U+202E", "U+200B", "U+E0041"):
        desk.page.locator(f".sign[title='{code}']").first.wait_for()
    file = tmp_path / "hostile.html"
    file.write_bytes(desk.page.request.get(f"{desk.root}/api/runs/{run_id}/export?as=html").body())
    desk.page.goto(f"file://{file}#/runs/{run_id}/{places['review']}")
    desk.sees("<img src=x onerror=alert(1)>", ".detail")
    assert desk.page.locator("img, iframe, script[src*='x']").count() == 0


def test_long_texts_fold_and_come_whole_when_they_are_asked_for(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['hostile']}/2.solve.b0?part=reply")
    more = desk.page.locator(".reply .more")
    assert "of 11,1" in more.inner_text()
    more.click()
    desk.sees("\\boxed{18}", ".reply")
    assert desk.page.locator(".reply .more").count() == 0


def test_many_calls_are_in_a_window_and_all_of_them_within_reach(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['many']}/2")
    calls = desk.page.get_by_role("listbox", name="Calls of the step")
    calls.locator("#calls-0").wait_for()
    assert desk.page.locator("*").count() < 3000
    calls.focus()
    desk.press("End")
    expect(calls.locator("[aria-selected=true]")).to_have_attribute("aria-posinset", "400")
    desk.press("Enter")
    desk.heading("2.solve.b399")


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_scrolls_sideways_on_a_small_screen(chromium: Any, root: str, shelf: Shelf, width: int) -> None:
    with seated(chromium, root, shelf.ids, viewport={"width": width, "height": 700}, has_touch=True) as desk:
        run_id = shelf.ids["stickers"]
        addresses = [
            "#/runs",
            f"#/batches/{shelf.ids['hard']}",
            f"#/runs/{run_id}/7",
            f"#/runs/{run_id}/18?show=whole",
            f"#/runs/{run_id}/8.refine.b0",
        ]
        for address in [*addresses, f"#/compare/{run_id}/{shelf.ids['stamps']}"]:
            desk.open(address)
            desk.page.locator(".detail-head, .row, .pairs").first.wait_for()
            wide = desk.page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= width, address
        desk.open(f"#/runs/{run_id}/7")
        desk.page.locator(".graph-pane button").first.click()
        desk.page.locator("svg.graph").wait_for()
        bottom = "() => { const [a, b] = ['.graph-pane', '.steps-pane'].map(s => document.querySelector(s)); "
        bottom += "return [a.clientHeight < a.scrollHeight, getComputedStyle(a).overflowY, a.offsetTop + a.offsetHeight <= b.offsetTop]; }"
        assert desk.page.evaluate(bottom) == [True, "auto", True], "the graph scrolls in its pane and covers no step"


def test_a_server_with_a_key_asks_for_it_once(chromium: Any, tmp_path: Path) -> None:
    key = "a-long-enough-key"
    with served(tmp_path, rules=Rules(keys=(key,))) as found, seated(chromium, found.root, {}) as desk:
        desk.open("")
        field = desk.page.locator(".key-form input")
        field.fill("wrong")
        field.press("Enter")
        desk.sees("that is not the server's key")
        desk.faults.clear()  # the browser reports the refusal
        field.fill(key)
        field.press("Enter")
        desk.sees("There are no runs yet.")
        desk.open("#/batches")
        desk.sees("There are no batches yet.")
        assert key not in desk.page.content() and key not in desk.page.url


def test_what_is_not_there_is_said_with_a_remedy(desk: Desk) -> None:
    desk.open("#/runs/nosuchrun")
    desk.page.locator(".trouble").wait_for()
    desk.open("#/runs?q=nosuch%3Akey")
    desk.sees("unknown filter key")
    desk.open(f"#/runs?q={'nothing-matches-this'}")
    desk.sees("No run passes the filter")
    assert all("the server responded with a status of 4" in fault for fault in desk.faults)
    desk.faults.clear()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A run of every method with the toys, as small as it gets."""
    folder = tmp_path_factory.mktemp("every")

    async def made() -> dict[str, str]:
        found = {}
        async with open_store(str(folder / "store.db")) as store:
            for name in registry.names():
                fields = registry.load(name).params.model_fields
                given = {key: value for key, value in SMALL.items() if key in fields}
                found[name] = await one(store, name, {"model": "toy/default", "seed": 3, **given}, checkpoints="none")
        return found

    return folder, filled(made())


def test_every_method_shows_every_node_with_all_keys_within_reach(chromium: Any, everything: tuple[Path, dict[str, str]]) -> None:
    folder, ids = everything
    with served(folder) as found, seated(chromium, found.root, ids) as desk:
        desk.open("#/runs")
        for name, run_id in ids.items():
            page = json.loads(desk.page.request.get(f"{found.root}/api/runs/{run_id}").text())
            assert page["states"] == "known" and page["steps"], name
            for n in {step["nodes"][0]: step["n"] for step in page["steps"]}.values():
                desk.go(f"#/runs/{run_id}/{n}")
                desk.heading(f"Step {n} ")
                desk.page.locator(".calls").wait_for()
            last = page["steps"][-1]["n"]
            keys = json.loads(desk.page.request.get(f"{found.root}/api/runs/{run_id}/state/{last}").text())["state"]
            desk.go(f"#/runs/{run_id}/{last}?show=whole")
            desk.page.locator("section.value").nth(len(keys) - 1).wait_for()
            assert not desk.page.get_by_text("could not be shown").count(), name
