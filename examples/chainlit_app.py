"""A chat in which published methods answer: every step with its calls as it happens, then the answer.

    pip install symposia chainlit
    chainlit run examples/chainlit_app.py

`SYMPOSIA_MODEL=gpt-4o-mini` chooses a model, any that LiteLLM knows; without it the toy models that come with Symposia answer. The methods
stand in the menu at the top. Each answer names its run, which `symposia show`, `replay` and `fork` take.
"""

import asyncio
from typing import Any

import chainlit as cl
from chainlit.utils import utc_now

import symposia
from symposia.demo import problems
from symposia.execution import Event, plain
from symposia.output import models_of, toy_note
from symposia.records import QUIET, written
from symposia.registry import load
from symposia.shapes import gist
from symposia.state.store import Entry

METHODS = {
    "debate_du": {"max_rounds": 2, "stop_on_agreement": True},
    "magicore": {"k": 5, "max_rounds": 2},
    "self_consistency": {"k": 5},
}
SILENT = ("", "__start__", "intake")  # the end, and nodes that only take the question in


@cl.set_chat_profiles
async def profiles() -> list[cl.ChatProfile]:
    """The menu: a method each, with some bundled problems to begin with."""
    starters = [cl.Starter(label=text.split(".")[0], message=text) for text in (problems()[i]["question"] for i in (34, 44, 23))]
    cards = {name: load(name).method for name in METHODS}
    return [cl.ChatProfile(name, f"{card.title}, {card.year}: {card.family}", starters=starters) for name, card in cards.items()]


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Run the method on a question; the button that stops the answer stops the run."""
    method = cl.user_session.get("chat_profile")
    events: asyncio.Queue[Event] = asyncio.Queue()
    options = {"params": METHODS[method], "checkpoints": "none", "on_event": events.put_nowait}
    run = asyncio.create_task(symposia.arun(method, message.content, **options))
    run.add_done_callback(lambda _: events.put_nowait({"type": "over"}))
    try:
        state = await tell(events)
        result = await run
    finally:
        run.cancel()
    said = result.error["message"] if result.error else state["messages"][-1]["data"]["content"]
    toys = toy_note(models_of(state, load(method).method.roles).values())
    await cl.Message(f"{said}\n\n*{result.calls['live']} calls, run {result.run_id}{f'; {toys}' if toys else ''}*").send()


async def tell(events: asyncio.Queue[Event]) -> dict[str, Any]:
    """Show steps and calls as they happen; the state in which the run ended."""
    step, state = None, {}
    while (event := await events.get())["type"] != "over":
        if event["type"] == "effect" and step and event["entry"].usage.calls:
            await step.stream_token(line(event["entry"]))
        elif event["type"] == "step":
            wrote, state = written(state, values := plain(event["values"])), values
            if step:
                step.output = step.output or ", ".join(f"{key} {code(one['gist'])}" for key, one in wrote.items() if key not in QUIET)
                step.end = utc_now()
                await step.update()
            nodes = ", ".join(event["next"])
            step = cl.Step(nodes, default_open=True, parent_id=cl.context.current_run.id) if nodes not in SILENT else None
            if step:
                step.start = utc_now()
                await step.send()
    return state


def line(entry: Entry) -> str:
    """A line about a call: the role, and the last line of its reply or what came of it."""
    value = entry.outcome.get("value", entry.outcome.get("error"))
    text = value["choices"][0]["text"].strip() if isinstance(value, dict) and value.get("choices") else gist(value)
    return f"- {entry.usage.role}: {code(text.splitlines()[-1] if text else 'no text')}\n"


def code(text: str) -> str:
    """Text as it stands: what a model wrote makes no markup, links or pictures."""
    return f"`{text.replace('`', chr(39))}`"
