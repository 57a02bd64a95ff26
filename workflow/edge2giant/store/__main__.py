"""Fetch models and data into the store at locked revisions, verify a store, compare calibration text with benchmarks."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, records, specs, store
from edge2giant.errors import UserError
from edge2giant.specs.acquire import AcquireSpec, FetchSpec, SourceService
from edge2giant.store import acquire, overlap, sources, survey


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.store", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fetching = commands.add_parser("fetch", help="fetch one piece and lock it")
    planning = commands.add_parser("survey", help="say what a study will fetch: repositories, access, bytes and disk")
    for command, run in ((fetching, fetch), (planning, survey_study)):
        specs.add_arguments(command)
        command.add_argument("--store", required=True, type=Path, help="results/store/<source>")
        command.add_argument("--pins", type=Path, help="folder of the committed locks: kept to, or else written")
        command.add_argument("--source", type=Path, help="results/services/acquire.json: mirror, token file, models")
        command.set_defaults(run=run)
    planning.add_argument("--out", type=Path, help="JSON to write")
    verify = commands.add_parser("verify", help="check that files are those of their locks")
    verify.add_argument("locks", nargs="+", type=Path)
    verify.add_argument("--pins", type=Path, help="folder of the committed locks, to compare with")
    verify.add_argument("--store", type=Path, help="folder that the committed locks' paths start from")
    verify.set_defaults(run=verify_locks)
    overlap_ = commands.add_parser("overlap", help="compare calibration text with the documents of benchmarks")
    overlap_.add_argument("--calibration", nargs="+", type=Path, required=True, help="locks of calibration sets")
    overlap_.add_argument("--datasets", nargs="+", type=Path, required=True, help="locks of benchmarks' data sets")
    overlap_.add_argument("--out", type=Path, required=True)
    overlap_.set_defaults(run=lambda args: overlap.report(args.calibration, args.datasets, args.out))
    return top


def source(args: argparse.Namespace) -> SourceService:
    return specs.read_service(args.source, SourceService) if args.source else SourceService()


def fetch(args: argparse.Namespace) -> None:
    piece = specs.of_arguments(args, FetchSpec)
    service = source(args)
    expected = service.models.get(piece.name) if piece.folder == f"models/{piece.name}" else None
    committed = not service.locks or (args.pins and (args.pins / piece.lock).exists())
    pins = args.pins if committed else Path(service.locks)
    pins = None if expected and expected.folder else pins  # its revision is a digest of its content
    acquire.acquire(piece, sources.choose(service)(piece), args.store, pins, expected)


def survey_study(args: argparse.Namespace) -> None:
    """Print what a study will fetch and write it, or stop naming all that cannot be fetched."""
    spec = specs.of_arguments(args, AcquireSpec)
    wanted = survey.pending(spec, args.store)
    source_of = sources.choose(source(args)) if wanted else None
    items, refused = survey.survey(wanted, source_of, args.pins)
    print(survey.text(spec.study, items, args.store))
    survey.refuse(spec.study, refused, items, args.store)
    if args.out:
        records.write_json(args.out, survey.record(spec.study, items))


def verify_locks(args: argparse.Namespace) -> None:
    """Check every lock's files by their hashes, name all that fail, and compare the locks with the committed ones."""
    wrong = []
    for lock in args.locks:
        # what is made here and not fetched has no committed copy
        fetched = args.pins and args.store and lock.is_relative_to(args.store)
        pin = args.pins / lock.relative_to(args.store) if fetched else None
        try:
            entry = store.check(lock, lock.parent, hashes=True)
            if committed := bool(pin and pin.exists()):
                store.compare(pin, entry)
        except UserError as error:
            wrong.append(str(error))
        else:
            size = acquire.human(sum(file.bytes for file in entry.files.values()))
            print(f"{lock}: {len(entry.files)} files, {size}, as locked{' and committed' if committed else ''}")
    if wrong:
        raise UserError(f"{len(wrong)} of {len(args.locks)} fail: {' | '.join(wrong)}", "store")


def main(arguments: list[str] | None = None) -> None:
    args = parser().parse_args(arguments)
    args.run(args)


if __name__ == "__main__":
    sys.exit(errors.run(main))
