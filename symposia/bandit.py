"""`symposia bandit`: what a bandit of the store has chosen, and what that brought."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from symposia.state.store import Store

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="the bandit; without one all are listed")]
StoreAt = Annotated[str | None, typer.Option("--store", metavar="URL", help="SQLite file or postgresql:// address")]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="arms and regret over time, .png or .svg")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout, nothing else there")]


async def read_bandit(store: "Store", name: str) -> dict[str, Any]:
    """A bandit's set-up, its rewards in order as `pulls` (version, arm, raw reward and what was noted with it), and the report over them.

    Raises:
        UnknownName: The store has no bandit of that name.
    """
    from symposia.state.errors import UnknownName
    from symposia.tools.bandit_report import Chose, arm_report
    from symposia.tools.bandit_rows import CHOICE, PULL, SETUP

    log = await store.updates(name)
    setup = next((value for _, value in log if value["type"] == SETUP), None)
    if setup is None:
        raise UnknownName.of("bandit", name, await store.updated_names(), remedy="`symposia bandit` lists them")
    arms = setup["names"]
    pulls = [{"version": version, **value, "arm": arms[value["arm"]]} for version, value in log if value["type"] == PULL]
    report = arm_report(arms, [Chose(pull["arm"], pull["raw"]) for pull in pulls])
    noted = sum(value["type"] == CHOICE for _, value in log)
    return {"bandit": name, "setup": setup, "noted": noted, **report, "pulls": pulls}


def bandit(name: Name = None, store: StoreAt = None, plot: Plot = None, as_json: Json = False) -> int:
    """Show which arms a bandit chose, what they brought, and its regret; or list the bandits of the store."""
    from symposia import bandit_plot, command, output

    if plot is not None:
        bandit_plot.check(plot)
    config = command.configured(store)
    if name is None:
        names = command.in_store(config, lambda opened: opened.updated_names())
        if as_json:
            output.emit({"bandits": names})
        else:
            typer.echo("\n".join(output.safe(one) for one in names) or "there is none yet: symposia batch laser IN.jsonl -p learn=true")
        return 0
    wanted = name
    found = command.in_store(config, lambda opened: read_bandit(opened, wanted))
    if plot is not None:
        bandit_plot.plot(found, plot)
    if as_json:
        output.emit({key: value for key, value in found.items() if key != "pulls"})
    else:
        typer.echo(output.safe(_table(found)))
    return 0


def _table(found: dict[str, Any]) -> str:
    """A line per arm, and one for the whole."""
    wide = max(len(arm) for arm in found["arms"])
    lines = [f"{'arm':{wide}}  pulls  mean reward  share in the first and the last fifth"]
    for arm, one in found["arms"].items():
        mean = "-" if one["mean_reward"] is None else f"{one['mean_reward']:.3f}"
        shares = one["share_over_time"] or [0.0]
        lines.append(f"{arm:{wide}}  {one['rewards']:5}  {mean:>11}  {100 * shares[0]:3.0f} % {100 * shares[-1]:3.0f} %")
    total = "no reward yet" if found["regret"] is None else f"{found['rewards']} rewards, regret {found['regret']:.2f}"
    return "\n".join([*lines, f"{found['bandit']}: {found['setup']['kind']}, {total}"])
