"""Layers of different schemes in one checkpoint, told apart by patterns of their names.

compressed-tensors writes several `config_groups`, whose `targets` mean layers: by a whole name, by `re:` and a regular expression
that matches from the start of a name, or by a class of modules, here `Linear`. A name goes before a class.
"""

import re
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from edge2giant.models.facts import ModelFacts
from edge2giant.schemes.limits import Limit
from edge2giant.schemes.scheme import COMPRESSED, Scheme

CLASS = "Linear"


@dataclass(frozen=True)
class SchemeOfLayers:
    """Layers that targets mean, and their scheme; `share` of a model's weights is in them (see `Mixed.in_model`)."""

    targets: tuple[str, ...]
    scheme: Scheme
    share: float = field(default=0.0, compare=False)

    def means(self, name: str) -> bool:
        return any(re.match(one[3:], name) if one.startswith("re:") else one in (name, CLASS) for one in self.targets)


@dataclass(frozen=True)
class Mixed(Scheme):
    """Several schemes; bits, group size and activations are those of the narrowest, the largest and the narrowest."""

    parts: tuple[SchemeOfLayers, ...] = ()

    falls_back: ClassVar = False

    @classmethod
    def of_parts(cls, parts: list[SchemeOfLayers]) -> Self:
        parts = tuple(sorted(parts, key=lambda part: CLASS in part.targets))
        schemes = [part.scheme for part in parts]
        return cls(
            COMPRESSED,
            min(one.bits for one in schemes),
            max(one.group_size for one in schemes),
            all(one.symmetric for one in schemes),
            min(one.activation_bits for one in schemes),
            any(one.static_activations for one in schemes),
            any(one.desc_act for one in schemes),
            parts,
        )

    def in_model(self, facts: ModelFacts) -> Self:
        shares = [0.0] * len(self.parts)
        for kind in facts.linear_layers:
            for block in range(facts.num_hidden_layers):
                name = f"model.layers.{block}.{kind.name}"
                found = next((place for place, part in enumerate(self.parts) if part.means(name)), None)
                if found is not None:
                    shares[found] += kind.weights / facts.num_hidden_layers / facts.linear_weights
        return replace(self, parts=tuple(replace(part, share=share) for part, share in zip(self.parts, shares, strict=True)))

    def at(self, name: str) -> Scheme:
        return next((part.scheme for part in self.parts if part.means(name)), self)

    @property
    def wide(self) -> float:
        """Share of the weights that no part means."""
        return max(0.0, 1 - sum(part.share for part in self.parts))

    @property
    def effective_bits(self) -> float:
        return round(sum(part.share * part.scheme.bits for part in self.parts) + 16 * self.wide, 2)

    @property
    def label(self) -> str:
        several = " and ".join(dict.fromkeys(part.scheme.label for part in self.parts))
        return f"{several}: {self.effective_bits:.1f} bits a weight" if self.wide < 1 else several

    @property
    def native(self) -> tuple[int, int]:
        return max(part.scheme.native for part in self.parts)

    @property
    def least(self) -> tuple[int, int]:
        return max(part.scheme.least for part in self.parts)

    @property
    def block(self) -> tuple[int, int]:
        blocks = [part.scheme.block for part in self.parts]
        return max(rows for rows, _ in blocks), max(columns for _, columns in blocks)

    @property
    def loads_in(self) -> str | None:
        return next((part.scheme.loads_in for part in self.parts if part.scheme.loads_in), None)

    @property
    def stays_float32(self) -> tuple[str, ...]:
        return tuple(end for part in self.parts for end in part.scheme.stays_float32)

    @property
    def least_levels(self) -> int:
        return min(part.scheme.least_levels for part in self.parts)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Those of the parts, each of which applies where it applies to its part."""
        return tuple(
            replace(limit, applies=lambda _, device, limit=limit, scheme=part.scheme: limit.applies(scheme, device))
            for part in self.parts
            for limit in part.scheme.limits
        )

    def bytes(self, rows: int, columns: int) -> int:
        """Bytes of a layer on average over the model's layers."""
        found = sum(part.share * part.scheme.bytes(rows, columns) for part in self.parts)
        return round(found + 2 * self.wide * rows * columns)

    def input_scale(self, tensors, name: str) -> float | None:
        return self.at(name).input_scale(tensors, name)


def of_layer(scheme: Scheme, name: str) -> Scheme:
    """The scheme of a layer of a checkpoint."""
    return scheme.at(name) if isinstance(scheme, Mixed) else scheme


def in_model(scheme: Scheme, facts: ModelFacts) -> Scheme:
    """The scheme as it is in a model, where several have shares of its weights."""
    return scheme.in_model(facts) if isinstance(scheme, Mixed) else scheme


def effective_bits(scheme: Scheme) -> float:
    """Bits of a weight on average over a model's linear layers."""
    return scheme.effective_bits if isinstance(scheme, Mixed) else scheme.bits
