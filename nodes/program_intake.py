"""The first node of a method that works on a program: it checks task and code, and makes the state say all the run depends on."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, cast

from langchain_core.messages import AnyMessage, convert_to_messages
from langgraph.runtime import Runtime
from langgraph.types import Overwrite
from pydantic import Field
from typing_extensions import TypedDict

from symposia.state.channels import chat, settled
from symposia.state.errors import BadInput, shorten
from symposia.state.graph import GROWING
from symposia.state.packing import sound, sound_all

TEXTS = ("prompt", "signature", "entry_point", "code", "canonical_solution", "test")
"""The input's fields that are texts."""

PROGRAMS = ("code", "canonical_solution", "test")
"""Those of them that are programs."""

LISTS = ("test_list", "test_imports")
"""Those that are lists of texts."""

_HEAD = re.compile(rf"^[ \t]*({'|'.join(TEXTS)}):", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"\A(`{3,})\w*\n(.*?)\n\1\Z", re.DOTALL)


class Program(TypedDict):
    """A task and a program written for it, with tests: the fields of MBPP and of EvalPlus.

    `canonical_solution` and `test` are known answers: they measure a finished run, and reach no prompt.
    """

    prompt: NotRequired[Annotated[str, Field(title="Task", description="what the function has to do")]]
    code: NotRequired[Annotated[str, Field(title="Code", description="the program as it is, faulty or not")]]
    signature: NotRequired[Annotated[str, Field(title="Signature", description="the function's; by default as in the code")]]
    entry_point: NotRequired[Annotated[str, Field(title="Entry point", description="the function's name; by default the code's last one")]]
    test_list: NotRequired[Annotated[list[str], Field(title="Visible tests", description="assert statements; a prompt shows the first")]]
    test_imports: NotRequired[Annotated[list[str], Field(title="Imports of the tests", description="import statements")]]
    canonical_solution: NotRequired[Annotated[str, Field(title="Right solution", description="for measuring, and for the arm oracle")]]
    test: NotRequired[Annotated[str, Field(title="Hidden tests", description="Python that raises on a wrong program; for measuring")]]
    messages: NotRequired[Annotated[list[AnyMessage], Field(description="a chat whose last message holds task and code"), chat]]


class Received(Program):
    """The input and the parameters, which a thread that has answered before holds already."""

    params: Annotated[dict[str, Any], settled]


def from_messages(messages: Sequence[Any]) -> Program:
    """The input that a chat's last message holds: lines "Prompt:", "Code:" and, where known, "Signature:", "Entry_point:" and the others.

    A text may stand in a fence.

    Raises:
        BadInput: The message has no task, or no code.
    """
    text = str(convert_to_messages([messages[-1]])[0].text) if messages else ""
    heads = list(_HEAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    found = {head[1].lower(): _field(head[1].lower(), text[head.end() : end]) for head, end in zip(heads, ends, strict=False)}
    if not {"prompt", "code"} <= set(found):
        remedy = 'write "Prompt:" and the task, then "Code:" and the program, each label at the beginning of a line'
        raise BadInput("the last message holds no task with code", remedy=remedy)
    return cast("Program", found)


def _field(name: str, text: str) -> str:
    """A field's text without fence; a program ends with a line break."""
    found = _FENCE.match(text.strip())
    plain = (found[2] if found else text).strip("\n")
    return f"{plain}\n" if name in PROGRAMS else plain.strip()


def check_input(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an input, or of the chat that stands for one, with entry point and signature read from the code where they are missing.

    Raises:
        BadInput: Task or code is missing or empty, a field is of the wrong kind, or the entry point is no name and none can be found.
    """
    messages = convert_to_messages(given.get("messages") or [])
    asked: Mapping[str, Any] = from_messages(messages) if messages and messages[-1].type == "human" else given
    found: dict[str, Any] = {}
    for key in TEXTS:
        value = asked.get(key)
        if value is None and key not in ("prompt", "code"):
            continue
        if not isinstance(value, str) or not value.strip():
            what = "missing" if value is None else "empty" if isinstance(value, str) else f"no text: {shorten(repr(value), 60)}"
            raise BadInput(f"the {key} is {what}", remedy=f"give it: --input {key}=@FILE, or a row's field {key}")
        found[key] = sound(value)
    for key in LISTS:
        value = asked.get(key) or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise BadInput(f"the {key} is no list of texts: {shorten(repr(value), 60)}", remedy="give a list of Python statements")
        found |= {key: sound_all(value)} if key in asked else {}
    return found | _named(found)


def _named(found: Mapping[str, Any]) -> dict[str, str]:
    """Entry point and signature, as given or as in the code."""
    functions, fault = _functions(found["code"])
    name = found.get("entry_point") or (functions[-1].name if functions else "")
    if not name.isidentifier():
        nameless = (
            f"the code cannot be parsed ({fault}), which hides its function" if fault else "the code has no function at its top level"
        )
        what = f"the entry point {shorten(name, 40)!r} is no name" if name else nameless
        raise BadInput(what, remedy="name the function: --input entry_point=NAME, or a row's field entry_point")
    own = next((f for f in functions if f.name == name), None)
    return {"entry_point": name, "signature": found.get("signature") or (f"{name}({ast.unparse(own.args)})" if own else f"{name}(...)")}


def _functions(code: str) -> tuple[list[ast.FunctionDef], str]:
    """The functions at the top level of a program, and why it cannot be parsed, if so."""
    try:
        return [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)], ""
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return [], shorten(str(error), 80)


async def intake(state: Received, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state and check the program; on a thread that has answered before, its lists are emptied.

    Raises:
        BadInput: As `check_input`; or the arm `oracle` has no `canonical_solution`.
    """
    params, given = runtime.context, check_input(state)
    if getattr(params, "mode", "") == "oracle" and "canonical_solution" not in given:
        raise BadInput("the arm oracle needs a right solution", remedy="give rows a field canonical_solution, or take another -p mode")
    old: dict[str, Any] = {key: Overwrite([]) for key in GROWING.get()} if state["params"] else {}
    return {**old, **given, "params": params.model_dump(mode="json")}
