"""Evaluate one batch of benchmarks on one checkpoint, resuming at the first that is not in the answer cache."""

import argparse
import logging
import sys
from pathlib import Path

from edge2giant import errors, failures, records, specs
from edge2giant.errors import UserError
from edge2giant.records.cell import Manifest
from edge2giant.specs.evaluate import EvaluateSpec


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.evaluate", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    batch = commands.add_parser("batch", help="evaluate a batch and write its manifest")
    specs.add_arguments(batch)
    batch.add_argument("--checkpoint", required=True, type=Path, help="its files are held to its record by size")
    batch.add_argument("--copy", type=Path, help="read this copy of it, held to the record by SHA-256 where it is another folder")
    batch.add_argument("--check", choices=("size", "sha256"), default="size", help="how the checkpoint is held to its record")
    batch.add_argument("--store", required=True, type=Path, help="results/store/<source>")
    batch.add_argument("--answer-cache", required=True, type=Path, help="results/answer_cache")
    batch.add_argument("--failures", required=True, type=Path, help="results/failures: a failure leaves its reason there")
    batch.add_argument("--cache", required=True, type=Path, help="folder for the libraries' caches")
    batch.add_argument("--parallel", default="1x1", help="tensor-parallel by pipeline-parallel size, such as 8x2")
    batch.add_argument("--planned", default="-", help="memory settings that the plan assumes, NAME=VALUE,...; - for none")
    batch.add_argument("--out", required=True, type=Path, help="manifest to write, last")
    batch.set_defaults(run=evaluate)
    answers = commands.add_parser("answers", help="copy a batch's answers to a judged benchmark out of the answer cache")
    answers.add_argument("--benchmark", required=True)
    answers.add_argument("--manifest", required=True, type=Path)
    answers.add_argument("--answer-cache", required=True, type=Path)
    answers.add_argument("--out", required=True, type=Path)
    answers.set_defaults(run=copy_answers)
    return top


def evaluate(args: argparse.Namespace) -> None:
    """Run the batch; a failure leaves a record of its reason."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("edge2giant").setLevel(logging.INFO)
    spec = specs.of_arguments(args, EvaluateSpec)
    with failures.recorded(args.failures, spec.study, spec.variant, "evaluate"):
        from edge2giant.evaluate import batch
        from edge2giant.evaluate.answer_cache import AnswerCache

        store = args.store.resolve()
        batch.offline_environment(store, args.cache.resolve())
        cache = AnswerCache(args.answer_cache.resolve())
        checkpoint = args.checkpoint.resolve()
        copy = args.copy.resolve() if args.copy and args.copy.resolve() != checkpoint else None
        job = batch.Batch(spec, checkpoint, store, cache, copy, args.check == "sha256", args.parallel, args.planned)
        records.write(args.out, batch.run(job))


def copy_answers(args: argparse.Namespace) -> None:
    """Copy answers in FastChat's format, so that its tools read them."""
    manifest = records.read(args.manifest, Manifest)
    if args.benchmark not in manifest.entries:
        raise UserError(f"holds no {args.benchmark}", args.manifest, "name the manifest of a batch with it")
    answers = args.answer_cache / manifest.entries[args.benchmark] / "answers.jsonl"
    if not answers.is_file():
        raise UserError("is gone from the answer cache", answers, f"delete {args.manifest} and run the same command again")
    records.write_text(args.out, answers.read_text(encoding="utf-8"))


def main() -> None:
    args = parser().parse_args()
    args.run(args)


if __name__ == "__main__":
    sys.exit(errors.run(main))
