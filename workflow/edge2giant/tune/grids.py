"""How near weights lie to grids of 4 bits: their rounding error beside that of Gaussian weights.

Weights that were never on a grid round as badly as Gaussian weights of the same shape and deviation, or worse where they have
outliers. A smaller error says that they lie on or near the grid.
"""

from collections.abc import Callable, Iterator

from edge2giant.errors import UserError
from edge2giant.quantize import sizes
from edge2giant.quantize.tensors import Tensors
from edge2giant.records.checkpoint import Extreme
from edge2giant.schemes.integers import Integers
from edge2giant.schemes.mxfp4 import MXFP4
from edge2giant.schemes.nvfp4 import NVFP4
from edge2giant.schemes.scheme import COMPRESSED

LEAST = 0.9
"""Share of the error of Gaussian weights below which weights count as near a grid."""
INT4 = tuple(Integers(COMPRESSED, 4, size, symmetric=symmetric) for symmetric in (True, False) for size in (32, 64, 128))
SCHEMES = (*INT4, NVFP4(COMPRESSED, 4, 16), MXFP4(COMPRESSED, 4, 32))
RELEASE = "int4 in groups of 32 with a least value (Q4_1)"
"""The grid of the GGUF release, which no scheme of a checkpoint has: a least value in place of an integer zero point."""


def rounded(weight, bits: int, group_size: int):
    """A weight (torch, out x in) rounded to a least value and equal steps in each group, and the steps (out, groups, 1)."""
    groups = weight.float().reshape(len(weight), -1, group_size)
    low, high = groups.amin(2, keepdim=True), groups.amax(2, keepdim=True)
    step = ((high - low) / (2**bits - 1)).clamp_min(1e-30)
    return (((groups - low) / step).round() * step + low).reshape(weight.shape), step


def grids(columns: int) -> Iterator[tuple[str, Callable]]:
    """Name and rounding of each grid whose groups divide a number of input channels."""
    for scheme in SCHEMES:
        if columns % scheme.group_size == 0:
            yield scheme.label, scheme.nearest
    if columns % 32 == 0:
        yield RELEASE, lambda weight: rounded(weight, 4, 32)[0]


def error(nearest: Callable, weight) -> float:
    """Relative error that rounding makes: its norm over that of the weight."""
    return float((nearest(weight) - weight).norm() / weight.norm())


def nearness(folder) -> dict[str, Extreme]:
    """The linear layer of a model that is nearest to each grid: its error over that of Gaussian weights.

    Parameters
    ----------
    folder : path
        Model in safetensors.

    Returns
    -------
    dict of str to Extreme
        By grid; 1 says as far as chance, 0 says on the grid.
    """
    import torch

    tensors, found = Tensors(folder), {}
    for layer in sizes.linear_layers(tensors):
        weight = tensors.read(f"{layer}.weight").float()
        chance = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) * weight.std()
        for name, nearest in grids(weight.shape[1]):
            ratio = round(error(nearest, weight) / error(nearest, chance), 4)
            if name not in found or ratio < found[name].value:
                found[name] = Extreme(ratio, layer)
    return found


def refuse_near(found: dict[str, Extreme], where: object) -> None:
    """Refuse weights that lie nearer to a grid than chance allows.

    Raises
    ------
    UserError
        Naming the first grid and layer.
    """
    for name, one in found.items():
        if one.value < LEAST:
            what = f"{one.where} lies near the grid of {name}: {one.value} of the error of Gaussian weights, least {LEAST}"
            raise UserError(what, where, "raise `noise.share` of the tuned model in config/models.yaml")
