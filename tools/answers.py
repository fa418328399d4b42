r"""Read a final answer out of a model's text.

Which reader a task has: MAgICoRe, arXiv 2409.12147, node `extract` (boxed text for MATH, the last number in the box for
GSM8K and SVAMP, a letter for MMLU and SAT). Where its code is known to go wrong we differ: minus signs and several
thousands groups are kept, the A of "Answer" is no letter, and a numeric 0 is an answer.

Everything here is pure, needs the standard library only and takes time in proportion to the text, whatever a model
wrote. No text is ever evaluated. Whether two answers are the same is decided in `equality.py`.
"""

import difflib
import re
from typing import Final, Literal

from symposia.tools.latex import CHARACTERS, LONGEST, Answer, clean, last, last_number, letter, numeric, undress

__all__ = ["TASKS", "Answer", "Task", "clean", "extract", "last_box", "letter", "numeric", "task_of"]

Task = Literal["auto", "number", "math", "letter", "text"]

TASKS: Final[dict[str, Task]] = {
    "auto": "auto",
    "number": "number",
    "math": "math",
    "letter": "letter",
    "text": "text",
    "gsm8k": "number",
    "svamp": "number",
    "mmlu": "letter",
    "sat": "letter",
}
"""Names a caller may use for the task of an answer: the five readers, and the data sets of the papers."""

# Whitespace in these is bounded, so none takes more than linear time on hostile text.
_BRACE = re.compile(r"(?P<box>\\(?:boxed|fbox)(?![A-Za-z])[ \t\n]{0,20})(?P<open>\{)?|\\.|(?P<in>\{)|(?P<out>\})", re.DOTALL)
_BARE_BOX = re.compile(r"[^\s$]{1,200}")
_STATED = re.compile(
    r"answer[ *_]{0,4}(?:(?P<colon>[:=])|is(?![A-Za-z])|are(?![A-Za-z]))[ *_:]{0,8}(?:\n[ \t*]{0,8}){0,2}"
    r"|^#{4}(?P<hashes>) {0,4}",
    re.IGNORECASE | re.MULTILINE,
)
_LINE = re.compile(r"[^\n]{0,400}")
_CLAUSE_END = re.compile(r"[.;!?](?= |$)| because | since | as ")
_INLINE = re.compile(r"\$([^$]+)\$|\\\((.+?)\\\)")
_CHOSEN = re.compile(r"\(([A-J])\)|([A-J])(?:[).:](?!\w)|$)")
_CHOICE = re.compile(r"(?<![\w\\'])\(([A-J])\)|(?<![\w('’])([A-E])\)")
_LONE_LETTER = re.compile(r"(?<![\w'’\\/])([A-E])(?![\w'’^/])(?! ?=)")
_OPENS_SENTENCE = re.compile(r"(?:^|[.!?\n][\"')*]{0,3}[ \t]{0,4}|[-*#>][ \t]{0,4})$")
_IS_ARTICLE = re.compile(r" (?!(?:is|was|because|since|as|seems|must|would|and|or)\b)[a-z]")


def task_of(name: str) -> Task:
    """The reader behind the name of a task or data set."""
    task = TASKS.get(name.strip().lower())
    if task is None:
        near = difflib.get_close_matches(name.lower(), TASKS, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ValueError(f"no answer task '{name[:60]}'; {hint}known are {', '.join(TASKS)}")
    return task


def extract(text: str, task: str = "auto") -> Answer | None:
    r"""Read the final answer of `text`, or None where it states none.

    Args:
        text: what a model wrote.
        task: a key of `TASKS`:
            `number` gives the last number in the last `\boxed{}` or `\fbox{}` as a float, None without a box;
            `math` the contents of the last box, None without a box;
            `letter` a capital from a box, else the last "(C)" or "C)", else the last letter that stands alone (A to E,
            in a box or in parentheses up to J);
            `text` the last box, else what follows the last "Answer:", else the last line that is not blank;
            `auto` the last box, else what an "answer is ..." or "#### ..." states, else the last "(C)", else the last
            number, always as a string.
    """
    kind = task_of(task)
    if kind == "number":
        return _number(text)
    if kind == "math":
        return last_box(text)
    if kind == "letter":
        return _letter(text)
    return _text(text) if kind == "text" else _auto(text)


def last_box(text: str) -> str | None:
    r"""Contents of the `\boxed{}` or `\fbox{}` that opens last, among those that close and are not blank."""
    starts: list[int | None] = []  # of the braces still open: where a box's contents begin, None for any other brace
    best = (-1, -1)
    for match in _BRACE.finditer(text):
        span = (-1, -1)
        if match["open"] or match["in"]:
            starts.append(match.end() if match["open"] else None)
        elif match["box"]:
            bare = _BARE_BOX.match(text, match.end())
            span = bare.span() if bare else span
        elif match["out"] and starts:
            span = (starts.pop() or -1, match.start())
        if span[0] > best[0] and text[span[0] : min(span[1], span[0] + 200)].strip():
            best = span
    if best[0] < 0:
        return None
    inside = text[best[0] : best[1]].strip()
    return inside if text[best[0] - 1] == "{" else inside.rstrip(".,;") or None


def _number(text: str) -> float | None:
    r"""Value of the whole box when it is a number, else of the last number in it ("x = 5" is 5)."""
    box = last_box(text)
    if box is None:
        return None
    whole = numeric(box)
    return whole if whole is not None else numeric(last_number(undress(box)))


def _letter(text: str) -> str | None:
    box = last_box(text)
    if box is not None and (found := _chosen(box) or _last_choice(box) or _lone_letter(undress(box))):
        return found
    return _last_choice(text) or _lone_letter(text)


def _chosen(text: str) -> str | None:
    """The letter that opens an answer such as "(B) 5 cm", "B. 12" or "C"."""
    match = _CHOSEN.match(undress(text[:LONGEST]))
    return (match[1] or match[2]) if match else None


def _last_choice(text: str) -> str | None:
    found = last(_CHOICE, text)
    return (found[1] or found[2]) if found else None


def _lone_letter(text: str) -> str | None:
    """The last capital A to E that stands alone, without the article that opens a sentence."""
    found = None
    for match in _LONE_LETTER.finditer(text):
        before = text[max(0, match.start() - 8) : match.start()]
        article = match[1] == "A" and _OPENS_SENTENCE.search(before) and _IS_ARTICLE.match(text, match.end())
        found = found if article else match[1]
    return found


def _text(text: str) -> str | None:
    box = last_box(text)
    if box is not None:
        return box
    line, named = _stated(text)
    return line if line and named else text.strip().rsplit("\n", 1)[-1].strip() or None


def _auto(text: str) -> str | None:
    box = last_box(text)
    if box is not None:
        return letter(box) or box
    return _from_statement(*_stated(text)) or _last_choice(text) or last_number(text.translate(CHARACTERS))


def _stated(text: str) -> tuple[str, bool]:
    """The line after the last "answer is", "Answer:" or "####" ("" if none), and whether a colon or hashes name it."""
    found = last(_STATED, text)
    line = _LINE.match(text, found.end()) if found else None
    if found is None or line is None:
        return "", False
    return line.group().strip(" *_`\t\r"), found["colon"] is not None or found["hashes"] is not None


def _from_statement(line: str, named: bool) -> str | None:
    """An answer out of such a line: a letter, mathematics between dollars, a number, else the text if it was named."""
    if found := _chosen(line):
        return found
    clause = _CLAUSE_END.split(line, maxsplit=1)[0].strip(" *")
    if inside := _INLINE.match(clause):
        return (inside[1] or inside[2]).strip()
    return last_number(undress(clause)) or (clause if named and clause else None)
