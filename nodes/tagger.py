"""The tagger: which skills a question takes, as keywords, and which of the known skills they are nearest to.

Symbolic-MoE (arXiv 2503.05641; rules from the authors' code, dinobby/Symbolic-MoE): several passes over a question, of whose keywords those
count that are short and come in more than one pass; each is then replaced by the known skill of the highest cosine, without a threshold.
Two keywords may so become one skill, which then counts twice.

Ours: a pass that repeats a keyword names it once; a keyword that is itself a known skill is that one, so that only others are embedded;
equal cosines go to the skill that is first in the alphabet. A cosine is rounded to six digits before it is compared, so that other machines
choose alike.
"""

import base64
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from symposia.tools.embed import embedder_of, vectors
from symposia.tools.llm import prompt, quorum, sample
from symposia.tools.retrieval import unit

TAG = """\
Name the core knowledge, subjects or skills that somebody needs who solves the problem below. Give 2 to 5 keywords and nothing else: on one
line, separated by commas, after the label "Keywords:". Keywords are short and general, such as algebra, geometry, probability, unit
conversion, mechanics, organic chemistry, genetics, anatomy, economics, contract law.

Problem: {question}

Keywords:"""

LONGEST = 20
"""Characters of a keyword at most."""
LEAST = 2
"""Passes in which a keyword has to come."""
_LABEL = re.compile(r"keywords[ \t*_]{0,4}:[ \t*_]{0,4}", re.IGNORECASE)
_DIGITS = 6


def keywords(text: str) -> list[str]:
    """The keywords of a reply: what follows its last label, or all of it without one; in lower case, without full stops."""
    found = list(_LABEL.finditer(text))
    listed = text[found[-1].end() :] if found else text
    plain = (" ".join(part.replace(".", "").lower().split()) for part in listed.split(","))
    return [part for part in plain if part]


def agreed(passes: Sequence[str]) -> list[str]:
    """The keywords that count, of the replies of all passes, in the order in which they are first met."""
    counts = Counter(word for text in passes for word in dict.fromkeys(keywords(text)))
    return [word for word, n in counts.items() if n >= LEAST and len(word) <= LONGEST]


async def skills_of(params: Mapping[str, Any], question: str) -> list[str]:
    """The keywords that the tagger's passes agree on; there may be none.

    Raises:
        SymposiaError: No pass came back.
    """
    replies = await sample(params, "tagger", prompt(params, "tagger", question=question), params["passes"])
    quorum(replies, 1)
    return agreed([reply["text"] for reply in replies if reply["status"] == "ok"])


async def embed_skills(params: Mapping[str, Any], skills: Sequence[str]) -> dict[str, Any]:
    """Known skills with their vectors, as an artefact holds them: 16 bits a number."""
    embedder = embedder_of(params)
    rows = (await vectors(list(skills), embedder)).astype("<f2")
    return {"embedder": embedder, "skills": list(skills), "vectors": base64.b64encode(rows.tobytes()).decode("ascii")}


async def nearest_skills(words: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """Each keyword as the known skill nearest to it, in order; nothing when none is known.

    Args:
        words: The keywords of a question.
        known: What `embed_skills` made, its skills in alphabetical order.
    """
    import numpy as np

    names: list[str] = known["skills"]
    foreign = [word for word in dict.fromkeys(words) if word not in names] if names else []
    place = {name: name for name in names}
    if foreign:
        flat = np.frombuffer(base64.b64decode(known["vectors"]), dtype="<f2").astype(np.float32).reshape(len(names), -1)
        cosines = np.round(unit(await vectors(foreign, known["embedder"])) @ unit(flat).T, _DIGITS)
        place |= {word: names[int(row.argmax())] for word, row in zip(foreign, cosines, strict=True)}
    return [place[word] for word in words if word in place]
