"""Units of scores: their range, how they are written, and how large a difference is."""

import math
from dataclasses import dataclass
from typing import Literal

UnitName = Literal["percent", "rating", "perplexity", "nats"]


@dataclass(frozen=True)
class Unit:
    """A unit of scores.

    Parameters
    ----------
    scale : str
        What a reader is told of the scale.
    difference : str
        What differences are counted in.
    least, most : float
        Range of a score; a normalised percentage below chance is negative.
    digits : int
        Decimals that are shown.
    points : float
        Percentage points that one unit is worth where differences are coloured.
    """

    scale: str
    difference: str
    least: float
    most: float
    digits: int = 2
    points: float = 1.0


UNITS: dict[str, Unit] = {
    "percent": Unit("0 to 100", "points", -100, 100),
    "rating": Unit("rating, 1 to 10", "rating points", -100, 100, points=10),
    "perplexity": Unit("perplexity, 1 or more; lower is better", "units of perplexity", 1, math.inf, points=10),
    # a sum of rounded products can fall short of 0
    "nats": Unit("nats per token, 0 or more; lower is better", "nats", -1e-3, math.inf, digits=4, points=100),
}
UNBOUNDED = frozenset(name for name, unit in UNITS.items() if unit.most == math.inf)
"""Units of perplexity and divergence."""
