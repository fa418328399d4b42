"""A state as a tree."""

import json
from collections.abc import Mapping
from typing import Any

from rich.tree import Tree

from symposia.records import QUIET
from symposia.show.page import Record, line

_FOLD = 300  # characters of a text in a state tree
_ONE_LINE = 90  # characters of a container that stands on one line of it
_ITEMS = 50  # items of a list in a state tree


def state_tree(run_id: str, step: int, state: Record) -> Tree:
    """A state as a tree; long texts are folded with their length, long lists with their count."""
    tree = Tree(line((f"run {run_id}, state after step {step}", "bold")))
    for key in sorted(state, key=lambda k: k in QUIET):
        _grow(tree, key, state[key])
    return tree


def _grow(tree: Tree, name: str, value: Any) -> None:
    if not isinstance(value, Mapping | list) or _fits(value):
        tree.add(line((name, "cyan"), "  ", _leaf(value)))
        return
    branch = tree.add(line((name, "cyan"), (f"  {{{len(value)}}}" if isinstance(value, Mapping) else f"  [{len(value)}]", "dim")))
    items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
    for key, item in items[:_ITEMS]:
        _grow(branch, str(key), item)
    if len(items) > _ITEMS:
        branch.add(line((f"{len(items) - _ITEMS} more of {len(items)}; `--json` has them all", "dim")))


def _fits(value: Any) -> bool:
    """Whether a container reads best on one line: short, with no other inside."""
    items = list(value.values() if isinstance(value, Mapping) else value)
    return not any(isinstance(v, Mapping | list) for v in items) and len(json.dumps(value, default=str)) <= _ONE_LINE


def _leaf(value: Any) -> str:
    if isinstance(value, str) and len(value) > _FOLD:
        return f"{value[:_FOLD]}... ({len(value)} characters)"
    return value if isinstance(value, str) and "\n" in value else json.dumps(value, ensure_ascii=False, default=str)
