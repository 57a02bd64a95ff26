"""What surrounds a run on a cluster: go on after a crash, show what exists, count what it cost."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors


def _resume(commands) -> None:
    parser = commands.add_parser("resume", help="end or wait for jobs that a dead snakemake left, and remove its lock")
    parser.add_argument("--folder", type=Path, default=Path(), help="where snakemake ran; this folder by default")
    parser.add_argument("--cancel", action="store_true", help="cancel running orphans too, rather than wait for them")
    parser.add_argument(
        "--elsewhere-is-gone", action="store_true", help="snakemake on the other host has ended (check this first)"
    )
    parser.set_defaults(run=resume)


def resume(args: argparse.Namespace) -> None:
    from edge2giant.cluster import resume as module

    module.resume(args.folder, args.cancel, args.elsewhere_is_gone, say=lambda line: print(line, flush=True))


def _study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", required=True)
    parser.add_argument("--results", type=Path, default=Path("results"))


def _partial(commands) -> None:
    parser = commands.add_parser("partial", help="tables and figure from the cells that exist, failures with their reasons")
    _study(parser)
    parser.add_argument("--logs", type=Path, default=Path("logs"))
    parser.add_argument("--out", type=Path, required=True, help="folder, e.g. paper_figures/<study>/partial")
    parser.set_defaults(run=partial)


def partial(args: argparse.Namespace) -> None:
    from edge2giant import config as configuration
    from edge2giant.cluster import partial as module

    config = configuration.load()
    print(module.render(config, config.study(args.study), args.results, args.logs, args.out))


def _sweep(commands) -> None:
    parser = commands.add_parser("sweep", help="delete outputs that are cut short, so that the same command makes them again")
    _study(parser)
    parser.set_defaults(run=sweep)


def sweep(args: argparse.Namespace) -> None:
    from edge2giant.cluster import sweep as module

    for path in module.sweep_results(args.results, args.study):
        print(f"{path}: cut short, deleted; the same command makes it again")


def _cost(commands) -> None:
    parser = commands.add_parser("cost", help="GPU time of cells, checkpoints and tables: forecast, and measured where it was")
    _study(parser)
    parser.add_argument("--cluster", help="entry of config/clusters.yaml; its first by default")
    parser.add_argument("--batch", default="suite", choices=("suite", "checkpoint", "benchmark"))
    parser.add_argument("--out-prefix", type=Path, required=True, help="e.g. paper_figures/<study>/cost")
    parser.set_defaults(run=cost)


def cost(args: argparse.Namespace) -> None:
    from edge2giant import config as configuration
    from edge2giant.cluster import cost as module

    config = configuration.load()
    print("\n".join(module.report(config, config.study(args.study), args.cluster, args.batch, args.results, args.out_prefix)))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.cluster", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for add in (_resume, _partial, _sweep, _cost):
        add(commands)
    return top


def main() -> None:
    args = parser().parse_args()
    args.run(args)


if __name__ == "__main__":
    sys.exit(errors.run(main))
