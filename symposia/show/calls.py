"""The calls of a step, with prompts and replies."""

import json
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from symposia.output import safe
from symposia.shapes import number
from symposia.show.page import Record, line
from symposia.show.path import nodes_text


def print_calls(page: Console, step: Record) -> None:
    """The calls of a step with prompts and replies; a prompt that an earlier call of the step had is named, not repeated."""
    if not step["calls"]:
        return
    page.print(line((f"\nstep {step['step']}  {nodes_text(step)}", "bold")))
    met: dict[str, str] = {}
    for call in step["calls"]:
        page.print(line((call["place"], "cyan"), f"  {_call_facts(call)}"))
        asked = json.dumps(call["request"], sort_keys=True, default=str)
        if asked in met:
            page.print(Padding(line((f"asked the same as {met[asked]}", "dim")), (0, 0, 0, 2)))
        else:
            met[asked] = call["place"]
            for name, text in _prompt(call["request"]):
                page.print(_block(name, text, "dim"))
        for name, text in _replies(call):
            page.print(_block(name, text, "green" if name == "reply" else "red"))


def _call_facts(call: Record) -> str:
    """Role, model, tokens, time, seed, retries, and whether it was made here."""
    facts = [
        call["role"] or call["kind"],
        call["model"],
        f"{call['prompt_tokens']} + {call['completion_tokens']} tokens" if call["calls"] else "",
    ]
    facts += [f"{number(round(call['ms'], 1))} ms", f"seed {call['seed']}" if call["seed"] is not None else ""]
    facts.append("copied from the parent" if call["copied"] else "live")
    if call["requests"] > 1:
        facts.append(f"{call['requests']} requests")
    facts += [f"{a['error']}, waited {number(a['waited'])} s" for a in call["attempts"]]
    return " · ".join(f for f in facts if f)


def _prompt(request: Record) -> Iterator[tuple[str, str]]:
    """The messages of a request, or the request itself; then its options."""
    if "messages" not in request:
        yield "asked", json.dumps(request, ensure_ascii=False, default=str)
        return
    for message in request["messages"]:
        content = message["content"]
        yield str(message["role"]), content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    options = {k: v for k, v in request.items() if k not in ("model", "messages")}
    if options:
        yield "options", ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in options.items())


def _replies(call: Record) -> Iterator[tuple[str, str]]:
    """What came back: texts, a value of another kind, or the error."""
    outcome = call["outcome"]
    if "error" in outcome:
        yield "failed", f"{outcome['error']['name']}: {outcome['error']['message']}"
        return
    value = outcome["value"]
    if not isinstance(value, Mapping) or "choices" not in value:
        yield "reply", json.dumps(value, ensure_ascii=False)
        return
    for choice in value["choices"]:
        if choice["refusal"]:
            yield "refused", choice["refusal"]
        yield "reply" if choice["finish"] == "stop" else f"reply ({choice['finish']})", choice["text"]


def _block(name: str, text: str, style: str) -> Padding:
    """A text with its name beside it."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(min_width=7)
    grid.add_column(ratio=1)
    grid.add_row(Text(safe(name), style=style), Text(safe(text)))
    return Padding(grid, (0, 0, 0, 2))
