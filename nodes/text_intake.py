"""The first node of a method that mends a text about a document: it checks the two and makes the state say all the run depends on."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from langchain_core.messages import AnyMessage, convert_to_messages
from langgraph.runtime import Runtime
from langgraph.types import Overwrite
from pydantic import Field
from typing_extensions import TypedDict

from symposia.state.channels import chat, settled
from symposia.state.errors import BadInput, shorten
from symposia.state.graph import GROWING
from symposia.state.packing import sound_all
from symposia.tools.sentences import split_sentences


class Text(TypedDict):
    """A document and a text written about it: the input of a method that mends the text."""

    document: NotRequired[Annotated[str, Field(title="Document", description="the only evidence that counts")]]
    summary: NotRequired[Annotated[str, Field(title="Text to mend", description="a summary of the document, or a long answer from it")]]
    topic: NotRequired[Annotated[str, Field(title="Topic", description="what the summary is about, or the question of a long answer")]]
    form: NotRequired[Annotated[str, Field(title="Form", description="summary or answer: what the text is")]]
    sentences: NotRequired[Annotated[list[str], Field(title="Sentences", description="the text's sentences, where they are known")]]
    messages: NotRequired[Annotated[list[AnyMessage], Field(description="a chat whose last message holds document and text"), chat]]


class Received(Text):
    """The input and the parameters, which a thread that has answered before holds already."""

    params: Annotated[dict[str, Any], settled]


def from_messages(messages: Sequence[Any]) -> Text:
    """The input that a chat's last message holds: lines "Topic:" (or "Question:"), "Document:" and "Summary:" (or "Answer:"), in order.

    Raises:
        BadInput: The message has no document, or no text about it.
    """
    text = str(convert_to_messages([messages[-1]])[0].text) if messages else ""
    document = re.search(r"^[ \t]*Document:", text, re.IGNORECASE | re.MULTILINE)
    texts = list(re.finditer(r"^[ \t]*(Summary|Answer):", text, re.IGNORECASE | re.MULTILINE))
    if document is None or not texts or texts[-1].start() < document.end():
        what = "the last message holds no document and text"
        raise BadInput(
            what, remedy='write "Document:", the document, then "Summary:" (or "Answer:") and the text, each on a line of its own'
        )
    found = Text(document=text[document.end() : texts[-1].start()].strip(), summary=text[texts[-1].end() :].strip())
    found["form"] = texts[-1][1].lower()
    if topic := re.search(r"^[ \t]*(?:Topic|Question):(.*)", text[: document.start()], re.IGNORECASE | re.MULTILINE | re.DOTALL):
        found["topic"] = topic[1].strip()
    return found


def check_input(given: Mapping[str, Any]) -> dict[str, Any]:
    """The document, the text about it, its topic, its form and its sentences, from an input or from the chat that stands for one.

    Raises:
        BadInput: There is no document or no text, or a field is of the wrong kind.
    """
    messages = convert_to_messages(given.get("messages") or [])
    asked: Mapping[str, Any] = from_messages(messages) if messages and messages[-1].type == "human" else given
    document, summary = asked.get("document"), asked.get("summary")
    for key, value in (("document", document), ("summary", summary)):
        remedy = f"give it: --input {key}=@FILE, or a row's field {key}"
        if not isinstance(value, str):
            found = "missing" if value is None else f"no text: {shorten(repr(value), 60)}"
            raise BadInput(f"the {key} is {found}", remedy=remedy)
        if key == "document" and not value.strip():
            raise BadInput("the document is empty", remedy=remedy)
    form, topic, sentences = asked.get("form") or "summary", asked.get("topic") or "Unknown", asked.get("sentences") or []
    if form not in ("summary", "answer"):
        raise BadInput(f"the form is {shorten(repr(form), 60)}", remedy="say summary or answer")
    if not isinstance(topic, str):
        raise BadInput(f"the topic is no text: {shorten(repr(topic), 60)}", remedy="give a text, or leave it out")
    if not isinstance(sentences, list) or not all(isinstance(s, str) for s in sentences):
        raise BadInput("the sentences are no list of texts", remedy="give the text's sentences, or leave the field out")
    cut = sentences or split_sentences(str(summary))
    plain = {"document": document, "summary": summary, "topic": topic, "form": form, "sentences": cut}
    return {key: sound_all(value) for key, value in plain.items()}


async def intake(state: Received, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state and check the text; a chat that ends with a person's message gives document and text.

    On a thread that has answered before, the lists of the former text are emptied.

    Raises:
        BadInput: As `check_input`; or the text has more sentences than `max_sentences`.
    """
    params, given = runtime.context, check_input(state)
    n, most = len(given["sentences"]), params.max_sentences
    if n > most:
        raise BadInput(f"the text has {n} sentences, {most} are allowed", remedy=f"allow them: -p max_sentences={n}")
    again, begun = bool(state["params"]), [given["summary"]]
    old: dict[str, Any] = {key: Overwrite([]) for key in GROWING.get()} if again else {}
    return {**old, **given, "texts": Overwrite(begun) if again else begun, "params": params.model_dump(mode="json")}
