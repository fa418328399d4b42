"""The policy that LASeR's loop trains: a language model of transformers, by TRL with DPO and the likelihood of what is chosen.

The loss of a pair is DPO's against the policy at the beginning of the iteration, plus `likelihood` times the mean negative log-likelihood
of the chosen response's tokens: 1 for reasoning, 0 for following instructions (arXiv 2410.01735). Learning rate and adapter are those of
the authors' code; the base stays in bfloat16 (float32 without a GPU) where they load it in 8 bit, and the optimiser starts anew with each
batch. An iteration's adapter is merged at its end, so that the next one has a plain model as its reference.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from symposia.laser_training import Pair
from symposia.state.errors import BadInput, SymposiaError, shorten

_NEEDED = ("torch", "transformers", "trl", "peft", "datasets")
_AT_ONCE = 8  # pairs of an update, and prompts or responses that go through the model together


@dataclass(frozen=True)
class Training:
    """How a policy responds and trains.

    Args:
        temperature: Of the responses; 0.8 in the authors' code.
        max_new_tokens: Longest response, in tokens (ours; the code has 150 with the prompt).
        learning_rate: 5e-6 in the authors' code.
        beta: How strongly DPO holds on to the reference.
        likelihood: Weight of the negative log-likelihood of the chosen response.
        max_length: Tokens of a prompt with its response; what is longer is cut at its end.
        lora_rank: Rank of the adapter; 0 trains every weight.
        lora_alpha: The adapter's scale, times its rank.
        lora_dropout: Share of the adapter's inputs left out at random.
        lora_modules: Layers that get an adapter.
    """

    temperature: float = 0.8
    max_new_tokens: int = 512
    learning_rate: float = 5e-6
    beta: float = 0.1
    likelihood: float = 1.0
    max_length: int = 1024
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.1
    lora_modules: tuple[str, ...] = ("q_proj", "v_proj")


def sampling_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """How the policy responds, of the parameters of `laser_pairs`: `temperature`, and `max_tokens` of a response.

    Raises:
        BadInput: They say something that this policy does not do, or that would make all responses to a prompt alike.
    """
    given: dict[str, Any] = params["sampling"]["solver"]
    odd = sorted(name for name, value in given.items() if value is not None and name not in ("temperature", "max_tokens"))
    if odd:
        what = f"sampling.solver.{odd[0]} is set, which this policy does not know"
        raise BadInput(what, remedy="leave it out; it knows temperature and max_tokens")
    if given["temperature"] == 0:
        raise BadInput("at temperature 0 all responses to a prompt are one", remedy="-p sampling.solver.temperature=0.8")
    return {"temperature": given["temperature"] or 1.0, "max_tokens": given["max_tokens"] or Training.max_new_tokens}


class LanguageModel:
    """A model in this process; what it keeps stands in `OUT/iteration-N`."""

    def __init__(self, model: str, out: Path, training: Training) -> None:
        """Load a model from a folder, or by its name from the hub.

        Raises:
            SymposiaError: The `train` extra is missing.
            BadInput: There is no such model, or it has none of the layers that are to be trained.
        """
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise SymposiaError(f"training needs {', '.join(missing)}, not installed here", remedy="pip install 'symposia[train]'")
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._out, self._training = out, training
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._half = self._device == "cuda" and torch.cuda.is_bf16_supported()
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
            kind = torch.bfloat16 if self._half and training.lora_rank else torch.float32
            self._model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=kind).to(self._device)
        except (OSError, ValueError) as error:
            remedy = "name a folder with a causal language model and its tokenizer, or one of the hub"
            raise BadInput(f"the model {model} cannot be loaded: {shorten(str(error))}", remedy=remedy) from error
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        layers = {name.rsplit(".", 1)[-1] for name, part in self._model.named_modules() if hasattr(part, "weight")}
        if training.lora_rank and not layers & set(training.lora_modules):
            remedy = f"--lora-modules with some of {', '.join(sorted(layers))}; or --lora-rank 0 to train every weight"
            raise BadInput(f"the model has no layers named {', '.join(training.lora_modules)}", remedy=remedy)

    def embed(self, prompts: Sequence[str]) -> list[list[float]]:
        """The last layer's hidden state of each prompt's last token."""
        import torch

        found: list[list[float]] = []
        for i in range(0, len(prompts), _AT_ONCE):
            with torch.inference_mode():
                states = self._inner()(**self._asked(prompts[i : i + _AT_ONCE]), output_hidden_states=True).hidden_states[-1]
            found += states[:, -1].float().tolist()
        return found

    def respond(self, prompts: Sequence[str], n: int, seed: int) -> list[list[str]]:
        """`n` sampled responses to each prompt; the same for the same seed and weights."""
        import transformers

        transformers.set_seed(seed)
        sampling = {"do_sample": True, "temperature": self._training.temperature, "num_return_sequences": min(n, _AT_ONCE)}
        drawn = [[text for _ in range(math.ceil(n / _AT_ONCE)) for text in self._generate([one], **sampling)] for one in prompts]
        return [texts[:n] for texts in drawn]

    def answer(self, prompts: Sequence[str]) -> list[str]:
        """The greedy response to each prompt."""
        batches = [prompts[i : i + _AT_ONCE] for i in range(0, len(prompts), _AT_ONCE)]
        return [text for batch in batches for text in self._generate(batch, do_sample=False)]

    def reference(self) -> Any:
        """A copy of the model as it is now."""
        self._plain()
        return copy.deepcopy(self._model).eval()

    def train(self, pairs: Sequence[Pair], reference: Any) -> float:
        """One pass over the pairs: the mean loss of its updates, each measured before it.

        Raises:
            SymposiaError: The loss became infinite or no number.
        """
        import trl
        from datasets import Dataset

        self._adapted()
        config = trl.DPOConfig(
            output_dir=str(self._out / "checkpoints"),
            per_device_train_batch_size=min(_AT_ONCE, len(pairs)),
            num_train_epochs=1,
            learning_rate=self._training.learning_rate,
            lr_scheduler_type="constant",
            beta=self._training.beta,
            loss_type=["sigmoid", "sft"] if self._training.likelihood else ["sigmoid"],
            loss_weights=[1.0, self._training.likelihood] if self._training.likelihood else [1.0],
            max_length=self._training.max_length,
            gradient_checkpointing=self._device == "cuda",
            bf16=self._half,
            dataloader_pin_memory=self._device == "cuda",
            disable_tqdm=True,
            logging_strategy="no",
            report_to="none",
            save_strategy="no",
        )
        rows = Dataset.from_list([self._row(pair) for pair in pairs])
        trainer = trl.DPOTrainer(model=self._model, ref_model=reference, args=config, train_dataset=rows, processing_class=self._tokenizer)
        loss = float(trainer.train().training_loss)
        if not math.isfinite(loss):
            raise SymposiaError("the training diverged: the loss is no finite number", remedy="lower --learning-rate")
        return loss

    def keep(self, iteration: int) -> None:
        """Write the model, adapter merged, and its tokenizer, to go on from."""
        self.write(self._out / f"iteration-{iteration}")

    def write(self, folder: Path) -> None:
        """Write the model and its tokenizer."""
        self._plain()
        self._model.save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)

    def _adapted(self) -> None:
        """Put an adapter on the model, unless it has one or none is wanted."""
        import peft

        if self._training.lora_rank and not isinstance(self._model, peft.PeftModel):
            training = self._training
            layers = {name.rsplit(".", 1)[-1] for name, _ in self._model.named_modules()}
            config = peft.LoraConfig(
                r=training.lora_rank,
                lora_alpha=training.lora_alpha,
                lora_dropout=training.lora_dropout,
                target_modules=sorted(layers & set(training.lora_modules)),
                task_type="CAUSAL_LM",
            )
            self._model = peft.get_peft_model(self._model, config)

    def _plain(self) -> None:
        """Merge the adapter, if there is one."""
        if hasattr(self._model, "merge_and_unload"):
            self._model = self._model.merge_and_unload()

    def _inner(self) -> Any:
        return self._model.eval()

    def _generate(self, prompts: Sequence[str], **how: Any) -> list[str]:
        """Responses without their prompts."""
        import torch

        asked = self._asked(prompts)
        limits = {"max_new_tokens": self._training.max_new_tokens, "pad_token_id": self._tokenizer.pad_token_id}
        with torch.inference_mode():
            out = self._inner().generate(**asked, **limits, **how)
        texts: list[str] = self._tokenizer.batch_decode(out[:, asked["input_ids"].shape[1] :], skip_special_tokens=True)
        return texts

    def _asked(self, prompts: Sequence[str]) -> Any:
        """Prompts as the model reads them, padded on the left."""
        texts = list(prompts)
        if self._tokenizer.chat_template:
            chats = [[{"role": "user", "content": text}] for text in texts]
            texts = self._tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
        special = not self._tokenizer.chat_template
        encoded = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=special, return_token_type_ids=False)
        return encoded.to(self._device)

    def _row(self, pair: Pair) -> dict[str, Any]:
        """A pair as TRL takes it."""
        if not self._tokenizer.chat_template:
            return pair._asdict()
        roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
        return {name: [{"role": roles[name], "content": text}] for name, text in pair._asdict().items()}
