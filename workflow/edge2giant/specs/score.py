"""What the job that scores one cell gets to know."""

from dataclasses import dataclass, field
from typing import Literal

from edge2giant.records.units import UnitName
from edge2giant.specs.variant import Variant

Aggregation = Literal["single", "size_weighted", "mean"]


@dataclass(frozen=True)
class LmEvalMetric:
    """A metric of lm-eval and the filter of answers that it is computed on."""

    name: str
    filter: str


@dataclass(frozen=True)
class Grouping:
    """Which questions belong together, because they share a passage, a story or a source.

    Parameters
    ----------
    fields : tuple of str
        Fields of lm-eval's document; questions with the same values, in whatever order, are one group.
    pattern : str or None
        Regular expression whose first group stands for a field's value; a question that it does not match is alone.
    tasks : tuple of str
        Tasks that it holds for; every task of the benchmark where there are none.
    """

    fields: tuple[str, ...]
    pattern: str | None = None
    tasks: tuple[str, ...] = ()


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
    chance : float or None
        Mean of guessing on the metric's own scale, where the numbers of choices do not give it.
    also : tuple of LmEvalMetric
        Shown among the parts, and in no score.
    unit : str
        See `records.units`.
    lower_is_better : bool
    divergence : bool
        Whether the score is the divergence from the unquantized model, and not of lm-eval's tasks.
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
    groupings: tuple[Grouping, ...] = ()
    chance: float | None = None
    also: tuple[LmEvalMetric, ...] = ()
    unit: UnitName = "percent"
    lower_is_better: bool = False
    divergence: bool = False


@dataclass(frozen=True)
class StatisticsSpec:
    """What the statistics of a study get to know.

    Parameters
    ----------
    suites : dict of str to tuple of str
        Suite with an average to the study's benchmarks in it; the averages are compared where all of them are.
    repeats : dict of str to str
        Study that repeats a part of this one to its name there.
    """

    study: str
    suites: dict[str, tuple[str, ...]]
    repeats: dict[str, str] = field(default_factory=dict)
