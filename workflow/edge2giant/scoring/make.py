"""Make a cell: its record and its per-sample table, out of a manifest, the answer cache and the judge's ratings."""

from pathlib import Path

from edge2giant import jsonl, records
from edge2giant.errors import UserError
from edge2giant.mt_bench import CATEGORIES
from edge2giant.records.cell import CacheEntry, Manifest
from edge2giant.records.mt_bench import Answer, Judgment
from edge2giant.scoring import cell, divergence, samples
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.specs.score import ScoreSpec


def make_cell(spec: ScoreSpec, listed: Path, answer_cache: Path, judgments: list[Path], out: Path, table: Path) -> None:
    """Write the record of a cell to `out` and its per-sample table to `table`; `listed` is the manifest that lists its answers.

    Raises
    ------
    UserError
        If the manifest does not list the benchmark, or its answers are gone or do not give lm-eval's own mean.
    """
    manifest = records.read(listed, Manifest)
    if spec.benchmark not in manifest.entries:
        raise UserError(f"does not list {spec.benchmark}", listed, f"delete {listed} and run again")
    folder = answer_cache / manifest.entries[spec.benchmark]
    if not (folder / "entry.json").exists():
        raise UserError("is gone from the answer cache", folder, f"delete {listed} and run the same command again")
    entry = records.read(folder / "entry.json", CacheEntry)
    score = score_of(spec, folder, judgments)
    samples.write(table, score.rows)
    records.write(out, cell.assemble(spec, manifest, entry, score, table))


def score_of(spec: ScoreSpec, folder: Path, judgments: list[Path]) -> cell.Score:
    """Score a benchmark by its entry of the answer cache, in the way that it is scored."""
    if spec.judged:
        return score_judgments(judgments, folder, spec)
    return divergence.score(folder, spec.benchmark) if spec.divergence else cell.score_tasks(folder, spec)


def score_judgments(paths: list[Path], folder: Path, spec: ScoreSpec) -> cell.Score:
    """MT-Bench: the mean of the judge's ratings."""
    from edge2giant.judge import score as ratings

    if not paths:
        raise UserError("needs the judge's ratings", "--judgments", "name the study's judgments/<variant>.jsonl")
    judgments = [judgment for path in paths for judgment in jsonl.read(path, Judgment)]
    by_question = {answer["question_id"]: answer for answer in jsonl.read(folder / "answers.jsonl", Answer)}
    rows = ratings.ratings(judgments)
    aggregation = Aggregation(macro=False, chances=dict.fromkeys(CATEGORIES, 0.0), scale=1.0)
    table = ratings.samples(rows, by_question)
    warnings, chance = ratings.warnings(judgments), spec.chance or 0.0
    return cell.Score(ratings.mean(rows), ratings.parts(rows), table, aggregation, warnings, chance)
