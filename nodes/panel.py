"""A panel: several agents of one stage answer by themselves, see each other's votes where they differ, and a rule decides.

Votes name a candidate by its id, never by the number under which an agent saw it: agents see the candidates in different orders, so equal
numbers may mean different candidates. A round is synchronous: everybody sees the votes of the round before. The consensus rule is that of
MAMM-Refine (arXiv 2503.15272): what all agree on is closed, what is open after the last round goes to the majority, a tie to the first
agent.
"""

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model
from typing_extensions import TypedDict

from symposia.state.errors import ReplyError, shorten
from symposia.state.place import fan
from symposia.tools.llm import Parser, ask, prompt

T = TypeVar("T")

_LABEL = re.compile(r"^[\s\"'*]{0,4}(?:yes|no)[\"'*]{0,4}\s?[.,:;!]\s*(?=\S)", re.IGNORECASE)
_TAG = re.compile(r"<(?=[ \t]{0,4}/?[ \t]{0,4}(?:document|sentence|text|critiques|candidate|earlier)\b)", re.IGNORECASE)
_AGAIN = (
    "\n\nAgents have answered this before; their answers follow, your own first where you gave one. Weigh them, then commit to an answer "
    "of your own, with your own reason.\n"
)


class Vote(TypedDict):
    """What an agent decided: "yes" or "no", or the id of a candidate; and why."""

    choice: str
    reasoning: str


class Ballot(TypedDict):
    """The votes of all agents on one unit (a sentence, a set of candidates) in one round; None where an agent gave none that counts."""

    cycle: int
    round: int
    unit: int
    votes: list[Vote | None]
    orders: list[list[str]]
    """The ids in the order in which each agent saw them; empty for a yes or no."""


class Candidate(TypedDict):
    """A text that an agent wrote for a unit; with rewriting, in a round."""

    cycle: int
    round: int
    unit: int
    author: int
    id: str
    text: str


def _lower(answer: Any) -> Any:
    return answer.strip().lower() if isinstance(answer, str) else answer


def _numbered(answer: Any) -> Any:
    if isinstance(answer, bool):
        raise ValueError("true and false are no numbers")
    return answer


class Verdict(BaseModel):
    """The form of a yes or no."""

    reasoning: str
    answer: Annotated[Literal["yes", "no"], BeforeValidator(_lower)]


def choice_form(n: int) -> type[BaseModel]:
    """The form of a choice among n numbered candidates."""
    return create_model("Choice", reasoning=(str, ...), answer=(Annotated[int, BeforeValidator(_numbered)], Field(ge=1, le=n)))


def json_reader(form: type[BaseModel]) -> Parser:
    """A parser of the outermost {...} of a reply, whatever stands around it; line breaks inside its texts are let pass."""

    def read(text: str) -> dict[str, Any]:
        found = text[text.find("{") : text.rfind("}") + 1]
        try:
            return form.model_validate(json.loads(found, strict=False)).model_dump()
        except (ValueError, ValidationError, RecursionError) as error:
            what = f"no JSON with the keys reasoning and answer, the answer one of those offered: {shorten(str(error), 120)}"
            raise ReplyError(f"{what}; the reply ends with '{shorten(text[-80:])}'") from None

    return read


def whole(text: str) -> str:
    """A parser that takes a reply as it is, outer blanks apart; an empty one is asked for again."""
    if not text.strip():
        raise ReplyError("the reply is empty; it should be the text that was asked for")
    return text.strip()


def newest(ballots: Sequence[Ballot], cycle: int) -> dict[int, Ballot]:
    """The last ballot of each unit of a cycle."""
    return {b["unit"]: b for b in ballots if b["cycle"] == cycle}


def is_split(votes: Sequence[Vote | None]) -> bool:
    """Whether two agents that voted want different things."""
    return len({v["choice"] for v in votes if v}) > 1


def decide(votes: Sequence[Vote | None]) -> Vote | None:
    """The vote of the first agent among those with the most common choice; None when nobody voted.

    So unanimity and a majority win, and a tie goes to the first of the stage (to the first that takes part in it, ours).
    """
    counts = Counter(v["choice"] for v in votes if v)
    return next((v for v in votes if v and counts[v["choice"]] == max(counts.values())), None)


def open_units(ballots: Sequence[Ballot], cycle: int, max_rounds: int) -> list[int]:
    """The units to debate: split ones, while a round is left."""
    return [unit for unit, b in newest(ballots, cycle).items() if is_split(b["votes"]) and b["round"] < max_rounds]


def written(candidates: Sequence[Candidate], cycle: int, unit: int) -> list[Candidate]:
    """The newest text of each author for a unit, by author."""
    last = {c["author"]: c for c in candidates if c["cycle"] == cycle and c["unit"] == unit}
    return [last[author] for author in sorted(last)]


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The first of each text."""
    return list({c["text"]: c for c in reversed(candidates)}.values())[::-1]


def chosen(candidates: Sequence[Candidate], ballot: Ballot | None) -> Candidate | None:
    """The candidate that a ballot decides for; without a vote the first, None only when there are none."""
    vote = decide(ballot["votes"]) if ballot else None
    return next((c for c in candidates if vote and c["id"] == vote["choice"]), candidates[0] if candidates else None)


def fenced(text: str) -> str:
    """A text that can neither open nor close a tag of a prompt."""
    return _TAG.sub("&lt;", text)


async def poll(units: Sequence[int], agents: int, one: Callable[[int, int], Awaitable[T]]) -> list[list[T]]:
    """Ask every agent about every unit at once; a list per unit, by agent."""
    replies = await fan([partial(one, unit, agent) for unit in units for agent in range(agents)])
    return [replies[i * agents : (i + 1) * agents] for i in range(len(units))]


def opinions(ballot: Ballot | None, agent: int, say: Callable[[str], str]) -> list[str]:
    """What an agent is told of the former round, its own vote first; nothing in the first round."""
    votes = ballot["votes"] if ballot else []
    mine = [agent] if agent < len(votes) else []
    told = [v for i in [*mine, *(i for i in range(len(votes)) if i != agent)] if (v := votes[i])]
    lines = [part for n, v in enumerate(told, 1) for part in (f"\nAgent {n}: {say(v['choice'])}. ", fenced(bare(v["reasoning"])))]
    return [_AGAIN, *lines] if lines else []


def bare(reasoning: str) -> str:
    """A reason without the label it may begin with, so that nobody reads it twice.

    Only a label set off by a mark is one: "No, it closed" begins with it, "No document says so" and "November" do not.
    """
    rest = _LABEL.sub("", reasoning, count=1).strip()
    return rest[:1].upper() + rest[1:]


def model_for(params: Mapping[str, Any], role: str, stage: str) -> Mapping[str, Any]:
    """Parameters in which a role without models of its own has those of another one."""
    roles = params["roles"]
    return params if role in roles or stage not in roles else {**params, "roles": {**roles, role: roles[stage]}}


async def rerank(
    params: Mapping[str, Any],
    role: str,
    units: Mapping[int, Sequence[Candidate]],
    before: Mapping[int, Ballot],
    agents: int,
    fields: Callable[[int], Mapping[str, Any]],
) -> list[Ballot]:
    """One round of choices, a ballot per unit.

    The candidates are shown in an order that turns with agent and round, so that no place is favoured. An agent without a choice that
    counts keeps its last one.

    Args:
        params: The run's parameters.
        role: Who chooses; its prompt takes `{candidates}`, `{debate}` and what `fields` gives.
        units: The distinct candidates by unit.
        before: The ballots of the former round by unit; none in the first.
        agents: How many choose.
        fields: What else the prompt holds for a unit.
    """

    async def one(unit: int, agent: int) -> tuple[Vote | None, list[str]]:
        ballot = before.get(unit)
        turn = (agent + (ballot["round"] + 1 if ballot else 0)) % len(units[unit])
        shown = [*units[unit][turn:], *units[unit][:turn]]
        order = [c["id"] for c in shown]
        texts = [p for n, c in enumerate(shown, 1) for p in (f'<candidate number="{n}">\n', fenced(c["text"]), "\n</candidate>\n")]
        debate = opinions(ballot, agent, lambda choice: f"candidate {order.index(choice) + 1}")
        form = choice_form(len(shown))
        messages = prompt(params, role, candidates=texts, debate=debate, **fields(unit))
        reply = await ask(params, role, messages, schema=form, parse=json_reader(form), agent=agent)
        if reply["status"] != "ok":
            return (ballot["votes"][agent] if ballot else None), order
        return Vote(choice=order[reply["value"]["answer"] - 1], reasoning=reply["value"]["reasoning"]), order

    done = await poll(list(units), agents, one)
    return [
        Ballot(
            cycle=candidates[0]["cycle"],
            round=before[unit]["round"] + 1 if unit in before else 0,
            unit=unit,
            votes=[vote for vote, _ in row],
            orders=[order for _, order in row],
        )
        for (unit, candidates), row in zip(units.items(), done, strict=True)
    ]
