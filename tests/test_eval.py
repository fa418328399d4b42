"""`symposia eval` from files to figures: what counts as wrong, what is left out, what is said, and that a judge is paid once."""

import asyncio
import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Spawned, spawned

from symposia import cli, runs
from symposia.measures import failures
from symposia.outputs import Line
from symposia.pareto import front
from symposia.state.store import open_store

pytestmark = pytest.mark.usefixtures("folder")
DOWN = {"name": "EndpointDown", "message": "m is down", "node": "solve", "step": 2, "place": "2.solve", "remedy": "start it"}


Eval = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Eval:
    """The command: exit code, stdout, stderr."""

    def run(*arguments: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(["eval", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        assert "Traceback" not in err
        return end.value.code, out, err

    return run


def row(id_: Any, correct: bool | None = True, **over: Any) -> dict[str, Any]:
    """A line of a batch."""
    line = {"id": id_, "row": id_, "run_id": f"run{id_}", "status": "ok", "answer": "18", "reference": "18", "correct": correct}
    line |= {"stop_reason": "majority", "error": None, "calls": {"live": 3, "replayed": 1, "by_role": {"solver": 4}}, "requests": 3}
    return line | {"usage": {"prompt_tokens": 100, "completion_tokens": 50}, "cost_usd": 0.01, "seconds": 2.0} | over


def failed(id_: Any, **over: Any) -> dict[str, Any]:
    return row(id_, False, status="failed", answer=None, error=DOWN, **over)


def write(name: str, *lines: dict[str, Any], torn: str = "") -> Path:
    path = Path(name)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + torn, encoding="utf-8")
    return path


def test_the_figures_of_a_file(evaluate: Eval) -> None:
    lines = [row(1), row(2, seconds=4.0), row(3, False, cost_usd=0.03), row(4, False, status="no_answer", answer=None)]
    out = write("out.jsonl", *lines, failed(5), failed(6), row(7, None, reference=None), row(8, None, grade={"error": DOWN}))
    code, text, err = evaluate(out, "--json")
    report = json.loads(text)
    found = report["files"][0]
    assert code == 1  # a row could not be graded
    counts = {name: found[name] for name in ("rows", "problems", "ok", "no_answer", "failed", "without_reference", "not_graded", "correct")}
    assert counts == {
        **{"rows": 8, "problems": 8, "ok": 5, "no_answer": 1, "failed": 2},
        **{"without_reference": 1, "not_graded": 1, "correct": 2},
    }
    assert (found["accuracy"]["estimate"], found["accuracy"]["rows"]) == (pytest.approx(2 / 6), 6)  # a failed row is wrong
    assert (found["accuracy_finished"]["estimate"], found["accuracy_finished"]["rows"]) == (0.5, 4)
    assert (found["calls_per_row"], found["tokens_per_row"]) == (4, 150)
    assert (found["cost_usd"], found["cost_usd_per_row"]) == (pytest.approx(0.10), pytest.approx(0.0125))
    assert (found["seconds_median"], found["seconds_p95"]) == (2.0, pytest.approx(3.3))
    assert [(group["of"], group["name"], group["count"]) for group in found["failures"]] == [
        ("run", "EndpointDown", 2),
        ("grader", "EndpointDown", 1),
    ]
    assert found["failures"][0]["remedy"] == "start it"
    assert "1 rows have no reference" in err
    assert "the models behind the answers are not known" in err  # there is no store here
    assert report["pairs"] == []


def test_the_tables(evaluate: Eval) -> None:
    first = write("sc.jsonl", *[row(i, i < 9) for i in range(10)])
    second = write("cot.jsonl", *[row(i, i < 2, cost_usd=None) for i in range(10)], failed(11))
    code, text, _ = evaluate(first, second)
    assert code == 0
    assert re.search(r"accuracy, failed is wrong, 95 % +90\.0 % \[59\.6, 98\.2\] of 10 +18\.2 % \[5\.1, 47\.7\] of 11", text)
    assert re.search(r"^ *cost +0\.100000 USD +no known price", text, re.MULTILINE)
    assert re.search(r"sc / cot +10 +90\.0 % / 20\.0 % +\+70\.0 \[[+-].*\] points +7 / 0 +mcnemar exact +0\.016 +0\.016", text)
    assert re.search(r"cot +run +EndpointDown +1 +row 11: m is down +start it", text)


def test_repeats_are_clustered_and_compared_by_problem(evaluate: Eval) -> None:
    a = write("a.jsonl", *[row(i, i + repeat != 3, repeat=repeat) for i in range(6) for repeat in (1, 2)])
    b = write("b.jsonl", *[row(i, i % 2 == 0, repeat=repeat) for i in range(6) for repeat in (1, 2)])
    report = json.loads(evaluate(a, b, "--json")[1])
    assert (report["files"][0]["accuracy"]["method"], report["files"][0]["accuracy"]["problems"]) == ("clustered", 6)
    assert (report["pairs"][0]["test"], report["pairs"][0]["pairs"], report["pairs"][0]["problems"]) == ("sign flips", 12, 6)


def test_three_outputs_are_corrected_together_and_what_is_not_shared_is_said(evaluate: Eval) -> None:
    a = write("a.jsonl", *[row(i) for i in range(12)])
    b = write("b.jsonl", *[row(str(i), i > 7) for i in range(12)])  # Parquet and some data sets write ids as text
    c = write("c.jsonl", *[row(i, i > 5, reference="18" if i else "19") for i in range(12)], row(99))
    code, text, _ = evaluate(a, b, c, "--json")
    pairs = json.loads(text)["pairs"]
    assert code == 0
    assert [pair["labels"] for pair in pairs] == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert [(pair["pairs"], pair["only_second"], pair["other_reference"]) for pair in pairs] == [(12, 0, 0), (11, 1, 1), (11, 1, 1)]
    assert pairs[0]["p"] == pytest.approx(2 / 2**8)
    assert pairs[0]["p_holm"] == pytest.approx(3 * pairs[0]["p"])
    assert "have another reference" in evaluate(a, b, c)[2]


def test_no_rows_and_no_overlap(evaluate: Eval) -> None:
    report = json.loads(evaluate(write("none.jsonl"), write("one.jsonl", row(1)), "--json")[1])
    assert (report["files"][0]["rows"], report["files"][0]["accuracy"]) == (0, None)
    assert (report["pairs"][0]["pairs"], report["pairs"][0]["p"], report["pairs"][0]["p_holm"]) == (0, None, None)
    assert evaluate("none.jsonl", "one.jsonl")[0] == 0


def test_the_last_line_of_a_row_counts_and_a_torn_one_is_passed_over(evaluate: Eval) -> None:
    out = write("out.jsonl", failed(1), row(2, False), row(1), torn='{"id": 3, "stat')
    code, text, err = evaluate(out, "--json")
    found = json.loads(text)["files"][0]
    assert (code, found["rows"], found["failed"], found["correct"]) == (0, 2, 0, 1)
    assert "torn and passed over" in err
    assert "1 lines of out.jsonl are replaced" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": 1, "status": "ok"}\n{"id": 2, \n{"id": 3, "status": "ok"}\n', r"no JSON.*\n.*out\.jsonl, line 2"),
        ('[1]\n{"id": 1, "status": "ok"}\n', r"no JSON object but \[1\]\n.*line 1"),
        ('{"id": 1}\n', r"no field status\n.*line 1"),
        ('{"status": "ok"}\n', r"no field id\n.*line 1"),
        ('{"id": 1, "status": "done"}\n', r"field status: .*'done'\n.*line 1"),
        ('{"id": 1, "status": "ok", "correct": "yes"}\n', r"field correct: .*'yes'\n.*line 1"),
        ('{"id": 1, "status": "ok", "cost_usd": NaN}\n', r"NaN is no number.*\n.*line 1"),
    ],
)
def test_a_broken_line_is_named(evaluate: Eval, text: str, said: str) -> None:
    Path("out.jsonl").write_text(text, encoding="utf-8")
    code, _, err = evaluate("out.jsonl")
    assert code == 2
    assert re.search(said, err)
    assert "symposia batch" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--grader", "exat"], "did you mean 'exact'"),
        (["--grader", "judge"], "needs a model"),
        (["--grader", "judge", "--judge-model", "m"], "there is no store at"),
        (["--judge-model", "m"], "no judge"),
        (["--grader", "letter"], "names no option"),
        (["--plot", "a.pdf"], "neither .png nor .svg"),
        (["--plot", "no/a.svg"], "no folder"),
        (["--confidence", "95"], "between 0 and 1"),
        (["out.jsonl"], "given twice"),
        (["gone.jsonl"], "gone.jsonl cannot be read"),
    ],
)
def test_bad_options_are_said_before_anything_is_done(evaluate: Eval, options: list[str], said: str) -> None:
    code, out, err = evaluate(write("out.jsonl", row(1)), *options)
    assert (code, out) == (2, "")
    assert said in err


def test_a_parquet_output_gives_the_same_figures(evaluate: Eval) -> None:
    from symposia.parquet import write_parquet

    lines = [row(1, repeat=1), failed(2, repeat=1), row(3, False, repeat=1, cost_usd=None)]
    write_parquet(Path("p.parquet"), lines)
    names = ("file", "label", "failures")
    found = [json.loads(evaluate(path, "--json")[1])["files"][0] for path in (write("j.jsonl", *lines), "p.parquet")]
    assert found[0]["failures"] == found[1]["failures"]
    assert {k: v for k, v in found[0].items() if k not in names} == {k: v for k, v in found[1].items() if k not in names}


def test_grading_again_by_another_rule(evaluate: Eval) -> None:
    lines = [row(1, False, answer="18.0"), row(2, answer="eighteen"), row(3, None, status="no_answer", answer=None), failed(4)]
    out = write("out.jsonl", *lines)
    before = out.read_bytes()
    auto, exact = (json.loads(evaluate(out, "--grader", g, "--json")[1])["files"][0] for g in ("auto", "exact"))
    assert (auto["correct"], exact["correct"]) == (1, 0)
    assert auto["accuracy"]["rows"] == exact["accuracy"]["rows"] == 4
    assert auto["grading"]["calls"] == {"live": 0, "replayed": 0}
    assert out.read_bytes() == before


def test_plots_are_made_and_the_same_each_time(evaluate: Eval) -> None:
    a, b = write("a.jsonl", *[row(i, i < 8) for i in range(10)]), write("b.jsonl", *[row(i, i < 5, cost_usd=0.1) for i in range(10)])
    code, text, _ = evaluate(a, b, "--plot", "pareto.png", "--plot", "pareto.svg", "--json")
    assert (code, json.loads(text)["plots"]) == (0, ["pareto.png", "pareto.svg"])
    assert Path("pareto.png").read_bytes().startswith(b"\x89PNG")
    drawn = Path("pareto.svg").read_bytes()
    assert b"cost per row" in drawn  # matplotlib leaves the text of what it draws in a comment
    evaluate(a, b, "--plot", "pareto.svg")
    assert Path("pareto.svg").read_bytes() == drawn
    evaluate(write("c.jsonl", row(1, cost_usd=None)), a, "--plot", "pareto.svg")
    assert b"tokens per row" in Path("pareto.svg").read_bytes()


def test_the_front_holds_what_nothing_beats() -> None:
    assert front([(1.0, 0.5), (2.0, 0.7), (2.0, 0.6), (3.0, 0.7), (4.0, 0.9)]) == [0, 1, 4]
    assert front([(1.0, 0.5), (1.0, 0.5), (2.0, 0.4)]) == [0, 1]


def test_what_the_batch_spent_on_its_judge_is_told(evaluate: Eval) -> None:
    grade = {"calls": {"live": 2, "replayed": 0}, "requests": 2, "usage": {"prompt_tokens": 9, "completion_tokens": 1}, "cost_usd": 0.5}
    out = write(
        "out.jsonl", row(1, grade={**grade, "undecided": None}), row(2, False, grade={**grade, "undecided": "orders disagree"}), row(3)
    )
    found = json.loads(evaluate(out, "--json")[1])["files"][0]
    assert found["grading"]["calls"] == {"live": 4, "replayed": 0}
    assert (found["grading"]["cost_usd"], found["orders_disagree"], found["cost_usd"]) == (1.0, 1, pytest.approx(0.03))


def test_failures_are_grouped_most_frequent_first() -> None:
    lines = [Line(id=i, status="failed", error={**DOWN, "name": name}) for i, name in enumerate(["A", "B", "B"])]
    assert [(group["name"], group["count"], group["row"]) for group in failures(lines)] == [("B", 2, "1"), ("A", 1, "0")]


# -- with the store of the batch ------------------------------------------------------------------------------------------------------


async def keep(*questions: str, model: str = "toy/default") -> None:
    """Runs `run1`, `run2`, ... as a batch leaves them in the store."""
    async with open_store(".symposia/store.db") as store:
        for i, question in enumerate(questions, 1):
            record = runs.new_record("self_consistency", {"model": model}, {"question": question}, reference="18", row=i)
            await store.put_run({**record, "run_id": f"run{i}", "status": "ok", "answer": "18"})


def test_toys_are_named_wherever_their_results_are_shown(evaluate: Eval) -> None:
    asyncio.run(keep("6 + 12?"))
    code, text, err = evaluate(write("out.jsonl", row(1)), "--plot", "out.svg")
    assert code == 0
    assert "out: toy/default: a rule-based toy, no language model" in text
    assert "not known" not in err
    assert b"toy/default: a rule-based toy" in Path("out.svg").read_bytes()
    _, text, err = evaluate("out.jsonl", "--json")
    found = json.loads(text)["files"][0]
    assert (found["models"], found["toys"], found["methods"]) == (["toy/default"], ["toy/default"], ["self_consistency"])
    assert "out: toy/default: a rule-based toy" in err


@pytest.fixture(scope="module")
def server() -> Iterator[Spawned]:
    """A judge in a process of its own: it knows two wrong answers, and one on which it prefers what it sees first."""
    swayed = ("Known answer:\n<known>\n18\n</known>\n\nCandidate's answer:\n<candidate>\nabout 18", "VERDICT: correct")
    rules = [
        ["<candidate>\n25", "VERDICT: incorrect"],
        swayed,
        ["<candidate>\nabout 18", "VERDICT: incorrect"],
        ["VERDICT", "VERDICT: correct"],
    ]
    with spawned(rules=rules) as found:
        yield found


def received(server: Spawned) -> int:
    with urllib.request.urlopen(f"{server.root}/_count") as reply:
        return int(json.load(reply)["received"])


def test_a_judge_grades_a_file_once(evaluate: Eval, server: Spawned) -> None:
    asyncio.run(keep("6 + 12?", "9 + 9?", "20 - 2?", model="some-model"))
    lines = [
        row(1, False, answer="18 apples"),
        row(2, answer="25"),
        row(3, answer="about 18"),
        failed(4),
        row(5, answer=None, status="no_answer"),
    ]
    out = write("out.jsonl", *lines)
    judged = (out, "--grader", "judge", "--judge-model", "test-model", "--api-base", server.url)
    before = received(server)
    code, text, err = evaluate(*judged, "--json")
    found = json.loads(text)["files"][0]
    assert code == 0
    assert (found["correct"], found["not_graded"], found["orders_disagree"]) == (1, 0, 1)
    assert found["grading"]["calls"] == {"live": 6, "replayed": 0}
    assert received(server) - before == 6
    assert "on 1 rows the judge's verdict changed with the order" in err
    again = json.loads(evaluate(*judged, "--json")[1])["files"][0]
    assert again["grading"]["calls"] == {"live": 0, "replayed": 6}
    assert {**again, "grading": None} == {**found, "grading": None}
    assert received(server) - before == 6
    assert re.search(r"grading +6 calls, 6 of them from the journal", evaluate(*judged)[1])


def test_a_judge_needs_every_question_before_it_is_asked_any(evaluate: Eval, server: Spawned) -> None:
    asyncio.run(keep("6 + 12?"))
    before = received(server)
    first, second = write("a.jsonl", row(1)), write("b.jsonl", row(1), row(2))
    code, _, err = evaluate(first, second, "--grader", "judge", "--judge-model", "test-model", "--api-base", server.url)
    assert code == 2
    assert "run run2 is not in the store" in err
    assert "b.jsonl, line 2" in err
    assert received(server) == before
