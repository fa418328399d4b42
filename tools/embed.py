"""Texts as vectors: an embedding model through LiteLLM, or scikit-learn's hashing of words and letters, which needs no network.

A request holds up to `BATCH` texts and is one effect of the journal, with its tokens and its cost; it is no completion, so it adds nothing
to a run's calls. The journal keeps the vectors as 32-bit floats in base64, a text per request: four bytes a number rather than the 20 of
JSON. The same texts in another order, or cut into other requests, are other effects.

The hashing embedder stands for no language model: it knows words and parts of words, and of two texts only what they share of these.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from symposia.state.errors import BadInput, MalformedReply, ModelNotFound
from symposia.state.journal import Failed, Outcome, effect
from symposia.state.place import fan
from symposia.state.store import Usage
from symposia.tools.compatible import NAME, failure_behind
from symposia.tools.failures import named
from symposia.tools.limits import Limiter, limiter
from symposia.tools.pool.residence import house
from symposia.tools.providers import litellm, loaded, price, route, unheard
from symposia.tools.retry import retrying
from symposia.tools.settings import settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

HASHING: Final = "toy/hashing"
"""The embedder that a run has when it names none."""
BATCH: Final = 100
"""Texts of a request at most (MutaGReP, section 3; its code embeds intents in hundreds)."""

_WORDS: Final = 1024
_LETTERS: Final = 1024
"""Numbers of a hashed vector, for words and for parts of words."""
_SEAMS: Final = re.compile(r"(?<=[a-z\d])(?=[A-Z])|[\W_]+")
"""Where words meet: in `shortestPath`, in `shortest_path`, and between signs and spaces."""
_WORD: Final = r"\w+"


def embedder_of(params: Mapping[str, Any]) -> str:
    """The embedding model of a run: that of the role `embedder`, else the hashing one; the models of other roles write texts.

    Raises:
        BadInput: The role has several: vectors of different models cannot be compared.
    """
    named_model = params["roles"].get("embedder") or HASHING
    if not isinstance(named_model, str):
        raise BadInput(f"the role embedder has {len(named_model)} models", remedy="name one: --role embedder=text-embedding-3-large")
    return named_model


async def embed(texts: Sequence[str], model: str, role: str = "embedder", *, dimensions: int | None = None) -> list[list[float]]:
    """A vector per text, in order.

    Args:
        texts: What is embedded; none is empty.
        model: LiteLLM name of an embedding model, a bare name at the address of `settings().api_base`, or `toy/hashing`.
        role: Whose calls these are, for the ledger.
        dimensions: Numbers per vector, where the provider lets one choose; None leaves it to the model.

    Raises:
        BadInput: A text is empty.
        ModelError: The call finally failed, or gave another number of vectors than there are texts.
    """
    rows: list[list[float]] = (await vectors(texts, model, role, dimensions=dimensions)).tolist()
    return rows


async def vectors(texts: Sequence[str], model: str, role: str = "embedder", *, dimensions: int | None = None) -> "Matrix":
    """As `embed`, in an array with a row per text: thousands of vectors take a tenth of the memory of lists."""
    import numpy as np

    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise BadInput(f"text {number} of {len(texts)} to embed is empty", remedy="leave it out")
    batches = [list(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
    values = await fan([partial(_batch, batch, model, role, dimensions) for batch in batches])
    found = [_unpack(value) for value in values]
    if len({part.shape[1] for part in found}) > 1:
        raise MalformedReply(f"{model} gave vectors of different lengths", remedy="look at the endpoint's own log")
    return np.concatenate(found) if found else np.zeros((0, 0), dtype=np.float32)


async def _batch(texts: list[str], model: str, role: str, dimensions: int | None) -> dict[str, Any]:
    """The packed vectors of one request, as an effect."""
    request: dict[str, Any] = {"model": model, "input": texts}
    if dimensions is not None:
        request["dimensions"] = dimensions
    slots = limiter(model)

    async def perform() -> Outcome:
        usage = Usage(role=role, model=model)
        if model.startswith("toy/"):
            return _hash_locally(texts, model, usage)
        return await _send(request, usage, slots)

    value: dict[str, Any] = await effect("embed", request, perform, hold=slots)
    return value


def _hash_locally(texts: Sequence[str], model: str, usage: Usage) -> Outcome:
    if model.partition("?")[0] not in (HASHING, "toy/default"):
        raise Failed(ModelNotFound(f"no toy embedder {model[:60]!r}", remedy=f"--role embedder={HASHING}"), usage)
    usage.prompt_tokens, usage.usd = sum(len(text.split()) for text in texts), 0.0
    return Outcome(_pack(hashed(texts)), usage)


async def _send(request: Mapping[str, Any], usage: Usage, slots: Limiter) -> Outcome:
    """Send a batch until it is answered or finally fails."""
    await loaded()
    routed = _spoken(route(request["model"]))
    options = {**request, **routed, "timeout": settings().timeout}
    texts = [{"content": text} for text in request["input"]]
    tokens = slots.rates.estimate(texts, 0) if slots.rates else 0.0
    packed, used = await retrying(lambda: _once(options), usage, slots, tokens=tokens)
    usage.prompt_tokens = used
    cost = price(routed["model"])
    usage.usd = None if cost is None else used * cost[0]
    if slots.rates:
        slots.rates.used(tokens, used, 0)
    return Outcome(packed, usage)


def _spoken(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for LiteLLM's own provider where ours would be meant, which speaks chat only."""
    name = str(options["model"]).removeprefix(f"{NAME}/")
    return {**options, "model": name if name == options["model"] else f"hosted_vllm/{name}"}


async def _once(options: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """One request: the packed vectors and the tokens used; every failure becomes a `ModelError`."""
    async with house(options["model"]) as here:
        options = _spoken({**options, **here})
        try:
            with unheard():
                reply = await litellm().aembedding(**options, num_retries=0, max_retries=0)
        except Exception as error:
            raise named(failure_behind(error), options, "embedding") from error
    used = int(getattr(getattr(reply, "usage", None), "prompt_tokens", 0) or 0)
    return _read(reply, options), used


def _read(reply: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The vectors of a reply in the order of the texts, which its items name.

    Raises:
        MalformedReply: There are not as many as texts, they are of different lengths, or hold something else than finite numbers.
    """
    import numpy as np

    model, n = options["model"], len(options["input"])
    remedy = "see whether it serves an embedding model"
    try:
        items = {int(_field(item, "index")): _field(item, "embedding") for item in reply.data}
        rows = [_numbers(items[i]) for i in range(n)] if len(items) == n == len(reply.data) else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedReply(f"{model} answered something that is no embedding: {error}", remedy=remedy) from error
    if rows is None:
        raise MalformedReply(f"{model} gave {len(reply.data)} vectors for {n} texts", remedy=remedy)
    if len({row.shape for row in rows}) != 1 or not rows[0].size or not all(np.isfinite(row).all() for row in rows):
        raise MalformedReply(f"{model} gave vectors that differ in length or are no finite numbers", remedy=remedy)
    return _pack(np.stack(rows))


def _field(item: Any, name: str) -> Any:
    return item[name] if isinstance(item, Mapping) else getattr(item, name)


def _numbers(vector: Any) -> "Matrix":
    """A vector from numbers, or from the base64 some servers send in their place."""
    import numpy as np

    if isinstance(vector, str):
        return np.frombuffer(base64.b64decode(vector, validate=True), dtype="<f4")
    return np.asarray(vector, dtype="<f4").reshape(len(vector))


def _pack(rows: "Matrix") -> dict[str, Any]:
    return {"n": rows.shape[0], "vectors": base64.b64encode(rows.astype("<f4").tobytes()).decode("ascii")}


def _unpack(value: Mapping[str, Any]) -> "Matrix":
    import numpy as np

    flat = np.frombuffer(base64.b64decode(value["vectors"]), dtype="<f4")
    return flat.reshape(value["n"], -1).astype(np.float32)


def hashed(texts: Sequence[str]) -> "Matrix":
    """Vectors of unit length from the hashes of a text's words and of their parts of three to five letters; always the same for a text.

    A text without any letter or digit gets zeros, which are like nothing. Words of grammar ("the", "of") count for nothing.
    """
    import numpy as np

    if not texts:
        return np.zeros((0, _WORDS + _LETTERS), dtype=np.float32)
    words, letters = _vectorizers()
    plain = [_SEAMS.sub(" ", text).lower() for text in texts]
    rows = np.hstack([words.transform(plain).toarray(), letters.transform(plain).toarray()]).astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0), dtype=np.float32)


@cache
def _vectorizers() -> tuple[Any, Any]:
    """scikit-learn's, loaded on first use: that takes a second."""
    from sklearn.feature_extraction.text import HashingVectorizer

    common = {"norm": "l2", "alternate_sign": True, "lowercase": False}
    words = HashingVectorizer(n_features=_WORDS, analyzer="word", stop_words="english", token_pattern=_WORD, **common)
    letters = HashingVectorizer(n_features=_LETTERS, analyzer="char_wb", ngram_range=(3, 5), **common)
    return words, letters
