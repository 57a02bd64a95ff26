"""One pair of evaluations: difference, interval, test, check, flips, agreement, recovery.

A score is linearised: each cluster of questions has an influence on it, and the error of a difference comes from the influences
of the clusters on both scores. Questions in one cluster (a passage, a story) may depend on each other; clusters do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from edge2giant.errors import UserError
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.stats import LEVEL, RESAMPLES, SEED, procedures
from edge2giant.stats.procedures import Spread, Test

T_TEST, MCNEMAR, PERMUTATION = "paired t", "McNemar", "permutation"
# Changed clusters under which a t interval covers less than it says.
FEW = 10
CLIPPED = "scores below chance count as 0; interval and tests are of the difference without that, {:.2f}"


@dataclass(frozen=True)
class Comparison:
    """Result of one pair; b less a, on the paper's scale.

    Parameters
    ----------
    low, high : float
        95 % interval of the difference, which agrees with `p_value`.
    p_check : float
        p-value of the exact McNemar or permutation test: no approximation, but it cannot fall below `floor`.
    a_right_b_wrong, a_wrong_b_right, both_right, both_wrong : int or None
        Over questions with a right or wrong answer; None where no answer is right or wrong (MC2, ratings).
    agreement : float or None
        Share of equal answers.
    detectable : float
        Smallest true difference that is found with 80 % power, given how much the answers differ; NaN where the spread is
        unknown, or where that is more than the whole scale of a score in points.
    recovery, recovery_low, recovery_high : float or None
        100 score_b / score_a with its 95 % interval; None where score_a is within two errors of `chance`.
    prompts_differ : int
        Questions whose prompts differ (another chat template, say).
    """

    score_a: float
    score_b: float
    difference: float
    low: float
    high: float
    p_value: float
    test: str
    p_check: float
    check: str
    floor: float
    questions: int
    clusters: int
    a_right_b_wrong: int | None
    a_wrong_b_right: int | None
    both_right: int | None
    both_wrong: int | None
    agreement: float | None
    detectable: float
    recovery: float | None
    recovery_low: float | None
    recovery_high: float | None
    prompts_differ: int
    chance: float
    warnings: list[str]
    spread: Spread = field(repr=False)
    unclipped: float = field(repr=False)


@dataclass(frozen=True)
class Influences:
    """What each cluster does to both scores, in the score's units.

    Parameters
    ----------
    a, b : ndarray of shape (clusters,)
        Influences, which sum to 0 in each stratum.
    gaps : ndarray of shape (clusters,)
        What each cluster adds to the difference, without clipping.
    stratum : ndarray of shape (clusters,)
        Subtasks, joined where they share clusters.
    means : tuple of dict
        Mean of each subtask, of both sides.
    """

    a: np.ndarray
    b: np.ndarray
    gaps: np.ndarray
    stratum: np.ndarray
    means: tuple[dict[str, float], dict[str, float]]


def influences(joined: pd.DataFrame, aggregation: Aggregation, sizes: Mapping[str, float]) -> Influences:
    """Influences of the clusters of `joined`, a table of `samples.join`.

    The turns of a judged benchmark are ratings of one kind, so they are pooled; every other benchmark's metrics are averaged.
    """
    rows = joined.assign(metric="rating") if aggregation.ratings else joined
    rows = rows.assign(a=rows["value_a"] * rows["weight"], b=rows["value_b"] * rows["weight"])
    found, means = [], ({}, {})
    for task, group in rows.groupby("task", sort=True):
        sums = group.pivot_table(index="cluster", columns="metric", values=["weight", "a", "b"], aggfunc="sum")
        if sums.isna().any().any():
            raise UserError("a metric is missing for some questions", task, "delete the cells and make them again")
        weight, total = sums["weight"], sums.sum()
        points = aggregation.weight(task, sizes)
        part = pd.DataFrame({"task": task}, index=sums.index)
        for side, mean in zip("ab", means, strict=True):
            each = total[side] / total["weight"]
            mean[task] = float(each.mean())
            slope = points * aggregation.slope(mean[task])
            part[side] = slope * ((sums[side] - weight * each) / total["weight"]).mean(axis=1)
        part["gaps"] = points * ((sums["b"] - sums["a"]) / total["weight"]).mean(axis=1)
        found.append(part)
    whole = pd.concat(found)
    summed = whole.groupby(level=0)[["a", "b", "gaps"]].sum()
    return Influences(*(summed[name].to_numpy() for name in ("a", "b", "gaps")), _strata(whole, summed.index), means)


def _strata(parts: pd.DataFrame, clusters: pd.Index) -> np.ndarray:
    """A number for the stratum of each cluster: its subtask, with all subtasks that share clusters with it (scipy)."""
    from scipy import sparse

    tasks, names = pd.factorize(parts["task"])
    graph = sparse.coo_matrix((np.ones(len(parts)), (tasks, len(names) + clusters.get_indexer(parts.index))))
    size = len(names) + len(clusters)
    graph.resize(size, size)
    labels = sparse.csgraph.connected_components(graph, directed=False)[1][len(names) :]
    return np.unique(labels, return_inverse=True)[1]


def sizes_of(joined: pd.DataFrame, ratings: bool) -> dict[str, float]:
    """Questions per task; ratings per category of a judged benchmark."""
    groups = joined.groupby("task", sort=True)
    counts = groups["weight"].sum() if ratings else groups["doc_id"].nunique()
    return {task: float(number) for task, number in counts.items()}


def flips(joined: pd.DataFrame) -> dict[str, int | None]:
    """How many answers are right on both sides, on one and on none."""
    names = ("both_right", "a_right_b_wrong", "a_wrong_b_right", "both_wrong")
    rows = joined.dropna(subset=["correct_a", "correct_b"])
    if rows.empty:
        return dict.fromkeys(names)
    a, b = rows["correct_a"].astype(bool), rows["correct_b"].astype(bool)
    return dict(zip(names, (int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b)), strict=True))


def agreement(joined: pd.DataFrame) -> float | None:
    """Share of equal answers; None where nothing is answered (perplexity, divergence)."""
    answered = joined.dropna(subset=["prediction_a", "prediction_b"])
    return float((answered["prediction_a"] == answered["prediction_b"]).mean()) if len(answered) else None


def _plain(joined: pd.DataFrame, aggregation: Aggregation) -> bool:
    """Whether McNemar's test applies: right or wrong, one metric, one mean, independent questions."""
    zero_one = joined["correct_a"].notna().all() and joined["correct_b"].notna().all()
    one_metric = joined["metric"].nunique() == 1 and not aggregation.ratings
    alone = not joined["cluster"].duplicated().any()
    return bool(zero_one and one_metric and alone and not aggregation.macro)


@dataclass(frozen=True)
class Tested:
    """A test with its check, as `Comparison` has them."""

    test: Test
    name: str
    p_check: float
    check: str
    floor: float
    detectable: float
    warnings: list[str]


def compare(
    joined: pd.DataFrame,
    aggregation: Aggregation,
    chance: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    key: str = "",
) -> Comparison:
    """Compare two evaluations of the same questions (`samples.join`).

    Parameters
    ----------
    chance : float
        The score of guessing.
    key : str
        What is compared: with `seed` it decides the draws, so that those of two comparisons are independent.
    """
    sizes = sizes_of(joined, aggregation.ratings)
    moved = influences(joined, aggregation, sizes)
    scores = tuple(float(aggregation.score(side, sizes)) for side in moved.means)
    raw = tuple(float(aggregation.score(side, sizes, clip=False)) for side in moved.means)
    spread, counts = procedures.spread(moved.a, moved.b, moved.stratum), flips(joined)
    difference = raw[1] - raw[0]
    if _plain(joined, aggregation):
        found = _right_or_wrong(counts, len(joined), aggregation.stretch(next(iter(sizes))), spread)
    else:
        found = _clustered(moved, difference, spread, resamples, generator(seed, key))
    warnings = [*_lonely(moved.stratum), *found.warnings]
    if scores != raw:
        warnings.append(CLIPPED.format(difference))
    if (found.test.p_value < LEVEL) != (found.p_check < LEVEL):
        warnings.append(f"the check disagrees: {found.check} gives p = {found.p_check:.3g}")
    return Comparison(
        *scores,
        scores[1] - scores[0],
        **vars(found.test),
        test=found.name,
        p_check=found.p_check,
        check=found.check,
        floor=found.floor,
        questions=len(joined[["task", "doc_id"]].drop_duplicates()),
        clusters=len(moved.gaps),
        agreement=agreement(joined),
        detectable=found.detectable if aggregation.ratings or found.detectable <= aggregation.scale else float("nan"),
        **recovery(*scores, chance, spread),
        prompts_differ=int((joined["prompt_hash_a"] != joined["prompt_hash_b"]).sum()),
        chance=chance,
        warnings=warnings,
        spread=spread,
        unclipped=difference,
        **counts,
    )


def _right_or_wrong(counts: Mapping[str, int], questions: int, points: float, spread: Spread) -> Tested:
    """McNemar's test; `points` are those of a mean of 1."""
    lost, gained = counts["a_right_b_wrong"], counts["a_wrong_b_right"]
    test = procedures.mcnemar(lost, gained, questions)
    test = Test(points * test.low, points * test.high, test.p_value)
    # A difference cannot be larger than the share of answers that differ.
    least = points * procedures.detectable(1, np.inf) ** 2 / questions
    detectable = max(least, procedures.detectable(spread.difference, np.inf))
    floor = min(1.0, 2.0 ** (1 - lost - gained))
    return Tested(test, MCNEMAR, procedures.exact_mcnemar(lost, gained), "exact McNemar", floor, detectable, [])


def _clustered(moved: Influences, difference: float, spread: Spread, resamples: int, rng: np.random.Generator) -> Tested:
    """Student's t; the permutation test in its place where there is no variance, or none that is known."""
    test = procedures.t_test(difference, spread.difference, spread.freedom)
    p_check = procedures.permutation(moved.gaps, resamples, rng)
    changed = int(np.sum(np.abs(moved.gaps) > procedures.UNCHANGED))
    floor = min(1.0, max(2.0 ** (1 - changed), 2 / (resamples + 1)))
    detectable, warnings = procedures.detectable(spread.difference, spread.freedom), []
    if not spread.difference > 0:
        test, detectable = Test(test.low, test.high, p_check), float("nan")
    if spread.difference == 0:
        warnings.append(f"{'all units differ alike' if changed else 'no answer changed'}, so the interval has no width")
    elif changed < FEW and spread.difference > 0:
        warnings.append(f"only {changed} of {len(moved.gaps)} units changed, so the interval may be too short")
    return Tested(test, T_TEST if spread.difference > 0 else PERMUTATION, p_check, PERMUTATION, floor, detectable, warnings)


def generator(seed: int, key: str) -> np.random.Generator:
    """Draws of their own for each comparison, which no other comparison of a study changes."""
    return np.random.default_rng(np.random.SeedSequence([seed, *key.encode()]))


def recovery(score_a: float, score_b: float, chance: float, spread: Spread) -> dict[str, float | None]:
    """The quotient of two scores in percent, with its interval, which needs a spread of their difference.

    Nothing where the first is within two errors of chance, or its error is unknown.
    """
    names = ("recovery", "recovery_low", "recovery_high")
    if not score_a - chance > 2 * np.sqrt(spread.a) or score_a <= 0:
        return dict.fromkeys(names)
    low, high = (procedures.ratio(score_a, score_b, spread) if spread.difference else None) or (None, None)
    return dict(zip(names, (100 * score_b / score_a, *(None if x is None else 100 * x for x in (low, high))), strict=True))


def _lonely(stratum: np.ndarray) -> list[str]:
    lonely = int(np.sum(np.bincount(stratum) < 2))
    return [f"{lonely} subtask{'s have' if lonely > 1 else ' has'} one cluster, so the spread is unknown"] if lonely else []
