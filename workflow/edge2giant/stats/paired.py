"""One pair of evaluations: difference, interval, test, flips, agreement, recovery.

Which interval and which test:

- one 0/1 metric, independent questions, one mean over them: paired t interval (scipy ``ttest_rel``) and exact
  McNemar test (statsmodels);
- everything else (MC2, IFEval's mean of two metrics, means of subtasks, ratings, clustered or clipped scores):
  percentile interval of the paired bootstrap (scipy ``bootstrap``), resampled within subtasks and by cluster,
  and a paired permutation test (scipy ``permutation_test``) that swaps the two sides of a cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edge2giant.errors import UserError
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.stats import RESAMPLES, SEED

CONFIDENCE = 0.95
# Numbers in memory at once while resampling: about 50 MB per array.
BATCH = 5_000_000
FEW_KINDS = 50


@dataclass(frozen=True)
class Comparison:
    """Result of one pair; b less a, on the paper's scale.

    Parameters
    ----------
    low, high : float
        95 % interval of the difference.
    interval, test : str
        Methods used.
    a_right_b_wrong, a_wrong_b_right, both_right, both_wrong : int or None
        Over questions with a right or wrong answer; None where no answer is right or wrong (MC2, ratings).
    agreement : float
        Share of equal answers.
    recovery : float
        100 score_b / score_a.
    prompts_differ : int
        Questions whose prompts differ (another chat template, say).
    draws : ndarray
        Bootstrap distribution of the difference, shape (resamples,).
    """

    score_a: float
    score_b: float
    difference: float
    low: float
    high: float
    interval: str
    p_value: float
    test: str
    questions: int
    clusters: int
    a_right_b_wrong: int | None
    a_wrong_b_right: int | None
    both_right: int | None
    both_wrong: int | None
    agreement: float
    recovery: float
    prompts_differ: int
    warnings: list[str]
    draws: np.ndarray


@dataclass(frozen=True)
class Stratum:
    """Sums of one subtask by cluster, each of shape (metrics, clusters)."""

    weight: np.ndarray
    a: np.ndarray
    b: np.ndarray

    def means(self) -> tuple[float, float]:
        """Mean of both sides, averaged over the metrics."""
        a, b = _means(*self.weight, *self.a, *self.b)
        return float(a), float(b)


def _means(*columns: np.ndarray, axis: int = -1) -> np.ndarray:
    """Means of both sides from columns of weights, a and b (as many of each as there are metrics)."""
    count = len(columns) // 3
    totals = [np.sum(column, axis=axis) for column in columns]
    weights, a, b = totals[:count], totals[count : 2 * count], totals[2 * count :]
    return np.stack([np.mean([x / w for x, w in zip(side, weights, strict=True)], axis=0) for side in (a, b)])


def strata(joined: pd.DataFrame, cluster: pd.Series, ratings: bool) -> dict[str, Stratum]:
    """Sum the samples of each subtask by cluster.

    The turns of a judged benchmark are ratings of one kind, so they are pooled; every other benchmark's metrics are averaged.
    """
    rows = joined.assign(cluster=cluster)
    if ratings:
        rows = rows.assign(metric="rating")
    rows = rows.assign(a=rows["value_a"] * rows["weight"], b=rows["value_b"] * rows["weight"])
    found = {}
    for task, group in rows.groupby("task", sort=True):
        sums = group.pivot_table(index="cluster", columns="metric", values=["weight", "a", "b"], aggfunc="sum")
        if sums.isna().any().any():
            raise UserError("a metric is missing for some questions", task, "delete the cells and make them again")
        found[task] = Stratum(*(sums[name].to_numpy().T for name in ("weight", "a", "b")))
    return found


def sizes_of(joined: pd.DataFrame, ratings: bool) -> dict[str, float]:
    """Questions per task; ratings per category of a judged benchmark."""
    groups = joined.groupby("task", sort=True)
    counts = groups["weight"].sum() if ratings else groups["doc_id"].nunique()
    return {task: float(number) for task, number in counts.items()}


def bootstrap(parts: Mapping[str, Stratum], aggregation: Aggregation, sizes: Mapping, resamples: int, rng) -> np.ndarray:
    """The bootstrap distribution of the difference, shape (resamples,), from clusters resampled within each subtask."""
    means_a, means_b = {}, {}
    for task, stratum in parts.items():
        means_a[task], means_b[task] = _resample(stratum, resamples, rng)
    return aggregation.score(means_b, sizes) - aggregation.score(means_a, sizes)


def _resample(stratum: Stratum, resamples: int, rng) -> np.ndarray:
    """Bootstrap means of both sides, shape (2, resamples)."""
    from scipy import stats

    columns = np.concatenate([stratum.weight, stratum.a, stratum.b])
    clusters = columns.shape[1]
    if clusters < 2:
        return np.repeat(np.array(stratum.means())[:, None], resamples, axis=1)
    kinds, counts = np.unique(columns, axis=1, return_counts=True)
    if len(counts) <= FEW_KINDS:
        return _resample_counts(kinds, counts, resamples, rng)
    result = stats.bootstrap(
        tuple(columns),
        _means,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        rng=rng,
        batch=max(1, BATCH // clusters),
    )
    return result.bootstrap_distribution


def _resample_counts(kinds: np.ndarray, counts: np.ndarray, resamples: int, rng) -> np.ndarray:
    """Resample where clusters are of few kinds (0/1 answers: four).

    How often each kind is drawn is multinomial, so this is the same bootstrap without 14,000 indices a draw.
    """
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=resamples)
    return _means(*(drawn * kind for kind in kinds))


def permutation(parts: Mapping[str, Stratum], aggregation: Aggregation, sizes: Mapping, resamples: int, rng) -> float:
    """The p-value of a paired permutation test on the (unclipped) difference; clusters swap sides."""
    from scipy import stats

    sides = []
    for side in ("a", "b"):
        shares = [
            aggregation.weight(task, sizes) * np.mean(getattr(part, side) / part.weight.sum(axis=1, keepdims=True), axis=0)
            for task, part in parts.items()
        ]
        sides.append(np.concatenate(shares))
    # Clusters without a change stay as they are whichever way they are swapped.
    a, b = (side[~np.isclose(sides[0], sides[1], rtol=0, atol=1e-12)] for side in sides)
    if len(a) < 2:
        return 1.0  # swapping changes nothing, or the sign alone
    result = stats.permutation_test(
        (b, a),
        lambda x, y, axis: np.sum(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, BATCH // len(a)),
        rng=rng,
    )
    return float(result.pvalue)


def mcnemar(a_only: int, b_only: int) -> float:
    """Exact McNemar test: p-value from the questions that only one side got right (statsmodels)."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    return float(test([[0, a_only], [b_only, 0]], exact=True).pvalue)


def paired_t(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of b - a (scipy ``ttest_rel``); a point where all differences are equal."""
    from scipy import stats

    gaps = b - a
    if np.ptp(gaps) == 0:
        return float(gaps[0]), float(gaps[0])
    interval = stats.ttest_rel(b, a).confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high)


def _flips(joined: pd.DataFrame) -> dict[str, int | None]:
    names = ("both_right", "a_right_b_wrong", "a_wrong_b_right", "both_wrong")
    rows = joined.dropna(subset=["correct_a", "correct_b"])
    if rows.empty:
        return dict.fromkeys(names)
    a, b = rows["correct_a"].astype(bool), rows["correct_b"].astype(bool)
    return dict(zip(names, (int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b)), strict=True))


def _plain(joined: pd.DataFrame, cluster: pd.Series, aggregation: Aggregation, clipped: bool) -> bool:
    """Whether the textbook case applies: 0/1, one metric, one mean, independent questions, not clipped."""
    zero_one = joined["correct_a"].notna().all() and joined["correct_b"].notna().all()
    one_metric = joined["metric"].nunique() == 1 and not aggregation.ratings
    alone = not pd.DataFrame({"task": joined["task"], "cluster": cluster}).duplicated().any()
    return bool(zero_one and one_metric and alone and not aggregation.macro and not clipped)


def compare(
    joined: pd.DataFrame,
    cluster: pd.Series,
    aggregation: Aggregation,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Compare two evaluations of the same questions (`samples.join`), each in a cluster (`clusters.attach`)."""
    parts, sizes = strata(joined, cluster, aggregation.ratings), sizes_of(joined, aggregation.ratings)
    means = [dict(zip(parts, side, strict=True)) for side in zip(*(part.means() for part in parts.values()), strict=True)]
    score_a, score_b = (float(aggregation.score(side, sizes)) for side in means)
    clipped = (score_a, score_b) != tuple(float(aggregation.score(side, sizes, clip=False)) for side in means)
    flips, rng = _flips(joined), np.random.default_rng(seed)
    draws = bootstrap(parts, aggregation, sizes, resamples, rng)
    if _plain(joined, cluster, aggregation, clipped):
        factor = aggregation.stretch(next(iter(aggregation.chances)))
        low, high = (factor * x for x in paired_t(joined["value_a"].to_numpy(), joined["value_b"].to_numpy()))
        interval, test = "paired t", "exact McNemar"
        p_value = mcnemar(flips["a_right_b_wrong"], flips["a_wrong_b_right"])
    else:
        low, high = percentiles(draws)
        interval, test = "paired bootstrap", "paired permutation"
        p_value = permutation(parts, aggregation, sizes, resamples, rng)
    return Comparison(
        score_a,
        score_b,
        score_b - score_a,
        low,
        high,
        interval,
        p_value,
        test,
        questions=len(joined[["task", "doc_id"]].drop_duplicates()),
        clusters=sum(part.a.shape[1] for part in parts.values()),
        agreement=float((joined["prediction_a"] == joined["prediction_b"]).mean()),
        recovery=100 * score_b / score_a if score_a else float("nan"),
        prompts_differ=int((joined["prompt_hash_a"] != joined["prompt_hash_b"]).sum()),
        warnings=_warnings(parts, clipped),
        draws=draws,
        **flips,
    )


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """95 % interval of a bootstrap distribution."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _warnings(parts: Mapping[str, Stratum], clipped: bool) -> list[str]:
    found = [f"{task} has one cluster, so its spread is unknown" for task, p in parts.items() if p.a.shape[1] < 2]
    if clipped:
        found.append("a score below chance was clipped to 0; the test is on the unclipped difference")
    return found
