"""`ChatModel`: a method as a LangChain chat model, for any chain, agent shell or LangGraph node that takes one.

A chat becomes the method's input by the rule of the server (`serve/conversation.py`), and each call is a run in the store like any other.
A stream tells the steps as reasoning while they happen, then the answer, token by token where the method's last node writes it.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, model_validator

from symposia import registry, runs
from symposia.api import given_params
from symposia.background import wait_for
from symposia.config import Config, load_config
from symposia.params import make_params, merged
from symposia.serve.conversation import Turn, input_of
from symposia.serve.errors import Refused
from symposia.serve.models import Asked, Catalogue, takes_chat
from symposia.serve.work import Piece, Runs, Strand, Work
from symposia.state.errors import BadInput, SymposiaError, from_record
from symposia.state.images import read_message
from symposia.state.store import Store, open_store
from symposia.tools.settings import configure

_ROLES = {"system": "system", "human": "user", "ai": "assistant", "developer": "system"}


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
        return self

    @property
    def _llm_type(self) -> str:
        return "symposia"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in ("method", "model", "roles", "prompts", "params", "seed", "task")}

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        """A method calls no tools.

        Raises:
            NotOffered: Always.
        """
        what = f"{self.method} takes no tools: it finds one answer by many calls, and none of them may act"
        raise NotOffered(what, remedy="give the tools to a chat model of your own, with this one as a tool or a node beside it")

    def with_structured_output(self, schema: Any, **options: Any) -> Any:
        """An answer is found by a method and has no form to promise.

        Raises:
            NotOffered: Always.
        """
        what = f"{self.method} promises no form of its answer"
        raise NotOffered(what, remedy="ask for the form in the question, or hand the answer to a chat model that fills the schema")

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
        message = AIMessage(strand.texts["content"], additional_kwargs=told, **_metadata(strand))
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
                yield ChatGenerationChunk(message=_chunk(piece))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last", **_metadata(work.strands[0])))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        return wait_for(self._agenerate(messages, stop, **options))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> Iterator[ChatGenerationChunk]:
        chunks = self._astream(messages, stop, **options)
        try:
            while (chunk := wait_for(_next(chunks))) is not None:
                yield chunk
        finally:
            wait_for(chunks.aclose())  # type: ignore[attr-defined]

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
        seed, chat = _seed(options), _turns(messages, images)
        given = merged(asked.given, {"seed": seed} if seed is not None else {})
        inputs = input_of(asked.loaded, chat, asked.task, images)
        record = runs.new_record(asked.loaded.method.name, given, inputs, checkpoints=self.checkpoints)
        async with _opened(self.store, config) as store:
            home = Runs(store, 1)
            try:
                yield home.work(asked.loaded, [record], stop or [], tells=tells)
            except Refused as refused:
                raise _behind(refused) from None
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


def _turns(messages: Sequence[BaseMessage], images: list[str]) -> list[Turn]:
    """The messages as the method takes them; their images are added to `images`.

    Raises:
        BadInput: One is of a tool, or holds something that is neither text nor an image.
    """
    turns = []
    for number, message in enumerate(messages, 1):
        place = f"message {number}"
        if message.type not in _ROLES or getattr(message, "tool_calls", None):
            raise BadInput(f"a method reads no message of type {message.type!r} or with calls of tools", place=place, remedy="leave it out")
        try:
            text = read_message(message, images)
        except BadInput as error:
            raise BadInput(error.message, place=place, remedy=error.remedy) from None
        turns.append(Turn(_ROLES[message.type], text, message.name))
    return turns


def _seed(options: dict[str, Any]) -> int | None:
    """The seed of a single call, the only option besides `stop`.

    Raises:
        BadInput: Another option is given.
    """
    others = sorted(name for name, value in options.items() if name not in ("seed", "stream") and value is not None)
    if others:
        raise BadInput(f"{others[0]} cannot be honoured by a method", remedy="set parameters of the method: ChatModel(..., params={...})")
    seed: int | None = options.get("seed")
    return seed


def _chunk(piece: Piece) -> AIMessageChunk:
    if piece.kind == "content":
        return AIMessageChunk(content=piece.text)
    return AIMessageChunk(content="", additional_kwargs={"reasoning_content": piece.text})


def _metadata(strand: Strand) -> dict[str, Any]:
    """What the run used and came to; reasoning tokens are those of replies that are not the answer word for word."""
    result = strand.result
    assert result is not None  # noqa: S101 - the run has ended
    sent, back = result.usage["prompt_tokens"], result.usage["completion_tokens"]
    used = UsageMetadata(input_tokens=sent, output_tokens=back, total_tokens=sent + back)
    used["output_token_details"] = {"reasoning": back - strand.shown_tokens}
    told = result.to_json()
    kept = {
        name: told[name] for name in ("run_id", "method", "status", "answer", "stop_reason", "calls", "requests", "cost_usd", "seconds")
    }
    return {"usage_metadata": used, "response_metadata": {**kept, "model_name": result.method, "finish_reason": strand.finish}}


def _behind(refused: Refused) -> SymposiaError:
    """The error of the run behind what a client of the server would be told."""
    run = refused.body.get("symposia") or {}
    if not run.get("error"):
        return SymposiaError(str(refused))
    failure = from_record(run["error"])
    failure.add_note(f"symposia show {run['run_id']} tells what happened before")
    return failure
