"""How values become bytes and blobs, and come back."""

import pytest
from langchain_core.messages import AIMessage

from symposia.state.packing import (
    INLINE,
    Blobs,
    decode,
    digest_of,
    encode,
    pack,
    pack_shared,
    refs_of,
    request_digest,
    sound,
    sound_all,
    text_of,
    unpack,
)

LONG = "Step 1: seventeen plus four is twenty-one. " * 20


def back(value):
    blobs: Blobs = {}
    return unpack(pack(value, blobs), blobs.__getitem__)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        [],
        {},
        -1,
        2**63,
        0.1,
        float("inf"),
        "",
        "x" * (INLINE - 1),
        "x" * INLINE,
        "ä" * INLINE,
        "日本語 🙂 \x00 end",
        LONG,
        [LONG, [LONG, {"a": LONG}]],
        {"messages": []},
        {"messages": "no list, a text"},
        {"messages": {"role": "user"}},
        {"messages": ["texts", LONG]},
        {"messages": [{"role": "user", "content": [LONG, "?"]}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": LONG}, {"role": "user", "content": "b"}]},
        {"value": {"messages": [{"messages": [{"content": LONG}, {"content": "inner"}]}, {"content": "outer"}]}},
    ],
    ids=lambda v: repr(v)[:30],
)
def test_a_value_comes_back_as_it_was(value):
    assert back(value) == value
    assert type(back(value)) is type(value)


def test_a_conversation_may_be_longer_than_a_stack_is_deep():
    talk = [{"role": "user", "content": f"turn {i}"} for i in range(3000)]
    assert back({"messages": talk}) == {"messages": talk}


def test_a_conversation_that_grows_by_a_turn_stores_the_turn():
    blobs: Blobs = {}
    talk = [{"role": "user", "content": [LONG]}]
    pack({"messages": talk}, blobs)
    before = set(blobs)
    pack({"messages": [*talk, {"role": "assistant", "content": ["short"]}]}, blobs)
    assert len(set(blobs) - before) == 1, "one link, no text again"
    pack({"messages": [*talk, {"role": "assistant", "content": ["short"]}]}, blobs)
    assert len(set(blobs) - before) == 1


def test_a_text_is_stored_once_wherever_it_is_quoted():
    blobs: Blobs = {}
    pack([LONG, {"quoted": LONG, "messages": [{"role": "user", "content": ["See: ", LONG]}]}], blobs)
    assert sum(body[:1] != b"m" for body in blobs.values()) == 1


def test_equal_requests_are_one_blob_and_every_blob_is_found_by_its_references():
    blobs: Blobs = {}
    request = {"model": "m", "messages": [{"role": "user", "content": [LONG, "x"]}, {"role": "assistant", "content": [LONG + "!"]}]}
    first = pack_shared(request, blobs)
    n = len(blobs)
    assert pack_shared(dict(request), blobs) == first
    assert len(blobs) == n
    wanted, reached = set(refs_of(first)), set()
    while wanted:
        ref = wanted.pop()
        reached.add(ref)
        if blobs[ref][:1] == b"m":
            wanted |= set(refs_of(blobs[ref][1:])) - reached
    assert reached == set(blobs)
    assert unpack(first, blobs.__getitem__) == request


@pytest.mark.parametrize(
    "text", ["", "short", LONG, "z", "t" * 400, "mmm" * 100, "🙂" * 100, bytes([*range(127, 0, -1), *range(64)]).decode()]
)
def test_a_text_blob_is_no_longer_than_the_text_and_a_byte(text):
    blob = encode(text)
    assert decode(blob) == text
    assert len(blob) <= len(text.encode()) + 1


def test_a_key_that_is_no_text_is_refused_when_it_is_written_not_when_it_is_read():
    with pytest.raises(TypeError):
        pack({1: "one"}, {})


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("plain ä 🙂", "plain ä 🙂"),
        ("a\ud800b", "a\ufffdb"),
        ("\udc80", "\ufffd"),
        ("\ud83d\ude42", "🙂"),
        ("\ufeffmark", "\ufeffmark"),
        ("", ""),
    ],
    ids=ascii,
)
def test_lone_surrogates_become_a_sign_and_nothing_else_changes(text, fit):
    assert sound(text) == fit
    assert sound_all({text or "k": [text, 1, None]}) == {fit or "k": [fit, 1, None]}
    assert back(sound(text)) == fit


def test_a_digest_does_not_depend_on_the_order_of_keys_and_depends_on_everything_else():
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    different = [{"a": 1}, {"a": 1.5}, {"a": "1"}, {"b": 1}, {"a": [1]}, {"a": None}, {}, [], 10**30, 10**30 + 1]
    assert len({digest_of(v) for v in different}) == len(different)


def test_the_digest_of_a_state_takes_messages_and_refuses_other_objects():
    assert digest_of([AIMessage("a", id="1")]) == digest_of([AIMessage("a", id="1")])
    assert digest_of([AIMessage("a", id="1")]) != digest_of([AIMessage("b", id="1")])
    with pytest.raises(TypeError, match="set"):
        digest_of({"seen": {1, 2}})


def test_how_a_prompt_is_cut_into_parts_does_not_change_its_digest():
    def request(content):
        return {"model": "m", "messages": [{"role": "user", "content": content}]}

    whole = request_digest("llm", request("ab"), None)
    assert request_digest("llm", request(["a", "b"]), None) == whole
    assert request_digest("llm", request(["a", "c"]), None) != whole
    assert request_digest("llm", request("ab"), 7) != whole
    assert request_digest("other", request("ab"), None) != whole


def test_images_are_sent_as_they_are():
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}, "text"]
    assert text_of(image) is image
    assert text_of(["a", "b"]) == "ab"
    assert text_of("ab") == "ab"
