"""Persuasion trees on scripted dialogues: the invariants of the method's specification by number, and what goes into training files.

The specification follows arXiv 2410.14596 and the released code, whose faults (answers read by the wrong agent, a gate that drops every
accept pair) are under test as faults that we do not have. Trees are written as tables of answers by the path of a turn.
"""

import itertools
import json
import random
import re
from fractions import Fraction

import networkx as nx
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from persuasion import OSLO, PARIS, QUESTION, ROME, TAG, Play, grown

from symposia import runs
from symposia.graphs import pbt
from symposia.graphs.pbt import PLAN, RELEASED_PLAN, Params, graph, harvest
from symposia.nodes.persuasion import PERSONAS, read_short, tidy
from symposia.state.errors import BadInput, EndpointDown
from symposia.tools import trees
from symposia.tools.pairs import Label, Rules, classify, correct, find_pairs, labels, one_answer
from symposia.tools.preferences import ARMS, SPLITS, balance, export, split
from symposia.tools.settings import configure
from symposia.tools.trees import masked

ACCEPTED = ["Paris", "City of Light"]
LIGHT = "city of light"

# What A and B answer under each persona, in the paper's tree. A is even levels; at level 2 it is acceptant, then resistant.
ACCEPT_A = {"r.0": ROME, "r.0.0": PARIS, "r.0.0.0": "Agree", "r.0.0.1": ROME} | {f"r.0.0.1.{i}": PARIS for i in range(3)}
RESIST_A = {"r.0": PARIS, "r.0.0": ROME, "r.0.0.0": "Agree", "r.0.0.1": PARIS} | {f"r.0.0.1.{i}": ROME for i in range(3)}
HELD = [f"r.0.0.{i}.{j}" for i in range(2) for j in range(3)]
ACCEPT_B = {"r.0": PARIS, "r.0.0": ROME, "r.0.0.0": PARIS, "r.0.0.1": PARIS} | {t: "Agree" if t.endswith(".0") else ROME for t in HELD}
RESIST_B = {"r.0": ROME, "r.0.0": PARIS, "r.0.0.0": ROME, "r.0.0.1": ROME} | {t: "Agree" if t.endswith(".0") else PARIS for t in HELD}
RIGHT = {"r.0": PARIS, "r.0.0": LIGHT, "r.0.0.0": PARIS, "r.0.0.1": PARIS} | dict.fromkeys(HELD, LIGHT)
WRONG = {"r.0": ROME, "r.0.0": OSLO, "r.0.0.0": ROME, "r.0.0.1": ROME} | dict.fromkeys(HELD, OSLO)


@pytest.fixture(autouse=True)
def no_pauses():
    before = configure(max_wait=0.0)
    yield
    configure(max_wait=before.max_wait)


async def play(script, table, *, plan=PLAN, matches=(), words=None, question=QUESTION, otherwise=None, **params):
    """The last state of a scripted run, and the script."""
    personas = PERSONAS
    told = Play(script, table, plan, personas, otherwise, matches, words)
    state = await graph.ainvoke({"question": question}, context=Params(model="script/any", **params))
    return state, told


def kinds(graph, **rules):
    return sorted(pair["kind"] for pair in find_pairs(graph, ACCEPTED, Rules(**rules)).pairs)


def some_trees(n=60):
    """Trees of random answers."""
    for seed in range(n):
        draw = random.Random(seed)
        yield grown({turn: draw.choice([PARIS, PARIS, LIGHT, ROME, ROME, OSLO, "Agree", "Disagree", "NONE"]) for turn in RIGHT})


# Growing


@pytest.mark.parametrize(("released", "levels"), [(False, [1, 1, 2, 6]), (True, [1, 2, 6, 12])])
async def test_pbt_inv01_a_full_tree_has_the_turns_of_its_profile(script, released, levels):
    state, _ = await play(script, {}, plan=RELEASED_PLAN if released else PLAN, released=released)
    grown_tree = trees.read_tree(state["tree"])
    found = [data["level"] for turn, data in grown_tree.nodes(data=True) if turn != "r"]
    assert [found.count(level) for level in range(4)] == levels
    assert state["stats"] == {"generated": sum(levels), "stopped_by_agreement": 0, "failed": 0, "empty_reply": 0}
    assert grown_tree.number_of_edges() == sum(levels)
    for parent, child in grown_tree.edges:
        assert child.rpartition(".")[0] == parent == trees.parent_of(grown_tree, child)
    n, looked = sum(levels), 12 if released else 8
    assert script.calls == 2 * n + (n - 1) + looked
    assert script.calls == pbt.METHOD.count(pbt.METHOD.calls, Params(released=released))


@pytest.mark.parametrize("given", [{"merge_aliases": False}, {"verify_kind": False}, {"merge_aliases": False, "verify_kind": False}])
async def test_pbt_inv01_what_is_turned_off_is_not_asked(script, given):
    await play(script, {}, **given)
    assert script.calls == pbt.METHOD.count(pbt.METHOD.calls, Params(**given))


async def test_pbt_inv02_nothing_grows_below_an_agreement_and_speakers_alternate(script):
    state, _ = await play(script, ACCEPT_A)
    found = trees.read_tree(state["tree"])
    assert set(found) - {"r"} == set(ACCEPT_A)
    for turn, data in found.nodes(data=True):
        assert data["level"] < 4
        assert not (data["stopped"] and found.out_degree(turn))
        if turn != "r":
            assert data["agent"] == "AB"[data["level"] % 2]
    assert state["stats"]["stopped_by_agreement"] == 1


async def test_pbt_inv02_a_tree_in_which_both_agree_at_once_is_over(script):
    state, told = await play(script, {"r.0": PARIS, "r.0.0": PARIS})
    assert (state["stop_reason"], state["answer"], script.calls, len(told.asked)) == ("no_dispute", PARIS, 4, 2)
    assert harvest(state, ACCEPTED) == []


@pytest.mark.parametrize("blind", [True, False])
async def test_pbt_inv03_the_second_agent_answers_first_without_seeing_the_other(script, blind):
    _, told = await play(script, {}, both_answer_first=blind)
    shown = {turn: messages for turn, messages in told.asked}
    assert ("[r.0]" in json.dumps(shown["r.0.0"])) is not blind
    assert [m["role"] for m in shown["r.0.0.1"]] == ["user", "assistant", "user"]
    last = shown["r.0.0.1.2"]
    assert [m["role"] for m in last] == ["user", "assistant", "user"]
    assert TAG.findall(last[1]["content"]) == ["r.0.0"]
    # What B had not seen comes after its own first reply, in one message with the turn it answers.
    assert TAG.findall(last[2]["content"]) == (["r.0", "r.0.0.1"] if blind else ["r.0.0.1"])
    assert TAG.findall(last[0]["content"]) == ([] if blind else ["r.0"])


async def test_pbt_inv03_each_reply_is_told_its_persona_and_no_other(script):
    _, told = await play(script, {})
    for turn, messages in told.asked:
        level, place = turn.count(".") - 1, int(turn.rpartition(".")[2])
        named = [p for p, words in PERSONAS.items() if words and words in messages[0]["content"]]
        assert named == [p for p in [PLAN[level][place]] if p != "plain"]


def test_pbt_inv04_an_answer_changes_only_at_its_agents_turns():
    for found in some_trees():
        for turn, data in found.nodes(data=True):
            if turn != "r":
                other = trees.partner(data["agent"])
                before = found.nodes[trees.parent_of(found, turn)]["answers"]
                assert data["answers"][other] == before[other]
                assert trees.resolved(found)[turn][other] == trees.resolved(found)[trees.parent_of(found, turn)][other]


# Scores and pairs


@pytest.mark.parametrize("released", [False, True])
def test_pbt_inv05_a_score_is_the_own_credit_and_the_scores_below(released):
    for found in some_trees():
        marks = labels(found, ACCEPTED, released)
        for turn, mark in marks.items():
            credit = (mark.count if turn != "r.0" else 0) if released else int(mark.own)
            assert mark.score == credit + sum(marks[reply].score for reply in found.successors(turn))
            if not found.out_degree(turn) and turn != "r.0":
                assert mark.score in ((0, 1, 2) if released else (0, 1))


def test_pbt_inv06_both_sides_of_a_pair_answer_the_same_turn():
    met = 0
    for found in some_trees(200):
        for pair in find_pairs(found, ACCEPTED, Rules(verified=False)).pairs:
            met += 1
            sides = pair["chosen_turn"], pair["rejected_turn"]
            assert {trees.parent_of(found, turn) for turn in sides} == {pair["parent"]}
            assert {found.nodes[turn]["agent"] for turn in sides} == {pair["agent"]}
            assert pair["chosen_score"] > pair["rejected_score"]
            assert pair["kind"] in ("resist", "accept")
    assert met > 20


@pytest.mark.parametrize(
    ("table", "kind", "pairs"),
    [
        (ACCEPT_A, "accept", [("r.0.0.0", "r.0.0.1")]),
        (RESIST_A, "resist", [("r.0.0.1", "r.0.0.0")]),
        (ACCEPT_B, "accept", [(f"r.0.0.{i}.0", f"r.0.0.{i}.{j}") for i in range(2) for j in (1, 2)]),
        (RESIST_B, "resist", [(f"r.0.0.{i}.{j}", f"r.0.0.{i}.0") for i in range(2) for j in (1, 2)]),
        (RIGHT, None, []),
        (WRONG, None, []),
    ],
    ids=["accept A", "resist A", "accept B", "resist B", "all right", "all wrong"],
)
async def test_pbt_inv07_every_pair_of_a_scripted_tree_is_found_and_of_the_right_kind(script, table, kind, pairs):
    state, _ = await play(script, table)
    found = harvest(state, ACCEPTED)
    assert [(pair["chosen_turn"], pair["rejected_turn"]) for pair in found] == pairs
    assert {pair["kind"] for pair in found} == ({kind} if kind else set())
    again = find_pairs(grown(table), ACCEPTED, Rules()).pairs  # the tree of the table is that of the run
    assert [pair["chosen_turn"] for pair in again] == [chosen for chosen, _ in pairs]


def test_pbt_inv07_agents_are_known_by_name_not_by_place():
    """Six right pairs at the last level, of both kinds; the released filter, which reads the answers crossed, finds none."""
    found = [pair for table in (ACCEPT_B, RESIST_B) for pair in find_pairs(grown(table), ACCEPTED, Rules()).pairs]
    assert [pair["kind"] for pair in found] == ["accept"] * 4 + ["resist"] * 4
    swapped = []
    for table in (ACCEPT_B, RESIST_B):
        crossed = grown(table)
        for _, data in crossed.nodes(data=True):
            data["answers"] = {"A": data["answers"]["B"], "B": data["answers"]["A"]}
        swapped += find_pairs(crossed, ACCEPTED, Rules()).pairs
    assert swapped == []


def label(agent, a, b):
    return Label(agent, {"A": a, "B": b}, 0)


@pytest.mark.parametrize("side", [True, False])
def test_pbt_inv08_kinds_by_who_was_right_before(side):
    rules = Rules(require_parent_side=side)
    for grand_own, theirs in itertools.product([True, False], repeat=2):
        grand, parent = label("B", theirs, grand_own), label("A", theirs, grand_own)
        chosen, rejected = label("B", theirs, True), label("B", theirs, False)
        kind = classify(parent, grand, chosen, rejected, rules)
        wanted = "resist" if grand_own else "accept"
        assert kind == (wanted if grand_own is not theirs or not side else None)
        assert classify(parent, grand, rejected, chosen, rules) is None
        assert classify(parent, grand, chosen, chosen, rules) is None


def test_pbt_inv08_answers_have_to_be_there_before():
    pair = label("A", True, True), label("A", False, True)
    parent, first = label("B", False, True), Label("A", {"A": False, "B": None}, 0)
    assert classify(parent, first, *pair, Rules()) == "accept"  # the agent's own answer is enough
    assert classify(parent, first, *pair, Rules(released=True)) is None
    assert classify(first, first, *pair, Rules()) is None


def test_pbt_inv08_the_verifier_has_to_see_both_sides():
    whole = kinds(grown(ACCEPT_A))
    assert whole == ["accept"]
    for stance in ({"r.0.0.0": False}, {"r.0.0.1": True}, {"r.0.0.0": None}):
        refuted = find_pairs(grown(ACCEPT_A, stance=stance), ACCEPTED, Rules())
        assert (refuted.pairs, refuted.reasons["refuted"]) == ([], 1)
        assert kinds(grown(ACCEPT_A, stance=stance), verified=False) == ["accept"]


# Training files


def groups_of(n):
    """The pairs of `n` questions, kinds in turn, by the tables above."""
    found = []
    for i in range(n):
        table = (ACCEPT_B, RESIST_A, RESIST_B, ACCEPT_A)[i % 4]
        tree = nx.node_link_data(grown(table), edges="edges")
        state = {"tree": tree, "question": f"{QUESTION} ({i})", "params": Params().model_dump(mode="json")}
        found.append(harvest(state, ACCEPTED))
    return found


def rows_of(folder, pattern):
    return {p.name: [json.loads(line) for line in p.read_text(encoding="utf-8").splitlines()] for p in folder.glob(pattern)}


def test_pbt_inv09_kinds_are_equal_in_number_and_no_question_is_in_two_splits(tmp_path):
    groups = groups_of(40)
    counts = export(groups, tmp_path)
    asked = {}
    for name, rows in rows_of(tmp_path, "preference.balanced.*").items():
        by_kind = [row["kind"] for row in rows]
        assert by_kind.count("resist") == by_kind.count("accept") > 0
        asked[name] = {row["question"] for row in rows}
        assert counts[name] == len(rows)
    assert len(asked) == 3
    for one, other in itertools.combinations(asked.values(), 2):
        assert not one & other
    for split_name in SPLITS:
        sizes = {arm: counts[f"preference.{arm}.{split_name}.jsonl"] for arm in ARMS}
        assert sizes["balanced"] == 2 * sizes["positive"] == 2 * sizes["negative"]
    assert [len({p["question"] for p in pairs}) for pairs in split(groups).values()] == [28, 6, 6]


def test_pbt_inv09_no_persona_stands_in_a_training_text(tmp_path):
    export(groups_of(20), tmp_path)
    text = "".join(p.read_text(encoding="utf-8") for p in tmp_path.iterdir())
    assert text.count(QUESTION) > 20
    for words in [*PERSONAS.values(), pbt.LENGTH]:
        assert not words or json.dumps(words)[1:-1] not in text


def test_pbt_inv09_arms_hold_their_kind_and_may_be_of_one_size():
    pairs = [pair for group in groups_of(8) for pair in group]
    positive, negative = balance(pairs, "positive"), balance(pairs, "negative")
    assert {p["kind"] for p in positive} == {"accept"}
    assert {p["kind"] for p in negative} == {"resist"}
    assert len(balance(pairs)) == 2 * len(positive) == 2 * len(negative) == 20
    assert len(balance(pairs, matched=True)) == len(positive)
    assert balance([p for p in pairs if p["kind"] == "accept"]) == []


def test_pbt_inv09_a_prompt_is_the_dialogue_as_the_next_speaker_sees_it():
    (group,) = groups_of(1)
    prompt = group[0]["prompt"]
    assert [m["role"] for m in prompt] == ["user", "assistant", "user"]
    assert [TAG.findall(m["content"]) for m in prompt] == [[], ["r.0.0"], ["r.0", "r.0.0.0"]]


def test_pbt_inv09_equal_pairs_count_once():
    (group,) = groups_of(1)
    assert len(split([group, group])["test"]) + len(split([group, group])["train"]) == len(group)


def test_pbt_inv09_the_datasets_library_reads_both_formats(tmp_path):
    datasets = pytest.importorskip("datasets")
    export(groups_of(8), tmp_path / "out")
    load = datasets.Dataset.from_json
    preference = load(str(tmp_path / "out/preference.balanced.train.jsonl"), cache_dir=str(tmp_path / "cache"))
    assert {"prompt", "chosen", "rejected"} <= set(preference.column_names)
    for row in preference:
        # TRL takes a row as conversational when these are lists of messages, and the prompt ends with the user.
        assert all(set(m) == {"role", "content"} for key in ("prompt", "chosen", "rejected") for m in row[key])
        assert [m["role"] for m in row["chosen"]] == [m["role"] for m in row["rejected"]] == ["assistant"]
        assert row["prompt"][-1]["role"] == "user"
        assert row["chosen"] != row["rejected"]
        assert row["type"] == {"resist": "flip_correct_to_incorrect", "accept": "flip_incorrect_to_correct"}[row["kind"]]
    supervised = load(str(tmp_path / "out/supervised.balanced.train.jsonl"), cache_dir=str(tmp_path / "cache"))
    assert len(supervised) == len(preference)
    for row in supervised:
        assert [m["role"] for m in row["messages"]] == ["user", "assistant", "user", "assistant"]


def test_pbt_inv09_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write"):
        export(groups_of(8), tmp_path / "file")


# Answers


def test_pbt_inv10_agree_and_disagree_stand_for_earlier_answers():
    table = {"r.0": ROME, "r.0.0": PARIS, "r.0.0.1": OSLO, "r.0.0.1.0": "Disagree", "r.0.0.1.1": "Agree"}
    pairs = trees.resolved(grown(table))
    assert pairs["r.0.0.1.0"] == {"A": OSLO, "B": PARIS}
    assert pairs["r.0.0.1.1"] == {"A": OSLO, "B": OSLO}
    unset = trees.resolved(grown({**table, "r.0.0": "Disagree"}))
    assert unset["r.0.0.1.0"]["B"] == "Disagree"
    assert not correct("Disagree", ["Disagree"])
    assert trees.resolved(grown({"r.0": "Disagree", "r.0.0": "Agree"}))["r.0.0"] == {"A": "Disagree", "B": "Disagree"}


def test_pbt_inv11_unreadable_answers_are_no_agreement():
    assert not trees.agreement({"A": "NONE", "B": "NONE"}, 2)
    assert not trees.agreement({"A": "Disagree", "B": "Disagree"}, 3)
    assert not trees.agreement({"A": PARIS, "B": PARIS}, 0)
    assert not trees.agreement({"A": "Agree", "B": None}, 0)
    assert trees.agreement({"A": PARIS, "B": PARIS}, 1)
    assert trees.agreement({"A": "Agree", "B": PARIS}, 2)
    assert not trees.agreement({"A": "rivera", "B": "diego rivera"}, 1)


async def test_pbt_inv11_unreadable_branches_go_on(script):
    state, _ = await play(script, {}, otherwise=lambda turn: "NONE")
    assert state["stats"]["generated"] == 10
    assert (state["answer"], state["stop_reason"]) == (None, "no_answer")


def test_pbt_inv11_a_part_of_a_name_is_the_same_answer_for_scoring():
    found = grown({"r.0": "rivera", "r.0.0": "diego rivera"})
    assert found.nodes["r.0.0"]["stopped"] == ""
    assert labels(found, ["Diego Rivera"])["r.0.0"].right == {"A": True, "B": True}
    assert one_answer("rivera", "diego rivera")
    assert not one_answer("rivera", "diego maria rivera")  # a ratio of exactly 0.5
    assert not one_answer("5", "15")
    assert not one_answer("", "diego")


@pytest.mark.parametrize(
    ("answers", "right"), [((LIGHT, PARIS), True), ((PARIS, "lutetia"), True), (("lutetia", PARIS), True), ((OSLO, ROME), False)]
)
def test_pbt_inv11_the_matcher_makes_two_spellings_one(answers, right):
    table = dict(zip(("r.0", "r.0.0"), answers, strict=True))
    assert labels(grown(table, same=[answers]), ACCEPTED)["r.0.0"].right == {"A": right, "B": right}


async def test_pbt_inv11_two_answers_are_compared_once(script):
    state, _ = await play(script, {**ACCEPT_B}, matches=[{PARIS, ROME}])
    assert sum('"same" or' in p for p in script.prompts["merge_aliases"]) == 1
    marks = labels(trees.read_tree(state["tree"]), ACCEPTED)
    assert all(mark.own for turn, mark in marks.items())
    assert harvest(state, ACCEPTED) == []


def test_pbt_inv12_who_rightly_gives_in_is_preferred_to_a_stubborn_sibling_with_right_replies():
    marks = labels(grown(ACCEPT_A), ACCEPTED)
    assert (marks["r.0.0.0"].score, marks["r.0.0.1"].score) == (1, 3)
    (pair,) = find_pairs(grown(ACCEPT_A), ACCEPTED, Rules()).pairs
    assert (pair["chosen_turn"], pair["chosen_score"], pair["rejected_score"]) == ("r.0.0.0", 1, 0)
    released = find_pairs(grown(ACCEPT_A), ACCEPTED, Rules(released=True))
    assert (released.pairs, released.reasons["unequal replies"]) == ([], 1)


def test_pbt_inv12_a_gap_at_the_threshold():
    # A turn that is right with one right reply, beside one that is wrong with one right reply: 2 and 1.
    table = {"r.0": ROME, "r.0.0": PARIS, "r.0.0.0": LIGHT, "r.0.0.1": OSLO}
    table |= {f"r.0.0.{i}.{j}": PARIS if not j else ROME for i in range(2) for j in range(3)}
    found = grown(table, stance={"r.0.0.0": True})
    marks = labels(found, ACCEPTED)
    assert (marks["r.0.0.0"].score, marks["r.0.0.1"].score) == (2, 1)
    for gap, there in ((None, True), (0.5, True), (Fraction(501, 1000), False)):
        chosen = [p["chosen_turn"] for p in find_pairs(found, ACCEPTED, Rules(gap=gap)).pairs]
        assert ("r.0.0.0" in chosen) is there
    # The accept pair at the last level scores 2 and 1 in the released code, which it wants to be more than 0.5 apart.
    assert kinds(grown(ACCEPT_B), released=True) == []
    assert find_pairs(grown(ACCEPT_B), ACCEPTED, Rules(released=True)).reasons["gap"] == 4
    assert kinds(grown(ACCEPT_B), released=True, gap=0.4) == ["accept"] * 4
    assert kinds(grown(RESIST_B), released=True) == ["resist"] * 4


def test_pbt_inv12_ties_and_scores_of_nothing_give_no_pair():
    assert find_pairs(grown(WRONG), ACCEPTED, Rules()).reasons == {"equal": 7}
    assert find_pairs(grown(RIGHT), ACCEPTED, Rules()).reasons == {"both right": 7}


def test_pbt_inv12_pairs_of_a_question_come_by_the_smallest_gap():
    for found in some_trees(100):
        pairs = find_pairs(found, ACCEPTED, Rules(verified=False)).pairs
        gaps = [1 - Fraction(p["rejected_score"], p["chosen_score"]) for p in pairs]
        assert gaps == sorted(gaps)


async def test_pbt_inv13_the_order_in_which_calls_end_changes_nothing(script, tmp_path):
    states = []
    for seed in (None, 1, 2):
        draw = random.Random(seed)
        script.delay = (lambda: draw.random() / 200) if seed else None  # noqa: B023 - it is used up before the next one
        state, _ = await play(script, ACCEPT_B)
        states.append(state)
    assert states[0]["tree"] == states[1]["tree"] == states[2]["tree"]
    groups = [harvest(states[0], ACCEPTED), *groups_of(7)]
    export(groups, tmp_path / "a")
    export(groups, tmp_path / "b")
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


# What models may say


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("FINAL ANSWER: Paris.", "Paris"),
        ("FINAL ANSWER: Rome\nNo, wait.\nfinal answer: Paris (the capital)", "Paris"),
        ("The answer: Paris", "Paris"),
        ("**FINAL ANSWER:** Paris", "Paris"),
        ("Agreed: FINAL ANSWER: agrees with it", "Agree"),
        ("FINAL ANSWER: disagree.", "Disagree"),
        ("FINAL ANSWER: none", "NONE"),
        ("FINAL ANSWER:", "NONE"),
        ("Paris", "NONE"),
        ("", "NONE"),
    ],
)
def test_pbt_inv15_answers_are_read_after_the_label(text, answer):
    assert read_short(text) == answer


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("It is Paris. I am sure", "It is Paris."),
        ("assistant: It is Paris!", "It is Paris!"),
        ("<|assistant|> It costs 2.50 francs. So", "It costs 2.50 francs."),
        ('He said "it is Paris." And', 'He said "it is Paris."'),
        ("Paris", ""),
        ("  ", ""),
    ],
)
def test_pbt_inv15_replies_are_cut_back_to_whole_sentences(text, kept):
    assert tidy(text) == kept


async def test_pbt_inv15_a_reply_without_a_sentence_is_asked_for_once_more_and_is_then_empty(script):
    state, told = await play(script, ACCEPT_B, words={"r.0.0.0.1": "rome"})
    found = trees.read_tree(state["tree"])
    assert [turn for turn, _ in told.asked].count("r.0.0.0.1") == 2
    assert (found.nodes["r.0.0.0.1"]["text"], found.nodes["r.0.0.0.1"]["answers"]["B"]) == ("", "NONE")
    assert state["stats"]["empty_reply"] == 1
    assert len(script.prompts["read_answer"]) == state["stats"]["generated"] - 1
    assert [pair["rejected_turn"] for pair in harvest(state, ACCEPTED)] == ["r.0.0.0.2", "r.0.0.1.1", "r.0.0.1.2"]


async def test_pbt_inv15_no_accepted_answer_makes_every_answer_wrong(script):
    state, _ = await play(script, ACCEPT_B)
    assert harvest(state, []) == []
    assert not any(mark.own for mark in labels(trees.read_tree(state["tree"]), []).values())


@pytest.mark.parametrize(
    ("answer", "right"),
    [("The Paris!", True), ("paris (France)", True), ("Parisian", False), ("", False), ("...", False), ("NONE", False), (None, False)],
)
def test_pbt_inv15_answers_are_compared_as_triviaqa_does(answer, right):
    assert correct(answer, ["Paris", "", "..."]) is right


def test_pbt_inv15_numbers_are_compared_by_value():
    assert correct("2.50", ["2.5"])
    assert correct("1,000", ["1000"])
    assert not correct("25", ["2.5"])
    assert not correct("-3", ["3"])


async def test_pbt_inv15_a_failed_turn_closes_its_branch(script):
    def fails(turn):
        if turn == "r.0.0.0":
            raise EndpointDown("no connection")
        return OSLO if turn in HELD else ROME if turn == "r.0.0" else PARIS

    state, _ = await play(script, {}, otherwise=fails)
    found = trees.read_tree(state["tree"])
    assert found.nodes["r.0.0.0"]["stopped"] == "failed"
    assert found.out_degree("r.0.0.0") == 0
    assert state["stats"]["failed"] == 1
    assert harvest(state, ACCEPTED) == []


async def test_pbt_inv15_when_nobody_answers_the_run_fails(script):
    def fails(turn):
        raise EndpointDown("no connection")

    with pytest.raises(Exception, match="no connection"):
        await play(script, {}, otherwise=fails)


async def test_pbt_a_second_question_on_a_thread_grows_a_tree_of_its_own():
    thread = {"configurable": {"thread_id": "one"}}
    talk, params = pbt.build().compile(checkpointer=InMemorySaver()), Params(model="toy/default?error=0.5", seed=1)
    asked = [f"Omar has {n} stamps. He gives 18 stamps to Priya. How many stamps does Omar have left?" for n in (45, 60)]
    states = [await talk.ainvoke({"question": question}, thread, context=params) for question in asked]
    fresh = await graph.ainvoke({"question": asked[1]}, context=params)
    assert [state["tree"]["nodes"][0]["text"] for state in states] == asked
    for state in (states[1], fresh):
        assert len(state["tree"]["edges"]) == len(state["tree"]["nodes"]) - 1 == state["stats"]["generated"]


def test_pbt_unknown_personas_are_said():
    with pytest.raises(ValueError, match="no persona 'shy'"):
        Params(personas={"shy": "You are shy."})
    assert Params(personas={"logical": "Reason."}).personas["resistant"] == PERSONAS["resistant"]


# Confidence


async def test_pbt_confidence_is_read_at_every_turn_from_a_dialogue_without_its_answers(script):
    state, _ = await play(script, ACCEPT_B, words={"r.0.0.0.1": "rome"}, confidence=True)
    asked = [prompt for prompt in script.prompts["read_answer"] if '"yes" or "no"' in prompt]
    assert len(asked) == state["stats"]["generated"] - 1  # an empty turn says nothing to accept
    assert not any(re.search(f"{PARIS}|{ROME}", prompt.split("Question:")[1], re.I) for prompt in asked)
    assert asked[1].endswith("A: [r.0] I would say it is [answer of A].\nB: [r.0.0] I would say it is [answer of B].")
    turns = [node for node in state["tree"]["nodes"] if node["id"] != "r"]
    assert {node["confidence"] for node in turns} == {None}  # this model tells no probabilities
    assert len(harvest(state, ACCEPTED)) == 3


def test_pbt_answers_that_are_words_of_a_mask_or_names_of_agents_are_masked_once():
    texts = {"r.0": "Of both, B.", "r.0.0": "No, answer A is right.", "r.0.0.0": "Then B it is, not A: the answer."}
    graph = grown(dict(zip(texts, ("B", "A", "answer"), strict=True)))
    for turn, text in texts.items():
        graph.nodes[turn]["text"] = text
    first, second, third = "[answer of A]", "[answer of B]", "[answer of A]"
    assert masked(graph, "r.0.0.0") == [
        f"A: Of both, {first}.",
        f"B: No, {third} {second} is right.",
        f"A: Then {first} it is, not {second}: the {third}.",
    ]
    assert masked(grown({"r.0": "NONE"}), "r.0") == ["A: [r.0] It is so."]


@pytest.mark.parametrize("released", [False, True])
async def test_pbt_confidence_costs_a_call_a_turn_and_nothing_without_it(script, released):
    plan = RELEASED_PLAN if released else PLAN
    await play(script, {}, plan=plan, released=released, confidence=True)
    assert script.calls == pbt.METHOD.count(pbt.METHOD.calls, Params(released=released, confidence=True))
    state, _ = await play(script, {}, plan=plan, released=released)
    assert not any("confidence" in node for node in state["tree"]["nodes"])


async def test_pbt_confidence_is_a_probability_where_the_model_tells_them(sqlite):
    row = {"question": "Omar has 45 stamps. He gives 18 stamps to Priya. How many stamps does Omar have left?"}
    result = await runs.start(sqlite, runs.new_record("pbt", {"model": "toy/default?error=0.5", "seed": 1, "confidence": True}, row))
    report, execution = await runs.replay(sqlite, result.run_id)
    assert report["identical"]
    found = [node["confidence"] for node in execution.values["tree"]["nodes"] if node["id"] != "r"]
    assert len(found) == execution.values["stats"]["generated"]
    assert {0.8} < set(found) <= {0.5, 0.6, 0.65, 0.7, 0.8}


def test_pbt_runs_from_before_there_was_a_confidence_have_the_parameters_of_today():
    assert "confidence" not in Params().model_dump(mode="json")
    again = Params.model_validate(json.loads(Params(confidence=True).model_dump_json()))
    assert again.confidence
    assert again != Params()


# What is left out


def test_pbt_a_report_counts_pairs_and_the_reasons_of_siblings_without_one():
    def finished(table, **stances):
        tree = nx.node_link_data(grown(table, **stances), edges="edges")
        return {"tree": tree, "question": QUESTION, "params": Params().model_dump(mode="json")}, ACCEPTED

    agreed = {"r.0": PARIS, "r.0.0": PARIS}
    found = pbt.report(
        [finished(one) for one in (ACCEPT_B, RESIST_A, RIGHT, WRONG, agreed)] + [finished(ACCEPT_A, stance={"r.0.0.0": None})]
    )
    assert found["trees"] == 6
    assert found["undisputed"] == 1
    assert found["pairs"] == {"resist": 1, "accept": 4}
    assert found["siblings_without_pair"]["refuted"] == 1
    assert found["siblings_without_pair"]["both right"] >= 7
    assert pbt.report([]) == {"trees": 0, "undisputed": 0, "pairs": {"resist": 0, "accept": 0}, "siblings_without_pair": {}}


def test_pbt_inv09_an_export_leaves_no_file_of_an_earlier_one(tmp_path):
    export(groups_of(40), tmp_path)
    (tmp_path / "notes.jsonl").write_text("mine")
    counts = export(groups_of(4), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*counts, "notes.jsonl"}
    assert not any(".valid." in name for name in counts)
