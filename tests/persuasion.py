"""Dialogues by table for the tests of persuasion trees and of their debate: what each turn answers, by the path of the turn."""

import re

from symposia.state.place import here
from symposia.tools import trees

PARIS, ROME, OSLO = "paris", "rome", "oslo"
QUESTION = "Which city is the capital of France?"
TAG = re.compile(r"\[(r[.\d]*)\]")


def grown(answers, same=(), stance=None):
    """The graph of a tree whose turns answer by table, nothing below an agreement; a reply agrees when it means what its partner said."""
    tree = trees.planted(QUESTION)
    for turn in sorted(answers, key=lambda t: (t.count("."), t)):
        parent, level = turn.rpartition(".")[0], turn.count(".") - 1
        agent = trees.AGENTS[level % 2]
        above = next((n for n in tree["nodes"] if n["id"] == parent), None)
        if above is None or above["stopped"]:
            continue
        pair = {**above["answers"], agent: answers[turn]}
        node = {"id": turn, "level": level, "agent": agent, "persona": "plain", "text": f"[{turn}] It is so.", "status": "ok"}
        node |= {"answers": pair, "stopped": "agree" if trees.agreement(pair, level) else "", "same": set(pair.values()) in map(set, same)}
        tree = trees.graft(tree, [{"nodes": [node], "edges": [{"source": parent, "target": turn}]}])
    graph = trees.read_tree(tree)
    pairs = trees.resolved(graph)
    for turn in [t for t in graph if t != trees.ROOT]:
        agent, parent = graph.nodes[turn]["agent"], turn.rpartition(".")[0]
        means = answers[turn] == trees.AGREE or pairs[turn][agent] == pairs[parent][trees.partner(agent)]
        graph.nodes[turn]["agrees"] = (stance or {}).get(turn, means)
    return graph


class Play:
    """The script of a run: every reply carries the path of its turn, by which readers and later speakers know it.

    A table gives the answer of a turn; where it has none, `otherwise` is asked for one.
    """

    def __init__(self, script, table, plan, personas, otherwise=None, matches=(), words=None):
        self.table, self.plan, self.personas, self.otherwise = table, plan, personas, otherwise or (lambda turn: turn)
        self.matches = [set(match) for match in matches]
        self.words, self.asked = words or {}, []
        script.answer = self.reply

    def answer_of(self, turn):
        return self.table.get(turn) or self.otherwise(turn)

    def reply(self, node, messages):
        prompt = messages[-1]["content"]
        if '"FINAL ANSWER: x"' in prompt:
            return f"FINAL ANSWER: {self.answer_of(TAG.findall(prompt)[-1])}"
        if '"same" or "different"' in prompt:
            two = re.findall(r"answer: (.*)", prompt)
            return "same" if set(two) in self.matches else "different"
        if '"agreeing" or "disagreeing"' in prompt:
            return "agreeing" if self.agrees(TAG.findall(prompt)[-1]) else "disagreeing"
        if '"yes" or "no"' in prompt:
            return "yes"
        turn = self.turn_of(messages)
        self.asked.append((turn, messages))
        return self.words.get(turn, f"[{turn}] I would say it is {self.answer_of(turn)}.")

    def turn_of(self, messages):
        """The path of the turn asked for: after the last one that it is shown, at the place of its persona."""
        level = (int(here().split(".")[0]) - 3) // 2
        if level < 2:
            return self.first(level, messages)
        parent = TAG.findall(messages[-1]["content"])[-1]
        return f"{parent}.{self.place(level, messages)}"

    def first(self, level, messages):
        return "r" + ".0" * level + f".{self.place(level, messages)}"

    def place(self, level, messages):
        told = messages[0]["content"]
        for place, persona in enumerate(self.plan[level]):
            if self.personas[persona] and self.personas[persona] in told:
                return place
        return 0

    def agrees(self, turn):
        said, parent = self.answer_of(turn), turn.rpartition(".")[0]
        return said in (trees.AGREE, self.answer_of(parent))
