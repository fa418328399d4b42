"""How values become bytes: strict msgpack, with every longer text stored once.

A text of `INLINE` bytes or more is replaced by its digest and kept as a blob; a list of chat messages becomes a chain of blobs, each
holding the digest of its prefix, so a conversation that grows by a turn costs the turn. A prompt is a list of parts (template, question,
chain, ...), each a text of its own: whatever quotes an earlier reply shares its blob. Nothing is ever unpickled.
"""

import zlib
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import ormsgpack
from langchain_core.messages import BaseMessage, message_to_dict

INLINE = 40
_TEXT, _CHAIN, _SHARED, _PREFIX = 1, 2, 3, 4
_COMPRESS_FROM = 160

Blobs = dict[bytes, bytes]
Fetch = Callable[[bytes], bytes]


def digest(data: bytes) -> bytes:
    """A 128-bit content address."""
    return blake2b(data, digest_size=16).digest()


def digest_of(value: Any) -> bytes:
    """The digest of a JSON-like value; equal values have equal digests whatever the order of their keys."""
    return digest(ormsgpack.packb(value, default=_plain, option=ormsgpack.OPT_SORT_KEYS | ormsgpack.OPT_PASSTHROUGH_BIG_INT))


def request_digest(kind: str, request: Mapping[str, Any], salt: int | None) -> bytes:
    """The digest of what an effect asks for; how a prompt is cut into parts does not matter."""
    joined = {**request, "messages": [_joined(m) for m in request["messages"]]} if "messages" in request else dict(request)
    return digest_of([kind, joined, salt])


def text_of(content: Any) -> Any:
    """A message's content as sent: its parts joined; content of another shape (images) as it is."""
    return "".join(content) if isinstance(content, list) and all(isinstance(p, str) for p in content) else content


def pack(value: Any, blobs: Blobs) -> bytes:
    """Bytes of a value; the texts and message chains taken out of it are added to `blobs`."""
    return ormsgpack.packb(_take_out(value, blobs))


def pack_shared(value: Any, blobs: Blobs) -> bytes:
    """As `pack`, but the packed value is a blob itself, so that equal requests are stored once."""
    data = b"m" + pack(value, blobs)
    ref = digest(data)
    blobs[ref] = data
    return ormsgpack.packb(ormsgpack.Ext(_SHARED, ref))


def unpack(data: bytes, fetch: Fetch) -> Any:
    """The value again; `fetch` gives the blob of a digest."""

    def ext(tag: int, ref: bytes) -> Any:
        if tag == _PREFIX:
            return ref
        if tag == _SHARED:
            return unpack(fetch(ref)[1:], fetch)
        return decode(fetch(ref)) if tag == _TEXT else _chain(ref, fetch)

    return ormsgpack.unpackb(data, ext_hook=ext)


def refs_of(data: bytes) -> list[bytes]:
    """The digests of the blobs that packed data names directly."""
    found: list[bytes] = []

    def ext(_tag: int, ref: bytes) -> None:
        found.append(ref)

    ormsgpack.unpackb(data, ext_hook=ext)
    return found


def sound(text: str) -> str:
    """A text that can be stored and sent: lone surrogates, which JSON can carry and UTF-8 cannot, become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sound_all(value: Any) -> Any:
    """A JSON value whose texts, keys included, are `sound`."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, Mapping):
        return {sound_all(k): sound_all(v) for k, v in value.items()}
    return [sound_all(v) for v in value] if isinstance(value, (list, tuple)) else value


def encode(text: str) -> bytes:
    """A blob of a text, compressed when that is shorter."""
    raw = text.encode("utf-8")
    if len(raw) >= _COMPRESS_FROM:
        packed = zlib.compress(raw, 1)
        if len(packed) < len(raw):
            return b"z" + packed
    return b"t" + raw


def decode(blob: bytes) -> str:
    """The text of a blob."""
    raw = zlib.decompress(blob[1:]) if blob[:1] == b"z" else blob[1:]
    return raw.decode("utf-8")


def _plain(value: Any) -> Any:
    """What msgpack does not know: LangChain messages, and integers beyond 64 bits."""
    if isinstance(value, BaseMessage):
        return message_to_dict(value)
    if isinstance(value, int):
        return {"int": str(value)}
    raise TypeError(f"a state holds plain JSON types and messages, not {type(value).__name__}")


def _joined(message: Mapping[str, Any]) -> dict[str, Any]:
    return {**message, "content": text_of(message["content"])}


def _take_out(value: Any, blobs: Blobs) -> Any:
    if isinstance(value, str):
        if len(value) < INLINE:
            return value
        return ormsgpack.Ext(_TEXT, _put_text(value, blobs))
    if isinstance(value, Mapping):
        return {k: _put_chain(v, blobs) if k == "messages" and v and isinstance(v, list) else _take_out(v, blobs) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_take_out(v, blobs) for v in value]
    return value


def _put_text(text: str, blobs: Blobs) -> bytes:
    ref = digest(text.encode("utf-8"))
    if ref not in blobs:
        blobs[ref] = encode(text)
    return ref


def _put_chain(messages: list[Any], blobs: Blobs) -> Any:
    prefix: Any = None
    for message in messages:
        link = b"m" + ormsgpack.packb([prefix, _take_out(message, blobs)])
        ref = digest(link)
        blobs[ref] = link
        prefix = ormsgpack.Ext(_PREFIX, ref)
    return ormsgpack.Ext(_CHAIN, ref)


def _chain(ref: bytes, fetch: Fetch) -> list[Any]:
    """The messages of a chain, followed from its end in a loop, since a conversation may be longer than a stack is deep."""
    messages: list[Any] = []
    link: bytes | None = ref
    while link is not None:
        link, message = unpack(fetch(link)[1:], fetch)
        messages.append(message)
    return messages[::-1]
