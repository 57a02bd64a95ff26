"""Mean ratings with their standard errors, as FastChat shows them: overall, by turn, by category."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from edge2giant.errors import UserError
from edge2giant.mt_bench import CATEGORIES
from edge2giant.records.cell import Part
from edge2giant.scoring.aggregation import Estimate, spread


def ratings(judgments: Sequence[dict]) -> pd.DataFrame:
    """Return one row for each turn of each question, with the mean of its repeats.

    Parameters
    ----------
    judgments : sequence of dict
        Rows of judgments.jsonl of one model by one judge.

    Returns
    -------
    DataFrame
        question_id, category, turn, rating (1 to 10; NaN if no repeat holds a rating), repeats (with a rating),
        doc_hash, target_hash, prompt_hash; sorted by question and turn.

    Raises
    ------
    UserError
        If there are no judgments, a repeat occurs twice, or several judges or answers are mixed.
    """
    frame = pd.DataFrame(list(judgments))
    if frame.empty:
        raise UserError("there are no judgments", "mt_bench", "rate the answers first")
    if frame.duplicated(["question_id", "turn", "repeat"]).any() or frame["judge"].nunique() > 1:
        raise UserError("judgments of several models or judges are mixed", "mt_bench", "give one file each")
    frame["rating"] = frame["rating"].astype(float)
    rows = frame.groupby(["question_id", "category", "turn"], sort=True).agg(
        rating=("rating", "mean"),
        repeats=("rating", "count"),
        doc_hash=("question_sha256", "first"),
        target_hash=("answer_sha256", "first"),
        prompt_hash=("fingerprint", "first"),
    )
    return rows.reset_index()


def mean(rows: pd.DataFrame) -> Estimate:
    """Mean of the ratings of some turns with its standard error over questions; what is missing is left out.

    As in FastChat, both turns count alike. They are not independent, so the error is the cluster-robust one with the
    question as the cluster: sqrt(G / (G - 1) * sum_g (sum_i (x_gi - mean))^2) / N, for G questions and N ratings
    (Miller 2024, "Adding error bars to evals", with the usual small-sample factor).
    """
    rated = rows.dropna(subset=["rating"])
    if rated.empty:
        return Estimate(None, None, 0)
    values = rated["rating"].to_numpy()
    value, (_, question) = float(values.mean()), np.unique(rated["question_id"], return_inverse=True)
    error = spread(np.bincount(question, weights=values - value))
    return Estimate(value, None if error is None else error / len(rated), len(rated))


def categories(rows: pd.DataFrame) -> list[str]:
    """The categories of some turns, in FastChat's order."""
    present = set(rows["category"])
    return [c for c in CATEGORIES if c in present] + sorted(present - set(CATEGORIES))


def parts(rows: pd.DataFrame) -> list[Part]:
    """The `parts` of a cell: for each category, then each turn. A rating has neither chance level nor normalised value."""
    groups = [(name, rows[rows["category"] == name]) for name in categories(rows)]
    groups += [(f"turn {turn}", rows[rows["turn"] == turn]) for turn in (1, 2)]
    means = [(task, mean(group)) for task, group in groups]
    return [Part(task, "rating", one.value, one.stderr, chance=None, normalised=None, n=one.n) for task, one in means]


def samples(rows: pd.DataFrame, answers: dict[int, dict]) -> list[dict]:
    """The per-question table of a cell; `answers` by question give the predictions."""
    return [
        {
            "task": row.category,
            "metric": f"turn {row.turn}",
            "doc_id": row.question_id,
            "doc_hash": row.doc_hash,
            "target_hash": row.doc_hash,  # a rating has no target but the question; that of another model pairs with it
            "prompt_hash": row.prompt_hash,
            "prediction": answers[row.question_id]["choices"][0]["turns"][row.turn - 1] if row.question_id in answers else "",
            "correct": None,
            "value": row.rating if row.repeats else None,
            "weight": 1.0,
            "cluster": None,
        }
        for row in rows.itertuples()
    ]


def missing(judgments: Sequence[dict]) -> dict:
    """Count the judgments that hold no rating, or two.

    Returns
    -------
    dict
        judgments, unparsed (the judge's text holds no rating from 1 to 10), failed (no reply), two_readings (the last rating of
        the text is another than the first), and turns_without_rating: [question, turn] pairs for which no repeat holds one.
    """
    rows = ratings(judgments)
    empty = rows.loc[rows["repeats"] == 0, ["question_id", "turn"]]
    return {
        "judgments": len(judgments),
        "unparsed": sum(j["status"] == "unparsed" for j in judgments),
        "failed": sum(j["status"] == "failed" for j in judgments),
        "two_readings": len(two_readings(judgments)),
        "turns_without_rating": empty.to_numpy().tolist(),
    }


def two_readings(judgments: Sequence[dict]) -> list[dict]:
    """Judgments whose last rating is another than their first."""
    return [row for row in judgments if row.get("last_rating") is not None]


def warnings(judgments: Sequence[dict]) -> list[str]:
    """What a reader of the score must know, in words; empty when every turn has one rating."""
    counts = missing(judgments)
    found = []
    if counts["unparsed"]:
        found.append(f"{counts['unparsed']} of {counts['judgments']} judgments hold no rating: left out")
    if counts["failed"]:
        found.append(f"{counts['failed']} of {counts['judgments']} judgments failed: left out")
    if counts["two_readings"]:
        found.append(_second_reading(judgments))
    if counts["turns_without_rating"]:
        found.append(f"{len(counts['turns_without_rating'])} turns have no rating at all")
    return found


def _second_reading(judgments: Sequence[dict]) -> str:
    """How many judgments end with another rating than their first, and what the score would be by the last."""
    differing = two_readings(judgments)
    by_last = mean(ratings([row | {"rating": row.get("last_rating") or row["rating"]} for row in judgments]))
    shown = ", ".join(f"question {row['question_id']} turn {row['turn']}" for row in differing[:3])
    more = ", ..." if len(differing) > 3 else ""
    return (
        f"{len(differing)} of {len(judgments)} judgments end with another rating than the first, which counts as in FastChat"
        f" ({shown}{more}); by the last the score is {by_last.value:.2f}"
    )
