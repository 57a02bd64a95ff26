"""``python -m edge2giant.report``: a study as pages to read, or as files for other tools.

``build``    `index.html`, self-contained, with a page for each cell beside it
``export``   Hugging Face model index and evaluation results, Every Eval Ever records, and an RO-Crate
"""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, specs
from edge2giant.specs.study import StudySpec


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawTextHelpFormatter
    top = argparse.ArgumentParser(prog="python -m edge2giant.report", description=__doc__, formatter_class=raw)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="pages to read in a browser, without a network")
    export = commands.add_parser("export", help="files for other tools")
    for command in (build, export):
        specs.add_arguments(command)
        command.add_argument("--cells", nargs="*", default=[], metavar="PATH", help="cell records (JSON), or folders of them")
        command.add_argument("--out", required=True, type=Path, metavar="DIR")
    add = build.add_argument
    add("--failures", nargs="*", default=[], metavar="PATH", help="failure records (JSON), or folders of them")
    add("--published", required=True, type=Path, metavar="DIR", help="config/published")
    add("--printed", metavar="DIR", help="folder with audit.csv and claims.csv of the printed numbers")
    add("--statistics", metavar="CSV", help="paired statistics (from edge2giant.stats family)")
    add("--comparison", metavar="CSV", help="comparison with the paper (from edge2giant.paper compare)")
    add("--claims", metavar="CSV", help="claims judged by these cells (from edge2giant.claims)")
    add("--note", metavar="TEXT", help="what a reader must know before all else, shown on top")
    add(
        "--samples",
        type=int,
        default=400,
        metavar="N",
        help="answers on a cell's page at most (400), changed ones first; 0: none",
    )
    return top


def build(options: argparse.Namespace) -> None:
    from edge2giant.report import gather, site

    if options.samples < 0:
        raise errors.UserError("cannot be negative", "--samples", "give 0 or more")
    analyses = {name: getattr(options, name) for name in ("statistics", "comparison", "claims")}
    spec = specs.of_arguments(options, StudySpec)
    material = gather.read(
        spec, options.published, options.cells, options.failures, options.printed, options.note, **analyses
    )  # fmt: skip
    pages = site.write(material, options.out, options.samples)
    print(f"{pages[0]}: {pages[0].stat().st_size / 1e6:.1f} MB, {len(pages) - 1} pages of cells")


def export(options: argparse.Namespace) -> None:
    from edge2giant.report import exports

    for path in exports.write(specs.of_arguments(options, StudySpec), options.cells, options.out):
        print(path)


def main(argv: list[str] | None = None) -> None:
    options = parser().parse_args(argv)
    {"build": build, "export": export}[options.command](options)


if __name__ == "__main__":
    sys.exit(errors.run(main))
