"""Bytes of a checkpoint: measured, nominal by its layers, and planned from the architecture."""

from pathlib import Path

from edge2giant.quantize.tensors import Tensors

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


def planned_bytes(architecture: dict, bits: int, group_size: int = 128) -> dict[str, int]:
    """Estimate a checkpoint's bytes from the architecture alone, for planning.

    Parameters
    ----------
    architecture : dict
        Of `config/models.yaml`: hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads,
        head_dim, vocab_size, tie_word_embeddings.
    bits : int
        Weight bits of the linear layers.
    group_size : int
        Input channels per 16-bit scale and `bits`-wide zero point; 0 or less for one per output channel.

    Returns
    -------
    dict
        'weights': linear layers with their scales, 'rest': embeddings and norms in 16 bits, 'total'.
    """
    hidden, middle = architecture["hidden_size"], architecture["intermediate_size"]
    heads = architecture["num_attention_heads"] * architecture["head_dim"]
    shared = architecture["num_key_value_heads"] * architecture["head_dim"]
    shapes = [(heads, hidden), (shared, hidden), (shared, hidden), (hidden, heads)]
    shapes += [(middle, hidden), (middle, hidden), (hidden, middle)]
    layers = architecture["num_hidden_layers"]
    linear = layers * sum(rows * columns for rows, columns in shapes)
    scales = 0
    if bits < UNQUANTIZED_BITS:
        scales = layers * sum(rows * (columns // group_size if group_size > 0 else 1) for rows, columns in shapes)
    tables = 1 if architecture["tie_word_embeddings"] else 2
    rest = 2 * (tables * architecture["vocab_size"] * hidden + (2 * layers + 1) * hidden)
    weights = (linear * bits + scales * (16 + bits)) // 8
    return {"weights": weights, "rest": rest, "total": weights + rest}


def validated_bytes(architecture: dict) -> int:
    """Estimate the bytes, in 16 bits, of what validation of a checkpoint loads: the model, or the first layers of a large one."""
    planned = planned_bytes(architecture, UNQUANTIZED_BITS)
    if planned["total"] <= WHOLE_MODEL_BYTES:
        return planned["total"]
    return planned["rest"] + planned["weights"] * DEPTH_OF_LARGE_MODELS // architecture["num_hidden_layers"]
