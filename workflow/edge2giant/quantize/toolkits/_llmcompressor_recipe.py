"""Recipes of llmcompressor: its own modifiers, with the scheme written out, since presets changed meaning between releases."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from edge2giant.quantize.toolkits import Layers
from edge2giant.typed import MismatchError, NotEmpty, Positive, Share

Texts = tuple[Layers, ...]
Mappings = Annotated[tuple[tuple[Texts, Layers], ...], NotEmpty()]
UNCOMPRESSED = {"falcon": "it stores the layers of falcon, which are of a class of their own, without compressing them"}
UNSMOOTHED = {
    "olmo2": "a model of type olmo2 has no norm before its linear layers",
    "gpt_neox": "it knows no mappings for a model of type gpt_neox",
}
"""Model types in which the mappings of SmoothQuant and AWQ match nothing."""


@dataclass(frozen=True)
class NumbersOfRecipe:
    """compressed-tensors' QuantizationArgs."""

    num_bits: Literal[4, 8]
    type: Literal["int", "float"]
    strategy: Literal["tensor", "channel", "group", "tensor_group", "token"]
    symmetric: bool
    dynamic: bool | Literal["local"]
    group_size: Positive | None = None
    observer: Literal["minmax", "memoryless_minmax", "static_minmax", "mse", "memoryless_mse"] | None = None
    scale_dtype: Literal["torch.uint8", "torch.float8_e4m3fn"] | None = None


@dataclass(frozen=True)
class ConfigGroup:
    """compressed-tensors' QuantizationScheme."""

    targets: Annotated[Texts, NotEmpty()]
    weights: NumbersOfRecipe
    input_activations: NumbersOfRecipe | None = None


@dataclass(frozen=True)
class ConfigGroups:
    """Groups of layers with a scheme each; the first whose targets mean a layer counts."""

    group_0: ConfigGroup
    group_1: ConfigGroup | None = None
    group_2: ConfigGroup | None = None


@dataclass(frozen=True)
class RoundingModifier:
    """Round to nearest."""

    config_groups: ConfigGroups
    ignore: Texts


@dataclass(frozen=True)
class HessianModifier:
    """GPTQ."""

    config_groups: ConfigGroups
    ignore: Texts
    dampening_frac: Share
    actorder: Literal["static", "group"] | None
    block_size: Positive = 128


@dataclass(frozen=True)
class SmoothingModifier:
    """SmoothQuant; mappings are pairs of the layers that take a scale and the one that gives it."""

    smoothing_strength: Share
    mappings: Mappings | None = None


@dataclass(frozen=True)
class ScalingModifier:
    """AWQ; mappings as those of SmoothQuant."""

    duo_scaling: bool | Literal["both"] = True
    n_grid: Positive = 20
    mappings: Mappings | None = None


@dataclass(frozen=True)
class Modifier:
    """One modifier under the name of its class in llmcompressor."""

    GPTQModifier: HessianModifier | None = None
    QuantizationModifier: RoundingModifier | None = None
    SmoothQuantModifier: SmoothingModifier | None = None
    AWQModifier: ScalingModifier | None = None

    @property
    def quantizes(self) -> bool:
        return bool(self.GPTQModifier or self.QuantizationModifier)

    def __post_init__(self):
        if sum(getattr(self, one.name) is not None for one in fields(self)) != 1:
            raise MismatchError("modifiers", "an item is not one modifier")


@dataclass(frozen=True)
class ModifierRecipe:
    """The whole recipe.

    Parameters
    ----------
    batch_size : int
        Samples per forward pass; more than one only where all samples have the same length.
    fallback_dampening : tuple of float
        To try, in order, after a Hessian could not be factorised; empty: such a failure ends the run.
    """

    modifiers: tuple[Modifier, ...]
    batch_size: Positive = 1
    fallback_dampening: tuple[Share, ...] = ()

    def __post_init__(self):
        if sum(one.quantizes for one in self.modifiers) != 1:
            raise MismatchError("modifiers", "not exactly one GPTQModifier or QuantizationModifier")
