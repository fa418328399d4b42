"""Chain of thought: one greedy solution."""

from typing import Any

import pytest

from symposia.graphs.chain_of_thought import METHOD, Params, graph


async def run(asked: Any, **params: Any) -> dict[str, Any]:
    """The last state of a run on the scripted model."""
    return await graph.ainvoke(asked, context=Params(**{"model": "script/any", **params}))


async def test_one_greedy_call_gives_the_answer(script):
    script.replies = {"solve": ["Step 1: 3 + 4 = 7.\nThe answer is \\boxed{7}."]}
    out = await run({"question": "What is 3 + 4?", "task": "number"})
    assert (out["answer"], out["stop_reason"]) == (7.0, "answered")
    assert out["messages"][-1].text == "Step 1: 3 + 4 = 7.\nThe answer is \\boxed{7}.", "a chat shows what the model wrote"
    assert script.calls == METHOD.count(METHOD.calls, Params()) == 1
    assert [o["temperature"] for o in script.options] == [0]
    assert "What is 3 + 4?" in script.prompts["solve"][0]


async def test_without_an_answer_it_says_so(script):
    script.replies = {"solve": ["I do not know."]}
    out = await run({"question": "q", "task": "number"})
    assert (out["answer"], out["stop_reason"]) == (None, "no_answer")


@pytest.mark.parametrize("key", ["gold", "reference", "answer"])
async def test_a_reference_reaches_neither_state_nor_prompt(script, key):
    script.replies = {"solve": ["no idea"]}
    out = await run({"question": "q", "task": "number", key: "SECRET"})
    assert "SECRET" not in script.prompts["solve"][0]
    assert "SECRET" not in str(out)
