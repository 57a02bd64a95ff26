"""Integer weights with int8 activations by token (SmoothQuant).

compressed-tensors *int-quantized*, read as `integers` says. transformers (by compressed-tensors) rounds with the scale
(largest) / 127.5, vLLM (csrc/quantization/w8a8) with (largest) / 127, ties to even.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from edge2giant.schemes.integers import Integers
from edge2giant.schemes.scheme import TOO_OLD, input_range


@dataclass(frozen=True)
class Int8Activations(Integers):
    """Integer weights and activations."""

    activation_bits: int = 8

    limits: ClassVar = (TOO_OLD,)

    @property
    def label(self) -> str:
        return f"{super().label}, int{self.activation_bits} activations {'by tensor' if self.static_activations else 'by token'}"

    @classmethod
    def of_config(cls, config: dict) -> Self | None:
        return super(Integers, cls).of_config(config)  # the formats of GPTQ and AWQ leave activations alone

    @classmethod
    def of_group(cls, weights: dict, input_activations: dict | None = None, **rest) -> Self | None:
        if not input_activations or {weights["type"], input_activations["type"]} != {"int"}:
            return None
        given = {"activation_bits": input_activations["num_bits"], "static_activations": not input_activations["dynamic"]}
        return cls(**cls.weights_of(weights), **given)

    def round_inputs(self, values, stored: float | None, manner: str):
        top = 2 ** (self.activation_bits - 1) - 1
        steps = top if manner == "vllm" else top + 0.5
        scale = stored or (input_range(values, self.static_activations) / steps).clamp_min(1e-30)
        return (values / scale).round().clamp(-top - 1, top) * scale


KINDS = (Int8Activations,)
