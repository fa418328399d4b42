"""A rule-based reader of controlled English: from the text of a word problem to a chain of operations.

It keeps a small world (who holds how many of what, prices, rates, what was bought and sold), changes it clause by clause, and looks the
question up in it. Whatever follows from the text alone is computed, nothing is recalled. A problem outside the rules gets a guess.
"""

import re
from copy import copy
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache

from symposia.tools.toy.plan import Op, Plan, Ref, Term
from symposia.tools.toy.words import KIND, LEMMA, NUMBER, TIMES, VERB, number, plain, single

_SENTENCE = re.compile(r"(?<=[.?!;])(?<!Mr\.)(?<!Mrs\.)(?<!Dr\.)\s+")
_JOIN = re.compile(
    rf",? (?:and then|then|and|but) (?=(?:(?:he|she|they|it|(?:the|each|an?|half of the|\d+) \w+|[A-Z]\w+) )?(?:{VERB})\b)|; "
)
_CLAUSE = re.compile(rf"^(?P<subject>.*?)\b(?P<verb>{VERB})\b(?P<rest>.*)$")
_OPENING = re.compile(
    rf"^(?P<opening>(?:on|in|at|after|before|during|by|from|then|later|next|first|finally|today|now)\b[^,\d]*), (?=.*\b(?:{VERB})\b)"
)
_EACH_TIME = re.compile(r"^each (?P<unit>\w+),? (?P<clause>.+)$")
_PRONOUN = frozenset("he she it they him her them".split())

_N = rf"(?P<n>{NUMBER})"
_END = r"(?= (?:at|for|to|from|in|on|onto|into|per|a|an|each|with|among|between|equally|by|of|when|as|away|back|today|altogether|left|last|this|old|long)\b|$|,)"
_ITEM = rf"(?!equally|away|back)(?P<item>[a-z][a-z' -]*?){_END}"
_TWO_STEP = re.compile(
    rf"^{_N} (?P<more>more|fewer|less)(?: [a-z ]+?)? than (?P<m>{NUMBER}) times as (?:many|much)(?: (?P<item>[a-z' -]+?))? as (?P<other>.+)$"
)
_TIMES = re.compile(
    rf"^{_N} times as (?:many|much)(?: (?!as )(?P<item>[a-z' -]+?))?(?: (?P<label>(?:on|in) [a-z ]+?))?(?: as (?P<other>.+))?$"
)
_MORE = re.compile(
    rf"^{_N} (?P<item1>[a-z]+ )??(?P<more>more|fewer|less)(?: (?P<item>[a-z' -]+?))?(?: (?P<label>(?:on|in) [a-z ]+?))? than (?P<other>.+)$"
)
_PART = re.compile(rf"^{_N} of (?:what (?:is|was) left|(?P<item>[a-z][a-z' -]*?)){_END}")
_ALL = re.compile(
    rf"^(?:all(?: of)?|the rest(?: of)?|the remaining|the other|the|his|her|its|their|them|these)\b(?: (?:the|his|her|its|their|them))?(?: {_ITEM})?"
)
_BOXES = re.compile(rf"^{_N} (?P<box>[a-z' -]+?) (?:of|with|that (?:each )?hold) (?P<m>{NUMBER}) {_ITEM}")
_PLAIN = re.compile(rf"^{_N} (?:of )?{_ITEM}")
_PRICE = re.compile(rf"\b(?:at|for) (?P<n>{NUMBER}) (?P<money>\w+) (?:each|apiece|per \w+|an? \w+)\b")
_SUM = re.compile(rf"\bfor (?P<n>{NUMBER}) (?P<money>dollars?|cents?|euros?|coins?)\b")
_RATE = re.compile(r"^(?:of [a-z ]+ )?(?:per|an?|each) (?P<unit>[a-z]+)\b")
_DURATION = re.compile(rf"\bfor (?:the )?(?:next |first |last )?(?P<n>{NUMBER}) (?P<unit>[a-z]+)\b")
_TO_EACH = re.compile(rf"\bto (?:each of )?(?:his |her |the |their )?(?P<n>{NUMBER}) (?P<who>[a-z ]+)")
_AMONG = re.compile(
    rf"\b(?:among|between|into|in|onto|on|over|to|by) (?:the |his |her |their )?(?P<n>{NUMBER}) (?:other |equal )?(?P<who>[a-z]+)"
)
_BOXES_OF = re.compile(rf"\b(?:into|in|onto|on) (?P<box>[a-z ]+?) (?:of|with) {_N}")
_LABEL = re.compile(r"\b(?:on|in) (?:the )?[a-z]+(?: (?:day|week|month|round|class|tree|shelf))?\b")
_QUESTION = re.compile(
    r"^how (?:many|much|far)(?: (?P<more>more|fewer|less))?(?: (?P<item>[a-z' -]*?))?"
    r" ?\b(?P<aux>does|do|did|are|is|was|were|will|can|has|have|had|must|should)\b(?P<tail>.*)$"
)


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
        if words in _PRONOUN:
            return self.owner
        if words in ("", "there"):
            return "there"
        known = {o for o, _ in self.have} | {o for _, o, _, _ in self.done} | {o for o, _ in self.rate}
        alike = [o for o in sorted(known) if o and (set(words.split()) <= set(o.split()) or set(o.split()) <= set(words.split()))]
        return words if words in known or not alike else alike[0]

    def holdings(self, owner: str | None, item: str) -> list[tuple[str, str]]:
        """The keys of what an owner (None: anybody) has of an item; "marble" is also every "red marble"."""
        return [k for k in self.have if owner in (None, k[0]) and _is(k[1], item)]

    def amount(self, owner: str | None, item: str) -> Term | None:
        """How many of an item an owner has, counting what stands in boxes or was worked for by the hour."""
        terms = [self.have[k] for k in self.holdings(owner, item)]
        for (whose, unit), (n, made) in list(self.rate.items()):
            if _is(made, item) and unit != item:
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
            used = {unit for (_, unit), (_, made) in self.rate.items() if _is(made, item)}
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
            found = self.add([t for _, o, i, t in self.done if o == whose and _is(i, item)])
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
        opening = _OPENING.match(clause)
        self.label = opening["opening"] if opening else ""
        clause = clause[opening.end() :] if opening else clause
        timed = _EACH_TIME.match(clause)
        if timed and timed["unit"] in TIMES:
            clause = f"{timed['clause']} per {timed['unit']}"
        found = _CLAUSE.match(clause)
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
        """ "12 birds fly away", "half of the birds are sold" and "each of the 4 shelves holds 9 books"."""
        said = self._part(crowd, self.owner, "")
        if said is None:
            raise Unknown(crowd)
        n, what, _ = said
        got = self._part(rest, "there", "") if re.match(NUMBER, rest) else None
        if got:
            self.change("there", got[1], "+", self.op("*", n, got[0]))
            return
        owner = next((o for o, i in self.have if _is(i, what)), self.owner)
        lost = KIND[lemma] == "lose" or (lemma == "be" and not re.match(r"(?:added|delivered|bought|made)\b", rest))
        self._count("lose" if lost else "gain", "sell" if rest.startswith("sold") else lemma, owner, n, what)

    def _per(self, unit: str, rest: str) -> None:
        for n, item, _ in self._parts(rest, unit):
            self.rate["", unit] = (n, item)

    def _cost(self, subject: str, rest: str) -> None:
        things = [single(re.sub(r"^each ", "", t)) for t in re.split(r",? and ", subject)]
        item = self.item if things[0] in _PRONOUN or not things[0] else things[0]
        got = self._part(rest, "there", self.money)
        if not got:
            raise Unknown(rest)
        self.price[item] = got[0]
        self.money, self.item = got[1] or self.money, item
        for owner, bought, n in [u for u in self.unpriced if _is(u[1], item)]:
            self._pay(owner, self.op("*", n, got[0]))
        self.unpriced = [u for u in self.unpriced if not _is(u[1], item)]

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
        if kind == "pack" and (_BOXES_OF.search(rest) or _AMONG.search(rest)):
            self._pack(owner, rest)
            return
        if kind == "give":
            rest = self._to_front(rest)
        for term, item, tail in self._parts(rest, owner):
            self._count(kind, lemma, owner, term, item, tail)

    def _count(self, kind: str, lemma: str, owner: str, term: Term, item: str, tail: str = "") -> None:
        rate, duration = _RATE.search(tail), _DURATION.search(tail)
        price, total = _PRICE.search(tail), _SUM.search(tail)
        timed = rate is not None and not price and not tail.startswith("each")
        if timed and rate and not duration and rate["unit"] not in ("total", "row"):
            self.rate[owner, rate["unit"]] = (term, item)
            return
        if timed and duration:
            term = self.op("*", term, number(duration["n"]))
        if kind in ("gain", "lose", "give"):
            if to_each := _TO_EACH.search(tail):
                term = self.op("*", term, number(to_each["n"]))
            self.done.append((lemma, owner, item, term))
        self.labels.update({text: term for text in ([self.label] if self.label else []) + _LABEL.findall(tail)})
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
        known = next((p for i, p in reversed(self.price.items()) if _is(item, i) or _is(i, item)), None)
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
        """ "gives Ben 5 pens" as "5 pens to ben", "gives each of her 4 friends 3 pens" as "3 pens to 4 friends"."""
        if each := re.match(rf"^each of (?:his|her|the|their) {_N} (?P<who>[a-z]+) (?P<what>\d.*)$", rest):
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
        among = _AMONG.search(rest)
        if not among:
            raise Unknown(rest)
        self.share = self.op("/", whole, number(among["n"]))
        self.item = item

    def _pack(self, owner: str, rest: str) -> None:
        whole, item = self._whole(owner, rest)
        if boxes := _BOXES_OF.search(rest):
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
        if got is None and (boxes := _BOXES.match(text)):
            n, item = self.op("*", number(boxes["n"]), number(boxes["m"])), single(boxes["item"])
            self.have.setdefault((owner, single(boxes["box"])), number(boxes["n"]))
            got = n, item, re.sub(r"^ (?:each|(?:in|on) each \w+)", "", text[boxes.end() :])
        if got is None and (simple := _PLAIN.match(text)):
            item = single(simple["item"])
            got = number(simple["n"]), default if item in ("", "more", "piece", "them") else item, text[simple.end() :].strip()
        if got is None and (bare := re.match(rf"^{_N}\b(?: more| fewer)?(?P<tail>.*)$", text)):
            got = number(bare["n"]), default, bare["tail"].strip()
        if got:
            self.item = got[1]
            self.said.append((owner, got[1], got[0]))
        return got

    def _compared(self, text: str, owner: str, default: str) -> tuple[Term, str, str] | None:
        if two := _TWO_STEP.match(text):
            item = single(two["item"] or default) or default
            base = self.op("*", self.other(two["other"], owner, item), number(two["m"]))
            return self.op("+" if two["more"] == "more" else "-", base, number(two["n"])), item, ""
        if times := _TIMES.match(text):
            item = single(times["item"] or default) or default
            before = self.other(times["other"], owner, item) if times["other"] else self._latest(owner, item)
            return self.op("*", before, number(times["n"])), item, times["label"] or ""
        if more := _MORE.match(text):
            item = single(more["item"] or more["item1"] or default) or default
            base = self.other(more["other"], owner, item)
            by: Term = self.op("*", base, number(more["n"])) if more["n"].endswith("%") else number(more["n"])
            return self.op("+" if more["more"] == "more" else "-", base, by), item, more["label"] or ""
        return None

    def _latest(self, owner: str, item: str) -> Term:
        """What "twice as many" without "as ..." is measured by: the amount told last."""
        for who, what, term in reversed(self.said):
            if who == owner and _is(what, item):
                return term
        found = self.amount(owner, item)
        if found is None:
            raise Unknown(item)
        return found

    def _portion(self, text: str, owner: str, default: str) -> tuple[Term, str, str] | None:
        portion = _PART.match(text)
        everything = None if portion else _ALL.match(text)
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

    # ---- the question ----

    def ask(self, text: str) -> Term | None:
        """The term a question asks for, or None where the world does not hold it."""
        clause = re.sub(r"^.*?\b(?=how (?:many|much|far|old)\b)", "", plain(text))
        clause = re.sub(r"^how old", "how many years", re.sub(r"^how far", "how many distance", clause))
        found = _QUESTION.match(clause)
        if not found:
            return None
        item, tail = single(re.sub(r"\bof (?:the|his|her|their) ", "", found["item"] or "")), found["tail"].strip()
        if item == "distance":
            item = next(
                (i for i in ("kilometer", "mile", "meter") if self.holdings(None, i) or any(m[1] == i for m in self.rate.values())), item
            )
        verb = re.match(rf"^(?P<subject>.*?)\b(?P<verb>{VERB}|owe|bring|remain|leave)\b(?P<rest>.*)$", tail)
        subject = verb["subject"].strip() if verb else re.split(r"\b(?:left|in|on|altogether|now|than)\b", tail)[0].strip()
        lemma = LEMMA.get(verb["verb"], "have") if verb else "have"
        if not item or item in ("more", "profit"):
            item = "" if item != "profit" and lemma not in _MONEY and "price" not in tail else self.money if item != "profit" else "profit"
        if "than" in tail and found["more"]:
            return self._difference(found["more"], item, lemma, subject, tail.split(" than ")[-1])
        if found["more"] and lemma == "need" and self.price:
            held = self.amount(self.who(subject) if subject else self.owner, self.money)
            return None if held is None else self.op("-", list(self.price.values())[-1], held)
        return self._look_up(item, lemma, subject, tail)

    def _look_up(self, item: str, lemma: str, subject: str, tail: str) -> Term | None:
        if self.share is not None and (re.search(r"\beach\b|\bper\b|\bone\b", tail) or subject.startswith("each")):
            return self.share
        if item == "profit":
            earned, paid = self._sum_done("earn", None, self.money), self._sum_done("pay", None, self.money)
            return self.op("-", earned, paid) if earned is not None and paid is not None else None
        asked = self._by_rate(item, lemma, subject, tail)
        if asked is not None:
            return asked
        owners = self._owners(subject)
        if lemma in _MONEY or (lemma == "be" and item == ""):
            total = self._spending(lemma, owners, subject)
            if total is not None:
                return total
        if lemma not in ("have", "be", "need", "own", "keep", "hold", "save") and not re.search(r"\b(?:left|now|still)\b", tail):
            sums = [self._sum_done(lemma, o, item) for o in owners]
            total = self.add([s for s in sums if s is not None])
            if total is not None:
                return total
        amounts = [self.amount(o, item) for o in owners]
        total = self.add([a for a in amounts if a is not None])
        return self.amount(None, item) if total is None else total

    def _owners(self, subject: str) -> list[str | None]:
        subject = re.sub(r"\b(?:left|altogether|together|both|still|all)\b", "", subject).strip()
        if subject in ("", "there", "they", "left", "the two", "the three", "people"):
            return [None]
        names = re.split(r",? and |, ", subject)
        return [self.who(n) for n in names]

    def _sum_done(self, lemma: str, owner: str | None, item: str) -> Term | None:
        return self.add([t for verb, o, i, t in self.done if verb == lemma and owner in (None, o) and _is(i, item)])

    def _spending(self, lemma: str, owners: list[str | None], subject: str) -> Term | None:
        thing = single(re.sub(r"^each ", "", subject))
        if lemma in ("cost", "be") and thing in self.price:
            return self._less(self.price[thing])
        name = "earn" if lemma in ("earn", "make", "get", "receive", "collect") else "pay"
        sums = [self._sum_done(name, o, self.money) for o in owners]
        total = self.add([s for s in sums if s is not None])
        total = self._sum_done(name, None, self.money) if total is None else total
        return None if total is None else self._less(total)

    def _less(self, total: Term) -> Term:
        return total if self.discount is None else self.op("-", total, self.op("*", total, self.discount))

    def _by_rate(self, item: str, lemma: str, subject: str, tail: str) -> Term | None:
        """ "How many pages in 5 days?" by multiplication, "how many days for 60 pages?" by division."""
        whose = self.who(re.sub(r"^it$|\bit take\b.*", "", subject) or self.owner)
        rates = {unit: rate for (o, unit), rate in self.rate.items() if o in ("", whose) or len(self.rate) == 1}
        if item in rates:
            n, made = rates[item]
            goal = re.search(rf"\b(?P<n>{NUMBER}) (?:more )?(?:{re.escape(made)}|\w+)", tail)
            whole: Term | None = number(goal["n"]) if goal else self.amount(None, made)
            return None if whole is None else self.op("/", whole, n)
        during = re.search(rf"\b(?:in|for|over|after|on) (?:the )?(?:\w+ )??(?P<n>{NUMBER}) (?P<unit>[a-z]+)", tail)
        if during and single(during["unit"]) in rates:
            n, made = rates[single(during["unit"])]
            if _is(made, item) or (lemma in _MONEY and made == self.money):
                return self.op("*", n, number(during["n"]))
        return None

    def _difference(self, more: str, item: str, lemma: str, subject: str, other: str) -> Term | None:
        name = re.sub(rf" (?:does|do|did|{VERB})$", "", other.strip())
        thing = single(subject)
        if thing in self.price and single(name) in self.price:
            one, two = self.price[thing], self.price[single(name)]
        else:
            owners = self._owners(subject)
            first = self._look_up(item, lemma, subject, "")
            if name in self.labels and owners:
                on = next((t for label, t in self.labels.items() if label != name), None)
                first = on if on is not None else first
                second: Term | None = self.labels[name]
            elif self.holdings(owners[0], single(name)) and self.who(name) not in {o for o, _ in self.have}:
                second = self.amount(owners[0], single(name))
            else:
                second = self._look_up(item, lemma, name, "")
            if first is None or second is None:
                return None
            one, two = first, second
        return self.op("-", one, two) if more == "more" else self.op("-", two, one)


_MONEY = frozenset("cost pay spend earn make get receive collect".split())


def _is(kind: str, item: str) -> bool:
    return kind == item or item == "" or kind.endswith(f" {item}")


def _clauses(sentence: str) -> list[str]:
    """A sentence cut before each new action; a cut needs a verb on its left, so that "Ana and Ben have" stays whole."""
    cuts, start = [], 0
    for join in _JOIN.finditer(sentence):
        if re.search(rf"\b(?:{VERB})\b", sentence[start : join.start()]):
            cuts.append(sentence[start : join.start()])
            start = join.end()
    return [*cuts, sentence[start:]]


@lru_cache(maxsize=4096)
def read(question: str) -> Plan | None:
    """The chain of operations that answers a word problem, or None where the text holds no number to work with."""
    world = World()
    later: list[str] = []
    asked = None
    for sentence in _SENTENCE.split(question.strip().replace('"', "'")):
        if sentence.endswith("?") and re.search(r"\bhow (?:many|much|far|old)\b", sentence, re.IGNORECASE):
            asked = sentence
            continue
        for clause in _clauses(sentence):
            later, waiting = [*later, clause], []
            while later != waiting:  # a clause that could not be understood may be, once a later one has been
                later, waiting = [c for c in later if not _try(world, c)], later
    answer = None
    if asked:
        world.phrase = asked.strip()
        answer = world.ask(asked)
    if answer is None:
        return _guess(question)
    plan = _used(world.ops, answer, world.phrase)
    return Plan(plan.ops, not later)


def _try(world: World, clause: str) -> bool:
    world.phrase = clause.strip().rstrip(".!?,;")
    before = {name: copy(kept) for name, kept in vars(world).items()}
    try:
        world.tell(clause)
    except Unknown:
        vars(world).update(before)
        return False
    return True


def _used(ops: list[Op], answer: Term, phrase: str) -> Plan:
    """Only the operations the answer rests on; a number read off the text is one step of its own."""
    if isinstance(answer, Fraction):
        return Plan((Op("+", answer, Fraction(0), phrase),))
    needed: set[int] = set()
    stack = [answer.step]
    while stack:
        i = stack.pop()
        if i not in needed:
            needed.add(i)
            stack += [t.step for t in (ops[i].left, ops[i].right) if isinstance(t, Ref)]
    order = {old: new for new, old in enumerate(sorted(needed))}

    def moved(term: Term) -> Term:
        return Ref(order[term.step]) if isinstance(term, Ref) else term

    return Plan(tuple(Op(ops[i].sign, moved(ops[i].left), moved(ops[i].right), ops[i].phrase) for i in sorted(needed)))


def _guess(question: str) -> Plan | None:
    """A problem the rules do not cover: the numbers it names, put together by the words around them."""
    text = plain(question.replace('"', "'"))
    numbers = [number(n) for n in re.findall(rf"(?<![\w.]){NUMBER}", text) if not re.search(r"/0+$", n)]
    if not numbers:
        return None
    if len(numbers) == 1:
        return Plan((Op("+", numbers[0], Fraction(0), "the only number I can make out"),), sure=False)
    sign = "*" if re.search(r"\b(?:each|per|times)\b", text) else "-" if re.search(r"\b(?:left|fewer|less|difference)\b", text) else "+"
    ops = [Op(sign, numbers[0], numbers[1], "a guess, for I cannot read the whole problem")]
    for n in numbers[2:12]:
        ops.append(Op("+" if sign == "*" else sign, Ref(len(ops) - 1), n, "a guess, for I cannot read the whole problem"))
    return Plan(tuple(ops), sure=False)
