"""Make `symposia/items/topics.jsonl`: word problems of ours over five topics, for methods that recruit experts.

    python bench/make_topics.py [--each 12] [--seed 2503] [-o symposia/items/topics.jsonl]

The same arguments make the same file. A row is {id, question, answer, task, category}; topics take turns. The answer is worked out from the
numbers that a template is filled with, so that whoever solves the question has nothing to copy.
"""

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = [
    "Ada",
    "Bruno",
    "Clara",
    "Emil",
    "Farah",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Mateo",
    "Nora",
    "Omar",
    "Priya",
    "Ravi",
]
THINGS = ["beads", "stamps", "shells", "marbles", "cards", "buttons", "coins", "stickers", "pebbles", "badges"]
WARES = ["tickets", "mugs", "lamps", "scarves", "belts", "kites", "pens", "maps", "candles", "hats"]
PARTS = {"half": 2, "a third": 3, "a quarter": 4, "a fifth": 5, "a tenth": 10}

Made = tuple[str, int]


def money(rng: random.Random) -> Made:
    """Buying, selling, what is left of a sum."""
    name, ware, other = rng.choice(NAMES), *rng.sample(WARES, 2)
    n, price, m, cost = rng.randint(3, 9), rng.randint(4, 15), rng.randint(2, 8), rng.randint(3, 12)
    have = n * price + rng.randint(5, 60)
    return rng.choice(
        (
            (
                f"{name} has {have} dollars. {name} buys {n} {ware} at {price} dollars each. How much money does {name} have left?",
                have - n * price,
            ),
            (
                f"{name} sells {n} {ware} at {price} dollars each and {m} {other} at {cost} dollars each. How much money does {name} earn?",
                n * price + m * cost,
            ),
        )
    )


def rates(rng: random.Random) -> Made:
    """So many per hour, for so long, and something lost or added."""
    thing, name = rng.choice(THINGS), rng.choice(NAMES)
    n, hours = rng.randint(11, 38), rng.randint(4, 14)
    less = rng.randint(5, 40)
    return rng.choice(
        (
            (
                f"A machine prints {n} posters per hour for {hours} hours. {less} posters are sold. How many posters are left?",
                n * hours - less,
            ),
            (
                f"{name} paints {n} {thing} per day. {name} works {hours} days. {name} loses {less} {thing}. "
                f"How many {thing} does {name} have left?",
                n * hours - less,
            ),
        )
    )


def ages(rng: random.Random) -> Made:
    """Who is how much older than whom."""
    one, two, three = rng.sample(NAMES, 3)
    age, more, fewer = rng.randint(12, 40), rng.randint(3, 15), rng.randint(2, 9)
    told = f"{one} is {age} years old. {two} is {more} years older than {one}."
    return rng.choice(
        (
            (f"{told} {three} is {fewer} years younger than {two}. How old is {three}?", age + more - fewer),
            (f"{told} {three} is {fewer} years older than {two}. How old is {three}?", age + more + fewer),
        )
    )


def sharing(rng: random.Random) -> Made:
    """What each gets of a heap, or how many bags are filled."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    n, each = rng.randint(3, 9), rng.randint(4, 19)
    found = rng.randint(2, n * each - 2)
    return rng.choice(
        (
            (
                f"{name} has {n * each - found} {thing} and finds {found} {thing}. {name} shares the {thing} equally among {n} children. "
                f"How many {thing} does each child get?",
                each,
            ),
            (
                f"{name} has {n * each + found} {thing}. {name} loses {found} {thing}. "
                f"{name} packs the remaining {thing} into bags of {each}. How many bags does {name} have?",
                n,
            ),
        )
    )


def fractions(rng: random.Random) -> Made:
    """A part of a heap goes."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    part = rng.choice(list(PARTS))
    whole = PARTS[part] * rng.randint(6, 24)
    rest = whole - whole // PARTS[part]
    more = rng.randint(2, rest - 1)
    return rng.choice(
        (
            (
                f"{name} has {whole} {thing}. {name} loses {part} of the {thing}. {name} then uses {more} {thing}. "
                f"How many {thing} does {name} have left?",
                rest - more,
            ),
            (
                f"{name} has {whole} {thing}. {name} gives {part} of the {thing} away. {name} then finds {more} {thing}. "
                f"How many {thing} does {name} have now?",
                rest + more,
            ),
        )
    )


TOPICS: dict[str, Callable[[random.Random], Made]] = {
    "money": money,
    "rates": rates,
    "ages": ages,
    "sharing": sharing,
    "fractions": fractions,
}


def problems(each: int, seed: int) -> list[dict[str, Any]]:
    """Rows of so many problems per topic, all different."""
    rng, rows, met = random.Random(seed), list[dict[str, Any]](), set[str]()
    while len(rows) < each * len(TOPICS):
        topic = list(TOPICS)[len(rows) % len(TOPICS)]
        question, answer = TOPICS[topic](rng)
        if question not in met:
            met.add(question)
            rows.append({"id": f"topic-{len(rows) + 1:02}", "question": question, "answer": answer, "task": "number", "category": topic})
    return rows


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=12, help="problems per topic")
    parser.add_argument("--seed", type=int, default=2503)
    parser.add_argument("-o", "--out", type=Path, default=Path("symposia/items/topics.jsonl"))
    options = parser.parse_args()
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in problems(options.each, options.seed)]
    options.out.write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
