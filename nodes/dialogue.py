"""A dialogue tree that grows by a level: the replies of all open branches, then the answers in them.

Shared by the trees that training pairs are taken from and by the debates that a trained team is measured on (arXiv 2410.14596).
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

from symposia.nodes import persuasion
from symposia.state.base import BaseState, Sample
from symposia.state.place import fan
from symposia.tools import trees
from symposia.tools.llm import quorum
from symposia.tools.trees import Turn


class Dialogue(BaseState):
    """The tree as networkx' node-link data (`tools/trees.py`)."""

    tree: Annotated[dict[str, Any], trees.growing]


class Branch(NamedTuple):
    """A reply to be made: to which turn, as which of its replies, by whom, and under which persona with which words."""

    after: str
    place: int
    agent: str
    persona: str = "plain"
    manner: str = ""


async def grow_level(state: Dialogue, branches: Sequence[Branch], both_first: bool) -> dict[str, Any]:
    """The tree with one reply for each of the branches.

    Raises:
        SymposiaError: Fewer replies than `quorum` came back.
    """
    params, question, graph = state["params"], state["question"], trees.read_tree(state["tree"])

    async def one(branch: Branch) -> Sample:
        task = persuasion.task_parts(params, question, branch.manner)
        messages = trees.view(graph, branch.after, branch.agent, task, both_first)
        return await persuasion.utter(params, branch.agent, messages)

    replies = await fan([partial(one, branch) for branch in branches])
    quorum(replies, params["quorum"])
    nodes = [
        Turn(
            id=f"{branch.after}.{branch.place}",
            level=int(graph.nodes[branch.after]["level"]) + 1,
            agent=branch.agent,
            persona=branch.persona,
            text=reply["text"],
            status=reply["status"],
        )
        for branch, reply in zip(branches, replies, strict=True)
    ]
    edges = [{"source": branch.after, "target": f"{branch.after}.{branch.place}"} for branch in branches]
    return {"tree": {"nodes": nodes, "edges": edges}}


async def read_answer(state: Dialogue) -> dict[str, Any]:
    """Read the answer of every new turn, and close the branches that agree or failed.

    Raises:
        SymposiaError: Fewer readings than `quorum` came back.
    """
    params, graph = state["params"], trees.read_tree(state["tree"])
    fresh = [(turn, data) for turn, data in trees.nodes_of(graph) if "answers" not in data]
    found = await fan([partial(persuasion.read_answer, params, state["question"], data["text"]) for _, data in fresh])
    quorum(found, params["quorum"])
    nodes = []
    for (turn, data), reply in zip(fresh, found, strict=True):
        before = graph.nodes[trees.parent_of(graph, turn) or trees.ROOT]["answers"]
        answers = {**before, data["agent"]: reply["value"]}
        failed = "failed" if data["status"] != "ok" or reply["status"] in ("failed", "refused") else ""
        nodes.append({"id": turn, "answers": answers, "stopped": failed or ("agree" if trees.agreement(answers, data["level"]) else "")})
    return {"tree": {"nodes": nodes}}
