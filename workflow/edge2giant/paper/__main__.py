"""Tables, figures and comparisons of the paper: `python -m edge2giant.paper <command>`.

Without `--cells` a command shows the numbers that the paper prints.
"""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, published, specs
from edge2giant.records.cell import CellRecord
from edge2giant.records.failure import Failure
from edge2giant.specs.study import StudySpec


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.paper", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for function, text in (
        (table, "one table as CSV, TeX, HTML and Markdown"),
        (figure2, "MT-Bench by category as PDF, SVG, PNG and CSV"),
        (fidelity, "perplexity and divergence with their intervals, as SVG, PNG and CSV"),
        (tradeoffs, "views for RQ1 to RQ4, each as SVG, PNG and CSV"),
        (differences, "paired differences from FP16 with their intervals, as SVG and PNG"),
        (compare, "regenerated against printed: differences, errors, verdicts"),
    ):
        command = commands.add_parser(function.__name__, help=text)
        specs.add_arguments(command)
        command.add_argument("--published", type=Path, required=True, metavar="DIR", help="config/published")
        command.add_argument("--cells", nargs="*", metavar="FILE", help="cell records of the study")
        out = ("--out-dir", "DIR") if function is tradeoffs else ("--out-prefix", "PREFIX")
        command.add_argument(out[0], type=Path, required=True, metavar=out[1])
        command.set_defaults(command=function)
    commands.choices["table"].add_argument("--number", type=int, required=True)
    commands.choices["table"].add_argument(
        "--marks", type=Path, metavar="FILE", help="what the audit says of the printed numbers; default: marks.csv beside them"
    )
    commands.choices["table"].add_argument(
        "--failures", nargs="*", default=[], metavar="FILE", help="failure records, shown in their cells"
    )
    commands.choices["differences"].add_argument("--statistics", type=Path, required=True, metavar="FILE", help="statistics.csv")
    commands.choices["figure2"].add_argument(
        "--form",
        choices=("radar", "all", "intervals"),
        default="radar",
        help="radar: models that the study names; all: every model; intervals: points with 95%% intervals above the printed ones",
    )
    return top


def table(spec: StudySpec, cells: list[CellRecord] | None, arguments: argparse.Namespace) -> list[Path]:
    from edge2giant import records
    from edge2giant.paper import render, tables

    if cells is None:
        found = tables.published(spec, arguments.number, arguments.published, arguments.marks)
    else:
        failures = tables.failure_reasons(records.read(path, Failure) for path in arguments.failures)
        found = tables.regenerated(spec, arguments.number, cells, arguments.published, failures)
    return render.write(found, arguments.out_prefix)


def figure2(spec: StudySpec, cells: list[CellRecord] | None, arguments: argparse.Namespace) -> list[Path]:
    from edge2giant.paper import figure2

    if cells is None:
        panels = figure2.published(spec, arguments.published)
    else:
        panels = figure2.regenerated(spec, cells, arguments.published, arguments.form)
    return figure2.write(panels, spec.labels, arguments.form == "intervals", arguments.out_prefix)


def fidelity(spec: StudySpec, cells: list[CellRecord] | None, arguments: argparse.Namespace) -> list[Path]:
    from edge2giant.paper import fidelity

    return fidelity.write(cells or [], spec, arguments.out_prefix)


def tradeoffs(spec: StudySpec, cells: list[CellRecord] | None, arguments: argparse.Namespace) -> list[Path]:
    from edge2giant.paper import frames, marks, views

    if cells is None:
        scores = frames.published_scores(arguments.published)
        note = marks.in_scores(published.marks(arguments.published), spec.labels)
    else:
        scores, note = frames.with_average(frames.scores_of(cells), spec.averaged), ""
    return views.write(scores, spec, arguments.out_dir, note=note)


def differences(spec: StudySpec, cells: list[CellRecord] | None, arguments: argparse.Namespace) -> list[Path]:
    from edge2giant.paper import differences

    return differences.write(arguments.statistics, spec, arguments.out_prefix)


def compare(spec: StudySpec, cells: list[CellRecord] | None, arguments: argparse.Namespace) -> list[Path]:
    from edge2giant.paper import compare, comparison

    result = compare.compare(cells or [], spec, arguments.published)
    return comparison.write(result, spec.labels, arguments.out_prefix)


def main() -> None:
    arguments = parser().parse_args()
    spec = specs.of_arguments(arguments, StudySpec)
    cells = None
    if arguments.cells is not None:
        from edge2giant.paper import frames

        cells = frames.read_cells(arguments.cells, spec.study)
    print(*arguments.command(spec, cells, arguments), sep="\n")


if __name__ == "__main__":
    sys.exit(errors.run(main))
