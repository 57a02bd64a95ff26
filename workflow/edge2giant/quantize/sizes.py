"""Bytes of a checkpoint: measured, nominal by its layers, and planned from the model's facts."""

from pathlib import Path

from edge2giant.models.facts import ModelFacts
from edge2giant.quantize.tensors import Tensors
from edge2giant.schemes import mixed
from edge2giant.schemes.scheme import Scheme
from edge2giant.schemes.unquantized import SixteenBits

UNQUANTIZED = ("embed_tokens", "lm_head", "norm")
UNQUANTIZED_BITS = 16
# A larger model (bytes in 16 bits) is validated on its first decoder layers.
WHOLE_MODEL_BYTES = 16 * 2**30
DEPTH_OF_LARGE_MODELS = 2


def linear_layers(tensors: Tensors, ignore: tuple[str, ...] = ("lm_head",)) -> list[str]:
    """Names (without `.weight`) of the linear layers of decoder blocks that recipes quantize.

    Left out are routers: layers that stand beside the experts of a block; and what `ignore` names as compressed-tensors does, by
    a whole name or `re:` and a regular expression that matches from its start.
    """
    blocks = {name.partition(".experts.")[0] for name in tensors.names if ".experts." in name}
    return [name for name in matrices(tensors) if in_block(name) and not mixed.means(ignore, name) and parent(name) not in blocks]


def matrices(tensors: Tensors) -> list[str]:
    """Names (without `.weight`) of all weights with two dimensions."""
    ends = ".weight"
    return [one.removesuffix(ends) for one in tensors.names if one.endswith(ends) and len(tensors.shape(one)) == 2]


def in_block(name: str) -> bool:
    return any(part.isdigit() for part in name.split(".")) and not any(word in name for word in UNQUANTIZED)


def parent(name: str) -> str:
    return name.rpartition(".")[0]


def weight_bytes(folder: str | Path) -> int:
    """Bytes of the safetensors files of a folder (links followed)."""
    return sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))


def nominal_bytes(tensors: Tensors, scheme: Scheme, ignore: tuple[str, ...] = ("lm_head",)) -> int:
    """Bytes of a model whose linear layers take the bits of their scheme a weight and whose other tensors take 16.

    Scales, zero points and padding are left out: that is what separates the measured size from this one.
    """
    quantized = set(linear_layers(tensors, ignore))
    total = 0
    for name in tensors.names:
        layer = parent(name)
        total += tensors.size(name) * (scheme.at(layer).bits if layer in quantized else UNQUANTIZED_BITS)
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
