"""Command line of the quantize phase: `python -m edge2giant.quantize <command> --help`."""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

from edge2giant import errors
from edge2giant.errors import UserError


def parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    top = argparse.ArgumentParser(prog="python -m edge2giant.quantize", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    add_run(commands)
    add_resolve(commands)
    add_preflight(commands)
    verify = commands.add_parser("verify", help="compare a checkpoint's files with its checkpoint.json")
    verify.add_argument("--checkpoint", type=Path, required=True)
    verify.set_defaults(do=do_verify)
    return top


def add_run(commands) -> None:
    run = commands.add_parser("run", help="make one checkpoint and validate it")
    run.add_argument("--model", type=Path, required=True, help="folder of the unquantized model (safetensors)")
    run.add_argument(
        "--scheme-json",
        required=True,
        help="resolved scheme: a file, or the JSON text itself (see `resolve`)",
    )
    run.add_argument("--calibration", type=Path, help="folder with text.jsonl; not needed by schemes that read no text")
    run.add_argument("--published", type=Path, help="folder of the published checkpoint, for schemes that take one")
    run.add_argument("--heldout", type=Path, required=True, help="folder with text.jsonl, unlike the calibration text")
    run.add_argument("--out", type=Path, required=True, help="checkpoint folder to write, whole or not at all")
    run.add_argument(
        "--lock",
        type=Path,
        help="the model's lock, for id and revision (default: <model>.lock.json if it is there)",
    )
    run.add_argument("--failures", type=Path, help="results/failures: a failure leaves its reason there")
    run.add_argument("--licence", help="licence of the base model, for the model card")
    run.add_argument(
        "--nominal-billions",
        type=float,
        help="the model's nominal size, for the storage that the paper prints",
    )
    run.add_argument(
        "--validation-engine",
        choices=("hf", "toolkit", "none"),
        help="who loads the checkpoint to be compared (default: by toolkit)",
    )
    run.set_defaults(do=do_run)


def add_resolve(commands) -> None:
    resolve = commands.add_parser("resolve", help="print the scheme of one row of config/recipes.yaml as JSON")
    resolve.add_argument("--config", type=Path, default=Path("config"), help="folder with recipes.yaml and calibration.yaml")
    resolve.add_argument("--model", required=True)
    resolve.add_argument("--method", required=True)
    resolve.add_argument("--bits", required=True)
    resolve.add_argument("--calibration-set", help="set to use in place of the recipe's own")
    resolve.add_argument("--source", choices=("make", "published"), default="make")
    resolve.set_defaults(do=do_resolve)


def add_preflight(commands) -> None:
    preflight = commands.add_parser("preflight", help="say whether an engine on a device will load a checkpoint or a scheme")
    given = preflight.add_mutually_exclusive_group(required=True)
    given.add_argument("--checkpoint", type=Path)
    given.add_argument("--scheme-json")
    preflight.add_argument("--engine", required=True, help="vllm, hf or vllm-stock")
    preflight.add_argument("--engine-version", default="0.33")
    preflight.add_argument("--device", required=True, help="cpu, or cuda:<compute capability> such as cuda:8.0")
    preflight.set_defaults(do=do_preflight)


def do_run(arguments: argparse.Namespace) -> None:
    from edge2giant import failures, grid, offline
    from edge2giant.quantize import recipe

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_MININTERVAL", "10")
    offline.guard()
    scheme = recipe.load_scheme(arguments.scheme_json)
    row = grid.Row(scheme["model"], scheme["method"], scheme["bits"])
    recorded = contextlib.nullcontext()
    if arguments.failures:
        recorded = failures.recorded(arguments.failures, failures.of_checkpoint(arguments.out.name), row, "quantize")
    with recorded:
        make(arguments, scheme)


def make(arguments: argparse.Namespace, scheme: dict) -> None:
    from edge2giant import records
    from edge2giant.quantize import core

    for option, folder in (("--model", arguments.model), ("--heldout", arguments.heldout)):
        if not folder.is_dir():
            raise UserError("is not a folder", f"{option} {folder}", "acquire it first")
    lock = arguments.lock or beside(arguments.model)
    job = core.Job(
        model_dir=arguments.model,
        out_dir=arguments.out,
        heldout_dir=arguments.heldout,
        scheme=scheme,
        calibration_dir=arguments.calibration,
        lock=records.read_json(lock, "lock") if lock else None,
        licence=arguments.licence,
        nominal_billions=arguments.nominal_billions,
        engine=arguments.validation_engine,
        published_dir=arguments.published,
    )
    record = core.run(job)
    print(f"{arguments.out}: {record['size']['weights_bytes']} bytes of weights, {record['seconds']['total']:.1f} s, valid")


def beside(model: Path) -> Path | None:
    """The lock that acquire wrote beside a model's folder."""
    lock = model.with_name(f"{model.name}.lock.json")
    return lock if lock.is_file() else None


def do_resolve(arguments: argparse.Namespace) -> None:
    import yaml

    from edge2giant.quantize import recipe

    recipes, sets = (
        yaml.safe_load((arguments.config / name).read_text(encoding="utf-8")) for name in ("recipes.yaml", "calibration.yaml")
    )
    scheme = recipe.resolve(
        recipes, sets, arguments.model, arguments.method, arguments.bits,
        calibration=arguments.calibration_set, source=arguments.source,
    )  # fmt: skip
    print(json.dumps(scheme, indent=1, sort_keys=True))


def do_preflight(arguments: argparse.Namespace) -> int:
    from edge2giant.quantize import preflight, recipe

    if arguments.checkpoint:
        traits = preflight.read_traits(arguments.checkpoint)
    else:
        traits = preflight.scheme_traits(recipe.load_scheme(arguments.scheme_json))
    verdicts = preflight.check(traits, arguments.engine, arguments.engine_version, arguments.device)
    for verdict in verdicts:
        print(f"{verdict.level}: {verdict.reason}")
    if not verdicts:
        print("ok: nothing known against it")
    return 1 if any(verdict.level == "refused" for verdict in verdicts) else 0


def do_verify(arguments: argparse.Namespace) -> None:
    from edge2giant.quantize import core

    record = core.verify(arguments.checkpoint)
    print(f"{arguments.checkpoint}: {len(record['files'])} files as recorded, digest {record['digest'][:12]}")


def main() -> int | None:
    arguments = parser().parse_args()
    return arguments.do(arguments)


if __name__ == "__main__":
    sys.exit(errors.run(main))
