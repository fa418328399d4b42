"""`symposia.ChatModel`: a method wherever LangChain takes a chat model."""

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel
from server import Server
from typing_extensions import TypedDict

import symposia
from symposia import ChatModel, runs
from symposia.state.errors import BadInput, ModelNotFound, SymposiaError, UnknownName
from symposia.state.graph import StateGraph as JournaledStateGraph
from symposia.structured import form_of
from symposia.tools.settings import configure

QUESTION = "Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?"
TOY = "toy/default?error=0&check=1"


@pytest.fixture
def model(tmp_path) -> ChatModel:
    return ChatModel("self_consistency", model=TOY, params={"k": 3}, task="number", seed=1, store=tmp_path / "store.db")


async def test_an_answer_has_the_usage_of_all_calls_and_names_its_run(sqlite):
    model = ChatModel("magicore", model=TOY, params={"k": 2}, store=sqlite)
    said = await model.ainvoke(QUESTION)
    told = said.response_metadata
    assert (said.content, told["status"], told["method"], told["model_name"]) == ("19", "ok", "magicore", "magicore")
    record = await sqlite.run(told["run_id"])
    assert told["calls"]["live"] == record["calls"] == 6
    used = said.usage_metadata
    assert used is not None
    sent, back = record["usage"]["prompt_tokens"], record["usage"]["completion_tokens"]
    assert (used["input_tokens"], used["output_tokens"], used["total_tokens"]) == (sent, back, sent + back)
    assert "magicore" not in str(said.content)
    assert "2 solve: chains: 2 texts" in said.additional_kwargs["reasoning_content"]
    assert (await runs.replay(sqlite, told["run_id"]))[0]["identical"]


async def test_a_stream_tells_the_steps_and_then_the_answer(model):
    chunks = [chunk async for chunk in model.astream(QUESTION)]
    told = [chunk.additional_kwargs.get("reasoning_content", "") for chunk in chunks]
    begun = next(i for i, chunk in enumerate(chunks) if chunk.content)
    assert len([text for text in told[:begun] if text]) > 3
    assert not any(told[begun:])
    whole: Any = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert (whole.content, whole.response_metadata["status"], whole.chunk_position) == ("19", "ok", "last")
    assert whole.usage_metadata["output_token_details"] == {"reasoning": whole.usage_metadata["output_tokens"]}
    assert whole.additional_kwargs["reasoning_content"].splitlines()[0].startswith("Self-Consistency, toy/default")


@pytest.fixture
async def served(monkeypatch):
    """A model server that bare model names go to."""
    async with Server() as server:
        before = configure(api_base=server.url, api_key="none")
        monkeypatch.setenv("SYMPOSIA_API_BASE", server.url)
        yield server
        configure(api_base=before.api_base, api_key=before.api_key)


async def test_the_first_token_of_the_last_node_comes_while_the_last_is_held_back(served, sqlite):
    served.set(hold_last=True)
    model = ChatModel("moa", model="test", params={"k": 1, "max_rounds": 0}, store=sqlite)
    pieces = []
    async for chunk in model.astream("Which?"):
        if chunk.content and not pieces:
            while not served.count()["held"]:
                await asyncio.sleep(0.01)
            served.release()
        pieces += [chunk.content] if chunk.content else []
    assert len(pieces) > 2


def test_without_an_event_loop(model):
    said = model.invoke(QUESTION)
    assert said.content == "19"
    streamed = list(model.stream(QUESTION))
    assert "".join(chunk.text for chunk in streamed) == "19"
    answers = model.batch([QUESTION, "What is 2 + 3?"])
    assert [a.content for a in answers] == ["19", "5"]
    assert (
        len({said.response_metadata["run_id"], streamed[-1].response_metadata["run_id"], *(a.response_metadata["run_id"] for a in answers)})
        == 4
    )


async def test_synchronous_forms_work_inside_a_running_loop(model, sqlite):
    assert model.invoke(QUESTION).content == "19"
    opened = model.model_copy(update={"store": sqlite})  # a store of this loop, while another one does the work
    assert (opened.invoke(QUESTION).content, [chunk.content for chunk in opened.stream(QUESTION) if chunk.content]) == ("19", ["19"])
    assert [record["status"] for record in await sqlite.runs()] == ["ok"] * 3
    assert [a.content for a in await model.abatch([QUESTION, QUESTION])] == ["19", "19"]


async def test_a_stream_that_is_left_stops_its_run(served, sqlite):
    served.set(hold=True)
    stream = ChatModel("self_consistency", model="test", params={"k": 3}, store=sqlite).astream("Which?")
    async for _ in stream:
        while served.count()["held"] < 3:
            await asyncio.sleep(0.01)
        break
    await stream.aclose()  # type: ignore[attr-defined]
    for _ in range(1000):  # LangChain leaves the inner stream to the event loop, which closes it at its next turns
        (record,) = await sqlite.runs()
        if record["status"] != "started":
            break
        await asyncio.sleep(0.01)
    assert record["status"] == "stopped"
    while served.count()["in_flight"]:
        await asyncio.sleep(0.01)
    assert served.count()["answered"] == 0


async def test_a_streamed_answer_goes_back_as_a_part_of_the_chat(script, sqlite):
    """What chunks add up to is a message of a kind of its own."""
    script.answer = lambda node, messages: "\\boxed{4}"
    model = ChatModel("chain_of_thought", model="script/any", store=sqlite)
    whole: Any = None
    async for chunk in model.astream("2 + 2?"):
        whole = chunk if whole is None else whole + chunk
    said = [HumanMessage("2 + 2?"), whole, HumanMessage("Sure?")]
    await model.ainvoke(said)
    assert "Assistant: \\boxed{4}" in script.prompts["solve"][1]
    done = await symposia.arun("chain_of_thought", inputs={"messages": said}, params={"model": "script/any"}, store=sqlite)
    assert [each["role"] for each in (await sqlite.run(done.run_id))["input"]["messages"]] == ["human", "ai", "human"]
    state = await symposia.graph("chain_of_thought").ainvoke({"messages": said}, context={"model": "script/any"})
    assert [each.type for each in state["messages"]] == ["human", "ai", "human", "ai"]


def test_traces_call_it_by_the_method(model):
    heard = []

    class Heard(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, *, metadata: Any = None, **_: Any) -> None:
            heard.append(metadata)

    model.invoke(QUESTION, {"callbacks": [Heard()]})
    assert (heard[0]["ls_provider"], heard[0]["ls_model_name"]) == ("symposia", "self_consistency")


async def test_a_failed_run_raises_its_error(sqlite):
    with pytest.raises(ModelNotFound, match="absent") as caught:
        await ChatModel("chain_of_thought", model="absent", store=sqlite).ainvoke("Which?")
    (record,) = await sqlite.runs()
    assert record["status"] == "failed"
    assert any(record["run_id"] in note for note in caught.value.__notes__)
    with pytest.raises(ModelNotFound):
        async for _ in ChatModel("chain_of_thought", model="absent", store=sqlite).astream("Which?"):
            pass


async def test_every_role_sees_the_whole_chat(script, sqlite):
    script.answer = lambda node, messages: "\\boxed{4}"
    model = ChatModel("chain_of_thought", model="script/any", store=sqlite)
    await model.ainvoke([SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("And 2 + 2?", name="Ada")])
    (prompt,) = script.prompts["solve"]
    assert [text in prompt for text in ("Be brief.", "User: Hi", "Assistant: Hello", "User (Ada): And 2 + 2?")] == [True] * 4


PNG = "data:image/png;base64,iVBORw0KGgo="


async def test_images_of_a_chat_go_to_the_model_and_into_the_run(served, sqlite):
    served.set(record_bodies=True)
    shown = {"type": "image", "base64": PNG.partition(",")[2], "mime_type": "image/png"}
    other = {"type": "image_url", "image_url": {"url": PNG}}
    model = ChatModel("self_consistency", model="test", params={"k": 2}, store=sqlite)
    said = await model.ainvoke(
        [HumanMessage([{"type": "text", "text": "Are"}, shown]), AIMessage("?"), HumanMessage([other, "these alike?"])]
    )
    for each in served.log:
        *_, sent = each["body"]["messages"]
        assert [part["type"] for part in sent["content"]] == ["text", "image_url", "text", "image_url", "text"]
        assert sent["content"][1]["image_url"]["url"] == PNG
        assert str(sent["content"]).count("The conversation so far") == 1
    assert (await sqlite.run(said.response_metadata["run_id"]))["input"]["images"] == [PNG, PNG]
    assert (await runs.replay(sqlite, said.response_metadata["run_id"]))[0]["identical"]


async def test_an_image_a_toy_cannot_see_is_said(sqlite):
    with pytest.raises(SymposiaError, match="sees no images"):
        await ChatModel("chain_of_thought", store=sqlite).ainvoke([HumanMessage([{"type": "image_url", "image_url": {"url": PNG}}])])
    with pytest.raises(BadInput, match="magicore reads no images"):
        await ChatModel("magicore", store=sqlite).ainvoke([HumanMessage([{"type": "image_url", "image_url": {"url": PNG}}])])


async def test_a_graph_reads_the_images_of_its_last_message_and_forgets_those_of_the_question_before(script):
    script.answer = lambda node, messages: "\\boxed{4}"
    asked = HumanMessage([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PNG}}])
    graph = symposia.graph("chain_of_thought").copy({"checkpointer": InMemorySaver()})
    thread: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"messages": [asked]}, thread, context={"model": "script/any"})
    await graph.ainvoke({"messages": [HumanMessage("And now?")]}, thread, context={"model": "script/any"})
    first, second = (str(prompt) for prompt in script.prompts["solve"])
    assert (PNG in first, PNG in second) == (True, False)
    with pytest.raises(BadInput, match="reads none"):
        await symposia.graph("magicore").ainvoke({"messages": [asked]})
    for question, images, said in (("q", [PNG], "does not mention image 1"), ("[image 1]", ["x"], "no PNG"), ("q", "x", "no list")):
        with pytest.raises(BadInput, match=said):
            await symposia.graph("chain_of_thought").ainvoke({"question": question, "images": images})


async def test_no_answer_is_said_and_is_no_error(script, sqlite):
    script.answer = lambda node, messages: "I do not know."
    said = await ChatModel("self_consistency", model="script/any", params={"k": 2}, task="number", store=sqlite).ainvoke("Which?")
    assert (said.content, said.response_metadata["status"]) == ("No sample gave an answer.", "no_answer")
    assert said.response_metadata["answer"] is None


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"method": "magicor"}, UnknownName, "magicore"),
        ({"method": "magicore", "params": {"kk": 3}}, BadInput, "kk"),
        ({"method": "magicore", "params": {"k": 0}}, BadInput, "k"),
        ({"method": "magicore", "roles": {"solvr": "x"}}, BadInput, "solver"),
        ({"method": "magicore?k=no"}, BadInput, "k"),
        ({"method": "magicore", "task": "numbr"}, BadInput, "number"),
        ({"method": "magicore", "checkpoints": "some"}, BadInput, "each or none"),
    ],
)
def test_what_cannot_be_is_refused_at_once(fields, error, said):
    with pytest.raises(error, match=said):
        ChatModel(**fields)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([HumanMessage("x"), AIMessage("y")], "does not end"),
        ([HumanMessage([{"type": "image", "url": "https://127.0.0.1/x.png"}])], "nothing is fetched from an address"),
        ([HumanMessage([{"type": "input_audio", "input_audio": {}}])], r"'input_audio' cannot be read.*message 1"),
        ([ToolMessage("x", tool_call_id="1"), HumanMessage("x")], "message 1"),
        ([AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]), HumanMessage("x")], "message 1"),
        ([HumanMessage("  ")], "empty"),
    ],
)
async def test_a_chat_that_cannot_be_answered_starts_no_run(sqlite, messages, said):
    with pytest.raises(BadInput, match=said):
        await ChatModel("chain_of_thought", store=sqlite).ainvoke(messages)
    with pytest.raises(BadInput, match="temperature cannot be honoured"):
        await ChatModel("chain_of_thought", store=sqlite).bind(temperature=0).ainvoke("x")
    assert await sqlite.runs() == []


def test_tools_and_schemas_are_refused_with_what_to_do_instead(model):
    writer = ChatModel("moa")
    for refused, said in (
        (lambda: model.bind_tools([]), r"self_consistency .*chat model"),
        (lambda: model.with_structured_output(Found), r"self_consistency .*take moa, self_moa.*chat model"),
        (lambda: writer.with_structured_output(Found, method="function_calling"), "function_calling.*say method=json_schema or json_mode"),
        (lambda: writer.with_structured_output(Found, tools=[]), "tools cannot be honoured"),
    ):
        with pytest.raises(NotImplementedError, match=said) as caught:
            refused()
        assert isinstance(caught.value, SymposiaError)
    others: list[Any] = [7, {}, int]
    for nothing in others:
        with pytest.raises(BadInput, match="is no schema"):
            writer.with_structured_output(nothing)


class Found(BaseModel):
    """What was counted."""

    n: int


class Told(TypedDict):
    """The same as a plain dict."""

    n: int


@pytest.mark.parametrize(
    ("schema", "options", "asked", "found"),
    [
        (Found, {}, {"name": "Found"}, Found(n=19)),
        (Found, {"strict": True}, {"name": "Found", "strict": True}, Found(n=19)),
        (Told, {}, {"name": "Told"}, {"n": 19}),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, {}, {"name": "answer"}, {"n": 19}),
        ({"title": "A count", "type": "object", "properties": {"n": {"type": "integer"}}}, {}, {"name": "A_count"}, {"n": 19}),
        (Found, {"method": "json_mode"}, None, Found(n=19)),
    ],
)
async def test_an_answer_of_a_schema_from_the_model_that_writes_it(served, sqlite, schema, options, asked, found):
    served.set(record_bodies=True, rules=[["one JSON object", '{"n": 19}']])
    model = ChatModel("moa", model="test", params={"k": 1, "max_rounds": 0}, store=sqlite)
    assert await model.with_structured_output(schema, **options).ainvoke(QUESTION) == found
    first, last = (each["body"] for each in served.log)
    form = last["response_format"]
    assert ("response_format" in first, form["type"]) == (False, "json_schema" if asked else "json_object")
    if asked:
        assert {k: v for k, v in form["json_schema"].items() if k != "schema"} == asked
        assert form["json_schema"]["schema"]["properties"] == {"n": {"type": "integer"}}
    (record,) = await sqlite.runs()
    assert (await runs.replay(sqlite, record["run_id"]))[0]["identical"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"title": "answer", "$ref": "#/$defs/Count", "$defs": {"Count": {"type": "object", "properties": {"n": {"type": "integer"}}}}},
        {"name": "answer", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}},
    ],
)
def test_nothing_of_a_schema_is_lost(schema):
    form = form_of(schema, "json_schema", None)["json_schema"]
    inner = schema.get("json_schema", schema)
    assert form == {"name": "answer", "schema": {**inner.get("schema", inner), "title": "answer"}}


async def test_a_reply_that_does_not_fit_a_schema_is_told_beside_the_message(served, sqlite):
    served.set(rules=[["one JSON object", '{"n": "many"}']])
    model = ChatModel("moa", model="test", params={"k": 1, "max_rounds": 0}, store=sqlite)
    with pytest.raises(OutputParserException, match="Found"):
        await model.with_structured_output(Found).ainvoke(QUESTION)
    told = await model.with_structured_output(Found, include_raw=True).ainvoke(QUESTION)
    assert (told["raw"].content, told["parsed"], type(told["parsing_error"])) == ('{"n": "many"}', None, OutputParserException)
    with pytest.raises(BadInput, match="takes no form of a reply"):
        await ChatModel("moa", store=sqlite).with_structured_output(Found).ainvoke(QUESTION)
    with pytest.raises(BadInput, match="response_format cannot be honoured by magicore"):
        await ChatModel("magicore", store=sqlite).bind(response_format={"type": "json_object"}).ainvoke(QUESTION)


@pytest.mark.parametrize("stop", ["", [""], [7], ["a", ""]])
async def test_an_empty_stop_is_refused(sqlite, stop):
    with pytest.raises(BadInput, match="none of them empty"):
        await ChatModel("chain_of_thought", store=sqlite).ainvoke(QUESTION, stop=stop)
    assert await sqlite.runs() == []


async def test_it_is_a_part_of_a_chain_and_stops_where_it_is_told(model):
    prompt = ChatPromptTemplate.from_messages([("human", "{name} has 12 marbles. {name} finds 7 more marbles. {ask}")])
    asked = {"name": "Lena", "ask": "How many marbles does Lena have now?"}
    chain: Runnable[Any, str] = prompt | model | StrOutputParser()
    assert await chain.ainvoke(asked) == "19"
    for stop in (["9"], "9x", "9"):
        ended = "19" if stop == "9x" else "1"
        assert await (prompt | model.bind(stop=stop) | StrOutputParser()).ainvoke(asked) == ended


async def test_it_is_a_node_of_a_langgraph_and_streams_through_it(model):
    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile()
    heard, last = [], None
    async for mode, chunk in graph.astream({"messages": [HumanMessage(QUESTION)]}, stream_mode=["messages", "values"]):  # type: ignore[misc]
        if mode == "messages" and isinstance(chunk[0], AIMessageChunk):
            heard.append(chunk[0])
        last = chunk if mode == "values" else last
    assert "".join(str(piece.text) for piece in heard) == "19"
    assert any("solver" in piece.additional_kwargs.get("reasoning_content", "") for piece in heard)
    assert last is not None
    assert last["messages"][-1].content == "19"


async def test_inside_a_node_of_a_journaled_graph_it_keeps_a_run_of_its_own(script, sqlite):
    script.answer = lambda node, messages: "\\boxed{4}"
    inner = ChatModel("chain_of_thought", model="script/any", store=sqlite)
    said = []

    async def node(state: MessagesState) -> dict[str, Any]:
        said.append(await inner.ainvoke("q"))
        return {"messages": [said[0]]}

    await JournaledStateGraph(MessagesState).add_node(node).add_edge(START, "node").compile().ainvoke({"messages": []})
    run_id = said[0].response_metadata["run_id"]
    assert {e.place for e in await sqlite.entries(run_id) if e.usage.calls} == {"2.solve.b0"}
    assert (await runs.replay(sqlite, run_id))[0]["identical"]


def test_a_model_name_of_the_server_carries_model_and_parameters(tmp_path):
    model = symposia.ChatModel(f"self_consistency@{TOY.split('?')[0]}?k=2&task=number", store=tmp_path / "store.db")
    assert model.invoke("What is 2 + 3?").response_metadata["calls"]["live"] == 2
