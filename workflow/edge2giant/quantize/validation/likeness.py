"""How like its source's one quantized weight is: gain and cosine of all of it, of output channels and of groups."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge2giant.schemes.scheme import Layer, by_neighbours

if TYPE_CHECKING:
    import torch

COLUMNS = 64
"""Input channels that are compared together where a scheme has one scale for all of them."""
SWEEPS = 3
NEGLIGIBLE = 1e-6
"""A channel or group with less than this part of the mean square of a layer's is not compared: rounding may lose it."""


@dataclass(frozen=True)
class Likeness:
    """Least-squares gain <Q, W> / <W, W> and cosines of a stored weight Q with the source's W: all, by channel, lowest group."""

    gain: float
    cosine: float
    channels: "torch.Tensor"
    group: float


def compare(found, wanted, layer: Layer) -> Likeness:
    """Compare two weights (torch, out x in); the groups are those of the layer."""
    import torch

    product, square, own = found * wanted, wanted * wanted, found * found
    numbers = layer.group if layer.scale.shape[1] > 1 else by_neighbours(wanted.shape[1], max(1, wanted.shape[1] // COLUMNS))
    group = torch.from_numpy(numbers).long()

    def grouped(values):
        return torch.zeros(int(group.max()) + 1, dtype=torch.float64).index_add_(0, group, values.sum(0, dtype=torch.float64))

    sums = [one.sum(dtype=torch.float64) for one in (product, square, own)]
    return Likeness(
        float(sums[0] / sums[1]),
        float(cosines(*(one[None] for one in sums)).min()),
        cosines(*(one.sum(1, dtype=torch.float64) for one in (product, square, own))),
        float(cosines(*map(grouped, (product, square, own))).min()),
    )


def cosines(product, square, own):
    """Cosines from sums of products and squares; 1 where the source has next to nothing."""
    import torch

    little = square <= NEGLIGIBLE * square.mean()
    found = product / (square * own).clamp_min(1e-300).sqrt()
    return torch.where(little, 1.0, found)


def most_like_own(found, wanted, which):
    """Say of some output channels (torch, bool) whether no other channel of the source is more like them; of the rest, yes."""
    import torch

    numbers = which.nonzero()[:, 0].to(found.device)
    unit = torch.nn.functional.normalize
    nearest = (unit(found[numbers], dim=1) @ unit(wanted, dim=1).T).argmax(1) if len(numbers) else numbers
    own = torch.ones(len(found), dtype=torch.bool)
    own[numbers] = nearest == numbers
    return own


def fit(weights, found: dict, wanted: dict) -> dict:
    """Fit the scales that were moved between layers: (rows, columns) by layer, such that found is about rows * wanted * columns.

    The layers that take the scales of a norm share those of their input channels, which its own weight says; where it says none,
    they are fitted to those layers whose outputs were not scaled too. A linear smooth layer has scales of its output channels,
    which the layer that takes them up must have undone.
    """
    import torch

    rows = {name: torch.ones(len(one)) for name, one in wanted.items()}
    columns = {name: torch.ones(one.shape[1]) for name, one in wanted.items()}
    for _ in range(SWEEPS):
        for mapping in weights.smoothed:
            taking = [name for name in mapping.balance_layers if name in wanted]
            given = rows.get(mapping.smooth_layer) if mapping.smooth_layer not in taking else None
            if taking and given is not None and len(given) == len(columns[taking[0]]):
                columns |= dict.fromkeys(taking, 1 / given)
            elif taking:
                plain = [name for name in taking if name not in weights.smooth_layers] or taking
                scaled = {name: wanted[name] * rows[name][:, None] for name in plain}
                sums = (sum((one[name] * scaled[name]).sum(0) for name in plain) for one in (found, scaled))
                columns |= dict.fromkeys(taking, given_by_norm(weights, mapping.smooth_layer, ratio(*sums)))
        for name in weights.smooth_layers & wanted.keys():
            scaled = wanted[name] * columns[name]
            rows[name] = ratio((found[name] * scaled).sum(1), (scaled**2).sum(1))
    return {name: (rows[name], columns[name]) for name in wanted}


def given_by_norm(weights, norm: str, fitted):
    """The scales that a norm gave by its stored weight, read with one added or not: whichever is nearer to the fitted ones.

    The fitted ones themselves where it has no such weight.
    """
    stored = f"{norm}.weight"
    if stored not in weights.source or stored not in weights.stored or weights.source.shape(stored) != tuple(fitted.shape):
        return fitted
    was, now = (one.read(stored).float() for one in (weights.source, weights.stored))
    readings = [(was + one) / (now + one) for one in (0.0, 1.0)]
    usable = [one.where(one.isfinite() & (one.abs() > 1e-12), fitted) for one in readings]
    return min(usable, key=lambda one: float((one / fitted).abs().log().abs().median()))


def ratio(product, square):
    """Least-squares scales; 1 where there is nothing to fit."""
    import torch

    found = product / square.clamp_min(1e-30)
    return torch.where((square > 1e-30) & (found.abs() > 1e-12) & found.isfinite(), found, 1.0)
