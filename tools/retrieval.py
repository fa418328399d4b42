"""From a sentence to the symbols of a repository: the index of their intents, and the grounding function g over it.

MutaGReP (arXiv 2502.15872, section 3 of the paper): g takes the 5 k intents nearest to a sentence, sorts them by score, drops repeats of a
symbol and keeps the first k. Nearness is the cosine of the embeddings. The paper's repository has a second retriever, BM25 over groups of
three and four letters of the full path, which needs no model; here that is scikit-learn's counting with BM25's weights (Lucene's form, as
in Robertson and Zaragoza, 2009), since a library such as bm25s would bring a tokenizer and a store of its own for these ten lines.

Scores are rounded to six digits before they are compared, and equal ones go in the order of the index, so that another machine's
arithmetic, or another number of threads, orders symbols alike.
"""

import base64
import json
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import TypedDict

from symposia.state.errors import BadInput
from symposia.state.journal import current
from symposia.state.packing import digest
from symposia.tools.embed import HASHING, vectors
from symposia.tools.symbols import Symbol, repository_tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

KIND: Final = "mutagrep-index"
OVER: Final = 5
"""Intents that are looked at per symbol wanted: each symbol has about as many."""
_DIGITS: Final = 6
_K1, _B = 1.5, 0.75
_SHORTEST: Final = 3
_KEPT: Final = 2
"""Unpacked indexes that stay in memory; one of a large repository takes some hundred MB."""


class Hit(TypedDict):
    """A symbol that answers a sentence, and how near it is: a cosine, or a score of BM25; more is nearer."""

    full_path: str
    score: float


@dataclass(frozen=True)
class Index:
    """The symbols of a repository, the sentences that ask for them, and these as vectors."""

    repo_name: str
    fingerprint: str
    embedder: str
    dimensions: int | None
    """What was asked of the embedder; None for its own length."""
    symbols: dict[str, Symbol]
    """By full path, in the order of files and lines."""
    intents: list[tuple[str, str]]
    """Sentence, and full path of its symbol."""
    vectors: "Matrix" = field(repr=False)
    """A row of unit length per intent."""

    @property
    def tree(self) -> list[str]:
        """The files of the symbols."""
        return repository_tree(self.symbols.values())

    def nearest(self, asked: "Matrix", n: int) -> list[list[Hit]]:
        """For each row of `asked`, the `n` intents nearest to it by cosine, as their symbols."""
        import numpy as np

        if not len(self.intents) or not len(asked):
            return [[] for _ in asked]
        if asked.shape[1] != self.vectors.shape[1]:
            raise BadInput(
                f"{self.embedder} gives {asked.shape[1]} numbers, the index holds {self.vectors.shape[1]}", remedy="prepare the index anew"
            )
        scores = np.round(unit(asked) @ self.vectors.T, _DIGITS)
        return [[Hit(full_path=self.intents[i][1], score=float(row[i])) for i in _best(row, n)] for row in scores]

    @cached_property
    def paths(self) -> "Paths":
        """BM25 over the full paths."""
        return Paths(list(self.symbols))

    def pack(self) -> dict[str, Any]:
        """As the content of an artefact: plain JSON, symbols once, vectors with 16 bits a number."""
        packed = {
            "symbols": _squeeze(json.dumps(list(self.symbols.values())).encode()),
            "intents": _squeeze(json.dumps(self.intents).encode()),
            "vectors": _squeeze(self.vectors.astype("<f2").tobytes()),
        }
        own = {"repo_name": self.repo_name, "fingerprint": self.fingerprint, "embedder": self.embedder, "dimensions": self.dimensions}
        counts = {"n_symbols": len(self.symbols), "n_intents": len(self.intents)}
        return {"kind": KIND, "digest": digest("".join(packed.values()).encode()).hex(), **own, **counts, **packed}

    @staticmethod
    def unpack(content: Mapping[str, Any]) -> "Index":
        """The index again; kept in memory, so that asking once more costs nothing."""
        import numpy as np

        key = f"{content['digest']} {content['fingerprint']}"
        if key not in _unpacked:
            symbols: list[Symbol] = json.loads(_expand(content["symbols"]))
            rows = np.frombuffer(_expand(content["vectors"]), dtype="<f2").astype(np.float32)
            intents = [(text, path) for text, path in json.loads(_expand(content["intents"]))]
            own = {name: content[name] for name in ("repo_name", "fingerprint", "embedder", "dimensions")}
            rows = rows.reshape(len(intents), -1) if intents else rows.reshape(0, 0)
            _unpacked[key] = Index(**own, symbols={s["full_path"]: s for s in symbols}, intents=intents, vectors=unit(rows))
            while len(_unpacked) > _KEPT:
                _unpacked.popitem(last=False)
        _unpacked.move_to_end(key)
        return _unpacked[key]


_unpacked: OrderedDict[str, Index] = OrderedDict()


class Paths:
    """BM25 over groups of three and four letters of full paths, in lower case."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Count and weigh the groups of every path."""
        from sklearn.feature_extraction.text import CountVectorizer

        self.paths = list(paths)
        self._counter = CountVectorizer(analyzer="char", ngram_range=(3, 4), lowercase=True)
        long = [path if len(path) >= _SHORTEST else path.ljust(_SHORTEST) for path in paths]
        self._weights = _bm25(self._counter.fit_transform(long)) if paths else None

    def nearest(self, query: str, n: int) -> list[Hit]:
        """The `n` paths that score highest, those that share nothing left out; none for a query of two characters or fewer."""
        import numpy as np

        if self._weights is None or len(query.strip()) < _SHORTEST:
            return []
        asked = self._counter.transform([query]).T
        scores = np.round((self._weights @ asked).toarray().ravel(), _DIGITS)
        return [Hit(full_path=self.paths[i], score=float(scores[i])) for i in _best(scores, n) if scores[i] > 0]


def _bm25(counts: Any) -> Any:
    """What each group adds to the score of each path: a sparse matrix of the shape of `counts`."""
    import numpy as np

    weights = counts.astype(np.float64).tocoo()
    n = counts.shape[0]
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    has = np.asarray((counts > 0).sum(axis=0)).ravel()
    rare = np.log1p((n - has + 0.5) / (has + 0.5))
    norm = _K1 * (1 - _B + _B * lengths / lengths.mean())
    weights.data = rare[weights.col] * weights.data * (_K1 + 1) / (weights.data + norm[weights.row])
    return weights.tocsr()


def _best(scores: Any, n: int) -> list[int]:
    """The places of the `n` highest scores, highest first, equal ones in order."""
    import numpy as np

    n = min(n, len(scores))
    if n == 0:
        return []
    least = np.partition(scores, len(scores) - n)[len(scores) - n]
    above = np.flatnonzero(scores >= least)
    return [int(i) for i in above[np.argsort(-scores[above], kind="stable")][:n]]


def unit(rows: "Matrix") -> "Matrix":
    """Rows of length one; a row of zeros stays one, and is like nothing."""
    import numpy as np

    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0), dtype=np.float32)


def first_unique(hits: Iterable[Hit], k: int, *, higher_is_nearer: bool = True) -> list[Hit]:
    """The `k` nearest hits of different symbols, nearest first.

    Args:
        hits: In any order; equal scores keep theirs.
        k: How many at most.
        higher_is_nearer: A similarity; False for a distance.
    """
    kept: dict[str, Hit] = {}
    for hit in sorted(hits, key=lambda h: -h["score"] if higher_is_nearer else h["score"]):
        kept.setdefault(hit["full_path"], hit)
    return list(kept.values())[:k]


async def ground(index: Index, intents: Sequence[str], k: int, *, method: str = "embedding") -> list[list[Hit]]:
    """The symbols that could meet each intent: at most `k`, all different, nearest first; none for an intent without text.

    Args:
        index: Where they are looked for; its embedder embeds the intents, all in one effect for each hundred.
        intents: Sentences of a plan.
        k: Symbols per intent at most.
        method: `embedding`, or `bm25` over the letters of full paths, which calls nothing.
    """
    if method not in ("embedding", "bm25"):
        raise BadInput(f"no retriever {method!r}", remedy="say embedding or bm25")
    asked = [text for text in intents if text.strip()]
    if method == "bm25":
        found = [index.paths.nearest(text, OVER * k) for text in asked]
    else:
        rows = await vectors(asked, index.embedder, dimensions=index.dimensions) if asked and index.intents else None
        found = index.nearest(rows, OVER * k) if rows is not None else [[] for _ in asked]
    hits = iter(found)
    return [first_unique(next(hits), k) if text.strip() else [] for text in intents]


async def starting_symbols(index: Index, query: str, n: int = 100) -> list[str]:
    """Full paths of the first `n` different symbols among the 5 n intents nearest to a request."""
    return [hit["full_path"] for hit in (await ground(index, [query], n))[0]]


def index_of(state: Mapping[str, Any]) -> Index:
    """The index of a run: that in its state, made in the run, else that of the artefact it names, which stays out of the state.

    Raises:
        BadInput: There is neither.
    """
    held = state.get("artefact") or {}
    content = held if "vectors" in held else current().artefact
    if not content or content.get("kind") != KIND:
        raise BadInput("the run has no index of a repository", remedy="make one: symposia prepare mutagrep FOLDER; then -p artefact=ID")
    return Index.unpack(content)


def summary(content: Mapping[str, Any]) -> dict[str, Any]:
    """What of an artefact's content may stand in every state: what it is, without the symbols and vectors."""
    return {name: content[name] for name in ("kind", "digest", "repo_name", "fingerprint", "embedder", "n_symbols", "n_intents")}


def check_embedder(index: Index, params: Mapping[str, Any]) -> None:
    """See that a run asks no other embedder than its index was made with.

    Raises:
        BadInput: It does.
    """
    asked = params["roles"].get("embedder")
    if asked not in (None, index.embedder):
        way = "leave --role embedder out" if index.embedder != HASHING else "prepare an index with that embedder, or leave it out"
        raise BadInput(f"the index was made with {index.embedder}, the run names the embedder {asked}", remedy=way)


def _squeeze(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 6)).decode("ascii")


def _expand(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
