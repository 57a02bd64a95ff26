"""What surrounds a run on a cluster: go on after a crash, show what exists, count what it cost."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors


def resume(args: argparse.Namespace) -> None:
    from edge2giant.cluster import resume as module

    module.resume(Path(), args.cancel, args.elsewhere_is_gone, say=lambda line: print(line, flush=True))


def partial(args: argparse.Namespace) -> None:
    from edge2giant import config as configuration
    from edge2giant.cluster import partial as module

    config = configuration.load()
    print(module.render(config, config.study(args.study), args.results, Path("logs"), args.out))


def sweep(args: argparse.Namespace) -> None:
    from edge2giant.cluster import sweep as module

    for path in module.sweep_results(args.results, args.study):
        print(f"{path}: cut short, deleted; the same command makes it again")


def cost(args: argparse.Namespace) -> None:
    from edge2giant import config as configuration
    from edge2giant.cluster import cost as module

    config = configuration.load()
    study = config.study(args.study)
    print(*module.report(config, study, args.cluster, args.batch, args.results, args.out_prefix), sep="\n")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.cluster", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(run, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(run.__name__, help=text)
        command.set_defaults(run=run)
        return command

    resuming = add(resume, "end or wait for jobs that a dead snakemake left, and remove its lock")
    resuming.add_argument("--cancel", action="store_true", help="cancel running orphans too, rather than wait for them")
    gone = "snakemake on the other host has ended (check this first)"
    resuming.add_argument("--elsewhere-is-gone", action="store_true", help=gone)
    rendering = add(partial, "tables and figure from the cells that exist, failures with their reasons")
    rendering.add_argument("--out", type=Path, required=True, help="folder, e.g. paper_figures/<study>/partial")
    sweeping = add(sweep, "delete outputs that are cut short, so that the same command makes them again")
    costing = add(cost, "GPU time of cells, checkpoints and tables: forecast, and measured where it was")
    costing.add_argument("--cluster", help="entry of config/clusters.yaml; its first by default")
    costing.add_argument("--batch", default="auto", choices=("auto", "suite", "checkpoint", "benchmark"))
    costing.add_argument("--out-prefix", type=Path, required=True, help="e.g. paper_figures/<study>/cost")
    for command in (rendering, sweeping, costing):
        command.add_argument("--study", required=True)
        command.add_argument("--results", type=Path, default=Path("results"))
    return top


def main() -> None:
    args = parser().parse_args()
    args.run(args)


if __name__ == "__main__":
    sys.exit(errors.run(main))
