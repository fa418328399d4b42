"""`prepare`: what a method makes once for a data set, and a run that uses it."""

import random

import pytest

from symposia import artefacts, runs
from symposia.state.errors import BadInput

ROWS = [{"question": f"What is {i} + 1?", "task": "number", "answer": i + 1} for i in range(5)]


def chatter(node, messages):
    """Judges say 0.25 and 0.5, solvers write something new each time."""
    prompt = messages[-1]["content"]
    if "SCORES:" in prompt:
        return "SCORES: 0.5, 0.5"
    if "SCORE:" in prompt:
        return "SCORE: 0.25"
    return f"Step 1: {random.random()}\nStep 2: so \\boxed{{7}}"


async def test_calibration_is_made_once_and_used(script, store):
    script.answer = chatter
    given = {"k": 3, "model": "script/any", "seed": 1}
    made = await artefacts.prepare(store, "magicore", ROWS, given)
    assert made["status"] == "ok"
    # orm 0.25 plus the product of two steps at 0.5
    assert made["content"] == {"calib_mean": 0.5, "deviation": 0.0, "problems": 5, "samples": 15}
    assert made["calls"]["by_role"] == {"solver": 15, "outcome": 15, "process": 15}

    calls = script.calls
    again = await artefacts.prepare(store, "magicore", ROWS, given)
    assert (again["artefact_id"], script.calls) == (made["artefact_id"], calls)

    record = runs.new_record("magicore", {**given, "artefact": made["artefact_id"], "max_rounds": 0}, {"question": "q"})
    result = await runs.start(store, record)
    _, seen = await runs.replay(store, result.run_id)
    assert seen.values["history"][0]["calib_mean"] == 0.5
    report, _ = await runs.replay(store, made["run_id"])
    assert report["identical"]
    assert report["calls"]["replayed"] == 45


async def test_a_killed_preparation_goes_on(script, sqlite):
    script.answer = chatter
    given = {"k": 2, "model": "script/any"}
    hold = []
    opened = lambda run: hold.append(run)  # noqa: E731

    def stop_half_way(event):
        if event["type"] == "effect" and len(hold[0].live) >= 8:
            hold[0].stop("cancelled")

    first = await artefacts.prepare(sqlite, "magicore", ROWS, given, on_event=stop_half_way, on_open=opened)
    assert first["status"] == "stopped"
    assert first["artefact_id"] is None
    done = script.calls
    assert done < 30
    second = await artefacts.prepare(sqlite, "magicore", ROWS, given)
    assert second["status"] == "ok"
    assert script.calls == 30


async def test_rows_and_methods_that_cannot_be_prepared(script, sqlite):
    with pytest.raises(BadInput, match="no rows"):
        await artefacts.prepare(sqlite, "magicore", [], {})
    made = await artefacts.prepare(sqlite, "magicore", [{"question": "a"}, {"question": " "}], {"model": "script/any"})
    assert made["error"]["name"] == "BadInput"
    assert "row 2" in made["error"]["message"]
    record = runs.new_record("magicore", {"artefact": "none-such"}, {"question": "q"})
    with pytest.raises(BadInput, match="artefact"):
        await runs.start(sqlite, record)


async def test_a_method_that_learns_from_known_answers_gets_them(script, sqlite):
    """ReConcile's examples: agents are wrong about every problem but the first two, and believe a person's explanation."""

    def answer(node, messages):
        prompt = messages[-1]["content"]
        return f"Step 1: so \\boxed{{{1 if 'held by' not in prompt else 2}}}.\nCONFIDENCE: 0.9"

    script.answer = answer
    rows = [{"question": f"q{i}", "task": "number", "gold": i, "explanation": f"e{i}"} for i in (1, 2, 3)]
    made = await artefacts.prepare(sqlite, "reconcile", rows, {"k": 2, "model": "script/any"})
    assert (made["status"], made["calls"]["by_role"]) == ("ok", {"solver": 6, "debater": 4})
    example = {"question": "q2", "explanation": "e2", "answer": "2"}
    assert made["content"] == {"examples": [[example]] * 2, "problems": 3, "wrong": [2, 2], "convinced": [1, 1]}
    record = runs.new_record("reconcile", {"model": "script/any", "k": 2, "artefact": made["artefact_id"]}, {"question": "q"})
    assert (await runs.start(sqlite, record)).status == "ok"
    assert all("e2" in prompt for prompt in script.prompts["solve"][-2:])
    assert (await runs.replay(sqlite, made["run_id"]))[0]["identical"]
    unanswered = await artefacts.prepare(sqlite, "reconcile", [{"question": "q"}], {"model": "script/any"})
    assert "row 1 has no answer" in unanswered["error"]["message"]
