"""Round to nearest: the baseline that every method must beat. Written here with numpy, stored as compressed-tensors.

It reads no calibration text. For every group of input channels the scale is (largest magnitude) / (2^(bits-1) - 1/2), so that the
grid of 2^bits integers reaches both signs of it, and codes are the nearest integers. Reads a model folder, writes a
pack-quantized checkpoint. Scales and all other tensors keep the model's own 16-bit type.
"""

import json
from pathlib import Path

PACKAGES = ("numpy",)
CITATION = "round to nearest, the baseline of E. Frantar et al., GPTQ, ICLR 2023, arXiv 2210.17323"


def traits(recipe: dict, bits: str) -> dict:
    """Describe the checkpoint: symmetric integer weights in groups."""
    return {
        "form": "compressed-tensors",
        "weight_bits": recipe["bits"],
        "weight_type": "int",
        "group_size": recipe["group_size"],
        "symmetric": True,
        "desc_act": False,
        "activations": None,
    }


def quantize(model_dir: Path, recipe: dict, calibration, out_dir: Path) -> dict:
    """Round every linear layer but the ignored ones and write the checkpoint, one source file at a time."""
    from edge2giant.quantize.sizes import linear_layers
    from edge2giant.quantize.tensors import Tensors, write

    source = Tensors(model_dir)
    layers = set(linear_layers(source, tuple(recipe["ignore"])))
    index = {}
    for path in source.paths:
        stored = {}
        for name in (name for name in source.names if source.entries[name][0] == path):
            layer = name.removesuffix(".weight")
            if layer in layers:
                weight = source.float32(name)
                stored |= round_layer(layer, weight, recipe["bits"], recipe["group_size"], source.dtype(name))
            else:
                stored[name] = (source.dtype(name), source.raw(name))
        write(out_dir / path.name, stored)
        index |= dict.fromkeys(stored, path.name)
    write_config(Path(model_dir), recipe, out_dir)
    if len(source.paths) > 1:
        total = sum(path.stat().st_size for path in out_dir.glob("*.safetensors"))
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2)
        (out_dir / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    return {"transform": "none", "ignore": recipe["ignore"], "parameters": recipe, "fallbacks": []}


def round_layer(layer: str, weight, bits: int, group_size: int, dtype: str) -> dict:
    """Return the stored tensors of one layer (see `tensors.write`).

    Parameters
    ----------
    weight : numpy.ndarray (out, in), float32
    group_size : int
        Input channels per scale; -1 for one scale per output channel.
    dtype : {'F16', 'BF16', 'F32'}
        Type of the scales.
    """
    import numpy as np

    from edge2giant.quantize.tensors import narrowed, widened

    rows, columns = weight.shape
    groups = 1 if group_size < 0 else columns // group_size
    grouped = weight.reshape(rows, groups, -1)
    scale = np.abs(grouped).max(axis=2) / (2 ** (bits - 1) - 0.5)
    scale = narrowed(np.maximum(scale, np.finfo(np.float16).tiny), dtype)
    limit = 2 ** (bits - 1)
    codes = np.clip(np.rint(grouped / widened(scale, dtype)[:, :, None]), -limit, limit - 1)
    return {
        f"{layer}.weight_packed": ("I32", pack(codes.reshape(rows, columns).astype(np.int64) + limit, bits)),
        f"{layer}.weight_scale": (dtype, scale),
        f"{layer}.weight_shape": ("I64", np.array([rows, columns], np.int64)),
    }


def pack(codes, bits: int):
    """Pack unsigned codes (out, in) into 32-bit words along the input, lowest bits first; the last word is filled with zeros."""
    import numpy as np

    per_word = 32 // bits
    padded = np.pad(codes.astype(np.uint32), ((0, 0), (0, -codes.shape[1] % per_word)))
    lanes = padded.reshape(codes.shape[0], -1, per_word) << np.arange(0, 32, bits, dtype=np.uint32)
    return np.bitwise_or.reduce(lanes, axis=2).view(np.int32)


def write_config(model_dir: Path, recipe: dict, out_dir: Path) -> None:
    """Write the model's config with the description of the codes that compressed-tensors readers expect."""
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
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
    (out_dir / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
