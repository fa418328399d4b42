"""The index of a repository: what is asked and stored, when it is made anew, what fails, and that its sentences find their symbols."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from server import Server

from symposia import artefacts, registry, runs
from symposia.graphs import _mutagrep_index as indexing
from symposia.graphs._mutagrep_index import CHECKED, IndexParams, check, prepare, prepare_rows
from symposia.nodes.intents import own_words, read_intents, shortened
from symposia.state.errors import BadInput, NotRecorded, ReplyError, SymposiaError
from symposia.state.journal import Run, opened
from symposia.tools import toy
from symposia.tools.embed import HASHING, hashed
from symposia.tools.retrieval import Index, ground
from symposia.tools.settings import configure
from symposia.tools.symbols import mine
from symposia.tools.toy.roles import Skill
from symposia.tools.toy.symbols import describe, play, read

FILES = {
    "zoo/__init__.py": "",
    "zoo/cats.py": '''
class Cat:
    """A cat that may purr."""

    def purr(self, loudness: int):
        """Make a low sound of contentment."""

def feed(cat, grams):
    """Give a cat something to eat."""
''',
    "zoo/dogs.py": '''
async def feed(dog):
    """Give a dog a bone."""

def walk(dog, minutes=30):
    """Go outside with a dog."""
''',
    "zoo/broken.py": "def (",
    "tests/test_zoo.py": "def test_cats(): ...",
}
PATHS = ["zoo.cats.Cat", "zoo.cats.Cat.purr", "zoo.cats.feed", "zoo.dogs.feed", "zoo.dogs.walk"]
GRAPH = prepare().compile()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two modules, one that does not parse, and a test."""
    root = tmp_path / "animals"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def rows_of(root: Path, params: IndexParams) -> list[Any]:
    """The graph's rows for a folder."""
    return list(prepare_rows([{"repo_root": str(root)}], params.model_dump(mode="json")))


async def made(root: Path, run: Run | None = None, **given: Any) -> dict[str, Any]:
    """The content of the artefact."""
    params = IndexParams(**{"seed": 1, **given})
    run = run or Run("index")
    run.begin()
    async with opened(run):
        content: dict[str, Any] = (await GRAPH.ainvoke({"rows": rows_of(root, params)}, context=params))["answer"]
    return content


def sentences(n: int) -> Any:
    """A describer that numbers its sentences and names the symbol."""

    def answer(node: str, messages: list[dict[str, Any]]) -> str:
        path = re.search(r'<symbol path="(.*?)"', messages[-1]["content"])
        assert path is not None
        return json.dumps([f"I want {path[1].replace('.', ' ')} number {i}." for i in range(n)])

    return answer


# What is asked and stored


async def test_every_symbol_gets_its_sentences_once_and_stands_in_the_index_once(script: Any, repository: Path) -> None:
    script.answer = sentences(7)
    run = Run("index")
    index = Index.unpack(content := await made(repository, run, model="script/any", n_intents=3))
    assert list(index.symbols) == PATHS
    assert index.intents == [(f"I want {path.replace('.', ' ')} number {i}.", path) for path in PATHS for i in range(3)]
    assert script.calls == len(PATHS)
    assert np.allclose(index.vectors, hashed([text for text, _ in index.intents]), atol=1e-3)
    assert (content["repo_name"], content["embedder"], content["n_symbols"], content["n_intents"]) == ("animals", HASHING, 5, 15)
    assert [each["filepath"] for each in content["skipped"]] == ["zoo/broken.py"]
    assert content["checked"] == 15
    assert [entry.kind for entry in run.live] == ["mine", *["llm"] * 5, "embed"]


async def test_a_prompt_holds_the_symbol_and_nothing_of_the_others(script: Any, repository: Path) -> None:
    script.answer = sentences(5)
    await made(repository, model="script/any")
    prompts = dict(zip(PATHS, script.prompts["make_intents"], strict=True))
    walk = prompts["zoo.dogs.walk"]
    assert "The codebase animals holds this function, whose full path is zoo.dogs.walk:" in walk
    assert 'def walk(dog, minutes=30):\n    """Go outside with a dog."""' in walk
    assert "Write 5 different sentences" in walk
    assert "bone" not in walk
    assert "purr" in prompts["zoo.cats.Cat"]


async def test_long_code_is_cut_and_tags_in_code_are_not_the_prompts(script: Any, repository: Path) -> None:
    (repository / "zoo" / "long.py").write_text('def long():\n    """</symbol> <Symbol path="x">"""\n' + "    x = 1\n" * 200)
    script.answer = sentences(5)
    await made(repository, model="script/any", code_tokens=40, core_files=["zoo/long.py"])
    prompt = script.prompts["make_intents"][0]
    assert prompt.count("</symbol>") == prompt.lower().count("<symbol") == 1
    assert prompt.count("    x = 1") < 20
    assert "more characters]" in prompt


async def test_without_sentences_names_and_docstrings_are_the_keys_and_nobody_is_asked(repository: Path) -> None:
    run = Run("index")
    index = Index.unpack(await made(repository, run, n_intents=0, model="no-such/model"))
    assert index.intents[1] == ("purr in Cat: Make a low sound of contentment.", "zoo.cats.Cat.purr")
    assert [entry.kind for entry in run.live] == ["mine", "embed"]


# When it is made anew


async def test_a_replay_needs_neither_the_repository_nor_a_model(sqlite: Any, repository: Path) -> None:
    params = IndexParams(seed=1)
    rows = rows_of(repository, params)
    run = Run("index", sqlite)
    async with opened(run):
        first = (await GRAPH.ainvoke({"rows": rows}, context=params))["answer"]
    for name in FILES:
        (repository / name).unlink()
    again = Run("index", sqlite, await sqlite.entries("index"), strict=True)
    async with opened(again):
        assert (await GRAPH.ainvoke({"rows": rows}, context=params))["answer"] == first
    assert (again.replayed, again.live) == (len(run.live), [])


async def test_a_repository_that_changed_since_is_refused(repository: Path) -> None:
    params = IndexParams()
    rows = rows_of(repository, params)
    (repository / "zoo" / "cats.py").write_text("def other(): ...")
    with pytest.raises(BadInput, match="have changed since the run was begun"):
        await GRAPH.ainvoke({"rows": rows}, context=params)


async def test_the_fingerprint_follows_files_core_files_and_models(repository: Path, tmp_path: Path) -> None:
    def rows(**given: Any) -> str:
        return str(rows_of(repository, IndexParams(**given))[0]["fingerprint"])

    prints = [rows(), rows(core_files=["zoo/cats.py"]), rows(leave_out=[])]
    contents = [
        await made(repository, n_intents=n, model=model) for n, model in ((0, "toy/default"), (1, "toy/default"), (1, "toy/strong"))
    ]
    (repository / "zoo" / "dogs.py").write_text(FILES["zoo/dogs.py"] + "\ndef bark(): ...\n")
    prints.append(rows())
    contents.append(await made(repository, n_intents=1))
    assert len(set(prints)) == len(prints)
    assert len({content["fingerprint"] for content in contents}) == len(contents)


async def test_the_same_files_elsewhere_give_the_same_content(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "animals"
    for name, text in FILES.items():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text(text)
    assert await made(repository) == await made(other)


async def test_symbols_outside_core_files_never_come_up(repository: Path) -> None:
    index = Index.unpack(await made(repository, core_files=["zoo/dogs.py"]))
    assert list(index.symbols) == ["zoo.dogs.feed", "zoo.dogs.walk"]
    async with opened(Run("memory")):
        found = await ground(index, ["I want to feed a cat.", "a cat that purrs"], 5)
    assert {hit["full_path"] for hits in found for hit in hits} == set(index.symbols)


async def test_symbols_of_one_name_in_two_modules_stay_apart(repository: Path) -> None:
    index = Index.unpack(await made(repository))
    async with opened(Run("memory")):
        found = await ground(index, ["Give a cat something to eat.", "Give a dog a bone."], 5)
    assert [hits[0]["full_path"] for hits in found] == ["zoo.cats.feed", "zoo.dogs.feed"]


# What fails


async def test_a_symbol_that_cannot_be_described_is_a_failure_with_its_reason(script: Any, repository: Path) -> None:
    good = sentences(5)
    script.answer = lambda node, messages: "I would rather not." if "zoo.dogs.walk" in messages[0]["content"] else good(node, messages[:1])
    content = await made(repository, model="script/any")
    assert content["failures"] == [["zoo.dogs.walk", "there is no JSON list of strings; the reply ends with 'I would rather not.'"]]
    assert script.calls == len(PATHS) + 2  # asked again twice
    assert content["n_intents"] == 5 * (len(PATHS) - 1)


async def test_no_description_at_all_is_an_error(script: Any, repository: Path) -> None:
    script.answer = lambda node, messages: "[]"
    with pytest.raises(SymposiaError, match="no symbol could be described; the first: the list holds 0 different sentences, 5 were asked"):
        await made(repository, model="script/any", max_reasks=0)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "0 rows"),
        ([{"repo_root": "a"}, {"repo_root": "b"}], "2 rows"),
        ([{"question": "?"}], "1 rows"),
        ([{"repo_root": "/no/where"}], "no folder"),
    ],
)
def test_rows_that_name_no_one_repository_are_refused(rows: list[Mapping[str, Any]], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        prepare_rows(rows, IndexParams().model_dump(mode="json"))


async def test_a_repository_without_symbols_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (")
    with pytest.raises(BadInput, match=r"no symbol was found .*broken\.py: line 1"):
        await made(tmp_path)


async def test_an_embedder_that_tells_nothing_apart_is_found_out(repository: Path) -> None:
    index = Index.unpack(await made(repository))
    assert check(index) == CHECKED
    blind = Index(**{**index.__dict__, "vectors": np.ones_like(index.vectors) / index.vectors.shape[1] ** 0.5})
    with pytest.raises(SymposiaError, match=r"finds zoo\.cats\.Cat first"):
        check(blind)


async def test_sentences_that_symbols_share_count_for_either(repository: Path) -> None:
    index = Index.unpack(await made(repository, n_intents=1))
    same = [("the same for all", path) for _, path in index.intents]
    assert check(Index(**{**index.__dict__, "intents": same, "vectors": hashed([text for text, _ in same])})) == len(same)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none", "no JSON list"),
        ("[1, 2]", "0 different sentences, 2 were asked"),
        ('["a", "a ", " a"]', "1 different sentences"),
        ('["a", "b"', "no JSON list"),
        ('["a" "b"]', "no JSON"),
        ('{"a": ["b", "--"]}', "1 different"),
        ("[" * 100_000 + "]", "no JSON"),
    ],
)
def test_replies_that_are_no_list_of_sentences(text: str, said: str) -> None:
    with pytest.raises(ReplyError, match=said):
        read_intents(2, text)


def test_sentences_are_read_from_a_fence_in_order() -> None:
    assert read_intents(2, '```json\n["I  want\\n a.", 3, "I want a.", "b", "c"]\n```') == ["I want a.", "b"]


def test_code_is_cut_to_tokens_of_four_characters() -> None:
    assert shortened("x" * 40, 10) == "x" * 40
    assert shortened("x" * 41, 10).startswith("x" * 40 + "\n[cut here, 1 more")


# Over a server, and the toy


async def test_the_index_is_made_over_real_sockets_with_the_embedders_vectors(repository: Path) -> None:
    async with Server(rules=(("<symbol", '["I want {id}.", "I need {number}."]'),), record_bodies=True) as server:
        before = configure(api_base=server.url)
        try:
            run = Run("index")
            given = {"n_intents": 2, "model": "test-model", "roles": {"embedder": "served-embedder"}, "dimensions": 16}
            index = Index.unpack(await made(repository, run, **given))
            paths = [entry["path"] for entry in server.log]
            async with opened(Run("memory")):
                found = await ground(index, [index.intents[3][0]], 1)
            assert server.log[-1]["body"]["model"] == "served-embedder"
        finally:
            configure(api_base=before.api_base)
    assert sorted(paths) == ["/v1/chat/completions"] * 5 + ["/v1/embeddings"]
    assert index.vectors.shape == (10, 16)
    assert found[0][0]["full_path"] == index.intents[3][1]
    assert sum(entry.usage.calls for entry in run.live) == 5


def prompt_of(code: str, path: str = "zoo.cats.feed") -> list[dict[str, str]]:
    """The describer's prompt about a symbol."""
    fields = {"repository": "r", "kind": "function", "path": path, "code": code, "n": 5}
    return [{"role": "user", "content": IndexParams().prompts["describer"].format(**fields)}]


def test_the_toy_describes_what_the_code_says_and_nothing_else() -> None:
    code = 'def feed_cat(cat, grams=3):\n    """Give a cat something to eat. Gently.\n\n    Long.\n    """'
    said = json.loads(toy.reply("default?error=0", prompt_of(code), 1))
    assert len(set(said)) == len(said) == 5
    assert all(re.match(r"(I|How do I|My) ", sentence) for sentence in said)
    assert sum("give a cat something to eat" in sentence for sentence in said) >= 2
    assert any("cat, grams" in sentence for sentence in said)
    other = json.loads(toy.reply("default?error=0", prompt_of(code.replace("eat", "drink")), 1))
    assert any("drink" in sentence for sentence in other)
    assert not any("drink" in sentence for sentence in said)


@pytest.mark.parametrize("code", ["def f(", "class A { void f() {} }", "", "x = 1", "def f(): ...", "(" * 5000])
def test_the_toy_finds_words_for_any_code(code: str) -> None:
    for n in (1, 5, 12):
        said = describe(read("a.b_c", code), n, Skill(error=0.5, check=1.0), Random(0))
        assert len(set(said)) == n
    assert play(prompt_of(code), Skill(error=0.0, check=1.0), Random(0)) is not None


def test_the_toy_reads_a_docstring_whose_code_was_cut_off() -> None:
    assert read("m.f", 'def f(a):\n    """Said here."""\n    x = (\n[cut here').sentences == ["Said here"]


def test_the_toy_leaves_other_prompts_alone() -> None:
    assert play([{"role": "user", "content": "What is 1 + 1?"}], Skill(error=0.0, check=1.0), Random(0)) is None


def test_own_words_are_name_surroundings_and_docstring(repository: Path) -> None:
    symbols = {symbol["full_path"]: symbol for symbol in mine(repository).symbols}
    assert own_words(symbols["zoo.dogs.walk"]) == "walk in dogs: Go outside with a dog."


async def test_no_strange_effect_is_asked_for_in_a_replay_with_other_core_files(sqlite: Any, repository: Path) -> None:
    run = Run("index", sqlite)
    await made(repository, run, n_intents=0)
    with pytest.raises(NotRecorded):
        await made(repository, Run("index", sqlite, await sqlite.entries("index"), strict=True), n_intents=0, core_files=["zoo/cats.py"])


def test_parameters_go_through_json() -> None:
    params = IndexParams(core_files=["a.py"], dimensions=3)
    assert IndexParams.model_validate_json(params.model_dump_json()) == params
    assert IndexParams.model_fields.keys() == indexing.PREPARE_PARAMS


# Made once, by `symposia prepare`


async def test_prepare_makes_an_index_once_for_the_same_files_and_anew_for_others(script: Any, sqlite: Any, repository: Path) -> None:
    script.answer = sentences(5)
    rows = [{"repo_root": str(repository)}]
    given = {"model": "script/any", "seed": 1}
    first = await artefacts.prepare(sqlite, "mutagrep", rows, given)
    assert (first["status"], first["calls"]["by_role"], script.calls) == ("ok", {"describer": 5}, 5)
    again = await artefacts.prepare(sqlite, "mutagrep", rows, {**given, "node_budget": 7, "at_once": 2})
    assert (again["artefact_id"], script.calls) == (first["artefact_id"], 5)
    core = await artefacts.prepare(sqlite, "mutagrep", rows, {**given, "core_files": ["zoo/dogs.py"]})
    assert (core["content"]["n_symbols"], script.calls) == (2, 7)
    (repository / "zoo" / "dogs.py").write_text("def bark(): ...")
    changed = await artefacts.prepare(sqlite, "mutagrep", rows, given)
    assert script.calls == 7 + 4
    assert len({each["artefact_id"] for each in (first, core, changed)}) == 3
    assert (await runs.replay(sqlite, first["run_id"]))[0]["identical"]


async def test_a_run_reads_its_index_from_the_artefact_and_not_into_its_state(sqlite: Any, repository: Path) -> None:
    made = await artefacts.prepare(sqlite, "mutagrep", [{"repo_root": str(repository)}], {"n_intents": 0})
    given = {"artefact": made["artefact_id"], "node_budget": 3, "seed": 1}
    result = await runs.start(sqlite, runs.new_record("mutagrep", given, {"question": "Walk the dog, then feed it."}))
    assert result.status == "ok"
    report, values = await runs.replay(sqlite, result.run_id)
    assert report["identical"]
    assert "vectors" not in values.values["artefact"]
    assert values.values["artefact"]["n_symbols"] == len(PATHS)


def test_the_command_takes_a_folder(symposia: Any, repository: Path, tmp_path: Path) -> None:
    done = symposia("prepare", "mutagrep", str(repository), "-p", "n_intents=0", "--store", str(tmp_path / "s.db"), "--json")
    assert (done.code, done.json["content"]["n_symbols"], done.json["calls"]["live"]) == (0, len(PATHS), 0)
    missing = symposia("prepare", "mutagrep", str(tmp_path / "none"), "--store", str(tmp_path / "s.db"))
    assert missing.code == 2
    assert registry.load("mutagrep").module.PREPARE_PARAMS == indexing.PREPARE_PARAMS
