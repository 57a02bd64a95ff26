"""Command line of the quantize phase: `python -m edge2giant.quantize <command> --help`."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from edge2giant import errors, specs
from edge2giant.errors import UserError
from edge2giant.specs.quantize import QuantizeSpec


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.quantize", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    add_run(commands)
    add_preflight(commands)
    verify = commands.add_parser("verify", help="compare a checkpoint's files with its checkpoint.json")
    verify.add_argument("--checkpoint", type=Path, required=True)
    verify.set_defaults(do=do_verify)
    return top


def add_run(commands) -> None:
    run = commands.add_parser("run", help="make one checkpoint and validate it")
    specs.add_arguments(run)
    run.add_argument("--model", type=Path, required=True, help="folder of the unquantized model (safetensors)")
    run.add_argument("--lock", type=Path, help="the model's lock, for id and revision")
    run.add_argument("--calibration", type=Path, help="folder with text.jsonl, for recipes that read text")
    run.add_argument("--heldout", type=Path, required=True, help="folder with text.jsonl, unlike the calibration text")
    run.add_argument("--published", type=Path, help="folder of the published checkpoint, for specs that take one")
    run.add_argument("--cache", type=Path, help="results/validation_cache: what validation knows of source models")
    run.add_argument("--failures", type=Path, help="results/failures: a failure leaves its reason there")
    run.add_argument("--out", type=Path, required=True, help="checkpoint folder to write, whole or not at all")
    run.set_defaults(do=do_run)


def add_preflight(commands) -> None:
    preflight = commands.add_parser("preflight", help="say whether an engine on a device will load a checkpoint")
    preflight.add_argument("--checkpoint", type=Path, required=True)
    preflight.add_argument("--engine", required=True, help="vllm, hf or vllm-stock")
    preflight.add_argument("--engine-version", default="0.33")
    preflight.add_argument("--device", required=True, help="cpu, or cuda:<compute capability> such as cuda:8.0")
    preflight.set_defaults(do=do_preflight)


def do_run(arguments: argparse.Namespace) -> None:
    from edge2giant import failures, offline

    offline.guard_toolkit()
    spec = specs.of_arguments(arguments, QuantizeSpec)
    recorded = contextlib.nullcontext()
    if arguments.failures:
        recorded = failures.recorded(arguments.failures, failures.of_checkpoint(spec.folder), spec.variant, "quantize")
    with recorded:
        make(arguments, spec)


def make(arguments: argparse.Namespace, spec: QuantizeSpec) -> None:
    from edge2giant import store
    from edge2giant.quantize import core

    for option, folder in (("--model", arguments.model), ("--heldout", arguments.heldout)):
        if not folder.is_dir():
            raise UserError("is not a folder", f"{option} {folder}", "acquire it first")
    for text in filter(None, (arguments.heldout, arguments.calibration)):
        lock_of_text = text.with_name(f"{text.name}.lock.json")
        if lock_of_text.is_file():  # text that nothing fetched has none
            store.check(lock_of_text, text.parent, hashes=True)
    folders = core.Folders(
        arguments.model, arguments.heldout, arguments.out, arguments.calibration, arguments.published, arguments.cache
    )
    lock = store.check(arguments.lock, arguments.lock.parent) if arguments.lock else None
    with toolkit_output(arguments.out.with_name(f"{arguments.out.name}.log")):
        record = core.run(spec, folders, lock)
    print(f"{arguments.out}: {record['size']['weights_bytes']} bytes of weights, {record['seconds']['total']:.1f} s, valid")


@contextlib.contextmanager
def toolkit_output(log: Path):
    """Send what toolkits print, from Python or not, to a file, but where all output is in a log (`EDGE2GIANT_LOG`) anyway."""
    if "EDGE2GIANT_LOG" in os.environ:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    streams = {1: sys.stdout, 2: sys.stderr}
    kept = {number: os.dup(number) for number in streams}
    with log.open("wb") as file:
        for number, stream in streams.items():
            stream.flush()
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        for number, stream in streams.items():
            stream.flush()
            os.dup2(kept[number], number)
            os.close(kept[number])
        if not log.stat().st_size:
            log.unlink()


def do_preflight(arguments: argparse.Namespace) -> int:
    from edge2giant import schemes
    from edge2giant.quantize import preflight

    scheme = schemes.of_checkpoint(arguments.checkpoint)
    verdicts = preflight.check(scheme, arguments.engine, arguments.engine_version, arguments.device)
    for verdict in verdicts:
        print(f"{verdict.level}: {verdict.reason}")
    if not verdicts:
        print("ok: no limit is known")
    return 1 if any(verdict.level == "refused" for verdict in verdicts) else 0


def do_verify(arguments: argparse.Namespace) -> None:
    from edge2giant.quantize import core

    record = core.verify(arguments.checkpoint)
    print(f"{arguments.checkpoint}: {len(record.files)} files as recorded, digest {record.digest[:12]}")


def main() -> int | None:
    arguments = parser().parse_args()
    return arguments.do(arguments)


if __name__ == "__main__":
    sys.exit(errors.run(main))
