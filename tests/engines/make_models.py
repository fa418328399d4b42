"""Tiny language models with random weights, and a tokenizer trained here: `python make_models.py FOLDER...` makes one per folder.

They say nothing that means anything, but an engine loads and serves them like any other model. Needs PyTorch and transformers.
"""

import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXTS = ["What is two plus two? The answer is four.", "Who says so, and why? Let us see.", "user: hello\nassistant: hello\n"]
TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant: "


def tokenizer() -> PreTrainedTokenizerFast:
    """Trained on a few lines: byte-level pairs, so that any text can be read."""
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], initial_alphabet=alphabet)
    inner.train_from_iterator(TEXTS, trainer)
    found = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>")
    found.chat_template = TEMPLATE
    return found


def main(folders: list[str]) -> None:
    """Make a model in each folder, no two alike."""
    for seed, folder in enumerate(folders):
        words = tokenizer()
        torch.manual_seed(seed)
        size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), max_position_embeddings=4096, **size, **ends))
        model.generation_config.max_new_tokens = 12
        model.generation_config.do_sample = True
        model.save_pretrained(folder)
        words.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
