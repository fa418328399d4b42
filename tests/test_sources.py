"""Rows of data sets of every form, with their places; names of fields; ids; and results as Parquet."""

import datetime
import io
import json
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from symposia.params import make_params
from symposia.parquet import read_parquet, write_parquet
from symposia.registry import load
from symposia.rows import rows_of
from symposia.sources import check_ids, read_jsonl, read_rows
from symposia.state.errors import BadInput, SymposiaError

ROWS = [{"id": "a", "question": 'Who said "no",\nand when?', "answer": None}, {"id": "ä", "question": "日本 🙂", "answer": "2"}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, so that places name files as a user does."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(source, *args, **options) -> BadInput:
    with pytest.raises(BadInput) as found:
        read_rows(source, *args, **options)
    assert found.value.remedy, "every error says what to do"
    return found.value


def jsonl(*rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


TABLE = 'id{0}question{0}answer\na{0}"Who said ""no"",\nand when?"{0}\n\nä{0}日本 🙂{0}2\n'


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("in.jsonl", jsonl(ROWS[0]) + "\n" + jsonl(ROWS[1]), ("line 1", "line 3")),
        ("in.ndjson", "\ufeff" + jsonl(*ROWS), ("line 1", "line 2")),
        ("in.json", jsonl(*ROWS), ("line 1", "line 2")),
        ("in.JSON", json.dumps(ROWS, indent=1), ("row 1", "row 2")),
        ("in.csv", TABLE.format(","), ("line 2", "line 5")),
        ("in.csv", "\ufeff" + TABLE.format(",").replace("\n", "\r\n").replace(",\r\nand", ",\nand"), ("line 2", "line 5")),
        ("in.tsv", TABLE.format("\t"), ("line 2", "line 5")),
    ],
)
def test_a_text_of_every_form_gives_the_same_rows(folder, name, text, places):
    (folder / name).write_bytes(text.encode())
    assert read_rows(name) == [(f"{name}, {place}", row) for place, row in zip(places, ROWS, strict=True)]


def test_rows_from_standard_input(monkeypatch):
    for text, place in ((jsonl(*ROWS), "standard input, line 2"), (json.dumps(ROWS), "standard input, row 2")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert read_rows("-")[1] == (place, ROWS[1])


def test_parquet_values_become_plain_json(folder):
    day = datetime.datetime(2026, 11, 5, 7, 30, tzinfo=datetime.UTC)
    row = {
        "question": "q",
        "nested": {"input": {"text": "日本"}, "choices": ["a", None]},
        "when": day,
        "date": day.date(),
        "price": Decimal("0.25"),
        "whole": Decimal("12345678901234567890.00"),
        "score": float("nan"),
        "n": 2**40,
    }
    pq.write_table(pa.Table.from_pylist([row, {"question": "r"}]), "in.parquet")
    rows = read_rows("in.parquet")
    assert rows[0] == (
        "in.parquet, row 1",
        {
            **{"question": "q", "nested": {"input": {"text": "日本"}, "choices": ["a", None]}, "when": "2026-11-05T07:30:00+00:00"},
            **{"date": "2026-11-05", "price": 0.25, "whole": 12345678901234567890, "score": None, "n": 2**40},
        },
    )
    assert rows[1][0] == "in.parquet, row 2"
    assert json.loads(json.dumps(rows, allow_nan=False)) == [list(pair) for pair in rows]
    assert read_rows("in.parquet", limit=1) == rows[:1]


def test_what_json_has_no_value_for_names_its_field(folder):
    pq.write_table(pa.table({"question": ["a", "b"], "image": [{"bytes": None}, {"bytes": b"\x89PNG"}]}), "in.parquet")
    error = refused("in.parquet")
    assert (error.place, error.message) == ("in.parquet, row 2, field image.bytes", "4 bytes, no text")
    (folder / "in.jsonl").write_text('{"question": "a", "x": [1, 1e999]}')
    assert refused("in.jsonl").place == "in.jsonl, line 1, field x.1"
    (folder / "in.jsonl").write_text('{"x": ' + "[" * 600 + "]" * 600 + "}")
    assert "nested too deeply" in refused("in.jsonl").message


def test_numpy_values_are_plain(folder):
    from symposia.fields import plain_row

    row = {"a": np.int64(3), "b": np.array([[1.5, np.nan]]), "c": np.bool_(True), "d": np.str_("x")}
    assert json.dumps(plain_row(row, "here")) == '{"a": 3, "b": [[1.5, null]], "c": true, "d": "x"}'


MAPPED = {"prompt": "p", "input.text": "dotted", "input": {"text": "t", "tags": ["u", "v"]}, "choices": ["x", "y"], "label": 1}


@pytest.mark.parametrize(
    ("path", "value"),
    [("prompt", "p"), ("input.text", "dotted"), ("input.tags.1", "v"), ("choices.0", "x"), ("choices", ["x", "y"])],
)
def test_a_field_is_read_from_where_the_mapping_says(folder, path, value):
    (folder / "in.jsonl").write_text(jsonl(MAPPED))
    row = read_rows("in.jsonl", {"question": path})[0][1]
    assert row["question"] == value
    assert path not in row, "it is renamed"
    assert row["label"] == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("promt", "no field 'promt' in the row; did you mean 'prompt'? It has prompt, input.text, input, choices, label"),
        ("input.txt", "no field 'txt' in input; did you mean 'text'? It has text, tags"),
        ("choices.2", "choices has 2 items, the first of them 0, and no item 2"),
        ("choices.first", "no field 'first' in choices, which is a list, whose items have numbers"),
        ("label.x", "no field 'x' in label, which is 1, no object"),
    ],
)
def test_a_mapped_field_that_is_missing(folder, path, message):
    (folder / "in.jsonl").write_text(jsonl(MAPPED))
    error = refused("in.jsonl", {"question": path})
    assert error.message == message
    assert error.place == "in.jsonl, line 1, field question"


def test_a_column_that_a_table_lacks_is_said_once(folder):
    (folder / "in.csv").write_text("prompt,label\na,1\nb,2\n")
    error = refused("in.csv", {"question": "promt"})
    assert (error.place, "did you mean 'prompt'" in error.message) == ("in.csv, line 1, field question", True)
    pq.write_table(pa.table({"prompt": ["a", "b"]}), "in.parquet")
    assert refused("in.parquet", {"question": "promt"}).place == "in.parquet, field question"


def test_a_mapped_reference_is_the_reference(folder):
    (folder / "in.jsonl").write_text(jsonl({"q": "1 + 1?", "answer": "It is #### 2", "final": {"value": 2}}))
    rows = rows_of(load("chain_of_thought"), read_rows("in.jsonl", {"question": "q", "reference": "final.value"}), {})
    assert (rows[0].inputs["question"], rows[0].reference, rows[0].id) == ("1 + 1?", 2, 1)


def test_an_error_names_ten_bad_rows_and_counts_the_rest(folder):
    lines = [jsonl({"question": "fine"}), *(f'{{"question": {i}\n' for i in range(12)), '["list"]\n']
    (folder / "in.jsonl").write_text("".join(lines))
    error = refused("in.jsonl")
    assert error.message.startswith("13 problems:\n  in.jsonl, line 2: no JSON")
    assert "in.jsonl, line 11:" in error.message
    assert "line 12" not in error.message
    assert error.message.endswith("and 3 more")
    assert error.place == "in.jsonl, line 2"
    with pytest.raises(BadInput, match="13 problems"):
        read_jsonl(Path("in.jsonl"))
    assert read_rows("in.jsonl", limit=1) == [("in.jsonl, line 1", {"question": "fine"})]
    assert refused("in.jsonl", limit=3).message.startswith("2 problems")


def test_rows_that_do_not_suit_the_method_are_all_named(folder):
    (folder / "in.jsonl").write_text(jsonl({"question": ""}, {"question": "fine"}, {"question": "q", "task": "lettr"}))
    with pytest.raises(BadInput) as found:
        rows_of(load("chain_of_thought"), read_rows("in.jsonl"), {})
    assert "line 1, field question: the question is empty" in found.value.message
    assert "line 3: unknown task" in found.value.message or "'letter'" in found.value.message
    assert "line 2" not in found.value.message


@pytest.mark.parametrize(
    ("name", "data", "message", "remedy"),
    [
        ("in.xlsx", b"", "in.xlsx has the suffix .xlsx", ".csv"),
        ("in.jsnol", b"", "did you mean .json", ".jsonl"),
        ("in", b"", "no suffix", ".jsonl"),
        ("in.jsonl", b"\n \n", "in.jsonl holds no row", "a row is"),
        ("in.json", b"[]", "in.json holds no row", "a row is"),
        ("in.json", b'[{"question": "a"},', "in.json holds no JSON", "a list is"),
        ("in.json", b'{\n"data": []}', "holds one object, data", "[{...}, ...]"),
        ("in.json", b'[{"question": "a"}, 7]', "no JSON object but 7", "JSON object"),
        ("in.csv", b"", "in.csv holds no row", "header"),
        ("in.csv", b"question,answer\n", "in.csv holds no row", "header"),
        ("in.csv", b"question,id,question\na,1,b\n", "'question' is there twice", "name of its own"),
        ("in.csv", b"question,id\nWhy, though?,1\n", "3 fields, where the header has 2", "quote fields that hold a comma"),
        ("in.csv", b"question,id\nWhy\n", "1 fields, where the header has 2", "quote"),
        ("in.csv", b'question,id\n"Why,1\n', "broken quoting", "double a quote"),
        ("in.csv", b"question;id\nWhy;1\n", "separated by ';'", "commas"),
        ("in.csv", b"question\tid\nWhy\t1\n", "separated by '\\t'", ".tsv"),
        ("in.jsonl", b'{"question": "a"}\n{"question": "caf\xe9"}\n', "is no UTF-8: byte 0xe9 in line 2", "iconv -f LATIN1"),
        ("in.csv", "question\na\n".encode("utf-16"), "mark of UTF-16", "iconv -f UTF-16"),
        ("in.parquet", b"no parquet", "is no Parquet file", "name a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_bad_input(folder, name, data, message, remedy):
    (folder / name).write_bytes(data)
    error = refused(name)
    assert message in f"{error.message} {error.place}"
    assert remedy in error.remedy


def test_a_file_that_is_not_there(folder):
    (folder / "questions.jsonl").write_text("{}")
    (folder / "sub.csv").mkdir()
    assert "did you mean questions.jsonl?" in refused("qestions.jsonl").message
    assert "no such file" in refused("gone/in.csv").message
    assert "there is no file in.parquet" in refused("in.parquet").message
    assert "cannot be read" in refused("sub.csv").message
    assert "limit is 0" in refused("questions.jsonl", limit=0).message


def test_a_broken_line_of_a_table_does_not_hide_the_next(folder):
    (folder / "in.csv").write_text('question,id\na"b,1\n"x"y,2\nfine,3\nd,4,5\n')
    error = refused("in.csv")
    assert "2 problems" in error.message
    assert "in.csv, line 3: broken quoting" in error.message
    assert "in.csv, line 5: 3 fields" in error.message


def test_a_field_of_a_table_may_be_long(folder):
    (folder / "in.csv").write_text("question\n" + "x" * 200_000 + "\n")
    assert len(read_rows("in.csv")[0][1]["question"]) == 200_000


def test_a_package_that_is_missing_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    for source in ("in.parquet", "hf:owner/name"):
        assert refused(source).remedy == "pip install 'symposia[data]'"


# -- the hub ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(folder, monkeypatch):
    """A local data set with two splits; the library keeps its cache here and asks no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    (folder / "set").mkdir()
    (folder / "set" / "train.jsonl").write_text(jsonl({"prompt": "a", "meta": {"n": 1}}, {"prompt": "b", "meta": {"n": 2}}))
    (folder / "set" / "test.jsonl").write_text(jsonl({"prompt": "c", "meta": {"n": 3}}))
    return folder


def test_a_data_set_of_a_local_folder(hub):
    rows = read_rows("hf:./set:default:train", {"question": "prompt", "answer": "meta.n"})
    assert rows == [
        ("hf:./set:default:train, row 1", {"question": "a", "meta": {"n": 1}, "answer": 1}),
        ("hf:./set:default:train, row 2", {"question": "b", "meta": {"n": 2}, "answer": 2}),
    ]
    assert [row["prompt"] for _, row in read_rows("hf:./set::test")] == ["c"]
    error = refused("hf:./set")
    assert "no split is named. The data set has" in error.message
    assert "train" in error.message
    assert "did you mean 'train'?" in refused("hf:./set::trian").message
    assert "no configuration 'train'" in refused("hf:./set:train").message
    assert "no field 'promt'" in refused("hf:./set::train", {"question": "promt"}).message
    assert "there is no folder ./gone" in refused("hf:./gone").message
    assert "names no data set" in refused("hf:a:b:c:d").message
    (hub / "empty").mkdir()
    assert "cannot be loaded" in refused("hf:./empty").message


# -- ids --------------------------------------------------------------------------------------------------------------------------------


def test_rows_of_one_id_are_named(folder):
    rows = [{"id": 1, "q": "a"}, {"q": "b"}, {"id": 1, "q": "c"}, {"id": "1", "q": "d"}, {"id": 1, "q": "a"}]
    (folder / "in.jsonl").write_text(jsonl(*rows))
    with pytest.raises(BadInput) as found:
        check_ids(read_rows("in.jsonl"))
    assert "3 problems" in found.value.message
    assert "in.jsonl, line 3: id 1 is that of another row, in.jsonl, line 1" in found.value.message
    assert "in.jsonl, line 5: the row of id 1 stands in in.jsonl, line 1 already" in found.value.message
    assert "--map id=FIELD" in str(found.value.remedy)
    check_ids(read_rows("in.jsonl", limit=2))
    with pytest.raises(BadInput, match="id 2 is that of another row"):
        check_ids([("line 1", {"id": 2}), ("line 2", {"q": "its number is its id"})])


def test_half_a_sign_in_an_id_or_a_reference_is_fit_to_be_written(folder):
    (folder / "in.jsonl").write_text('{"id": "a\\ud83d", "question": "b\\ud83d", "answer": ["c\\ud83d"]}\n')
    (row,) = rows_of(load("chain_of_thought"), read_rows("in.jsonl"), {})
    assert (row.id, row.inputs["question"], row.reference) == ("a\ufffd", "b\ufffd", ["c\ufffd"])
    params = make_params(load("chain_of_thought"), {"prompts": {"solver": "d\ud83d {question}"}})
    assert params.prompts["solver"] == "d\ufffd {question}"


# -- results as Parquet -----------------------------------------------------------------------------------------------------------------

RESULTS = [
    {
        **{"id": "a", "row": 1, "run_id": "f00", "status": "ok", "answer": 42, "reference": "42", "correct": True, "error": None},
        **{"calls": {"live": 3, "by_role": {"solver": 3}}, "requests": 3, "cost_usd": 0, "seconds": 1.5, "note": None, "big": 2**70},
    },
    {
        **{"id": 2, "row": 2, "run_id": "f01", "status": "failed", "answer": None, "reference": None, "correct": None},
        **{"error": {"name": "EndpointDown", "message": "日本 🙂"}, "calls": {}, "requests": 0, "cost_usd": 0.25, "seconds": 2.0},
        **{"note": None, "big": 1},
    },
    {
        **{"id": 2.0, "row": 3, "run_id": "f\ud800", "status": "ok", "answer": "null", "reference": ["x", None], "correct": False},
        **{"error": None, "calls": {"live": 0}, "requests": 1, "cost_usd": None, "seconds": 0.0, "note": None, "big": None},
    },
]


def test_results_come_back_from_parquet_as_they_were(folder):
    write_parquet("out.parquet", RESULTS)
    back = read_parquet("out.parquet")
    assert back == RESULTS
    assert [list(line) for line in back] == [list(line) for line in RESULTS]
    assert [type(line["id"]) for line in back] == [str, int, float]
    types = {field.name: str(field.type) for field in pq.read_schema("out.parquet")}
    assert types == dict.fromkeys(types, "string") | {"row": "int64", "correct": "bool", "requests": "int64"} | dict.fromkeys(
        ("cost_usd", "seconds"), "double"
    )
    assert json.loads(pq.read_table("out.parquet")["error"][1].as_py())["message"] == "日本 🙂"


@pytest.mark.parametrize(
    "lines",
    [[], [{"a": 1}, {"b": None}, {"a": None, "b": 2}], [{"a": 1}, {}], [{"a": "x"}, {"a": ["x"]}], [{"a": True}, {"a": 1}]],
    ids=repr,
)
def test_lines_of_any_shape_come_back_from_parquet(folder, lines):
    write_parquet("out.parquet", lines)
    back = read_parquet("out.parquet")
    assert back == lines
    assert [[type(v) for v in line.values()] for line in back] == [[type(v) for v in line.values()] for line in lines]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(folder, monkeypatch):
    write_parquet("out.parquet", [{"a": 1}])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SymposiaError, match="No space left"):
        write_parquet("out.parquet", [{"a": 2}])
    assert read_parquet("out.parquet") == [{"a": 1}]
    assert [path.name for path in folder.iterdir()] == ["out.parquet"]
    with pytest.raises(SymposiaError, match="cannot write"):
        write_parquet("gone/out.parquet", [{"a": 2}])
