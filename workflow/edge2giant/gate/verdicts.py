"""What a policy says of each variant."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge2giant.gate.answers import loops
from edge2giant.specs.gate import GateSpec, Limits, LossLimit
from edge2giant.specs.variant import Variant
from edge2giant.stats import LEVEL, procedures

PASS, WARN, INCONCLUSIVE, BLOCK = ORDER = ("pass", "warn", "inconclusive", "block")
# The most that one changed unit of n moves a score by, times n: guessing one of two options counts as 0.
MOST_POINTS = 200


@dataclass(frozen=True)
class Check:
    """One limit and what was found.

    Parameters
    ----------
    name : str
        Row of the statistics, or `divergence`, `loops`, `length`.
    value : float or None
        Loss, divergence, rise of the share of loops, or relative length; None where it was not measured.
    low, high : float or None
        Between which the loss lies, each with the confidence of the limit.
    """

    name: str
    verdict: str
    why: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Judged:
    """All checks of a variant; its verdict is the worst of theirs."""

    variant: Variant
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        return max((one.verdict for one in self.checks), key=ORDER.index, default=INCONCLUSIVE)


def judge(spec: GateSpec, variant: Variant, rows: Mapping[str, dict], answers: Mapping[str, tuple[dict, dict]]) -> Judged:
    """Judge a variant.

    Parameters
    ----------
    rows : mapping
        Its rows of `statistics.json`, by benchmark or `<suite>/average`.
    answers : mapping
        Written answers of the unquantized model and of the variant by question, for each benchmark that both have.
    """
    checks = [check_loss(name, limit, rows.get(name), name in spec.lower_is_better) for name, limit in spec.losses.items()]
    measured = {"divergence": rows.get(spec.divergence, {}).get("score_b"), **_of_answers(answers)}
    checks += [check_wire(name, limits, measured[name]) for name, limits in spec.trip_wires.items()]
    return Judged(variant, tuple(one for one in checks if one))


def _of_answers(answers: Mapping[str, tuple[dict, dict]]) -> dict[str, float | None]:
    """Rise of the share of loops, and relative length, over the questions of all benchmarks."""
    pairs = [(a[key], b[key]) for a, b in answers.values() for key in sorted(a.keys() & b.keys())]
    if not pairs:
        return {"loops": None, "length": None}
    lengths = [sum(len(pair[side]) for pair in pairs) for side in (0, 1)]
    rise = sum(loops(b) - loops(a) for a, b in pairs) / len(pairs)
    return {"loops": rise, "length": lengths[1] / lengths[0] if lengths[0] else None}


def check_loss(name: str, limit: LossLimit, row: dict | None, lower_is_better: bool) -> Check | None:
    """Hold a loss to its limit: block or pass only where the data show it; None where it is optional and was not measured."""
    if row is None or row["error"] is None:
        missing = "was not measured" if row is None else "its spread is unknown"
        return None if row is None and limit.optional else Check(name, INCONCLUSIVE, missing)
    sign = 1 if lower_is_better else -1
    loss, half = sign * row["unclipped"] + 0.0, _half(row, limit.confidence)
    low, high = loss - half, loss + half
    said = f"loss {loss:.2f} ({low:.2f} to {high:.2f}), limit {limit.largest:g}"
    if low > limit.largest:
        return Check(name, BLOCK, said, loss, low, high)
    if high > limit.largest:
        return Check(name, INCONCLUSIVE, f"{said}: not enough questions to tell", loss, low, high)
    if loss > 0 and row["p_holm"] is not None and row["p_holm"] < LEVEL:
        return Check(name, WARN, f"{said}: within it, and significant", loss, low, high)
    return Check(name, PASS, said, loss, low, high)


def _half(row: dict, confidence: float) -> float:
    """Half the width of an interval, of which each end holds with the confidence.

    Where no unit changed: as much as the share of changed units could be and still, with that confidence, show none.
    """
    if row["error"] == 0:
        return MOST_POINTS * (1 - (1 - confidence) ** (1 / row["clusters"]))
    freedom = float("inf") if row["freedom"] is None else row["freedom"]
    return procedures.quantile(freedom, confidence) * row["error"]


def check_wire(name: str, limits: Limits, value: float | None) -> Check | None:
    """Hold a measure to its limits; None where it is optional and was not measured."""
    if value is None:
        return None if limits.optional else Check(name, INCONCLUSIVE, "was not measured")
    for verdict, limit in ((BLOCK, limits.block), (WARN, limits.warn)):
        if limit is not None and value > limit:
            return Check(name, verdict, f"{name} {value:.4g} is above {limit:g}", value)
    return Check(name, PASS, f"{name} {value:.4g}", value)
