"""How far ratings can be trusted: repeats, intervals over questions, a second judge, sensitivity to length.

Every measure is a list of rows (measure, group, statistic, value, low, high, n), so that one flat table
holds them all. Ratings that are missing are left out pair by pair, never filled in.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from edge2giant import jsonl, records
from edge2giant.errors import UserError
from edge2giant.judge import material, score
from edge2giant.mt_bench import CATEGORIES

COLUMNS = ("measure", "group", "statistic", "value", "low", "high", "n")
# Fewer points give a meaningless correlation.
LEAST_POINTS = 4


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn: percentile bootstrap over questions, both turns of a question together."""

    resamples: int = 10_000
    confidence: float = 0.95
    seed: int = 0

    def interval(self, sums: np.ndarray, counts: np.ndarray) -> tuple[float | None, float | None]:
        """Interval of sum(sums) / sum(counts), resampling questions.

        Parameters
        ----------
        sums, counts : ndarray, shape (questions,)
            Sum and number of the ratings (or differences) of each question.
        """
        if len(sums) < 2:
            return None, None

        def mean(sums, counts, axis):
            return np.sum(sums, axis=axis) / np.sum(counts, axis=axis)

        found = stats.bootstrap(
            (sums, counts),
            mean,
            n_resamples=self.resamples,
            paired=True,
            vectorized=True,
            confidence_level=self.confidence,
            method="percentile",
            batch=1000,
            rng=np.random.default_rng(self.seed),
        )
        return float(found.confidence_interval.low), float(found.confidence_interval.high)


def row(measure: str, group: str, statistic: str, value, n: int, low=None, high=None) -> dict:
    """Return one row of the table; a number that is not finite becomes None."""
    numbers = [None if v is None or not math.isfinite(v) else float(v) for v in (value, low, high)]
    return dict(zip(COLUMNS, (measure, group, statistic, *numbers, int(n)), strict=True))


def groups(rows: pd.DataFrame):
    """Yield a name and the rows of everything, of each turn and of each category."""
    yield "all", rows
    for turn in (1, 2):
        yield f"turn {turn}", rows[rows["turn"] == turn]
    present = set(rows["category"])
    for category in [c for c in CATEGORIES if c in present] + sorted(present - set(CATEGORIES)):
        yield category, rows[rows["category"] == category]


def _mean_row(measure: str, group: str, values: pd.DataFrame, column: str, how: Bootstrap) -> dict:
    """Mean of a column with its interval; `values` holds question_id and the column, without NaN."""
    by_question = values.groupby("question_id")[column].agg(["sum", "count"])
    low, high = how.interval(by_question["sum"].to_numpy(float), by_question["count"].to_numpy(float))
    mean = values[column].mean() if len(values) else None
    return row(measure, group, "mean", mean, len(values), low, high)


def score_intervals(judgments: Sequence[dict], how: Bootstrap) -> list[dict]:
    """Mean ratings with intervals: of all turns, of each turn, of each category."""
    rated = score.ratings(judgments).dropna(subset=["rating"])
    return [_mean_row("rating", name, rows, "rating", how) for name, rows in groups(rated)]


def paired(judgments: Sequence[dict], baseline: Sequence[dict]) -> pd.DataFrame:
    """Join the ratings of two models turn by turn; turns that either lacks are left out.

    Returns
    -------
    DataFrame
        question_id, category, turn, rating, baseline, difference (rating - baseline).
    """
    keys = ["question_id", "category", "turn"]
    left = score.ratings(judgments).dropna(subset=["rating"])[[*keys, "rating"]]
    right = score.ratings(baseline).dropna(subset=["rating"])[[*keys, "rating"]]
    both = left.merge(right.rename(columns={"rating": "baseline"}), on=keys)
    return both.assign(difference=both["rating"] - both["baseline"])


def paired_differences(judgments: Sequence[dict], baseline: Sequence[dict], how: Bootstrap) -> list[dict]:
    """Mean difference to a baseline with paired intervals, and how many turns went up, down or stayed."""
    found = []
    for name, rows in groups(paired(judgments, baseline)):
        found.append(_mean_row("difference to baseline", name, rows, "difference", how))
        for statistic, kept in (("up", rows["difference"] > 0), ("down", rows["difference"] < 0)):
            found.append(row("difference to baseline", name, statistic, float(kept.sum()), len(rows)))
    return found


def self_agreement(judgments: Sequence[dict]) -> list[dict]:
    """How a judge agrees with itself over repeats of the same request.

    Rows: share of pairs of repeats with the same rating, mean absolute difference of such pairs, standard
    deviation of one rating (pooled within turns), Fleiss' kappa over the turns that all repeats rate, and
    the standard deviation of the mean score between repeats. Empty when there is one repeat.
    """
    wide = _wide(judgments)
    if wide.shape[1] < 2:
        return []
    pairs = [(wide[a], wide[b]) for i, a in enumerate(wide) for b in list(wide)[i + 1 :]]
    gaps = pd.concat([(a - b).abs() for a, b in pairs]).dropna()
    counts = wide.count(axis=1)
    spread = wide[counts > 1].var(axis=1, ddof=1)
    pooled = math.sqrt(np.average(spread, weights=counts[counts > 1] - 1)) if len(spread) else None
    whole = wide.dropna()
    between = float(wide.mean().std(ddof=1))
    return [
        row("self-agreement", "all", "same rating", (gaps == 0).mean() if len(gaps) else None, len(gaps)),
        row("self-agreement", "all", "mean absolute difference", gaps.mean() if len(gaps) else None, len(gaps)),
        row("self-agreement", "all", "standard deviation of a rating", pooled, len(spread)),
        row("self-agreement", "all", "Fleiss kappa", _fleiss(whole), len(whole)),
        row("self-agreement", "all", "standard deviation of the score", between, wide.shape[1]),
    ]


def _wide(judgments: Sequence[dict]) -> pd.DataFrame:
    score.ratings(judgments)  # refuses mixtures
    frame = pd.DataFrame(list(judgments)).astype({"rating": float})
    return frame.pivot(index=["question_id", "turn"], columns="repeat", values="rating")


def _fleiss(whole: pd.DataFrame) -> float | None:
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    if len(whole) < 2 or np.unique(whole.to_numpy()).size < 2:
        return None
    table, _ = aggregate_raters(np.rint(whole.to_numpy() * 2).astype(int))
    return float(fleiss_kappa(table))


def judge_agreement(judgments: Sequence[dict], other: Sequence[dict]) -> list[dict]:
    """How two judges agree on the same answers.

    Rows: mean difference (first - other), same rating and within one point as shares, Spearman and Kendall
    rank correlation, Cohen's kappa with quadratic weights (ratings rounded to whole points).

    Raises
    ------
    UserError
        If the two rated different answers.
    """
    first, second = score.ratings(judgments), score.ratings(other)
    joined = first.merge(second, on=["question_id", "turn"], suffixes=("", "_other"))
    if (joined["target_hash"] != joined["target_hash_other"]).any():
        raise UserError("the two judges rated different answers", "noise", "give judgments of one answers file")
    both = joined.dropna(subset=["rating", "rating_other"])
    a, b = both["rating"].to_numpy(float), both["rating_other"].to_numpy(float)
    name, n = "agreement of judges", len(both)
    return [
        row(name, "all", "mean difference", (a - b).mean() if n else None, n),
        row(name, "all", "same rating", (a == b).mean() if n else None, n),
        row(name, "all", "within one point", (np.abs(a - b) <= 1).mean() if n else None, n),
        row(name, "all", "Spearman", _correlation(stats.spearmanr, a, b), n),
        row(name, "all", "Kendall tau-b", _correlation(stats.kendalltau, a, b), n),
        row(name, "all", "Cohen kappa, quadratic weights", _weighted_kappa(a, b), n),
    ]


def _correlation(function, a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < LEAST_POINTS or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(function(a, b).statistic)


def _weighted_kappa(a: np.ndarray, b: np.ndarray) -> float | None:
    from statsmodels.stats.inter_rater import cohens_kappa, to_table

    if len(a) < 2 or (np.ptp(a) == 0 and np.ptp(b) == 0):
        return None
    # half points round up (numpy would round to even), so that 4.5 and 5.5 stay a point apart
    pair = np.floor(np.column_stack([a, b]) + 0.5).astype(int) - 1
    table, _ = to_table(pair, bins=10)
    return float(cohens_kappa(table, wt="quadratic", return_results=False))


def lengths(answers: dict[int, dict]) -> pd.DataFrame:
    """Return question_id, turn and words (white-space separated) of each turn of each answer."""
    return pd.DataFrame(
        [
            {"question_id": key, "turn": turn, "words": len(text.split())}
            for key, answer in answers.items()
            for turn, text in enumerate(answer["choices"][0]["turns"], 1)
        ]
    )


def length_sensitivity(judgments: Sequence[dict], answers: dict[int, dict], how: Bootstrap) -> list[dict]:
    """How ratings follow the length of answers.

    Rows: Spearman correlation of rating and words; and the points of rating for each doubling of the length
    within category and turn (least squares; interval cluster-robust by question).
    """
    rated = score.ratings(judgments).dropna(subset=["rating"])
    rows = rated.merge(lengths(answers), on=["question_id", "turn"])
    rows = rows.assign(doublings=np.log2(rows["words"] + 1.0))
    name, n = "length", len(rows)
    rank = _correlation(stats.spearmanr, rows["rating"].to_numpy(), rows["words"].to_numpy(float))
    slope = _slope("rating ~ doublings + C(category) + C(turn)", rows, how)
    return [
        row(name, "all", "Spearman of rating and words", rank, n),
        row(name, "all", "points a doubling, within category and turn", *_in_order(slope, n)),
    ]


def length_of_differences(
    judgments: Sequence[dict],
    baseline: Sequence[dict],
    answers: dict[int, dict],
    baseline_answers: dict[int, dict],
    how: Bootstrap,
) -> list[dict]:
    """How the difference to a baseline follows that in length (the paper suspects that brevity gains)."""
    keys = ["question_id", "turn"]
    rows = paired(judgments, baseline).merge(lengths(answers), on=keys)
    rows = rows.merge(lengths(baseline_answers), on=keys, suffixes=("", "_baseline"))
    rows = rows.assign(doublings=np.log2((rows["words"] + 1.0) / (rows["words_baseline"] + 1.0)))
    name, n = "length of difference", len(rows)
    rank = _correlation(stats.spearmanr, rows["difference"].to_numpy(), rows["doublings"].to_numpy())
    slope = _slope("difference ~ doublings", rows, how)
    return [
        row(name, "all", "Spearman of differences in rating and length", rank, n),
        row(name, "all", "points a doubling", *_in_order(slope, n)),
        row(name, "all", "median ratio of lengths", 2.0 ** rows["doublings"].median() if n else None, n),
    ]


def _in_order(slope: tuple, n: int) -> tuple:
    value, low, high = slope
    return value, n, low, high


def _slope(formula: str, rows: pd.DataFrame, how: Bootstrap) -> tuple[float | None, float | None, float | None]:
    import statsmodels.formula.api as smf

    questions = rows["question_id"].nunique()
    outcome = formula.split(" ~ ")[0]
    if questions < LEAST_POINTS or np.ptp(rows["doublings"]) == 0 or np.ptp(rows[outcome]) == 0:
        return None, None, None
    groups_ = pd.factorize(rows["question_id"])[0]
    fit = smf.ols(formula, rows).fit(cov_type="cluster", cov_kwds={"groups": groups_}, use_t=True)
    low, high = fit.conf_int(1.0 - how.confidence).loc["doublings"]
    return fit.params["doublings"], low, high


def measure(
    judgments: Sequence[dict],
    how: Bootstrap,
    baseline: Sequence[dict] | None = None,
    other: Sequence[dict] | None = None,
    answers: dict[int, dict] | None = None,
    baseline_answers: dict[int, dict] | None = None,
) -> list[dict]:
    """Return the rows of every measure for which there is material."""
    rows = score_intervals(judgments, how) + self_agreement(judgments)
    if baseline is not None:
        rows += paired_differences(judgments, baseline, how)
    if other is not None:
        rows += judge_agreement(judgments, other)
    if answers is not None:
        rows += length_sensitivity(judgments, answers, how)
    if None not in (baseline, answers, baseline_answers):
        rows += length_of_differences(judgments, baseline, answers, baseline_answers, how)
    return rows


def command(options) -> None:
    """Run `noise` with the options of the command line."""
    how = Bootstrap()
    judgments = _judgments(options.judgments)
    rows = measure(
        judgments,
        how,
        baseline=_judgments(options.baseline),
        other=_judgments(options.other),
        answers=_answers(options.answers),
        baseline_answers=_answers(options.baseline_answers),
    )
    settings = {"resamples": how.resamples, "confidence": how.confidence, "seed": how.seed}
    summary = {"settings": settings, "missing": score.missing(judgments), "rows": rows}
    records.write_json(options.out_json, summary)
    with records.atomic(options.out_csv) as stream:
        stream.write(as_csv(rows))


def as_csv(rows: Sequence[dict]) -> str:
    """Return rows as CSV text; None becomes an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _judgments(path: str | None) -> list[dict] | None:
    return None if path is None else list(jsonl.read(path, "judgment"))


def _answers(path: str | None) -> dict[int, dict] | None:
    return None if path is None else material.load_answers(path)
