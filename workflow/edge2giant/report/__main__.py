"""``python -m edge2giant.report``: a study as pages to read, or as files for other tools.

``build``    `index.html`, self-contained, with a page for each cell beside it
``export``   Hugging Face model index and evaluation results, Every Eval Ever records, and an RO-Crate
"""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, specs
from edge2giant.specs.study import StudySpec


def _cells(parser: argparse.ArgumentParser) -> None:
    specs.add_arguments(parser)
    parser.add_argument("--cells", nargs="*", default=[], metavar="PATH", help="cell records (JSON), or folders of them")


def parser() -> argparse.ArgumentParser:
    """Command line."""
    top = argparse.ArgumentParser(
        prog="python -m edge2giant.report", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="pages to read in a browser, without a network")
    _cells(build)
    build.add_argument("--failures", nargs="*", default=[], metavar="PATH", help="failure records (JSON), or folders of them")
    build.add_argument("--published", required=True, type=Path, metavar="DIR", help="config/published")
    build.add_argument("--printed", metavar="DIR", help="folder with audit.csv and claims.csv of the printed numbers")
    for name, what in (
        ("statistics", "paired statistics (from edge2giant.stats family)"),
        ("comparison", "comparison with the paper (from edge2giant.paper compare)"),
        ("claims", "claims judged by these cells (from edge2giant.claims)"),
        ("audit", "audit; default: the one in --printed"),
    ):
        build.add_argument(f"--{name}", metavar="CSV", help=what)
    build.add_argument("--note", metavar="TEXT", help="what a reader must know before all else, shown on top")
    build.add_argument(
        "--samples",
        type=int,
        default=400,
        metavar="N",
        help="answers on a cell's page at most, changed ones first (400); 0: none",
    )
    build.add_argument("--out", required=True, type=Path, metavar="DIR")
    export = commands.add_parser("export", help="files for other tools")
    _cells(export)
    export.add_argument("--out", required=True, type=Path, metavar="DIR")
    return top


def build(options: argparse.Namespace) -> None:
    """Write the pages."""
    from edge2giant.report import gather, site

    if options.samples < 0:
        raise errors.UserError("cannot be negative", "--samples", "give 0 or more")
    analyses = {name: getattr(options, name) for name in ("statistics", "comparison", "claims", "audit")}
    spec = specs.of_arguments(options, StudySpec)
    material = gather.read(
        spec, options.published, options.cells, options.failures, options.printed, options.note, **analyses
    )  # fmt: skip
    pages = site.write(material, options.out, options.samples)
    print(f"{pages[0]}: {pages[0].stat().st_size / 1e6:.1f} MB, {len(pages) - 1} pages of cells")


def export(options: argparse.Namespace) -> None:
    """Write the exports."""
    from edge2giant.report import exports

    for path in exports.write(specs.of_arguments(options, StudySpec), options.cells, options.out):
        print(path)


def main(argv: list[str] | None = None) -> None:
    """Run one command."""
    options = parser().parse_args(argv)
    {"build": build, "export": export}[options.command](options)


if __name__ == "__main__":
    sys.exit(errors.run(main))
