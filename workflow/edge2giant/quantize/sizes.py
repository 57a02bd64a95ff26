"""Bytes of a checkpoint: measured, nominal by its layers, and planned from the model's facts."""

from pathlib import Path

from edge2giant.models.facts import ModelFacts
from edge2giant.quantize.tensors import Tensors
from edge2giant.schemes.scheme import Scheme
from edge2giant.schemes.unquantized import SixteenBits

UNQUANTIZED = ("embed_tokens", "lm_head", "norm")
UNQUANTIZED_BITS = 16
# A larger model (bytes in 16 bits) is validated on its first decoder layers.
WHOLE_MODEL_BYTES = 16 * 2**30
DEPTH_OF_LARGE_MODELS = 2


def is_linear(name: str, shape: tuple[int, ...], ignore: tuple[str, ...] = ("lm_head",)) -> bool:
    """Say whether a tensor of an unquantized model is the weight of a linear layer that recipes quantize."""
    if len(shape) != 2 or not name.endswith(".weight"):
        return False
    return not any(word in name for word in (*UNQUANTIZED, *ignore))


def linear_layers(tensors: Tensors, ignore: tuple[str, ...] = ("lm_head",)) -> list[str]:
    """Names (without `.weight`) of the linear layers of an unquantized model, `ignore` left out."""
    return [name[: -len(".weight")] for name in tensors.names if is_linear(name, tensors.shape(name), ignore)]


def weight_bytes(folder: str | Path) -> int:
    """Bytes of the safetensors files of a folder (links followed)."""
    return sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))


def nominal_bytes(tensors: Tensors, bits: int) -> int:
    """Bytes of a model whose linear layers take `bits` a weight and whose other tensors take 16.

    Scales, zero points and padding are left out: that is what separates the measured size from this one.
    """
    quantized = set(linear_layers(tensors)) if bits < UNQUANTIZED_BITS else set()
    total = 0
    for name in tensors.names:
        wide = name.rsplit(".", 1)[0] not in quantized
        total += tensors.size(name) * (UNQUANTIZED_BITS if wide else bits)
    return total // 8


def planned_bytes(facts: ModelFacts, scheme: Scheme) -> dict[str, int]:
    """Estimate a checkpoint's bytes from the model's facts alone, for planning.

    Returns
    -------
    dict
        'weights': linear layers with their scales, 'rest': all other weights in 16 bits, 'total'.
    """
    weights = sum(one.count * scheme.bytes(one.outputs, one.inputs) for one in facts.linear_layers)
    rest = 2 * (facts.parameters - facts.linear_weights)
    return {"weights": weights, "rest": rest, "total": weights + rest}


def validated_bytes(facts: ModelFacts) -> int:
    """Estimate the bytes, in 16 bits, of what validation of a checkpoint loads: the model, or the first layers of a large one."""
    planned = planned_bytes(facts, SixteenBits())
    if planned["total"] <= WHOLE_MODEL_BYTES:
        return planned["total"]
    return planned["rest"] + planned["weights"] * DEPTH_OF_LARGE_MODELS // facts.num_hidden_layers
