"""The question of a word problem, looked up in the world that its text has set out."""

import re

from symposia.tools.toy import grammar
from symposia.tools.toy.plan import Term
from symposia.tools.toy.words import LEMMA, NUMBER, VERB, number, plain, single
from symposia.tools.toy.world import World, is_kind

_MONEY = frozenset(["cost", "pay", "spend", "earn", "make", "get", "receive", "collect"])


def ask(world: World, text: str) -> Term | None:
    """The term a question asks for, or None where the world does not hold it."""
    clause = re.sub(r"^.*?\b(?=how (?:many|much|far|old)\b)", "", plain(text))
    clause = re.sub(r"^how old", "how many years", re.sub(r"^how far", "how many distance", clause))
    found = grammar.QUESTION.match(clause)
    if not found:
        return None
    item, tail = single(re.sub(r"\bof (?:the|his|her|their) ", "", found["item"] or "")), found["tail"].strip()
    if item == "distance":
        item = next(
            (i for i in ("kilometer", "mile", "meter") if world.holdings(None, i) or any(m[1] == i for m in world.rate.values())), item
        )
    verb = re.match(rf"^(?P<subject>.*?)\b(?P<verb>{VERB}|owe|bring|remain|leave)\b(?P<rest>.*)$", tail)
    subject = verb["subject"].strip() if verb else re.split(r"\b(?:left|in|on|altogether|now|than)\b", tail)[0].strip()
    lemma = LEMMA.get(verb["verb"], "have") if verb else "have"
    if not item or item in ("more", "profit"):
        item = "" if item != "profit" and lemma not in _MONEY and "price" not in tail else world.money if item != "profit" else "profit"
    if "than" in tail and found["more"]:
        return _difference(world, found["more"], item, lemma, subject, tail.split(" than ")[-1])
    if found["more"] and lemma == "need" and world.price:
        held = world.amount(world.who(subject) if subject else world.owner, world.money)
        return None if held is None else world.op("-", list(world.price.values())[-1], held)
    return _look_up(world, item, lemma, subject, tail)


def _look_up(world: World, item: str, lemma: str, subject: str, tail: str) -> Term | None:
    if world.share is not None and (re.search(r"\beach\b|\bper\b|\bone\b", tail) or subject.startswith("each")):
        return world.share
    if item == "profit":
        earned, paid = _sum_done(world, "earn", None, world.money), _sum_done(world, "pay", None, world.money)
        return world.op("-", earned, paid) if earned is not None and paid is not None else None
    asked = _by_rate(world, item, lemma, subject, tail)
    if asked is not None:
        return asked
    owners = _owners(world, subject)
    if lemma in _MONEY or (lemma == "be" and item == ""):
        total = _spending(world, lemma, owners, subject)
        if total is not None:
            return total
    if lemma not in ("have", "be", "need", "own", "keep", "hold", "save") and not re.search(r"\b(?:left|now|still)\b", tail):
        sums = [_sum_done(world, lemma, o, item) for o in owners]
        total = world.add([s for s in sums if s is not None])
        if total is not None:
            return total
    amounts = [world.amount(o, item) for o in owners]
    total = world.add([a for a in amounts if a is not None])
    return world.amount(None, item) if total is None else total


def _owners(world: World, subject: str) -> list[str | None]:
    subject = re.sub(r"\b(?:left|altogether|together|both|still|all)\b", "", subject).strip()
    if subject in ("", "there", "they", "left", "the two", "the three", "people"):
        return [None]
    names = re.split(r",? and |, ", subject)
    return [world.who(n) for n in names]


def _sum_done(world: World, lemma: str, owner: str | None, item: str) -> Term | None:
    return world.add([t for verb, o, i, t in world.done if verb == lemma and owner in (None, o) and is_kind(i, item)])


def _spending(world: World, lemma: str, owners: list[str | None], subject: str) -> Term | None:
    thing = single(re.sub(r"^each ", "", subject))
    if lemma in ("cost", "be") and thing in world.price:
        return _less(world, world.price[thing])
    name = "earn" if lemma in ("earn", "make", "get", "receive", "collect") else "pay"
    sums = [_sum_done(world, name, o, world.money) for o in owners]
    total = world.add([s for s in sums if s is not None])
    total = _sum_done(world, name, None, world.money) if total is None else total
    return None if total is None else _less(world, total)


def _less(world: World, total: Term) -> Term:
    return total if world.discount is None else world.op("-", total, world.op("*", total, world.discount))


def _by_rate(world: World, item: str, lemma: str, subject: str, tail: str) -> Term | None:
    """Answers by a rate: "how many pages in 5 days?" by multiplication, "how many days for 60 pages?" by division."""
    whose = world.who(re.sub(r"^it$|\bit take\b.*", "", subject) or world.owner)
    rates = {unit: rate for (o, unit), rate in world.rate.items() if o in ("", whose) or len(world.rate) == 1}
    if item in rates:
        n, made = rates[item]
        goal = re.search(rf"\b(?P<n>{NUMBER}) (?:more )?(?:{re.escape(made)}|\w+)", tail)
        whole: Term | None = number(goal["n"]) if goal else world.amount(None, made)
        return None if whole is None else world.op("/", whole, n)
    during = re.search(rf"\b(?:in|for|over|after|on) (?:the )?(?:\w+ )??(?P<n>{NUMBER}) (?P<unit>[a-z]+)", tail)
    if during and single(during["unit"]) in rates:
        n, made = rates[single(during["unit"])]
        if is_kind(made, item) or (lemma in _MONEY and made == world.money):
            return world.op("*", n, number(during["n"]))
    return None


def _difference(world: World, more: str, item: str, lemma: str, subject: str, other: str) -> Term | None:
    name = re.sub(rf" (?:does|do|did|{VERB})$", "", other.strip())
    thing = single(subject)
    if thing in world.price and single(name) in world.price:
        one, two = world.price[thing], world.price[single(name)]
    else:
        owners = _owners(world, subject)
        first = _look_up(world, item, lemma, subject, "")
        if name in world.labels and owners:
            on = next((t for label, t in world.labels.items() if label != name), None)
            first = on if on is not None else first
            second: Term | None = world.labels[name]
        elif world.holdings(owners[0], single(name)) and world.who(name) not in {o for o, _ in world.have}:
            second = world.amount(owners[0], single(name))
        else:
            second = _look_up(world, item, lemma, name, "")
        if first is None or second is None:
            return None
        one, two = first, second
    return world.op("-", one, two) if more == "more" else world.op("-", two, one)
