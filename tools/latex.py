r"""Read numbers, letters and the spelling of LaTeX, by rule and without evaluating anything.

What counts as dress follows the answer clean-up of MAgICoRe, arXiv 2409.12147 (units, spaces, degree and dollar signs,
`\left` and `\right`, the kinds of `\frac`). Standard library only; time in proportion to the text.
"""

import math
import re
from collections import deque
from fractions import Fraction
from typing import Final

Answer = str | int | float

LONGEST: Final = 2_000
"""Characters up to which an answer is read as mathematics; a longer one is text."""

LONGEST_NUMBER: Final = 400
"""Digits up to which a number is read: beyond the range of a float, and more would take time with their square."""

CHARACTERS: Final = str.maketrans(
    {"−": "-", "–": "-", "﹣": "-", "－": "-", "⁄": "/", "÷": "/", "，": ",", "％": "%", "\u00a0": " ", "\u202f": " "}
    | {"×": "\\times ", "·": "\\cdot ", "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "∪": "\\cup "}
    | {"½": " 1/2", "⅓": " 1/3", "⅔": " 2/3", "¼": " 1/4", "¾": " 3/4"}
)
"""Signs of typography as LaTeX or ASCII."""

# Whitespace is collapsed before these are used, so none takes more than linear time on hostile text.
_TEXT_MACRO = re.compile(r"\\(?:text|textbf|textit|textrm|textsf|mbox|mathrm|mathbf|mathit|rm|bf) ?\{([^{}]*)\}")
_TEXT_TAIL = re.compile(r"\\(?:text|textrm|mbox|mathrm|rm) ?\{([^{}]*)\}(?: ?\^ ?(?:\{ ?-?\d ?\}|\d))?$")
_FRAC = re.compile(r"\\[dtc]?frac ?(\{[^{}]*\}|[^\W_]) ?(\{[^{}]*\}|[^\W_])")
_SQRT = re.compile(r"\\sqrt ?([^\W_])")
_DEGREE = re.compile(r"\^ ?\{ ?\\circ ?\}|\^ ?\\circ(?![A-Za-z])|\\degrees?(?![A-Za-z])|°")
_SIZE = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\.?|\\(?:displaystyle|textstyle|limits)(?![A-Za-z])")
_SPACE = re.compile(r"\\[,;: ]|\\(?:quad|qquad|thinspace)(?![A-Za-z])|~")
_NOTHING = re.compile(r"\\!|\\?[$%]|\\[()]|\*\*|[£€¥]")

_UNSIGNED = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+)"
_FORM = re.compile(
    r"(?P<sign>[+-]?) ?(?:"
    rf"(?:(?P<whole>\d+) ?)?\\frac\{{ ?(?P<top>[+-]?{_UNSIGNED}) ?\}}\{{ ?(?P<bottom>[+-]?{_UNSIGNED}) ?\}}"
    rf"|(?:(?P<whole2>\d+) )?(?P<top2>{_UNSIGNED}) ?/ ?(?P<bottom2>[+-]?{_UNSIGNED})"
    rf"|(?P<plain>{_UNSIGNED})"
    r"(?:[eE](?P<e>[+-]?\d{1,3})| ?\\(?:times|cdot) ?10 ?\^ ?(?:(?P<power>\d)|\{ ?(?P<power2>-?\d{1,3}) ?\}))?"
    r")"
)
_NUMBER = re.compile(
    rf"(?P<minus>- ?)?(?<![\d.^_])(?<![\^_]\{{)(?:(?:\d+ ?)?\\frac\{{ ?[+-]?{_UNSIGNED} ?\}}\{{ ?{_UNSIGNED} ?\}}"
    r"|(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?: ?/ ?\d+(?![\d/]))?|\.\d+)"
)
_UNIT_TAIL = re.compile(r"(?: ?/ ?| )?[A-Za-z]+\.?(?:(?: ?/ ?| )[A-Za-z]+\.?)*(?: ?\^ ?(?:\{ ?-?\d ?\}|-?\d)|[²³])?")
_SHORT_UNITS = frozenset(["cm", "mm", "km", "kg", "mg", "lb", "lbs", "ft", "in", "yd", "mi", "hr", "hrs", "ml", "mph"])
_POWERS = ["squared", "cubed", "factorial", "sqrt", "pi", "plus", "minus", "times", "over", "and", "mod", "base"]
_MULTIPLES = ["hundred", "thousand", "million", "billion", "trillion", "dozen", "dozens", "score", "infinity", "inf"]
_PARTS = ["half", "halves", "third", "thirds", "quarter", "quarters", "fourth", "fourths", "fifth", "fifths"]
_SMALL_PARTS = ["eighth", "eighths", "tenth", "tenths", "hundredths", "thousandths"]
_FUNCTIONS = ["sin", "cos", "tan", "sec", "csc", "cot", "log", "exp"]
_CHANGES_VALUE = frozenset([*_POWERS, *_MULTIPLES, *_PARTS, *_SMALL_PARTS, *_FUNCTIONS])


def numeric(answer: Answer | None) -> float | None:
    r"""The value of a number in any common dress, None when it is not just a number.

    "1,234", "\frac{1}{2}", "1/2", "2\frac12" (mixed), "\$5", "50\%" (50: a percent sign is dress), "5 \text{ cm}",
    "90^\circ", "3 \times 10^{5}".
    """
    value = rational(answer)
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def rational(answer: Answer | None) -> Fraction | None:
    """The exact value behind `numeric`: 0.03 and 0.02 differ by 0.01, which floats do not say."""
    if isinstance(answer, bool) or answer is None:
        return None
    if isinstance(answer, int):
        return Fraction(answer) if answer.bit_length() < 3 * LONGEST_NUMBER else None
    if isinstance(answer, float):
        return Fraction(str(answer)) if math.isfinite(answer) else None
    bare = undress(answer)
    match = _FORM.match(bare)
    if match is None or len(match.group()) > LONGEST_NUMBER or not _is_unit(bare[match.end() :]):
        return None
    return _value(match)


def letter(answer: Answer | None) -> str | None:
    r"""The capital A to J when the answer is nothing but one: "B", "(B)", "B.", "\text{(B)}"."""
    if not isinstance(answer, str) or len(answer) > 60:
        return None
    match = re.fullmatch(r"\(? ?([A-J]) ?\)?[.:]?", undress(answer))
    return match[1] if match else None


def undress(latex: str) -> str:
    r"""Drop what does not change an answer: delimiters, sizes, money, percent and degree signs, a final `\text{}` unit.

    Spaces between words stay; `clean` drops them too.
    """
    text = " ".join(latex.translate(CHARACTERS).split())
    if len(text) > LONGEST:
        return text
    text = _NOTHING.sub("", text.replace("{,}", ","))
    text = _DEGREE.sub("", _SIZE.sub("", text))
    text = " ".join(_SPACE.sub(" ", text).split()).removeprefix("\\[").removesuffix("\\]").strip().rstrip(" .")
    text = _TEXT_MACRO.sub(r" \1 ", _without_unit(text))
    text = _FRAC.sub(lambda m: rf"\frac{{{m[1].strip('{}')}}}{{{m[2].strip('{}')}}}", text)
    text = " ".join(_SQRT.sub(r"\\sqrt{\1}", text).split())
    return text[1:-1].strip() if re.fullmatch(r"\{[^{}]*\}", text) else text


def clean(latex: str) -> str:
    r"""One spelling for LaTeX that is written differently: `undress` without spaces, `\dfrac12` as `\frac{1}{2}`."""
    return undress(latex).replace(" ", "")


def last_number(text: str) -> str | None:
    """The last number as it stands, with its sign and without thousands commas; exponents and indices do not count."""
    found = last(_NUMBER, text)
    if found is None:
        return None
    minus = found["minus"] or ""
    before = text[max(0, found.start() - 2) : found.start()]
    binary = re.search(r"[\w)}\]] ?$" if minus == "- " else r"[\w)}\]]$", before)
    number = found.group().removeprefix(minus).replace(",", "")
    return f"-{number}" if minus and not binary else number


def last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match; the others are not kept."""
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def _without_unit(text: str) -> str:
    r"""Drop `\text{ cm}^2` and the like from the end, if something is left and the words leave the value alone."""
    while match := _TEXT_TAIL.search(text):
        words = set(re.findall(r"[a-z]+", match[1].lower()))
        if not text[: match.start()].strip() or words & _CHANGES_VALUE or not words:
            break
        text = text[: match.start()].rstrip(" \\")
    return text


def _is_unit(tail: str) -> bool:
    """Whether what follows a number is nothing or words that name what is counted ("5 apples", "5cm", but not "5x")."""
    if not tail:
        return True
    words = re.findall(r"[a-z]+", tail.lower())
    if not _UNIT_TAIL.fullmatch(tail) or any(word in _CHANGES_VALUE for word in words):
        return False
    spaced = tail[0] == " "
    return all(word in _SHORT_UNITS or (spaced and len(word) > 2 and set(word) & set("aeiou")) for word in words)


def _value(match: re.Match[str]) -> Fraction | None:
    """The number a match of `_FORM` stands for, None for a division by zero."""
    sign = -1 if match["sign"] == "-" else 1
    top, bottom = match["top"] or match["top2"], match["bottom"] or match["bottom2"]
    if top is None:
        power = int(match["e"] or match["power"] or match["power2"] or 0)
        return sign * _plain(match["plain"]) * Fraction(10) ** power
    divisor = _plain(bottom)
    if divisor == 0:
        return None
    return sign * (Fraction(match["whole"] or match["whole2"] or 0) + _plain(top) / divisor)


def _plain(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").rstrip("."))
