"""Training on an export, for real: trees of toy debaters, their training files, and TRL on a tiny model that is made here.

`make test-train` runs these in an environment of their own; `make test` has no torch and leaves them out.
"""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from symposia import cli

pytestmark = [
    pytest.mark.train,
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing` is deprecated:FutureWarning"),  # a setting of TRL's own
]

CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
QUICK = ("--batch-size", 4, "--warmup-steps", 0)

Trained = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training files of persuasion trees over the bundled problems, by the commands that a user gives."""
    here = tmp_path_factory.mktemp("export")
    (here / "in.jsonl").write_text((files("symposia.items") / "arithmetic.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    for words in ("batch pbt in.jsonl -o out.jsonl --seed 1", "export pbt out.jsonl -o files"):
        subprocess.run([sys.executable, "-m", "symposia.cli", *words.split()], cwd=here, check=True, capture_output=True)
    return here / "files"


@pytest.fixture(scope="module")
def tiny(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights, its tokenizer trained on the export."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    text = Tokenizer(models.BPE())
    text.pre_tokenizer, text.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"]
    learn = trainers.BpeTrainer(vocab_size=500, special_tokens=marks, initial_alphabet=text.pre_tokenizer.alphabet(), show_progress=False)
    text.train([str(exported / "supervised.balanced.train.jsonl")], learn)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=text, eos_token="<|end|>", pad_token="<|pad|>", chat_template=CHAT)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    special = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, **sizes, **special))
    where = tmp_path_factory.mktemp("model") / "tiny"
    model.save_pretrained(where)
    tokenizer.save_pretrained(where)
    return where


def command(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    """The command in this process: exit code, stdout, stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main(["train", *(str(word) for word in words)])
    out, err = capsys.readouterr()
    assert isinstance(end.value.code, int)
    assert "Traceback" not in err
    return end.value.code, out, err


@pytest.fixture
def trained(capsys: pytest.CaptureFixture[str]) -> Trained:
    """The record of a training that has to succeed."""

    def run(*words: Any) -> dict[str, Any]:
        code, out, err = command(capsys, *words, "--json")
        assert code == 0, err
        record = json.loads(out)
        assert isinstance(record, dict)
        return record

    return run


def weights(model: Path) -> dict[str, Any]:
    """The weights of a model by name."""
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def changed(before: Path, after: Path) -> set[str]:
    """Names of the weights that differ."""
    old, new = weights(before), weights(after)
    assert old.keys() == new.keys()
    return {name for name in old if not old[name].equal(new[name])}


def reply(model: Path, question: str) -> Any:
    """The tokens that a model, loaded from its folder alone, generates for a question."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    asked = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt")
    out = AutoModelForCausalLM.from_pretrained(model).generate(**asked, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    assert isinstance(tokenizer.decode(out[0]), str)
    return out[0, asked["input_ids"].shape[1] :]


@pytest.mark.parametrize("loss", ["dpo", "kto", "orpo", "sft"])
def test_every_loss_trains_on_the_export(loss: str, exported: Path, tiny: Path, trained: Trained) -> None:
    record = trained(exported, "--model", tiny, "-o", "out", "--loss", loss, "--max-steps", 3, *QUICK)
    assert (record["steps"], record["data"]["rows"], record["validation"]) == (3, 12, None)
    assert math.isfinite(record["train_loss"])
    assert record["train_loss"] > 0
    assert json.loads(Path("out/training.json").read_text()) == {k: v for k, v in record.items() if k != "folder"}
    assert {name.split(".")[-2] for name in changed(tiny, Path("out"))} == {"q_proj", "k_proj", "v_proj"}
    assert len(reply(Path("out"), "What is 2 + 2?")) == 5
    assert not Path("out/checkpoints").exists()


def test_dpo_comes_to_prefer_the_chosen_replies_and_keeps_the_best_epoch(exported: Path, tiny: Path, trained: Trained) -> None:
    record = trained(exported, "--model", tiny, "-o", "out", "--epochs", 4, *QUICK)
    assert record["steps"] == 4 * 12 / 4
    assert record["history"][0]["loss"] == pytest.approx(math.log(2), abs=1e-3)  # the model is its own reference at first
    judged = [line["eval_rewards/accuracies"] for line in record["history"] if "eval_rewards/accuracies" in line]
    assert len(judged) == 4
    assert (record["validation"]["rows"], record["validation"]["best"]) == (2, max(judged))
    assert record["history"][-2]["eval_rewards/margins"] > 0


def test_dpo_goes_on_from_a_supervised_result_and_can_train_every_weight(exported: Path, tiny: Path, trained: Trained) -> None:
    first = ("--max-steps", 2, *QUICK)
    trained(exported, "--model", tiny, "-o", "sft", "--loss", "sft", *first)
    record = trained(exported, "--model", "sft", "-o", "dpo", "--arm", "negative", "--lora-rank", 0, *first)
    assert record["history"][0]["loss"] == pytest.approx(math.log(2), abs=1e-3)  # the reference is the supervised result
    assert record["data"]["file"].endswith("preference.negative.train.jsonl")
    assert "model.embed_tokens.weight" in changed(Path("sft"), Path("dpo"))
    assert not Path("dpo/adapter").exists()


def test_the_seed_makes_a_training_repeatable(exported: Path, tiny: Path, trained: Trained) -> None:
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        trained(exported, "--model", tiny, "-o", out, "--loss", "kto", "--max-steps", 3, "--seed", seed, *QUICK)
    assert not changed(Path("a"), Path("b"))
    assert changed(Path("a"), Path("c"))


@pytest.mark.parametrize(
    ("loss", "row"),
    [
        ("dpo", {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}),
        ("kto", {"prompt": "2 + 2 =", "completion": " 4", "label": True}),
        ("orpo", {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}),
        ("sft", {"prompt": "2 + 2 =", "completion": " 4"}),
        ("sft", {"text": "2 + 2 = 4"}),
    ],
)
def test_rows_of_other_methods_are_taken_from_a_file(loss: str, row: dict[str, Any], tiny: Path, trained: Trained) -> None:
    Path("rows.jsonl").write_text((json.dumps({**row, "score": None}) + "\n") * 4)
    record = trained("rows.jsonl", "--model", tiny, "-o", "out", "--loss", loss, "--max-steps", 2, *QUICK)
    assert math.isfinite(record["train_loss"])
    assert changed(tiny, Path("out"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lora-modules", "c_attn"), "no layers named c_attn"),
        (("--lora-modules", "q_proj, vproj"), "no layers named vproj"),
        (("--max-length", 5), "no row has a prompt below 5 tokens"),
        (("--loss", "kto", "--batch-size", 11), "no divisor from 2 to 8"),
        (("--model", "."), "the model . cannot be loaded"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    words: tuple[Any, ...], said: str, exported: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = command(capsys, exported, "--model", tiny, "-o", "out", "--max-steps", 1, *words)
    assert (code, said in err) == (2, True), err
    assert not Path("out/training.json").exists()


def test_a_training_that_diverges_leaves_no_model(exported: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rate = ("--learning-rate", 1e20, "--lora-rank", 0, "--max-steps", 4)
    code, _, err = command(capsys, exported, "--model", tiny, "-o", "out", "--loss", "sft", *rate, *QUICK)
    assert (code, "diverged" in err) == (1, True), err
    assert not Path("out/model.safetensors").exists()


def test_messages_need_a_chat_template(exported: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in tiny.iterdir():
        if path.name != "chat_template.jinja":
            (bare / path.name).write_bytes(path.read_bytes())
    code, _, err = command(capsys, exported, "--model", bare, "-o", "out")
    assert (code, "no chat template" in err) == (2, True), err
