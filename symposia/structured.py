"""An answer of a given form from a chat model whose method can be told one: what is asked of it, and its reply read.

Follows LangChain's conventions: a pydantic class gives its instances, a `TypedDict` or a JSON schema plain dicts; `include_raw` gives the
message as well, and a reply that could not be read as `parsing_error`.
"""

import re
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel

from symposia.state.errors import BadInput, shorten

METHODS = ("json_schema", "json_mode")
"""How a form may be asked for, as LangChain names it."""
_NAME = "answer"


def form_of(schema: Any, method: str, strict: bool | None) -> dict[str, Any]:
    """The `response_format` that asks for a schema.

    Raises:
        BadInput: It is no schema.
    """
    if method == "json_mode":
        return {"type": "json_object"}
    given = _described(schema)
    try:
        made = given if _is_whole(given) else convert_to_json_schema(given, strict=strict)
    except Exception as error:  # whatever a class or a dict that is none of these makes LangChain or pydantic raise
        what = f"{shorten(repr(schema), 80)} is no schema: {shorten(str(error), 80)}"
        raise BadInput(what, remedy="give a pydantic class, a TypedDict, or a JSON schema") from None
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(made["title"]))[:64] or _NAME
    return {"type": "json_schema", "json_schema": {"name": name, "schema": made, **({"strict": strict} if strict is not None else {})}}


def _described(schema: Any) -> Any:
    """What describes the answer, with a title: the schema itself, or that of a whole `response_format`, as LangChain takes it too."""
    if not isinstance(schema, Mapping) or not schema:
        return schema
    inner = schema.get("json_schema") if schema.get("type") == "json_schema" else schema
    if isinstance(inner, Mapping) and isinstance(inner.get("schema"), Mapping):
        return {**inner["schema"], "title": inner.get("name", _NAME)}
    return schema if {"title", "name", "function"} & set(schema) else {"title": _NAME, **schema}


def _is_whole(given: Any) -> bool:
    """Whether it is a JSON schema that says without `properties` what an answer is, of which LangChain would keep the title alone."""
    return isinstance(given, Mapping) and "title" in given and "properties" not in given and bool(set(given) - {"title", "description"})


def structured(model: Runnable[Any, Any], schema: Any, *, include_raw: bool) -> Runnable[Any, Any]:
    """The model's reply read by a schema."""
    of_class = isinstance(schema, type) and issubclass(schema, BaseModel)
    parser: Runnable[Any, Any] = PydanticOutputParser(pydantic_object=schema) if of_class else JsonOutputParser()
    if not include_raw:
        return model | parser
    read = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unread = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | read.with_fallbacks([unread], exception_key="parsing_error")
