"""Where a run failed whose error does not say so, such as one about a reply that nobody could read."""

import json
from collections.abc import Sequence

from symposia.state.place import step_of
from symposia.state.store import Store


async def failing_places(store: Store, run_ids: Sequence[str]) -> dict[str, str]:
    """The place of the last call in the step that failed, by run; its node alone where that made none.

    Args:
        store: Where the runs are.
        run_ids: Failed runs, as many as one query takes; one whose step had several nodes and no call is left out.
    """
    marks = ", ".join("?" for _ in run_ids)
    ended: dict[str, tuple[int, list[str]]] = {}
    for run, step, nodes in await store.read(
        f"SELECT run, step, next FROM steps WHERE frame = '' AND run IN ({marks}) ORDER BY step",  # noqa: S608
        run_ids,
    ):
        ended[run] = int(step), json.loads(nodes)
    made = dict(await store.read(f"SELECT run, place FROM entries WHERE run IN ({marks}) ORDER BY seq", run_ids))  # noqa: S608
    found = {}
    for run in run_ids:
        step, nodes = ended.get(run, (-1, []))
        if run in made and step_of(made[run]) == step + 1:
            found[run] = made[run]
        elif len(set(nodes)) == 1:
            found[run] = f"{step + 1}.{nodes[0]}"
    return found
