"""The evaluations of persuasion without a debate: what the model is told, who reads it, which kind an item is, and the measures."""

import json
from importlib import resources

import pytest
from persuasion import OSLO, PARIS, QUESTION, ROME

from symposia import registry, runs
from symposia.graphs import pbt_balanced, pbt_flip
from symposia.inputs import row_input
from symposia.nodes.persuasion import PERSONAS
from symposia.state.errors import BadInput
from symposia.tools import toy
from symposia.tools.flips import balance, flips
from symposia.tools.preferences import preference_row

ASKED = {"question": QUESTION, "task": "text"}
ITEMS = [json.loads(row) for row in (resources.files("symposia.items") / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()]


class Chats(list):
    """Every chat with the model under test, as (role, text) pairs; it says `says` in turn, and replies are read by the table `read`."""

    def __init__(self, script):
        super().__init__()
        self.says, self.read, self.readings = [], {}, []
        script.answer = self.reply

    def reply(self, node, messages):
        prompt = messages[-1]["content"]
        if '"FINAL ANSWER: x"' not in prompt:
            self.append([(m["role"], m["content"]) for m in messages])
            return self.says[len(self) - 1]
        self.readings.append(prompt.rpartition("Reply: ")[2])
        return f"FINAL ANSWER: {self.read.get(self.readings[-1], 'NONE')}"


@pytest.fixture
def chats(script):
    return Chats(script)


async def doubted(chats, before, after, **params):
    """A model that says one thing, then another, as the extractor reads them."""
    chats.says = ["I say one thing.", "Well, maybe.", "Another thing"]
    chats.read = {"I say one thing.": before, "Another thing": after}
    return await pbt_flip.graph.ainvoke(ASKED, context=pbt_flip.Params(model="script/any", **params))


async def test_the_model_is_asked_doubted_and_asked_for_its_final_answer(script, chats):
    out = await doubted(chats, PARIS, ROME)
    roles = ["user", "assistant", "user", "assistant", "user"]
    assert [[role for role, _ in chat] for chat in chats] == [roles[:1], roles[:3], roles]
    task, *rest = [text for _, text in chats[-1]]
    assert rest == ["I say one thing.", pbt_flip.DOUBT, "Well, maybe.", pbt_flip.REQUEST]
    assert QUESTION in task
    assert not any(words and words in task for words in PERSONAS.values())
    assert (out["replies"], out["read"]) == (["I say one thing.", "Well, maybe.", "Another thing"], [PARIS, ROME])
    assert chats.readings == ["I say one thing.", "Another thing"]
    assert script.calls == 5 == pbt_flip.METHOD.count(pbt_flip.METHOD.calls, pbt_flip.Params())
    assert {options["temperature"] for options in script.options} == {0}


@pytest.mark.parametrize(
    ("before", "after", "answer", "reason"),
    [
        (PARIS, PARIS, PARIS, "kept"),
        (PARIS, "The Paris.", "The Paris", "kept"),
        ("3", "3.0", "3.0", "kept"),
        (PARIS, ROME, ROME, "changed"),
        ("NONE", ROME, ROME, "changed"),
        (PARIS, "Disagree", PARIS, "kept"),
        (PARIS, "Agree", None, "no_answer"),
        (PARIS, "NONE", None, "no_answer"),
    ],
)
async def test_a_run_says_whether_the_answer_was_kept(chats, before, after, answer, reason):
    out = await doubted(chats, before, after)
    assert (out["answer"], out["stop_reason"]) == (answer, reason)


async def test_doubt_and_request_can_be_worded_otherwise(chats):
    await doubted(chats, PARIS, PARIS, doubt="Are you sure about that?", request="And now?")
    assert [text for _, text in chats[-1]][2::2] == ["Are you sure about that?", "And now?"]


async def test_an_empty_first_reply_leaves_question_and_doubt_in_one_message(script, chats):
    chats.says = ["no sentence", "no sentence", "Still none.", "Paris"]
    chats.read = {"Paris": PARIS}
    out = await pbt_flip.graph.ainvoke(ASKED, context=pbt_flip.Params(model="script/any"))
    assert [role for role, _ in chats[-1]] == ["user", "assistant", "user"]
    assert chats[-1][0][1].endswith(pbt_flip.DOUBT)
    assert (out["read"], out["stop_reason"]) == (["NONE", PARIS], "changed")


def test_flips_are_counted_both_ways():
    right, wrong = (PARIS, ROME)
    moves = [(right, right), (right, wrong), (right, "NONE"), (wrong, right), (wrong, OSLO)]
    found = flips((*move, ["Paris", "City of Light"]) for move in moves)
    assert found == {"questions": 5, "before": pytest.approx(0.6), "after": pytest.approx(0.4), "better": 1, "worse": 2}
    assert flips([]) == {"questions": 0, "before": None, "after": None, "better": 0, "worse": 0}
    states = [({"read": list(move)}, ["Paris"]) for move in moves]
    assert pbt_flip.report(states) == found


# The balanced evaluation

DIALOGUE = [
    {"role": "user", "content": f"Talk about this.\n\nQuestion: {QUESTION}"},
    {"role": "assistant", "content": "My first word."},
    {"role": "user", "content": "Its first word."},
    {"role": "assistant", "content": "My last word."},
    {"role": "user", "content": "Its last word."},
]


async def answered(chats, own, theirs, after, dialogue=None, **asked):
    """A dialogue in which the model and its partner have said these answers, and what the model then answers."""
    chats.says = ["My reply is this."]
    chats.read = {"My last word.": own, "Its last word.": theirs, "My reply is this.": after}
    given = {**ASKED, "prompt": DIALOGUE if dialogue is None else dialogue, **asked}
    return await pbt_balanced.graph.ainvoke(given, context=pbt_balanced.Params(model="script/any"))


async def test_the_model_replies_once_to_the_dialogue_as_it_stands(script, chats):
    out = await answered(chats, PARIS, ROME, PARIS)
    assert list(chats) == [[(m["role"], m["content"]) for m in DIALOGUE]]
    assert sorted(chats.readings[:2]) == ["Its last word.", "My last word."]
    assert chats.readings[2:] == ["My reply is this."]
    assert (out["own"], out["theirs"], out["answer"], out["stop_reason"]) == (PARIS, ROME, PARIS, "answered")
    assert script.calls == 4 == pbt_balanced.METHOD.count(pbt_balanced.METHOD.calls, pbt_balanced.Params())
    talk = pbt_balanced.Params().sampling["debater"]
    assert (talk.temperature, talk.min_tokens, talk.max_tokens) == (0.7, 15, 80)
    assert sorted(options["temperature"] for options in script.options) == [0, 0, 0, 0.7]


@pytest.mark.parametrize(("after", "answer"), [("Agree", ROME), ("Disagree", PARIS), (OSLO, OSLO), ("NONE", None)])
async def test_taking_a_side_stands_for_the_answer_of_that_side(chats, after, answer):
    out = await answered(chats, PARIS, ROME, after)
    assert (out["answer"], out["stop_reason"]) == (answer, "answered" if answer else "no_answer")


async def test_a_question_without_a_dialogue_is_simply_answered(script, chats):
    out = await answered(chats, PARIS, ROME, OSLO, dialogue=[])
    ((role, text),) = chats[0]
    assert (role, QUESTION in text, script.calls) == ("user", True, 2)
    assert (out["own"], out["theirs"], out["answer"]) == ("NONE", "NONE", OSLO)
    assert pbt_balanced.report([(out, [OSLO])])["others"] == 1


async def test_a_chat_on_a_thread_asks_without_the_dialogue_of_before(chats):
    from langgraph.checkpoint.memory import InMemorySaver

    chatty = pbt_balanced.build().compile(checkpointer=InMemorySaver())
    config, params = {"configurable": {"thread_id": "1"}}, pbt_balanced.Params(model="script/any")
    chats.says = ["First reply.", "Second reply."]
    chats.read = {"Second reply.": OSLO}
    await chatty.ainvoke({**ASKED, "prompt": DIALOGUE}, config, context=params)
    out = await chatty.ainvoke({"messages": [{"role": "user", "content": "Which city is next?"}]}, config, context=params)
    assert (out["question"], out["prompt"], out["answer"]) == ("Which city is next?", [], OSLO)
    assert [role for role, _ in chats[1]] == ["user"]


@pytest.mark.parametrize(
    ("dialogue", "said"),
    [
        ("Hello.", "no message: 'Hello.'"),
        ([{"role": "system", "content": "x"}], "no message"),
        ([{"role": "user", "content": 3}], "no message"),
        (DIALOGUE[:2], "ends with the model's own turn"),
    ],
)
async def test_a_dialogue_that_is_none_is_bad_input(script, dialogue, said):
    with pytest.raises(BadInput, match=said):
        runs.new_record("pbt_balanced", {"model": "script/any"}, {**ASKED, "prompt": dialogue})
    with pytest.raises(BadInput, match=said):
        await pbt_balanced.graph.ainvoke({**ASKED, "prompt": dialogue}, context=pbt_balanced.Params(model="script/any"))
    assert script.calls == 0


def test_an_item_is_of_the_kind_that_its_dialogue_says():
    items = [
        (PARIS, ROME, PARIS),  # resisted
        (PARIS, ROME, ROME),
        (PARIS, "NONE", PARIS),  # a partner without an answer is no right one
        (ROME, PARIS, PARIS),  # accepted
        (ROME, PARIS, "NONE"),
        (PARIS, PARIS, PARIS),
        (ROME, OSLO, PARIS),
    ]
    found = balance((*answers, ["paris"]) for answers in items)
    assert found == {
        "resist": {"items": 3, "accuracy": pytest.approx(2 / 3)},
        "accept": {"items": 2, "accuracy": 0.5},
        "overall": {"items": 5, "accuracy": pytest.approx(0.6)},
        "others": 2,
    }
    assert balance([])["overall"] == {"items": 0, "accuracy": None}


def test_a_pair_that_was_exported_is_an_item():
    pair = {"question": QUESTION, "prompt": DIALOGUE, "kind": "resist", "chosen": "c", "rejected": "r", "accepted": [PARIS], "agent": "A"}
    scores = {"chosen_score": 1, "rejected_score": 0, "parent": "r.0", "chosen_turn": "r.0.0", "rejected_turn": "r.0.1"}
    answers = {key: {"A": PARIS, "B": ROME} for key in ("parent_answers", "chosen_answers", "rejected_answers")}
    row = preference_row({**pair, **scores, **answers})
    inputs, _ = row_input(registry.load("pbt_balanced"), json.loads(json.dumps(row)))
    assert inputs == {"question": QUESTION, "prompt": DIALOGUE}
    assert runs.new_record("pbt_balanced", {}, inputs)["input"] == inputs


async def items_of(model):
    """The bundled dialogues, gone on with by a toy."""
    given = pbt_balanced.Params(seed=3, roles={"debater": model})
    found = []
    for item in ITEMS:
        state = await pbt_balanced.graph.ainvoke({"question": item["question"], "prompt": item["prompt"]}, context=given)
        found.append((state, [str(item["answer"])]))
    return pbt_balanced.report(found)


async def test_the_bundled_dialogues_are_half_to_resist_and_half_to_accept_and_toys_differ_on_them():
    sure, stubborn = await items_of("toy/default?check=1&persuade=1"), await items_of("toy/default?persuade=0")
    kinds = [item["kind"] for item in ITEMS]
    for found in (sure, stubborn):
        assert found["resist"]["items"] == kinds.count("resist") == found["accept"]["items"] == kinds.count("accept") >= 5
        assert found["others"] == 0
    assert sure["overall"]["accuracy"] == 1
    assert (stubborn["resist"]["accuracy"], stubborn["accept"]["accuracy"]) == (1, 0)


def test_a_doubted_toy_keeps_what_it_holds_unless_it_can_be_persuaded():
    problem = "Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?"
    task = pbt_flip.Params().prompts["debater"].format(question=problem, manner="")
    chat = [{"role": "user", "content": task}, {"role": "assistant", "content": "I work it out, so the answer is 5."}]
    chat.append({"role": "user", "content": pbt_flip.DOUBT})
    for settings, says in (("persuade=0", "the answer is 5."), ("error=0&check=1&persuade=1", "the answer is 19.")):
        assert all(toy.reply(f"default?{settings}", chat, seed).endswith(says) for seed in range(5))
    chat += [{"role": "assistant", "content": "Yes, the answer is 5."}, {"role": "user", "content": pbt_flip.REQUEST}]
    assert toy.reply("default", chat, 0) == "The answer is 5."
