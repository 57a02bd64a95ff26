"""Compare an engine's log-probabilities of the held-out text with those of a checkpoint's weights.

Reads `validation.json`; standard library only, since engines' environments differ.

An engine may compute what an *exact* reference computes: the stored weights with nothing rounded, or, in transformers, with the
inputs rounded as compressed-tensors does. Then a fixed limit by type holds. An engine that rounds activations in another order or
another precision cannot meet it; its values are compared with the scatter of the checkpoint's own draws (see `rounding`):

- *distance*: the mean distance from the mean of the draws is at most `SPREADS` times the spread of the draws;
- *misreadings*: along the move that each known misreading causes, the engine lies less than half way. The fraction is the
  least-squares one, <found - mean, move> / <move, move>: 0 for a right reading, 1 for the misreading, with a standard error of
  (root mean square of found - mean) / (norm of the move). Rounding noise has no reason to point along a move, so this sees
  what is far smaller than the noise of a single token. A misreading whose standard error is above `RESOLUTION` is left undecided.
"""

import math

LIMITS = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 1e-1}
"""Mean difference in nats by the engine's type, where nothing is rounded."""
SPREADS = 1.5
HALF_WAY = 0.5
RESOLUTION = 0.1
NEAR = 0.5
"""Nearer to an exact reference than this part of the spread, an engine computes what that reference computes."""
DRAWN = "mean of the draws"
ROUNDED = "weights, inputs rounded as by transformers"


def judge(found: list[list[float]], reference: dict, dtype: str, same_arithmetic: bool = True) -> dict:
    """Compare an engine's log-probabilities with a checkpoint's reference.

    Parameters
    ----------
    found : list of list of float
        Of every token but the first of each held-out text, natural logarithm. A reference may be of the first texts alone.
    reference : dict
        `exact` (rows by name) and `rounding` (None where activations are not rounded), as in `validation.json`.
    dtype : str
        Type in which the engine computes.
    same_arithmetic : bool
        Whether an engine that rounds as transformers does has the last bits of the reference too. It has on a CPU; on a GPU some
        inputs fall on the next code, and the reference counts as one more draw.

    Returns
    -------
    dict
        reference (the one that applies), mean and largest difference from it, limit, passed, and misreadings (name, fraction,
        error, decided).
    """
    rounding = reference["rounding"]
    distances = {name: difference(beside(found, rows), flat(rows)) for name, rows in reference["exact"].items()}
    values = beside(found, rounding["unrounded"]) if rounding else []
    name = min(distances, key=lambda name: distances[name][0])
    near = rounding is None or distances[name][0] < NEAR * rounding["spread"][dtype]
    limit = rounding and SPREADS * rounding["spread"][dtype]
    if near or not rounds(values, rounding):
        if name != ROUNDED or same_arithmetic:
            return verdict(name, distances[name], LIMITS[dtype], [])
        wanted = beside(reference["exact"][name], rounding["unrounded"])
        return verdict(name, distances[name], limit, misreadings(values, wanted, rounding))
    wanted = middle(rounding)
    return verdict(DRAWN, difference(values, wanted), limit, misreadings(values, wanted, rounding))


def verdict(reference: str, distances: tuple[float, float], limit: float, lines: list[dict]) -> dict:
    """Assemble what `judge` returns."""
    return {
        "reference": reference,
        "logprob_difference_mean": distances[0],
        "logprob_difference_largest": distances[1],
        "limit": limit,
        "misreadings": lines,
        "passed": distances[0] <= limit and not any(map(wrong, lines)),
    }


def wrong(line: dict) -> bool:
    """Say whether a misreading is nearer than the right reading."""
    return line["decided"] and abs(line["fraction"]) > HALF_WAY


def rounds(values: list[float], rounding: dict) -> bool:
    """Say whether the values are nearer to rounded inputs than to inputs left alone.

    Each half of the draws gives one of the two means below: one mean in both places would correlate with itself.
    """
    (one, other), unrounded = map(flat, rounding["means"]), flat(rounding["unrounded"])
    move = subtract(unrounded, other)
    size = dot(subtract(unrounded, one), move)
    return size <= 0 or dot(subtract(values, one), move) / size <= HALF_WAY


def misreadings(values: list[float], wanted: list[float], rounding: dict) -> list[dict]:
    """Fraction of the way from a right reading towards each misreading."""
    rest = subtract(values, wanted)
    noise = math.sqrt(dot(rest, rest) / len(rest))
    return [line(name, rest, flat(rows), noise) for name, rows in rounding["moves"].items()]


def line(name: str, rest: list[float], move: list[float], noise: float) -> dict:
    """Fraction of the way towards one misreading, its standard error, and whether that is small enough to decide."""
    size = math.sqrt(dot(move, move))
    if size == 0:
        return {"name": name, "fraction": None, "error": None, "decided": False}
    fraction, error = dot(rest, move) / size**2, noise / size
    return {"name": name, "fraction": fraction, "error": error, "decided": error <= RESOLUTION}


def summary(rounding: dict) -> dict:
    """What `checkpoint.json` says of the draws: spread, limits, and which misreadings an engine's values would show."""
    one, other = map(flat, rounding["means"])
    noise = math.sqrt(dot(subtract(one, other), subtract(one, other)) / len(one)) * math.sqrt(rounding["draws"]) / 2
    return {
        "draws": rounding["draws"],
        "spread": rounding["spread"],
        "limit": {dtype: SPREADS * spread for dtype, spread in rounding["spread"].items()},
        "misreadings": [
            line(name, one, flat(rows), noise) | {"fraction": None, "moves": math.sqrt(dot(flat(rows), flat(rows)) / len(one))}
            for name, rows in rounding["moves"].items()
        ],
    }


def middle(rounding: dict) -> list[float]:
    """Mean of all draws."""
    one, other = map(flat, rounding["means"])
    return [(x + y) / 2 for x, y in zip(one, other, strict=True)]


def difference(a: list[float], b: list[float]) -> tuple[float, float]:
    """Mean and largest absolute difference."""
    gaps = [abs(gap) if math.isfinite(gap) else math.inf for gap in subtract(a, b)]
    return sum(gaps) / len(gaps), max(gaps)


def beside(found: list[list[float]], rows: list[list[float]]) -> list[float]:
    """What was found of the tokens of a reference, which may be of the first texts, or the start of the first, alone."""
    return [value for row, theirs in zip(found, rows, strict=False) for value in row[: len(theirs)]]


def flat(rows: list[list[float]]) -> list[float]:
    return [value for row in rows for value in row]


def subtract(a: list[float], b: list[float]) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
