"""Images in a question: in its text a mark each, `[image 1]`, and beside it the images as data, in the order of the marks.

In a prompt an image is a text too, its digest, so what is journaled, shown and compared never holds its data; only what is sent to a model
does. What stands at an address may change, and fetching it here would be somebody else's choice of an address, so none is taken.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from symposia.state.errors import BadInput, shorten
from symposia.state.packing import digest

MOST = 20
"""Images of one question."""
_MARK = re.compile(r"\[image (\d{1,3})\]")
_DATA = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")


class Image(str):
    """A part of a prompt that is an image: as a text `[image DIGEST]`."""

    url: str
    """Its data, as `data:image/png;base64,...`."""

    def __new__(cls, url: str) -> "Image":
        """Take the data."""
        found = super().__new__(cls, f"[image {digest(url.encode()).hex()}]")
        found.url = url
        return found


def mark(number: int) -> str:
    """What stands in a question for an image, counted from 1."""
    return f"[image {number}]"


def pictured(question: str, images: Sequence[str] | None) -> str | list[str]:
    """A question as a field of a prompt: the text itself without images, else its parts, each image where its mark stands."""
    return list(_parts(question, images)) if images else question


def _parts(question: str, images: Sequence[str]) -> Iterator[str]:
    at = 0
    for found in _MARK.finditer(question):
        if 1 <= int(found[1]) <= len(images):
            if found.start() > at:
                yield question[at : found.start()]
            yield Image(images[int(found[1]) - 1])
            at = found.end()
    if at < len(question):
        yield question[at:]


def unmarked(question: str, images: Sequence[str]) -> list[int]:
    """The numbers of the images that a question does not mention."""
    return [n for n in range(1, len(images) + 1) if mark(n) not in question]


def check_images(question: str, images: Any) -> None:
    """Refuse what is no list of images that the question mentions.

    Raises:
        BadInput: It is none.
    """
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise BadInput("`images` is no list of texts", remedy='give ["data:image/png;base64,..."]')
    if len(images) > MOST:
        raise BadInput(f"there are {len(images)} images", remedy=f"a question has {MOST} at most")
    for number, image in enumerate(images, 1):
        if not _DATA.fullmatch(image):
            what = f"image {number} is no PNG, JPEG, GIF or WebP as a data URL; it begins with '{shorten(image[:60], 40)}'"
            raise BadInput(what, remedy="send the image itself, as data:image/png;base64,...; nothing is fetched from an address")
    if lost := unmarked(question, images):
        raise BadInput(f"the question does not mention image {lost[0]}", remedy=f"write {mark(lost[0])} into it where the image belongs")


def as_sent(content: Any) -> Any:
    """The content of a message as OpenAI's interface takes it: one text, or parts where it holds images."""
    if not isinstance(content, list) or not any(isinstance(part, Image) for part in content):
        return content
    parts: list[dict[str, Any]] = []
    for part in content:
        if isinstance(part, Image):
            parts.append({"type": "image_url", "image_url": {"url": part.url}})
        elif parts and parts[-1]["type"] == "text":
            parts[-1]["text"] += part
        elif part:
            parts.append({"type": "text", "text": part})
    return parts


def read_message(message: BaseMessage, images: list[str]) -> str:
    """The text of a chat message; its images are added to `images`, with a mark each in the text.

    Raises:
        BadInput: A part of it is neither text, nor an image, nor what a model thought.
    """
    blocks: Sequence[Mapping[str, Any]] = message.content_blocks
    texts = []
    for block in blocks:
        kind = str((block.get("value") or block).get("type"))
        if kind == "text":
            texts.append(str(block["text"]))
        elif kind == "image":
            images.append(f"data:{block.get('mime_type')};base64,{block['base64']}" if "base64" in block else str(block.get("url")))
            texts.append(mark(len(images)))
        elif kind != "reasoning":
            raise BadInput(f"a part of type {shorten(kind, 40)!r} cannot be read: the methods take text and images", remedy="leave it out")
    return "\n".join(texts) if any(block["type"] == "image" for block in blocks) else str(message.text)


def marked(message: BaseMessage) -> BaseMessage:
    """The message with its text and marks in place of parts that hold images; any other message as it is.

    Raises:
        BadInput: Besides images it holds what cannot be read (`read_message`).
    """
    images: list[str] = []
    text = read_message(message, images) if any(block["type"] == "image" for block in message.content_blocks) else ""
    return message.model_copy(update={"content": text}) if images else message
