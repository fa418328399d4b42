"""Symbolic-MoE over toy experts whose skills are known: accuracy of all arms with intervals, and the time of grouped and ungrouped work.

    python bench/experts.py [--validation 20] [--test 16] [--seeds 2] [--error 0.25] [--own 0.03] [--load 2] [--rows 20]
                            [--engines .venv-engines/bin] [--engine-rows 5]

Five toys each have a topic in which they err seldom. The first table shows what `prepare` finds out about them, the second the arms of the
paper with the calls of a question, on other questions; intervals are 95 %, clustered by question. Arms that name models take those that
are best on the validation set. The toys check an answer once, however many experts gave it, and are right in 75 % of their checks (their
`check`): less often than the experts' majority is, so that such an aggregator gives away more right answers than it mends, and a count of
the votes is better. The last arms let it check worse and better; one whose checks never fail is right wherever any expert was. The third
table lets engines of this machine play the experts, one at a time, each with a simulated time to load: `--order model` against `--order
row`. With `--engines`, the folder of programs that `make test-engines` installs, a fourth table is of `transformers serve` on the CPU with
tiny models of random weights, whose answers mean nothing. Toys are no language models: what is measured is the method's arithmetic and
the scheduling.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from make_topics import TOPICS, problems

from symposia.graphs import chain_of_thought, moa, reconcile, self_consistency, self_moa, symbolic_moe
from symposia.state.journal import Run, opened
from symposia.state.store import open_store
from symposia.statistics import interval
from symposia.tools.equality import same_pure
from symposia.tools.profile_views import page
from symposia.tools.profiles import strongest

IN_FLIGHT = 8  # runs
CHECKS = (0.6, 0.9, 1.0)
"""Rates at which an aggregator's checks are right, beside the toys' own."""
ENGINE = Path(__file__).parent / "toy_engine.py"
MAKE_MODELS = Path(__file__).parents[1] / "tests" / "engines" / "make_models.py"

Row = dict[str, Any]
Arm = tuple[str, Any, dict[str, Any]]


def pool(options: argparse.Namespace) -> dict[str, str]:
    """The toys, by their topic."""
    return {topic: f"default?error={options.error}&{topic}={options.own}" for topic in TOPICS}


async def prepared(models: Sequence[str], known: Sequence[Row], asked: Sequence[Row], seed: int) -> dict[str, Any]:
    """The artefact of a pool: profiles on the known questions, shares on those to be asked."""
    params = symbolic_moe.Params(roles={"expert": list(models)}, seed=seed)
    rows = symbolic_moe.prepare_rows([*known, *({**row, "split": "test"} for row in asked)], params.model_dump(mode="json"))
    found: dict[str, Any] = (await symbolic_moe.prepare().compile().ainvoke({"rows": rows}, context=params))["answer"]
    return found


def arms(artefact: dict[str, Any]) -> list[Arm]:
    """Everything that is compared: its name, its method, its parameters."""
    ranked = strongest(artefact["accuracy"], len(artefact["pool"]))
    best, three, writer = ranked[0], ranked[:3], artefact["aggregator"]
    routers = ("paper", "topk", "random", "uniform")
    return [
        *((f"single, {model.rpartition('&')[2].partition('=')[0]}", chain_of_thought, {"model": model}) for model in ranked),
        ("self-consistency x5, best", self_consistency, {"model": best, "k": 5}),
        ("Self-MoA x3, best", self_moa, {"model": best, "k": 3}),
        ("MoA, top 3", moa, {"roles": {"solver": three, "aggregator": writer}, "k": 3}),
        ("debate (ReConcile), top 3", reconcile, {"roles": {"solver": three, "debater": three}, "k": 3}),
        ("Symbolic-MoE", symbolic_moe, {"artefact": "a"}),
        *((f"Symbolic-MoE, {router}", symbolic_moe, {"artefact": "a", "router": router}) for router in routers),
        ("Symbolic-MoE, untrimmed", symbolic_moe, {"artefact": "a", "trim_share": 0}),
        ("Symbolic-MoE, majority", symbolic_moe, {"artefact": "a", "aggregation": "majority"}),
        *(
            (f"Symbolic-MoE, check {check:g}", symbolic_moe, {"artefact": "a", "roles": {"aggregator": f"{writer}&check={check:g}"}})
            for check in CHECKS
        ),
    ]


async def measure(arm: Arm, artefact: dict[str, Any], rows: Sequence[Row], seeds: int) -> tuple[list[tuple[str, bool]], float]:
    """Whether each answer of an arm is right, with the id of its question, and the calls of a question."""
    gate = asyncio.Semaphore(IN_FLIGHT)
    _, method, given = arm

    async def one(row: Row, seed: int) -> tuple[tuple[str, bool], int]:
        run = Run(f"{row['id']}-{seed}")
        run.artefact = artefact
        async with gate, opened(run):
            asked = {"question": row["question"], "task": row["task"]}
            answer = (await method.graph.ainvoke(asked, context=method.Params(seed=seed, **given)))["answer"]
        return (row["id"], answer is not None and bool(same_pure(row["answer"], answer))), sum(e.usage.calls for e in run.live)

    done = await asyncio.gather(*(one(row, seed) for seed in range(seeds) for row in rows))
    return [right for right, _ in done], fmean(calls for _, calls in done)


async def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Print the tables of profiles and of arms; the artefact."""
    rows = problems(options.validation + options.test, options.seed)
    known, asked = rows[: options.validation * len(TOPICS)], rows[options.validation * len(TOPICS) :]
    artefact = await prepared([f"toy/{toy}" for toy in pool(options).values()], known, asked, options.seed)
    print(f"{len(known)} validation questions, {len(asked)} test questions, {options.seeds} seeds\n\n{page(artefact)}")
    print(f"{'arm':30}{'calls':>6}  accuracy in %")
    for arm in arms(artefact):
        scores, calls = await measure(arm, artefact, asked, options.seeds)
        of = interval(scores)
        print(f"{arm[0]:30}{calls:6.1f}  " + (f"{100 * of.estimate:5.1f} [{100 * of.low:5.1f}, {100 * of.high:5.1f}]" if of else "-"))
    return artefact


# -- grouped and ungrouped ------------------------------------------------------------------------------------------------------------


def renamed(artefact: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """An artefact about the same models under other names."""
    text = json.dumps(artefact)
    for old, new in names.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    found: dict[str, Any] = json.loads(text)
    return found


class Served(NamedTuple):
    """What serves the experts: in words, the pool's command, the weights of each topic's expert; questions, how many at once, options."""

    title: str
    command: str
    weights: Mapping[str, str]
    questions: int
    at_once: int
    options: tuple[str, ...] = ()


def simulated(options: argparse.Namespace, _folder: Path) -> Served:
    """Toys behind HTTP, which wait as long as weights would take to load."""
    command = f"{sys.executable} {ENGINE} {{weights}} --name {{name}} --port {{port}} --load {options.load}"
    return Served(f"toys, {options.load:g} s to load", command, pool(options), options.rows, IN_FLIGHT)


def real(options: argparse.Namespace, folder: Path) -> Served:
    """Tiny models made here, and served by transformers on the CPU."""
    programs = options.engines.absolute()
    weights = {topic: str(folder / "weights" / topic) for topic in TOPICS}
    subprocess.run([programs / "python", MAKE_MODELS, *weights.values()], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    command = f"{programs / 'transformers'} serve {{weights}} --host {{host}} --port {{port}} --device cpu"
    short = [word for role in ("expert", "aggregator") for word in ("-p", f"sampling.{role}.max_tokens=8")]
    return Served("transformers serve on the CPU, tiny models", command, weights, options.engine_rows, 2, tuple(short))


def batch(folder: Path, order: str, served: Served, options: argparse.Namespace) -> dict[str, Any]:
    """What a batch in an order came to: its wall time in seconds, how often models were loaded, its lines."""
    out = folder / f"{order}.jsonl"
    experts = ",".join(f"local/{topic}" for topic in TOPICS)
    command = [
        *(sys.executable, "-m", "symposia.cli", "batch", "symbolic_moe", "rows.jsonl", "-o", out.name, "--store", f"{order}.db"),
        *("-p", "artefact=a0", "--role", f"expert={experts}", "--role", "tagger=toy/default", "--seed", str(options.seed)),
        *("--order", order, "--concurrency", str(served.at_once), "--json", *served.options),
    ]
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    seconds = time.monotonic() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    loads = sum(engine["loads"] for engine in json.loads(done.stdout)["engines"].values())
    return {"seconds": seconds, "loads": loads, "lines": [json.loads(line) for line in out.read_text().splitlines()]}


async def race(folder: Path, served: Served, artefact: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the table of orders."""
    rows = problems(served.questions // len(TOPICS), options.seed + 1)
    local = renamed(artefact, {f"toy/{toy}": f"local/{topic}" for topic, toy in pool(options).items()})
    models = "".join(f'[pool.models.{topic}]\nweights = "{weights}"\n' for topic, weights in served.weights.items())
    (folder / "symposia.toml").write_text(f'[pool]\ncommand = "{served.command}"\n{models}')
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {}
    for order in ("model", "row"):
        async with open_store(str(folder / f"{order}.db")) as store:
            await store.put_artefact("a0", "symbolic_moe", {"content": local, "method": "symbolic_moe"})
        found[order] = await asyncio.to_thread(batch, folder, order, served, options)
    print(f"\n{len(rows)} questions, {served.at_once} at once, engines one at a time: {served.title}\n")
    print(f"{'order':10}{'loads':>6}{'seconds':>10}")
    for order, one in found.items():
        print(f"{order:10}{one['loads']:6}{one['seconds']:10.1f}")
    answers = [[(line["id"], line["answer"]) for line in sorted(one["lines"], key=lambda line: line["row"])] for one in found.values()]
    print(f"same answers: {answers[0] == answers[1]}; {len(local['pool'])} experts, one of which also aggregates")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--validation", type=int, default=20, help="validation questions per topic")
    parser.add_argument("--test", type=int, default=16, help="test questions per topic")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of questions, profiles and the batches")
    parser.add_argument("--error", type=float, default=0.25, help="of an expert, per step")
    parser.add_argument("--own", type=float, default=0.03, help="of an expert in its topic, per step")
    parser.add_argument("--load", type=float, default=2.0, help="seconds that an engine takes to load")
    parser.add_argument("--rows", type=int, default=20, help="questions of a batch; 0 leaves the third table out")
    parser.add_argument("--engines", type=Path, metavar="BIN", help="programs of an environment with transformers[serving]")
    parser.add_argument("--engine-rows", type=int, default=5, help="questions for these")
    options = parser.parse_args()
    artefact = asyncio.run(compare(options))
    for engines in [simulated] * bool(options.rows) + [real] * bool(options.engines):
        with tempfile.TemporaryDirectory() as name:
            asyncio.run(race(Path(name), engines(options, Path(name)), artefact, options))


if __name__ == "__main__":
    main()
