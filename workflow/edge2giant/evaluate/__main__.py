"""Evaluate one batch of benchmarks on one checkpoint, resuming at the first that is not in the answer cache."""

import argparse
import logging
import sys
from pathlib import Path

from edge2giant import errors, failures, grid, records
from edge2giant.errors import UserError
from edge2giant.evaluate.settings import settings_digest


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.evaluate", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    batch = commands.add_parser("batch", help="evaluate a batch and write its manifest")
    for name in ("study", "model", "method", "bits", "batch"):
        batch.add_argument(f"--{name}", required=True)
    batch.add_argument("--benchmarks", required=True, nargs="+", help="in the order to run them")
    batch.add_argument("--settings", required=True, help="digest of their settings, as `snakemake -p` prints it")
    batch.add_argument("--checkpoint", required=True, type=Path)
    batch.add_argument("--store", required=True, type=Path, help="results/store/<source>")
    batch.add_argument("--answer-cache", required=True, type=Path)
    batch.add_argument("--failures", required=True, type=Path, help="results/failures: a failure leaves its reason there")
    batch.add_argument("--cache", required=True, type=Path, help="folder for the libraries' caches")
    batch.add_argument(
        "--parallel", default="1x1", metavar="GPUSxNODES", help="tensor-parallel by pipeline-parallel size, such as 8x2"
    )
    batch.add_argument(
        "--planned",
        default="-",
        metavar="NAME=VALUE,...",
        help="memory that the plan counts on, in the engine's settings; - for none",
    )
    batch.add_argument("--out", required=True, type=Path, help="manifest to write, last")
    batch.set_defaults(run=evaluate)
    answers = commands.add_parser("answers", help="copy a batch's MT-Bench answers out of the answer cache")
    answers.add_argument("--manifest", required=True, type=Path)
    answers.add_argument("--answer-cache", required=True, type=Path)
    answers.add_argument("--out", required=True, type=Path)
    answers.set_defaults(run=copy_answers)
    return top


def evaluate(args: argparse.Namespace) -> None:
    """Run the batch; a failure leaves a record of its reason."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("edge2giant").setLevel(logging.INFO)
    row = grid.Row(args.model, args.method, args.bits)
    with failures.recorded(args.failures, args.study, row, "evaluate"):
        house = grid.load()
        study = house.study(args.study)
        if args.settings != settings_digest(house, study, row, args.benchmarks):
            raise UserError("the config has changed since this job was planned", args.out, "run snakemake again")
        from edge2giant.evaluate import batch
        from edge2giant.evaluate.answer_cache import AnswerCache

        batch.offline_environment(args.store.resolve(), args.cache.resolve())
        checkpoint, store, cache = (path.resolve() for path in (args.checkpoint, args.store, args.answer_cache))
        asked = batch.Batch(
            house, study, row, args.benchmarks, checkpoint, store, AnswerCache(cache), args.parallel, args.planned
        )
        manifest = batch.run(asked)
        records.write_json(args.out, manifest | {"batch": args.batch}, "manifest")


def copy_answers(args: argparse.Namespace) -> None:
    """Copy answers in FastChat's format, so that its tools read them."""
    manifest = records.read_json(args.manifest, "manifest")
    if "mt_bench" not in manifest["entries"]:
        raise UserError("holds no mt_bench", args.manifest, "name the manifest of a batch that asks MT-Bench")
    answers = args.answer_cache / manifest["entries"]["mt_bench"] / "answers.jsonl"
    if not answers.is_file():
        raise UserError("is gone from the answer cache", answers, f"delete {args.manifest} and run the same command again")
    with records.atomic(args.out) as stream:
        stream.write(answers.read_text(encoding="utf-8"))


def main() -> None:
    args = parser().parse_args()
    args.run(args)


if __name__ == "__main__":
    sys.exit(errors.run(main))
