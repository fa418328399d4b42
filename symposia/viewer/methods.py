"""A method as the viewer needs it: its card, its graph as nodes and edges, the schemas of state and parameters, and its hints."""

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from symposia.command import method_card
from symposia.draw import graph_of
from symposia.registry import Loaded, load
from symposia.viewer.steps import show_for


@cache
def method_page(name: str) -> dict[str, Any]:
    """What `symposia methods NAME --json` prints, with `graph`, `schemas`, `show` and `prompts`.

    Raises:
        UnknownName: There is no such method.
    """
    loaded = load(name)
    nodes, edges = graph_of(loaded)
    frames = sorted({node.rpartition(":")[0] for node in nodes} - {""})
    return {
        **method_card(loaded),
        "graph": {
            "nodes": [{"id": node, "name": _name(node), "frame": node.rpartition(":")[0] or None} for node in nodes],
            "edges": [{"source": e.source, "target": e.target, "conditional": e.conditional, "label": e.label} for e in edges],
            "subgraphs": frames,
        },
        "schemas": {"params": loaded.params.model_json_schema(), "state": state_schema(loaded)},
        "show": show_for(name).to_json(),
        "prompts": loaded.params().model_dump(mode="json")["prompts"],
    }


def state_schema(loaded: Loaded) -> dict[str, Any]:
    """The keys of a method's state as JSON schema; of a key that has none, an empty one."""
    graph = loaded.compile()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            known: Mapping[str, Any] = graph.get_output_jsonschema()
        except Exception:  # a type that pydantic has no schema for
            known = {}
    properties = dict(known.get("properties", {}))
    keys = [key for key in graph.channels if not key.startswith("__") and ":" not in key]
    found: dict[str, Any] = {"type": "object", "properties": {key: properties.get(key, {}) for key in keys}}
    if "$defs" in known:
        found["$defs"] = known["$defs"]
    return found


def _name(node: str) -> str:
    return {"__start__": "START", "__end__": "END"}.get(node, node.rpartition(":")[2])
