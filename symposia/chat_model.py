"""`ChatModel`: a method as a LangChain chat model, for any chain, agent shell or LangGraph node that takes one.

A chat becomes the method's input by the rule of the server (`serve/conversation.py`), and each call is a run in the store like any other.
A stream tells the steps as reasoning while they happen, then the answer, token by token where the method's last node writes it.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field, model_validator

from symposia import registry, runs
from symposia.api import given_params
from symposia.background import wait_for
from symposia.chat_call import chunk_of, failure_of, metadata_of, options_of, stops_of, turns_of
from symposia.config import Config, load_config
from symposia.params import make_params, merged
from symposia.serve.asked import with_form
from symposia.serve.conversation import input_of
from symposia.serve.errors import Refused
from symposia.serve.models import Asked, Catalogue, named_task, takes_chat
from symposia.serve.work import Runs, Work
from symposia.state.errors import BadInput, shorten
from symposia.state.store import Store, open_store
from symposia.structured import METHODS, form_of, structured
from symposia.tools.forms import reply_form
from symposia.tools.settings import configure


class NotOffered(BadInput, NotImplementedError):
    """Something that other chat models do and a method cannot."""


class ChatModel(BaseChatModel):
    """A method as a chat model: `ChatModel("magicore", model="gpt-4o-mini", params={"k": 8}).invoke("Which weighs more ...?")`.

    The message that comes back has `usage_metadata` with the tokens of all calls inside, and `response_metadata` with `run_id`, `method`,
    `status`, `stop_reason`, `calls` and `cost_usd`; a run that fails raises its `SymposiaError`. The synchronous forms work everywhere,
    but inside a running event loop they block it: await `ainvoke` there.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    method: str = Field(description="name of a method or preset, as the server's model names: `magicore`, `magicore@gpt-4o-mini?k=8`")
    model: str | None = Field(None, description="LiteLLM name of the model of every role without one of its own")
    roles: dict[str, str | list[str]] = Field({}, description="models by role")
    prompts: dict[str, str] = Field({}, description="templates by role")
    params: dict[str, Any] = Field({}, description="further parameters of the method")
    seed: int | None = Field(None, ge=0, description="makes repeatable what can be")
    task: str | None = Field(None, description="form of the answer: auto, number, math, letter, text")
    store: str | Path | Store | None = Field(None, exclude=True, description="address of the store, or an open one")
    checkpoints: str = Field("none", description="`each` keeps LangGraph's checkpoint after each step, `none` only the journal")

    def __init__(self, method: str, **fields: Any) -> None:
        """Name the method; see the fields for the rest.

        Raises:
            BadInput: There is no such method, or it cannot have these parameters.
        """
        super().__init__(method=method, **fields)

    @model_validator(mode="after")
    def _can_be(self) -> "ChatModel":
        """Refuse what cannot run when it is said, not at the first call."""
        asked = self._asked(load_config())
        make_params(asked.loaded, asked.given)
        if self.task is not None:
            named_task(self.task)
        if self.checkpoints not in ("each", "none"):
            raise BadInput(f"checkpoints is {self.checkpoints!r}", remedy="say each or none")
        return self

    @property
    def _llm_type(self) -> str:
        return "symposia"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in ("method", "model", "roles", "prompts", "params", "seed", "task")}

    def _get_ls_params(self, stop: list[str] | None = None, **options: Any) -> LangSmithParams:
        """What traces call it: the method, since several models may stand behind it."""
        return LangSmithParams(**{**super()._get_ls_params(stop, **options), "ls_provider": "symposia", "ls_model_name": self.method})

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        """A method calls no tools.

        Raises:
            NotOffered: Always.
        """
        what = f"{self.method} takes no tools: it finds one answer by many calls, and none of them may act"
        raise NotOffered(what, remedy="give the tools to a chat model of your own, with this one as a tool or a node beside it")

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, method: str = "json_schema", strict: bool | None = None, **options: Any
    ) -> Runnable[Any, Any]:
        """The answer as a JSON object of a schema, from a method whose last model writes it and can be told its form.

        Args:
            schema: A pydantic class, whose instances come back; a `TypedDict` or a JSON schema, of which dicts do.
            include_raw: Give `raw`, `parsed` and `parsing_error`.
            method: `json_schema`, or `json_mode` for any JSON object, read by the schema; no method calls functions.
            strict: Asks a provider that has it for exactly this schema.
            options: None are taken.

        Raises:
            NotOffered: No single model writes the method's answer, or the form is to come in another way.
            BadInput: It is no schema.
        """
        if not hasattr(self._asked(load_config()).loaded.module, "ANSWER_ROLE"):
            able = ", ".join(name for name in registry.names() if hasattr(registry.load(name).module, "ANSWER_ROLE"))
            what = f"{self.method} promises no form of its answer, which no single model writes"
            raise NotOffered(
                what, remedy=f"take {able}, ask for it in the question, or hand the answer to a chat model that fills the schema"
            )
        if options or method not in METHODS:
            what = f"{min(options)} cannot be honoured" if options else f"a form cannot be asked for by {shorten(str(method), 40)!r}"
            raise NotOffered(f"{self.method}: {what}", remedy=f"say method={' or '.join(METHODS)}, and include_raw or strict")
        form = form_of(schema, method, strict)
        asked = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
        return structured(self.bind(response_format=form, ls_structured_output_format=asked), schema, include_raw=include_raw)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        async with self._work(messages, stop, options, tells=False) as work:
            await work.whole()
        (strand,) = work.strands
        told = {"reasoning_content": strand.texts["reasoning"]}
        message = AIMessage(strand.texts["content"], additional_kwargs=told, **metadata_of(strand))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with self._work(messages, stop, options, tells=True) as work:
            async for piece in work.pieces():
                yield ChatGenerationChunk(message=chunk_of(piece))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last", **metadata_of(work.strands[0])))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        return wait_for(self._apart()._agenerate(messages, stop, **options))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> Iterator[ChatGenerationChunk]:
        chunks = self._apart()._astream(messages, stop, **options)
        try:
            while (chunk := wait_for(_next(chunks))) is not None:
                yield chunk
        finally:
            wait_for(chunks.aclose())  # type: ignore[attr-defined]

    def _apart(self) -> "ChatModel":
        """The model for the background's event loop, where a store that is open in another loop cannot be used."""
        return self.model_copy(update={"store": self.store.address}) if isinstance(self.store, Store) else self

    @asynccontextmanager
    async def _work(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any], *, tells: bool
    ) -> AsyncIterator[Work]:
        """The run of a call, started; what is still in flight when the caller has gone is cancelled.

        Raises:
            BadInput: The chat or an option is none that the method can take; nothing was called.
            SymposiaError: The run failed.
        """
        config = load_config()
        configure(**config.process)
        asked = self._asked(config)
        images: list[str] = []
        own, chat, stops = options_of(options), turns_of(messages, images), stops_of(stop)
        given = merged(asked.given, {"seed": own["seed"]} if "seed" in own else {})
        inputs = input_of(asked.loaded, chat, asked.task, images) | with_form(asked, reply_form(own.get("response_format")))
        record = runs.new_record(asked.loaded.method.name, given, inputs, checkpoints=self.checkpoints)
        async with _opened(self.store, config) as store:
            home = Runs(store, 1)
            try:
                yield home.work(asked.loaded, [record], stops, tells=tells)
            except Refused as refused:
                raise failure_of(refused) from None
            finally:
                await home.close()

    def _asked(self, config: Config) -> Asked:
        """The method and the parameters of its runs."""
        if self.method in registry.names() and takes_chat(registry.load(self.method)):
            asked = Asked(self.method, registry.load(self.method), given_params(config, self.method), None)
        else:
            asked = Catalogue(config).asked(self.method)
        over: dict[str, Any] = {**self.params, **{k: v for k, v in (("model", self.model), ("seed", self.seed)) if v is not None}}
        given = merged(merged(asked.given, over), {"roles": dict(self.roles), "prompts": dict(self.prompts)})
        return Asked(asked.name, asked.loaded, given, self.task or asked.task)


@asynccontextmanager
async def _opened(store: str | Path | Store | None, config: Config) -> AsyncIterator[Store]:
    """The caller's open store, or one opened for the length of a call."""
    if isinstance(store, Store):
        yield store
        return
    async with open_store(str(store) if store is not None else config.store) as own:
        yield own


async def _next(chunks: AsyncIterator[ChatGenerationChunk]) -> ChatGenerationChunk | None:
    return await anext(chunks, None)
