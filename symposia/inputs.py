"""What a run may be given: its input, models that can take it, and state that may be set, checked before any call."""

from collections.abc import Mapping
from typing import Any, get_type_hints

from symposia.registry import Loaded
from symposia.state.chats import kept_messages, plain_chat
from symposia.state.errors import BadInput, UnknownName
from symposia.state.images import check_images
from symposia.state.packing import sound_all
from symposia.tools.answers import task_of
from symposia.tools.checkers import row_tests
from symposia.tools.completion import check_form
from symposia.tools.forms import reply_form
from symposia.tools.llm import model_of
from symposia.tools.rewards import check_images_read

REFERENCES = ("answer", "reference", "gold", "gold_answer")


def check_input(loaded: Loaded, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The input with only known keys, its texts fit to be stored; a `response_format` that asks for nothing is left out.

    Raises:
        BadInput: A key the method does not take, a question that is no text or is empty, images or a form of the answer that are none.
    """
    known = list(get_type_hints(loaded.method.input))
    for key in inputs:
        if key not in known:
            raise UnknownName.of("input", key, known, remedy=f"{loaded.method.name} takes {', '.join(known)}")
    inputs = plain_chat(inputs, known)
    if "question" in known and not inputs.get("messages"):
        question = inputs.get("question")
        if not isinstance(question, str) or not question.strip():
            found = (
                "the question is empty" if question in (None, "") or isinstance(question, str) else f"the question is {question!r}, no text"
            )
            raise BadInput(found, remedy='give one: symposia run METHOD "QUESTION"')
    if inputs.get("images"):
        check_images(inputs.get("question") or "", inputs["images"])
    try:
        task_of(inputs.get("task") or "auto")
    except ValueError as error:
        raise BadInput(str(error)) from None
    if own := getattr(loaded.module, "check_input", None):
        own(inputs)
    form = reply_form(inputs.get("response_format"))
    others = {k: sound_all(v) for k, v in inputs.items() if k != "response_format"}
    return {**others, "response_format": sound_all(form)} if form else others


def check_models(loaded: Loaded, params: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Refuse models that cannot take what an input asks of them, before any of them is called.

    Raises:
        BadInput: The provider of the model that writes the answer takes no form of a reply, or a model of a role reads no images.
    """
    if inputs.get("response_format"):
        check_form(model_of(params, loaded.module.ANSWER_ROLE))
    if inputs.get("images"):
        check_images_read(params)


def row_input(loaded: Loaded, row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The input and the reference of a row of a data set: fields the method takes, and the first field that names a known answer.

    The tests of a row stand for the known answer of a task of programming.
    """
    known = get_type_hints(loaded.method.input)
    reference = next((row[name] for name in REFERENCES if name in row), row_tests(row))
    return {k: v for k, v in row.items() if k in known and k not in REFERENCES}, reference


def check_values(loaded: Loaded, values: Mapping[str, Any]) -> dict[str, Any]:
    """State keys that may be set, as JSON; of images in messages the marks are kept.

    Raises:
        UnknownName: A key the state does not have.
        BadInput: `messages` are none, or one holds, besides images, what cannot be read.
    """
    keys = [k for k in loaded.module.graph.channels if not k.startswith(("__", "branch:"))]
    for key in values:
        if key not in keys:
            raise UnknownName.of("state key", key, keys, remedy=f"{loaded.method.name} has {', '.join(keys)}")
    return {k: sound_all(kept_messages(v) if k == "messages" else v) for k, v in values.items()}
