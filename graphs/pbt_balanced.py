"""PBT, the balanced evaluation: does a model keep a right answer against a wrong partner, and give up a wrong one for a right partner?

Stengel-Eskin, Hase, Bansal, "Teaching Models to Balance Resisting and Accepting Persuasion", 2024, https://arxiv.org/abs/2410.14596.
Sampling is that of the authors' code (esteng/persuasion_balanced_training).

```mermaid
graph LR
  START --> intake --> read_dialogue --> reply --> read_answer --> finish --> END
```

The input is a question with a dialogue about it that ends with the partner's turn: the field `prompt` of the pairs that `symposia export
pbt` writes, as many that resist as accept (`preference.balanced.test.jsonl`, with `--map answer=gold_answers`). The model is the one who
speaks next. One reply is sampled, and the extractor reads its answer and the two before it, the model's own and its partner's: four calls.
`report` gives the accuracy where the model was right and its partner wrong, where it was the other way round, and over both, so that
holding out always or giving in always gains nothing (`tools/flips.py`).

Choices of ours: which kind an item is follows from the answers in its dialogue, not from a label; a bare agreement is the partner's answer,
a bare disagreement the model's own last one; a question without a dialogue is simply answered, and counts to neither kind.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, NotRequired

from langgraph.graph import END, START
from langgraph.runtime import Runtime
from pydantic import Field

from symposia.nodes import intake as questions
from symposia.nodes import persuasion
from symposia.nodes.finish import conclude
from symposia.nodes.persuasion import READ, SPEAK, task_parts, utter
from symposia.state.base import BaseParams, BaseState, Method, Question, Sampling
from symposia.state.errors import BadInput, shorten
from symposia.state.graph import StateGraph
from symposia.state.packing import sound
from symposia.state.place import fan
from symposia.state.show import Show, shown_as
from symposia.tools.flips import balance
from symposia.tools.llm import quorum
from symposia.tools.trees import AGREE, DISAGREE, is_answer


class Disputed(Question):
    """A question, and a dialogue about it that ends with what the partner says."""

    prompt: NotRequired[
        Annotated[list[dict[str, str]], Field(title="Dialogue", description="messages of role and content; the last is the partner's")]
    ]


METHOD = Method(
    name="pbt_balanced",
    title="Resist or accept",
    arxiv="2410.14596",
    year=2024,
    family="debate",
    roles=("debater", "extractor"),
    calls="4",
    by_role={"debater": ("1", "1"), "extractor": ("1", "3")},
    input=Disputed,
    items="dialogues",
)

SHOW = Show({"prompt": shown_as("messages")}, {"read_answer": "{after}, after {own} against {theirs}"}, ("intake",))
"""How the viewer shows its state."""

_SIDES = ("user", "assistant")


class Params(BaseParams):
    """Parameters of a run."""

    prompts: dict[str, str] = Field(
        {"debater": SPEAK, "extractor": READ}, description="templates by role; the debater's begins a dialogue only where none is given"
    )
    sampling: dict[str, Sampling] = Field(
        {
            "debater": Sampling(temperature=0.7, max_tokens=80, min_tokens=15),
            "extractor": Sampling(temperature=0, max_tokens=15, min_tokens=3),
        },
        description="sampling by role, as in the authors' code",
    )


class State(Disputed, BaseState):
    """The dialogue with the answers in it, and the reply with its own."""

    own: NotRequired[str]
    """The model's last answer before the partner's turn."""
    theirs: NotRequired[str]
    """The partner's answer."""
    reply_text: NotRequired[str]
    after: NotRequired[str]
    """What the model answers to it."""


def check_input(given: Mapping[str, Any]) -> None:
    """See that a dialogue, if there is one, is a list of messages that ends with the partner's.

    Raises:
        BadInput: It is not.
    """
    dialogue: Any = given.get("prompt") or []
    remedy = 'give the field `prompt` as [{"role": "user", "content": "..."}, ...], as `symposia export pbt` writes it'
    for message in dialogue if isinstance(dialogue, list) else [dialogue]:
        if not (isinstance(message, dict) and message.get("role") in _SIDES and isinstance(message.get("content"), str)):
            raise BadInput(f"the dialogue has a part that is no message: {shorten(repr(message), 60)}", remedy=remedy)
    if dialogue and dialogue[-1]["role"] != "user":
        raise BadInput("the dialogue ends with the model's own turn", remedy="end it with the partner's turn, of the role user")


async def intake(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
    """Check the question and the dialogue; a chat's question comes without one.

    Raises:
        BadInput: There is no question, or the dialogue is none.
    """
    chats = bool(state["messages"]) and state["messages"][-1].type == "human"
    given: Any = [] if chats else state.get("prompt") or []
    check_input({"prompt": given})
    dialogue = [{"role": message["role"], "content": sound(message["content"])} for message in given]
    return {**await questions.intake(state, runtime), "prompt": dialogue}


def last_of(state: State, role: str) -> str:
    """What a side said last in the dialogue; "" where it has not spoken, as the partner in a bare question."""
    said = [message["content"] for message in state["prompt"] if message["role"] == role]
    return said[-1] if said and len(state["prompt"]) > 1 else ""


async def read_dialogue(state: State) -> dict[str, Any]:
    """Read the answers that both sides have given last.

    Raises:
        SymposiaError: The extractor could not be reached.
    """
    texts = [last_of(state, role) for role in ("assistant", "user")]
    found = await fan([partial(persuasion.read_answer, state["params"], state["question"], text) for text in texts])
    quorum(found, 2)
    return {"own": found[0]["value"], "theirs": found[1]["value"]}


async def reply(state: State) -> dict[str, Any]:
    """Sample the model's next turn.

    Raises:
        SymposiaError: The model could not be reached.
    """
    begun = [{"role": message["role"], "content": [message["content"]]} for message in state["prompt"]]
    plain = [{"role": "user", "content": task_parts(state["params"], state["question"], "")}]
    said = await utter(state["params"], "A", begun or plain)
    quorum([said], 1)
    return {"reply_text": said["text"]}


async def read_answer(state: State) -> dict[str, Any]:
    """Read the answer of the reply.

    Raises:
        SymposiaError: The extractor could not be reached.
    """
    found = await persuasion.read_answer(state["params"], state["question"], state["reply_text"])
    quorum([found], 1)
    meant = {AGREE: state["theirs"], DISAGREE: state["own"]}
    return {"after": meant.get(found["value"], found["value"])}


def finish(state: State) -> dict[str, Any]:
    """End with the answer to the partner."""
    after = state["after"]
    return conclude(after, "answered") if is_answer(after) else conclude(None, "no_answer")


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """Accuracy on items to resist and to accept over finished runs, each given as its last state and its accepted answers."""
    return dict(balance((state["own"], state["theirs"], state["after"], accepted) for state, accepted in finished))


def build() -> StateGraph[State, Params, Disputed, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Disputed)
    builder.add_node(intake).add_node(read_dialogue).add_node(reply).add_node(read_answer).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "read_dialogue").add_edge("read_dialogue", "reply")
    builder.add_edge("reply", "read_answer").add_edge("read_answer", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
