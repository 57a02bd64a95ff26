"""Names, types and shapes of a model's tensors, from the headers of its safetensors files."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.models.facts import LinearLayer

LARGEST_HEADER = 100_000_000
DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
# Tables that code writes beside the weights.
BUFFER = re.compile(r"(rotary_emb\.inv_freq|\.attention\.(bias|masked_bias))$")
# What picks experts, which recipes leave in 16 bits.
ROUTER = re.compile(r"(^|\.)(gate|router|shared_expert_gate)\.weight$")
# Encoders of other inputs, beside the decoder.
OTHER_PART = re.compile(r"(vision|visual|audio|multi_modal|multimodal)")
OUTPUT = re.compile(r"^(language_model\.)?(lm_head|embed_out)\.weight$")


@dataclass(frozen=True)
class Header:
    """One tensor; its type as safetensors writes it, such as `BF16`."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def read(path: Path) -> list[Header]:
    """The tensors of one safetensors file.

    Raises
    ------
    UserError
        If the file is cut or no safetensors file.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            found = json.loads(stream.read(length) if length <= LARGEST_HEADER else b"")
        return [Header(name, one["dtype"], tuple(one["shape"])) for name, one in found.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"has no readable header of tensors ({type(error).__name__})", path, "fetch it again") from None


def parameters(tensors: Iterable[Header], tied: bool) -> int:
    """Parameters of a model: no buffers, and no output layer that is the embedding a second time."""
    kept = (one for one in tensors if not BUFFER.search(one.name) and not (tied and OUTPUT.match(one.name)))
    return sum(one.size for one in kept)


def tied(tensors: Iterable[Header]) -> bool:
    """Whether the embedding is the output layer too, as far as a file without an output layer says so."""
    return not any(OUTPUT.match(one.name) for one in tensors)


def dtype(tensors: Iterable[Header]) -> str | None:
    """The type that most weights have."""
    sizes: Counter = Counter()
    for one in tensors:
        sizes[one.dtype] += one.size
    return DTYPES.get(max(sizes, key=sizes.get)) if sizes else None


def is_linear(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is a matrix of the decoder that recipes quantize: of a numbered layer, no norm and no router."""
    if not name.endswith(".weight") or len(shape) != 2 or not any(part.isdigit() for part in name.split(".")):
        return False
    return "norm" not in name and not ROUTER.search(name) and not OTHER_PART.search(name)


def linear_layers(tensors: Iterable[Header]) -> tuple[LinearLayer, ...]:
    """The decoder's matrices by kind and shape; names lose the number of their layer and expert."""
    counts: Counter = Counter()
    biases = set()
    for one in tensors:
        parts = one.name.split(".")
        first = next((place for place, part in enumerate(parts) if part.isdigit()), None)
        if first is None or OTHER_PART.search(one.name):
            continue
        *kind, last = [part for part in parts[first + 1 :] if not part.isdigit()]
        if last == "bias":
            biases.add(".".join(kind))
        if is_linear(one.name, one.shape):
            counts[".".join(kind), *one.shape] += 1
    return tuple(LinearLayer(*shape, count, shape[0] in biases) for shape, count in counts.items())
