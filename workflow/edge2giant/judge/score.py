"""Mean ratings with their standard errors, as FastChat shows them: overall, by turn, by category."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from edge2giant.errors import UserError
from edge2giant.mt_bench import CATEGORIES

METRIC = "rating"


def ratings(judgments: Sequence[dict]) -> pd.DataFrame:
    """Return one row for each turn of each question, with the mean of its repeats.

    Parameters
    ----------
    judgments : sequence of dict
        Rows of judgments.jsonl of one model by one judge.

    Returns
    -------
    DataFrame
        question_id, category, turn, rating (1 to 10; NaN if no repeat holds a rating), repeats (with a
        rating), missing (repeats without), doc_hash, target_hash, prompt_hash; sorted by question and turn.

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
        all=("rating", "size"),
        doc_hash=("question_sha256", "first"),
        target_hash=("answer_sha256", "first"),
        prompt_hash=("fingerprint", "first"),
    )
    rows["missing"] = rows.pop("all") - rows["repeats"]
    return rows.reset_index()


def mean_and_stderr(values: Sequence[float], questions: Sequence[int]) -> tuple[float | None, float | None, int]:
    """Mean of ratings and its standard error over questions.

    The two turns of a question are not independent, so the error is the cluster-robust one with the
    question as the cluster: sqrt(G / (G - 1) * sum_g (sum_i (x_gi - mean))^2) / N, for G questions and N
    ratings (Miller 2024, "Adding error bars to evals", with the usual small-sample factor).

    Parameters
    ----------
    values : sequence of float, shape (N,)
        Ratings; NaN is left out.
    questions : sequence of int, shape (N,)
        Question of each rating.

    Returns
    -------
    mean, stderr : float or None
        None where there are no ratings; stderr None for a single question.
    n : int
        Ratings used.
    """
    values, questions = np.asarray(values, dtype=float), np.asarray(questions)
    kept = ~np.isnan(values)
    values, questions = values[kept], questions[kept]
    if not values.size:
        return None, None, 0
    mean = float(values.mean())
    _, cluster = np.unique(questions, return_inverse=True)
    sums = np.bincount(cluster, weights=values - mean)
    if sums.size < 2:
        return mean, None, int(values.size)
    factor = sums.size / (sums.size - 1)
    return mean, math.sqrt(factor * float(np.square(sums).sum())) / values.size, int(values.size)


def mt_bench_parts(judgments: Sequence[dict], answers: dict[int, dict] | None = None):
    """Score one model's judgments for its cell.

    As in FastChat, the score is the mean of all ratings of both turns; ratings that are missing are left
    out of it, and counted by `missing`. With several repeats each turn counts once, with the mean of its
    repeats.

    Parameters
    ----------
    judgments : sequence of dict
        Rows of judgments.jsonl.
    answers : dict of int to dict, optional
        Answers by question, for the `prediction` column.

    Returns
    -------
    score : float or None
        Mean rating, 1 to 10.
    stderr : float or None
        Its standard error over questions.
    n : int
        Rated turns.
    parts : list of dict
        For each category, then "turn 1" and "turn 2": task, metric, raw (mean rating), stderr, chance and
        normalised (None: ratings have neither), n.
    samples : DataFrame
        One row for each turn of each question: task (category), metric ("turn 1" | "turn 2"), doc_id,
        doc_hash, target_hash, prompt_hash, prediction, correct (None), value (rating, NaN if missing),
        weight.
    """
    rows = ratings(judgments)
    score, stderr, n = mean_and_stderr(rows["rating"], rows["question_id"])
    known = [c for c in CATEGORIES if c in set(rows["category"])]
    names = known + sorted(set(rows["category"]) - set(known))
    parts = [_part(name, rows[rows["category"] == name]) for name in names]
    parts += [_part(f"turn {turn}", rows[rows["turn"] == turn]) for turn in (1, 2)]
    return score, stderr, n, parts, samples(rows, answers)


def _part(task: str, rows: pd.DataFrame) -> dict:
    mean, stderr, n = mean_and_stderr(rows["rating"], rows["question_id"])
    return {
        "task": task,
        "metric": METRIC,
        "raw": mean,
        "stderr": stderr,
        "chance": None,
        "normalised": None,
        "n": n,
    }


def samples(rows: pd.DataFrame, answers: dict[int, dict] | None) -> pd.DataFrame:
    """Return the per-question table of a cell from the rows of `ratings`."""
    answers = answers or {}
    predictions = [_prediction(answers, q, t) for q, t in zip(rows["question_id"], rows["turn"], strict=True)]
    return pd.DataFrame(
        {
            "task": rows["category"].astype(str),
            "metric": [f"turn {turn}" for turn in rows["turn"]],
            "doc_id": rows["question_id"].astype("int64"),
            "doc_hash": rows["doc_hash"],
            "target_hash": rows["doc_hash"],  # a rating has no target but the question; that of another model pairs with it
            "prompt_hash": rows["prompt_hash"],
            "prediction": predictions,
            "correct": pd.array([None] * len(rows), dtype="boolean"),
            "value": rows["rating"].astype(float),
            "weight": 1.0,
        }
    )


def _prediction(answers: dict[int, dict], question: int, turn: int) -> str:
    return answers[question]["choices"][0]["turns"][turn - 1] if question in answers else ""


def missing(judgments: Sequence[dict]) -> dict:
    """Count the judgments that hold no rating.

    Returns
    -------
    dict
        judgments, unparsed (the judge's text holds no rating from 1 to 10), failed (no reply),
        and turns_without_rating: [question, turn] pairs for which no repeat holds one.
    """
    rows = ratings(judgments)
    empty = rows.loc[rows["repeats"] == 0, ["question_id", "turn"]]
    return {
        "judgments": len(judgments),
        "unparsed": sum(j["status"] == "unparsed" for j in judgments),
        "failed": sum(j["status"] == "failed" for j in judgments),
        "turns_without_rating": empty.to_numpy().tolist(),
    }


def warnings(judgments: Sequence[dict]) -> list[str]:
    """What a reader of the score must know, in words; empty when every turn is rated."""
    counts = missing(judgments)
    found = []
    if counts["unparsed"]:
        found.append(f"{counts['unparsed']} of {counts['judgments']} judgments hold no rating: left out")
    if counts["failed"]:
        found.append(f"{counts['failed']} of {counts['judgments']} judgments failed: left out")
    if counts["turns_without_rating"]:
        found.append(f"{len(counts['turns_without_rating'])} turns have no rating at all")
    return found
