"""Command line of the tables and figures: `python -m edge2giant.paper <command>`."""

import argparse
import sys
from pathlib import Path

from edge2giant import errors


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="config", metavar="DIR", help="the project's config folder")


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        choices=("published", "cells"),
        required=True,
        help="published: the numbers that the paper prints; cells: the records given by --cells",
    )
    parser.add_argument("--cells", nargs="*", default=[], metavar="FILE", help="cell records (JSON)")
    parser.add_argument(
        "--failures",
        nargs="*",
        default=[],
        metavar="FILE",
        help="failure records (JSON), shown in their cells",
    )
    parser.add_argument(
        "--expected",
        metavar="FILE",
        help="rows to show (JSON list of model, method, bits, and optionally label, storage_gb, benchmarks)",
    )
    _config(parser)


def _table(commands) -> None:
    parser = commands.add_parser("table", help="one table as CSV, TeX, HTML and Markdown")
    parser.add_argument("--number", type=int, choices=(1, 2, 4, 5, 6, 7), required=True)
    _source(parser)
    parser.add_argument(
        "--beside-published",
        action="store_true",
        help="second line of a cell: the value that the paper prints",
    )
    parser.add_argument("--out-prefix", required=True, metavar="PREFIX", help="e.g. paper_figures/paper/table1")
    parser.set_defaults(command=table)


def _figure2(commands) -> None:
    parser = commands.add_parser("figure2", help="MT-Bench by category as PDF, SVG, PNG and CSV")
    _source(parser)
    parser.add_argument(
        "--models",
        default="paper",
        metavar="M1,M2|paper|all",
        help="panels; paper: the models of the printed Figure 2",
    )
    parser.add_argument("--intervals", action="store_true", help="points with 95%% intervals instead of a radar")
    parser.add_argument("--beside-published", action="store_true", help="a second row of panels: as printed")
    parser.add_argument("--out-prefix", required=True, metavar="PREFIX", help="e.g. paper_figures/paper/figure2")
    parser.set_defaults(command=figure2)


def _tradeoffs(commands) -> None:
    parser = commands.add_parser("tradeoffs", help="views for RQ1 to RQ4, each as SVG, PNG and CSV")
    _source(parser)
    parser.add_argument("--out-dir", required=True, metavar="DIR")
    parser.set_defaults(command=tradeoffs)


def _compare(commands) -> None:
    parser = commands.add_parser("compare", help="regenerated against printed: differences, errors, verdicts")
    parser.add_argument("--cells", nargs="*", default=[], metavar="FILE", help="cell records (JSON)")
    parser.add_argument("--alpha", type=float, default=0.05, help="family-wise error rate of the verdicts (Holm)")
    parser.add_argument("--protocol", default="paper", help="cells of another protocol are not compared")
    _config(parser)
    parser.add_argument("--out-prefix", required=True, metavar="PREFIX", help="e.g. paper_figures/paper/comparison")
    parser.set_defaults(command=compare)


def table(arguments: argparse.Namespace) -> None:
    """Write one table."""
    from edge2giant.paper import inputs, render, tables

    spec = tables.SPECS[arguments.number]
    names, source = inputs.table_source(spec, arguments)
    heads = tables.columns(spec, arguments.config, names)
    _say(render.write(tables.build(spec, source, heads, names), arguments.out_prefix))


def figure2(arguments: argparse.Namespace) -> None:
    """Draw Figure 2."""
    from edge2giant.paper import figure2, inputs

    names, panels = inputs.figure2_panels(arguments)
    _say(figure2.write(panels, names, arguments.intervals, arguments.out_prefix))


def tradeoffs(arguments: argparse.Namespace) -> None:
    """Draw the trade-off views."""
    from edge2giant.paper import inputs, tradeoffs

    names, scores = inputs.all_scores(arguments)
    _say(tradeoffs.write(scores, names, arguments.out_dir))


def compare(arguments: argparse.Namespace) -> None:
    """Compare cells with the published values."""
    from edge2giant.paper import compare, frames, labels

    names = labels.load(arguments.config)
    cells = frames.read_cells(arguments.cells)
    result = compare.compare(cells, arguments.config, names, arguments.alpha, arguments.protocol)
    _say(compare.write(result, names, arguments.out_prefix))


def _say(paths: list[Path]) -> None:
    for path in paths:
        print(path)


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="python -m edge2giant.paper", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_table, _figure2, _tradeoffs, _compare):
        add(commands)
    arguments = parser.parse_args()
    arguments.command(arguments)


if __name__ == "__main__":
    sys.exit(errors.run(main))
