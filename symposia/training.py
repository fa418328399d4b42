"""Training a language model with TRL on rows that a method exported: DPO, KTO, ORPO, or supervised fine-tuning.

Defaults are those of the scripts for "Teaching Models to Balance Resisting and Accepting Persuasion" (arXiv 2410.14596, the authors' code):
supervised training first, then DPO from its result; both with LoRA on the attention's inputs. KTO and ORPO, which they do not train with,
take the values of DPO. Three things differ: the base stays in bfloat16 (float32 without a GPU) instead of 8 bit; TRL cuts rows by their
whole length only, not prompts at 512 tokens; and the best epoch is the one that prefers the most validation pairs rightly (with KTO the one
with the least loss), since the authors' judge is a second model that reads generated answers.

An adapter is merged into the model it was trained on, so that the result is a plain model: it can be served, and a DPO that starts from a
supervised result has that as its reference. The adapter alone is kept beside it.
"""

import hashlib
import json
import math
import shutil
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from symposia.output import say
from symposia.state.errors import BadInput, SymposiaError, shorten
from symposia.training_rows import Loss, find_file, find_validation, read_training

RECORD = "training.json"
_NEEDED = ("torch", "transformers", "trl", "peft", "datasets")
_MOST_ROWS = 8  # in one pass of the model: the authors take 8 for supervised training and 7 for DPO
_MOST_VALIDATION = 1000  # rows, as in the authors' scripts


@dataclass(frozen=True)
class Settings:
    """What decides a training, beside model and rows.

    Args:
        loss: What is minimised.
        max_steps: Updates of the weights; None trains for `epochs`.
        epochs: Passes over the rows, where `max_steps` does not say otherwise.
        batch_size: Rows per update.
        learning_rate: The highest, reached after the warm-up; from there it falls as a cosine.
        warmup_steps: Updates until the highest learning rate.
        beta: How strongly the loss holds on to the reference model; with ORPO the weight of the odds ratio. SFT has none.
        max_length: Tokens of a row; what is longer is cut at its end.
        lora_rank: Rank of the adapter; 0 trains every weight.
        lora_alpha: The adapter's scale, times its rank.
        lora_dropout: Share of the adapter's inputs left out at random.
        lora_modules: Layers that get an adapter.
        seed: Of the adapter's first weights, the order of the rows and dropout.
    """

    loss: Loss
    max_steps: int | None = None
    epochs: float = 5
    batch_size: int = 35
    learning_rate: float = 5e-4
    warmup_steps: int = 100
    beta: float = 0.1
    max_length: int = 1000
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    lora_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    seed: int = 12


def settings_for(loss: Loss, **given: Any) -> Settings:
    """The settings of the authors' scripts for a loss, with those given (None for not given) in their place."""
    usual = Settings(loss, max_steps=240, batch_size=80, max_length=1024) if loss == "sft" else Settings(loss)
    chosen = {name: value for name, value in given.items() if value is not None}
    if "epochs" in chosen and "max_steps" not in chosen:
        chosen["max_steps"] = None
    return replace(usual, **chosen)


def train(model: str, data: Path, out: Path, settings: Settings, arm: str | None = None) -> dict[str, Any]:
    """Train, and write the model, its tokenizer, the adapter and the record of the training, `training.json`.

    Args:
        model: A folder with a causal language model and its tokenizer, or the name of one on the hub.
        data: A folder that `symposia export` wrote, or a JSONL file; see `training_rows.py`.
        out: The folder for the result.
        settings: How to train.
        arm: Which training set of the folder.

    Returns:
        The record: what went in, the settings, versions, steps, the mean loss and the history of the training.

    Raises:
        BadInput: Rows, settings or the model are not fit for it, or `out` holds a result already.
        SymposiaError: The `train` extra is missing, or the loss became infinite or no number.
    """
    if (out / RECORD).exists():
        raise BadInput(f"{out} holds a trained model already", remedy="name another folder with -o")
    rows_at_once = _rows_at_once(settings)
    file, judge = find_file(data, settings.loss, arm), find_validation(data, settings.loss, arm)
    rows = read_training(file, settings.loss)
    validation = read_training(judge, settings.loss)[:_MOST_VALIDATION] if judge and settings.max_steps is None else []
    _check_installed()
    with redirect_stdout(sys.stderr):
        trainer, tokenizer = _prepared(model, rows, validation, out, settings, rows_at_once)
        say(f"{settings.loss} on {len(trainer.train_dataset)} rows, {len(validation)} to choose the best epoch by")
        steps, loss = trainer.train()[:2]
    state = trainer.state
    record = {
        "loss": settings.loss,
        "model": model,
        "data": {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "rows": len(rows)},
        "validation": {"file": str(judge), "rows": len(validation), "best": state.best_metric} if validation else None,
        "settings": asdict(settings),
        "versions": {name: version(name) for name in _NEEDED},
        "steps": steps,
        "train_loss": loss,
        "history": state.log_history,
    }
    if not all(math.isfinite(line.get(name, 0.0)) for line in state.log_history for name in ("loss", "grad_norm", "train_loss")):
        what = f"the training diverged: within {steps} steps a loss or a gradient is no finite number"
        raise SymposiaError(what, remedy="lower --learning-rate")
    with redirect_stdout(sys.stderr):
        _write(trainer, tokenizer, out, settings, record)
    return record


def _rows_at_once(settings: Settings) -> int:
    """How many rows go through the model together: as many as fit the batch evenly, at most eight."""
    found = max(n for n in range(1, _MOST_ROWS + 1) if settings.batch_size % n == 0)
    if settings.loss == "kto" and found == 1:
        what = f"KTO compares rows that go through the model together, and a batch of {settings.batch_size} has no divisor from 2 to 8"
        raise BadInput(what, remedy="choose another --batch-size, such as 32")
    return found


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SymposiaError(f"training needs {', '.join(missing)}, not installed here", remedy="pip install 'symposia[train]'")


def _prepared(
    model: str, rows: Sequence[dict[str, Any]], validation: Sequence[dict[str, Any]], out: Path, settings: Settings, at_once: int
) -> tuple[Any, Any]:
    """A trainer of TRL with everything in it, and the tokenizer."""
    import torch
    import transformers
    from jinja2 import TemplateError

    transformers.set_seed(settings.seed)
    on_gpu = torch.cuda.is_available()
    half = on_gpu and torch.cuda.is_bf16_supported()
    base, tokenizer = _loaded(model, torch.bfloat16 if half and settings.lora_rank else torch.float32)
    if "text" not in rows[0] and not isinstance(rows[0].get("prompt"), str) and not tokenizer.chat_template:
        raise BadInput(f"the tokenizer of {model} has no chat template for messages", remedy="take a model tuned for chat, or rows of text")
    trainer_class, config_class = _classes(settings.loss)
    options = {
        "output_dir": str(out / "checkpoints"),
        "max_steps": settings.max_steps or -1,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": at_once,
        "per_device_eval_batch_size": _MOST_ROWS,
        "gradient_accumulation_steps": settings.batch_size // at_once,
        "gradient_checkpointing": on_gpu,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": settings.warmup_steps,
        "max_length": settings.max_length,
        "seed": settings.seed,
        "bf16": half,
        "dataloader_pin_memory": on_gpu,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "save_strategy": "no",
    }
    if settings.loss != "sft":
        options["beta"] = settings.beta
    if validation:
        judged = {"metric_for_best_model": "loss" if settings.loss == "kto" else "rewards/accuracies"}
        options |= {"eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 1, "save_only_model": True}
        options |= {"load_best_model_at_end": True, "greater_is_better": settings.loss != "kto", **judged}
    try:
        trainer = trainer_class(
            model=base,
            args=config_class(**options),
            train_dataset=_data_set(rows, settings),
            eval_dataset=_data_set(validation, settings) if validation else None,
            processing_class=tokenizer,
            peft_config=_adapter(base, settings) if settings.lora_rank else None,
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise SymposiaError(f"TRL does not take these rows with {model}: {shorten(str(error))}", remedy="look at rows and model") from error
    if not len(trainer.train_dataset):
        raise BadInput(f"no row has a prompt below {settings.max_length} tokens", remedy="raise --max-length")
    return trainer, tokenizer


def _loaded(model: str, kind: Any) -> tuple[Any, Any]:
    """A model with weights of this kind, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        base = AutoModelForCausalLM.from_pretrained(model, dtype=kind)
    except (OSError, ValueError) as error:
        remedy = "name a folder with a causal language model and its tokenizer, or one of the hub"
        raise BadInput(f"the model {model} cannot be loaded: {shorten(str(error))}", remedy=remedy) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return base, tokenizer


def _classes(loss: Loss) -> tuple[Any, Any]:
    """TRL's trainer for a loss, and the class of its settings."""
    import trl

    if loss == "orpo":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that TRL may move ORPO; the lock holds the release that has it here
            from trl.experimental.orpo import ORPOConfig, ORPOTrainer
        return ORPOTrainer, ORPOConfig
    name = loss.upper()
    return getattr(trl, f"{name}Trainer"), getattr(trl, f"{name}Config")


def _data_set(rows: Sequence[dict[str, Any]], settings: Settings) -> Any:
    """The rows as TRL takes them; for KTO pairs become single replies, mixed, since it compares those that lie side by side."""
    from datasets import Dataset

    found = Dataset.from_list(list(rows))
    if settings.loss == "kto":
        import trl

        unpaired = trl.unpair_preference_dataset(found) if "chosen" in rows[0] else found
        return unpaired.shuffle(seed=settings.seed)
    return found


def _adapter(base: Any, settings: Settings) -> Any:
    """The settings of the adapter."""
    from peft import LoraConfig

    layers = {name.rsplit(".", 1)[-1] for name, part in base.named_modules() if hasattr(part, "weight")}
    if missing := [name for name in settings.lora_modules if name not in layers]:
        remedy = f"--lora-modules with some of {', '.join(sorted(layers))}; or --lora-rank 0 to train every weight"
        raise BadInput(f"the model has no layers named {', '.join(missing)}", remedy=remedy)
    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=sorted(settings.lora_modules),
        task_type="CAUSAL_LM",
    )


def _write(trainer: Any, tokenizer: Any, out: Path, settings: Settings, record: dict[str, Any]) -> None:
    """Write the trained model, and last of all its record."""
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if settings.lora_rank:
        trained.save_pretrained(out / "adapter")
        trained = trained.merge_and_unload()
    trained.save_pretrained(out)
    tokenizer.save_pretrained(out)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
