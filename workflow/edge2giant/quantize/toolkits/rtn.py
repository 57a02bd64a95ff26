"""Round to nearest: the baseline that every method must beat. Written here with torch, stored as compressed-tensors.

It reads no calibration text; `schemes.integers` says how it rounds. Reads a model folder, writes a pack-quantized checkpoint.
Scales and all other tensors keep the model's own 16-bit type.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge2giant.quantize import compat, faults, toolkits
from edge2giant.quantize.toolkits import GroupSize, Layers
from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes import mixed
from edge2giant.schemes.integers import Integers
from edge2giant.schemes.scheme import COMPRESSED

PACKAGES = ("torch",)
CITATION = "round to nearest, the baseline of E. Frantar et al., GPTQ, ICLR 2023, arXiv 2210.17323"


@dataclass(frozen=True)
class NearestRecipe:
    """How to round; `ignore` names layers as compressed-tensors does: whole names, or `re:` and a regular expression."""

    bits: Literal[4, 8]
    group_size: GroupSize
    ignore: tuple[Layers, ...]


RECIPE = NearestRecipe


def takes(recipe: dict) -> dict:
    return toolkits.renamed(recipe, group_size="group_size") | {"ignore": toolkits.extended(recipe, "ignore")}


def left_out(recipe: dict) -> tuple[str, ...]:
    return tuple(recipe["ignore"])


def scheme(recipe: dict) -> Integers:
    return Integers(COMPRESSED, recipe["bits"], recipe["group_size"])


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> ExecutedRecipe:
    """Round every linear layer but the ignored ones and write the checkpoint, one source file at a time."""
    from edge2giant.quantize import sizes
    from edge2giant.quantize.tensors import Tensors, write

    source = Tensors(model_dir)
    layers = set(sizes.linear_layers(source, tuple(recipe["ignore"])))
    wide = (name for name in sizes.matrices(source) if name not in layers and not name.endswith("embed_tokens"))
    ignore = list(dict.fromkeys([*recipe["ignore"], *(name for name in wide if not mixed.means(recipe["ignore"], name))]))
    index = {}
    for path in source.paths:
        stored = {}
        for name in source.names_in(path):
            layer = name.removesuffix(".weight")
            if layer in layers:
                stored |= round_layer(layer, source.read(name), scheme(recipe))
            else:
                stored[name] = source.read(name)
        write(out_dir / path.name, stored)
        index |= dict.fromkeys(stored, path.name)
    describe(model_dir, recipe | {"ignore": ignore}, out_dir)
    if len(source.paths) > 1:
        total = sum(path.stat().st_size for path in out_dir.glob("*.safetensors"))
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2)
        (out_dir / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    return ExecutedRecipe(recipe, ignore=tuple(ignore))


def round_layer(layer: str, weight, made: Integers) -> dict:
    """Return the stored tensors of one layer; scales have the type of the weight (torch, out x in)."""
    import torch

    if not weight.isfinite().all():
        raise faults.not_finite(layer, "the weight", str(weight.dtype))
    rows, columns = weight.shape
    groups = 1 if made.group_size < 0 else columns // made.group_size
    codes, scale = made.symmetric_codes(weight.float().reshape(rows, groups, -1), weight.dtype)
    unsigned = codes.reshape(rows, columns).long() + 2 ** (made.bits - 1)
    return {
        f"{layer}.weight_packed": pack(unsigned, made.bits),
        f"{layer}.weight_scale": scale[:, :, 0],
        f"{layer}.weight_shape": torch.tensor([rows, columns]),
    }


def pack(codes, bits: int):
    """Pack unsigned codes (out, in) into 32-bit words along the input, lowest bits first; the last word is filled with zeros."""
    import torch

    per_word = 32 // bits
    padded = torch.nn.functional.pad(codes, (0, -codes.shape[1] % per_word))
    words = (padded.reshape(codes.shape[0], -1, per_word) << torch.arange(0, 32, bits)).sum(2)
    return torch.where(words < 2**31, words, words - 2**32).to(torch.int32)


def describe(model_dir: Path, recipe: dict, out_dir: Path) -> None:
    """Write the model's config with the description of the codes that compressed-tensors readers expect."""
    config = compat.read_config(model_dir)
    weights = {
        "num_bits": recipe["bits"],
        "type": "int",
        "symmetric": True,
        "strategy": "channel" if recipe["group_size"] < 0 else "group",
        "group_size": None if recipe["group_size"] < 0 else recipe["group_size"],
        "dynamic": False,
    }
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "ignore": recipe["ignore"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }
    compat.write_config(out_dir, config)
