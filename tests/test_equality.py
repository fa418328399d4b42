"""Equality of answers: the pure rules, and symbolic comparison in worker processes with hostile input."""

import asyncio
import gc
import os
import signal
import subprocess
import sys

import pytest
from langgraph.graph import END, START
from typing_extensions import TypedDict

from symposia.state.graph import StateGraph
from symposia.tools import equality
from symposia.tools.equality import LONGEST, canon, close, group, same, same_pure


@pytest.fixture(autouse=True, scope="module")
def _no_worker_left():
    yield
    close()
    gc.collect()  # a process or pipe that was not closed warns here, and warnings are errors


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1/2", "0.5", True),
        (r"\frac12", "0.5", True),
        (5, "5.0", True),
        (0, "0.0", True),
        ("1,000", "1000", True),
        ("1,000", "1", False),
        ("1.004", "1", True),
        (0.03, 0.02, False),
        ("1/3", "0.33", True),
        ("-3", "3", False),
        ("(B)", r"\text{B}", True),
        ("B", "C", False),
        ("B", "3", False),
        ("Evelyn", r"\text{evelyn}", True),
        ("Amy", "May", False),
        (r"\left(3,4\right]", "(3, 4]", True),
        ("x" * (LONGEST + 1), "y", False),
        ("x+1", "1+x", None),
        ("x=5", "5", None),
        ("ab", "ba", None),
    ],
)
def test_same_pure_decides_what_needs_no_algebra(one, other, expected):
    assert same_pure(one, other) is expected
    assert same_pure(other, one) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("2k+2", "2(k+1)", True),
        ("6r^2-4r-24", "2(3r^2-2r-12)", True),
        ("15x-80", "15x-81", False),
        (r"3\sqrt{13}", r"\sqrt{117}", True),
        (r"3\sqrt{13}", "10.8167", True),
        (r"1+2\sqrt{3}", r"2\sqrt{5}", False),
        ("x=5", "5", True),
        ("5", "x=5", True),
        ("x=5", "y=5", False),
        ("(3,4]", "(3,4)", False),
        (r"\{1,2\}", "2,1", True),
        (r"3 \pm 2\sqrt{2}", r"3-2\sqrt{2}, 3+2\sqrt{2}", True),
        (r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}", r"\begin{pmatrix} -\frac13 \\ \frac23 \end{pmatrix}", True),
        ("6-5i", "-5i+6", True),
        (r"\frac{", "x", False),
    ],
)
async def test_same_with_algebra(one, other, expected):
    assert await same(one, other) is expected
    assert await same(other, one) is expected


async def test_group_points_to_the_first_form():
    pool = ["x+1", None, "0.5", "1+x", r"\frac12", "1/2", "1,000", "1", "", 0, "0.0"]
    assert await group(pool) == [0, None, 2, 0, 2, 2, 6, 7, 8, 9, 9]


async def test_canon_of_plain_answers_needs_no_run_and_no_process(monkeypatch):
    monkeypatch.setattr(equality, "Worker", None)  # starting one would raise
    assert await canon(["1/2", None, "0.5", 7.0, "7"], known=["\\frac12"]) == ["\\frac12", None, "\\frac12", 7.0, 7.0]
    assert await canon(["x+1", "1+x"], task="text") == ["x+1", "1+x"]
    assert await canon([]) == []


PLAIN = ["{}", "${}$", "${0}$ ${0}$", "`{}`", r"{}\%", r"\boxed{{{}}}", r"\text{{{}}}", r"\operatorname{{{}}}"]
MATHS = [r"\gcd({},1)", "f({})", r"\max({},2)", "x_{{{}}}=1", r"\frac{{{}}}{{2}}"]
WRAPPINGS = [*PLAIN, *MATHS, r"\begin{{pmatrix}} {} \end{{pmatrix}}"]
CALL = "__import__('os').system('touch {}')"


@pytest.mark.parametrize(
    "wrapping",
    WRAPPINGS,
)
async def test_text_is_never_executed(tmp_path, wrapping):
    mark = tmp_path / "executed"
    text = wrapping.format(CALL.format(mark))
    assert not await same("x+1", text)
    assert not await same(text, "x+1")
    assert not mark.exists()
    assert await same("2k+2", "2(k+1)")


@pytest.mark.parametrize("bomb", ["9^{9^{9^9}}", "(" * 200 + "x" + ")" * 200, r"\operatorname{zeros}(10^6, 10^6)"])
async def test_a_bomb_is_unequal_and_the_next_comparison_works(bomb):
    assert not await same(bomb, "x+1", limit=0.5)
    assert await same("2k+2", "2(k+1)")


async def test_a_bomb_costs_its_limit_once_in_a_group():
    pool = ["x+1", "9^{9^{9^9}}", "2y", "1+x", "y+y"]
    assert await group(pool, limit=0.5) == [0, 1, 2, 0, 2]


async def test_comparisons_run_side_by_side_without_mixing_replies():
    pairs = [(f"{i}k+{i}", f"{i}(k+{1 + i % 2})") for i in range(2, 22)]
    assert await asyncio.gather(*(same(a, b) for a, b in pairs)) == [i % 2 == 0 for i in range(2, 22)]


def test_workers_serve_one_event_loop_after_another():
    assert [asyncio.run(same("2k+2", other)) for other in ("2(k+1)", "2k+3", "2(1+k)")] == [True, False, True]
    assert len(equality._slots) <= 1


async def test_a_cancelled_comparison_leaves_no_stale_reply():
    task = asyncio.create_task(same("9^{9^{9^9}}", "x+1", limit=30))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await same("2k+2", "2(k+1)")


async def test_a_worker_killed_between_comparisons_is_replaced():
    assert await same("2k+2", "2(k+1)")
    killed = [worker.process.pid for worker in equality._idle]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert await same("2k+2", "2(k+1)")
    assert killed
    assert not {worker.process.pid for worker in equality._idle} & set(killed)


async def test_workers_get_no_keys(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "secret")
    worker = equality.Worker()
    try:
        await worker.ask(["x"], 5.0)
        with open(f"/proc/{worker.process.pid}/environ", "rb") as file:
            assert b"secret" not in file.read()
    finally:
        worker.close()


async def test_aclose_ends_the_workers():
    assert await same("2k+2", "2(k+1)")
    workers = list(equality._idle)
    await equality.aclose()
    assert workers
    assert all(worker.process.returncode is not None for worker in workers)
    assert not equality._idle


HARDENED = """
import os, sys
from symposia.tools import equality_worker as worker
worker.harden()
import sympy
attempts = [lambda: sympy.sympify(sys.argv[1]), lambda: sympy.parse_expr(sys.argv[1]), lambda: os.system("true"),
            lambda: open(sys.argv[2], "w")]
for attempt in attempts:
    try:
        attempt()
        print("done")
    except Exception as error:
        print(type(error).__name__)
print(sympy.sympify("2.5") * sympy.sympify("4"))
"""


def test_the_worker_refuses_evaluation_processes_and_files(tmp_path):
    mark = tmp_path / "executed"
    command = [sys.executable, "-c", HARDENED, CALL.format(mark), str(tmp_path / "written")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert lines[:4] == ["SympifyError", "SyntaxError", "PermissionError", "PermissionError"]
    assert float(lines[4]) == 10
    assert not list(tmp_path.iterdir())


async def test_canon_with_algebra_is_one_effect():
    class State(TypedDict):
        answers: list[str]

    async def group_answers(state: State) -> dict[str, list[str]]:
        return {"answers": [str(answer) for answer in await canon(state["answers"], known=["2k+2"])]}

    builder = StateGraph(State)
    builder.add_node(group_answers).add_edge(START, "group_answers").add_edge("group_answers", END)
    out = await builder.compile().ainvoke({"answers": ["2(k+1)", "3k", "k+2k", "2k+2"]})
    assert out["answers"] == ["2k+2", "3k", "3k", "2k+2"]
