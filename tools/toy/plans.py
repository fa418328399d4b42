"""The roles of a plan search: planner, retriever, judges of plans and of programs, and a coder that calls what a plan found.

The planner cuts the request into its clauses and words a step for each, often a poor one at first. Later it adds what is missing, rewords a
step by the name of a symbol it was shown, takes one out or moves one. With chance `error` its XML is broken; the coder leaves a symbol
out, or takes the second nearest, at the same rate. The judge sees how many words a step shares with its symbols, and is right with chance
`check`. So are the retriever, who searches for a step's words and picks the symbol that shares most of them, the examiner, who looks for
clauses that no step does, and the judge of programs, who counts the known program's calls in both.
"""

import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from symposia.tools.toy.roles import Skill

_PLAIN: Final = frozenset(
    re.findall(r"\w+", "a an and are as at be by each for from how in into is it its of on or that the them then this to two was with")
)
_CLAUSE: Final = re.compile(r"[.;:\n]\s|,(?: and| then)?\s|\s(?:and|then)\s")
_STEP: Final = re.compile(r"^(\d{1,3})\. (.*)$", re.MULTILINE)
_PATH: Final = re.compile(r"^- ([\w.]{1,300})(?: \(|: |$)", re.MULTILINE)
_SEAM: Final = re.compile(r"(?<=[a-z\d])(?=[A-Z])|[_.]+")
_CALL: Final = re.compile(r"(\w+)\(")
_LEAST: Final = 2
"""Words of a clause that make it worth a step."""
_MOST_KEYWORDS: Final = 5


class Plan(NamedTuple):
    """A present plan: each step's sentence, and the paths of the symbols shown for it."""

    steps: list[str]
    symbols: list[list[str]]


def play(messages: Sequence[Mapping[str, str]], skill: Skill, rng: random.Random) -> str | None:
    """The reply to a prompt of these roles; None to any other."""
    text = messages[0]["content"] if messages else ""
    if '{"keywords": [' in text and "<step>" in text:
        return json.dumps({"keywords": sorted(_words(_between(text, "step")), key=lambda word: (-len(word), word))[:_MOST_KEYWORDS]})
    if '"satisfiable": true, "symbol": 1}' in text:
        return pick(text, skill, rng)
    if "<request>" not in text:
        return None
    if "<reference>" in text:
        return compare(text, skill, rng)
    if '"nothing_missing": true}' in text:
        return examine(text, skill, rng)
    if "<scores><plan>" in text:
        return judge(text, skill, rng)
    if "<thought>" in text:
        return extend(text, skill, rng) if "Give one step alone" in text else edit(text, skill, rng)
    return write(text, skill, rng) if "```python" in text else None


def edit(text: str, skill: Skill, rng: random.Random) -> str:
    """A plan changed in one or two places, or a first one, every step of it."""
    clauses, shown, plan = clauses_of(text), shown_symbols(text), read_plan(text)
    if not plan.steps:
        steps = [_worded(clause, shown, rng) for clause in clauses if rng.random() > 0.3] or clauses[:1]
        return _reply("A first plan, along the request.", list(enumerate(steps)), skill, rng)
    steps, thought = list(plan.steps), ""
    for _ in range(rng.randint(1, 2)):
        thought = _change(steps, clauses, shown, rng)
    return _reply(thought, list(enumerate(steps)), skill, rng)


def _change(steps: list[str], clauses: Sequence[str], shown: Sequence[str], rng: random.Random) -> str:
    """Change steps in one place, and say how."""
    missing = [clause for clause in clauses if not any(_shared(clause, step) >= _LEAST for step in steps)]
    kind = rng.choice(["add", "add", "add", "reword", "reword", "move", "remove"])
    if missing and kind == "add":
        clause = rng.choice(missing)
        place = sum(clauses.index(clause) > _place(step, clauses) for step in steps)
        steps.insert(place, _worded(clause, shown, rng))
        return f"Nothing does this yet: {clause}."
    at = rng.randrange(len(steps))
    if kind == "move" and len(steps) > 1:
        steps.sort(key=lambda step: _place(step, clauses))
        return "The steps follow the request."
    if kind == "remove" and len(steps) > 1:
        return f"This helps nobody: {steps.pop(at)}."
    clause = max(clauses, key=lambda c: _shared(c, steps[at]))
    steps[at] = _worded(clause, shown, rng)
    return "A step says more closely what its symbol does."


def extend(text: str, skill: Skill, rng: random.Random) -> str:
    """The next step alone: the first clause that no step does."""
    clauses, plan = clauses_of(text), read_plan(text)
    missing = [clause for clause in clauses if not any(_shared(clause, step) >= _LEAST for step in plan.steps)]
    number = len(plan.steps)
    if missing:
        return _reply("This comes next.", [(number, missing[0])], skill, rng)
    return _reply("The result has to be seen by somebody.", [(number, f"Report what came of: {rng.choice(clauses)}")], skill, rng)


def _worded(clause: str, shown: Sequence[str], rng: random.Random) -> str:
    """A clause as a step: as it stands, or as the symbol says it that shares most words with it."""
    near = max(shown, key=lambda path: _shared(clause, _words_of(path)), default=None)
    if near is None or not _shared(clause, _words_of(near)) or rng.random() < 0.5:
        return clause
    return f"{_words_of(near).capitalize()}: {clause}"


def judge(text: str, skill: Skill, rng: random.Random) -> str:
    """From 1 to 7, for each step how many of its words a symbol shares, for the plan how many clauses are done."""
    clauses, plan = clauses_of(text), read_plan(text)
    near = [max((_shared(step, _words_of(path)) for path in paths), default=0) for step, paths in zip(*plan, strict=True)]
    steps = [_seen(_scale(shared, 3), skill, rng) for shared in near]
    done = sum(any(_shared(clause, step) >= _LEAST for step in plan.steps) for clause in clauses)
    whole = _seen(_scale(done, len(clauses)), skill, rng)
    return f"<scores><plan>{whole}</plan>{''.join(f'<step>{n}</step>' for n in steps)}</scores>"


def pick(text: str, skill: Skill, rng: random.Random) -> str:
    """The symbol that shares most words with the step, or none where none shares any; another one where the retriever's look goes wrong."""
    step, found = _between(text, "step"), re.findall(r"^\d+\. ([\w.]{1,300}):$", _between(text, "symbols"), re.MULTILINE)
    shared = [_shared(step, _words_of(path)) for path in found]
    best = max(range(len(found)), key=lambda i: shared[i], default=None)
    if best is not None and rng.random() >= skill.check:
        best = rng.randrange(len(found))
    if best is None or not shared[best]:
        return json.dumps({"justification": "No symbol is named for this.", "satisfiable": False, "symbol": 0})
    return json.dumps({"justification": f"{found[best]} is named for it.", "satisfiable": True, "symbol": best + 1})


def examine(text: str, skill: Skill, rng: random.Random) -> str:
    """Whether every clause is done by a step, and every step has a symbol that shares a word with it."""
    clauses, plan = clauses_of(text), read_plan(text)
    able = all(any(_shared(step, _words_of(path)) for path in paths) for step, paths in zip(*plan, strict=True))
    missing = [clause for clause in clauses if not any(_shared(clause, step) >= _LEAST for step in plan.steps)]
    met = not missing if rng.random() < skill.check else bool(missing)
    said = {"reasoning": f"{len(missing)} clauses are not done.", "steps_satisfiable": able, "request_met": met, "nothing_missing": met}
    return json.dumps(said)


def compare(text: str, skill: Skill, rng: random.Random) -> str:
    """The program that calls more of what the known one calls; either where both call as much, or the judge's look goes wrong."""
    known, *shown = (
        set(_CALL.findall(part))
        for part in (_between(text, "reference"), *(_between(text, f'candidate number="{n}"', "candidate") for n in (1, 2)))
    )
    first, second = (len(known & called) / max(1, len(known)) for called in shown)
    nearer = rng.choice((1, 2)) if first == second or rng.random() >= skill.check else 1 if first > second else 2
    return json.dumps({"reasoning": f"They call {first:.0%} and {second:.0%} of what the reference calls.", "answer": nearer})


def _scale(found: int, most: int) -> int:
    return 1 + round(6 * min(found, most) / max(1, most))


def _seen(number: int, skill: Skill, rng: random.Random) -> int:
    """A number as the judge sees it: off by one or two where its look goes wrong."""
    return number if rng.random() < skill.check else min(7, max(1, number + rng.choice([-2, -1, 1, 2])))


def write(text: str, skill: Skill, rng: random.Random) -> str:
    """A program that calls the nearest symbol of each step, one after the other; without a plan, one that prints."""
    taken: list[str] = []
    for paths in read_plan(text).symbols:
        if paths and rng.random() >= skill.error:
            taken.append(paths[1 if len(paths) > 1 and rng.random() < skill.error else 0])
    taken = list(dict.fromkeys(taken))
    if not taken:
        return "```python\nprint('nothing of the library is of use')\n```"
    roots = sorted({path.split(".")[0] for path in taken})
    calls = [f"result = {path}({'result' if i else ''})" for i, path in enumerate(taken)]
    return "\n".join(["```python", *(f"import {root}" for root in roots), "", *calls, "print(result)", "```"])


def _reply(thought: str, steps: Sequence[tuple[int, str]], skill: Skill, rng: random.Random) -> str:
    """Thought and steps as XML; broken, in one of the ways models break it, with chance `error`."""
    told = "\n".join(f"<step><number>{n}</number><description>{escape(step)}</description></step>" for n, step in steps)
    whole = f"<thought>{escape(thought)}</thought>\n<plan>\n{told}\n</plan>"
    if rng.random() >= skill.error:
        return whole
    return rng.choice([whole.replace("</step>", ""), whole.replace("<description>", "<description>R & D, "), f"Here is the plan.\n{told}"])


def clauses_of(text: str) -> list[str]:
    """The parts of the request that say something to do."""
    parts = [" ".join(part.split()).strip(" .?!") for part in _CLAUSE.split(_between(text, "request") + "\n ")]
    return [part for part in parts if len(_words(part)) >= _LEAST] or [part for part in parts if part] or ["Do what is asked"]


def shown_symbols(text: str) -> list[str]:
    """The symbols that the prompt begins with, as full paths."""
    return _PATH.findall(_between(text, "symbols"))


def read_plan(text: str) -> Plan:
    """The present plan of a prompt, as planner, judge and coder are shown it."""
    parts = _STEP.split(_between(text, "plan"))
    steps, below = parts[2::3], parts[3::3]
    return Plan([step.strip() for step in steps], [_paths(part) for part in below])


def _paths(below: str) -> list[str]:
    """The symbols that stand below a step, in any of the three forms."""
    listed = re.search(r"^ {3}symbols: (.*)$", below, re.MULTILINE)
    if listed:
        return [path for path in listed[1].split(", ") if re.fullmatch(r"[\w.]+", path)]
    return re.findall(r"^(?: {3}(?:- |symbol: ))?([\w.]{1,300})(?=:| *$)", below, re.MULTILINE)


def _place(step: str, clauses: Sequence[str]) -> int:
    """Which clause of the request a step does."""
    return max(range(len(clauses)), key=lambda i: _shared(clauses[i], step))


def _words_of(path: str) -> str:
    return " ".join(_SEAM.split(path.rsplit(".", 1)[-1])).strip().lower()


def _shared(first: str, second: str) -> int:
    return len(_words(first) & _words(second))


def _words(text: str) -> set[str]:
    """The words that mean something, without the s of a plural."""
    return {word.rstrip("s") for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in _PLAIN}


def _between(text: str, tag: str, closed: str = "") -> str:
    """What stands in the last pair of tags, which is the real one where examples come first; `closed` where a tag has attributes."""
    found = re.findall(rf"<{tag}>\n(.*?)\n?</{closed or tag}>", text, re.DOTALL)
    real = [part for part in found if not part.startswith("<step>")]
    return str(real[-1]) if real else ""
