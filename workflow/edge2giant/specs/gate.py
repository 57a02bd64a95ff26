"""What `snakemake gate` gets to know: a policy, written out for one study."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LossLimit:
    """The largest allowed loss in units of the score, and the confidence with which it must be kept."""

    largest: float
    confidence: float
    optional: bool


@dataclass(frozen=True)
class Limits:
    """Values from which a measure warns and blocks."""

    warn: float | None
    block: float | None
    optional: bool


@dataclass(frozen=True)
class GateSpec:
    """A policy for one study.

    Parameters
    ----------
    losses : dict of str to LossLimit
        By the benchmark of a row of the statistics, or `<suite>/average`.
    lower_is_better : tuple of str
        Benchmarks whose score rises with loss.
    divergence : str or None
        The study's benchmark of divergence.
    trip_wires : dict of str to Limits
        Of `divergence`, `loops` and `length`.
    fails : tuple of str
        Verdicts at which the command ends with an error.
    """

    study: str
    policy: str
    title: str
    losses: dict[str, LossLimit] = field(default_factory=dict)
    lower_is_better: tuple[str, ...] = ()
    divergence: str | None = None
    trip_wires: dict[str, Limits] = field(default_factory=dict)
    fails: tuple[str, ...] = ("block",)
