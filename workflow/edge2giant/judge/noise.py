"""How far ratings can be trusted: repeats, intervals over questions, a second judge, sensitivity to length.

Every measure is a list of rows (measure, group, statistic, value, low, high, n), so that one flat table
holds them all. Ratings that are missing are left out pair by pair, never filled in.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats

from edge2giant import jsonl, records
from edge2giant.errors import UserError
from edge2giant.judge import material, score
from edge2giant.records.mt_bench import Judgment

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
        found = stats.bootstrap(
            (sums, counts),
            lambda sums, counts, axis: np.sum(sums, axis=axis) / np.sum(counts, axis=axis),
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
    """One row of the table; a number that is not finite becomes None."""
    numbers = [None if v is None or not math.isfinite(v) else float(v) for v in (value, low, high)]
    return dict(zip(COLUMNS, (measure, group, statistic, *numbers, int(n)), strict=True))


def _mean_rows(measure: str, values: pd.DataFrame, column: str, how: Bootstrap) -> list[dict]:
    """Means of a column, which has no NaN, with intervals: of everything, of each turn and of each category."""
    groups = [("all", values)]
    groups += [(f"turn {turn}", values[values["turn"] == turn]) for turn in (1, 2)]
    groups += [(category, values[values["category"] == category]) for category in score.categories(values)]
    found = []
    for name, group in groups:
        by_question = group.groupby("question_id")[column].agg(["sum", "count"])
        low, high = how.interval(by_question["sum"].to_numpy(float), by_question["count"].to_numpy(float))
        found.append(row(measure, name, "mean", group[column].mean(), len(group), low, high))
        if column == "difference":
            found.append(row(measure, name, "up", (group[column] > 0).sum(), len(group)))
            found.append(row(measure, name, "down", (group[column] < 0).sum(), len(group)))
    return found


def _rated(judgments: Sequence[dict]) -> pd.DataFrame:
    return score.ratings(judgments).dropna(subset=["rating"])


def score_intervals(judgments: Sequence[dict], how: Bootstrap) -> list[dict]:
    """Mean ratings with intervals."""
    return _mean_rows("rating", _rated(judgments), "rating", how)


def paired(judgments: Sequence[dict], baseline: Sequence[dict]) -> pd.DataFrame:
    """Join the ratings of two models turn by turn, with their `difference`; turns that either lacks are left out."""
    keys = ["question_id", "category", "turn"]
    columns = [*keys, "rating"]
    both = _rated(judgments)[columns].merge(_rated(baseline)[columns], on=keys, suffixes=("", "_baseline"))
    return both.assign(difference=both["rating"] - both["rating_baseline"])


def paired_differences(judgments: Sequence[dict], baseline: Sequence[dict], how: Bootstrap) -> list[dict]:
    """Mean difference to a baseline with paired intervals, and how many turns went up and down."""
    return _mean_rows("difference to baseline", paired(judgments, baseline), "difference", how)


def self_agreement(judgments: Sequence[dict]) -> list[dict]:
    """How a judge agrees with itself over repeats of the same request.

    Rows: share of pairs of repeats with the same rating, mean absolute difference of such pairs, standard
    deviation of one rating (pooled within turns), Fleiss' kappa over the turns that all repeats rate, and
    the standard deviation of the mean score between repeats. Empty when there is one repeat.
    """
    frame = pd.DataFrame(list(judgments)).astype({"rating": float})
    wide = frame.pivot(index=["question_id", "turn"], columns="repeat", values="rating")
    if wide.shape[1] < 2:
        return []
    gaps = pd.concat([(wide[a] - wide[b]).abs() for a, b in itertools.combinations(wide, 2)]).dropna()
    counts = wide.count(axis=1)
    several = counts > 1
    spread = wide[several].var(axis=1, ddof=1)
    pooled = math.sqrt(np.average(spread, weights=counts[several] - 1)) if several.any() else None
    whole = wide.dropna()
    name = "self-agreement"
    return [
        row(name, "all", "same rating", (gaps == 0).mean(), len(gaps)),
        row(name, "all", "mean absolute difference", gaps.mean(), len(gaps)),
        row(name, "all", "standard deviation of a rating", pooled, len(spread)),
        row(name, "all", "Fleiss kappa", _fleiss(whole), len(whole)),
        row(name, "all", "standard deviation of the score", wide.mean().std(ddof=1), wide.shape[1]),
    ]


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
    joined = score.ratings(judgments).merge(score.ratings(other), on=["question_id", "turn"], suffixes=("", "_other"))
    if (joined["target_hash"] != joined["target_hash_other"]).any():
        raise UserError("the two judges rated different answers", "noise", "give judgments of one answers file")
    both = joined.dropna(subset=["rating", "rating_other"])
    a, b = both["rating"], both["rating_other"]
    name, n = "agreement of judges", len(both)
    return [
        row(name, "all", "mean difference", (a - b).mean(), n),
        row(name, "all", "same rating", (a == b).mean(), n),
        row(name, "all", "within one point", ((a - b).abs() <= 1).mean(), n),
        row(name, "all", "Spearman", _correlation(stats.spearmanr, a, b), n),
        row(name, "all", "Kendall tau-b", _correlation(stats.kendalltau, a, b), n),
        row(name, "all", "Cohen kappa, quadratic weights", _weighted_kappa(a, b), n),
    ]


def _correlation(function, a: pd.Series, b: pd.Series) -> float | None:
    if len(a) < LEAST_POINTS or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(function(a, b).statistic)


def _weighted_kappa(a: pd.Series, b: pd.Series) -> float | None:
    from statsmodels.stats.inter_rater import cohens_kappa, to_table

    if len(a) < 2 or (np.ptp(a) == 0 and np.ptp(b) == 0):
        return None
    # half points round up (numpy would round to even), so that 4.5 and 5.5 stay a point apart
    pair = np.floor(np.column_stack([a, b]) + 0.5).astype(int) - 1
    table, _ = to_table(pair, bins=10)
    return float(cohens_kappa(table, wt="quadratic", return_results=False))


def lengths(answers: dict[int, dict]) -> pd.DataFrame:
    """Words (separated by white space) of each turn of each answer: question_id, turn, words."""
    return pd.DataFrame(
        [
            {"question_id": key, "turn": turn, "words": len(text.split())}
            for key, answer in answers.items()
            for turn, text in enumerate(answer["choices"][0]["turns"], 1)
        ]
    )


def length_sensitivity(judgments: Sequence[dict], answers: dict[int, dict], how: Bootstrap) -> list[dict]:
    """How ratings follow the length of answers: rank correlation, and points for each doubling within category and turn."""
    rows = _rated(judgments).merge(lengths(answers), on=["question_id", "turn"])
    rows = rows.assign(doublings=np.log2(rows["words"] + 1.0))
    return [
        row("length", "all", "Spearman of rating and words", *_rank(rows, "rating")),
        row("length", "all", "points a doubling, within category and turn", **_slope(rows, "rating", how, "category", "turn")),
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
    words = lengths(answers).merge(lengths(baseline_answers), on=keys, suffixes=("", "_baseline"))
    rows = paired(judgments, baseline).merge(words, on=keys)
    rows = rows.assign(doublings=np.log2((rows["words"] + 1.0) / (rows["words_baseline"] + 1.0)))
    name = "length of difference"
    return [
        row(name, "all", "Spearman of differences in rating and length", *_rank(rows, "difference")),
        row(name, "all", "points a doubling", **_slope(rows, "difference", how)),
        row(name, "all", "median ratio of lengths", 2.0 ** rows["doublings"].median(), len(rows)),
    ]


def _rank(rows: pd.DataFrame, outcome: str) -> tuple[float | None, int]:
    return _correlation(stats.spearmanr, rows[outcome], rows["doublings"]), len(rows)


def _slope(rows: pd.DataFrame, outcome: str, how: Bootstrap, *within: str) -> dict:
    """Points of `outcome` for each doubling of the length (least squares; interval cluster-robust by question)."""
    import statsmodels.formula.api as smf

    questions = rows["question_id"].nunique()
    if questions < LEAST_POINTS or np.ptp(rows["doublings"]) == 0 or np.ptp(rows[outcome]) == 0:
        return {"value": None, "n": len(rows)}
    formula = " + ".join([f"{outcome} ~ doublings", *(f"C({name})" for name in within)])
    clusters = {"groups": pd.factorize(rows["question_id"])[0]}
    fit = smf.ols(formula, rows).fit(cov_type="cluster", cov_kwds=clusters, use_t=True)
    low, high = fit.conf_int(1.0 - how.confidence).loc["doublings"]
    return {"value": fit.params["doublings"], "n": len(rows), "low": low, "high": high}


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
    ratings = {name: getattr(options, name) for name in ("judgments", "baseline", "other")}
    texts = {name: getattr(options, name) for name in ("answers", "baseline_answers")}
    given = {name: list(jsonl.read(path, Judgment)) for name, path in ratings.items() if path}
    given |= {name: material.load_answers(path) for name, path in texts.items() if path}
    how = Bootstrap()
    rows = measure(how=how, **given)
    summary = {"settings": asdict(how), "missing": score.missing(given["judgments"]), "rows": rows}
    records.write_json(options.out_json, summary)
    records.write_csv(options.out_csv, rows, COLUMNS)
