"""MXFP4: E2M1 in groups of 32 whose scale is a power of two (E8M0; OCP Microscaling Formats 1.0).

compressed-tensors *mxfp4-pack-quantized*: `weight_packed`, and `weight_scale` (out, groups) holding exponents plus 127. Its rule
for the exponent is used: that of the largest magnitude, counted one higher from 7/4 of a power of two on, less 2.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from edge2giant.schemes.e2m1 import BLACKWELL, FP4, LIMITS
from edge2giant.schemes.limits import DEGRADED, VLLM, Limit
from edge2giant.schemes.scheme import COMPRESSED

ROUNDED_ANYWAY = Limit(
    "mxfp4-rounds-activations", VLLM, "0.32",
    lambda s, d: not s.rounds_activations and d.kind == "cuda" and not d.below(*BLACKWELL),
    DEGRADED, "vLLM rounds activations of MXFP4 from compute capability 10.0 on, also where the checkpoint says weights only",
    "run it on another GPU, or take the method's w4a4", "source",
)  # fmt: skip


@dataclass(frozen=True)
class MXFP4(FP4):
    """MXFP4 weights, with or without MXFP4 activations."""

    name: ClassVar = "MXFP4"
    least: ClassVar = (8, 0)
    limits: ClassVar = (*LIMITS, ROUNDED_ANYWAY)

    @classmethod
    def of_group(cls, weights: dict, input_activations: dict | None = None, **rest) -> Self | None:
        if (weights["type"], weights["num_bits"], weights["strategy"]) != ("float", 4, "group"):
            return None
        return cls(COMPRESSED, 4, weights["group_size"], True, (input_activations or {"num_bits": 16})["num_bits"])

    def scales(self, largest, whole):
        import torch

        exponent = torch.frexp(largest.float() / 1.75).exponent - 2
        return torch.exp2(exponent.clamp(-127, 127).float()).to(largest.dtype)

    def stored_scales(self, tensors, name: str):
        import numpy as np

        return np.exp2(tensors.array(f"{name}.weight_scale").astype(np.float32) - 127)


KINDS = (MXFP4,)
