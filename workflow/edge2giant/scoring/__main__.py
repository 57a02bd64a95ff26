"""Write one cell: its record and, beside it, its per-sample table."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, specs
from edge2giant.scoring.make import make_cell
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
    make_cell(specs.of_arguments(args, ScoreSpec), args.manifest, args.answer_cache, args.judgments, args.out, args.samples)


if __name__ == "__main__":
    sys.exit(errors.run(main))
