"""Self-Refine: the numbered invariants of its specification, what critic and refiner are shown, and replies that cannot be used."""

from typing import Any

import pytest
from server import Server

from symposia.graphs.self_refine import METHOD, Params, graph
from symposia.nodes.critic import read_verdict
from symposia.state.errors import ReplyError, RequestRejected
from symposia.tools.providers import litellm
from symposia.tools.settings import configure


async def run(asked: Any, **params: Any) -> dict[str, Any]:
    """The last state of a run on the scripted model."""
    return await graph.ainvoke(asked, context=Params(**{"model": "script/any", **params}))


NO, YES = "VERDICT: incorrect", "VERDICT: correct"


def draft(n):
    return f"Step 1: attempt number {n}, so \\boxed{{{n}}}."


def flaw(n, verdict=NO):
    return f"Remark {n}.\n{verdict}"


async def refine(script, critiques, drafts=None, task="number", **params):
    """The outcome of a run with these critiques, in order; draft n answers n."""
    texts = [draft(n) for n in range(len(critiques))] if drafts is None else drafts
    script.replies = {"solve": texts[:1], "review": list(critiques), "refine": texts[1:]}
    out = await run({"question": "the question", "task": task, "messages": []}, **{"max_reasks": 0, **params})
    assert not any(script.replies.values())
    return out


async def test_inv01_approved_at_once_the_first_draft_is_returned_after_two_calls(script):
    out = await refine(script, [flaw(0, YES)])
    assert script.calls == 2
    assert (out["answer"], out["best_index"], out["stop_reason"]) == (0.0, 0, "approved")
    assert out["messages"][-1].content == draft(0)


@pytest.mark.parametrize("s", [1, 2, 3, 4])
async def test_inv01_approval_at_critique_s_costs_one_draft_s_critiques_and_s_minus_1_rewrites(script, s):
    out = await refine(script, [*(flaw(n) for n in range(s - 1)), flaw(s - 1, YES)])
    assert script.calls == 1 + s + (s - 1)
    assert (out["answer"], out["stop_reason"], out["best_index"]) == (s - 1, "approved", s - 1)


async def test_inv02_rewrite_t_sees_t_drafts_and_t_feedbacks(script):
    await refine(script, [flaw(n) for n in range(4)])
    assert len(script.prompts["refine"]) == 3
    for t, prompt in enumerate(script.prompts["refine"], start=1):
        assert [draft(n) in prompt for n in range(4)] == [n < t for n in range(4)]
        assert [flaw(n) in prompt for n in range(4)] == [n < t for n in range(4)]
        assert "the question" in prompt


async def test_inv02_the_critic_sees_its_draft_and_all_earlier_ones_with_their_feedback(script):
    await refine(script, [flaw(n) for n in range(4)])
    for t, prompt in enumerate(script.prompts["review"]):
        assert [draft(n) in prompt for n in range(4)] == [n <= t for n in range(4)]
        assert [flaw(n) in prompt for n in range(4)] == [n < t for n in range(4)]
        assert prompt.rindex(draft(t)) > prompt.index("Current solution:")
    assert "Earlier" not in script.prompts["review"][0]


@pytest.mark.parametrize("max_rounds", [0, 1, 3])
async def test_inv03_never_approving_makes_exactly_d_drafts_and_d_critiques(script, max_rounds):
    d = max_rounds + 1
    out = await refine(script, [flaw(n) for n in range(d)], max_rounds=max_rounds)
    assert script.calls == 2 * d == METHOD.count(METHOD.calls, Params(max_rounds=max_rounds))
    assert [len(out[key]) for key in ("chains", "feedback", "verdicts", "scores", "answers")] == [d] * 5
    assert (out["answer"], out["stop_reason"], out["best_index"]) == (d - 1, "max_rounds", d - 1)


async def test_inv03_the_cap_of_the_paper_is_four_drafts():
    assert Params().max_rounds + 1 == 4


async def test_inv04_the_order_of_drafts_and_feedback_is_kept(script):
    out = await refine(script, [flaw(n) for n in range(4)])
    assert out["feedback"] == [[flaw(n)] for n in range(4)]
    assert out["chains"] == [[draft(n)] for n in range(4)]
    last = script.prompts["refine"][-1]
    places = [last.index(text) for n in range(3) for text in (draft(n), flaw(n))]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [([0.2, 0.9, 0.4, 0.3], 1), ([0.9, 0.1, 0.9, 0.2], 2), ([0.3, None, 0.1, None], 0), ([None, None, 0.0, None], 2)],
    ids=["maximum", "latest of equals", "missing", "zero is a score"],
)
async def test_inv05_a_scored_task_returns_the_maximum_the_latest_of_equals(script, scores, chosen):
    replies = [flaw(n, NO if s is None else f"SCORE: {s}") for n, s in enumerate(scores)]
    out = await refine(script, replies, prompts={"reviewer": 'Comment on {draft} and end with "SCORE: x".'})
    assert out["scores"] == [[s] for s in scores]
    assert (out["best_index"], out["answer"], out["stop_reason"]) == (chosen, chosen, "max_rounds")


async def test_an_approved_draft_wins_over_a_better_score(script):
    out = await refine(script, ["SCORE: 0.9", "SCORE: 0.5\nVERDICT: correct"])
    assert (out["best_index"], out["stop_reason"]) == (1, "approved")


@pytest.mark.parametrize("key", ["gold", "reference", "answer"])
async def test_inv06_the_reference_is_not_used(script, key):
    for value in ("0", "SECRET"):  # also one that equals the first draft: a correct draft stops nothing
        script.replies = {"solve": [draft(0)], "review": [flaw(0), flaw(1, YES)], "refine": [draft(1)]}
        asked = {"question": "q", "task": "number", key: value}
        out = await run(asked)
        assert (out["answer"], out["stop_reason"]) == (1.0, "approved")
        assert "SECRET" not in str(out)
    assert not any("SECRET" in prompt for prompts in script.prompts.values() for prompt in prompts)


@pytest.mark.parametrize("reply", ["It is correct.", "VERDICT: not correct", "VERDICT: correct or incorrect", ""])
def test_only_a_whole_verdict_is_read(reply):
    with pytest.raises(ReplyError, match=r"(?i)verdict"):
        read_verdict(reply)


@pytest.mark.parametrize(
    ("reply", "approved"),
    [
        ("VERDICT: correct", True),
        ("**Verdict:** Incorrect.", False),
        ("VERDICT: correct\nOn reflection:\nVERDICT: incorrect", False),
        ('  VERDICT: "correct"\r\nDone.', True),
    ],
)
def test_the_last_verdict_counts(reply, approved):
    assert read_verdict(reply)["approved"] is approved


async def test_an_unreadable_verdict_is_asked_for_again_and_then_approves_nothing(script):
    script.replies = {"solve": [draft(0)], "review": ["It is not correct?", "hm", "hm"], "refine": []}
    out = await run({"question": "q"}, max_rounds=0, max_reasks=2)
    assert len(script.prompts["review"]) == 3
    assert (out["verdicts"], out["stop_reason"], out["feedback"]) == ([[None]], "max_rounds", [["hm"]])
    script.replies = {"solve": [draft(0)], "review": ["It is not correct?", flaw(1, YES)], "refine": []}
    out = await run({"question": "q"}, max_rounds=0, max_reasks=2)
    assert (out["verdicts"], out["stop_reason"]) == ([[True]], "approved")


@pytest.mark.parametrize("node", ["review", "refine"])
async def test_a_role_that_cannot_be_reached_fails_the_run(script, node):
    error = litellm().BadRequestError("too long", model="any", llm_provider="script")
    script.replies = {"solve": [draft(0)], "review": [flaw(0)], "refine": [draft(1)], node: [error]}
    with pytest.raises(RequestRejected):
        await run({"question": "q"})


@pytest.mark.parametrize("fault", ["refusal", "truncated"])
async def test_a_rewrite_that_is_refused_or_cut_off_leaves_the_draft(script, fault):
    script.replies = {"solve": [draft(0)], "review": [flaw(0), flaw(1)]}
    async with Server(faults=[fault]) as server:
        before = configure(api_base=server.url)
        try:
            out = await run({"question": "q", "task": "number"}, roles={"refiner": "hosted_vllm/any"}, max_rounds=1)
        finally:
            configure(api_base=before.api_base)
        assert server.count()["by_fault"] == {fault: 1}
    assert out["chains"] == [[draft(0)], [draft(0)]]
    assert (out["answer"], out["stop_reason"]) == (0.0, "max_rounds")


async def test_a_draft_without_answer_is_said(script):
    out = await refine(script, [flaw(0, YES)], drafts=["I do not know."])
    assert (out["answer"], out["stop_reason"]) == (None, "no_answer")


async def test_an_open_text_is_returned_whole(script):
    texts = ["A poem.\n\nIt \\boxed{ends}.", " Another\npoem, longer. "]
    out = await refine(script, [flaw(0), flaw(1, YES)], drafts=texts, task="text")
    assert out["answer"] == texts[1]


async def test_sampling_is_that_of_the_mathematics_task(script):
    await refine(script, [flaw(0), flaw(1, YES)])
    assert [o["temperature"] for o in script.options] == [0, 0.7, 0.7, 0.7]
