"""Evaluate one batch of benchmarks on one checkpoint, resuming at the first that is not in the answer cache."""

import argparse
import logging
import sys
from pathlib import Path

from edge2giant import divergence, errors, failures, records, specs
from edge2giant.errors import UserError
from edge2giant.records.cell import Manifest
from edge2giant.records.divergence import ReferenceRecord
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
    batch.add_argument("--references", type=Path, nargs="*", default=[], help="records of the unquantized model's distributions")
    batch.add_argument("--out", required=True, type=Path, help="manifest to write, last")
    batch.set_defaults(run=evaluate)
    answers = commands.add_parser("answers", help="copy a batch's answers to a judged benchmark out of the answer cache")
    answers.add_argument("--benchmark", required=True)
    answers.add_argument("--manifest", required=True, type=Path)
    answers.add_argument("--answer-cache", required=True, type=Path)
    answers.add_argument("--out", required=True, type=Path)
    answers.set_defaults(run=copy_answers)
    reference = commands.add_parser("reference", help="record where a batch's entry has the unquantized model's distributions")
    reference.add_argument("--benchmark", required=True)
    reference.add_argument("--manifest", required=True, type=Path)
    reference.add_argument("--answer-cache", required=True, type=Path)
    reference.add_argument("--out", required=True, type=Path)
    reference.set_defaults(run=record_reference)
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
        references = {one.benchmark: one for one in (records.read(path, ReferenceRecord) for path in args.references)}
        copy = args.copy.resolve() if args.copy and args.copy.resolve() != checkpoint else None
        job = batch.Batch(spec, checkpoint, store, cache, copy, args.check == "sha256", args.parallel, args.planned, references)
        unfinished = args.out.with_suffix(".unfinished.json")
        records.write(args.out, batch.run(job, lambda manifest: records.write(unfinished, manifest)))
        unfinished.unlink(missing_ok=True)


def copy_answers(args: argparse.Namespace) -> None:
    """Copy answers in FastChat's format, so that its tools read them."""
    records.write_text(args.out, _entry_file(args, "answers.jsonl")[1].read_text(encoding="utf-8"))


def record_reference(args: argparse.Namespace) -> None:
    """Record the distributions that the unquantized model's batch computed; they stay in the answer cache."""
    manifest, path = _entry_file(args, divergence.REFERENCE)
    fingerprint, sha256 = manifest.entries[args.benchmark], records.file_sha256(path)
    size = path.stat().st_size
    records.write(args.out, ReferenceRecord(1, manifest.study, manifest.model, args.benchmark, fingerprint, sha256, size))


def _entry_file(args: argparse.Namespace, name: str) -> tuple[Manifest, Path]:
    """The manifest, and a file of its benchmark's entry in the answer cache."""
    manifest = records.read(args.manifest, Manifest)
    if args.benchmark not in manifest.entries:
        raise UserError(f"holds no {args.benchmark}", args.manifest, "name the manifest of a batch with it")
    path = args.answer_cache / manifest.entries[args.benchmark] / name
    if not path.is_file():
        raise UserError("is gone from the answer cache", path, f"delete {args.manifest} and run the same command again")
    return manifest, path


def main() -> None:
    args = parser().parse_args()
    args.run(args)


if __name__ == "__main__":
    sys.exit(errors.run(main))
