"""`symposia train`: what it is asked for on the command line; `symposia.training` does it."""

from pathlib import Path
from typing import Annotated

import typer

DataPath = Annotated[Path, typer.Argument(metavar="DATA", help="the folder that `symposia export` wrote, or a JSONL file of such rows")]
Model = Annotated[str, typer.Option("--model", metavar="M", help="folder of a causal language model, or its name on the hub")]
Out = Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="where the trained model goes")]
LossName = Annotated[str, typer.Option("--loss", metavar="LOSS", help="dpo, kto, orpo or sft")]
Arm = Annotated[str | None, typer.Option("--arm", metavar="ARM", help="training set of the folder; by default balanced")]
Steps = Annotated[int | None, typer.Option("--max-steps", metavar="N", min=1, help="updates; sft 240, else by --epochs")]
Epochs = Annotated[float | None, typer.Option("--epochs", metavar="N", min=0.01, help="passes over the rows, the best is kept; 5")]
Batch = Annotated[int | None, typer.Option("--batch-size", metavar="N", min=1, help="rows per update; sft 80, else 35")]
Rate = Annotated[float | None, typer.Option("--learning-rate", metavar="X", min=0, help="highest, falling as a cosine; 5e-4")]
Warmup = Annotated[int | None, typer.Option("--warmup-steps", metavar="N", min=0, help="updates until that rate; 100")]
Beta = Annotated[float | None, typer.Option("--beta", metavar="X", min=0, help="hold on to the reference, not with sft; 0.1")]
Length = Annotated[int | None, typer.Option("--max-length", metavar="N", min=2, help="tokens of a row; sft 1024, else 1000")]
Rank = Annotated[int | None, typer.Option("--lora-rank", metavar="N", min=0, help="16; 0 trains every weight (at a lower rate)")]
Alpha = Annotated[int | None, typer.Option("--lora-alpha", metavar="N", min=1, help="scale of the adapter; 32")]
Dropout = Annotated[float | None, typer.Option("--lora-dropout", metavar="X", min=0, max=0.99, help="0.05")]
Modules = Annotated[str | None, typer.Option("--lora-modules", metavar="NAMES", help="q_proj,k_proj,v_proj")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="12")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout, nothing else there")]


def train(
    data: DataPath,
    model: Model,
    out: Out,
    loss: LossName = "dpo",
    arm: Arm = None,
    max_steps: Steps = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    learning_rate: Rate = None,
    warmup_steps: Warmup = None,
    beta: Beta = None,
    max_length: Length = None,
    lora_rank: Rank = None,
    lora_alpha: Alpha = None,
    lora_dropout: Dropout = None,
    lora_modules: Modules = None,
    seed: Seed = None,
    as_json: Json = False,
) -> int:
    """Train a model with TRL on exported rows: preferences with DPO, KTO or ORPO, or supervised.

    Defaults are those of the persuasion-balanced training: sft first, then dpo from its result. Needs `pip install 'symposia[train]'`.
    """
    from symposia import output, training
    from symposia.state.errors import UnknownName
    from symposia.training_rows import LOSSES

    if loss not in LOSSES:
        raise UnknownName.of("loss", loss, LOSSES, remedy=f"there are {', '.join(LOSSES)}")
    settings = training.settings_for(
        loss,
        max_steps=max_steps,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=warmup_steps,
        beta=beta,
        max_length=max_length,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        lora_dropout=lora_dropout,
        lora_modules=tuple(name.strip() for name in lora_modules.split(",")) if lora_modules else None,
        seed=seed,
    )
    record = training.train(model, data, out, settings, arm)
    if as_json:
        output.emit({"folder": str(out), **record})
    else:
        figures = f"{record['data']['rows']} rows, {record['steps']} steps, mean loss {record['train_loss']:.4g}"
        typer.echo(output.safe(f"{out}: {model} trained with {settings.loss}, {figures}"))
    return 0
