"""The profiles of a pool of models, which Symbolic-MoE makes once for a validation set; no method of its own.

The graph behind `symposia prepare symbolic_moe VALIDATION.jsonl --role expert=A,B,...`. Source: "Symbolic Mixture-of-Experts", 2025,
https://arxiv.org/abs/2503.05641, and the authors' code (dinobby/Symbolic-MoE).

```mermaid
graph LR
  START --> intake --> tag --> embed_skills --> profile_run --> build_profiles --> make_agg_bench --> agg_run --> pick_aggregator --> END
```

Every row has its known `answer`. A row whose `split` is "test" is a question yet to be answered: its answer is dropped before anything
sees it, and all that is learnt from it is how often each model would be recruited for such questions, by which rare experts are trimmed.
Without such rows the validation questions themselves stand for them.

Ours: answers are compared as everywhere here (the authors' bench compares texts); the bench shows chains without their thoughts, as the
aggregation does; a call that a provider finally failed is no wrong answer but ends the preparation, which can go on later, unless the
model cannot take the request at all, such as one that is too long for it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, NotRequired

from langgraph.graph import END, START
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from symposia.nodes.aggregator import after_thought, with_references
from symposia.nodes.experts import answer_in, pool_of, reply_of, request
from symposia.nodes.tagger import embed_skills as embed_all
from symposia.nodes.tagger import nearest_skills, skills_of
from symposia.state.base import Answer, Sample
from symposia.state.channels import settled
from symposia.state.errors import BadInput, RequestRejected, from_record, shorten
from symposia.state.graph import StateGraph
from symposia.state.place import fan
from symposia.tools import profiles, recruiting
from symposia.tools.answers import task_of
from symposia.tools.embed import embedder_of
from symposia.tools.equality import canon
from symposia.tools.llm import model_of

KIND = "symbolic-moe-profiles"


class Row(TypedDict):
    """A validation question with its accepted answers, or a question to be answered later, without any."""

    question: str
    task: str
    answers: list[Answer]


class Rows(TypedDict):
    """The input of the graph."""

    rows: list[Row]


class Output(TypedDict):
    """What a model made of a question: its reply, whether it counts, and whether it is right."""

    text: str
    status: str
    correct: bool


class State(Rows):
    """What has been found so far, validation questions in the order of their rows; `answer` is the content of the artefact."""

    params: Annotated[dict[str, Any], settled]
    tags: NotRequired[list[list[str]]]
    """The skills of every row, of those to be answered later too."""
    embedded: NotRequired[dict[str, Any]]
    val_outputs: NotRequired[dict[str, list[Output]]]
    profiles: NotRequired[dict[str, profiles.Profile]]
    val_accuracy: NotRequired[dict[str, float]]
    strength: NotRequired[dict[str, float]]
    agg_bench: NotRequired[list[profiles.BenchItem]]
    agg_scores: NotRequired[dict[str, float]]
    answer: NotRequired[dict[str, Any]]


def prepare_rows(rows: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> list[Row]:
    """The rows as the graph takes them; the answers of a test split stay outside.

    Raises:
        BadInput: A row has no question, its task has no such name, it lacks a known answer, or none is left that has one.
    """
    found = []
    for number, row in enumerate(rows, 1):
        question = row.get("question")
        if not isinstance(question, str) or not question.strip():
            raise BadInput(f"row {number} has no question", remedy="give every row a field `question`")
        try:
            task = task_of(row.get("task") or "auto")
        except ValueError as error:
            raise BadInput(f"row {number}: {error}") from None
        later = row.get("split") == "test"
        known = [] if later else next((row[name] for name in ("answer", "reference", "gold_answer") if row.get(name) is not None), None)
        answers: list[Any] = known if isinstance(known, list) else [known]
        if any(isinstance(one, bool) or not isinstance(one, (str, int, float)) for one in answers) or not (answers or later):
            what = "no known answer" if known is None else f"the answer {shorten(repr(known), 60)}, neither a text, a number nor a list"
            raise BadInput(f"row {number} has {what}", remedy="profiles need a field `answer`, or `split` set to test")
        found.append(Row(question=question, task=task, answers=answers))
    if not any(row["answers"] for row in found):
        raise BadInput("no row has a known answer", remedy="give a validation set, whose rows have a field `answer`")
    return found


async def intake(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state.

    Raises:
        BadInput: The input was not made by `prepare_rows`, or the embedder has several models.
    """
    if not state["rows"] or not all({"question", "task", "answers"} <= row.keys() for row in state["rows"]):
        raise BadInput("the rows are not as profiles need them", remedy="make them with `prepare_rows`")
    params = runtime.context.model_dump(mode="json")
    embedder_of(params)
    return {"params": params}


def validation(state: State) -> list[Row]:
    """The rows with known answers."""
    return [row for row in state["rows"] if row["answers"]]


async def tag(state: State) -> dict[str, Any]:
    """The skills of every row."""
    return {"tags": await fan([partial(skills_of, state["params"], row["question"]) for row in state["rows"]])}


def val_skills(state: State) -> list[list[str]]:
    """The skills of the validation questions."""
    return [tags for row, tags in zip(state["rows"], state["tags"], strict=True) if row["answers"]]


async def embed_skills(state: State) -> dict[str, Any]:
    """Vectors of the skills that validation questions take.

    Raises:
        BadInput: No skill came in two passes of any question.
    """
    names = sorted({skill for tags in val_skills(state) for skill in tags})
    if not names:
        what = "the tagger's passes agree on no keyword of any question"
        raise BadInput(what, remedy="look at its replies with `symposia show`, or name another model: --role tagger=MODEL")
    return {"embedded": await embed_all(state["params"], names)}


async def profile_run(state: State) -> dict[str, Any]:
    """Let every model answer every validation question once."""
    params, rows = state["params"], validation(state)

    def asked(model: str, row: Row) -> Any:
        return partial(reply_of, params, "expert", model, request(params, row["question"], row["task"]))

    async def one(model: str) -> list[Sample]:
        return await fan([asked(model, row) for row in rows])

    pool = pool_of(params)
    replies = dict(zip(pool, await fan([partial(one, model) for model in pool]), strict=True))
    return {"val_outputs": await judged(rows, replies)}


async def judged(rows: Sequence[Row], replies: Mapping[str, Sequence[Sample]]) -> dict[str, list[Output]]:
    """Replies of models, each with whether its answer is a known one.

    Raises:
        SymposiaError: A call failed for a reason that may pass.
    """
    for reply in (reply for found in replies.values() for reply in found):
        if reply["status"] == "failed" and not isinstance(error := from_record(reply["error"]), RequestRejected):
            raise error

    async def compared(n: int, row: Row) -> list[bool]:
        said = [found[n] for found in replies.values()]
        read = [answer_in(s["text"], row["task"], row["question"]) if s["status"] == "ok" else None for s in said]
        forms = await canon([*row["answers"], *read], task=row["task"])
        known = forms[: len(row["answers"])]
        return [form is not None and form in known for form in forms[len(known) :]]

    marks = await fan([partial(compared, n, row) for n, row in enumerate(rows)])
    return {
        model: [Output(text=s["text"], status=s["status"], correct=marks[n][place]) for n, s in enumerate(found)]
        for place, (model, found) in enumerate(replies.items())
    }


def correct(outputs: Mapping[str, Sequence[Output]]) -> dict[str, list[bool]]:
    """By model, whether it answered each question rightly."""
    return {model: [output["correct"] for output in found] for model, found in outputs.items()}


def build_profiles(state: State) -> dict[str, Any]:
    """What every model is good at, and how strong it is in all."""
    results = correct(state["val_outputs"])
    table = profiles.profiles(results, val_skills(state))
    accuracy = {model: sum(found) / len(found) for model, found in results.items()}
    return {"profiles": table, "val_accuracy": accuracy, "strength": profiles.strengths(table)}


def make_agg_bench(state: State) -> dict[str, Any]:
    """The bench of the aggregators: of each question a right chain and two wrong ones, shuffled."""
    return {"agg_bench": profiles.bench(correct(state["val_outputs"]), state["params"]["seed"] or 0)}


def chains(state: State, item: profiles.BenchItem) -> list[str]:
    """The texts of an item of the bench, without what was thought before them."""
    return [after_thought(state["val_outputs"][model][item["row"]]["text"]) if model else "" for model in item["models"]]


async def agg_run(state: State) -> dict[str, Any]:
    """Let every model aggregate every item of the bench once."""
    params, rows, items = state["params"], validation(state), state["agg_bench"]

    def asked(model: str, item: profiles.BenchItem) -> Any:
        row = rows[item["row"]]
        messages = with_references(params, "aggregator", request(params, row["question"], row["task"]), chains(state, item))
        return partial(reply_of, params, "aggregator", model, messages)

    async def one(model: str) -> list[Sample]:
        return await fan([asked(model, item) for item in items])

    pool = list(state["val_outputs"])
    replies = dict(zip(pool, await fan([partial(one, model) for model in pool]), strict=True))
    results = correct(await judged([rows[item["row"]] for item in items], replies))
    leave_out = params["exclude_no_correct"]
    return {"agg_scores": {model: profiles.score(found, items, leave_out) for model, found in results.items()}}


async def pick_aggregator(state: State) -> dict[str, Any]:
    """The artefact: profiles, who aggregates, and the slots that each model gets over the questions to be answered."""
    params, table = state["params"], state["profiles"]
    later = [i for i, row in enumerate(state["rows"]) if not row["answers"]]
    batch = later or list(range(len(state["rows"])))
    mapped = await fan([partial(nearest_skills, state["tags"][i], state["embedded"]) for i in batch])
    questions = [state["rows"][i]["question"] for i in batch]

    def drawn(router: recruiting.Router) -> dict[str, int]:
        asked = zip(questions, mapped, strict=True)
        draws = (recruiting.recruit(router, table, skills, params["k"], params["seed"] or 0, question)[0] for question, skills in asked)
        return recruiting.slots({str(n): models for n, models in enumerate(draws)})

    content = {
        **{"kind": KIND, "pool": list(table), "tagger": model_of(params, "tagger"), "questions": len(validation(state))},
        **{"profiles": table, "accuracy": state["val_accuracy"], "strength": state["strength"], **state["embedded"]},
        **{"aggregation": state["agg_scores"], "aggregator": profiles.pick(state["agg_scores"], state["val_accuracy"])},
        **{"slots": {router: drawn(router) for router in recruiting.BY_SKILL}, "slots_from": "test" if later else "validation"},
        "unusable": {model: sum(o["status"] != "ok" for o in found) for model, found in state["val_outputs"].items()},
    }
    return {"answer": content}


def build(params: type[Any]) -> StateGraph[State, Any, Rows, State]:
    """Wire the nodes; `params` are those of the method."""
    builder = StateGraph(State, params, input_schema=Rows)
    builder.add_node(intake).add_node(tag).add_node(embed_skills).add_node(profile_run).add_node(build_profiles)
    builder.add_node(make_agg_bench).add_node(agg_run).add_node(pick_aggregator)
    names = ["intake", "tag", "embed_skills", "profile_run", "build_profiles", "make_agg_bench", "agg_run", "pick_aggregator"]
    for name, after in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(name, after)
    return builder
