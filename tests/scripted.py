"""A model whose replies a test writes: `script/...`, whichever module of the tests asks for it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.config import get_config

from symposia.tools.providers import litellm as load_litellm

litellm = load_litellm()
Reply = str | Exception | Callable[[list[dict[str, Any]]], str]


class Script:
    """Replies per node, given in the order of the place: sample i of a fan gets the i-th reply, whichever call ends first.

    `replies` are consumed; `answer` is a function for whatever has no script; every prompt is kept in `prompts`, by node.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.replies: dict[str, list[Reply]] = {}
        self.answer: Callable[[str, list[dict[str, Any]]], str] | None = None
        self.prompts: dict[str, list[str]] = defaultdict(list)
        self.options: list[dict[str, Any]] = []
        self.delay: Callable[[], float] | None = None
        self.calls = 0

    @property
    def sent(self) -> int:
        """How many calls were made."""
        return self.calls

    def take(self, node: str, messages: list[dict[str, Any]]) -> str:
        """The next reply of a node."""
        self.calls += 1
        self.prompts[node].append(messages[-1]["content"])
        waiting = self.replies.get(node)
        if waiting:
            reply = waiting.pop(0)
            if isinstance(reply, Exception):
                raise reply
            return reply(messages) if callable(reply) else reply
        if self.answer is None:
            pytest.fail(f"the script of node {node!r} has run out; it was asked: {messages[-1]['content'][-200:]}")
        return self.answer(node, messages)


SCRIPT: dict[str, Script] = {}


class Scripted(litellm.CustomLLM):  # type: ignore[name-defined, misc]
    """LiteLLM provider `script/...`."""

    async def acompletion(self, *args: Any, **options: Any) -> Any:
        """Reply as the script of the running test says."""
        script = SCRIPT["now"]
        node = get_config()["metadata"]["langgraph_node"]
        script.options.append({"model": options["model"], **(options.get("optional_params") or {})})
        text = script.take(node, options["messages"])
        await asyncio.sleep(script.delay() if script.delay else 0)
        reply = options["model_response"]
        reply.choices = [litellm.Choices(index=0, finish_reason="stop", message=litellm.Message(role="assistant", content=text))]
        reply.usage = litellm.Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)
        return reply


litellm.custom_provider_map.append({"provider": "script", "custom_handler": Scripted()})
litellm.utils.custom_llm_setup()
