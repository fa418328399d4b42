"""What a word problem has said so far: who holds how many of what, prices, rates, what was bought and sold."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from symposia.tools.toy import grammar
from symposia.tools.toy.plan import Op, Ref, Term
from symposia.tools.toy.words import KIND, LEMMA, NUMBER, TIMES, VERB, number, plain, single


class Unknown(Exception):
    """A clause speaks of something that has not been said yet."""


class World:
    """What the text has said so far, as terms over the operations that were needed for it."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.have: dict[tuple[str, str], Term] = {}
        self.done: list[tuple[str, str, str, Term]] = []
        self.price: dict[str, Term] = {}
        self.rate: dict[tuple[str, str], tuple[Term, str]] = {}
        self.labels: dict[str, Term] = {}
        self.debts: list[tuple[str, Term]] = []
        self.said: list[tuple[str, str, Term]] = []
        self.unpriced: list[tuple[str, str, Term]] = []
        self.share: Term | None = None
        self.discount: Fraction | None = None
        self.owner = "there"
        self.item = ""
        self.money = "dollar"
        self.label = ""
        self.phrase = ""

    def op(self, sign: str, left: Term, right: Term) -> Term:
        """A new operation, or the one that has been written down already."""
        for i, old in enumerate(self.ops):
            if (old.sign, old.left, old.right) == (sign, left, right):
                return Ref(i)
        self.ops.append(Op(sign, left, right, self.phrase))
        return Ref(len(self.ops) - 1)

    def add(self, terms: Iterable[Term]) -> Term | None:
        """The sum, operation by operation; None of nothing."""
        total: Term | None = None
        for term in terms:
            total = term if total is None else self.op("+", total, term)
        return total

    def who(self, name: str) -> str:
        """The owner meant: a pronoun is whoever was spoken of last, a part of a known name is that name."""
        words = re.sub(r"^(?:the|a|an|his|her|their|and|both) ", "", name.strip()).removesuffix(",")
        if words in grammar.PRONOUN:
            return self.owner
        if words in ("", "there"):
            return "there"
        known = {o for o, _ in self.have} | {o for _, o, _, _ in self.done} | {o for o, _ in self.rate}
        alike = [o for o in sorted(known) if o and (set(words.split()) <= set(o.split()) or set(o.split()) <= set(words.split()))]
        return words if words in known or not alike else alike[0]

    def holdings(self, owner: str | None, item: str) -> list[tuple[str, str]]:
        """The keys of what an owner (None: anybody) has of an item; "marble" is also every "red marble"."""
        return [k for k in self.have if owner in (None, k[0]) and is_kind(k[1], item)]

    def amount(self, owner: str | None, item: str) -> Term | None:
        """How many of an item an owner has, counting what stands in boxes or was worked for by the hour."""
        terms = [self.have[k] for k in self.holdings(owner, item)]
        for (whose, unit), (n, made) in list(self.rate.items()):
            if is_kind(made, item) and unit != item:
                for key in self.holdings(owner, unit):
                    if whose in ("", key[0]):
                        terms.append(self.op("*", self.have[key], n))
        return self.add(terms)

    def change(self, owner: str, item: str, sign: str, term: Term) -> None:
        """Add to what somebody has, or take away from it."""
        if sign == "+" and (owner, item) not in self.have:
            self.have[owner, item] = term
            return
        if sign == "-" and self.amount(owner, item) is None:
            owner = "there"
        total = self.have[owner, item] if sign == "+" else self.amount(owner, item)
        if total is None:
            return
        if sign == "-":
            used = {unit for (_, unit), (_, made) in self.rate.items() if is_kind(made, item)}
            for key in [*self.holdings(owner, item), *(k for k in self.have if k[0] == owner and k[1] in used)]:
                del self.have[key]
        self.have[owner, item] = self.op(sign, total, term)

    def other(self, text: str, owner: str, item: str) -> Term:
        """The amount a comparison refers to: somebody else's, another object's, or another day's."""
        name = re.sub(rf" (?:does|do|did|{VERB})$", "", text.strip())
        name = re.sub(r"^(?:the )?price of ", "", name)
        if name in self.labels:
            return self.labels[name]
        thing = single(name)
        whose = self.who(name)
        found = self.amount(whose, item)
        if found is None:
            found = self.add([t for _, o, i, t in self.done if o == whose and is_kind(i, item)])
        if found is None:
            found = self.amount(owner, thing) if self.holdings(owner, thing) else None
        if found is None and thing in self.price:
            found = self.price[thing]
        if found is None:
            raise Unknown(text)
        return found

    # ---- clauses ----

    def tell(self, text: str) -> None:
        """Take in one clause of the text; raises `Unknown` when it refers to something said later, or is not understood."""
        clause = re.sub(r"\b(?:then|later|also|finally|afterwards) (?!,)", "", plain(text))
        opening = grammar.OPENING.match(clause)
        self.label = opening["opening"] if opening else ""
        clause = clause[opening.end() :] if opening else clause
        timed = grammar.EACH_TIME.match(clause)
        if timed and timed["unit"] in TIMES:
            clause = f"{timed['clause']} per {timed['unit']}"
        found = grammar.CLAUSE.match(clause)
        if not found:
            if re.search(r"\d", clause):
                raise Unknown(text)
            return
        subject, lemma, rest = found["subject"].strip(), LEMMA[found["verb"]], found["rest"].strip()
        if dated := re.match(r"((?:on|in) (?:the )?\w+) (?=\w)", subject):
            self.label, subject = dated[1], subject[dated.end() :]
        if discount := re.search(rf"({NUMBER}) (?:off|discount)|discount of ({NUMBER})", clause):
            self.discount = number(discount[1] or discount[2])
        elif KIND[lemma] == "change":
            self._change_price(rest)
        elif lemma == "cost":
            self._cost(subject, rest)
        elif re.match(rf"^(?:each of )?(?:the |his |her )?{NUMBER} ", subject):
            self._crowd(re.sub(r"^(?:each of )?(?:the |his |her )?| each$", "", subject), lemma, rest)
        elif (
            lemma in ("hold", "contain", "have", "weigh", "make", "carry")
            and re.match(r"^(?:each|an?) (?!\w+ who)", subject)
            and (subject.startswith("each ") or lemma in ("hold", "contain"))
        ):
            self._per(single(subject.split(" ", 1)[1]), rest)
        else:
            if subject:
                self.owner = self.who(subject)
            self._act(KIND[lemma], lemma, self.owner, rest)

    def _crowd(self, crowd: str, lemma: str, rest: str) -> None:
        """A crowd as in "12 birds fly away", "half of the birds are sold" and "each of the 4 shelves holds 9 books"."""
        said = self._part(crowd, self.owner, "")
        if said is None:
            raise Unknown(crowd)
        n, what, _ = said
        got = self._part(rest, "there", "") if re.match(NUMBER, rest) else None
        if got:
            self.change("there", got[1], "+", self.op("*", n, got[0]))
            return
        owner = next((o for o, i in self.have if is_kind(i, what)), self.owner)
        lost = KIND[lemma] == "lose" or (lemma == "be" and not re.match(r"(?:added|delivered|bought|made)\b", rest))
        self._count("lose" if lost else "gain", "sell" if rest.startswith("sold") else lemma, owner, n, what)

    def _per(self, unit: str, rest: str) -> None:
        for n, item, _ in self._parts(rest, unit):
            self.rate["", unit] = (n, item)

    def _cost(self, subject: str, rest: str) -> None:
        things = [single(re.sub(r"^each ", "", t)) for t in re.split(r",? and ", subject)]
        item = self.item if things[0] in grammar.PRONOUN or not things[0] else things[0]
        got = self._part(rest, "there", self.money)
        if not got:
            raise Unknown(rest)
        self.price[item] = got[0]
        self.money, self.item = got[1] or self.money, item
        for owner, _, n in [u for u in self.unpriced if is_kind(u[1], item)]:
            self._pay(owner, self.op("*", n, got[0]))
        self.unpriced = [u for u in self.unpriced if not is_kind(u[1], item)]

    def _change_price(self, rest: str) -> None:
        found = re.search(NUMBER, rest)
        if not found or not self.price:
            raise Unknown(rest)
        item = self.item if self.item in self.price else list(self.price)[-1]
        old, by = self.price[item], number(found[0])
        step = self.op("*", old, by) if found[0].endswith("%") or "/" in found[0] else by
        down = re.search(r"\b(?:falls|fell|fall|drops|decrease[sd]?)\b", plain(self.phrase))
        self.price[item] = self.op("-" if down else "+", old, step)

    def _pay(self, owner: str, cost: Term) -> None:
        self.done.append(("pay", owner, self.money, cost))
        if self.holdings(owner, self.money):
            self.change(owner, self.money, "-", cost)
        else:
            self.debts.append((owner, cost))

    def _act(self, kind: str, lemma: str, owner: str, rest: str) -> None:
        if kind == "share":
            self._share(owner, rest)
            return
        if kind == "pack" and (grammar.BOXES_OF.search(rest) or grammar.AMONG.search(rest)):
            self._pack(owner, rest)
            return
        if kind == "give":
            rest = self._to_front(rest)
        for term, item, tail in self._parts(rest, owner):
            self._count(kind, lemma, owner, term, item, tail)

    def _count(self, kind: str, lemma: str, owner: str, term: Term, item: str, tail: str = "") -> None:
        rate, duration = grammar.RATE.search(tail), grammar.DURATION.search(tail)
        price, total = grammar.PRICE.search(tail), grammar.SUM.search(tail)
        timed = rate is not None and not price and not tail.startswith("each")
        if timed and rate and not duration and rate["unit"] not in ("total", "row"):
            self.rate[owner, rate["unit"]] = (term, item)
            return
        if timed and duration:
            term = self.op("*", term, number(duration["n"]))
        if kind in ("gain", "lose", "give"):
            if to_each := grammar.TO_EACH.search(tail):
                term = self.op("*", term, number(to_each["n"]))
            self.done.append((lemma, owner, item, term))
        self.labels.update({text: term for text in ([self.label] if self.label else []) + grammar.LABEL.findall(tail)})
        if kind == "have":
            self.have[owner, item] = term
            for _, cost in [d for d in self.debts if item == self.money and d[0] == owner]:
                self.change(owner, item, "-", cost)
        elif kind == "work":
            self.have[owner, item] = self.add([self.have[owner, item], term] if (owner, item) in self.have else [term]) or term
        elif kind in ("lose", "give"):
            if item == self.money and not self.holdings(owner, item):
                self.debts.append((owner, term))
            self.change(owner, item, "-", term)
        elif kind == "gain":
            self.change(owner, item, "+", term)
        to = re.search(r"\bto (?!each|his \d|her \d|\d)(?P<who>[a-z' ]+)$", tail)
        if kind == "give" and to:
            self.change(self.who(to["who"]), item, "+", term)
        if lemma in ("buy", "order", "sell"):
            self._trade(lemma, owner, item, term, price, total)
        elif lemma in ("pay", "spend") and (item != self.money):
            self.money = item

    def _trade(self, lemma: str, owner: str, item: str, term: Term, price: re.Match[str] | None, total: re.Match[str] | None) -> None:
        money = price["money"] if price else total["money"] if total else None
        self.money = single(money) if money else self.money
        known = next((p for i, p in reversed(self.price.items()) if is_kind(item, i) or is_kind(i, item)), None)
        if price:
            known = number(price["n"])
        sum_: Term | None = number(total["n"]) if total and not price else None
        if sum_ is None and known is not None:
            sum_ = self.op("*", term, known)
        if sum_ is None:
            if lemma != "sell":
                self.unpriced.append((owner, item, term))
            return
        if lemma == "sell":
            self.done.append(("earn", owner, self.money, sum_))
            self.change(owner, self.money, "+", sum_)
        else:
            self._pay(owner, sum_)

    def _to_front(self, rest: str) -> str:
        """The amount first: "gives Ben 5 pens" as "5 pens to ben", "gives each of her 4 friends 3 pens" as "3 pens to 4 friends"."""
        if each := re.match(rf"^each of (?:his|her|the|their) {grammar.N} (?P<who>[a-z]+) (?P<what>\d.*)$", rest):
            return f"{each['what']} to {each['n']} {each['who']}"
        if one := re.match(r"^(?!all|the |half|away|away|\d)(?P<who>(?:his |her )?[a-z]+(?: [a-z]+)?) (?P<what>\d.*)$", rest):
            return rest if one["who"] in ("away", "back") else f"{one['what']} to {one['who']}"
        return re.sub(r"^(?:away|back|out) ", "", rest)

    def _whole(self, owner: str, rest: str) -> tuple[Term, str]:
        """What is shared or packed: a number that is said, or all there is."""
        if re.match(r"^the (?:cost|bill|price)", rest):
            total = self.add([t for lemma, _, i, t in self.done if lemma == "pay" and i == self.money])
            return (total if total is not None else list(self.price.values())[-1]), self.money
        got = self._part(rest, owner, self.item)
        if not got:
            raise Unknown(rest)
        return got[0], got[1]

    def _share(self, owner: str, rest: str) -> None:
        whole, item = self._whole(owner, rest)
        among = grammar.AMONG.search(rest)
        if not among:
            raise Unknown(rest)
        self.share = self.op("/", whole, number(among["n"]))
        self.item = item

    def _pack(self, owner: str, rest: str) -> None:
        whole, item = self._whole(owner, rest)
        if boxes := grammar.BOXES_OF.search(rest):
            if self.holdings(owner, item):
                self.change(owner, item, "-", whole)
                self.ops.pop()
            for key in self.holdings(owner, item):
                del self.have[key]
            self.have[owner, single(boxes["box"])] = self.op("/", whole, number(boxes["n"]))
            self.item = single(boxes["box"])
            return
        self._share(owner, rest)

    def _parts(self, rest: str, owner: str) -> Iterator[tuple[Term, str, str]]:
        """Every quantity of a list such as "3 red pens, 4 books and 2 rulers", one after the other."""
        for piece in re.split(rf"(?:, and |, | and )(?={NUMBER} )", rest):
            got = self._part(piece, owner, self.item)
            if got:
                yield got
            elif re.search(r"\d", piece):
                raise Unknown(rest)

    def _part(self, text: str, owner: str, default: str) -> tuple[Term, str, str] | None:
        text = text.strip()
        text = re.sub(r"^(?:with|about|up|down|in total|only|another|also|on|at|after|by|exactly|from|out|away) (?=\d)", "", text)
        got = self._compared(text, owner, default) or self._portion(text, owner, default)
        if got is None and (boxes := grammar.BOXES.match(text)):
            n, item = self.op("*", number(boxes["n"]), number(boxes["m"])), single(boxes["item"])
            self.have.setdefault((owner, single(boxes["box"])), number(boxes["n"]))
            got = n, item, re.sub(r"^ (?:each|(?:in|on) each \w+)", "", text[boxes.end() :])
        if got is None and (simple := grammar.PLAIN.match(text)):
            item = single(simple["item"])
            got = number(simple["n"]), default if item in ("", "more", "piece", "them") else item, text[simple.end() :].strip()
        if got is None and (bare := re.match(rf"^{grammar.N}\b(?: more| fewer)?(?P<tail>.*)$", text)):
            got = number(bare["n"]), default, bare["tail"].strip()
        if got:
            self.item = got[1]
            self.said.append((owner, got[1], got[0]))
        return got

    def _compared(self, text: str, owner: str, default: str) -> tuple[Term, str, str] | None:
        if two := grammar.TWO_STEP.match(text):
            item = single(two["item"] or default) or default
            base = self.op("*", self.other(two["other"], owner, item), number(two["m"]))
            return self.op("+" if two["more"] == "more" else "-", base, number(two["n"])), item, ""
        if times := grammar.TIMES.match(text):
            item = single(times["item"] or default) or default
            before = self.other(times["other"], owner, item) if times["other"] else self._latest(owner, item)
            return self.op("*", before, number(times["n"])), item, times["label"] or ""
        if more := grammar.MORE.match(text):
            item = single(more["item"] or more["item1"] or default) or default
            base = self.other(more["other"], owner, item)
            by: Term = self.op("*", base, number(more["n"])) if more["n"].endswith("%") else number(more["n"])
            return self.op("+" if more["more"] == "more" else "-", base, by), item, more["label"] or ""
        return None

    def _latest(self, owner: str, item: str) -> Term:
        """What "twice as many" without "as ..." is measured by: the amount told last."""
        for who, what, term in reversed(self.said):
            if who == owner and is_kind(what, item):
                return term
        found = self.amount(owner, item)
        if found is None:
            raise Unknown(item)
        return found

    def _portion(self, text: str, owner: str, default: str) -> tuple[Term, str, str] | None:
        portion = grammar.PART.match(text)
        everything = None if portion else grammar.ALL.match(text)
        found = portion or everything
        if not found:
            return None
        item = single(found["item"] or "")
        item = default if item in ("", "them", "it", "rest", "remaining", "ones") or item.startswith("them") else item
        tail = text[found.end() :].strip()
        if portion and "/" not in portion["n"] and "%" not in portion["n"]:
            return number(portion["n"]), item, tail
        whole = self.amount(owner, item)
        whole = self.amount(None, item) if whole is None else whole
        if whole is None:
            raise Unknown(text)
        return (self.op("*", whole, number(portion["n"])) if portion else whole), item, tail


def is_kind(kind: str, item: str) -> bool:
    """Whether a thing is of the kind an item names: a "red marble" is a "marble", and anything is ""."""
    return kind == item or item == "" or kind.endswith(f" {item}")
