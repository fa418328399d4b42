"""The kinds of state in headless Chromium: at any size, with holes, of the wrong shape, with hostile texts, and what they must answer."""

import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NotRequired

import pytest
from browser_home import HOSTILE, ZARA, Desk, filled, one, seated
from langgraph.graph import END, START
from playwright.sync_api import expect
from serving import served

from symposia import registry, runs
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.state import show
from symposia.state.base import BaseParams, BaseState, Method, Question
from symposia.state.graph import StateGraph
from symposia.state.store import Store, open_store
from symposia.viewer import steps

pytestmark = pytest.mark.browser

TALK = "a text of some length, so that nobody takes it for an answer, or for a label of anything"


class Params(BaseParams):
    """Parameters of the method below."""


class State(BaseState):
    """A key for each kind, and what some of them need besides."""

    votes: NotRequired[Any]
    rewards: NotRequired[Any]
    chains: NotRequired[Any]
    review: NotRequired[Any]
    dialogue: NotRequired[Any]
    tree: NotRequired[Any]
    plan: NotRequired[Any]
    tests: NotRequired[Any]
    arms: NotRequired[Any]
    people: NotRequired[Any]
    messages_: NotRequired[Any]
    code: NotRequired[Any]
    text: NotRequired[Any]
    number: NotRequired[Any]
    table: NotRequired[Any]


SHOW = show.Show(
    {
        "votes": show.votes(),
        "rewards": show.rewards(of="chains"),
        "review": show.review(of="chains"),
        "dialogue": show.dialogue(),
        "tree": show.tree(value="worth", pruned="why", text="said"),
        "plan": show.plan(),
        "tests": show.tests(),
        "arms": show.arms(),
        "people": show.people(),
        "messages_": show.shown_as("messages"),
        "code": show.code(),
        "text": show.shown_as("text"),
        "number": show.shown_as("number"),
        "table": show.shown_as("table"),
    },
    {"votes": "{votes}"},
)


def sized(n: int, said: str = TALK) -> dict[str, Any]:
    """A value of each kind with so many items."""
    numbers = range(n)
    return {
        "votes": [[f"answer {i % 40}" for i in numbers]] if n else [],
        "rewards": [[[0.25, 0.75] for _ in numbers]] if n else [],
        "chains": [[f"{said} {i}" for i in numbers], [f"{said} {i} again" for i in numbers]] if n else [],
        "review": [[f"{said}: no {i}" for i in numbers]] if n else [],
        "dialogue": [{"speaker": "AB"[i % 2], "text": said, "answer": i % 3} for i in numbers],
        "tree": {f"n{i}": {"parent": f"n{(i - 1) // 3}" if i else None, "worth": i, "said": said} for i in numbers},
        "plan": [{"id": i, "parent": None if i % 100 == 0 else i - 1, "steps": [{"intent": said, "symbols": ["a.b"]}]} for i in numbers],
        "tests": [{"status": ("pass", "fail", "timeout", "odd")[i % 4], "got": said} for i in numbers],
        "arms": [1 / max(n, 1) for _ in numbers] if n != 1 else [0.25, 0.75],
        "people": [{"name": f"expert {i}", "skills": [said], "score": 0.5, "answer": i % 3, "text": said} for i in numbers],
        "messages_": [{"role": "user", "content": said} for _ in numbers],
        "code": "".join(f"def function_{i}():\n    return {i}\n" for i in numbers),
        "text": "\n".join(f"- {said}" for _ in numbers),
        "number": n,
        "table": [{"row": i, "said": said} for i in numbers],
    }


def holed(value: Any) -> Any:
    """A value with a null beside, or in place of, each of its leaves and items."""
    if isinstance(value, dict):
        return {key: None if i % 2 else holed(item) for i, (key, item) in enumerate(value.items())}
    if isinstance(value, list):
        return [*map(holed, value), None]
    return None


ODD = {"__proto__": {"parent": "constructor"}, "constructor": {"parent": None}, "$text": "x", "len": 3}
SMALL = sized(6)
VALUES: dict[str, dict[str, Any]] = {
    "empty": sized(0),
    "one": sized(1),
    "many": sized(10_000, "few words"),
    "null": dict.fromkeys(SMALL),
    "holes": {key: holed(value) for key, value in SMALL.items()},
    "wrong": {**{key: {"unlike": [key, {"a": 1}, 2]} for key in SMALL}, "chains": ODD, "number": ["1"], "code": 7},
    "hostile": {
        **sized(3, f"# {HOSTILE} LONE"),
        "votes": [[HOSTILE[:50], "__proto__", HOSTILE[:50]]],
        "tree": {
            "__proto__": {"parent": None, "said": HOSTILE, "why": HOSTILE},
            HOSTILE: {"parent": "__proto__", "worth": {HOSTILE: HOSTILE}},
        },
        "people": [HOSTILE, "__proto__", "constructor"],
        "text": f"# {HOSTILE}\n{HOSTILE} **b** `c`\n1. {HOSTILE}\n```\n{HOSTILE}\n```",
        "number": 1e308,
        "table": [{"__proto__": HOSTILE, HOSTILE: 1}, {"__proto__": None, HOSTILE: HOSTILE}],
    },
}
STEPS = {key: n for n, key in enumerate((key for key in SMALL if key != "chains"), 3)}
"""The step that writes a key; `chains` come before all."""


def writer(key: str) -> Callable[[State], dict[str, Any]]:
    def write(state: State) -> dict[str, Any]:
        return {key: VALUES[state["question"]][key]}

    return write


def built() -> Any:
    """A line of nodes, each of which writes one key."""
    graph: Any = StateGraph(State, Params, input_schema=Question)
    graph.add_node(intake)
    last = "intake"
    for key in ("chains", *STEPS):
        graph.add_node(f"{key}_" if key in State.__annotations__ else key, writer(key))
        graph.add_edge(last, f"{key}_")
        last = f"{key}_"
    graph.add_node("finish", lambda state: conclude(1, "done"))
    return graph.add_edge(START, "intake").add_edge(last, "finish").add_edge("finish", END)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Desk]:
    """A page over runs of a method that writes what it is told, one run for each set of values."""
    module: Any = ModuleType("symposia.graphs.kinds")
    module.METHOD = Method("kinds", "Kinds", "0000.00000", 2026, "test", (), "0")
    module.Params, module.build, module.SHOW = Params, built, SHOW
    module.graph = built().compile()
    known = registry.names()
    folder = tmp_path_factory.mktemp("kinds")

    async def made() -> dict[str, str]:
        async with open_store(str(folder / "store.db")) as store:
            given = {"model": "toy/default"}
            return {
                name: (await runs.start(store, runs.new_record("kinds", given, {"question": name}, reference=1, checkpoints="none"))).run_id
                for name in VALUES
            }

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        for place in (registry, steps):
            patch.setattr(place, "names", lambda: (*known, "kinds"))
        ids = filled(made())
        with served(folder) as found, seated(chromium, found.root, ids) as desk:
            desk.open("#/runs")
            yield desk
        registry.load.cache_clear()
        registry._compiled.cache_clear()


def value_of(desk: Desk, key: str) -> Any:
    return desk.page.locator(f"section.value[aria-label={key}]")


def shown_as(desk: Desk, run: str, key: str) -> str:
    """Go to the step that wrote a key; the kind that it is shown as once the page is quiet."""
    desk.go(f"#/runs/{desk.ids[run]}/{STEPS[key]}")
    desk.heading(f"Step {STEPS[key]} ")
    section = value_of(desk, key)
    section.wait_for()
    desk.page.get_by_text("Reading the").wait_for(state="hidden")
    select = section.locator("select")
    return str(select.input_value()) if select.count() else "value"


KIND = {**{key: key for key in STEPS}, "messages_": "messages"}


@pytest.mark.parametrize("run", ["one", "many", "hostile"])
def test_a_hinted_value_is_drawn_at_any_size(drawn: Desk, run: str) -> None:
    for key, kind in KIND.items():
        if key == "number":  # stands in a line, without a choice
            assert shown_as(drawn, run, key) == "value"
            continue
        shown_as(drawn, run, key)
        expect(value_of(drawn, key).locator("select")).to_have_value(kind)  # some wait for the state around it
        assert drawn.page.locator("*").count() < 3000, key
        assert not drawn.page.get_by_text("could not be shown").count(), key
    assert drawn.page.locator("img, iframe, a[href^=javascript]").count() == 0


def test_more_of_a_long_value_comes_when_it_is_asked_for(drawn: Desk) -> None:
    shown_as(drawn, "many", "table")
    section = value_of(drawn, "table")
    before = section.locator("tbody tr").count()
    section.get_by_text(f"{before} of 10,000 rows, show more").click()
    drawn.page.locator("section.value[aria-label=table] tbody tr").nth(before).wait_for()
    shown_as(drawn, "many", "tree")
    tree = value_of(drawn, "tree").get_by_role("tree")
    tree.get_by_role("treeitem").first.focus()
    drawn.page.keyboard.press("ArrowLeft")
    assert tree.get_by_role("treeitem").count() == 1
    drawn.page.keyboard.press("ArrowRight")
    drawn.page.keyboard.press("ArrowDown")
    assert tree.locator("[tabindex='0']").inner_text().split()[1] == "n1"


@pytest.mark.parametrize("run", ["empty", "null", "holes", "wrong"])
def test_what_a_kind_cannot_draw_stays_readable(drawn: Desk, run: str) -> None:
    for key in STEPS:
        found = shown_as(drawn, run, key)
        assert found in ("value", "tree of keys") if run == "wrong" else found, (key, found)
        assert not drawn.page.get_by_text("could not be shown").count(), key
        assert drawn.page.locator("*").count() < 3000
    if run == "wrong":
        drawn.go(f"#/runs/{drawn.ids[run]}/{STEPS['votes']}")
        value_of(drawn, "votes").locator(".json", has_text="unlike").first.wait_for()
        drawn.go(f"#/runs/{drawn.ids[run]}/2")
        value_of(drawn, "chains").get_by_text("__proto__").first.wait_for()


def test_a_kind_that_fails_gives_way_to_the_tree(drawn: Desk) -> None:
    # A table that would have to be a dialogue is not, and the address of a kind that there is not is the tree's.
    drawn.go(f"#/runs/{drawn.ids['one']}/{STEPS['table']}?as.table=dialogue")
    value_of(drawn, "table").locator(".json").first.wait_for()
    drawn.go(f"#/runs/{drawn.ids['one']}/{STEPS['votes']}?as.votes=nonsense")
    value_of(drawn, "votes").locator(".json").first.wait_for()


def test_half_a_sign_is_shown_by_its_code(drawn: Desk) -> None:
    # No state can hold one, so it is put into the answer on its way.
    drawn.page.route(
        "**/api/runs/*/s*/*",
        lambda route: route.fulfill(body=route.fetch().text().replace("LONE", "\\ud800"), content_type="application/json"),
    )
    for key in ("review", "dialogue", "tests", "messages_"):
        drawn.open(f"#/runs/{drawn.ids['hostile']}/{STEPS[key]}")
        value_of(drawn, key).locator(".sign[title='U+D800']").first.wait_for()
    drawn.page.unroute_all()
    drawn.open("#/runs")


def test_texts_are_made_pretty_as_nodes_and_links_stay_text(drawn: Desk) -> None:
    shown_as(drawn, "hostile", "text")
    section = value_of(drawn, "text")
    section.get_by_role("button", name="pretty").click()
    section.locator(".pretty-head").first.wait_for()
    assert section.locator("pre").count() and section.locator(".pretty-item").count()
    assert section.locator("b", has_text="b").count() and "![p](http://elsewhere.invalid/?q=1)" in section.inner_text()
    assert drawn.page.locator(".pretty img, .pretty a, .pretty script").count() == 0
    drawn.press("j")
    drawn.go(f"{drawn.page.url.partition('#')[2].join(['#', ''])}")
    shown_as(drawn, "hostile", "dialogue")  # an address of its own, without it
    assert value_of(drawn, "dialogue").locator(".pretty").count() == 0


# -- what each must answer ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Desk]:
    """A page over toy runs of the methods whose kinds answer something."""
    folder = tmp_path_factory.mktemp("played")

    async def asked(store: Store, method: str, question: str, reference: Any, **params: Any) -> str:
        given = {"model": "toy/default?error=0.5", **params}
        record = runs.new_record(method, given, {"question": question, "task": "number"}, reference=reference, checkpoints="none")
        return (await runs.start(store, record)).run_id

    async def made() -> dict[str, str]:
        async with open_store(str(folder / "store.db")) as store:
            experts = {"expert": ["toy/default?error=0.1", "toy/default?error=0.6", "toy/default?error=0.8"]}
            for seed in range(3):
                learned = await asked(store, "laser", ZARA, 30, k=3, learn=True, bandit="b", seed=seed)
            return {
                "magicore": await asked(store, "magicore", ZARA, 30, k=6, max_rounds=2, calib_mean=1.9, confidence_threshold=0.9, seed=4),
                "debate_du": await asked(store, "debate_du", ZARA, 30, max_rounds=2, seed=5),
                "symbolic_moe": await asked(store, "symbolic_moe", ZARA, 30, seed=5, roles=experts),
                "laser": learned,
                "pbt": await one(store, "pbt", {"model": "toy/default?error=0.3", "seed": 3}, checkpoints="none"),
                "utdebug": await one(store, "utdebug", {"model": "toy/default?error=0.4", "seed": 3}, checkpoints="none"),
                "mutagrep": await one(
                    store, "mutagrep", {"model": "toy/default?error=0.3", "seed": 3, "node_budget": 14}, checkpoints="none"
                ),
            }

    with served(folder) as found, seated(chromium, found.root, filled(made())) as desk:
        desk.open("#/runs")
        yield desk


def at(desk: Desk, method: str, node: str, key: str, which: int = -1) -> Any:
    """The value that a node's step wrote."""
    page = json.loads(desk.page.request.get(f"{desk.root}/api/runs/{desk.ids[method]}").text())
    step = [step["n"] for step in page["steps"] if node in step["nodes"]][which]
    desk.go(f"#/runs/{desk.ids[method]}/{step}")
    desk.heading(f"Step {step} ")
    section = value_of(desk, key)
    section.wait_for()
    return section


def says(section: Any, text: str) -> None:
    section.get_by_text(text).first.wait_for()


def test_votes_say_who_won_by_what(played: Desk) -> None:
    section = at(played, "magicore", "aggregate", "vote_weights")
    says(section, "of the weight")
    assert section.locator("thead").inner_text().split() == ["answer", "share", "weight", "votes"]
    at(played, "magicore", "extract", "answers").locator("p.dim", has_text="6 votes").wait_for()


def test_rewards_say_where_a_chain_broke_and_whether_refining_lifted_it(played: Desk) -> None:
    section = at(played, "magicore", "score", "prm_steps")
    says(section, "since round 0 the weakest step")
    assert section.locator("thead th").all_inner_texts() == ["sample", "round 0", "round 1", "round 2"]
    assert section.locator(".cell", has_text="◂").count() > 6
    section.locator("tbody button").first.click()
    says(section, "Step 1:")


def test_a_review_says_whether_the_critique_was_followed_and_helped(played: Desk) -> None:
    section = at(played, "magicore", "review", "feedback", 0)
    says(section, "came to another answer")
    assert section.locator(".review ins, .review del").count() > 0
    assert section.get_by_text("→").count() > 0


def test_a_dialogue_says_who_moved_whom_and_which_way(played: Desk) -> None:
    section = at(played, "debate_du", "debate", "chains")
    for move in ("wrong to right", "right to wrong", "wrong to wrong", "held"):
        says(section, move)
    assert section.locator(".talk-3 .turn").count() == 3
    section.get_by_text("show the 6 turns before").click()
    assert section.locator(".turn").count() == 9 and section.locator(".moved", has_text="was").count() > 0
    assert {name.split()[0] for name in section.locator(".who").all_inner_texts()} == {"●", "■", "▲"}


def test_a_tree_says_how_branches_went_and_why_they_ended(played: Desk) -> None:
    section = at(played, "pbt", "verify_kind", "tree")
    says(section, "⊣ agree")
    says(section, "answers")
    assert section.get_by_role("treeitem").count() > 4
    early = at(played, "pbt", "speak", "tree", 0)  # it grows with the step
    says(early, "2 nodes")


def test_a_fork_says_what_a_record_leaves_out_where_it_is_the_default(played: Desk) -> None:
    at(played, "pbt", "verify_kind", "tree")
    played.press("f")
    choices = played.page.locator("dialog").get_by_label("confidence").locator("option")
    choices.first.wait_for(state="attached")
    assert choices.all_inner_texts() == ["false", "true"]
    played.press("Escape")


def test_a_plan_says_why_this_branch(played: Desk) -> None:
    section = at(played, "mutagrep", "select_best", "best")
    says(section, "the chosen path is marked")
    says(section, "expanded as no. 1")
    says(section, "never expanded: budget exceeded")
    assert section.locator("li.chosen .intents li").count() > 1 and section.locator(".intents", has_text="→ brook.").count() > 0
    says(at(played, "mutagrep", "select", "current", 1), "waits")


def test_tests_say_which_edit_fixed_or_broke_what(played: Desk) -> None:
    section = at(played, "utdebug", "decide", "history")
    says(section, "↶ rolled back")
    says(section, "✓ kept")
    assert section.locator("thead th").first.inner_text() == "case" and section.locator("td button.bad").count() > 2
    section.locator("td button.good").first.click()
    says(section, "expected")
    says(section, "got")
    assert section.locator(".doubt", has_text="!").count() > 0  # a test that is itself in doubt
    section.get_by_role("button", name="edit 1", exact=True).click()
    section.locator(".side ins").first.wait_for()
    says(at(played, "utdebug", "debug", "candidate_code"), "mark what changed against current_code")


def test_arms_say_whether_a_bandit_has_settled_and_on_what_evidence(played: Desk) -> None:
    section = at(played, "laser", "select", "arm_probs")
    says(section, "on 2 rewards; too few to have settled")
    assert section.locator("tr.chosen").count() == 1 and "◆" in section.locator("tr.chosen").inner_text()
    says(section, "(correctness)")


def test_people_say_whether_the_choice_of_experts_mattered(played: Desk) -> None:
    section = at(played, "symbolic_moe", "recruit", "assigned")
    says(section, "agree with the end")
    assert section.locator(".people > li").count() == 3
    says(section, "recruited with score")
    assert section.get_by_text("the end").count() >= 3
