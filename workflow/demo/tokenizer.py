"""A byte-level BPE tokenizer of 768 pieces, trained on the generated text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .text import ASSISTANT, BOS, CHAT_TEMPLATE, EOS, PAD, SYSTEM, USER

VOCABULARY = 768
SPECIAL = (BOS, EOS, PAD, USER, ASSISTANT, SYSTEM)
MAX_LENGTH = 4096
# A choice such as " (A)" is one piece, so that scoring it needs one prompt a question; digits stand alone.
PIECES = r" ?\([A-R]\)| ?\p{L}+| ?\d| ?[^\s\p{L}\d]+|\s+(?!\S)|\s+"


def train(texts: Iterable[str]) -> Tokenizer:
    """Return a tokenizer trained on ``texts``; every digit and choice letter is one piece after a space."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files by which transformers 4 and 5 both load the tokenizer and its chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD}
    config = {
        **roles,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_LENGTH,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": False,
        "chat_template": CHAT_TEMPLATE,
        "additional_special_tokens": [USER, ASSISTANT, SYSTEM],
    }
    special = {**roles, "additional_special_tokens": [USER, ASSISTANT, SYSTEM]}
    for name, content in (("tokenizer_config", config), ("special_tokens_map", special)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
