"""`symposia laser-train`: what it is asked for on the command line; `symposia.laser_train` does it."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Argument(metavar="DATA", help="JSONL with a question a line, for --test-share with an answer")]
Model = Annotated[str, typer.Option("--model", metavar="M", help="the policy: folder of a causal language model, or its name on the hub")]
Out = Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="where the trained model goes")]
Roles = Annotated[list[str] | None, typer.Option("--role", metavar="ROLE=MODEL", help="reward=A,B,C: the arms")]
Params = Annotated[
    list[str] | None, typer.Option("-p", "--param", metavar="NAME=VALUE", help="a parameter of laser_pairs: k, pairs, bandit")
]
Iterations = Annotated[int, typer.Option("--iterations", metavar="N", min=1, help="passes over the questions at most")]
Batch = Annotated[int, typer.Option("--batch-size", metavar="N", min=1, help="questions for which one arm is chosen")]
Threshold = Annotated[float, typer.Option("--threshold", metavar="X", min=0, help="mean loss that ends the training")]
Share = Annotated[float, typer.Option("--test-share", metavar="X", min=0, max=0.9, help="share kept for measuring; 0.2 in the code")]
Rate = Annotated[float, typer.Option("--learning-rate", metavar="X", min=0)]
Beta = Annotated[float, typer.Option("--beta", metavar="X", min=0, help="hold on to the reference")]
Likelihood = Annotated[float, typer.Option("--likelihood", metavar="X", min=0, help="weight of the likelihood; 0 to follow instructions")]
Tokens = Annotated[int | None, typer.Option("--max-new-tokens", metavar="N", min=1, help="longest response; 512")]
Rank = Annotated[int, typer.Option("--lora-rank", metavar="N", min=0, help="0 trains every weight")]
Modules = Annotated[str, typer.Option("--lora-modules", metavar="NAMES")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0)]
StoreAt = Annotated[str | None, typer.Option("--store", metavar="URL", help="SQLite file or postgresql:// address")]
Base = Annotated[str | None, typer.Option("--api-base", metavar="URL", help="OpenAI-compatible address of the judges")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout, nothing else there")]


def laser_train(
    data: Data,
    model: Model,
    out: Out,
    role: Roles = None,
    param: Params = None,
    iterations: Iterations = 10,
    batch_size: Batch = 16,
    threshold: Threshold = 0.1,
    test_share: Share = 0.0,
    learning_rate: Rate = 5e-6,
    beta: Beta = 0.1,
    likelihood: Likelihood = 1.0,
    max_new_tokens: Tokens = None,
    lora_rank: Rank = 16,
    lora_modules: Modules = "q_proj,v_proj",
    seed: Seed = 0,
    store: StoreAt = None,
    api_base: Base = None,
    as_json: Json = False,
) -> int:
    """Train a model on preference pairs whose reward model a bandit chooses per batch, with minus the loss as the bandit's reward.

    The same command again goes on after the last whole iteration. Needs `pip install 'symposia[train]'`.
    """
    import sys
    from contextlib import redirect_stdout
    from dataclasses import asdict
    from functools import partial

    from symposia import command, output
    from symposia.laser_policy import Training, sampling_of
    from symposia.laser_train import METHOD, RECORD, tasks_of, trained
    from symposia.laser_training import Schedule
    from symposia.params import make_params
    from symposia.registry import load
    from symposia.state.errors import BadInput

    if (out / RECORD).exists():
        raise BadInput(f"{out} holds a trained model already", remedy="name another folder with -o")
    for name in command.role_models(role).keys() & {"solver", "embedder"}:
        raise BadInput(f"the role {name} is given a model, and the policy itself plays it", remedy=f"leave out --role {name}=...")
    config = command.configured(store, api_base)
    params = make_params(load(METHOD), command.given(config, METHOD, None, role, None, param, seed)).model_dump(mode="json")
    sampling = sampling_of(params)
    training = Training(
        temperature=sampling["temperature"],
        max_new_tokens=max_new_tokens or sampling["max_tokens"],
        learning_rate=learning_rate,
        beta=beta,
        likelihood=likelihood,
        lora_rank=lora_rank,
        lora_modules=tuple(lora_modules.split(",")),
    )
    schedule = Schedule(iterations, batch_size, params["k"], params["pairs"], params["pair_rule"], threshold, seed)
    tasks = tasks_of(data, params["prompts"]["solver"])
    settings = {"model": model, "params": params, "training": asdict(training), "schedule": asdict(schedule), "test_share": test_share}
    work = partial(trained, model=model, out=out, tasks=tasks, settings=settings, training=training, schedule=schedule)
    with redirect_stdout(sys.stderr):
        record = command.in_store(config, work)
    if as_json:
        output.emit({"folder": str(out), **record})
    else:
        last = record["losses"][-1]
        loss = "no pair" if last is None else f"mean loss {last:.4g}"
        typer.echo(output.safe(f"{out}: {len(record['losses'])} iterations, {loss}, {record['stop_reason']}; bandit {record['bandit']}"))
    return 0
