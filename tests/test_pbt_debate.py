"""Team debates on scripted dialogues: turns and calls, what is recorded before and after, and the measures over a data set."""

import json

import pytest
from persuasion import OSLO, PARIS, QUESTION, ROME, TAG, Play

from symposia.graphs import pbt_debate
from symposia.graphs.pbt_debate import Params, graph
from symposia.nodes.persuasion import PERSONAS
from symposia.state.place import here
from symposia.tools import trees
from symposia.tools.team import team_report


class Table(Play):
    """A script in which `r.0` is the debate begun by A and `r.1` the one begun by B; `says` answers by turn, agent's model and number."""

    def __init__(self, script, says):
        super().__init__(script, {}, (), {})
        self.script, self.says = script, says

    def turn_of(self, messages):
        level = (int(here().split(".")[0]) - 3) // 2
        shown = TAG.findall(messages[-1]["content"])
        branch = here().rpartition(".b")[2]
        turn = f"r.{branch}" if level == 0 else f"r.{branch}.0" if level == 1 else f"{shown[-1]}.0"
        self.table[turn] = self.says(turn, self.script.options[-1]["model"], level)
        return turn


async def play(script, says, **params):
    told = Table(script, says)
    state = await graph.ainvoke({"question": QUESTION}, context=Params(model="script/any", **params))
    return state, told


def stubborn(turn, model, level):
    """Two agents who never agree: whoever begins says Paris in both debates."""
    return (PARIS, ROME)[level % 2]


async def test_pbt_inv14_agreement_after_the_first_replies_is_the_end(script):
    state, _ = await play(script, lambda turn, model, level: PARIS)
    for debate in state["debates"]:
        assert debate["turns"] == 2
        assert debate["initial"] == debate["final"] == {"A": PARIS, "B": PARIS}
        assert debate["stopped"] == "agree"
    assert (state["answer"], state["stop_reason"], script.calls) == (PARIS, "agree", 8)


@pytest.mark.parametrize("max_turns", [2, 4, 5])
@pytest.mark.parametrize("both", [True, False])
async def test_pbt_inv14_without_agreement_a_debate_takes_its_turns(script, max_turns, both):
    state, told = await play(script, stubborn, max_turns=max_turns, both_orders=both)
    assert [d["turns"] for d in state["debates"]] == [max_turns] * (1 + both)
    assert [d["order"] for d in state["debates"]] == ["AB", "BA"][: 1 + both]
    assert {d["stopped"] for d in state["debates"]} == {"max_turns"}
    assert script.calls == pbt_debate.METHOD.count(pbt_debate.METHOD.calls, Params(max_turns=max_turns, both_orders=both))
    for turn, messages in told.asked:
        assert not any(words and words in messages[0]["content"] for words in PERSONAS.values())
        agent = trees.read_tree(state["tree"]).nodes[turn]["agent"]
        assert agent == ("AB" if turn.startswith("r.0") else "BA")[(turn.count(".") - 1) % 2]


async def test_pbt_inv14_the_second_speaker_does_not_see_the_first_answer_and_the_first_sees_both(script):
    _, told = await play(script, stubborn)
    shown = {turn: json.dumps(messages) for turn, messages in told.asked}
    for first in ("r.0", "r.1"):
        assert TAG.findall(shown[f"{first}.0"]) == []
        assert TAG.findall(shown[f"{first}.0.0"]) == [first, f"{first}.0"]
        assert TAG.findall(shown[f"{first}.0.0.0"]) == [f"{first}.0", first, f"{first}.0.0"]


async def test_pbt_inv14_sampling_is_greedy(script):
    await play(script, stubborn)
    assert {options.get("temperature") for options in script.options} == {0}


async def test_pbt_inv14_swapping_order_and_models_gives_the_mirrored_record(script):
    def says(turn, model, level):
        """One model insists on Paris; the other says Rome, and gives in when it is the first to have to."""
        if model == "one":
            return PARIS
        return "Agree" if level == 2 else ROME

    models = ["script/one", "script/two"]
    mine, _ = await play(script, says, roles={"debater": models})
    theirs, _ = await play(script, says, roles={"debater": models[::-1]})
    assert [d["turns"] for d in mine["debates"]] == [4, 3]
    mirror = str.maketrans("AB", "BA")
    for debate, other in zip(mine["debates"], theirs["debates"][::-1], strict=True):
        assert debate["order"].translate(mirror) == other["order"]
        for when in ("initial", "final"):
            assert {agent.translate(mirror): answer for agent, answer in debate[when].items()} == other[when]
        assert (debate["turns"], debate["stopped"]) == (other["turns"], other["stopped"])


async def test_pbt_inv10_final_answers_are_resolved(script):
    words = {0: PARIS, 1: ROME, 2: "Disagree", 3: "Agree"}
    state, _ = await play(script, lambda turn, model, level: words[level], both_orders=False)
    (debate,) = state["debates"]
    assert debate["initial"] == {"A": PARIS, "B": ROME}
    assert debate["final"] == {"A": PARIS, "B": PARIS}


async def test_pbt_inv15_unreadable_answers_are_wrong_and_no_answer(script):
    state, _ = await play(script, lambda turn, model, level: "NONE")
    assert (state["answer"], state["stop_reason"]) == (None, "no_answer")
    report = team_report([(state["debates"], [PARIS])])
    assert {side["after"] for side in report["orders"].values()} == {0}


def debate(order, initial, final):
    pairs = [dict(zip("AB", answers, strict=True)) for answers in (initial, final)]
    return {"order": order, "turns": 3, "initial": pairs[0], "final": pairs[1], "stopped": "agree"}


def test_the_report_counts_flips_both_ways_and_what_hangs_on_the_order():
    items = [
        # A is right and B is not; A first: B is talked into the right answer, B first: A out of it.
        ([debate("AB", (PARIS, ROME), (PARIS, PARIS)), debate("BA", (PARIS, ROME), (ROME, ROME))], ["Paris"]),
        ([debate("AB", (OSLO, ROME), (OSLO, OSLO)), debate("BA", (OSLO, ROME), (ROME, ROME))], ["Paris"]),
        ([debate("AB", (PARIS, PARIS), (PARIS, PARIS)), debate("BA", (PARIS, PARIS), (PARIS, PARIS))], ["paris", "City of Light"]),
    ]
    report = team_report(items)
    ab, ba = report["orders"]["AB"], report["orders"]["BA"]
    assert (ab["before"], ba["before"]) == (0.5, 0.5)
    assert (ab["after"], ba["after"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (ab["better"], ab["worse"], ba["better"], ba["worse"]) == (1, 0, 0, 1)
    assert (ab["before_by_agent"], ab["after_by_agent"]["B"]) == (
        {"A": pytest.approx(2 / 3), "B": pytest.approx(1 / 3)},
        pytest.approx(2 / 3),
    )
    assert report["order_effect"] == pytest.approx(1 / 3)
    assert report["order_dependent"] == 2
    for side in (ab, ba):  # what has changed is what was flipped
        assert side["after"] - side["before"] == pytest.approx((side["better"] - side["worse"]) / (2 * side["debates"]))


def test_a_report_of_one_order_knows_no_effect_of_it():
    report = team_report([([debate("AB", (PARIS, ROME), (PARIS, ROME))], [PARIS])])
    assert (report["order_effect"], report["order_dependent"], list(report["orders"])) == (None, 0, ["AB"])
    assert team_report([]) == {"orders": {}, "order_effect": None, "order_dependent": 0}
