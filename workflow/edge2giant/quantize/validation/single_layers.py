"""Check (b): every quantized layer by itself, its weight and what it computes on the source's inputs."""

import math
from dataclasses import dataclass

from edge2giant.quantize.validation import layers, likeness
from edge2giant.quantize.validation.checks import Checks, rounded
from edge2giant.quantize.validation.stored import Weights
from edge2giant.records.checkpoint import Extreme

GAIN = {4: 0.015, 8: 0.005}
"""How far the gain may be from 1 or from that of round-to-nearest, whichever is nearer, by the bits of a weight.

Of AutoAWQ's weights also from the squared cosine, the gain at which a scale has the least squared error: clipping shrinks them.
"""
GAIN_OF_CLIPPED = 0.03
"""The same of AutoAWQ's weights; right ones of tiny models were 0.0212 off."""
COSINE = 0.9
CHANNEL = 0.5
GROUP = 0.5
MOST_TIMES_NEAREST = 2.0
LEAST_ERROR = 1e-4
"""Relative error of outputs below which no ratio is taken."""


@dataclass(frozen=True)
class Measured:
    """One layer.

    Parameters
    ----------
    clipped : bool
        Whether its toolkit searches a smaller range than that of the weights.
    gain, nearest_gain, cosine, group : float
        Of its weight, see `likeness.Likeness`.
    channel : float
        Of each output channel the higher of two cosines, that of its weights and that of what it gives on the source's inputs;
        the lowest of the channels. GPTQ may change weights much that hardly matter. Outputs of different channels may be alike,
        so those of a channel count only where its weights are most like its own of the source.
    output : float
        Error of its outputs on the source's inputs, times that of round-to-nearest.
    """

    name: str
    bits: int
    clipped: bool
    gain: float
    nearest_gain: float
    cosine: float
    channel: float
    group: float
    output: float

    @property
    def gain_error(self) -> float:
        allowed = (1, self.nearest_gain, *([self.cosine**2] if self.clipped else []))
        return min(abs(self.gain - one) for one in allowed)

    @property
    def gain_limit(self) -> float:
        return GAIN_OF_CLIPPED if self.clipped else GAIN[4 if self.bits < 8 else 8]

    @property
    def off(self) -> float:
        """The gain's error in units of its limit."""
        return self.gain_error / self.gain_limit


def measure(weights: Weights, inputs: dict) -> list[Measured]:
    """Measure every quantized layer, the layers of a decoder block together."""
    numbers = {}
    for name in weights.quantized:
        numbers.setdefault(layers.block_number(name, weights.blocks), []).append(name)
    found = []
    for names in numbers.values():
        moved = [name for name in names if name in weights.moved]
        scales = likeness.fit(weights, {n: weights.found(n) for n in moved}, {n: weights.wanted(n) for n in moved})
        found += [one_layer(weights, name, inputs.get(name), scales.get(name)) for name in names]
    return found


def one_layer(weights: Weights, name: str, inputs, scales) -> Measured:
    """Measure one layer; `scales` are those that its rows and columns were given, None where nothing was moved."""
    found, wanted, nearest, layer = weights.found(name), weights.wanted(name), weights.nearest(name), weights.layer(name)
    rows, columns = scales or (None, None)
    expected = wanted if scales is None else rows[:, None] * wanted * columns
    like = likeness.compare(found, expected, layer)
    by_nearest = likeness.compare(nearest, wanted, layer)
    scheme = weights.scheme(name)
    if inputs is None:
        back = found if scales is None else found / rows[:, None] / columns
        made, best, right = back, nearest, wanted
    else:
        made = (
            _rounded(scheme, inputs if scales is None else inputs / columns, scheme.input_scale(weights.stored, name)) @ found.T
        )
        made = made if scales is None else made / rows
        best = _rounded(scheme, inputs, None) @ nearest.T
        right = inputs @ wanted.T
    by_outputs = likeness.cosines(*((one * two).sum(0).double() for one, two in ((made, right), (right, right), (made, made))))
    own = likeness.most_like_own(found, expected, like.channels < CHANNEL)
    channel = float((by_outputs.where(own, like.channels).maximum(like.channels) if inputs is not None else like.channels).min())
    size = float(right.norm().clamp_min(1e-30))
    errors = [float((one - right).norm()) / size for one in (made, best)]
    output = errors[0] / max(errors[1], LEAST_ERROR)
    clipped = scheme.format == "awq"
    return Measured(name, scheme.bits, clipped, like.gain, by_nearest.gain, like.cosine, channel, like.group, output)


def _rounded(scheme, inputs, stored):
    return scheme.round_inputs(inputs, stored, "transformers") if scheme.rounds_activations else inputs


KINDS = {
    "gain": "error of the gain of {0.name} on the source's weight",
    "output": "error of the outputs of {0.name}, times that of round-to-nearest",
    "cosine": "cosine of {0.name} with the source's weight",
    "channel": "lowest cosine of an output channel of {0.name}",
    "group": "lowest cosine of a group of {0.name}",
}


def worst(measured: list[Measured]) -> dict[str, Measured]:
    """By kind the layer that is nearest to its limit or farthest beyond."""

    def badness(kind: str):
        def of(one: Measured) -> float:
            value = {"gain": one.off}.get(kind, getattr(one, kind)) * (1 if kind in ("gain", "output") else -1)
            return value if math.isfinite(value) else math.inf

        return of

    return {kind: max(measured, key=badness(kind)) for kind in KINDS}


def check(measured: list[Measured], checks: Checks) -> dict[str, Extreme]:
    """Hold the worst layer of each kind to its limit; what the record says of them."""
    found, lows = worst(measured), {"cosine": COSINE, "channel": CHANNEL, "group": GROUP}
    for kind, one in found.items():
        name = KINDS[kind].format(one)
        if kind == "gain":
            checks.below(name, one.gain_error, one.gain_limit)
        elif kind == "output":
            checks.below(name, one.output, MOST_TIMES_NEAREST)
        else:
            checks.above(name, getattr(one, kind), lows[kind])
    return {kind: Extreme(rounded(getattr(one, kind)) or 0.0, one.name) for kind, one in found.items()}
