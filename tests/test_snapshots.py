"""The prompt of every role of every method, rendered and kept as text, so that a change of wording is seen in a review.

Methods are found by themselves: a new one needs `SYMPOSIA_UPDATE_SNAPSHOTS=1 pytest tests/test_snapshots.py`, and its files committed.
"""

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from symposia import registry, runs
from symposia.records import run_record
from symposia.rows import toy_item
from symposia.state.place import here
from symposia.state.store import Store

KEPT = Path(__file__).parent / "snapshots"
UPDATE = os.environ.get("SYMPOSIA_UPDATE_SNAPSHOTS") == "1"
SMALL = {
    **{"k": 4, "n_tests": 2, "suite_retries": 0, "max_rounds": 1, "node_budget": 4, "branching": 2, "scorer": "likert", "code_samples": 1},
    **{"one_step": True, "test_goal": True},
}
PREPARING = {"describer", "embedder"}
"""Roles of what is prepared, which a run may never ask."""
COMMAND = "SYMPOSIA_UPDATE_SNAPSHOTS=1 pytest tests/test_snapshots.py"


def reply(node: str, messages: list[dict[str, Any]]) -> str:
    """A reply that depends only on where and in which form it is asked for, and keeps a loop going: answers differ, nothing is good."""
    prompt, place = messages[-1]["content"], here()
    branch = re.findall(r"\.b(\d+)$", place) or ["0"]
    if "<scores><plan>" in prompt:
        steps = re.findall(r"each of\nthe (\d+) steps", prompt)
        return f"<scores><plan>4</plan>{'<step>4</step>' * int(steps[0])}</scores>"
    if "<thought>" in prompt:
        told = "Read a log file.", "Fill the gaps."
        steps = "".join(f"<step><number>{n}</number><description>{text}</description></step>" for n, text in enumerate(told))
        return f"<thought>So says {place}.</thought><plan>{steps}</plan>"
    if '{"keywords": [' in prompt:
        return '{"keywords": ["read_log", "fill"]}'
    if '"satisfiable": true, "symbol": 1}' in prompt:
        return json.dumps({"justification": f"So says {place}.", "satisfiable": True, "symbol": 1})
    if '"nothing_missing": true}' in prompt:
        return json.dumps({"reasoning": "No.", "steps_satisfiable": True, "request_met": True, "nothing_missing": False})
    if "a line ```python" in prompt:
        return f"```python\nprint('{place}')\n```"
    if "subtle bug" in prompt:
        name = re.findall(r"Signature: (\w+)", prompt)[0]
        return f"```python\ndef {name}(*arguments):\n    return 'never'\n```"
    if "### Input" in prompt and "\nExpected: " not in prompt:
        call = re.findall(r"one call of (\w+)", prompt)[0] + "([3, 1, 2])"
        return f"Arguments: `{call}`\n\n### Output\nOutput:\n```\n'never'\n```"
    if "\nCall: `" in prompt and "\nExpected: " not in prompt:
        return "Output:\n```\n'never'\n```"
    if '"answer": "yes" or "no"' in prompt:
        return json.dumps({"reasoning": f"So says {place}.", "answer": "yes" if int(branch[0]) % 2 else "no"})
    if '"answer": 1}' in prompt:
        return json.dumps({"reasoning": f"So says {place}.", "answer": 1})
    if '"SCORES: x1' in prompt:
        steps = re.findall(r"each of the (\d+) steps", prompt)
        return f"SCORES: {', '.join(['0.3'] * int(steps[0]))}"
    if '"SCORE: x"' in prompt:
        return "SCORE: 0.2"
    if '"settled": true' in prompt:
        return '{"settled": false, "side": null, "reason": "Both may be right.", "answer": null}'
    if '"VERDICT: ' in prompt:
        return f"Step 2 is wrong; so says {place}.\nVERDICT: incorrect"
    return f"Step 1: This is the reply of {place}.\nStep 2: So the answer is \\boxed{{{branch[0]}}}."


async def rendered(store: Store, name: str) -> dict[str, str]:
    """The first prompt of each role of a method, by role."""
    loaded = registry.load(name)
    given = {k: v for k, v in SMALL.items() if k in loaded.params.model_fields}
    result = await runs.start(store, runs.new_record(name, {"model": "script/any", **given}, toy_item(loaded).inputs))
    assert result.error is None
    found: dict[str, str] = {}
    for step in (await run_record(store, result.run_id))["steps"]:
        for call in (c for c in step["calls"] if "messages" in c["request"]):
            found.setdefault(call["role"], page(name, call["role"], call["request"]["messages"]))
    return found


def page(name: str, role: str, messages: list[dict[str, str]]) -> str:
    """What a snapshot holds."""
    said = "".join(f"\n## {message['role']}\n\n{message['content']}\n" for message in messages)
    return f"# {name}: what the {role} is asked\n{said}"


@pytest.mark.parametrize("name", registry.names())
async def test_the_prompts_are_the_ones_kept(name: str, script: Any, sqlite: Store) -> None:
    script.answer = reply
    found = await rendered(sqlite, name)
    assert set(found) == set(registry.load(name).method.roles) - PREPARING, "a role is not asked in this run: let `reply` lead there"
    changed = []
    for role, text in found.items():
        file = KEPT / f"{name}.{role}.md"
        if UPDATE:
            file.write_text(text, encoding="utf-8", newline="\n")
        kept = file.read_text(encoding="utf-8") if file.exists() else ""
        changed += difflib.unified_diff(kept.splitlines(), text.splitlines(), f"{file.name}, kept", f"{file.name}, now", lineterm="")
    if changed:
        pytest.fail("\n".join([*changed, "", f"If that is meant: {COMMAND}"]), pytrace=False)


def test_every_kept_prompt_is_one_of_a_role() -> None:
    known = {f"{name}.{role}.md" for name in registry.names() for role in registry.load(name).method.roles}
    stale = [file for file in KEPT.iterdir() if file.name not in known]
    for file in stale if UPDATE else ():
        file.unlink()
    assert UPDATE or not stale, f"snapshots of nothing: {', '.join(f.name for f in stale)}"
