"""Every view for every eye and hand: axe under the page's own policy, contrast of drawn text, reflow, targets, focus, motion."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from browser_home import ZARA, Desk, Shelf, fill, filled, one, seated
from gated import GATES, going
from serving import served

from symposia import runs
from symposia.api import abatch
from symposia.state.store import Store, open_store

pytestmark = pytest.mark.browser

View = tuple[str, str, str]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
KINDS = {
    "votes": ("magicore", "aggregate"),
    "rewards": ("magicore", "score"),
    "review": ("magicore", "review"),
    "dialogue": ("debate_du", "debate"),
    "tree": ("pbt", "verify_kind"),
    "plan": ("mutagrep", "select_best"),
    "tests": ("utdebug", "decide"),
    "code": ("utdebug", "debug"),
    "arms": ("laser", "select"),
    "people": ("symbolic_moe", "recruit"),
}
"""A kind of state, and a method and node that writes one."""

# Resolves once the page has been still for a moment.
QUIET = """() => new Promise(done => {
  const wait = () => (document.querySelector(".waiting") ? 2000 : 120);
  let timer = setTimeout(done, wait());
  new MutationObserver((_, seer) => {
    clearTimeout(timer);
    timer = setTimeout(() => { seer.disconnect(); done(); }, wait());
  }).observe(document, { subtree: true, childList: true });
  setTimeout(done, 3000);
})"""

# What axe finds by the rules of some tags, without some rules.
AUDIT = """async ([tags, off]) => {
  const rules = Object.fromEntries(off.map(rule => [rule, { enabled: false }]));
  const found = await axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"], preload: false, rules });
  const told = node => `${node.target.join(" ")} ${node.html.slice(0, 160)} ${node.any.map(check => check.message).join(" ")}`;
  return found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${told(node)}`));
}"""

LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")


async def fill_kinds(shelf: Shelf) -> None:
    """Runs of the methods that write each kind of state, and two batches over the same rows."""

    async def made(store: Store, method: str, **params: Any) -> str:
        given = {"model": "toy/default?error=0.5", "seed": 5, **params}
        record = runs.new_record(method, given, {"question": ZARA, "task": "number"}, reference=30, checkpoints="none")
        return (await runs.start(store, record)).run_id

    async with open_store(str(shelf.folder / "store.db")) as store:
        experts = {"expert": ["toy/default?error=0.1", "toy/default?error=0.6", "toy/default?error=0.8"]}
        shelf.ids["magicore"] = shelf.ids["stickers"]
        shelf.ids["debate_du"] = await made(store, "debate_du", max_rounds=2)
        shelf.ids["symbolic_moe"] = await made(store, "symbolic_moe", roles=experts)
        shelf.ids["laser"] = await made(store, "laser", k=3, learn=True, bandit="b")
        shelf.ids["pbt"] = await one(store, "pbt", {"model": "toy/default?error=0.3", "seed": 3}, checkpoints="none")
        shelf.ids["utdebug"] = await one(store, "utdebug", {"model": "toy/default?error=0.4", "seed": 3}, checkpoints="none")
        given = {"model": "toy/default?error=0.3", "seed": 3, "node_budget": 14}
        shelf.ids["mutagrep"] = await one(store, "mutagrep", given, checkpoints="none")
        lines = files("symposia.items").joinpath("arithmetic.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines[:4]]
        for name, error in (("debate", 0.4), ("careful", 0.05)):
            params = {"k": 3, "max_rounds": 2, "seed": 4}
            model = f"toy/default?error={error}"
            found = await abatch("debate_du", rows, shelf.folder / f"{name}.jsonl", model=model, params=params, store=store)
            shelf.ids[name] = found["batch_id"]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    found = Shelf(tmp_path_factory.mktemp("access"))
    filled(fill(found))
    filled(fill_kinds(found))
    return found


@pytest.fixture(scope="module")
def root(shelf: Shelf) -> Iterator[str]:
    with served(shelf.folder) as found:
        yield found.root


@pytest.fixture(scope="module")
def views(shelf: Shelf, root: str, chromium: Any) -> Iterator[dict[str, View]]:
    """Every view by name: its address, a key to press there, and what is there once it is drawn. One of the runs goes on."""
    steps: dict[str, int] = {}
    with seated(chromium, root, {}) as desk:
        rows = json.loads(desk.page.request.get(f"{root}/api/batches/{shelf.ids['failures']}/rows").text())["items"]
        shelf.ids["broken"] = next(row["run"] for row in rows if row["row"] == "r1")
        for kind, (method, node) in KINDS.items():
            page = json.loads(desk.page.request.get(f"{root}/api/runs/{shelf.ids[method]}").text())
            steps[kind] = [step["n"] for step in page["steps"] if node in step["nodes"]][-1]
    ids = shelf.ids
    run = f"#/runs/{ids['stickers']}"
    with going(shelf.folder) as live:
        GATES.free.add("solve.b1")
        yield {
            "runs": ("#/runs", "", "#runs-0"),
            "empty": ("#/runs?q=nothing-matches-this", "", ".empty"),
            "batches": ("#/batches", "", "#batches-0"),
            "batch with failures": (f"#/batches/{ids['failures']}?filter=correct%3Ayes", "", "#rows-0"),
            "batch of debates": (f"#/batches/{ids['debate']}", "", ".move"),
            "run": (run, "", ".detail-head"),
            **{kind: (f"#/runs/{ids[KINDS[kind][0]]}/{n}", "", ".value") for kind, n in steps.items()},
            "whole state": (f"{run}/{steps['votes']}?show=whole", "", ".value"),
            "JSON": (f"{run}/{steps['votes']}?show=json&scale=time", "", ".json"),
            "call": (f"{run}/8.refine.b1", "", ".said-part .text"),
            "call, pretty and against": (f"{run}/8.refine.b1?how=pretty&in=score", "", ".said-part"),
            "failed call": (f"#/runs/{ids['broken']}/2.solve.b0", "", ".call-facts"),
            "hostile": (f"#/runs/{ids['hostile']}/4", "", ".value"),
            "many calls": (f"#/runs/{ids['many']}/2", "", "#calls-0"),
            "find": (f"{run}/2?find=review", "", ".hits a"),
            "compare": (f"#/compare/{ids['stickers']}/{ids['stamps']}", "", ".pairs"),
            "batch compare": (f"#/compare/{ids['debate']}/{ids['careful']}?rows=all", "", "#pairs-0"),
            "fork": (f"{run}/6", "f", "dialog .bill"),
            "help": (f"{run}/7", "?", "dialog .keys"),
            "live": (f"#/runs/{live}", "", ".doing"),
            "error": ("#/runs/nosuchrun", "", ".trouble"),
            "wrong filter": ("#/runs?q=nosuch%3Akey", "", ".trouble"),
            "no such page": ("#/nowhere", "", "h1"),
        }


def seen(desk: Desk, view: View) -> None:
    """Go to a view and wait until it is drawn."""
    address, key, mark = view
    desk.page.keyboard.press("Escape")
    desk.go(address)
    if key:
        desk.page.locator(".detail-head + *").first.wait_for()
        desk.page.keyboard.press(key)
    desk.page.locator(mark).first.wait_for()
    desk.page.evaluate(QUIET)


SCREENS: dict[str, list[dict[str, Any]]] = {
    "1280": [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"color_scheme": "dark", "forced_colors": "active"}],
    "768": [{"color_scheme": "light"}, {"color_scheme": "dark"}],
    "390": [{"color_scheme": "light"}, {"color_scheme": "dark"}],
    "320": [{"color_scheme": "light"}],
    "1280 at 200 %": [{"color_scheme": "light"}],
}
"""A width of the page, and the looks that are tried on it; on the widest axe reckons contrasts too, besides the test's own reckoning."""


def troubles(desk: Desk, look: dict[str, Any], *, contrasts: bool) -> list[str]:
    """What somebody could not read, reach, hit or see on the page as it is, in one look."""
    desk.page.emulate_media(**{"forced_colors": "none", **look})
    bad = list(desk.page.evaluate(AUDIT, [TAGS, [] if contrasts else ["color-contrast"]]))
    told = desk.page.evaluate(LOOK, "forced_colors" in look)
    assert told["read"] > 3, "the page is empty"
    bad += [f"{kind}: {line}" for kind in ("faint", "small", "unseen", "chosen") for line in told[kind]]
    return bad + ["something moves"] * bool(told["moving"]) + [f"{told['wide']} px too wide"] * (told["wide"] > 0)


def with_axe(desk: Desk) -> None:
    """Bring axe into the page past its policy, as the browser's own tools do, and let the keyboard be what is used from here on."""
    desk.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    desk.page.keyboard.press("Tab")


@pytest.mark.parametrize("screen", SCREENS)
def test_every_view_is_for_everyone(chromium: Any, root: str, views: dict[str, View], screen: str) -> None:
    found: list[str] = []
    with seated(chromium, root, {}, reduced_motion="reduce", viewport={"width": int(screen.split()[0]), "height": 900}) as desk:
        if "200 %" in screen:
            doubled = {"fontSizes": {"standard": 32, "fixed": 26}}
            desk.page.context.new_cdp_session(desk.page).send("Page.setFontSizes", doubled)
        desk.open("#/runs")
        desk.page.locator("#runs-0").wait_for()
        size = desk.page.evaluate("() => parseFloat(getComputedStyle(document.querySelector('nav.top a')).fontSize)")
        assert size >= 28 if "200 %" in screen else size < 16
        with_axe(desk)
        for name, view in views.items():
            seen(desk, view)
            for look in SCREENS[screen]:
                contrasts = screen == "1280" and "forced_colors" not in look
                found += [f"{name}, {' '.join(look.values())}: {line}" for line in troubles(desk, look, contrasts=contrasts)]
        desk.faults[:] = [fault for fault in desk.faults if "the server responded with a status of 4" not in fault]  # the views of errors
    assert not found, "\n".join(found)


def test_files_are_for_everyone(chromium: Any, root: str, shelf: Shelf, tmp_path: Path) -> None:
    ids, found = shelf.ids, []
    exports = {
        f"/runs/{ids['stickers']}/export": [f"#/runs/{ids['stickers']}/6", f"#/runs/{ids['stickers']}/8.refine.b1"],
        f"/compare/export?a={ids['debate']}&b={ids['careful']}": [f"#/compare/{ids['debate']}/{ids['careful']}"],
        f"/batches/{ids['failures']}/export?runs=1": [f"#/batches/{ids['failures']}", "#/runs/gone"],
    }
    with seated(chromium, root, {}, reduced_motion="reduce", viewport={"width": 390, "height": 800}) as desk:
        for n, (path, addresses) in enumerate(exports.items()):
            file = tmp_path / f"{n}.html"
            file.write_bytes(desk.page.request.get(f"{root}/api{path}").body())
            desk.page.goto(f"file://{file}")
            desk.page.locator(".detail-head, #rows-0, .crosses").first.wait_for()
            with_axe(desk)
            for address in addresses:
                seen(desk, (address, "", ".detail-head, #rows-0, .crosses, .trouble"))
                for scheme in ("light", "dark"):
                    found += [f"{address}, {scheme}: {line}" for line in troubles(desk, {"color_scheme": scheme}, contrasts=True)]
    assert not found, "\n".join(found)


def test_what_moves_holds_still_only_for_whoever_wants_that(chromium: Any, root: str) -> None:
    for motion, seconds in (("reduce", "0s"), ("no-preference", "0.08s")):
        with seated(chromium, root, {}, reduced_motion=motion) as desk:
            desk.open("#/runs")
            desk.page.locator("#runs-0").wait_for()
            assert desk.page.evaluate("() => getComputedStyle(document.querySelector('.row')).transitionDuration") == seconds


def test_a_list_is_one_stop_on_the_way_through_a_page(chromium: Any, root: str, shelf: Shelf) -> None:
    with seated(chromium, root, {}) as desk:
        desk.open(f"#/runs/{shelf.ids['many']}/2")
        desk.page.locator("#calls-0").wait_for()
        desk.page.evaluate(QUIET)
        stops: list[str] = []
        for _ in range(80):
            desk.page.keyboard.press("Tab")
            stop = desk.page.evaluate("() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")
            if stops and stop == stops[0]:
                break
            stops.append(stop)
        assert stops.count("Steps of the run") == stops.count("Calls of the step") == 1 and 10 < len(stops) < 80
        assert "solve, visited once, step 2" in stops, "the nodes of the graph are buttons"
