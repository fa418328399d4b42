"""Pictures of dialogue trees, the runs they and training files are made from, and the toys that hold such dialogues."""

import json
import re
import xml.etree.ElementTree as ElementTree
from importlib.resources import files

import networkx as nx
import pytest
from persuasion import PARIS, ROME, grown

from symposia import runs
from symposia.finished import finished_runs
from symposia.graphs import pbt, pbt_debate
from symposia.graphs.pbt import harvest
from symposia.state.errors import BadInput
from symposia.tools import trees
from symposia.tools.pairs import Rules
from symposia.tools.team import team_report
from symposia.tools.toy import reply
from symposia.trees import draw_tree, tree_dot, tree_svg

ROWS = [json.loads(line) for line in files("symposia.items").joinpath("arithmetic.jsonl").read_text(encoding="utf-8").splitlines()]
TEAM = {"debater": ["toy/default?error=0&check=0.8", "toy/default?error=0.7&check=0.8"]}
"""One who makes no slips and one who makes many, neither of them sure of the other's work."""

TALK = {"r.0": ROME, "r.0.0": PARIS, "r.0.0.0": "Agree", "r.0.0.1": ROME}


def data_of(graph):
    return nx.node_link_data(graph, edges="edges")


def node_line(dot, turn):
    """The line of a turn's box."""
    return next(line for line in dot.splitlines() if line.startswith(f'  "{turn}" ['))


def test_a_picture_says_who_was_persuaded_and_who_is_right():
    graph = grown(TALK)
    assert [turn for turn in graph if trees.persuaded(graph, turn)] == ["r.0.0.0"]
    dot = tree_dot(data_of(graph), ["Paris"])
    assert "A: paris (persuaded by B)" in node_line(dot, "r.0.0.0")
    assert "penwidth=3" in node_line(dot, "r.0.0.0")
    assert [turn for turn in TALK if "#e3f4e5" in node_line(dot, turn)] == ["r.0.0", "r.0.0.0"]
    assert [turn for turn in TALK if "penwidth=3" in node_line(dot, turn)] == ["r.0.0.0"]
    assert dot.count("->") == 4
    plain = tree_dot(data_of(graph))
    assert not re.search("#e3f4e5|#fbe7e4", plain)


HOSTILE = 'x"]; evil [label="<b>&lt;\\N\\" ] } \x00\x1b[31m\n<script>alert(1)</script>' + "y" * 500


def test_what_a_model_said_cannot_leave_its_box():
    graph = grown(TALK)
    graph.nodes["r.0.0"]["text"] = HOSTILE
    graph.nodes["r.0.0"]["answers"]["B"] = HOSTILE
    graph.nodes["r"]["text"] = HOSTILE
    picture = tree_svg(data_of(graph))
    root = ElementTree.fromstring(picture)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names <= {"svg", "g", "title", "polygon", "path", "text"}
    titles = [element.text for element in root.iter() if element.tag.endswith("title")]
    assert sorted(t for t in titles if t and "->" not in t) == sorted(["tree", "r", *TALK])
    assert "<script>" in "".join(root.itertext()).replace("\xa0", "")
    assert "y" * 200 not in tree_dot(data_of(graph))


def test_a_picture_is_written_or_it_is_said_why_not(tmp_path):
    tree = data_of(grown(TALK))
    for name in ("tree.svg", "tree.dot"):
        draw_tree(tree, tmp_path / name, ["Paris"])
        assert (tmp_path / name).read_text(encoding="utf-8")
    with pytest.raises(BadInput, match=r"suffix is \.png"):
        draw_tree(tree, tmp_path / "tree.png")
    with pytest.raises(BadInput, match="cannot write"):
        draw_tree(tree, tmp_path / "no" / "tree.dot")


async def toy_runs(store, method, rows, **params):
    """The ids of runs over bundled rows, played by toys."""
    found = []
    for row in rows:
        inputs = {"question": row["question"], "task": row["task"]}
        result = await runs.start(store, runs.new_record(method, {"seed": 1, **params}, inputs, reference=row["answer"]))
        assert result.status == "ok", result.error
        found.append(result.run_id)
    return found


async def test_toy_trees_give_pairs_of_both_kinds_with_right_answers_chosen(sqlite):
    ids = await toy_runs(sqlite, "pbt", ROWS[:48:4], roles=TEAM)
    before = [len(await sqlite.entries(run)) for run in ids]
    finished = await finished_runs(sqlite, ids, "pbt")
    groups = [harvest(state, accepted) for state, accepted in finished]
    assert [len(await sqlite.entries(run)) for run in ids] == before
    pairs = [pair for group in groups for pair in group]
    assert {pair["kind"] for pair in pairs} == {"accept", "resist"}
    for pair, accepted in ((p, p["accepted"]) for p in pairs):
        assert float(re.findall(r"answer is ([\d.]+\d|\d)", pair["chosen"])[-1]) == float(accepted[0])
        assert pair["chosen"].startswith("You are right") is (pair["kind"] == "accept")
    assert [harvest(state, accepted, Rules(gap=1.1)) for state, accepted in finished] == [[] for _ in ids]


async def test_only_runs_with_a_reference_give_pairs(sqlite):
    (tree,) = await toy_runs(sqlite, "pbt", [{**ROWS[0], "answer": None}])
    (debate,) = await toy_runs(sqlite, "pbt_debate", ROWS[:1])
    with pytest.raises(BadInput, match="no reference"):
        await finished_runs(sqlite, [tree], "pbt")
    with pytest.raises(BadInput, match="is one of pbt_debate"):
        await finished_runs(sqlite, [debate], "pbt")


async def test_toy_teams_debate_and_are_measured():
    async def debates(**given):
        found = []
        for row in ROWS[10:60:5]:
            state = await pbt_debate.graph.ainvoke({"question": row["question"]}, context=pbt_debate.Params(seed=2, **given))
            found.append((state["debates"], [str(row["answer"])]))
        return team_report(found)

    perfect = await debates(model="toy/default?error=0")
    assert {(side["before"], side["after"], side["turns"]) for side in perfect["orders"].values()} == {(1.0, 1.0, 2.0)}
    mixed = await debates(roles=TEAM)
    for side in mixed["orders"].values():
        assert side["before_by_agent"]["A"] == 1 > side["before_by_agent"]["B"]
        assert side["turns"] > 2
    assert sum(side["better"] for side in mixed["orders"].values()) > 0


def chat(manner, own, theirs):
    """What a debater is shown who has answered and was answered."""
    task = pbt.SPEAK.format(question="Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?", manner=manner)
    told = [("user", task), ("assistant", f"I think the answer is {own}."), ("user", f"To me the answer is {theirs}.")]
    return [{"role": role, "content": text} for role, text in told]


@pytest.mark.parametrize(("own", "theirs", "settled"), [(19, 5, 19), (5, 19, 19), (7, 7, 7)])
def test_a_sure_toy_takes_right_answers_and_keeps_them(own, theirs, settled):
    said = reply("default?check=1&persuade=1", chat("", own, theirs), 0)
    assert said.endswith(f"answer is {settled}.")
    assert said.startswith("You are right") is (settled == theirs)


def test_personas_move_a_toy():
    def yields(persona):
        said = [reply("default?check=0.8&persuade=0.5", chat(pbt.PERSONAS[persona], 5, 19), seed) for seed in range(60)]
        return sum(text.startswith("You are right") for text in said)

    assert yields("acceptant") > yields("plain") > yields("logical") > yields("resistant") >= 0
