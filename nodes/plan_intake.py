"""The first steps of a plan search: the request is checked, and the repository it is about is made ready.

The repository is the index that the run's artefact holds, or the files that came with the request, indexed here by the names and docstrings
of their symbols: without a call but for the embedder's.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NotRequired, cast

from langgraph.runtime import Runtime
from langgraph.types import Overwrite
from pydantic import Field

from symposia.nodes.intake import intake as question_intake
from symposia.nodes.intents import own_words
from symposia.state.base import BaseState, Question
from symposia.state.channels import settled
from symposia.state.errors import BadInput, shorten
from symposia.state.journal import current
from symposia.state.packing import digest_of, sound, sound_all
from symposia.tools.embed import embedder_of, vectors
from symposia.tools.retrieval import KIND, Index, check_embedder, index_of, summary, unit
from symposia.tools.symbols import Mined, mine

MOST_SYMBOLS = 500
"""Symbols that a run indexes by itself; the index stands in its state."""
_PREPARE = "index a folder with `symposia prepare mutagrep FOLDER` and run with -p artefact=ID, or give a small library as the input files"


class Request(Question):
    """A request that code using a repository is to meet."""

    files: NotRequired[
        Annotated[dict[str, str], Field(title="Files", description="a small repository, source by path; in place of an artefact")]
    ]
    unique_apis: NotRequired[
        Annotated[list[str], Field(title="Known symbols", description="symbols a good program uses: for scorer=oracle and `report`")]
    ]


class Received(Request):
    """The input and the parameters, which a thread that has planned before holds already."""

    params: Annotated[dict[str, Any], settled]
    artefact: Annotated[dict[str, Any], settled]


def check_input(given: Mapping[str, Any]) -> None:
    """See that the files are texts by relative paths and the known symbols are names.

    Raises:
        BadInput: They are not.
    """
    files, apis = given.get("files"), given.get("unique_apis")
    if files is not None:
        if not isinstance(files, Mapping) or not files or not all(isinstance(x, str) for pair in files.items() for x in pair):
            raise BadInput("the files are no texts by path", remedy='give an object such as {"package/module.py": "source"}')
        for path in files:
            _check_path(path)
    if apis is not None and not (isinstance(apis, list) and all(isinstance(name, str) and name for name in apis)):
        raise BadInput(f"unique_apis is {shorten(repr(apis), 60)}", remedy="give a list of names")


def _check_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    odd = path != sound(path) or "\\" in path or "\0" in path
    if odd or path.startswith("/") or not parts or ".." in parts or len(path) > 200:
        raise BadInput(f"{shorten(repr(path), 60)} is no path from the root of a repository", remedy="such as package/module.py")


async def intake(state: Received, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state, and check the request and where its repository comes from.

    Raises:
        BadInput: As `nodes.intake.intake` and `check_input`; or there is no repository, or no known symbols for the oracle.
    """
    check_input(state)
    params, held = runtime.context, current().artefact
    written = await question_intake(cast("BaseState", state), runtime)
    if held is not None:
        if held.get("kind") != KIND:
            raise BadInput(f"artefact {params.artefact} is no index of a repository", remedy=_PREPARE)
        written["artefact"] = summary(held)
        check_embedder(index_of(written), written["params"])
    elif not state.get("files"):
        raise BadInput("there is no repository to plan with", remedy=_PREPARE)
    if params.scorer == "oracle" and not state.get("unique_apis"):
        raise BadInput("scorer=oracle knows no symbols to look for", remedy="give them: --input unique_apis=JSON, or a row's field")
    if state["params"]:  # a thread that has planned before
        written |= {key: Overwrite({}) for key in ("nodes", "scores", "symbols")}
    return {**written, "unique_apis": list(state.get("unique_apis") or [])}


async def index(state: Received) -> dict[str, Any]:
    """Index the files that came with the request, unless the run names an artefact.

    Raises:
        BadInput: The files hold no symbol, or more than `MOST_SYMBOLS`.
        SymposiaError: The embedder failed.
    """
    if state["artefact"]:
        return {}
    params = state["params"]
    mined = await asyncio.to_thread(_mined, state["files"], {name: params[name] for name in ("core_files", "leave_out", "languages")})
    if not 0 < len(mined.symbols) <= MOST_SYMBOLS:
        reasons = "; ".join(f"{each['filepath']}: {each['reason']}" for each in mined.skipped[:3])
        found = f"the files hold {len(mined.symbols)} symbols, 1 to {MOST_SYMBOLS} can be indexed in a run"
        raise BadInput(f"{found}{f' ({reasons})' if reasons else ''}", remedy=_PREPARE)
    intents = [(own_words(symbol), symbol["full_path"]) for symbol in mined.symbols]
    embedder = embedder_of(params)
    rows = await vectors([text for text, _ in intents], embedder, dimensions=params["dimensions"])
    made = Index(
        repo_name=_name(state["files"]),
        fingerprint=digest_of([mined.fingerprint, embedder, params["dimensions"]]).hex(),
        embedder=embedder,
        dimensions=params["dimensions"],
        symbols={symbol["full_path"]: symbol for symbol in mined.symbols},
        intents=intents,
        vectors=unit(rows),
    )
    return {"artefact": made.pack()}


def _mined(files: Mapping[str, str], rules: Mapping[str, Any]) -> Mined:
    """The symbols of files, which stand in a folder while they are read."""
    with TemporaryDirectory(prefix="symposia-") as folder:
        for path, text in files.items():
            target = Path(folder, path)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(sound_all(text), encoding="utf-8")
            except OSError as error:
                raise BadInput(f"the file {path!r} cannot be written: {error.strerror}", remedy="name files as a repository does") from None
        return mine(folder, **rules)


def _name(files: Mapping[str, str]) -> str:
    """The folder that all files stand in, else `repository`."""
    tops = {PurePosixPath(path).parts[0] for path in files if "/" in path}
    return tops.pop() if len(tops) == 1 else "repository"
