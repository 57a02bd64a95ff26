"""Fetch models and data into the store at locked revisions, verify a store, compare calibration text with benchmarks."""

import argparse
import sys
from functools import partial
from pathlib import Path

from edge2giant import errors, records, specs, store
from edge2giant.errors import UserError
from edge2giant.specs.acquire import AcquireSpec
from edge2giant.store import acquire, mt_bench, overlap, punkt, selection, sources, survey, texts


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.store", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, text) in FETCHES.items():
        command = commands.add_parser(name, help=f"fetch {text} and lock it")
        _fetch_arguments(command)
        command.set_defaults(run=run)
        if name == "model":
            command.add_argument("--with-code", action="store_true", help="the model's own Python code too")
        if name == "calibration":
            command.add_argument("--field", required=True, help="column of the text, or `messages`")
            command.add_argument("--files", required=True, nargs="+", metavar="PATTERN", help="data files")
    planning = commands.add_parser("survey", help="say what a study will fetch: repositories, access, bytes and disk")
    specs.add_arguments(planning)
    planning.add_argument("--store", required=True, type=Path, help="results/store/<source>")
    planning.add_argument("--pins", type=Path, help="folder of the committed locks")
    planning.add_argument("--out", type=Path, help="JSON to write")
    sources.add_arguments(planning)
    planning.set_defaults(run=survey_study)
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


def _fetch_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--repo", required=True, help="hub id; for mt-bench and nltk a git repository")
    command.add_argument("--revision", help="commit or branch; the newest if left out, and locked")
    command.add_argument("--into", required=True, type=Path, help="folder for the files")
    command.add_argument("--lock", required=True, type=Path, help="lock to write, last")
    command.add_argument("--pin", type=Path, help="committed copy of the lock: kept to, or else written")
    sources.add_arguments(command)


def fetch(args: argparse.Namespace, repo_type: str, patterns: tuple[str, ...] = (), arrange=None) -> None:
    """Fetch one repository as the arguments say."""
    wanted = acquire.Fetch(repo_type, args.repo, args.revision, args.into, args.lock, args.pin, patterns)
    acquire.acquire(wanted, sources.choose(args.mirror, args.token_file)(repo_type), arrange)


def fetch_model(args: argparse.Namespace) -> None:
    """Fetch weights, tokenizer and settings of a model; its code only where its entry in the config allows it to run."""
    fetch(args, "model", (*selection.PATTERNS["model"], selection.CODE) if args.with_code else ())


def fetch_calibration(args: argparse.Namespace) -> None:
    """Fetch the data files of a calibration set and keep one column."""
    fetch(args, "dataset", tuple(args.files), partial(texts.arrange, field=args.field))


FETCHES = {
    "model": (fetch_model, "a model"),
    "dataset": (partial(fetch, repo_type="dataset"), "a benchmark's data set"),
    "calibration": (fetch_calibration, "a calibration set as text.jsonl"),
    "mt-bench": (
        partial(fetch, repo_type="web", patterns=tuple(mt_bench.FILES), arrange=mt_bench.arrange),
        "MT-Bench's questions, references and judge prompts",
    ),
    "nltk": (
        partial(fetch, repo_type="web", patterns=(punkt.ARCHIVE,), arrange=punkt.arrange),
        "nltk's English sentence tables",
    ),
}


def survey_study(args: argparse.Namespace) -> None:
    """Print what a study will fetch and write it, or stop naming all that cannot be fetched."""
    spec = specs.of_arguments(args, AcquireSpec)
    wanted = survey.pending(spec, args.store)
    source_of = sources.choose(args.mirror, args.token_file) if wanted else None
    items, refused = survey.survey(wanted, lambda one: source_of(one.repo_type), args.pins)
    print(survey.text(spec.study, items, args.store))
    survey.refuse(spec.study, refused, items, args.store)
    if args.out:
        records.write_json(args.out, survey.record(spec.study, items))


def committed(lock: Path, args: argparse.Namespace) -> Path | None:
    """The committed copy of a lock, if there is one; what is made here and not fetched has none."""
    if not (args.pins and args.store and lock.is_relative_to(args.store)):
        return None
    pin = args.pins / lock.relative_to(args.store)
    return pin if pin.exists() else None


def verify_locks(args: argparse.Namespace) -> None:
    """Check every lock's files by their hashes, name all that fail, and compare the locks with the committed ones."""
    wrong = []
    for lock in args.locks:
        try:
            entry = store.check(lock, lock.parent, hashes=True)
            if pin := committed(lock, args):
                store.compare(pin, entry)
        except UserError as error:
            wrong.append(str(error))
        else:
            size = acquire.human(sum(file["bytes"] for file in entry["files"].values()))
            print(f"{lock}: {len(entry['files'])} files, {size}, as locked{' and committed' if pin else ''}")
    if wrong:
        raise UserError(f"{len(wrong)} of {len(args.locks)} fail: {' | '.join(wrong)}", "store")


def main(arguments: list[str] | None = None) -> None:
    args = parser().parse_args(arguments)
    args.run(args)


if __name__ == "__main__":
    sys.exit(errors.run(main))
