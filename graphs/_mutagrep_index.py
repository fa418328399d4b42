"""The index of a repository, which MutaGReP makes once: symbols, sentences that ask for them, and these as vectors.

The graph behind `symposia prepare mutagrep FOLDER`, and a part of runs that bring a small repository along; no method of its own. Source:
"MutaGReP: Execution-Free Repository-Grounded Plan Search for Code-Use", 2025, https://arxiv.org/abs/2502.15872, section 3, and the
authors' code (codezakh/MutaGReP), which is the authority where the text is silent: five sentences per symbol, embedded in hundreds, and a
check that sentences drawn at random find their own symbols.

```mermaid
graph LR
  START --> intake --> mine_symbols --> make_intents --> embed_intents --> END
```

Ours: vectors are compared by cosine (the authors' code: by distance, which orders unit vectors alike); the check takes what there is when
there are fewer than 25 sentences; sentences that two symbols share count for either; core files decide what is mined. The paper says how
long the code in a prompt may be, not its model's temperature; none is sent. The embedder is a role, `embedder`; without one the words and
letters of the sentences are hashed here (the paper: text-embedding-3-large).
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

from langgraph.graph import END, START
from langgraph.runtime import Runtime
from pydantic import Field
from typing_extensions import TypedDict

from symposia.nodes.intents import DESCRIBE, Intent
from symposia.nodes.intents import make_intents as describe_all
from symposia.state.base import BaseParams, Sampling
from symposia.state.channels import settled
from symposia.state.errors import BadInput, SymposiaError
from symposia.state.graph import StateGraph
from symposia.state.journal import effect
from symposia.state.packing import digest_of
from symposia.tools.embed import embedder_of, vectors
from symposia.tools.llm import model_of
from symposia.tools.retrieval import Index, unit
from symposia.tools.symbols import Rules, Symbol, fingerprint, mine

CHECKED = 25
"""Sentences that the check draws."""


class IndexParams(BaseParams):
    """Parameters of the index; the method's own add those of the search."""

    n_intents: int = Field(5, ge=0, le=50, description="sentences per symbol; 0 takes its name and docstring instead, without a call")
    code_tokens: int = Field(10_000, ge=1, description="longest code shown to the describer, in tokens of four characters")
    core_files: list[str] | None = Field(None, description="files that count, from the root, as names or patterns; None for all")
    leave_out: list[str] = Field(["test"], description="words that keep a file out where one stands in its path, also with an s")
    languages: list[str] = Field(["python"], description="python, javascript, typescript, java, go; all but Python need symposia[code]")
    dimensions: int | None = Field(None, ge=1, description="numbers per vector, where the embedder lets one choose; None for its own")
    prompts: dict[str, str] = Field({"describer": DESCRIBE}, description="templates by role")
    sampling: dict[str, Sampling] = Field({"describer": Sampling()}, description="sampling by role; the authors' code sends none")


PREPARE_PARAMS = frozenset(IndexParams.model_fields)
"""The parameters that an index depends on: another search over the same repository is not another index."""


class Repository(TypedDict):
    """A row of the data: a repository, and what its files were when the run was begun."""

    repo_root: str
    fingerprint: str


class Repositories(TypedDict):
    """The input of the graph."""

    rows: list[Repository]


class State(Repositories):
    """What has been found so far; `answer` is the content of the artefact."""

    params: Annotated[dict[str, Any], settled]
    symbols: NotRequired[list[Symbol]]
    skipped: NotRequired[list[dict[str, str]]]
    intents: NotRequired[list[list[str]]]
    failures: NotRequired[list[list[str]]]
    answer: NotRequired[dict[str, Any]]


def prepare_rows(rows: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> list[Repository]:
    """The one row with its files' fingerprint, so that a repository that has changed is another input, and one that has not the same.

    Raises:
        BadInput: There is not exactly one repository, or it is no folder.
    """
    roots = [row.get("repo_root") for row in rows]
    if len(roots) != 1 or not isinstance(roots[0], str):
        raise BadInput(f"{len(roots)} rows name no one repository", remedy="give a folder, or one row with its path as repo_root")
    root = Path(roots[0]).expanduser().resolve()
    return [Repository(repo_root=str(root), fingerprint=fingerprint(root, **_rules(params)))]


def _rules(params: Mapping[str, Any]) -> Rules:
    return Rules(core_files=params["core_files"], leave_out=params["leave_out"], languages=params["languages"])


async def intake(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state, unless whoever called the graph has put them there.

    Raises:
        BadInput: The role `embedder` has several models, or the rows do not name one repository with its fingerprint.
    """
    params = dict(state["params"] or runtime.context.model_dump(mode="json"))
    embedder_of(params)
    if len(state["rows"]) != 1 or not {"repo_root", "fingerprint"} <= state["rows"][0].keys():
        raise BadInput("the input names no one repository with its fingerprint", remedy="make it with `prepare_rows`")
    return {"params": params}


async def mine_symbols(state: State) -> dict[str, Any]:
    """Read the repository, once: what it held is in the journal from then on.

    Raises:
        BadInput: Its files are no longer those of the fingerprint, or hold no symbol.
    """
    row, rules = state["rows"][0], _rules(state["params"])
    root = Path(row["repo_root"])

    async def read() -> dict[str, Any]:
        mined = await asyncio.to_thread(mine, root, **rules)
        if mined.fingerprint != row["fingerprint"]:
            raise BadInput(f"the files of {root} have changed since the run was begun", remedy="start it again")
        return {"symbols": mined.symbols, "skipped": mined.skipped}

    found: dict[str, Any] = await effect("mine", {"repo_name": root.name, "fingerprint": row["fingerprint"], **rules}, read)
    if not found["symbols"]:
        reasons = "; ".join(f"{each['filepath']}: {each['reason']}" for each in found["skipped"][:3])
        raise BadInput(
            f"no symbol was found in {root}{f' ({reasons})' if reasons else ''}", remedy="see -p languages, leave_out, core_files"
        )
    return found


async def make_intents(state: State) -> dict[str, Any]:
    """Sentences for every symbol.

    Raises:
        SymposiaError: No symbol has any; the message has the first reason.
    """
    intents, failures = await describe_all(state["params"], Path(state["rows"][0]["repo_root"]).name, state["symbols"])
    if not intents:
        raise SymposiaError(f"no symbol could be described; the first: {failures[0][1]}", remedy="see to the describer's model")
    return {"intents": [list(one) for one in intents], "failures": [list(one) for one in failures]}


async def embed_intents(state: State) -> dict[str, Any]:
    """Embed the sentences, see that they find their symbols, and pack the index.

    Raises:
        SymposiaError: One of the sentences drawn does not find its own symbol first.
    """
    params, row = state["params"], state["rows"][0]
    embedder = embedder_of(params)
    intents = [Intent(text, path) for text, path in state["intents"]]
    models = [model_of(params, "describer"), params["prompts"]["describer"], params["n_intents"], embedder, params["dimensions"]]
    rows = await vectors([intent.text for intent in intents], embedder, dimensions=params["dimensions"])
    index = Index(
        repo_name=Path(row["repo_root"]).name,
        fingerprint=digest_of([row["fingerprint"], models]).hex(),
        embedder=embedder,
        dimensions=params["dimensions"],
        symbols={symbol["full_path"]: symbol for symbol in state["symbols"]},
        intents=[(intent.text, intent.full_path) for intent in intents],
        vectors=unit(rows),
    )
    drawn = check(index)
    return {"answer": {**index.pack(), "checked": drawn, "failures": state["failures"], "skipped": state["skipped"]}}


def check(index: Index) -> int:
    """How many sentences were drawn, each of which found its own symbol, or one with the same sentence, before all others.

    Raises:
        SymposiaError: One did not.
    """
    drawn = random.Random(index.fingerprint).sample(range(len(index.intents)), min(CHECKED, len(index.intents)))
    for i, (first, *_) in zip(drawn, index.nearest(index.vectors[drawn], 1), strict=True):
        text, path = index.intents[i]
        found = first["full_path"]
        if found != path and (text, found) not in index.intents:
            raise SymposiaError(
                f"the sentence {text!r} of {path} finds {found} first",
                remedy=f"{index.embedder} does not tell sentences apart: take another",
            )
    return len(drawn)


def prepare(params: type[IndexParams] = IndexParams) -> StateGraph[State, IndexParams, Repositories, State]:
    """The graph behind `symposia prepare mutagrep`; `params` is the class of the parameters that it is given."""
    builder = StateGraph(State, params, input_schema=Repositories)
    builder.add_node(intake).add_node(mine_symbols).add_node(make_intents).add_node(embed_intents)
    builder.add_edge(START, "intake").add_edge("intake", "mine_symbols").add_edge("mine_symbols", "make_intents")
    builder.add_edge("make_intents", "embed_intents").add_edge("embed_intents", END)
    return builder


INDEX = prepare().compile()
"""The graph as a part of another: invoke it with `{"rows": prepare_rows(...), "params": ...}`."""
