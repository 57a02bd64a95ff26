"""The steps of the toy workflow. A file in `faults/` tells a step to wait, to eat memory, to cut its output short or to fail."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from edge2giant import errors, records
from edge2giant.errors import UserError
from edge2giant.evaluate.answer_cache import AnswerCache

FAULTS = Path("faults")


def fault(kind: str, phase: str, row: str) -> Path | None:
    path = FAULTS / f"{kind}-{phase}-{row}"
    return path if path.exists() else None


def pass_gate(phase: str, row: str) -> None:
    """Say that the step has begun, and obey what the test has laid out for it."""
    FAULTS.mkdir(exist_ok=True)
    with (FAULTS / f"began-{phase}-{row}").open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    while fault("hold", phase, row):
        time.sleep(0.1)
    if path := fault("memory", phase, row):
        eaten = bytearray(int(path.read_text()) * 2**20)
        time.sleep(6)
        del eaten
    if fault("poison", phase, row):
        raise UserError("the checkpoint cannot be loaded", row)


def write(path: Path, record: dict, phase: str, row: str) -> None:
    records.write_json(path, record)
    if flag := fault("truncate", phase, row):
        flag.unlink()
        path.write_bytes(path.read_bytes()[:20])


def evaluate(args: argparse.Namespace) -> None:
    fingerprint = records.digest(["toy", args.row])
    with AnswerCache(args.answer_cache).locked([fingerprint]):
        kept = args.answer_cache / fingerprint / "answers.json"
        if not kept.exists():
            pass_gate("evaluate", args.row)
            samples = [records.digest([args.row, number]) for number in range(1000)]
            records.write_json(kept, {"samples": samples})
        with (args.answer_cache / "asked.txt").open("a") as stream:
            stream.write(f"{args.row}\n")
    write(args.out, {"row": args.row, "answers": str(kept)}, "evaluate", args.row)


def cell(args: argparse.Namespace) -> None:
    samples = records.read_json(records.read_json(args.manifest)["answers"])["samples"]
    score = sum(int(each[:8], 16) for each in samples) / len(samples) / 2**32 * 100
    write(args.out, {"row": args.row, "score": score, "samples": records.digest(samples)}, "cell", args.row)


def table(args: argparse.Namespace) -> None:
    records.write_json(args.out, {path.stem: json.loads(path.read_text()) for path in args.cells})


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    for run in (evaluate, cell, table):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        for name in ("answer-cache", "manifest", "out"):
            command.add_argument(f"--{name}", type=Path)
        command.add_argument("--row")
        command.add_argument("--cells", type=Path, nargs="*")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    sys.exit(errors.run(main))
