"""Assemble a cell record out of an entry of the answer cache."""

import math
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
    chance: float | None = 0.0


def aggregation_of(spec: ScoreSpec) -> Aggregation:
    """How the spec's benchmark is aggregated."""
    chances = {task: 1 / n if n and spec.normalise else 0.0 for task, n in sorted(spec.tasks.items())}
    if spec.unit == "perplexity":
        return Aggregation(spec.aggregation == "mean", chances, scale=1.0, exponential=True)
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
    metrics = (*spec.metrics, *spec.also)
    rows = samples.read(folder, list(spec.tasks), metrics, spec.groupings, weighted=aggregation.exponential)
    estimates, parts = {}, []
    for task, choices in sorted(spec.tasks.items()):
        columns = [column(rows, task, metric.name) for metric in metrics]
        for metric, (values, weights) in zip(metrics, columns, strict=True):
            found = weighted_mean(values, weights)
            check_mean(folder, task, metric, math.exp(found.value) if aggregation.exponential else found.value)
            parts.append(part(task, metric.name, found, choices, aggregation))
        estimates[task] = mean_of_metrics(columns[: len(spec.metrics)])
    scored = {metric.name for metric in spec.metrics}
    rows = [row for row in rows if row["metric"] in scored]
    chance = None if aggregation.exponential else chance_of(spec, aggregation)
    return Score(aggregation.estimate(estimates), parts, rows, aggregation, chance=chance)


def column(rows: list[dict], task: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and weights of one metric of one task, aligned by document, each of shape (n,)."""
    chosen = [row for row in rows if row["task"] == task and row["metric"] == metric]
    return np.array([row["value"] for row in chosen]), np.array([row["weight"] for row in chosen])


def check_mean(folder: Path, task: str, metric: LmEvalMetric, ours: float) -> None:
    """Refuse samples whose mean is not lm-eval's own."""
    theirs = samples.lm_eval_mean(folder, task, metric)
    if not math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        what = f"{task}: samples give {metric.name} {ours}, results.json {theirs}"
        raise UserError(what, folder, "delete the entry and run again")


def part(task: str, metric: str, estimate: Estimate, choices: int | None, aggregation: Aggregation) -> Part:
    """One line of a cell's `parts`."""
    score = float(aggregation.normalised(task, estimate.value, aggregation.clip))
    raw, stderr = estimate.value, estimate.stderr
    if aggregation.exponential:
        raw, stderr = score, None if stderr is None else stderr * score
    return Part(
        task,
        metric,
        raw=raw,
        stderr=stderr,
        chance=1 / choices if choices else None,
        normalised=score,
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
        unit=spec.unit,
        parts=tuple(score.parts),
        aggregation=AggregationRecord(**asdict(score.aggregation) | {"exponential": score.aggregation.exponential or None}),
        published=printed and PaperValue(printed.value, estimate.value - float(printed.value), printed.place),
        samples=SampleTable(table.as_posix(), records.file_sha256(table), len(score.rows)),
        checkpoint=manifest.checkpoint,
        cost=entry.cost,
        engine=entry.engine,
        provenance=entry.provenance,
        warnings=(*entry.warnings, *score.warnings),
        lower_is_better=spec.lower_is_better or None,
    )
