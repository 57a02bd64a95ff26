"""Layers of different schemes in one checkpoint, told apart by patterns of their names.

compressed-tensors writes several `config_groups`, whose `targets` mean layers: by a whole name, by `re:` and a regular expression
that matches from the start of a name, or by a class of modules, here `Linear`. A name goes before a class.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Self

from edge2giant.models.facts import ModelFacts
from edge2giant.schemes.limits import Limit
from edge2giant.schemes.scheme import Scheme
from edge2giant.schemes.unquantized import SixteenBits

CLASS = "Linear"


def means(patterns: tuple[str, ...], name: str) -> bool:
    """Whether a whole name, or `re:` and a regular expression that matches from the start, means a layer."""
    return any(re.match(one[3:], name) if one.startswith("re:") else one == name for one in patterns)


@dataclass(frozen=True)
class SchemeOfLayers:
    """Layers that targets mean, and their scheme; `share` of a model's weights is in them (see `Mixed.in_model`)."""

    targets: tuple[str, ...]
    scheme: Scheme
    share: float = field(default=0.0, compare=False)

    def means(self, name: str) -> bool:
        return CLASS in self.targets or means(self.targets, name)


@dataclass(frozen=True)
class Mixed(Scheme):
    """Several schemes, or one beside layers in 16 bits; bits, group size, activations are the narrowest, largest, narrowest."""

    parts: tuple[SchemeOfLayers, ...] = ()
    left_out: tuple[str, ...] = ()

    @classmethod
    def of_parts(cls, parts: list[SchemeOfLayers]) -> Self:
        parts = tuple(sorted(parts, key=lambda part: CLASS in part.targets))
        schemes = [part.scheme for part in parts]
        return cls(
            schemes[0].format,
            min(one.bits for one in schemes),
            max(one.group_size for one in schemes),
            all(one.symmetric for one in schemes),
            min(one.activation_bits for one in schemes),
            any(one.static_activations for one in schemes),
            any(one.desc_act for one in schemes),
            parts,
        )

    def in_model(self, facts: ModelFacts, left_out: tuple[str, ...]) -> Self:
        whole, weights = replace(self, left_out=left_out), dict.fromkeys(self.parts, 0.0)
        layers = list(facts.layer_names())
        alike = Counter(kind for kind, _ in layers)
        for kind, name in layers:
            if part := whole._part(name):
                weights[part] += kind.weights / alike[kind]
        shares = (replace(part, share=weights[part] / facts.linear_weights) for part in self.parts)
        return replace(whole, parts=tuple(shares))

    def _part(self, name: str) -> SchemeOfLayers | None:
        """The part that means a layer; None for one in 16 bits."""
        return None if means(self.left_out, name) else next((part for part in self.parts if part.means(name)), None)

    @property
    def _kinds(self) -> tuple[Scheme, ...]:
        return tuple(part.scheme for part in self.parts)

    def at(self, name: str) -> Scheme:
        part = self._part(name)
        return part.scheme if part else SixteenBits()

    @property
    def _wide(self) -> float:
        """Share of the weights that no part means."""
        return max(0.0, 1 - sum(part.share for part in self.parts))

    @property
    def effective_bits(self) -> float:
        return round(sum(part.share * part.scheme.bits for part in self.parts) + 16 * self._wide, 2)

    @property
    def label(self) -> str:
        several = " and ".join(dict.fromkeys(one.label for one in self._kinds))
        return f"{several}: {self.effective_bits:.1f} bits a weight" if self._wide < 1 else several

    @property
    def falls_back(self) -> bool:
        return all(one.falls_back for one in self._kinds)

    @property
    def native(self) -> tuple[int, int]:
        return max(one.native for one in self._kinds)

    @property
    def least(self) -> tuple[int, int]:
        return max(one.least for one in self._kinds)

    @property
    def block(self) -> tuple[int, int]:
        blocks = [one.block for one in self._kinds]
        return max(rows for rows, _ in blocks), max(columns for _, columns in blocks)

    @property
    def loads_in(self) -> str | None:
        return next((one.loads_in for one in self._kinds if one.loads_in), None)

    @property
    def stays_float32(self) -> tuple[str, ...]:
        return tuple(end for one in self._kinds for end in one.stays_float32)

    @property
    def least_levels(self) -> int:
        return min(one.least_levels for one in self._kinds)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Those of the parts, each of which applies where it applies to its part."""
        return tuple(
            replace(limit, applies=lambda _, device, limit=limit, scheme=scheme: limit.applies(scheme, device))
            for scheme in self._kinds
            for limit in scheme.limits
        )

    def bytes(self, rows: int, columns: int) -> int:
        """Bytes of a layer on average over the model's layers."""
        found = sum(part.share * part.scheme.bytes(rows, columns) for part in self.parts)
        return round(found + 2 * self._wide * rows * columns)

    def input_scale(self, tensors, name: str) -> float | None:
        return self.at(name).input_scale(tensors, name)


def in_model(scheme: Scheme, facts: ModelFacts, left_out: tuple[str, ...] = ()) -> Scheme:
    """The scheme as it is in a model, where several have shares of its weights, or patterns leave some layers in 16 bits."""
    if not isinstance(scheme, Mixed):
        if scheme.bits == SixteenBits().bits or not _any_of(left_out, facts):
            return scheme
        scheme = Mixed.of_parts([SchemeOfLayers((CLASS,), scheme)])
    return scheme.in_model(facts, left_out)


@cache
def _any_of(patterns: tuple[str, ...], facts: ModelFacts) -> bool:
    """Whether patterns mean a linear layer of a model; a plan asks for each of its variants."""
    return any(means(patterns, name) for _, name in facts.layer_names())
