"""The words the toys know: numbers, verbs, units of time. Names and objects are free, so neither is listed."""

import re
from fractions import Fraction
from typing import Final

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUE = {word: n for n, word in enumerate(_SMALL)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_SCALE = {"hundred": 100, "thousand": 1000}
_WORD = "|".join(sorted([*_VALUE, *_SCALE], key=len, reverse=True))
_NUMBER_WORDS = re.compile(rf"\b(?:a (?=hundred|thousand))?(?:{_WORD})(?:(?:-| and | )(?:{_WORD}))*\b")

_PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_PART = "|".join(_PARTS)
_PART_OF = re.compile(rf"\b(?:(an?|\d+) )?({_PART})s? (?=of\b|as (?:many|much)\b|the\b|his\b|her\b|their\b|its\b)")

NUMBER: Final = r"(?:\d{1,30}/0{0,9}[1-9]\d{0,29}|\d{1,30}(?:\.\d{1,30})?)%?"
TIMES: Final = frozenset(
    ["second", "minute", "hour", "day", "week", "month", "year", "morning", "evening", "night", "lap", "trip", "shift", "round"]
)

_FORMS: Final = {
    # kind of effect: verbs with their forms, the first one of each being its name
    "have": "have has had/own owns owned/keep keeps kept/hold holds held/contain contains contained/start starts started"
    "/begin begins began/be is are was were/weigh weighs weighed",
    "gain": "buy buys bought/get gets got/find finds found/receive receives received/pick picks picked/collect collects"
    " collected/earn earns earned/make makes made/bake bakes baked/win wins won/catch catches caught/save saves saved"
    "/plant plants planted/borrow borrows borrowed/add adds added/build builds built/print prints printed/read reads"
    "/draw draws drew/write writes wrote/grow grows grew/harvest harvests harvested/drive drives drove/walk walks walked"
    "/run runs ran/ride rides rode/swim swims swam/paint paints painted/fill fills filled/knit knits knitted"
    "/produce produces produced/gather gathers gathered/score scores scored/order orders ordered/arrive arrives arrived"
    "/join joins joined/come comes came/deliver delivers delivered/carry carries carried/lay lays laid/travel travels"
    " traveled/learn learns learned/solve solves solved/pump pumps pumped/sew sews sewed/fold folds folded/type types typed",
    "lose": "lose loses lost/eat eats ate/sell sells sold/use uses used/break breaks broke/drop drops dropped/throw throws"
    " threw/pay pays paid/spend spends spent/donate donates donated/drink drinks drank/burn burns burned/return returns"
    " returned/leave leaves left/fly flies flew/remove removes removed/serve serves served/melt melts melted/leak leaks"
    " leaked/cut cuts/spill spills spilled",
    "give": "give gives gave/hand hands handed/lend lends lent/send sends sent/pass passes passed",
    "cost": "cost costs",
    "change": "rise rises rose/fall falls fell/increase increases increased/decrease decreases decreased",
    "work": "work works worked/practice practices practiced/babysit babysits babysat",
    "share": "share shares shared/divide divides divided/split splits",
    "pack": "pack packs packed/put puts/place places placed/arrange arranges arranged/pour pours poured/sort sorts sorted",
    "need": "need needs needed/take takes took/want wants wanted",
}
LEMMA: Final = {form: v.split()[0] for vs in _FORMS.values() for v in vs.split("/") for form in v.split()}
KIND: Final = {v.split()[0]: kind for kind, vs in _FORMS.items() for v in vs.split("/")}
VERB: Final = "|".join(sorted(LEMMA, key=len, reverse=True))

_SAME_WORD = {"people": "person", "children": "child", "men": "man", "women": "woman", "geese": "goose", "mice": "mouse"}
_SAME_WORD |= {"shelves": "shelf", "loaves": "loaf", "money": "dollar", "knives": "knife", "leaves": "leaf", "feet": "foot"}
_NO_PLURAL = frozenset(["bus", "glass", "dress", "class", "gas", "this", "always", "series"])


def _value(words: str) -> int:
    total = current = 0
    for word in re.findall(_WORD, words):
        if word in _SCALE:
            current = max(current, 1) * _SCALE[word]
            if word == "thousand":
                total, current = total + current, 0
        else:
            current += _VALUE[word]
    return total + current


def plain(text: str) -> str:
    """The text in lower case with every number, part and multiple written in digits: "a third of" is "1/3 of"."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text.lower().strip().rstrip(".?!"))
    text = re.sub(r"\$(\d+(?:\.\d+)?)", r"\1 dollars", text)
    text = re.sub(r"\b(?:a )?dozen\b", "twelve", text)
    text = _NUMBER_WORDS.sub(lambda m: str(_value(m[0])), text)
    text = re.sub(r"(\d) ?(?:percent|per cent)\b", r"\1%", text)
    text = _PART_OF.sub(lambda m: f"{m[1] if m[1] and m[1].isdigit() else 1}/{_PARTS[m[2]]} ", text)
    text = re.sub(rf"({NUMBER}) (?=(?:the|his|her|their|its)\b)", r"\1 of ", text)
    text = re.sub(r"\btwice as\b", "2 times as", text)
    text = re.sub(r"\b(?:every|each single)\b", "each", text)
    text = re.sub(r"(?<!times )\bas (many|much)\b", r"1 times as \1", re.sub(r"(\d/\d+) as (?=many|much)", r"\1 times as ", text))
    return re.sub(r"\byears (older|younger)\b", lambda m: "more years" if m[1] == "older" else "fewer years", text)


def number(text: str) -> Fraction:
    """The value of a number that `NUMBER` matched; a percentage as a part of one."""
    value = Fraction(text.rstrip("%"))
    return value / 100 if text.endswith("%") else value


def single(noun: str) -> str:
    """A noun phrase as it is filed: no article or owner before it, the last word in the singular."""
    words = re.sub(r"^(?:(?:the|a|an|of|his|her|their|its|these|those|more|other|new|extra|remaining|total) )+", "", f"{noun.strip()} ")
    parts = words.split()
    if not parts:
        return ""
    last = parts[-1].removesuffix("'s")
    if last in _SAME_WORD:
        last = _SAME_WORD[last]
    elif last.endswith("ies") and len(last) > 4:
        last = last[:-3] + "y"
    elif last.endswith(("sses", "xes", "ches", "shes", "oes")):
        last = last[:-2]
    elif last.endswith("s") and not last.endswith("ss") and last not in _NO_PLURAL:
        last = last[:-1]
    return " ".join([*parts[:-1], last])


def written(value: Fraction) -> str:
    """A number as a toy writes it: whole, a finite decimal, or a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    places = next((n for n in range(1, 13) if 10**n % value.denominator == 0), None)
    if places is None:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' * (value < 0)}{digits[:-places]}.{digits[-places:]}"
