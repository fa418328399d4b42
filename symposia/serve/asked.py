"""What the requests of both interfaces have in common: which fields there are, and which of OpenAI's no method can honour.

A field that cannot be honoured is refused unless it has the value that asks for nothing; none is dropped in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from symposia import runs
from symposia.params import make_params, merged
from symposia.serve.conversation import Turn, input_of
from symposia.serve.errors import Refused, refused
from symposia.serve.models import Asked, Catalogue, NoSuchModel
from symposia.serve.parts import Strict
from symposia.state.errors import BadInput

REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {  # field: values that ask for nothing, and why nothing else is taken
    "tools": ((None, []), "no method calls tools of the client"),
    "tool_choice": ((None, "none", "auto"), "no method calls tools of the client"),
    "parallel_tool_calls": ((None, True, False), "no method calls tools of the client"),
    "functions": ((None, []), "no method calls functions of the client"),
    "function_call": ((None, "none", "auto"), "no method calls functions of the client"),
    "logprobs": ((None, False), "an answer that several replies led to has no probabilities of its own"),
    "top_logprobs": ((None, 0), "an answer that several replies led to has no probabilities of its own"),
    "logit_bias": ((None, {}), "tokens of several models have no common numbers"),
    "presence_penalty": ((None, 0), "no method sends it"),
    "frequency_penalty": ((None, 0), "no method sends it"),
    "modalities": ((None, ["text"]), "answers are text"),
    "audio": ((None,), "answers are text"),
    "prediction": ((None,), "no method sends it"),
    "reasoning_effort": ((None,), "say how much to think by the method's parameters, such as METHOD?k=16"),
    "verbosity": ((None,), "say in the question how long an answer is to be"),
    "service_tier": ((None, "auto", "default"), "there is one tier"),
    "store": ((None, True), "every run is kept in the store, so that it can be replayed"),
    "web_search_options": ((None,), "no method searches the web"),
    "prompt_cache_key": ((None,), "no method sends it"),
}
_TOLD: tuple[dict[str, Any], ...] = tuple({"summary": each} for each in (None, "auto", "detailed"))
"""What is done anyway: a response holds the steps of its run as a summary of reasoning."""
REFUSED_OF_RESPONSES: dict[str, tuple[tuple[Any, ...], str]] = {
    **{name: REFUSED[name] for name in ("tools", "tool_choice", "parallel_tool_calls", "top_logprobs", "service_tier", "store")},
    "prompt_cache_key": REFUSED["prompt_cache_key"],
    "reasoning": ((None, {}, {"effort": None}, *_TOLD, *({"effort": None, **each} for each in _TOLD)), REFUSED["reasoning_effort"][1]),
    "previous_response_id": ((None,), "send the turns before as `input`"),
    "conversation": ((None,), "send the turns before as `input`"),
    "prompt": ((None,), "no prompts are kept here"),
    "include": ((None, []), "there is nothing more to include"),
    "background": ((None, False), "take `symposia run` for a run without a client"),
    "truncation": ((None, "disabled"), "nothing of a chat is left out"),
    "max_tool_calls": ((None,), "no method calls tools of the client"),
}

ModelName = Annotated[
    str,
    Field(min_length=1, description="METHOD[@MODEL][?PARAM=VALUE&...], or a preset in place of the method", examples=["chain_of_thought"]),
]
Temperature = Annotated[float | None, Field(ge=0, le=2, description="of every call of the run; by default each role has its own")]
TopP = Annotated[float | None, Field(gt=0, le=1, description="of every call of the run; by default each role has its own")]
Longest = Annotated[int | None, Field(ge=1, le=10**6, description="longest reply of every call of the run, in tokens")]
Metadata = Annotated[dict[str, str] | None, Field(max_length=16, description="kept in the run's record")]
Person = Annotated[str | None, Field(max_length=200, description="who asks; kept in the run's record")]


class StreamOptions(Strict):
    """What a stream holds besides."""

    include_usage: Annotated[bool | None, Field(description="end with a chunk that has the usage")] = None
    include_obfuscation: Literal[False] | None = None


class AskedFor(Strict):
    """What the requests of both interfaces ask for in the same words."""

    model: ModelName
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature = None
    top_p: TopP = None
    user: Person = None
    safety_identifier: Person = None
    metadata: Metadata = None

    def wants(self, turns: list[Turn], images: list[str], longest: int | None, form: dict[str, Any] | None, **own: Any) -> "Wanted":
        """The request as the runs need it; `longest` is in tokens.

        Raises:
            Refused: It has options of a stream and wants none.
        """
        if self.stream_options is not None and not self.stream:
            raise Refused(400, "stream_options belong to a stream", param="stream_options")
        notes = {"user": self.user, "safety_identifier": self.safety_identifier, "metadata": self.metadata}
        return Wanted(
            model=self.model,
            turns=turns,
            images=images,
            form=form,
            sampling={"temperature": self.temperature, "top_p": self.top_p, "max_tokens": longest},
            notes={name: value for name, value in notes.items() if value is not None},
            **own,
        )


@dataclass(frozen=True)
class Wanted:
    """A request, whichever interface it came by."""

    model: str
    turns: list[Turn]
    images: list[str] = field(default_factory=list)
    """Data URLs, in the order of their marks."""
    form: dict[str, Any] | None = None
    """Of the answer, as chat completions name it."""
    n: int = 1
    seed: int | None = None
    stops: list[str] = field(default_factory=list)
    sampling: dict[str, Any] = field(default_factory=dict)
    """Of every role."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Who asks, for the records."""


def records_of(catalogue: Catalogue, wanted: Wanted) -> tuple[Asked, list[dict[str, Any]]]:
    """The runs that a request asks for, checked: nothing has been called.

    Raises:
        Refused: It asks for something that cannot be.
    """
    try:
        asked = catalogue.asked(wanted.model)
    except NoSuchModel as error:
        raise Refused(404, str(error), code="model_not_found", param="model") from None
    except BadInput as error:
        raise refused(error, "model") from None
    try:
        given = _with_sampling(asked, wanted.sampling)
        inputs = input_of(asked.loaded, wanted.turns, asked.task, wanted.images)
        inputs |= with_form(asked, wanted.form)
        own = [{**given, "seed": wanted.seed + i} if wanted.seed is not None else given for i in range(wanted.n)]
        made = [runs.new_record(asked.loaded.method.name, one, inputs, checkpoints="none") for one in own]
    except BadInput as error:
        raise refused(error) from None
    return asked, [{**record, "served": {"model": wanted.model, **wanted.notes}} for record in made]


def with_form(asked: Asked, form: dict[str, Any] | None) -> dict[str, Any]:
    """What the input says of the answer's form: the answer is then the whole of what the last model writes.

    Raises:
        BadInput: No single model writes the answer.
    """
    if form is None:
        return {}
    if not hasattr(asked.loaded.module, "ANSWER_ROLE"):
        why = "no single model writes its answer by itself, which could be told a form"
        raise BadInput(f"response_format cannot be honoured by {asked.loaded.method.name}: {why}", remedy="ask for it in the question")
    return {"response_format": form, "task": asked.task or "text"}


def _with_sampling(asked: Asked, sampling: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a run with the client's sampling for every role that samples."""
    chosen = {name: value for name, value in sampling.items() if value is not None}
    if not chosen:
        return asked.given
    roles = make_params(asked.loaded, asked.given).sampling
    if not roles:
        raise BadInput(f"{', '.join(chosen)} cannot be honoured: no role of {asked.loaded.method.name} samples", remedy="leave it out")
    return merged(asked.given, {"sampling": {role: chosen for role in roles}})
