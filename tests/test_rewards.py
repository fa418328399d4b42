"""`tools/rewards.py`: reading scores out of a judge's reply, and asking it again."""

import pytest

from symposia.graphs.best_of_n import Params
from symposia.nodes.prompts import JUDGE_STEPS
from symposia.state.base import Question
from symposia.state.errors import ReplyError
from symposia.state.graph import StateGraph
from symposia.tools import rewards
from symposia.tools.rewards import read_score, scores_reader


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("SCORE: 0.4", 0.4),
        ("All fine.\nSCORE: 1", 1.0),
        ("SCORE: 0", 0.0),
        ("score:.5", 0.5),
        ("  **SCORE:** 0.75", 0.75),
        ("SCORE: 7/10", 0.7),
        ("SCORE: 7 / 10", 0.7),
        ("SCORE: 85/100", 0.85),
        ("SCORE: 9e-1", 0.9),
        ("SCORE: 0.2\nOn reflection:\nSCORE: 0.8", 0.8),
        ("SCORE: 0.6 because it adds up", 0.6),
    ],
)
def test_the_last_score_line_is_read(reply, score):
    assert read_score(reply) == pytest.approx(score)


@pytest.mark.parametrize("reply", ["", "It is right.", "SCORE: high", "SCORE: nan", "the SCORE: 0.5 is mine", "SCORES: 0.5, 0.5"])
def test_a_reply_without_a_score_line_says_what_is_missing(reply):
    with pytest.raises(ReplyError, match="SCORE: x"):
        read_score(reply)


@pytest.mark.parametrize("reply", ["SCORE: 7", "SCORE: 1.01", "SCORE: -0.1", "SCORE: 11/10", "SCORE: 1e999"])
def test_a_score_outside_0_to_1_is_not_read(reply):
    with pytest.raises(ReplyError, match=r"not in \[0, 1\]"):
        read_score(reply)


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ("SCORES: 0.1, 0.2, 1", [0.1, 0.2, 1.0]),
        ("Step 2 is doubtful.\n**SCORES:** [0, 0.5, 0.25]", [0.0, 0.5, 0.25]),
        ("SCORES: 1, 1, 1\nSCORES: 0.3,0.4,0.5", [0.3, 0.4, 0.5]),
        ("SCORES: 3/10, 4/10, 1/2", [0.3, 0.4, 0.5]),
    ],
)
def test_the_last_line_of_scores_is_read(reply, scores):
    assert scores_reader(3)(reply) == pytest.approx(scores)


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ("fine", "SCORES: x1, ..., x3"),
        ("SCORE: 0.5", "SCORES: x1, ..., x3"),
        ("SCORES: 0.1, 0.2", "2 scores for 3 steps"),
        ("SCORES: 0.1, 0.2, 0.3, 0.4", "4 scores for 3 steps"),
        ("SCORES: 0.1, good, 0.3", "'good' is no number"),
        ("SCORES: 0.1, 1/0, 0.3", "'1/0' is no number"),
        ("SCORES: 0.1, 2, 0.3", "2 is not in"),
        ("SCORES: 0.1, nan, 0.3", "nan is not in"),
    ],
)
def test_scores_that_do_not_fit_say_why(reply, complaint):
    with pytest.raises(ReplyError) as error:
        scores_reader(3)(reply)
    assert complaint in str(error.value)


PARAMS = {
    **Params(model="script/any", max_reasks=1).model_dump(),
    "prompts": {"outcome": "Judge {chain} of {question}", "process": JUDGE_STEPS},
}


async def ask_judge(call):
    """Make a call inside the node `judge` of a run."""
    found = []

    async def judge(state: Question) -> None:
        found.append(await call())

    builder = StateGraph(Question)
    builder.add_node(judge)
    builder.set_entry_point("judge")
    builder.set_finish_point("judge")
    await builder.compile().ainvoke({"messages": []})
    return found[0]


async def test_a_judge_is_asked_again_with_the_complaint(script):
    script.replies = {"judge": ["It looks right.", "SCORE: 0.9"]}
    assert await ask_judge(lambda: rewards.outcome(PARAMS, "the question", "the work")) == 0.9
    assert script.prompts["judge"][0] == "Judge the work of the question"
    assert "no line 'SCORE: x'" in script.prompts["judge"][1]


async def test_a_judge_that_stays_unreadable_gives_no_score(script):
    script.replies = {"judge": ["It looks right.", "SCORE: 9"]}
    assert await ask_judge(lambda: rewards.outcome(PARAMS, "q", "work")) is None
    assert script.calls == 2


async def test_a_judge_of_steps_is_told_their_number_and_gives_as_many_scores(script):
    script.replies = {"judge": ["SCORES: 0.1", "SCORES: 0.1, 0.7"]}
    assert await ask_judge(lambda: rewards.process(PARAMS, "q", ["Step 1: a", "Step 2: b"])) == [0.1, 0.7]
    assert "each of the 2 steps" in script.prompts["judge"][0]
    assert "Step 1: a\nStep 2: b" in script.prompts["judge"][0]
    assert "1 scores for 2 steps" in script.prompts["judge"][1]


async def test_no_step_is_no_call(script):
    assert await ask_judge(lambda: rewards.process(PARAMS, "q", [])) == []
    assert script.calls == 0


@pytest.mark.parametrize(("line", "score"), [("SCORE: 1/5", 0.2), ("SCORE: 7 / 10", 0.7), ("**SCORE: 0.4**", 0.4), ("SCORE: .5.", 0.5)])
def test_a_score_is_read_with_its_scale(line, score):
    assert read_score(f"well\n{line}") == score


@pytest.mark.parametrize("line", ["SCORE: 1%", "SCORE: 1 of 10", "SCORE: 7", "SCORE: 0.5 or 0.6"])
def test_a_score_of_another_form_is_asked_for_again(line):
    with pytest.raises(ReplyError):
        read_score(line)
