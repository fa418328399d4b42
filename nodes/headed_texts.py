"""Texts that stand one after another in a chat message, each below a head such as "Prompt:"."""

import re
from collections.abc import Sequence

from symposia.state.errors import BadInput


def headed_texts(text: str, head: re.Pattern[str], names: Sequence[str], *, what: str, remedy: str, once: bool) -> list[str]:
    """The text below each head, up to the next one, in a single pass over the message.

    Args:
        text: The message.
        head: Finds one head, whose first group is its name; the names' case is told apart as this pattern does it.
        names: The heads that have to stand there, in this order.
        what: What the message does not hold when the heads do not stand there, for the error.
        remedy: The form that would be right, for the error.
        once: Whether a head that is repeated or out of order is an error; else it belongs to the text that it stands in.

    Raises:
        BadInput: A head is missing, or with `once` repeated or out of order.
    """
    found: list[re.Match[str]] = []
    for match in head.finditer(text):
        if len(found) < len(names) and match[1].lower() == names[len(found)].lower():
            found.append(match)
        elif once:
            due = f'where "{names[len(found)]}:" is due' if len(found) < len(names) else "after the last head"
            number = text.count("\n", 0, match.start()) + 1
            raise BadInput(f'{what}: line {number} is "{match[1]}:" {due}', remedy=remedy)
    if len(found) < len(names):
        raise BadInput(f'{what}: "{names[len(found)]}:" is missing', remedy=remedy)
    ends = [*(match.start() for match in found[1:]), len(text)]
    return [text[match.end() : end] for match, end in zip(found, ends, strict=True)]
