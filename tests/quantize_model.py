"""A tiny random Llama for the tests of quantization, and calibration text for it."""

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
from edge2giant.quantize import tensors
from edge2giant.specs.quantize import CalibrationSpec, HeldoutSpec, QuantizeSpec
from edge2giant.specs.variant import Variant

HIDDEN, MIDDLE, HEADS, SHARED, WIDTH, VOCABULARY, LAYERS = 128, 256, 2, 2, 64, 300, 2
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": MIDDLE,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": SHARED, "head_dim": WIDTH,
    "vocab_size": VOCABULARY, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "tie_word_embeddings": False, "torch_dtype": "float16", "hidden_act": "silu", "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights under the names of a Llama, float16."""
    generator = np.random.default_rng(seed)

    def matrix(rows, columns):
        return (generator.standard_normal((rows, columns)) * 0.06).astype(np.float16)

    def norm():
        return (1 + 0.3 * generator.random(HIDDEN)).astype(np.float16)

    named = {"model.embed_tokens.weight": matrix(VOCABULARY, HIDDEN), "lm_head.weight": matrix(VOCABULARY, HIDDEN)}
    named["model.norm.weight"] = norm()
    for number in range(LAYERS):
        layer = f"model.layers.{number}"
        named |= {f"{layer}.input_layernorm.weight": norm(), f"{layer}.post_attention_layernorm.weight": norm()}
        for name, rows in (("q", HEADS), ("k", SHARED), ("v", SHARED)):
            named[f"{layer}.self_attn.{name}_proj.weight"] = matrix(rows * WIDTH, HIDDEN)
        named[f"{layer}.self_attn.o_proj.weight"] = matrix(HIDDEN, HEADS * WIDTH)
        for name in ("gate", "up"):
            named[f"{layer}.mlp.{name}_proj.weight"] = matrix(MIDDLE, HIDDEN)
        named[f"{layer}.mlp.down_proj.weight"] = matrix(HIDDEN, MIDDLE)
    return named


def write_model(folder: Path, named: dict[str, np.ndarray] | None = None, **config) -> Path:
    """Write a model folder without tokenizer."""
    import torch

    folder.mkdir(parents=True)
    stored = {name: torch.from_numpy(values) for name, values in (named or weights()).items()}
    tensors.write(folder / "model.safetensors", stored)
    (folder / "config.json").write_text(json.dumps(CONFIG | config), encoding="utf-8")
    return folder


def write_tokenizer(folder: Path) -> None:
    """Give a model folder a byte-level tokenizer (needs transformers)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1} | {letter: 2 + index for index, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)


def write_text(folder: Path, seed: int, documents: int = 24, letters: str = "abcdefgh ") -> Path:
    """Write a text.jsonl of random letters."""
    folder.mkdir(parents=True)
    draw = random.Random(seed)
    lines = [json.dumps({"text": "".join(draw.choices(letters, k=draw.randint(150, 250)))}) for _ in range(documents)]
    (folder / "text.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def calibration_set(**changes) -> CalibrationSpec:
    """A calibration set of a few short windows."""
    return CalibrationSpec(**{"name": "test", "packing": "windows", "samples": 12, "length": 48, "seed": 42} | changes)


def spec(toolkit: str, recipe: dict, bits: str = "w4a16", calibration: CalibrationSpec | None = None, **changes) -> QuantizeSpec:
    """A spec of the tiny model."""
    given = QuantizeSpec(
        variant=Variant("tiny", toolkit, bits), toolkit=toolkit, source="make", recipe=recipe, calibration=calibration,
        heldout=HeldoutSpec("heldout", 16, 128), store="miniature", repo="edge2giant/tiny", revision=None,
        environment="cpu/main", result_version=1,
    )  # fmt: skip
    return dataclasses.replace(given, **changes)


def run(
    place: Path, out: Path, given: QuantizeSpec, model: str | Path = "model", calibration: str = "calibration", **folders
) -> dict:
    """Make a checkpoint of a model, with calibration and held-out text of a folder."""
    from edge2giant.quantize import core

    return core.run(given, core.Folders(place / model, place / "heldout", out, place / calibration, **folders))
