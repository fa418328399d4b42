"""Cutting a text into sentences, so that joining them gives the text again, white space apart."""

import re

_END = re.compile(r"[.!?][\"'’”)\]]{0,3}\s+(?=[\"'“‘(\[]{0,2}[A-Z0-9])|\n\s*\n|\n(?=\s*[-*•])")
_NO_END = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Jr|Sr|vs|etc|Inc|Ltd|Co|Fig|e\.g|i\.e|[A-Z])\.$")


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, trimmed; none of a blank one. Abbreviations of names and titles end none."""
    found, start = [], 0
    for match in _END.finditer(text):
        piece = text[start : match.end()].strip()
        if piece and not _NO_END.search(piece[-12:]):
            found.append(piece)
            start = match.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found
