"""The grounding function g: order, uniqueness, over-retrieval, too few and none; BM25 over paths; the packed index."""

import json
import random
from typing import Any

import numpy as np
import pytest

from symposia.state.errors import BadInput
from symposia.state.journal import Run, opened
from symposia.tools import retrieval
from symposia.tools.embed import HASHING, hashed
from symposia.tools.retrieval import Hit, Index, Paths, first_unique, ground, starting_symbols, unit
from symposia.tools.symbols import Symbol

SENTENCES = {
    "graph.path.shortest": ["find the shortest path between two nodes", "get the quickest way", "length of the route"],
    "graph.path.longest": ["find the longest path between two nodes", "get the slowest way"],
    "graph.draw.picture": ["draw a picture of a graph", "plot nodes with colours"],
    "graph.io.read": ["read a graph from a file", "load edges from a table"],
    "graph.io.write": ["write a graph to a file"],
}


def symbol(path: str) -> Symbol:
    """A symbol of that path."""
    name, module = path.rsplit(".", 1)[-1], path.rsplit(".", 1)[0].replace(".", "/")
    return Symbol(
        name=name,
        full_path=path,
        symbol_type="function",
        code=f"def {name}(): ...",
        docstring="",
        signature=f"def {name}():",
        filename=f"{module.rsplit('/', 1)[-1]}.py",
        filepath=f"{module}.py",
        lineno=1,
    )


def index_of(sentences: dict[str, list[str]], **changes: Any) -> Index:
    """An index over sentences by path, hashed."""
    intents = [(text, path) for path, texts in sentences.items() for text in texts]
    own = {"repo_name": "graph", "fingerprint": "f", "embedder": HASHING, "dimensions": None}
    rows = hashed([text for text, _ in intents])
    return Index(**{**own, **changes}, symbols={path: symbol(path) for path in sentences}, intents=intents, vectors=rows)


async def grounded(index: Index, intents: list[str], k: int, **options: Any) -> list[list[Hit]]:
    """Ground in a run of its own."""
    async with opened(Run("memory")):
        return await ground(index, intents, k, **options)


@pytest.mark.parametrize("method", ["embedding", "bm25"])
@pytest.mark.parametrize("k", [1, 2, 5, 50])
async def test_at_most_k_different_symbols_of_the_index_nearest_first(method: str, k: int) -> None:
    index = index_of(SENTENCES)
    for hits in await grounded(index, ["the shortest path", "graph file", "zebra"], k, method=method):
        paths, scores = [hit["full_path"] for hit in hits], [hit["score"] for hit in hits]
        assert len(hits) <= k
        assert len(set(paths)) == len(paths)
        assert set(paths) <= SENTENCES.keys()
        assert scores == sorted(scores, reverse=True)


async def test_each_intent_gets_its_own_symbols_in_order() -> None:
    found = await grounded(index_of(SENTENCES), ["the shortest path between nodes", " ", "write to a file"], 2)
    assert [[hit["full_path"] for hit in hits] for hits in found] == [
        ["graph.path.shortest", "graph.path.longest"],
        [],
        ["graph.io.write", "graph.io.read"],
    ]


async def test_five_intents_a_symbol_are_looked_at_and_no_more() -> None:
    crowd = {"a.crowd": ["copy a file"] * 7, "a.other": ["copy some other thing"]}
    assert [h["full_path"] for h in (await grounded(index_of(crowd), ["copy a file"], 1))[0]] == ["a.crowd"]
    assert [h["full_path"] for h in (await grounded(index_of(crowd), ["copy a file"], 2))[0]] == ["a.crowd", "a.other"]
    crowd["a.crowd"] *= 2  # fourteen: the first ten nearest are all of one symbol
    assert [h["full_path"] for h in (await grounded(index_of(crowd), ["copy a file"], 2))[0]] == ["a.crowd"]


@pytest.mark.parametrize("method", ["embedding", "bm25"])
async def test_an_empty_index_and_an_empty_list_ground_nothing(method: str) -> None:
    assert await grounded(index_of({}), ["anything"], 5, method=method) == [[]]
    assert await grounded(index_of(SENTENCES), [], 5, method=method) == []
    assert await grounded(index_of(SENTENCES), ["", "\n"], 5, method=method) == [[], []]


async def test_all_intents_of_a_call_are_one_effect() -> None:
    run = Run("memory")
    async with opened(run):
        await ground(index_of(SENTENCES), ["a path", "a file", "a picture"], 2)
    assert [(entry.kind, entry.request["input"]) for entry in run.live] == [("embed", ["a path", "a file", "a picture"])]


@pytest.mark.parametrize(("higher", "order"), [(True, ["b", "a", "c"]), (False, ["c", "a", "b"])])
def test_scores_are_sorted_in_their_own_direction(higher: bool, order: list[str]) -> None:
    scores = {"a": 0.5, "b": 0.9, "c": 0.1}
    hits = [Hit(full_path=path, score=score) for path, score in scores.items()]
    worse = [Hit(full_path=path, score=score + (-0.05 if higher else 0.05)) for path, score in scores.items()]
    found = first_unique([*worse, *hits], 3, higher_is_nearer=higher)
    assert [hit["full_path"] for hit in found] == order
    assert [hit["score"] for hit in found] == [scores[path] for path in order]


def test_equal_scores_keep_the_order_of_the_index() -> None:
    index = index_of({f"m.f{i}": ["the very same sentence"] for i in range(40)})
    found = index.nearest(hashed(["the very same sentence"]), 12)[0]
    assert [hit["full_path"] for hit in found] == [f"m.f{i}" for i in range(12)]
    assert {hit["score"] for hit in found} == {1.0}


def test_nearest_is_the_exact_order_by_cosine() -> None:
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(300, 16)).astype(np.float32))
    index = Index("r", "f", "any", None, {}, [(str(i), f"m.f{i}") for i in range(300)], rows)
    asked = rng.normal(size=(4, 16)).astype(np.float32) * 7
    for row, hits in zip(asked, index.nearest(asked, 25), strict=True):
        cosines = rows @ row / np.linalg.norm(row)
        assert [hit["full_path"] for hit in hits] == [f"m.f{i}" for i in np.argsort(-cosines)[:25]]
        assert [hit["score"] for hit in hits] == pytest.approx(sorted(cosines, reverse=True)[:25], abs=1e-6)


async def test_starting_symbols_are_unique_and_nearest_first() -> None:
    async with opened(Run("memory")):
        found = await starting_symbols(index_of(SENTENCES), "read a table from a file", 3)
    assert found[0] == "graph.io.read"
    assert len(set(found)) == len(found) == 3


# BM25


def test_bm25_finds_letters_of_paths_in_any_case() -> None:
    paths = Paths(["graph.path.DijkstraPath", "graph.path.astar", "graph.draw.circle", "io"])
    assert [hit["full_path"] for hit in paths.nearest("dijkstra", 5)] == ["graph.path.DijkstraPath"]
    assert [hit["full_path"] for hit in paths.nearest("ASTAR path", 2)] == ["graph.path.astar", "graph.path.DijkstraPath"]
    assert paths.nearest("zzz", 5) == []


@pytest.mark.parametrize("query", ["", "io", " a "])
def test_bm25_drops_queries_of_two_characters_or_fewer(query: str) -> None:
    assert Paths(["io", "graph.io.read"]).nearest(query, 5) == []


def test_bm25_scores_are_those_of_the_formula() -> None:
    texts = ["abcd", "abcabc", "xyzw", "xyabc"]

    def groups(text: str) -> list[str]:
        return [text[i : i + n] for n in (3, 4) for i in range(len(text) - n + 1)]

    mean = sum(len(groups(text)) for text in texts) / len(texts)

    def score(query: str, text: str) -> float:
        total = 0.0
        for group in groups(query):
            n = sum(group in groups(other) for other in texts)
            frequency = groups(text).count(group)
            length = 1.5 * (0.25 + 0.75 * len(groups(text)) / mean)
            total += np.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) * frequency * 2.5 / (frequency + length)
        return total

    expected = sorted(((score("abcab", text), text) for text in texts), reverse=True)
    found = Paths(texts).nearest("abcab", 4)
    assert [hit["full_path"] for hit in found] == [text for value, text in expected if value]
    assert [hit["score"] for hit in found] == pytest.approx([value for value, _ in expected if value], abs=1e-5)


async def test_an_unknown_retriever_is_named() -> None:
    with pytest.raises(BadInput, match="no retriever 'lucene'"):
        await grounded(index_of(SENTENCES), ["a"], 1, method="lucene")


# The packed index


def test_an_index_survives_packing_and_finds_the_same() -> None:
    retrieval._unpacked.clear()
    index = index_of(SENTENCES)
    content = json.loads(json.dumps(index.pack()))
    again = Index.unpack(content)
    assert (again.symbols, again.intents, again.embedder, again.tree) == (index.symbols, index.intents, HASHING, index.tree)
    assert np.abs(again.vectors - index.vectors).max() < 1e-3
    asked = hashed(["the shortest path", "a file with edges"])
    assert [[h["full_path"] for h in hits] for hits in again.nearest(asked, 9)] == [
        [h["full_path"] for h in hits] for hits in index.nearest(asked, 9)
    ]
    assert Index.unpack(content) is again
    assert index.tree == ["graph/draw.py", "graph/io.py", "graph/path.py"]


def test_few_indexes_stay_in_memory() -> None:
    contents = [index_of(SENTENCES, fingerprint=str(i)).pack() for i in range(4)]
    first = Index.unpack(contents[0])
    for content in contents[1:]:
        Index.unpack(content)
    assert len(retrieval._unpacked) == retrieval._KEPT
    assert Index.unpack(contents[0]) is not first


def test_large_indexes_are_packed_small() -> None:
    rng = random.Random(0)
    words = [f"word{i}" for i in range(300)]
    sentences = {f"m.f{i}": [" ".join(rng.choices(words, k=9)) for _ in range(5)] for i in range(100)}
    index = index_of(sentences)
    packed = sum(len(value) for value in index.pack().values() if isinstance(value, str))
    assert packed < index.vectors.nbytes / 5


async def test_an_index_is_sought_in_the_state_then_in_the_artefact() -> None:
    content, other = index_of(SENTENCES).pack(), index_of({"m.f": ["one"]}).pack()
    run = Run("memory")
    async with opened(run):
        with pytest.raises(BadInput, match=r"no index of a repository\. make one: symposia prepare mutagrep FOLDER"):
            retrieval.index_of({"artefact": {}})
        run.artefact = {"calib_mean": 1.0}
        with pytest.raises(BadInput, match="no index"):
            retrieval.index_of({"artefact": {}})
        run.artefact = content
        assert retrieval.index_of({"artefact": retrieval.summary(content)}).symbols.keys() == SENTENCES.keys()
        assert list(retrieval.index_of({"artefact": other}).symbols) == ["m.f"]


def test_a_run_asks_no_other_embedder_than_its_index() -> None:
    index = index_of(SENTENCES)
    retrieval.check_embedder(index, {"roles": {}})
    retrieval.check_embedder(index, {"roles": {"embedder": HASHING}})
    with pytest.raises(BadInput, match="made with toy/hashing, the run names the embedder other"):
        retrieval.check_embedder(index, {"roles": {"embedder": "other"}})


async def test_vectors_of_another_length_are_an_error() -> None:
    index = index_of(SENTENCES)
    narrow = Index(**{**index.__dict__, "vectors": index.vectors[:, :8]})
    with pytest.raises(BadInput, match="gives 2048 numbers, the index holds 8"):
        await grounded(narrow, ["a path"], 1)
