"""Assemble a cell record out of an entry of the answer cache."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.records.cell import (
    AggregationRecord,
    CacheEntry,
    CellIdentity,
    CellRecord,
    Manifest,
    PaperValue,
    Part,
    SampleTable,
)
from edge2giant.scoring import samples
from edge2giant.scoring.aggregation import Aggregation, Estimate, mean_of_metrics, weighted_mean
from edge2giant.specs.score import LmEvalMetric, ScoreSpec

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Score:
    """The score of a cell with what it was computed from."""

    estimate: Estimate
    parts: list[Part]
    rows: list[dict]
    aggregation: Aggregation
    warnings: list[str] = field(default_factory=list)
    chance: float = 0.0


def aggregation_of(spec: ScoreSpec) -> Aggregation:
    """How the spec's benchmark is aggregated."""
    chances = {task: 1 / n if n and spec.normalise else 0.0 for task, n in sorted(spec.tasks.items())}
    return Aggregation(spec.aggregation == "mean", chances, clip=spec.clip and spec.normalise)


def chance_of(spec: ScoreSpec, aggregation: Aggregation) -> float:
    """The score of guessing."""
    guessed = {task: (1 / n if n else spec.chance or 0.0) for task, n in sorted(spec.tasks.items())}
    return max(0.0, float(aggregation.score(guessed, dict.fromkeys(guessed, 1.0))))


def score_tasks(folder: Path, spec: ScoreSpec) -> Score:
    """Score the lm-eval tasks of a benchmark by its entry of the answer cache.

    Raises
    ------
    UserError
        If the samples do not give the mean that lm-eval reports.
    """
    aggregation = aggregation_of(spec)
    rows = samples.read(folder, list(spec.tasks), spec.metrics, spec.groupings)
    estimates, parts = {}, []
    for task, choices in sorted(spec.tasks.items()):
        columns = [column(rows, task, metric.name) for metric in spec.metrics]
        for metric, (values, weights) in zip(spec.metrics, columns, strict=True):
            check_mean(folder, task, metric, values, weights)
            parts.append(part(task, metric.name, weighted_mean(values, weights), choices, aggregation))
        estimates[task] = mean_of_metrics(columns)
    return Score(aggregation.estimate(estimates), parts, rows, aggregation, chance=chance_of(spec, aggregation))


def column(rows: list[dict], task: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and weights of one metric of one task, aligned by document, each of shape (n,)."""
    chosen = [row for row in rows if row["task"] == task and row["metric"] == metric]
    return np.array([row["value"] for row in chosen]), np.array([row["weight"] for row in chosen])


def check_mean(folder: Path, task: str, metric: LmEvalMetric, values: np.ndarray, weights: np.ndarray) -> None:
    """Refuse samples whose mean is not lm-eval's own."""
    ours, theirs = float(np.sum(values * weights) / np.sum(weights)), samples.lm_eval_mean(folder, task, metric)
    if abs(ours - theirs) > TOLERANCE:
        what = f"{task}: samples give {metric.name} {ours}, results.json {theirs}"
        raise UserError(what, folder, "delete the entry and run again")


def part(task: str, metric: str, estimate: Estimate, choices: int | None, aggregation: Aggregation) -> Part:
    """One line of a cell's `parts`."""
    return Part(
        task,
        metric,
        raw=estimate.value,
        stderr=estimate.stderr,
        chance=1 / choices if choices else None,
        normalised=float(aggregation.normalised(task, estimate.value, aggregation.clip)),
        n=estimate.n,
    )


def assemble(spec: ScoreSpec, manifest: Manifest, entry: CacheEntry, score: Score, table: Path) -> CellRecord:
    """Return the cell record; the sample table must have been written to `table`."""
    estimate, printed = score.estimate, spec.printed
    return CellRecord(
        schema=1,
        cell=CellIdentity(
            study=spec.study,
            **asdict(spec.variant),
            toolkit=spec.toolkit,
            benchmark=spec.benchmark,
            suite=spec.suite,
            protocol=spec.protocol,
            stack=spec.stack,
        ),
        score=estimate.value,
        stderr=estimate.stderr,
        n=estimate.n,
        chance=score.chance,
        unit="rating" if spec.judged else "percent",
        parts=tuple(score.parts),
        aggregation=AggregationRecord(**asdict(score.aggregation)),
        published=printed and PaperValue(printed.value, estimate.value - float(printed.value), printed.place),
        samples=SampleTable(table.as_posix(), records.file_sha256(table), len(score.rows)),
        checkpoint=manifest.checkpoint,
        cost=entry.cost,
        engine=entry.engine,
        provenance=entry.provenance,
        warnings=(*entry.warnings, *score.warnings),
    )
