"""LASeR's loop for real, on a tiny random model of this machine and a real reward server: responses, pairs, TRL, and a bandit in a store.

`make test-train` runs these in an environment of their own; `make test` holds the loop itself with a policy that has no weights.
"""

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Spawned, spawned

from symposia import cli
from symposia.bandit import read_bandit
from symposia.laser_policy import LanguageModel, Training
from symposia.laser_training import Pair
from symposia.state.store import open_store

pytestmark = [
    pytest.mark.train,
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing` is deprecated:FutureWarning"),  # a setting of TRL's own
]

QUESTIONS = [f"What is {n} plus {n + 1}?" for n in range(5)]
QUICK = ("--batch-size", 2, "--max-new-tokens", 6, "--learning-rate", 1e-2, "--iterations", 2, "-p", "k=4", "-p", "pairs=2", "--seed", 1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights, its tokenizer trained on the questions."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    text = Tokenizer(models.BPE())
    text.pre_tokenizer, text.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = ["<|end|>", "<|pad|>"]
    learn = trainers.BpeTrainer(vocab_size=300, special_tokens=marks, initial_alphabet=text.pre_tokenizer.alphabet(), show_progress=False)
    text.train_from_iterator(QUESTIONS, learn)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=text, eos_token="<|end|>", pad_token="<|pad|>")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    special = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, **sizes, **special))
    where = tmp_path_factory.mktemp("model") / "tiny"
    model.save_pretrained(where)
    tokenizer.save_pretrained(where)
    return where


@pytest.fixture(scope="module")
def server() -> Iterator[Spawned]:
    """A reward server that scores a text by its hash, and differently under each name."""
    with spawned(deterministic=True) as found:
        yield found


def command(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    """The command in this process: exit code, stdout, stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main(["laser-train", *(str(word) for word in words)])
    out, err = capsys.readouterr()
    assert isinstance(end.value.code, int)
    assert "Traceback" not in err, err
    return end.value.code, out, err


def options(server: Spawned, tiny: Path, *more: Any) -> list[Any]:
    """A training on the questions, with two reward models as arms."""
    rows = [{"question": text, "task": "number", "answer": 2 * n + 1} for n, text in enumerate(QUESTIONS)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arms = ",".join(f"reward/{server.root}?model={name}" for name in ("one", "other"))
    return ["rows.jsonl", "--model", tiny, "--role", f"reward={arms}", "-p", "bandit=b", *QUICK, "--json", *more]


def pulls() -> list[dict[str, Any]]:
    """The rewards of the bandit in the store of this folder."""

    async def read() -> list[dict[str, Any]]:
        async with open_store(".symposia/store.db") as store:
            found: list[dict[str, Any]] = (await read_bandit(store, "b"))["pulls"]
            return found

    return asyncio.run(read())


def weights(model: Path) -> dict[str, Any]:
    """The weights of a model by name."""
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(model / "model.safetensors")
    return found


@pytest.mark.parametrize("rank", [4, 0], ids=["adapter", "every weight"])
def test_a_model_is_trained_and_the_bandit_learns(rank: int, server: Spawned, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, *options(server, tiny, "-o", "out", "--lora-rank", rank, "--test-share", 0.2))
    assert code == 0, err
    record = json.loads(out)
    assert (record["stop_reason"], len(record["losses"])) == ("iterations", 2)
    assert all(math.isfinite(loss) and loss > 0 for loss in record["losses"])
    assert (record["before"], record["after"]) == (0.0, 0.0)  # a random model knows no sums, but is asked
    trained = [step for step in record["steps"] if step["pairs"]]
    assert [step["iteration"] for step in record["steps"]] == [1, 1, 2, 2]
    assert [pull["raw"] for pull in pulls()] == [-step["loss"] for step in trained]
    assert [pull["arm"] for pull in pulls()] == [step["arm"] for step in trained]
    assert {step["arm"] for step in record["steps"]} == {f"reward/{server.root}?model={name}" for name in ("one", "other")}
    old, new = weights(tiny), weights(Path("out"))
    changed = {name.split(".")[-2] for name in old if not old[name].equal(new[name])}
    assert changed == {"q_proj", "v_proj"} if rank else "embed_tokens" in changed
    assert sorted(path.name for path in Path("out").iterdir() if path.is_dir()) == []
    assert command(capsys, *options(server, tiny, "-o", "out"))[0] == 2


def test_a_training_that_was_cut_off_goes_on_to_the_same_end(
    server: Spawned, tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = options(server, tiny, "-o", "out", "--lora-rank", 4)
    assert command(capsys, *words)[0] == 0
    whole, log = weights(Path("out")), pulls()
    for path in sorted(Path(".symposia").iterdir()):
        path.unlink()
    Path("out").rename("before")

    real, calls = LanguageModel.train, []

    def cut(self: LanguageModel, pairs: list[Pair], reference: Any) -> float:
        calls.append(pairs)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(self, pairs, reference)

    monkeypatch.setattr(LanguageModel, "train", cut)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        cli.main(["laser-train", *(str(word) for word in words)])
    assert len(pulls()) == 4
    monkeypatch.setattr(LanguageModel, "train", real)
    assert command(capsys, *words, "--iterations", 3)[0] == 2  # another training
    code, out, err = command(capsys, *words)
    assert code == 0, err
    assert pulls() == log
    again = weights(Path("out"))
    assert all(whole[name].equal(again[name]) for name in whole)
    assert [step["iteration"] for step in json.loads(out)["steps"]] == [1, 1, 1, 2, 2, 2]


def test_dpo_with_the_likelihood_prefers_what_was_chosen(tiny: Path, tmp_path: Path) -> None:
    pairs = [Pair(text, " yes", " no") for text in QUESTIONS]
    losses = {}
    for likelihood in (0.0, 1.0):
        policy = LanguageModel(str(tiny), tmp_path, Training(learning_rate=1e-2, likelihood=likelihood, lora_rank=0))
        reference = policy.reference()
        losses[likelihood] = [policy.train(pairs, reference) for _ in range(4)]
    assert losses[0.0][0] == pytest.approx(math.log(2), abs=1e-3)  # the policy is its own reference at first
    assert losses[0.0][-1] < 0.8 * losses[0.0][0]
    assert losses[1.0][0] > losses[0.0][0] + 1  # and the likelihood of a random model is far from 1
    assert losses[1.0][-1] < losses[1.0][0]


def test_prompts_are_embedded_alike_alone_and_together(tiny: Path, tmp_path: Path) -> None:
    policy = LanguageModel(str(tiny), tmp_path, Training(max_new_tokens=4))
    texts = ["What is 1 plus 2?", "2?"]
    together = policy.embed(texts)
    for text, vector in zip(texts, together, strict=True):
        assert policy.embed([text])[0] == pytest.approx(vector, abs=1e-4)
    assert policy.respond(texts, 3, seed=1) == policy.respond(texts, 3, seed=1) != policy.respond(texts, 3, seed=2)
    assert [len(one) for one in policy.respond(texts, 9, seed=1)] == [9, 9]
