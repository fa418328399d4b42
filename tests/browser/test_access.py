"""Every view for every eye and hand: axe under the page's own policy, contrast of drawn text, reflow, targets, focus, motion."""

import json
from collections.abc import Callable, Iterator
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
AXE = "axe_playwright_python"
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

QUIET = """() => new Promise(done => {
  let timer = setTimeout(done, 150);
  const late = setTimeout(done, 4000);
  new MutationObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => { clearTimeout(late); done(); }, document.querySelector(".waiting") ? 1000 : 150);
  }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
})"""

AUDIT = """async tags => {
  const found = await axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations", "incomplete"] });
  const told = kind => found[kind].map(rule => ({ id: rule.id, nodes: rule.nodes.map(node => ({ at: node.target.join(" "), html: node.html.slice(0, 160), why: node.any.concat(node.all, node.none).map(c => c.message).join("; ") })) }));
  return { bad: told("violations"), open: told("incomplete") };
}"""


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
def views(shelf: Shelf, root: str, chromium: Any) -> Iterator[dict[str, tuple[str, str, str]]]:
    """Every view by name: its address, a key to press there, and what is there once it is drawn. One of the runs goes on."""
    steps: dict[str, int] = {}
    with seated(chromium, root, {}) as desk:
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
            "find": (f"{run}/2?find=review", "", ".hits a"),
            "call": (f"{run}/8.refine.b1", "", ".said-part .text"),
            "call, pretty and against": (f"{run}/8.refine.b1?how=pretty&in=score", "", ".said-part"),
            "failed call": (f"#/runs/{ids['broken']}/2.solve.b0", "", ".call-facts") if "broken" in ids else ("#/runs", "", "#runs-0"),
            "hostile": (f"#/runs/{ids['hostile']}/4", "", ".value"),
            "many calls": (f"#/runs/{ids['many']}/2", "", "#calls-0"),
            "compare": (f"#/compare/{ids['stickers']}/{ids['stamps']}", "", ".pairs"),
            "batch compare": (f"#/compare/{ids['debate']}/{ids['careful']}?rows=all", "", "#pairs-0"),
            "fork": (f"{run}/6", "f", "dialog .bill"),
            "help": (f"{run}/7", "?", "dialog .keys"),
            "live": (f"#/runs/{live}", "", ".doing"),
            "error": ("#/runs/nosuchrun", "", ".trouble"),
            "wrong filter": ("#/runs?q=nosuch%3Akey", "", ".trouble"),
            "no such page": ("#/nowhere", "", "h1"),
        }


def test_explore(chromium: Any, root: str, views: dict[str, tuple[str, str, str]]) -> None:
    import time
    source = files(AXE).joinpath("axe.min.js").read_text(encoding="utf-8")
    with seated(chromium, root, {}) as desk:
        desk.open("#/runs")
        desk.page.locator("#runs-0").wait_for()
        desk.page.evaluate(source)
        for name, (address, key, mark) in views.items():
            t = time.time()
            desk.page.keyboard.press("Escape")
            desk.go(address)
            if key:
                desk.page.evaluate(QUIET)
                desk.page.keyboard.press(key)
            desk.page.locator(mark).first.wait_for()
            desk.page.evaluate(QUIET)
            t1 = time.time()
            said = desk.page.evaluate(AUDIT, TAGS)
            print(f"== {name} {t1-t:.2f} {time.time()-t1:.2f}")
            for rule in said["bad"]:
                print("  BAD", rule["id"], len(rule["nodes"]), *[f"\n      {n['at']} {n['html'][:110]} :: {n['why'][:150]}" for n in rule["nodes"][:4]])
            for rule in said["open"]:
                print("  open", rule["id"], len(rule["nodes"]), *[f"\n      {n['at']} :: {n['why'][:110]}" for n in rule["nodes"][:3]])
        print(desk.faults)
        desk.faults.clear()
