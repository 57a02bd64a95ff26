"""E2M1, the 4-bit floats of NVFP4 and MXFP4: 0, 1/2, 1, 3/2, 2, 3, 4, 6 and their negatives (OCP Microscaling Formats 1.0).

Two codes lie in a byte of `weight_packed` (out, in / 2), the first in the low four bits; the highest bit of a code is its sign.
transformers dequantizes these formats to bfloat16 and so computes them in that type alone. vLLM's kernels for other GPUs than
Blackwell, and for FP4 weights with 16-bit activations, are Marlin's, which round no activations.
"""

from dataclasses import dataclass
from typing import ClassVar

from edge2giant.schemes.limits import DEGRADED, REFUSED, VLLM, Limit
from edge2giant.schemes.scheme import Layer, Scheme, by_neighbours, number_of_scales

NUMBERS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
LARGEST = NUMBERS[-1]
BLACKWELL = (10, 0)

LIMITS = (
    Limit(
        "fp4-too-old", VLLM, "0.32", lambda s, d: d.below(*s.least),
        REFUSED, "FP4 kernels need compute capability 7.5 (NVFP4) or 8.0 (MXFP4)", "choose another GPU", "source",
    ),
    Limit(
        "fp4-weight-only", VLLM, "0.32", lambda s, d: s.rounds_activations and d.below(*BLACKWELL) and not d.below(*s.least),
        DEGRADED, "FP4 below compute capability 10.0 runs weight-only (Marlin): activations stay in 16 bits, the cell is w4a16",
        "run it on Blackwell, or take the method's w4a16", "source",
    ),
    Limit(
        "cpu-fp4", VLLM, "0.32", lambda s, d: d.kind == "cpu",
        REFUSED, "the CPU build has no kernels for FP4", "evaluate with the Hugging Face engine", "source",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class FP4(Scheme):
    """Weights, and where `activation_bits` is 4 inputs, of E2M1 in groups with a scale of 8 bits."""

    falls_back: ClassVar = True
    loads_in: ClassVar = "bfloat16"
    least_levels: ClassVar = 4
    limits: ClassVar = LIMITS

    name: ClassVar[str]

    @property
    def native(self) -> tuple[int, int]:
        return BLACKWELL if self.rounds_activations else Scheme.native

    @property
    def label(self) -> str:
        return f"{self.name}, {'activations too' if self.rounds_activations else 'weights only'}"

    def bytes(self, rows: int, columns: int) -> int:
        return rows * columns // 2 + number_of_scales(self.group_size, rows, columns)

    def nearest(self, weight):
        grouped = weight.float().unflatten(-1, (-1, self.group_size))
        scale = self.scales(grouped.abs().amax(-1, keepdim=True), self.global_scale(weight.float()))
        return (e2m1(grouped / scale) * scale).flatten(-2)

    def round_inputs(self, values, stored: float | None, manner: str):
        grouped = values.unflatten(-1, (-1, self.group_size))
        scale = self.scales(grouped.abs().amax(-1, keepdim=True), stored or self.global_scale(values))
        return (e2m1(grouped / scale) * scale).flatten(-2)

    def global_scale(self, weight):
        """What divides the scales of all groups of a weight (torch); None where there is no such thing."""
        return

    def scales(self, largest, whole):
        """Scales (torch) of groups by their largest magnitude and the tensor's `global_scale`."""
        raise NotImplementedError

    def read(self, tensors, name: str) -> Layer:
        import numpy as np

        packed = tensors.array(f"{name}.weight_packed")
        codes = np.stack([packed & 15, packed >> 4], -1).reshape(len(packed), -1)
        numbers = np.array([*NUMBERS, *(-number for number in NUMBERS)], np.float32)
        scale = self.stored_scales(tensors, name)
        return Layer(
            name, 4, numbers[codes], scale, np.zeros(scale.shape, np.int16), by_neighbours(codes.shape[1], scale.shape[1])
        )

    def stored_scales(self, tensors, name: str):
        """Scales (numpy, out x groups) of a stored layer."""
        raise NotImplementedError


def e2m1(values):
    """Round (torch) to the numbers of E2M1, ties to even codes, values beyond its range to its ends."""
    import torch

    size = values.abs().clamp_max(LARGEST)
    step = torch.where(size < 2, 0.5, torch.where(size < 4, 1.0, 2.0)).to(values.dtype)
    return (size / step).round() * step * values.sign()
