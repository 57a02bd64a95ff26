"""Tests and intervals on plain arrays: McNemar with Tango's interval, Student's t on clusters, exact and permutation checks."""

from dataclasses import dataclass

import numpy as np

from edge2giant.stats import LEVEL, POWER

# Numbers in memory at once while permuting: 8 MB.
BATCH = 1_000_000
# Points below which a cluster has not changed.
UNCHANGED = 1e-12
# A variance this small beside the squares it is made of is rounding.
ROUNDING = 1e-24


@dataclass(frozen=True)
class Test:
    """A two-sided test of a difference with its 95 % interval, which excludes 0 exactly where p is below 0.05."""

    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Spread:
    """Sampling variances of a pair of scores, and the degrees of freedom of that of their difference.

    Parameters
    ----------
    a, b, covariance : float
        Of the two scores.
    difference : float
        Variance of b less a.
    freedom : float
        Welch and Satterthwaite's; infinite where the variance is 0, NaN where it is unknown.
    """

    a: float
    b: float
    covariance: float
    difference: float
    freedom: float


def spread(a: np.ndarray, b: np.ndarray, stratum: np.ndarray) -> Spread:
    """Variances out of the influence of each cluster on both scores; strata are independent samples.

    Parameters
    ----------
    a, b : ndarray of shape (clusters,)
        Influences, which sum to 0 in each stratum.
    stratum : ndarray of shape (clusters,)
        Numbers from 0. Where a stratum has one cluster every variance is NaN, since its own is unknown.
    """
    counts = np.bincount(stratum)
    factor = np.where(counts > 1, counts / np.maximum(counts - 1, 1), np.nan)

    def summed(products: np.ndarray) -> np.ndarray:
        return factor * np.bincount(stratum, products, len(counts))

    gaps = summed((b - a) ** 2)
    gaps[gaps <= ROUNDING * max(1.0, np.sum(a**2), np.sum(b**2))] = 0.0
    sums = (float(summed(x * y).sum()) for x, y in ((a, a), (b, b), (a, b)))
    return Spread(*sums, float(gaps.sum()), freedom(gaps, counts - 1))


def freedom(variances: np.ndarray, each: np.ndarray) -> float:
    """Degrees of freedom of a sum of independent variances with `each` of their own (Welch and Satterthwaite)."""
    if np.isnan(variances).any():
        return float("nan")
    used = np.asarray(variances) > 0
    total = np.sum(np.asarray(variances)[used])
    return float(total**2 / np.sum(np.asarray(variances)[used] ** 2 / np.asarray(each)[used])) if used.any() else float("inf")


def quantile(freedom: float, probability: float = 1 - LEVEL / 2) -> float:
    """Of Student's t."""
    from scipy import stats

    return float(stats.t.ppf(probability, freedom))


def t_test(difference: float, variance: float, freedom: float) -> Test:
    """Student's t. Without variance the interval is a point, and p is 1, or NaN for a difference."""
    from scipy import stats

    if variance == 0:
        return Test(difference, difference, float("nan") if difference else 1.0)
    error = float(np.sqrt(variance))
    half = quantile(freedom) * error
    return Test(difference - half, difference + half, float(2 * stats.t.sf(abs(difference) / error, freedom)))


def mcnemar(a_only: int, b_only: int, questions: int) -> Test:
    """McNemar's test without continuity correction, with Tango's interval of the difference of proportions, which inverts it.

    Tango 1998, Statistics in Medicine 17:891. `a_only` and `b_only` count the questions that only one side has right.
    """
    from scipy import optimize, stats

    changed = a_only + b_only
    z = stats.norm.ppf(1 - LEVEL / 2)

    def score(delta: float) -> float:
        slope = (2 * questions - b_only + a_only) * delta - changed
        rest = -a_only * delta * (1 - delta)
        fewer = (np.sqrt(max(slope**2 - 8 * questions * rest, 0.0)) - slope) / (4 * questions)
        variance = questions * max(2 * fewer + delta * (1 - delta), 1e-300)
        return (b_only - a_only - questions * delta) / np.sqrt(variance)

    observed = (b_only - a_only) / questions
    low = -1.0 if observed == -1 else optimize.brentq(lambda delta: score(delta) - z, -1 + 1e-12, observed)
    high = 1.0 if observed == 1 else optimize.brentq(lambda delta: score(delta) + z, observed, 1 - 1e-12)
    p_value = 2 * stats.norm.sf(abs(b_only - a_only) / np.sqrt(changed)) if changed else 1.0
    return Test(float(low), float(high), float(p_value))


def exact_mcnemar(a_only: int, b_only: int) -> float:
    """p-value given how many questions only one side has right (statsmodels)."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    return float(test([[0, a_only], [b_only, 0]], exact=True).pvalue)


def permutation(gaps: np.ndarray, resamples: int, rng: np.random.Generator) -> float:
    """p-value where the two sides of each cluster are swapped at random; `gaps` is what each adds to the difference.

    Every swap is counted where there are few. As `scipy.stats.permutation_test` with ``permutation_type="samples"``, whose
    time grows with sorting.
    """
    # Clusters without a change stay as they are whichever way they are swapped.
    changed = gaps[np.abs(gaps) > UNCHANGED]
    if len(changed) < 2:
        return 1.0  # swapping changes nothing, or the sign alone
    total, every = changed.sum(), 2.0 ** len(changed) <= resamples
    above = below = 0 if every else 1
    drawn = 2 ** len(changed) if every else resamples
    step = max(1, BATCH // len(changed))
    for start in range(0, drawn, step):
        count = min(step, drawn - start)
        if every:
            swapped = (np.arange(start, start + count)[:, None] >> np.arange(len(changed))) & 1
        else:
            swapped = rng.integers(0, 2, (count, len(changed)), dtype=np.int8)
        sums = total - 2 * (swapped.astype(float) @ changed)
        margin = UNCHANGED * max(1.0, abs(total))
        above += int(np.sum(sums >= total - margin))
        below += int(np.sum(sums <= total + margin))
    return min(1.0, 2 * min(above, below) / (drawn + (0 if every else 1)))


def detectable(variance: float, freedom: float) -> float:
    """The true difference that a test of two sides at 0.05 finds with 80 % power, at the variance seen (noncentral t)."""
    from scipy import optimize, stats

    if np.isnan(freedom):
        return float("nan")
    limit = quantile(freedom)
    if np.isinf(freedom):
        return (limit + quantile(freedom, POWER)) * float(np.sqrt(variance))
    errors = optimize.brentq(lambda shift: stats.nct.sf(limit, freedom, shift) - POWER, 0, 2 * (limit + quantile(freedom, POWER)))
    return errors * float(np.sqrt(variance))


def ratio(a: float, b: float, spread: Spread) -> tuple[float, float] | None:
    """95 % interval of b / a: every ratio r at which b - r a does not differ from 0 (Fieller); None where it is unbounded."""
    square = quantile(spread.freedom) ** 2
    first, half, last = a**2 - square * spread.a, a * b - square * spread.covariance, b**2 - square * spread.b
    inside = half**2 - first * last
    if first <= 0:
        return None
    root = float(np.sqrt(max(inside, 0.0)))
    return (half - root) / first, (half + root) / first
