"""Parameters, questions and the metadata of a method."""

import ast
import operator
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired, Self

from langchain_core.messages import AnyMessage
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from symposia.state.channels import chat, settled

Answer = str | int | float


class Sampling(BaseModel):
    """How a role samples; None leaves a value to the provider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0, description="0 is greedy")
    top_p: float | None = Field(None, gt=0, le=1, description="nucleus sampling")
    max_tokens: int | None = Field(None, ge=1, description="longest reply, in tokens")
    min_tokens: int | None = Field(None, ge=0, description="shortest reply, in tokens; sent to vLLM only, others do not know it")
    stop: list[str] | None = Field(None, description="texts that end a reply")


class BaseParams(BaseModel):
    """What every run has; a method adds its own fields and sets `prompts` and `sampling` to the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("toy/default", description="LiteLLM name of the model of every role that has none of its own")
    roles: dict[str, str | list[str]] = Field({}, description="models by role; a list gives several agents, used in turn")
    prompts: dict[str, str] = Field({}, description="templates by role; the defaults are the method's")
    sampling: dict[str, Sampling] = Field({}, description="temperature and limits by role; the defaults are the paper's")
    seed: int | None = Field(None, ge=0, le=2**31 - 1, description="makes repeatable what can be; None sends no seed")
    max_reasks: int = Field(2, ge=0, le=10, description="how often an unreadable reply of fixed form is asked for again")
    quorum: int = Field(1, ge=1, description="samples that must come back, or the run fails")
    use_n: bool = Field(False, description="ask for all samples of a prompt in one request, where the provider can")
    artefact: str | None = Field(None, description="id of what `symposia prepare` made for this method")

    @field_validator("prompts", "sampling", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any, info: Any) -> Any:
        """Lay what was given over the method's defaults, key by key."""
        if not isinstance(given, Mapping):
            return given
        defaults = cls.model_fields[info.field_name].default
        unknown = set(given) - set(defaults)
        if unknown:
            raise ValueError(f"no role {sorted(unknown)[0]!r}; this method has {', '.join(sorted(defaults)) or 'none'}")
        if info.field_name == "prompts":
            return {**defaults, **given}
        plain = {k: v.model_dump() if isinstance(v, Sampling) else v for k, v in {**defaults, **given}.items()}
        return {k: {**(defaults[k].model_dump()), **v} if isinstance(v, Mapping) else v for k, v in plain.items()}

    @field_validator("prompts")
    @classmethod
    def _placeholders(cls, prompts: dict[str, str]) -> dict[str, str]:
        """A replaced prompt uses only placeholders that its node fills."""
        for role, template in prompts.items():
            fields = placeholders(cls.model_fields["prompts"].default[role])
            try:
                used = placeholders(template)
            except ValueError as error:
                raise ValueError(f"prompt of {role}: {error}; literal braces are written {{{{ and }}}}") from None
            if not used <= fields:
                known = ", ".join(f"{{{name}}}" for name in sorted(fields))
                raise ValueError(f"prompt of {role} uses {{{min(used - fields)}}}; it may use {known}")
            if fields and not used:
                raise ValueError(f"prompt of {role} uses no placeholder; it may use {', '.join(sorted(fields))}")
        return prompts

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """The parameters of the run that a state belongs to."""
        return cls.model_validate(state["params"])


def placeholders(template: str) -> set[str]:
    """The names a `str.format` template fills.

    Raises:
        ValueError: The braces do not match, or a placeholder is more than a name.
    """
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    for name in names:
        if not name.isidentifier():
            raise ValueError(f"placeholder {{{name}}} is not a plain name")
    return names


class Question(TypedDict):
    """The input of a method that answers one question: text, or a chat whose last message is the question."""

    question: NotRequired[Annotated[str, Field(title="Question", description="the problem, options included")]]
    task: NotRequired[Annotated[str, Field(title="Task", description="form of the answer: auto, number, math, letter, text")]]
    messages: NotRequired[Annotated[list[AnyMessage], Field(description="a chat that ends with the question, in place of one"), chat]]


class Illustrated(Question):
    """The input of a method whose prompts can hold the images of a question (`symposia.state.images`)."""

    images: NotRequired[Annotated[list[str], Field(title="Images", description="data URLs of what the question calls [image 1], ...")]]


class Formed(Illustrated):
    """The input of a method whose last model can also be told what form its answer has."""

    response_format: NotRequired[
        Annotated[dict[str, Any], Field(title="Response format", description="form of the answer, as OpenAI's interface writes it")]
    ]


class BaseState(Question):
    """What every state has besides its question."""

    params: Annotated[dict[str, Any], settled]
    artefact: Annotated[dict[str, Any], settled]
    """What `prepare` made for the data set, when the run names one."""
    images: NotRequired[list[str]]
    """Those of the question, replaced with it. LangGraph's checkpoints hold them whole, each of them; the journal and the record once."""
    response_format: NotRequired[dict[str, Any]]
    answer: NotRequired[Answer | None]
    stop_reason: NotRequired[str]


Share = str | tuple[str, ...]
"""The calls of each agent of a role, as an expression over the parameters; where agents differ, one for each of them."""


@dataclass(frozen=True)
class Method:
    """Metadata of a method, from which the command line, the tables, the server and `langgraph.json` are made."""

    name: str
    title: str
    arxiv: str
    year: int
    family: str
    roles: tuple[str, ...]
    calls: str
    """Completions of a question at most, as an expression over the parameters, scoring not counted."""
    scoring: str = "0"
    """Scorer calls of a question at most, likewise."""
    by_role: Mapping[str, tuple[str, Share] | tuple[str, Share, str]] = field(default_factory=dict)
    """Of both, the part of each role that can be told, likewise: how many agents it has, who take turns among its models, the calls of
    each, and maybe the role whose models it has without any of its own."""
    by_choice: Mapping[str, str] = field(default_factory=dict)
    """Likewise the calls of each role of whose models a run chooses, so that any one of them may make them all; under "" the calls for
    which a run takes its own model, whatever the roles name."""
    from_artefact: Mapping[str, str] = field(default_factory=dict)
    """Roles whose models an artefact names where the run names none, with the key under which it does."""
    input: type = Question
    items: str = "arithmetic"
    """The bundled set of toy problems this method is shown on."""

    def count(self, expression: str, params: BaseParams) -> int:
        """The value of `calls` or `scoring` for given parameters."""
        return int(_value(ast.parse(expression, mode="eval").body, dict(params)))


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type, Callable[..., bool]] = {ast.Eq: operator.eq, ast.Gt: operator.gt}


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Value of an arithmetic expression over names."""
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.Compare(left=ast.Name() as left, ops=[op], comparators=[ast.Constant(value=value)]) if type(op) in _COMPARISONS:
            return int(_COMPARISONS[type(op)](_value(left, names), value))
        case ast.Name(id=name):
            if name not in names:
                raise ValueError(f"no parameter {name!r}")
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.Call(func=ast.Name(id="max" | "min" as which), args=args):
            values = [_value(a, names) for a in args]
            return max(values) if which == "max" else min(values)
    raise ValueError(f"not arithmetic over parameters: {ast.unparse(node)}")


class Sample(TypedDict):
    """A reply of a role: its text, what the parser read from it, and whether it counts."""

    status: str
    """`ok`, `unreadable`, `refused`, `truncated` or `failed`."""
    text: str
    value: NotRequired[Any]
    error: NotRequired[dict[str, Any]]
