"""What a request is made of in both interfaces: parts of a message, messages, and the form that an answer is to have."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from symposia.serve.conversation import Turn
from symposia.state.images import mark


class Strict(BaseModel):
    """A part of a request: no field that is not known, no value of another kind."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def without_refused(given: Any, table: Mapping[str, tuple[tuple[Any, ...], str]]) -> Any:
    """A request without the fields that ask for nothing.

    Raises:
        ValueError: A field asks for what cannot be honoured.
    """
    if not isinstance(given, Mapping):
        return given
    for name, (nothing, why) in table.items():
        if name in given and given[name] not in nothing:
            raise ValueError(f"{name} cannot be honoured: {why}")
    return {name: value for name, value in given.items() if name not in table}


class TextPart(Strict):
    """A part of a message that is text."""

    type: Literal["text", "input_text", "output_text"]
    text: str

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        """Drop what servers add to the text of an answer."""
        return without_refused(given, _ADDED_TO_TEXT)

    @property
    def image(self) -> None:
        """It is none."""


class ImageUrl(Strict):
    """An image, as data."""

    url: str

    @model_validator(mode="before")
    @classmethod
    def _as_it_is(cls, given: Any) -> Any:
        """Refuse another resolution."""
        return without_refused(given, _DETAIL)


class ImagePart(Strict):
    """A part of a message that is an image."""

    type: Literal["image_url"]
    image_url: ImageUrl

    @property
    def image(self) -> str:
        """Its data URL."""
        return self.image_url.url


class InputImagePart(Strict):
    """The same, as `/v1/responses` writes it."""

    type: Literal["input_image"]
    image_url: str

    @model_validator(mode="before")
    @classmethod
    def _as_it_is(cls, given: Any) -> Any:
        """Refuse another resolution, and files that nobody keeps here."""
        return without_refused(given, {**_DETAIL, "file_id": ((None,), "no files are kept here; send the image itself")})

    @property
    def image(self) -> str:
        """Its data URL."""
        return self.image_url


_DETAIL: dict[str, tuple[tuple[Any, ...], str]] = {"detail": ((None, "auto"), "images are sent as they are")}
_PARTS = {"text": TextPart, "input_text": TextPart, "output_text": TextPart, "image_url": ImagePart, "input_image": InputImagePart}


def _part_kind(given: Any) -> Any:
    """Name what a part cannot be; anything that has no kind is told as a text would be."""
    kind = given.get("type") if isinstance(given, Mapping) else getattr(given, "type", None)
    if isinstance(kind, str) and kind not in _PARTS:
        raise ValueError(f"a part of type {kind[:40]!r} cannot be read: the methods take text and images, no sounds or files")
    return given


_ADDED_TO_TEXT: dict[str, tuple[tuple[Any, ...], str]] = {
    "annotations": ((None, []), "no method reads annotations"),
    "logprobs": ((None, []), "no method reads probabilities"),
}
Part = Annotated[Annotated[TextPart | ImagePart | InputImagePart, Field(discriminator="type")], BeforeValidator(_part_kind)]
Content = str | list[Part]


class Said(Strict):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content

    def turn(self, images: list[str], name: str | None = None) -> Turn:
        """As methods take it; its images are added to `images`, with a mark each in the text."""
        texts = [self.content] if isinstance(self.content, str) else []
        for part in () if isinstance(self.content, str) else self.content:
            if part.image is not None:
                images.append(part.image)
            texts.append(mark(len(images)) if part.image is not None else part.text)
        return Turn("system" if self.role == "developer" else self.role, "\n".join(texts), name)


class Plain(Strict):
    """No form: the answer is text."""

    type: Literal["text"]

    @property
    def form(self) -> None:
        """Nothing is asked for."""


class JsonObject(Strict):
    """Any JSON object."""

    type: Literal["json_object"]

    @property
    def form(self) -> dict[str, Any]:
        """As chat completions write it."""
        return {"type": "json_object"}


class Schema(Strict):
    """A JSON schema with a name."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None

    @property
    def form(self) -> dict[str, Any]:
        """As chat completions write it."""
        fields = self.model_dump(by_alias=True, exclude_none=True, include={"name", "schema_", "description", "strict"})
        return {"type": "json_schema", "json_schema": fields}
