"""Assemble a cell record out of an entry of the answer cache."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge2giant import grid, records
from edge2giant.errors import UserError
from edge2giant.score import leaderboard, samples

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Score:
    """What a cell says of its answers: an estimate on the paper's scale, its parts and its sample rows."""

    estimate: leaderboard.Estimate
    parts: list[dict]
    rows: list[dict]
    warnings: list[str] = field(default_factory=list)


def score_tasks(folder: Path, scoring: dict) -> Score:
    """Score the lm-eval tasks of one benchmark.

    Parameters
    ----------
    folder : path
        Journal entry.
    scoring : dict
        `House.scoring(study, benchmark)`.

    Raises
    ------
    UserError
        If the samples do not give the mean that lm-eval reports.
    """
    rows = samples.read(folder, list(scoring["tasks"]), scoring["metrics"])
    estimates, parts = {}, []
    for task, choices in sorted(scoring["tasks"].items()):
        columns = [column(rows, task, metric["name"]) for metric in scoring["metrics"]]
        for metric, (values, weights) in zip(scoring["metrics"], columns, strict=True):
            check_mean(folder, task, metric, values, weights)
            parts.append(part(task, metric["name"], leaderboard.weighted_mean(values, weights), choices, scoring))
        estimates[task] = leaderboard.mean_of_metrics(columns)
    return Score(aggregate(estimates, scoring), parts, rows)


def column(rows: list[dict], task: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and weights of one metric of one task, aligned by document, each of shape (n,)."""
    chosen = [row for row in rows if row["task"] == task and row["metric"] == metric]
    return np.array([row["value"] for row in chosen]), np.array([row["weight"] for row in chosen])


def check_mean(folder: Path, task: str, metric: dict, values: np.ndarray, weights: np.ndarray) -> None:
    """Refuse samples whose mean is not lm-eval's own."""
    ours, theirs = (
        float(np.sum(values * weights) / np.sum(weights)),
        samples.lm_eval_mean(folder, task, metric),
    )
    if abs(ours - theirs) > TOLERANCE:
        raise UserError(
            f"{task}: samples give {metric['name']} {ours}, results.json {theirs}",
            folder,
            "delete the entry and run again",
        )


def part(task: str, metric: str, estimate: leaderboard.Estimate, choices: int | None, scoring: dict) -> dict:
    """One line of a cell's `parts`."""
    chance = 1 / choices if choices else None
    lower = chance if scoring["normalise"] and chance else 0.0
    return {
        "task": task,
        "metric": metric,
        "raw": estimate.value,
        "stderr": estimate.stderr,
        "chance": chance,
        "normalised": leaderboard.normalise(estimate, lower, scoring["clip"]).value,
        "n": estimate.n,
    }


def aggregate(estimates: dict[str, leaderboard.Estimate], scoring: dict) -> leaderboard.Estimate:
    """One score out of subtasks. An unweighted mean is taken after normalising each, a weighted one before."""
    chances = {task: 1 / n if n and scoring["normalise"] else 0.0 for task, n in scoring["tasks"].items()}
    if scoring["aggregation"] == "mean":
        normalised = [leaderboard.normalise(e, chances[task], scoring["clip"]) for task, e in estimates.items()]
        return leaderboard.mean_of_tasks(normalised)
    whole = leaderboard.size_weighted(list(estimates.values())) if len(estimates) > 1 else next(iter(estimates.values()))
    if len(set(chances.values())) > 1:
        raise UserError("subtasks of unlike chance need `aggregation: mean`", "config/benchmarks.yaml", None)
    return leaderboard.normalise(whole, next(iter(chances.values())), scoring["clip"])


def published(config: Path, row: grid.Row, benchmark: str, score: float) -> dict | None:
    """The printed value of a cell and the difference of `score` from it, or None where the paper has none."""
    with (config / "published/scores.csv").open(encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            method = line["method"] + (f"-{line['toolkit']}" if line["method"] == "gptq" else "")
            bits = f"w{line['w_bits']}a{line['a_bits']}"
            if (line["model"], method, bits, line["benchmark"]) == (*grid.astuple(row), benchmark):
                difference = score - float(line["value"])
                return {"value": line["value"], "difference": difference, "place": f"Table {line['table']}"}
    return None


def assemble(house: grid.House, cell: grid.Cell, index: dict, entry: dict, score: Score, table: Path) -> dict:
    """Return the cell record; the sample table must have been written to `table`."""
    study = house.study(cell.study)
    estimate, suite = score.estimate, house.benchmarks[cell.benchmark]["suite"]
    return {
        "schema": 1,
        "cell": {
            "study": cell.study,
            "model": cell.model,
            "method": cell.method,
            "toolkit": house.toolkit(cell.row),
            "bits": cell.bits,
            "benchmark": cell.benchmark,
            "suite": suite,
            "protocol": study.protocol,
            "stack": study.stack,
        },
        "score": estimate.value,
        "stderr": estimate.stderr,
        "n": estimate.n,
        "unit": "rating" if suite == "mt_bench" else "percent",
        "parts": score.parts,
        "published": published(house.root / "config", cell.row, cell.benchmark, estimate.value),
        "samples": {"path": table.as_posix(), "sha256": records.file_sha256(table), "rows": len(score.rows)},
        "checkpoint": index["checkpoint"],
        "cost": entry["cost"],
        "engine": entry["engine"],
        "provenance": entry["provenance"],
        "warnings": entry["warnings"] + score.warnings,
    }
