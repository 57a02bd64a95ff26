"""FP8 (E4M3) weights and activations, scales by tensor or by channel and token, static or dynamic.

compressed-tensors *float-quantized*: `weight` in E4M3, `weight_scale` for the tensor or each output channel, `input_scale` where
calibration fixed it. vLLM rounds inputs by token with the scale (largest) / 448, at least 1 / (448 * 512), or by the stored one.
Layers that it fuses share the largest of their input scales, and of their weight scales where those are by tensor, to which it
rounds the codes anew (`process_fp8_weight_tensor_strategy`). Tensor cores for FP8 exist from compute capability 8.9 on (CUDA C++
programming guide).
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from edge2giant.schemes.limits import DEGRADED, REFUSED, VLLM, Limit
from edge2giant.schemes.scheme import (
    BY_CHANNEL,
    BY_TENSOR,
    COMPRESSED,
    TOO_OLD,
    Layer,
    Scheme,
    by_neighbours,
    input_range,
    number_of_scales,
)

LARGEST, LEAST_SCALE = 448.0, 1 / (448.0 * 512)
LEAST_NORMAL, MANTISSA = 2.0**-6, 3
SIZES = {"channel": BY_CHANNEL, "tensor": BY_TENSOR}

LIMITS = (
    TOO_OLD,
    Limit(
        "fp8-weight-only", VLLM, "0.6", lambda s, d: s.rounds_activations and d.below(*FP8.native),
        DEGRADED, "FP8 below compute capability 8.9 runs weight-only: activations stay in 16 bits",
        "run FP8 checkpoints on capability 8.9 or above (Ada, Hopper)", "source",
    ),
    Limit(
        "cpu-fp8-static", VLLM, "0.32", lambda s, d: d.kind == "cpu" and s.static_activations,
        REFUSED, "the CPU build has no static FP8 quantization of activations", "evaluate with the Hugging Face engine", "run",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class FP8(Scheme):
    """FP8 weights, with or without FP8 activations."""

    native: ClassVar = (8, 9)
    least_levels: ClassVar = 8
    limits: ClassVar = LIMITS

    @property
    def label(self) -> str:
        spread = "tensor" if self.group_size == BY_TENSOR else "output channel"
        inputs = "static activations" if self.static_activations else "activations by token"
        return f"FP8 by {spread}, {inputs if self.rounds_activations else 'weights only'}"

    def bytes(self, rows: int, columns: int) -> int:
        """Codes, and a 16-bit scale for each output channel or the tensor."""
        return rows * columns + 2 * number_of_scales(self.group_size, rows, columns)

    @classmethod
    def of_group(cls, weights: dict, input_activations: dict | None = None, **rest) -> Self | None:
        if (weights["type"], weights["num_bits"]) != ("float", 8) or weights["strategy"] not in SIZES:
            return None
        inputs = input_activations or {"num_bits": 16, "dynamic": True}
        return cls(COMPRESSED, 8, SIZES[weights["strategy"]], True, inputs["num_bits"], not inputs["dynamic"])

    def nearest(self, weight):
        largest = weight.float().abs()
        largest = largest.max() if self.group_size == BY_TENSOR else largest.amax(1, keepdim=True)
        scale = (largest / LARGEST).clamp_min(1e-30)
        return float8(weight.float() / scale) * scale

    def read(self, tensors, name: str) -> Layer:
        import numpy as np

        codes = tensors.float32(f"{name}.weight")
        scale = np.broadcast_to(tensors.float32(f"{name}.weight_scale").reshape(-1, 1), (len(codes), 1))
        return Layer(name, 8, codes, scale, np.zeros(scale.shape, np.int16), by_neighbours(codes.shape[1], 1))

    def round_inputs(self, values, stored: float | None, manner: str):
        scale = stored or (input_range(values, self.static_activations) / LARGEST).clamp_min(LEAST_SCALE)
        return float8(values / scale) * scale

    def fused(self, tensors, names: list[str]) -> dict | None:
        import torch

        if self.group_size != BY_TENSOR:
            return None
        scales = {name: float(tensors.float32(f"{name}.weight_scale").reshape(-1)[0]) for name in names}
        largest, weights = max(scales.values()), {}
        for name, scale in scales.items():
            codes = torch.from_numpy(tensors.float32(f"{name}.weight")).half()
            weights[name] = float8((codes * torch.tensor(scale)).float() * (1 / largest)) * largest
        return weights


def float8(values):
    """Round (torch) to the numbers of FP8 E4M3, ties to even, values beyond its range to its ends.

    By arithmetic in float32, which is exact and on a CPU some ten times faster than a conversion to the type and back.
    """
    import torch

    inside = values.float().clamp(-LARGEST, LARGEST)
    power = (inside.view(torch.int32) & 0x7F800000).view(torch.float32)
    step = power.clamp_min_(LEAST_NORMAL).mul_(2.0**-MANTISSA)
    return (inside / step).round_().mul_(step).to(values.dtype)


KINDS = (FP8,)
