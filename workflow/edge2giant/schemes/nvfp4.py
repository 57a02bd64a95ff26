"""NVFP4: E2M1 in groups of 16 with a scale in E4M3, and one float32 for the tensor that divides all scales.

compressed-tensors *nvfp4-pack-quantized*: `weight_packed`, `weight_scale` (out, groups), `weight_global_scale` and, where
activations are rounded, `input_global_scale`. The global scale puts the largest group's scale at the end of E4M3
(448 * 6 / largest). Inputs get their groups' scales as they come and the global one from calibration. llmcompressor gives layers
that vLLM fuses one global scale.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from edge2giant.schemes.e2m1 import FP4, LARGEST
from edge2giant.schemes.fp8 import LARGEST as LARGEST_SCALE
from edge2giant.schemes.fp8 import float8
from edge2giant.schemes.scheme import COMPRESSED

LEAST_SCALE = 0.125
"""What compressed-tensors gives a group of zeros."""


@dataclass(frozen=True)
class NVFP4(FP4):
    """NVFP4 weights, with or without NVFP4 activations."""

    name: ClassVar = "NVFP4"
    stays_float32: ClassVar = ("_global_scale",)

    @classmethod
    def of_group(cls, weights: dict, input_activations: dict | None = None, **rest) -> Self | None:
        if (weights["type"], weights["num_bits"], weights["strategy"]) != ("float", 4, "tensor_group"):
            return None
        return cls(COMPRESSED, 4, weights["group_size"], True, (input_activations or {"num_bits": 16})["num_bits"])

    def bytes(self, rows: int, columns: int) -> int:
        return super().bytes(rows, columns) + (8 if self.rounds_activations else 4)

    def global_scale(self, weight):
        return LARGEST_SCALE * LARGEST / weight.abs().max().clamp_min(1e-30)

    def scales(self, largest, whole):
        scale = float8(largest / LARGEST * whole)
        return scale.where(scale > 0, LEAST_SCALE) / whole

    def stored_scales(self, tensors, name: str):
        return tensors.float32(f"{name}.weight_scale") / tensors.float32(f"{name}.weight_global_scale").reshape(-1)[0]

    def input_scale(self, tensors, name: str) -> float | None:
        return float(tensors.float32(f"{name}.input_global_scale").max()) if self.rounds_activations else None


KINDS = (NVFP4,)
