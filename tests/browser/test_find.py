"""Finding in the viewer: names, texts, calls and what was taken of them, on either scale; and what is said when something is wrong."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_home import Desk, Shelf, filled, one, seated
from changed_method import NAME, recorded, wayfarer
from playwright.sync_api import expect
from server import spawned
from serving import served

from symposia.state.store import open_store
from symposia.tools.settings import configure

pytestmark = pytest.mark.browser
MANY, NODES, BYTES = 2_000, 3_000, 150_000


def step(desk: Desk) -> str:
    return str(desk.page.locator(".detail h2").inner_text())


# -- find ---------------------------------------------------------------------------------------------------------------------------------


def test_names_and_heads_are_found_by_keyboard(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['stickers']}/2")
    desk.heading("Step 2")
    desk.press("/")
    desk.page.keyboard.type("review")
    hits = desk.page.locator(".hits a")
    desk.sees("names and heads", ".found-box")
    hits.filter(has_text="7.review.b0").wait_for()
    assert hits.first.inner_text().startswith("step 7")
    assert hits.filter(has_text="7.review.b0").get_attribute("href").startswith(f"#/runs/{desk.ids['stickers']}/7.review.b0?")
    desk.press("ArrowDown", "ArrowUp", "Enter")
    desk.heading("Step 7")
    desk.press("j")  # the field has given the keys back
    desk.heading("Step 8")
    assert "find=review" in desk.page.url


def test_all_texts_of_a_run_are_looked_through_and_every_hit_is_a_link(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['stickers']}/2")
    desk.heading("Step 2")
    desk.press("/")
    desk.page.keyboard.type("A QUARTER of her")
    desk.sees("0 names and heads")
    desk.press("Enter")
    desk.page.locator(".hits a").filter(has_text="prompt · 2.solve.b0").wait_for()
    assert desk.page.locator(".hits mark.found").first.inner_text() == "a quarter of her"
    said = desk.page.locator("#find-met").inner_text()
    shown, total = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) of ([\d,]+) texts", said)[0])
    assert desk.page.locator(".hits li").count() == shown <= total
    desk.page.locator(".hits a").filter(has_text="prompt · 8.refine.b1").click()
    desk.heading("8.refine.b1")
    address = desk.page.url.partition("/#")[2]
    desk.open(f"#{address}")
    desk.heading("8.refine.b1")
    desk.page.locator(".hits a").filter(has_text="prompt · 2.solve.b0").wait_for()


def test_all_texts_of_all_runs_are_looked_through_from_the_list(desk: Desk) -> None:
    desk.open("#/runs")
    desk.page.locator("#runs-0").wait_for()
    desk.press("/")
    desk.page.keyboard.type("SCORES")
    desk.page.keyboard.press("Enter")
    desk.page.get_by_role("button", name="look for “SCORES” in all texts").click()
    hit = desk.page.locator(".hits a").filter(has_text=desk.ids["stickers"][:6]).first
    hit.wait_for()
    hit.click()
    desk.heading(".score")


# -- scales -------------------------------------------------------------------------------------------------------------------------------


def test_steps_have_a_scale_of_time_and_one_of_equal_widths(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['stickers']}/2")
    desk.heading("Step 2")
    solve = desk.page.locator("#step-1 .track")
    assert solve.locator("i").count() == 6
    desk.page.get_by_role("button", name="time", exact=True).click()
    bars = desk.page.locator(".track.time svg")
    bars.first.wait_for()
    lefts = bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().left)")
    assert lefts == sorted(lefts) and lefts[-1] > lefts[0]
    assert "6 branches" in bars.nth(1).get_attribute("aria-label")
    assert "V" in bars.nth(1).locator("path").get_attribute("d")
    desk.press("j")
    desk.heading("Step 3")
    assert "scale=time" in desk.page.url and bars.count() > 10


def test_branches_that_failed_are_marked_and_x_goes_to_them(desk: Desk) -> None:
    desk.open(f"#/batches/{desk.ids['failures']}")
    desk.page.locator("#rows-0").wait_for()
    desk.page.locator(".row", has_text="r1").click()
    desk.heading("2.solve.b0")
    desk.press("Escape", "k")
    desk.heading("Step 1")
    desk.press("x")
    desk.heading("Step 2")
    assert desk.page.locator("#step-1 .track i.odd").count() == 2


# -- calls --------------------------------------------------------------------------------------------------------------------------------


def test_a_call_shows_what_its_parser_took_and_finds_in_its_texts(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['stickers']}/4.score.b0.b0")
    desk.heading("4.score.b0.b0")
    desk.sees("the parser took", ".taken")
    taken = desk.page.locator("mark.took")
    assert float(taken.first.inner_text()) == float(desk.page.locator(".taken b").inner_text())
    desk.page.get_by_placeholder("find in this call").fill("score")
    desk.page.locator("mark.found").first.wait_for()
    desk.page.get_by_text(re.compile(r"^\d+ places?$")).wait_for()
    desk.page.get_by_placeholder("find in this call").press("Enter")
    assert desk.page.locator("mark.found[data-here]").count() == 1
    desk.page.get_by_placeholder("find in this call").press("Enter")
    assert desk.page.locator("mark.found[data-here]").count() == 1
    desk.page.wait_for_url("**in=score**")


def test_a_call_is_raw_or_pretty_wrapped_or_not_and_held_against_others(desk: Desk) -> None:
    desk.open(f"#/runs/{desk.ids['stickers']}/8.refine.b1?part=prompt")
    desk.heading("8.refine.b1")
    assert desk.page.locator(".pretty").count() == 0
    desk.page.get_by_role("button", name="pretty").click()
    desk.page.locator(".pretty").first.wait_for()
    desk.page.get_by_role("button", name="raw").click()
    desk.page.get_by_label("wrap").click()
    desk.page.locator(".unwrapped").first.wait_for()
    against = desk.page.get_by_label("Compare the prompt with")
    against.select_option("previous call of this role")
    desk.page.locator(".said-part del, .said-part ins").first.wait_for()
    desk.sees("against 8.refine.b0")
    desk.press("Escape", "n")  # out of the menu, on to the next call
    desk.heading("8.refine.b2")
    desk.sees("against 8.refine.b1")  # the choice goes along


def test_attempts_tell_their_reasons_and_waits_and_texts_are_copied_whole(desk: Desk, shelf: Shelf) -> None:
    async def recorded(url: str) -> str:
        before = configure()
        configure(api_base=url)
        try:
            async with open_store(str(shelf.folder / "store.db")) as store:
                return await one(store, "chain_of_thought", {"model": "test-model"}, checkpoints="none")
        finally:
            configure(**vars(before))

    with spawned(faults=["429:0.3", "ok"], length=[9000, 9100]) as server:
        run_id = filled(recorded(server.url))
    desk.open(f"#/runs/{run_id}/2.solve.b0")
    attempts = desk.page.get_by_role("list", name="Attempts")
    assert re.search(r"1 ✗ RateLimited .*, waited [\d.]+ s", attempts.inner_text())
    assert re.search(r"2 ✓ went through, after [\d.]+ s of waiting", attempts.inner_text())
    desk.page.get_by_role("button", name="reply", exact=True).last.click()
    desk.sees("copied", ".copies")
    whole = desk.page.evaluate("() => navigator.clipboard.readText()")
    assert len(whole) >= 8_000 > len(desk.page.locator(".reply .text").inner_text())
    desk.page.get_by_role("button", name="curl").click()
    assert desk.page.evaluate("() => navigator.clipboard.readText()").startswith('curl -s "${OPENAI_BASE_URL:-http')


# -- what is wrong is said ----------------------------------------------------------------------------------------------------------------


def test_a_run_that_is_not_there_is_answered_with_the_nearest(desk: Desk) -> None:
    known = desk.ids["hostile"]
    desk.open(f"#/runs/{known[:-1]}{'0' if known[-1] != '0' else '1'}")
    desk.sees(f"did you mean '{known}'", ".trouble")
    desk.faults.clear()  # the browser reports the refusal


@pytest.fixture
def changed(tmp_path: Path) -> Iterator[tuple[Any, Path, str]]:
    with wayfarer(tmp_path / "methods") as found:
        yield found, tmp_path, filled(recorded(tmp_path))


def test_changed_code_is_said_and_what_was_kept_stays_readable(chromium: Any, changed: tuple[Any, Path, str]) -> None:
    way, folder, run_id = changed
    way.change("as it was", "as it has become")
    with served(folder) as found, seated(chromium, found.root, {}) as desk:
        desk.open(f"#/runs/{run_id}/2")
        desk.sees("The replay differs from the record at step 2", ".notice")
        desk.sees("code has changed since version", ".notice")
        desk.sees("digest of the state, as it was recorded")
        assert desk.page.locator("section.value").count() == 0
        desk.page.get_by_role("button", name="whole state").click()
        desk.sees("LangGraph's checkpoint", ".notice")
        notes = desk.page.locator("section.value[aria-label=notes]")
        assert "as it was" in notes.inner_text()
        desk.press("j")
        desk.page.locator(".call-list a").first.click()
        desk.heading("3.judge")
        desk.page.locator(".said-part .text").first.wait_for()


def test_the_journal_of_a_method_that_is_gone_is_shown(chromium: Any, changed: tuple[Any, Path, str]) -> None:
    way, folder, run_id = changed
    way.remove()
    with served(folder) as found, seated(chromium, found.root, {}) as desk:
        desk.open(f"#/runs/{run_id}/3")
        desk.sees("This run cannot be replayed:", ".notice")
        desk.sees(f"unknown method '{NAME}'", ".notice")
        desk.page.locator(".call-list a").first.click()
        desk.heading("3.judge")
        desk.open("#/runs")
        desk.page.locator("#runs-0", has_text=NAME).wait_for()


# -- budgets ------------------------------------------------------------------------------------------------------------------------------


def test_a_run_of_two_thousand_calls_is_small_on_the_wire_and_in_the_page(chromium: Any, tmp_path: Path) -> None:
    async def recorded() -> str:
        async with open_store(str(tmp_path / "store.db")) as store:
            return await one(store, "self_consistency", {"k": MANY, "seed": 1, "model": "toy/default"}, checkpoints="none")

    run_id = filled(recorded())
    with served(tmp_path) as found, seated(chromium, found.root, {}) as desk:
        desk.open("#/runs")
        desk.page.locator("#runs-0").wait_for()
        asked: list[Any] = []
        desk.page.on("requestfinished", lambda request: asked.append(request) if f"/api/runs/{run_id}" in request.url else None)
        desk.go(f"#/runs/{run_id}/2")
        desk.page.locator("#calls-0").wait_for()
        desk.page.locator("section.value").first.wait_for()
        assert sum(request.sizes()["responseBodySize"] for request in asked) < BYTES
        assert len(asked) <= 5, [request.url for request in asked]
        assert desk.page.locator("*").count() < NODES
        desk.press("/")
        desk.page.keyboard.type("solve")
        desk.sees("2,001 names and heads")
        desk.press("End", "j", "k")
        assert desk.page.locator("*").count() < NODES


def test_a_menu_writes_the_filter_of_the_runs(desk: Desk) -> None:
    desk.open("#/runs")
    desk.page.locator("#runs-0").wait_for()
    menu = desk.page.get_by_label("Add to the filter")
    menu.select_option("status:failed")
    desk.page.wait_for_url("**status%3Afailed**")
    menu.select_option("method:magicore")
    desk.page.wait_for_url("**method%3Amagicore**")
    expect(desk.page.locator("#find")).to_have_value("status:failed method:magicore")
    rows = desk.page.locator("[id^=runs-][role=option]")
    expect(rows).to_have_count(2)


def test_what_is_typed_while_the_list_answers_stays(desk: Desk) -> None:
    desk.open("#/runs")
    desk.page.locator("#runs-0").wait_for()
    desk.page.evaluate("""() => {
        const box = document.querySelector("#find");
        const typed = (text) => { box.value = text; box.dispatchEvent(new Event("input", { bubbles: true })); };
        const replaced = history.replaceState;
        history.replaceState = function (...given) {
            replaced.apply(this, given);
            history.replaceState = replaced;
            queueMicrotask(() => typed("magicore"));
        };
        typed("magic");
    }""")
    desk.page.wait_for_url("**q=magicore**")
    expect(desk.page.locator("#find")).to_have_value("magicore")


@pytest.mark.parametrize(
    ("address", "first", "keys", "sign", "then"),
    [
        ("#/runs/{stickers}/1", "j", "jjj", ".steps-pane [aria-selected=true] .n", ".detail h2 >> text=Step 5"),
        ("#/runs/{stickers}/2", "s", "sj", ".detail-head [aria-pressed=true]", ".detail h2 >> text=Step 3"),
        ("#/runs/{stickers}/2.solve.b0", "n", "nn", ".detail h2.mono", ".detail h2.mono >> text=2.solve.b3"),
    ],
    ids=["step", "state", "call"],
)
def test_a_key_that_comes_with_what_was_drawn_meets_that(desk: Desk, address: str, first: str, keys: str, sign: str, then: str) -> None:
    desk.open(address.format(**desk.ids))
    desk.page.locator(sign).wait_for()
    desk.page.locator(".calls, .moves a").first.wait_for()
    desk.press_at_once(*keys, sign=sign)
    desk.press(first)
    desk.page.locator(then).wait_for()


def test_a_key_that_comes_with_a_list_moves_in_it(desk: Desk) -> None:
    desk.open("#/batches")
    desk.page.locator("#batches-0").wait_for()
    desk.press_at_once("j", sign="#runs-0")
    desk.go("#/runs")
    desk.page.locator("#runs-1[aria-selected=true]").wait_for()


def test_an_address_that_changes_while_the_page_is_first_drawn_is_heard(desk: Desk) -> None:
    desk.page.add_init_script("""new MutationObserver((_, watching) => {
        if (!document.querySelector("nav")) return;
        watching.disconnect();
        history.replaceState(null, "", "#/batches");
        dispatchEvent(new HashChangeEvent("hashchange"));
    }).observe(document, { childList: true, subtree: true })""")
    desk.open("#/runs")
    desk.page.get_by_role("heading", name="Batches", exact=True).wait_for()
