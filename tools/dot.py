"""Text for graphviz: names and labels that nothing a model has said can break out of."""

import textwrap

FONT = "Helvetica,Arial,sans-serif"
INK, DIM = "#1a1d23", "#555c69"
_WIDTH, _LONGEST = 34, 160  # characters of a line and of a text


def opening(name: str) -> list[str]:
    """The first lines of a picture that grows from left to right; `}` ends it."""
    return [
        f"digraph {name} {{",
        f'  graph [rankdir=LR, nodesep=0.2, ranksep=0.5, bgcolor="transparent", fontname="{FONT}"]',
        f'  node [shape=box, style="rounded,filled", fontname="{FONT}", fontsize=11, fontcolor="{INK}", margin="0.12,0.07"]',
        f'  edge [fontname="{FONT}", fontsize=10, color="{DIM}", fontcolor="{DIM}", arrowsize=0.7]',
    ]


def label(*texts: str) -> str:
    """Texts below each other as the label of a box: wrapped, long ones cut."""
    lines = [line for text in texts for line in textwrap.wrap(text[:_LONGEST] + ("..." if len(text) > _LONGEST else ""), _WIDTH)]
    return '"' + "\\n".join(_escaped(line) for line in lines) + '"'


def quoted(text: str) -> str:
    """A name in quotes."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Text that cannot end a quoted string of graphviz, nor mean anything in it; `&` begins an entity there."""
    plain = "".join(c for c in text if c.isprintable())
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
