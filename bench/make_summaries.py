"""Make `symposia/items/summaries.jsonl`: short documents of ours with summaries, some of whose sentences carry a planted error.

    python bench/make_summaries.py [--documents 64] [--seed 15272] [-o symposia/items/summaries.jsonl]

The same arguments make the same file. A row is {id, document, summary, sentences, labels, kinds, topic, reference}: a label per sentence (1
supported, 0 not), the kind of its error or "", and the summary without errors. The kinds:

| kind | what is planted |
|---|---|
| number | a number other than the document's |
| name | a person the document does not name |
| date | another month or day of the week |
| negation | the opposite is said |
| swap | two parties change places, so that every word is the document's |
| addition | a whole sentence that nothing in the document backs |
"""

import argparse
import json
import random
from pathlib import Path
from typing import NamedTuple

KINDS = ("number", "name", "date", "negation", "swap", "addition")
FIRST = [
    "Ada",
    "Boris",
    "Clara",
    "Dmitri",
    "Elena",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kira",
    "Leon",
    "Mira",
    "Nadia",
    "Oskar",
    "Paula",
    "Quentin",
    "Rosa",
    "Samir",
    "Tilda",
]
LAST = [
    "Brook",
    "Castell",
    "Dorn",
    "Ekholm",
    "Farrow",
    "Gantz",
    "Hollis",
    "Imber",
    "Jarvis",
    "Keller",
    "Lund",
    "Marsh",
    "Norden",
    "Ostrow",
    "Penrose",
    "Quill",
    "Rask",
    "Sutter",
]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


class Fact(NamedTuple):
    """A fact as the document tells it, as a summary does, and as a summary that says the opposite does ("" when none is to be had).

    Slots: {p} and {q} persons, {n} and {k} numbers, {m} a month, {d} a day of the week.
    """

    told: str
    summed: str
    denied: str = ""


class World(NamedTuple):
    """A kind of document: its topic, its facts, what fills the space between them, and what nothing in it backs."""

    topic: str
    facts: tuple[Fact, ...]
    fillers: tuple[str, ...]
    additions: tuple[str, ...]


WORLDS = (
    World(
        "the new library",
        (
            Fact("The council voted on {d} to build a library for {n} million dollars.", "The council voted on {d} to build a library."),
            Fact("Work on the library begins in {m} and takes {n} months.", "Work on the library takes {n} months and begins in {m}."),
            Fact(
                "{p} moved the motion for the library, and {q} spoke against it.",
                "{p} moved the motion and {q} spoke against it.",
            ),
            Fact(
                "The branch on Mill Street will stay open until the building is ready.",
                "The branch on Mill Street will stay open until the building is ready.",
                "The branch on Mill Street will not stay open until the building is ready.",
            ),
            Fact("The reading room will have {n} seats and {k} desks.", "The reading room will have {n} seats."),
            Fact("{p}, the architect, drew the plans of the library.", "The plans of the library were drawn by {p}."),
        ),
        ("Several residents had come to listen.", "The meeting was held in the town hall."),
        ("A rooftop garden with beehives is planned above it.", "Neighbouring villages promised to share the heating bill."),
    ),
    World(
        "the rowing regatta",
        (
            Fact("{p} beat {q} in the final of the single sculls.", "{p} beat {q} in the single sculls."),
            Fact("The regatta on {d} drew {n} crews from {k} clubs.", "On {d} the regatta drew {n} crews."),
            Fact(
                "The junior races were cancelled because of the wind.",
                "The junior races were cancelled.",
                "The junior races were never cancelled.",
            ),
            Fact("The winning time over the course was {n} seconds.", "The winning time was {n} seconds."),
            Fact("The next regatta is to be held in {m}.", "The next regatta is to be held in {m}."),
            Fact("{p} handed the cup to {q} after the last race.", "After the last race {p} handed the cup to {q}."),
        ),
        ("The banks of the river were crowded all day.", "A brass band played between the heats."),
        ("Television rights were sold to a foreign broadcaster.", "Doctors tested every oarsman for banned substances."),
    ),
    World(
        "the bakery's year",
        (
            Fact("The bakery sold {n} loaves a day, {k} more than the year before.", "The bakery sold {n} loaves a day."),
            Fact("{p} took over the oven from {q} in {m}.", "In {m} {p} took over the oven from {q}."),
            Fact(
                "The owner raised the price of rye bread this year.",
                "The owner raised the price of rye bread.",
                "The owner never raised the price of rye bread.",
            ),
            Fact("A second shop with {n} tables opened in {m}.", "A second shop opened in {m}."),
            Fact("The shop is closed on {d} for cleaning.", "The shop is closed on {d}."),
            Fact("{p} trained {n} apprentices at the bakery.", "{p} trained {n} apprentices."),
        ),
        ("Customers queue along the pavement on most mornings.", "The recipe for the dough is an old one."),
        ("Investors from abroad offered to finance an expansion.", "Wholesale deliveries to hospitals brought the highest profit."),
    ),
    World(
        "the bird survey",
        (
            Fact("Volunteers counted {n} herons at the lake in {m}.", "In {m} volunteers counted {n} herons at the lake."),
            Fact("{p} led the count, and {q} checked the records.", "{p} led the count and {q} checked the records."),
            Fact(
                "The northern shore was open to visitors during the survey.",
                "The northern shore was open to visitors.",
                "The northern shore was not open to visitors.",
            ),
            Fact("The survey took {n} days and ended on a {d}.", "The survey ended on a {d} after {n} days."),
            Fact("Of the {n} nests on the island {k} were empty.", "There were {n} nests on the island."),
            Fact("{p} took photographs of the young birds.", "Photographs of the young birds were taken by {p}."),
        ),
        ("The weather stayed mild for most of the season.", "Boats had to keep away from the reeds."),
        ("Satellite tags revealed wintering grounds in Senegal.", "Pesticide levels in eggs alarmed government chemists."),
    ),
    World(
        "the water works",
        (
            Fact("The pump station failed on {d} and was repaired within {n} hours.", "The pump station failed on {d}."),
            Fact("{p} warned {q} about the old valves in {m}.", "In {m} {p} warned {q} about the old valves."),
            Fact(
                "The water was safe to drink throughout the failure.",
                "The water was safe to drink.",
                "The water was not safe to drink.",
            ),
            Fact("About {n} households had no water for a time.", "About {n} households had no water."),
            Fact("New pipes will cost {n} thousand dollars.", "New pipes will cost {n} thousand dollars."),
            Fact("{p} runs the station with {n} engineers.", "The station is run by {p}."),
        ),
        ("The station stands beside the old canal.", "The town has grown fast in recent years."),
        ("Insurance companies rejected all claims from restaurants.", "Saboteurs with stolen keys are suspected by detectives."),
    ),
    World(
        "the school play",
        (
            Fact("The school play ran for {n} evenings in {m}.", "In {m} the school play ran for {n} evenings."),
            Fact("{p} directed the play, and {q} painted the scenery.", "{p} directed the play and {q} painted the scenery."),
            Fact(
                "The pupils were allowed to change the ending of the play.",
                "The pupils were allowed to change the ending.",
                "The pupils were not allowed to change the ending.",
            ),
            Fact("The first night on {d} was sold out with {n} guests.", "The first night on {d} was sold out."),
            Fact("The collection raised {n} dollars for new lamps.", "The collection raised {n} dollars."),
            Fact("{p} learned the leading part in {n} days.", "The leading part was learned by {p}."),
        ),
        ("The hall smelled of fresh paint.", "Parents had sewn the costumes."),
        ("Professional agents signed contracts with two teenagers.", "Critics from national newspapers praised its choreography."),
    ),
)


def another(rng: random.Random, pool: list[str], taken: set[str]) -> str:
    """One of a pool that is not taken."""
    return rng.choice([item for item in pool if item not in taken])


def filled(rng: random.Random, world: World) -> list[dict[str, str]]:
    """Values of the slots of each fact; no person and no number stands twice in a document."""
    names = [f"{a} {b}" for a, b in zip(rng.sample(FIRST, 12), rng.sample(LAST, 12), strict=True)]
    numbers = [str(n) for n in rng.sample(range(12, 98), 12)]
    values = []
    for _ in world.facts:
        slots = {"p": names.pop(), "q": names.pop(), "n": numbers.pop(), "k": numbers.pop()}
        values.append(slots | {"m": rng.choice(MONTHS), "d": rng.choice(DAYS)})
    return values


def kinds_of(fact: Fact) -> list[str]:
    """The errors that a fact's summary can carry."""
    said = fact.summed
    found = [("number", "{n}" in said), ("name", "{p}" in said), ("date", "{m}" in said or "{d}" in said)]
    return [kind for kind, possible in [*found, ("negation", bool(fact.denied)), ("swap", "{q}" in said)] if possible]


def planted(rng: random.Random, fact: Fact, slots: dict[str, str], kind: str, names: set[str]) -> str:
    """The summary of a fact with an error of a kind."""
    wrong = dict(slots)
    if kind == "number":
        wrong["n"] = str(int(slots["n"]) + rng.choice((-9, -3, 2, 7, 100)))
    elif kind == "name":
        first = another(rng, FIRST, {name.split()[0] for name in names})
        wrong["p"] = f"{first} {another(rng, LAST, {name.split()[1] for name in names})}"
    elif kind == "date":
        slot, pool = ("m", MONTHS) if "{m}" in fact.summed else ("d", DAYS)
        wrong[slot] = another(rng, pool, {slots[slot]})
    elif kind == "swap":
        wrong["p"], wrong["q"] = slots["q"], slots["p"]
    return (fact.denied if kind == "negation" else fact.summed).format(**wrong)


def row(rng: random.Random, number: int, counts: dict[str, int]) -> dict[str, object]:
    """A document with its summary; the kinds planted least so far come first."""
    world = WORLDS[number % len(WORLDS)]
    slots = filled(rng, world)
    names = {s[slot] for s in slots for slot in "pq"}
    told = [fact.told.format(**s) for fact, s in zip(world.facts, slots, strict=True)]
    document = [rng.choice(world.fillers), *rng.sample(told, len(told))]
    length = 4 if number < 2 else rng.choice((3, 4, 4, 5))
    chosen = rng.sample(range(len(told)), length)
    n_errors = (2, 1)[number] if number < 2 else rng.choice((0, 1, 1, 2, 2, 3))
    errors = dict.fromkeys(rng.sample(range(length), min(n_errors, length)))
    sentences, labels, kinds, right = [], [], [], []
    for place, index in enumerate(chosen):
        fact, values = world.facts[index], slots[index]
        true = fact.summed.format(**values)
        kind = ""
        if place in errors:
            kind = min([*kinds_of(fact), "addition"], key=lambda k: (counts[k], rng.random()))
            counts[kind] += 1
        text = true if not kind else rng.choice(world.additions) if kind == "addition" else planted(rng, fact, values, kind, names)
        if text in sentences:  # an addition that stands there already
            counts["addition"] -= 1
            kind, text = "", true
        sentences.append(text)
        labels.append(int(not kind))
        kinds.append(kind)
        right += [] if kind == "addition" else [true]
    return {
        **{"id": f"summary-{number + 1:02d}", "topic": world.topic, "document": " ".join(document), "summary": " ".join(sentences)},
        **{"sentences": sentences, "labels": labels, "kinds": kinds, "reference": " ".join(right)},
    }


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--seed", type=int, default=15272)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent.parent / "symposia" / "items" / "summaries.jsonl")
    options = parser.parse_args()
    rng, counts = random.Random(options.seed), dict.fromkeys(KINDS, 0)
    rows = [row(rng, number, counts) for number in range(options.documents)]
    options.out.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    total = sum(len(r["sentences"]) for r in rows)  # type: ignore[arg-type, misc]
    print(f"{options.out.name}: {len(rows)} documents, {total} sentences, {sum(counts.values())} errors: {counts}")


if __name__ == "__main__":
    main()
