"""Check a data set of faulty programs, and debug it: do right programs pass, do faulty ones fail, and what does `utdebug` make of them?

    python bench/programs.py --data FILE [--limit N] [--in-flight 2] [--player oracle] [--player attacker] [--seed 0]

FILE holds rows with the fields of MBPP+Fix: prompt, signature, entry_point, code (faulty), canonical_solution, test_list, test. Each
program runs on the visible and on the hidden tests; rows that do not come out as they should are printed with the cause. A player debugs
every row: a model of LiteLLM, or a script that knows the row, predicts right outputs and answers with the right program. Of these `oracle`
tests with hidden inputs drawn by chance, so its pass@1 shows what suites of that size miss, and `attacker` with such as break the code.
Rows on which a run failed are counted.
"""

import argparse
import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from symposia.graphs.utdebug import Params, graph, report
from symposia.nodes.program_intake import LISTS, TEXTS, Program
from symposia.state.errors import SymposiaError
from symposia.tools.checkers import Cases, cases_of
from symposia.tools.literals import call_text, value_text
from symposia.tools.program_runner import NOT_RUN, run_calls
from symposia.tools.programs import TESTS, Checked, Tests, check, fence, passed_all, passes
from symposia.tools.providers import litellm

Row = dict[str, Any]
SCRIPTED = ("oracle", "attacker")


async def checked(row: Row, gate: asyncio.Semaphore) -> list[str]:
    """What is wrong with a row: a right program that fails, or a faulty one that passes."""
    found: dict[tuple[str, str], Checked] = {}
    for program in ("canonical_solution", "code"):
        for tests in ("test_list", "test"):
            given = Tests(entry_point=row["entry_point"], test_imports=row.get("test_imports", []))
            given[tests] = row[tests]
            async with gate:
                found[program, tests] = await check(row[program], given)
    right = {key: one for key, one in found.items() if key[0] == "canonical_solution" and not passed_all(one)}
    said = [f"the right program fails {key[1]}: {one['passed']} of {one['total']}; {one['first_failure']}" for key, one in right.items()]
    wrong = any(not passed_all(one) for key, one in found.items() if key[0] == "code")
    return said if wrong else [*said, "the faulty program passes everything"]


class Oracle:
    """Plays every role of `utdebug` for rows it knows, told apart by the signature in the prompt."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Know the rows."""
        self.rows = {row["signature"]: row for row in rows}
        self.cases = {row["signature"]: next(c for c in cases_of({"test": row["test"]}) if isinstance(c, Cases)) for row in rows}
        self.orders = {name: random.Random(name).sample(range(len(one.calls)), len(one.calls)) for name, one in self.cases.items()}
        self.asked: Counter[str] = Counter()

    def reply(self, messages: Sequence[Mapping[str, str]]) -> str:
        """A test, an output or a program."""
        signature = re.findall(r"^Signature: (.*)$", messages[0]["content"], re.MULTILINE)[-1]
        row, cases, last = self.rows[signature], self.cases[signature], messages[-1]["content"]
        if "### Input" in last:
            order = self.orders[signature]
            n = order[self.asked[signature] % len(order)]
            self.asked[signature] += 1
            return f"Arguments: `{_called(row, cases, n)}`"
        if call := re.search(r"^Call: `(.*)`$", last, re.MULTILINE):
            n = next(i for i in range(len(cases.calls)) if _called(row, cases, i) == call[1])
            return f"Output:\n```\n{value_text(cases.expected[n])}\n```"
        return fence(row["canonical_solution"])


async def attacker(rows: Sequence[Row], gate: asyncio.Semaphore) -> Oracle:
    """An oracle that begins with the inputs on which a row's program is wrong."""
    known = Oracle(rows)

    async def order(row: Row) -> None:
        name, cases = row["signature"], known.cases[row["signature"]]
        async with gate:
            done = await run_calls(row["code"], cases.entry_point, cases.calls, TESTS, cases.through)
        fine = [passes(one, value_text(value), cases.absolute) for one, value in zip(done, cases.expected, strict=True)]
        unknown = [one["text"] == NOT_RUN for one in done]
        known.orders[name].sort(key=lambda i: fine[i] or unknown[i])

    await asyncio.gather(*map(order, rows))
    return known


def _called(row: Row, cases: Cases, n: int) -> str:
    return call_text(row["entry_point"], [cases.calls[n].removeprefix("(").removesuffix(")").removesuffix(", ")])


def register(oracle: Oracle) -> None:
    """Make the oracle the model `oracle/all`."""
    module = litellm()

    class Player(module.CustomLLM):  # type: ignore[name-defined, misc]
        async def acompletion(self, *args: Any, **options: Any) -> Any:
            reply, text = options["model_response"], oracle.reply(options["messages"])
            reply.choices = [module.Choices(index=0, finish_reason="stop", message=module.Message(role="assistant", content=text))]
            reply.usage = module.Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
            return reply

    module.custom_provider_map[:] = [one for one in module.custom_provider_map if one["provider"] != "oracle"]
    module.custom_provider_map.append({"provider": "oracle", "custom_handler": Player()})
    module.utils.custom_llm_setup()


async def debugged(rows: Sequence[Row], player: str, seed: int, gate: asyncio.Semaphore) -> dict[str, Any]:
    """The report of `utdebug` over the rows, and how many runs failed."""
    given = {"model": "oracle/all", "k": 1} if player in SCRIPTED else {"model": player}
    params = Params(seed=seed, **given)

    async def one(row: Row) -> Any:
        async with gate:
            try:
                program = cast("Program", {key: row[key] for key in (*TEXTS, *LISTS) if key in row})
                return await graph.ainvoke(program, context=params)
            except SymposiaError as error:
                return error

    done = await asyncio.gather(*map(one, rows))
    states: list[tuple[Any, list[str]]] = [(state, []) for state in done if not isinstance(state, SymposiaError)]
    return {**report(states), "failed": len(done) - len(states)}


async def examine(rows: Sequence[Row], options: argparse.Namespace) -> None:
    """Check, then let each player debug."""
    gate = asyncio.Semaphore(options.in_flight)
    began = time.perf_counter()
    faults = await asyncio.gather(*(checked(row, gate) for row in rows))
    for row, found in zip(rows, faults, strict=True):
        for said in found:
            print(f"{row.get('task_id', row.get('id'))}: {said}")
    print(f"{len(rows)} rows, {sum(bool(found) for found in faults)} not as they should be; {time.perf_counter() - began:.0f} s")
    for player in options.player:
        began = time.perf_counter()
        if player in SCRIPTED:
            register(Oracle(rows) if player == "oracle" else await attacker(rows, gate))
        told = await debugged(rows, player, options.seed, gate)
        print(f"{player}: {json.dumps(told)}; {time.perf_counter() - began:.0f} s")


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="JSONL with faulty programs")
    parser.add_argument("--limit", type=int, default=None, help="rows to take")
    parser.add_argument("--in-flight", type=int, default=2, help="rows at once")
    parser.add_argument("--player", action="append", default=[], help="who debugs: oracle, attacker, or a model; may be given again")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [json.loads(line) for line in Path(options.data).read_text(encoding="utf-8").splitlines()][: options.limit]
    asyncio.run(examine(rows, options))


if __name__ == "__main__":
    main()
