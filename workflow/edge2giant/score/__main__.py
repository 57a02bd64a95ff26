"""Write one cell: its record and, beside it, its per-sample table."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, grid, jsonl, records
from edge2giant.errors import UserError
from edge2giant.score import cell as cells
from edge2giant.score import samples


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.score", description=__doc__)
    for name in ("study", "model", "method", "bits", "benchmark"):
        top.add_argument(f"--{name}", required=True)
    top.add_argument("--manifest", required=True, type=Path, help="manifest of the evaluation batch")
    top.add_argument("--answer-cache", required=True, type=Path)
    top.add_argument("--judgments", type=Path, help="for mt_bench: the judge's ratings")
    top.add_argument("--out", required=True, type=Path)
    top.add_argument("--samples", required=True, type=Path)
    return top


def main() -> None:
    args = parser().parse_args()
    house = grid.load()
    cell = grid.Cell(args.study, args.model, args.method, args.bits, args.benchmark)
    if cell.benchmark == "mt_bench" and args.judgments is None:
        raise UserError("mt_bench needs the judge's ratings", "--judgments", "name judgments.jsonl")
    manifest = records.read_json(args.manifest, "manifest")
    if cell.benchmark not in manifest["entries"]:
        raise UserError(f"holds no {cell.benchmark}", args.manifest, f"delete {args.manifest} and run again")
    folder = args.answer_cache / manifest["entries"][cell.benchmark]
    if not (folder / "entry.json").exists():
        raise UserError("is gone from the answer cache", folder, f"delete {args.manifest} and run the same command again")
    entry = records.read_json(folder / "entry.json", "entry")
    if cell.benchmark == "mt_bench":
        score = score_judgments(args.judgments, folder / "answers.jsonl")
    else:
        score = cells.score_tasks(folder, house.scoring(house.study(cell.study), cell.benchmark))
    samples.write(args.samples, score.rows)
    records.write_json(args.out, cells.assemble(house, cell, manifest, entry, score, args.samples), "cell")


def score_judgments(path: Path | None, answers: Path) -> cells.Score:
    """MT-Bench: the mean of the judge's ratings."""
    from edge2giant.judge import score as ratings

    if path is None:
        raise UserError("mt_bench needs --judgments", "command line")
    judgments = list(jsonl.read(path, "judgment"))
    by_question = {answer["question_id"]: answer for answer in jsonl.read(answers, "answer")}
    value, stderr, n, parts, table = ratings.mt_bench_parts(judgments, by_question)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return cells.Score(cells.leaderboard.Estimate(value, stderr, n), parts, rows, ratings.warnings(judgments))


if __name__ == "__main__":
    sys.exit(errors.run(main))
