"""What the job that scores one cell gets to know."""

from dataclasses import dataclass
from typing import Literal

from edge2giant.specs.variant import Variant

Aggregation = Literal["single", "size_weighted", "mean"]


@dataclass(frozen=True)
class LmEvalMetric:
    """A metric of lm-eval and the filter of answers that it is computed on."""

    name: str
    filter: str


@dataclass(frozen=True)
class PrintedScore:
    """What the paper prints for a cell: the digits as they are, and the table."""

    value: str
    place: str


@dataclass(frozen=True)
class ScoreSpec:
    """Everything in the configuration that turns answers into the score of a cell.

    Parameters
    ----------
    judged : bool
        Whether a judge rates the answers.
    toolkit : str
        That makes the checkpoint; `none` for the unquantized model.
    tasks : dict of str to int or None
        lm-eval task to its number of answer choices; None where there is no chance level.
    metrics : tuple of LmEvalMetric
        Several are averaged.
    normalise : bool
        Whether chance is 0 and perfect is 100.
    clip : bool
        Whether a normalised score below chance counts as 0.
    """

    study: str
    variant: Variant
    benchmark: str
    suite: str
    judged: bool
    toolkit: str
    protocol: str
    stack: str
    tasks: dict[str, int | None]
    metrics: tuple[LmEvalMetric, ...]
    aggregation: Aggregation
    normalise: bool
    clip: bool
    printed: PrintedScore | None


@dataclass(frozen=True)
class StatisticsSpec:
    """What the statistics of a study get to know.

    Parameters
    ----------
    suites : dict of str to tuple of str
        Suite with an average to the study's benchmarks in it; the averages are compared where all of them are.
    """

    study: str
    suites: dict[str, tuple[str, ...]]
