"""How answers become a score: means, their standard errors, subtasks, and the normalisation of the Open LLM Leaderboard v2.

Scores and statistics use the same functions, on numpy arrays. Sources: huggingface/leaderboards (normalization.md), Appendix D.2
of the paper, and lm-eval's own aggregation (`mean_stderr`, `pooled_sample_stderr`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge2giant.errors import UserError


@dataclass(frozen=True)
class Estimate:
    """A mean of document values and its standard error.

    Attributes
    ----------
    stderr : float or None
        None where one document alone gives no error.
    n : int
        Documents.
    """

    value: float
    stderr: float | None
    n: int


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """Mean of `values` (shape (n,)) weighted by `weights` (shape (n,)), its error linearised as that of a ratio.

    With equal weights this is the plain mean and `mean_stderr` of lm-eval.
    """
    mean = float(np.sum(weights * values) / np.sum(weights))
    return Estimate(mean, spread(influence(values, weights)), len(values))


def influence(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How much each document moves the weighted mean, shape (n,)."""
    mean = np.sum(weights * values) / np.sum(weights)
    return weights * (values - mean) / np.sum(weights)


def spread(influences: np.ndarray) -> float | None:
    """Standard error of a mean whose documents have these influences."""
    n = len(influences)
    return float(np.sqrt(n / (n - 1) * np.sum(influences**2))) if n > 1 else None


def mean_of_metrics(columns: list[tuple[np.ndarray, np.ndarray]]) -> Estimate:
    """Plain mean of several metrics of the same documents (IFEval: prompt and instruction level).

    Parameters
    ----------
    columns : list of (values, weights)
        Aligned by document, each of shape (n,).
    """
    means = [weighted_mean(values, weights).value for values, weights in columns]
    joint = np.mean([influence(values, weights) for values, weights in columns], axis=0)
    return Estimate(float(np.mean(means)), spread(joint), len(joint))


@dataclass(frozen=True)
class Aggregation:
    """How the subtasks of a benchmark become its score; works on one mean of each subtask and on arrays of resampled means.

    Parameters
    ----------
    macro : bool
        Mean of the subtasks, each normalised first; otherwise one mean over all questions, normalised after.
    chances : dict of str to float
        Chance level of each subtask; 0 where nothing is subtracted.
    scale : float
        100 for scores in points, 1 for ratings.
    clip : bool
        Whether a normalised score below 0 counts as 0.
    exponential : bool
        Whether the score is e to the mean: a perplexity of a mean in nats. Tests of differences are on the mean.

    Raises
    ------
    UserError
        If subtasks of different chance levels are to be pooled.
    """

    macro: bool
    chances: Mapping[str, float]
    scale: float = 100.0
    clip: bool = False
    exponential: bool = False

    def __post_init__(self):
        if not self.macro and len(set(self.chances.values())) > 1:
            raise UserError("subtasks of different chance levels need `aggregation: mean`", "config/benchmarks.yaml")
        if self.macro and self.exponential:
            raise UserError("a perplexity is of all its text and has no `aggregation: mean`", "config/benchmarks.yaml")

    @property
    def ratings(self) -> bool:
        return self.scale == 1.0

    def stretch(self, task: str) -> float:
        """Points of the normalised score per unit of a subtask's mean."""
        return self.scale / (1 - self.chances[task])

    def slope(self, mean: float) -> float:
        """Change of the score with a mean, beside `stretch`: of a perplexity itself, else 1."""
        return float(np.exp(mean)) if self.exponential else 1.0

    def normalised(self, task: str, mean: np.ndarray | float, clip: bool) -> np.ndarray | float:
        """Put a mean in 0..1 on the scale where chance is 0 and perfect is `scale`; of nats, give the perplexity."""
        if self.exponential:
            return np.exp(mean)
        score = (mean - self.chances[task]) * self.stretch(task)
        return np.maximum(score, 0.0) if clip else score

    def score(self, means: Mapping[str, np.ndarray], sizes: Mapping[str, float], clip: bool | None = None) -> np.ndarray:
        """Return the score.

        Parameters
        ----------
        means : mapping of str to float or ndarray
            Mean of each subtask: one number, or one for each resample.
        sizes : mapping of str to float
            Questions of each subtask.
        clip : bool, optional
            Replaces the aggregation's own.
        """
        clip = self.clip if clip is None else clip
        if self.macro:
            return np.mean([self.normalised(task, mean, clip) for task, mean in means.items()], axis=0)
        first, *others = means
        whole = means[first]
        if others:
            total = np.sum([float(sizes[task]) for task in means])
            whole = np.sum([sizes[task] * mean for task, mean in means.items()], axis=0) / total
        return self.normalised(first, whole, clip)

    def weight(self, task: str, sizes: Mapping[str, float]) -> float:
        """Points of the unclipped score per unit of a subtask's mean."""
        share = 1 / len(sizes) if self.macro else sizes[task] / sum(sizes.values())
        return share * self.stretch(task)

    def estimate(self, tasks: Mapping[str, Estimate]) -> Estimate:
        """The score of a benchmark with its standard error; subtasks are independent of each other."""
        value = float(self.score({task: one.value for task, one in tasks.items()}, {task: one.n for task, one in tasks.items()}))
        if self.macro:
            errors = [None if one.stderr is None else one.stderr * self.stretch(task) for task, one in tasks.items()]
            stderr = None if None in errors else float(np.sqrt(np.sum(np.square(errors))) / len(tasks))
        else:
            pooled = pooled_error(list(tasks.values()))
            stretch = value if self.exponential else self.stretch(next(iter(tasks)))
            stderr = None if pooled is None else pooled * stretch
        return Estimate(value, stderr, sum(one.n for one in tasks.values()))


def pooled_error(tasks: list[Estimate]) -> float | None:
    """lm-eval's pooled standard error of the mean over the questions of all subtasks."""
    if len(tasks) == 1:
        return tasks[0].stderr
    sizes = np.array([task.n for task in tasks], dtype=float)
    total = sizes.sum()
    if total <= len(tasks):
        return None
    variances = np.array([0.0 if task.stderr is None else task.stderr**2 * task.n for task in tasks])
    pooled = np.sum((sizes - 1) * variances) / (total - len(tasks))
    return float(np.sqrt(pooled / total))
