"""Command line of the tune phase: `python -m edge2giant.tune <command> --help`."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, specs
from edge2giant.specs.tune import TuneSpec


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.tune", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    run = commands.add_parser("run", help="make a model from another one")
    specs.add_arguments(run)
    run.add_argument("--model", type=Path, required=True, help="folder of the source model (safetensors)")
    run.add_argument("--lock", type=Path, required=True, help="the source model's lock")
    run.add_argument("--texts", type=Path, nargs="+", required=True, help="folders with text.jsonl, each with its lock beside it")
    run.add_argument("--out", type=Path, required=True, help="folder to write, with its lock and record beside it")
    run.set_defaults(do=do_run)
    near = commands.add_parser("grids", help="print how near a model lies to grids of 4 bits")
    near.add_argument("--model", type=Path, required=True, help="folder of a model in 16 bits (safetensors)")
    near.set_defaults(do=do_grids)
    return top


def do_run(options: argparse.Namespace) -> None:
    from edge2giant import offline
    from edge2giant.tune import making

    offline.guard_toolkit()
    found = making.run(specs.of_arguments(options, TuneSpec), options.model, options.lock, options.texts, options.out)
    for name, one in found.measured.items():
        print(f"{name}: perplexity {one.perplexity:.3f}, divergence {one.divergence:.5f} nats a token")
    print(f"{options.out}: {found.tokens} tokens in {found.seconds.quantize:.0f} s on {found.device}")


def do_grids(options: argparse.Namespace) -> None:
    from edge2giant.tune import grids

    print("| grid | least error, of that of Gaussian weights | layer |\n|---|---|---|")
    for name, one in grids.nearness(options.model).items():
        print(f"| {name} | {one.value:.3f} | {one.where} |")


def main() -> None:
    options = parser().parse_args()
    options.do(options)


if __name__ == "__main__":
    sys.exit(errors.run(main))
