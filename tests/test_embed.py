"""Embeddings over real sockets: batches, order, what each wrong reply becomes, the ledger, replay; and the hashing embedder."""

import re
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from server import Server, hashed_score

from symposia.state.errors import (
    BadInput,
    EndpointDown,
    MalformedReply,
    MissingKey,
    ModelError,
    ModelNotFound,
    NotRecorded,
    RequestRejected,
)
from symposia.state.journal import Run, opened
from symposia.state.packing import digest_of
from symposia.state.store import Store
from symposia.tools.embed import HASHING, embed, embedder_of, hashed, vectors
from symposia.tools.settings import configure

PINNED = "5c340159897b2b7bd3692b29c3e5ddda"
"""Digest of a hashed text: an index of one release is searched by the next."""
TEXTS = [f"text number {i}" for i in range(7)]


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short pauses and no key, and the settings put back."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    before = configure(max_wait=0.02, timeout=10.0, attempts=3)
    yield
    configure(**{name: getattr(before, name) for name in ("max_wait", "timeout", "attempts", "api_base", "api_key", "prices")})


async def within(run: Run, call: Callable[[], Awaitable[Any]]) -> Any:
    """The result of a call as an effect of a run, from the first place on."""
    run.begin()
    async with opened(run):
        return await call()


async def asked(server: Server, texts: list[str], model: str = "test-model", run: Run | None = None, **options: Any) -> list[list[float]]:
    """Embed in a run of its own."""
    configure(api_base=server.url)
    found: list[list[float]] = await within(run or Run("one"), partial(embed, texts, model, **options))
    return found


def expected(text: str, size: int = 8) -> list[float]:
    """What the server makes of a text, as 32-bit floats."""
    numbers: list[float] = np.array([hashed_score(f"{text} {i}") * 2 - 1 for i in range(size)], dtype=np.float32).tolist()
    return numbers


@pytest.mark.parametrize("form", ["plain", "backwards"])
async def test_vectors_come_in_the_order_of_the_texts(form: str) -> None:
    async with Server(embedding_form=form, record_bodies=True) as server:
        assert await asked(server, TEXTS) == [expected(text) for text in TEXTS]
        assert [entry["path"] for entry in server.log] == ["/v1/embeddings"]
        assert server.log[0]["body"] == {"model": "test-model", "input": TEXTS}


async def test_long_lists_go_in_hundreds_and_stay_in_order() -> None:
    texts = [f"text number {i}" for i in range(250)]
    run = Run("one")
    async with Server(jitter_s=0.05, record_bodies=True) as server:
        assert await asked(server, texts, run=run) == [expected(text) for text in texts]
        assert sorted(len(entry["body"]["input"]) for entry in server.log) == [50, 100, 100]
    assert [entry.place for entry in sorted(run.live, key=lambda e: e.place)] == [f"0.outside.b{i}" for i in range(3)]


async def test_dimensions_are_asked_for_where_given() -> None:
    async with Server() as server:
        assert await asked(server, ["a"], dimensions=3) == [expected("a", 3)]


async def test_openai_addresses_work_with_their_base64() -> None:
    async with Server(key="secret") as server:
        configure(api_key="secret")
        found = await asked(server, ["a", "b"], "openai/any")
    assert found == [expected("a"), expected("b")]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("fewer", "gave 6 vectors for 7 texts"),
        ("uneven", "differ in length"),
        ("twice", "gave 7 vectors for 7 texts"),
        ("null", "no embedding"),
    ],
)
async def test_a_reply_that_is_not_a_vector_per_text_is_an_error(form: str, said: str) -> None:
    async with Server(embedding_form=form) as server:
        with pytest.raises(MalformedReply, match=said):
            await asked(server, TEXTS)
        assert len(server.log) == 3  # tried again, as often as the settings say


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("401", MissingKey),
        ("404", ModelNotFound),
        ("400", RequestRejected),
        ("500", EndpointDown),
        ("html", MalformedReply),
        ("error_body", MalformedReply),
    ],
)
async def test_failures_have_names(fault: str, error: type[ModelError]) -> None:
    async with Server(faults={fault: 1.0}) as server:
        with pytest.raises(error):
            await asked(server, TEXTS)


async def test_a_busy_server_is_asked_again() -> None:
    run = Run("one")
    async with Server(faults=["429:0", "503:0"]) as server:
        assert await asked(server, TEXTS, run=run) == [expected(text) for text in TEXTS]
    assert [entry.usage.requests for entry in run.live] == [3]
    assert [each["error"] for each in run.live[0].usage.notes["attempts"]] == ["RateLimited", "EndpointDown"]


async def test_the_ledger_counts_requests_tokens_and_cost_and_no_completion() -> None:
    run = Run("one")
    async with Server() as server:
        configure(prices={"test-model": (2.0, 0.0)})
        await asked(server, TEXTS, run=run, role="router")
        await asked(server, TEXTS[:1], "unpriced", run=(other := Run("other")))
    usage = run.live[0].usage
    assert (usage.role, usage.model, usage.calls, usage.requests) == ("router", "test-model", 0, 1)
    assert usage.prompt_tokens == 7 * 4
    assert usage.usd == pytest.approx(28 * 2e-6)
    assert other.live[0].usage.usd is None


async def test_what_is_recorded_is_read_and_a_failure_too(sqlite: Store) -> None:
    async with Server() as server:
        configure(api_base=server.url)
        first = await within(Run("r", sqlite), partial(embed, TEXTS, "test-model"))
        server.set(faults={"400": 1.0})
        with pytest.raises(RequestRejected):
            await within(Run("f", sqlite), partial(embed, TEXTS, "test-model"))
        n = len(server.log)
        again = Run("r", sqlite, await sqlite.entries("r"), strict=True)
        assert await within(again, partial(embed, TEXTS, "test-model")) == first
        failed = Run("f", sqlite, await sqlite.entries("f"), strict=True)
        with pytest.raises(RequestRejected):
            await within(failed, partial(embed, TEXTS, "test-model"))
        with pytest.raises(NotRecorded):
            await within(Run("r", sqlite, await sqlite.entries("r"), strict=True), partial(embed, TEXTS[:6], "test-model"))
        assert len(server.log) == n


async def test_the_journal_keeps_about_four_bytes_a_number(sqlite: Store) -> None:
    async with Server(dimensions=1000) as server:
        configure(api_base=server.url)
        await within(Run("r", sqlite), partial(embed, TEXTS, "test-model"))
    stored = (await sqlite.read("SELECT sum(length(body)) FROM blobs"))[0][0] + (
        await sqlite.read("SELECT sum(length(outcome)) FROM entries")
    )[0][0]
    assert 4 * 7000 <= stored < 4.5 * 7000


async def test_empty_texts_are_named_and_no_texts_need_no_request() -> None:
    async with Server() as server:
        with pytest.raises(BadInput, match="text 2 of 3 to embed is empty"):
            await asked(server, ["a", " ", "b"])
        assert await asked(server, []) == []
        assert server.log == []


# The hashing embedder


async def test_hashing_needs_no_server_and_is_the_same_in_any_batch() -> None:
    run = Run("one")
    texts = [f"find the shortest path number {i}" for i in range(130)]
    found = await within(run, partial(vectors, texts, HASHING))
    assert np.array_equal(found, hashed(texts))
    assert np.array_equal(found[120:121], hashed(texts[120:121]))
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0)
    assert {(e.usage.calls, e.usage.requests, e.usage.usd) for e in run.live} == {(0, 0, 0.0)}
    assert digest_of((hashed(["find the shortest path"])[0] * 1e4).round().astype(int).tolist()).hex() == PINNED


def test_hashing_sees_shared_words_inside_names_and_ignores_grammar() -> None:
    near, far = (
        hashed(["the shortest path between two nodes", "shortestPath(node)", "draw a picture of the colours"]),
        hashed(["of the", "...", "日本"]),
    )
    cosines = near @ near.T
    assert cosines[0, 1] > 0.4 > 0.1 > abs(cosines[0, 2])
    assert not far[1].any()
    assert far[2].any()
    assert np.array_equal(hashed(["read_csv_file"]), hashed(["readCsvFile"]))


async def test_an_unknown_toy_is_named() -> None:
    with pytest.raises(ModelNotFound, match=re.escape("no toy embedder 'toy/hashign'")):
        await within(Run("one"), partial(embed, ["a"], "toy/hashign"))


def test_the_embedder_of_a_run_is_its_role_or_hashing() -> None:
    assert embedder_of({"roles": {}, "model": "gpt-4o"}) == HASHING
    assert embedder_of({"roles": {"embedder": "text-embedding-3-large"}}) == "text-embedding-3-large"
    with pytest.raises(BadInput, match="the role embedder has 2 models"):
        embedder_of({"roles": {"embedder": ["a", "b"]}})
