"""Dialogue trees of two agents: how they grow in a state, who sees what, when a branch ends, and which answers hold at a turn.

A tree is networkx' node-link data, so it is plain JSON in a state. Node `r` is the question; every other node is a turn, named by its path
(`r.0.1` is the second reply to the first turn), which does not depend on the order in which parallel branches finish. The rules follow
"Teaching Models to Balance Resisting and Accepting Persuasion" (arXiv 2410.14596) and the code released with it.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NotRequired

from langgraph.channels import DeltaChannel
from typing_extensions import TypedDict

if TYPE_CHECKING:
    import networkx as nx

    Graph = nx.DiGraph[str]

ROOT = "r"
AGENTS = ("A", "B")
NONE, AGREE, DISAGREE = "NONE", "Agree", "Disagree"
"""What stands for an answer where a reply holds none, or only takes a side."""

Pair = dict[str, str | None]
"""An answer by agent; None before the agent has spoken."""


class Turn(TypedDict):
    """A node of the tree; what need not be there comes after the reply itself."""

    id: str
    level: int
    agent: str | None
    persona: str
    text: str
    status: str
    answers: NotRequired[Pair]
    """The running pair after this turn, as read: the parent's with the speaker's entry replaced."""
    stopped: NotRequired[str]
    """Why the branch ends here: `agree`, `failed`, or "" where it may go on."""
    same: NotRequired[bool]
    """Whether the two answers mean the same, as the matcher sees it."""
    confidence: NotRequired[float | None]
    """How likely, from 0 to 1, a reader of the masked dialogue accepts what this turn says; None where the model tells no probabilities."""
    agrees: NotRequired[bool | None]
    """Whether the reply agrees with the partner, as the verifier sees it; None where it was unreadable."""


def planted(question: str) -> dict[str, Any]:
    """A tree that holds nothing but its question."""
    root = {"id": ROOT, "level": -1, "agent": None, "persona": "", "text": question, "status": "ok", "answers": {"A": None, "B": None}}
    return {"directed": True, "multigraph": False, "graph": {}, "nodes": [{**root, "stopped": ""}], "edges": []}


def graft(tree: dict[str, Any], writes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The tree with what was written: attributes join the node of their id, new nodes and edges follow; a whole tree starts anew."""
    for write in writes:
        if "graph" in write:
            tree = write
            continue
        nodes = {node["id"]: node for node in tree["nodes"]}
        for node in write["nodes"]:
            nodes[node["id"]] = {**nodes.get(node["id"], {}), **node}
        tree = {**tree, "nodes": list(nodes.values()), "edges": [*tree["edges"], *write.get("edges", [])]}
    return tree


growing: Any = DeltaChannel(graft, dict)
"""The channel of a tree: what was written is stored, never the whole tree again."""


def read_tree(tree: dict[str, Any]) -> "Graph":
    """The networkx graph of a tree in a state."""
    import networkx as nx

    return nx.DiGraph(nx.node_link_graph(tree, directed=True, multigraph=False, edges="edges"))


def nodes_of(graph: "Graph") -> list[tuple[str, dict[str, Any]]]:
    """Every node of a tree with what it holds, the question first, then level by level."""
    return [(turn, graph.nodes[turn]) for turn in graph]


def partner(agent: str) -> str:
    """The other agent."""
    return AGENTS[1 - AGENTS.index(agent)]


def parent_of(graph: "Graph", turn: str) -> str | None:
    """The turn that this one replies to; None for the question."""
    return next(iter(graph.predecessors(turn)), None)


def path_to(graph: "Graph", turn: str) -> list[str]:
    """The turns from the first one to this one, the question left out."""
    path = []
    at: str | None = turn
    while at is not None and at != ROOT:
        path.append(at)
        at = parent_of(graph, at)
    return path[::-1]


def frontier(graph: "Graph", levels: int) -> list[str]:
    """The turns that a next level grows from: those of the deepest level whose branch is open; none once `levels` are full."""
    deepest = max(int(data["level"]) for _, data in nodes_of(graph))
    if deepest + 1 >= levels:
        return []
    return [turn for turn, data in nodes_of(graph) if data["level"] == deepest and not data["stopped"]]


def view(graph: "Graph", after: str, speaker: str, task: Sequence[str], both_first: bool) -> list[dict[str, Any]]:
    """The dialogue up to `after` from the side of who speaks next: own turns as the assistant's, the partner's as the user's.

    When both answer first, the first reply of the second agent comes before what it had not seen. Turns of one side that follow each other
    are one message, as chat templates want; an empty turn is no message.
    """
    path = path_to(graph, after)
    if both_first and path and graph.nodes[path[0]]["agent"] != speaker:
        path = [*path[1:2], path[0], *path[2:]] if len(path) > 1 else []
    messages: list[dict[str, Any]] = [{"role": "user", "content": list(task)}]
    for turn in path:
        data = graph.nodes[turn]
        say(messages, "assistant" if data["agent"] == speaker else "user", data["text"])
    return messages


def masked(graph: "Graph", turn: str) -> list[str]:
    """The dialogue up to a turn, a line each, with all answers that its turns give masked; nothing for a turn without a text."""
    said = [graph.nodes[one] for one in path_to(graph, turn)]
    found = {str(data["answers"][data["agent"]]): f"[answer of {data['agent']}]" for data in reversed(said)}
    answers = sorted(filter(is_answer, found), key=len, reverse=True)
    any_of = "|".join(f"({re.escape(answer)})" for answer in answers) or "(?!)"
    sign = re.compile(rf"(?<!\w)(?:{any_of})(?!\w)", re.IGNORECASE)

    def mask(text: str) -> str:
        # In one pass, since an answer may be a word of a mask, such as the name of an agent where letters are chosen among.
        return sign.sub(lambda hit: found[answers[int(hit.lastindex or 0) - 1]], text)

    lines = [f"{data['agent']}: {mask(data['text'])}" for data in said if data["text"]]
    return lines if graph.nodes[turn]["text"] else []


def say(messages: list[dict[str, Any]], role: str, text: str) -> None:
    """Add what a side says to a chat: to its last message when that is its own, an empty text not at all."""
    if text and messages and messages[-1]["role"] == role:
        messages[-1]["content"] += ["\n\n", text]
    elif text:
        messages.append({"role": role, "content": [text]})


def agreement(answers: Pair, level: int) -> bool:
    """Whether a branch ends: both answers are the same text, or one of them is that its agent agrees; never at the first turn.

    Only answers can be equal: neither two unreadable replies nor two bare disagreements are (the latter is ours).
    """
    if level == 0:
        return False
    first, second = answers["A"], answers["B"]
    return AGREE in (first, second) or (first is not None and first == second and first not in (NONE, DISAGREE))


def resolved(graph: "Graph") -> dict[str, Pair]:
    """The running pair at every turn with agreements and disagreements spelled out.

    `Agree` is the partner's answer, `Disagree` the speaker's own last one; where there is none, the word stays, and is wrong.
    """
    pairs: dict[str, Pair] = {ROOT: {"A": None, "B": None}}
    for turn, data in nodes_of(graph):
        before = parent_of(graph, turn)
        if before is None or "answers" not in data:
            continue
        agent, pair = data["agent"], pairs[before]
        own = data["answers"][agent]
        meant = pair[partner(agent)] if own == AGREE else pair[agent] if own == DISAGREE else own
        pairs[turn] = {**pair, agent: own if meant is None else meant}
    return pairs


def is_answer(answer: str | None) -> bool:
    """Whether something is an answer, rather than unset, unreadable, or a side taken on nothing."""
    return answer is not None and answer not in (NONE, AGREE, DISAGREE)


def persuaded(graph: "Graph", turn: str) -> bool:
    """Whether the speaker gave up an answer of its own for the one its partner had."""
    pairs, before = resolved(graph), parent_of(graph, turn)
    if before is None:
        return False
    agent = graph.nodes[turn]["agent"]
    old, theirs, new = pairs[before][agent], pairs[before][partner(agent)], pairs[turn][agent]
    return is_answer(old) and is_answer(theirs) and old != theirs and new == theirs
