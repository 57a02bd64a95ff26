"""Scores of the Open LLM Leaderboards: means, their standard errors, subtasks, and the normalisation of version 2.

Pure functions on numpy arrays. Sources: huggingface/leaderboards (normalization.md), Appendix D.2 of the paper, and lm-eval's own
aggregation (`mean_stderr`, `pooled_sample_stderr`).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean of document values and its standard error.

    Attributes
    ----------
    value : float
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


def normalise(estimate: Estimate, chance: float, clip: bool) -> Estimate:
    """Rescale so that chance is 0 and perfect is 100; scores under chance become 0 where clipped."""
    scale = 100 / (1 - chance)
    value = (estimate.value - chance) * scale
    stderr = None if estimate.stderr is None else estimate.stderr * scale
    return Estimate(max(value, 0.0) if clip else value, stderr, estimate.n)


def percent(estimate: Estimate) -> Estimate:
    """From the scale 0..1 to 0..100."""
    return normalise(estimate, 0.0, clip=False)


def mean_of_tasks(tasks: list[Estimate]) -> Estimate:
    """Unweighted mean of subtasks; their errors are independent."""
    errors = [task.stderr for task in tasks]
    stderr = None if None in errors else float(np.sqrt(np.sum(np.square(errors))) / len(tasks))
    return Estimate(float(np.mean([task.value for task in tasks])), stderr, sum(task.n for task in tasks))


def size_weighted(tasks: list[Estimate]) -> Estimate:
    """Mean over the documents of all subtasks, with lm-eval's pooled standard error."""
    sizes = np.array([task.n for task in tasks], dtype=float)
    total = sizes.sum()
    value = float(np.sum(sizes * [task.value for task in tasks]) / total)
    if total <= len(tasks):
        return Estimate(value, None, int(total))
    variances = np.array([0.0 if task.stderr is None else task.stderr**2 * task.n for task in tasks])
    pooled = np.sum((sizes - 1) * variances) / (total - len(tasks))
    return Estimate(value, float(np.sqrt(pooled / total)), int(total))
