"""Write one cell: its record and, beside it, its per-sample table."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, jsonl, records, specs
from edge2giant.errors import UserError
from edge2giant.mt_bench import CATEGORIES
from edge2giant.records.cell import CacheEntry, Manifest
from edge2giant.records.mt_bench import Answer, Judgment
from edge2giant.scoring import cell, divergence, samples
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.specs.score import ScoreSpec


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.scoring", description=__doc__)
    specs.add_arguments(top)
    top.add_argument("--manifest", required=True, type=Path, help="manifest of the evaluation batch")
    top.add_argument("--answer-cache", required=True, type=Path, help="results/answer_cache")
    top.add_argument("--judgments", type=Path, nargs="*", default=[], help="the judge's ratings, of a judged benchmark")
    top.add_argument("--out", required=True, type=Path, help="record to write")
    top.add_argument("--samples", required=True, type=Path, help="per-sample table to write")
    return top


def main() -> None:
    args = parser().parse_args()
    spec = specs.of_arguments(args, ScoreSpec)
    manifest = records.read(args.manifest, Manifest)
    if spec.benchmark not in manifest.entries:
        raise UserError(f"does not list {spec.benchmark}", args.manifest, f"delete {args.manifest} and run again")
    folder = args.answer_cache / manifest.entries[spec.benchmark]
    if not (folder / "entry.json").exists():
        raise UserError("is gone from the answer cache", folder, f"delete {args.manifest} and run the same command again")
    entry = records.read(folder / "entry.json", CacheEntry)
    score = score_of(spec, folder, args.judgments)
    samples.write(args.samples, score.rows)
    records.write(args.out, cell.assemble(spec, manifest, entry, score, args.samples))


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


if __name__ == "__main__":
    sys.exit(errors.run(main))
