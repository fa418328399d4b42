"""Parameters laid over a method's own, placeholders of prompts, and what a method says about itself."""

import json

import pytest
from pydantic import Field, ValidationError

from symposia.graphs.magicore import METHOD, Params
from symposia.nodes.prompts import SOLVE
from symposia.state.base import BaseParams, Method, Sampling, placeholders
from symposia.state.errors import (
    BadInput,
    ModelError,
    NotRecorded,
    RateLimited,
    SymposiaError,
    UnknownName,
    from_record,
    nearest,
    shorten,
)


class Small(BaseParams):
    """A method with a prompt and a sampling of its own."""

    n: int = Field(2, ge=1)
    depth: int = Field(3, ge=0)
    prompts: dict[str, str] = Field({"solver": "Solve {question} as {task}.", "judge": "Judge {chain}."})
    sampling: dict[str, Sampling] = Field({"solver": Sampling(temperature=0.7, top_p=0.9), "judge": Sampling(temperature=0)})


def test_what_is_given_is_laid_over_the_methods_defaults_key_by_key():
    params = Small(prompts={"judge": "Is {chain} right?"}, sampling={"solver": {"top_p": None, "max_tokens": 9}})
    assert params.prompts == {"solver": "Solve {question} as {task}.", "judge": "Is {chain} right?"}
    assert params.sampling["solver"] == Sampling(temperature=0.7, max_tokens=9)
    assert params.sampling["judge"] == Sampling(temperature=0)
    assert Small() == Small(prompts={}, sampling={}), "defaults stand when nothing is given"
    assert Small(sampling={"judge": Sampling(top_p=0.5)}).sampling["judge"] == Sampling(top_p=0.5)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"sampling": {"solvr": {}}}, "no role 'solvr'; this method has judge, solver"),
        ({"prompts": {"other": "x"}}, "no role 'other'; this method has judge, solver"),
        ({"prompts": {"judge": "Judge {question}."}}, "prompt of judge uses {question}; it may use {chain}"),
        ({"prompts": {"judge": "Judge."}}, "prompt of judge uses no placeholder; it may use chain"),
        (
            {"prompts": {"judge": "Judge {chain"}},
            "prompt of judge: expected '}' before end of string; literal braces are written {{ and }}",
        ),
        ({"prompts": {"judge": "{chain} {"}}, "literal braces are written {{ and }}"),
        ({"prompts": {"judge": "{chain.__class__}"}}, "is not a plain name"),
        ({"prompts": {"judge": "{chain[0]}"}}, "is not a plain name"),
        ({"prompts": {"judge": "{}"}}, "is not a plain name"),
        ({"sampling": {"judge": {"temprature": 1}}}, "Extra inputs are not permitted"),
        ({"sampling": {"judge": {"top_p": 0}}}, "greater than 0"),
        ({"sampling": {"judge": None}}, "valid dictionary or instance of Sampling"),
        ({"nn": 1}, "Extra inputs are not permitted"),
        ({"n": 0}, "greater than or equal to 1"),
        ({"seed": 2**31}, "less than or equal to 2147483647"),
    ],
)
def test_a_wrong_parameter_is_named(given, complaint):
    with pytest.raises(ValidationError) as caught:
        Small(**given)
    assert complaint in str(caught.value)


def test_placeholders():
    assert placeholders(SOLVE) == {"answer_format", "question"}
    assert placeholders("{{literal}} {a}{b!r}{c:>3}") == {"a", "b", "c"}


@pytest.mark.parametrize("params", [Small(), Small(n=5, roles={"solver": ["a", "b"]}, seed=7), Params(k=3, model="m", use_n=True)])
def test_params_go_through_json_and_through_a_state(params):
    plain = params.model_dump(mode="json")
    assert type(params).model_validate(json.loads(json.dumps(plain))) == params
    assert type(params).of({"params": plain}) == params


def test_params_cannot_be_changed():
    with pytest.raises(ValidationError):
        Small().n = 3


def test_a_method_counts_its_calls_from_its_parameters():
    assert METHOD.count(METHOD.calls, Params(k=4, max_rounds=2)) == 20
    assert METHOD.count(METHOD.scoring, Params(k=4, max_rounds=2)) == 24


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("n ** depth", 8),
        ("depth * (n > 1) + (n > 2)", 3),
        ("depth + (model == 'toy/default')", 4),
        ("n - 1 + depth // 2", 2),
        ("max(n, depth, 1)", 3),
        ("min(n, depth) * (1 + n)", 6),
        ("0", 0),
    ],
)
def test_expressions_over_parameters(expression, value):
    assert METHOD.count(expression, Small()) == value


@pytest.mark.parametrize(
    "expression", ["n / 2", "__import__('os')", "n if n else 1", "n.bit_length()", "'n'", "-n", "1.5", "n < 2", "1 < n > 0", "n > depth"]
)
def test_an_expression_that_is_no_whole_number_arithmetic_is_refused(expression):
    with pytest.raises(ValueError, match="not arithmetic over parameters"):
        METHOD.count(expression, Small())


def test_an_expression_over_something_that_is_no_parameter_is_refused():
    with pytest.raises(ValueError, match="no parameter 'rounds'"):
        METHOD.count("n * rounds", Small())


def test_a_method_says_what_it_is():
    assert isinstance(METHOD, Method)
    assert (METHOD.name, METHOD.arxiv, METHOD.year) == ("magicore", "2409.12147", 2024)


@pytest.mark.parametrize(
    "error",
    [
        SymposiaError("plain"),
        ModelError("it failed", remedy="start it", place="8.refine.b3"),
        RateLimited("slow down", place="5.suite.s1/2.vote~1.b0"),
        UnknownName.of("method", "magicor", ["magicore", "other"]),
        NotRecorded("gone", place="1.a", got={"kind": "llm"}),
        BadInput(""),
    ],
)
def test_an_error_survives_its_record(error):
    again = from_record(json.loads(json.dumps(error.to_record())))
    assert type(again) is type(error)
    assert (again.message, again.place, again.remedy, str(again)) == (error.message, error.place, error.remedy, str(error))


def test_an_error_names_its_step_and_node():
    assert [RateLimited("", place=p).to_record()["step"] for p in ("8.refine.b3", "5.suite.s1/2.vote~1.b0", None)] == [8, 2, None]
    assert [RateLimited("", place=p).to_record()["node"] for p in ("8.refine.b3", "5.suite.s1/2.vote~1.b0", None)] == [
        "refine",
        "vote",
        None,
    ]
    assert str(RateLimited("slow down", place="1.a", remedy="Wait")) == "slow down (at 1.a). Wait"


def test_an_error_whose_class_is_gone_is_still_ours():
    again = from_record({"name": "Forgotten", "message": "m", "place": "1.a"})
    assert type(again) is SymposiaError
    assert str(again) == "m (at 1.a)"


def test_the_nearest_names_and_short_texts():
    assert UnknownName.of("method", "magicor", ["magicore", "other"]).message == "unknown method 'magicor'; did you mean 'magicore'?"
    assert nearest("zzz", ["magicore"]) == []
    assert shorten("a\n b") == "a b"
    assert len(shorten("x" * 1000, 100)) == 105
