"""``python -m edge2giant.claims``: judge the paper's claims on the printed numbers, or on cells where some are given.

Writes ``<out-prefix>.csv``, ``.md`` and ``.html``.
"""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, specs
from edge2giant.claims import report, verdict
from edge2giant.specs.claims import ClaimsSpec


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge2giant.claims", description="Judge the paper's claims.")
    specs.add_arguments(parser)
    parser.add_argument("--published", type=Path, required=True, metavar="DIR", help="config/published")
    parser.add_argument("--cells", type=Path, nargs="+", metavar="FILE", help="cell records of one study")
    parser.add_argument(
        "--marks", type=Path, metavar="FILE", help="what the audit says of the printed numbers; default: marks.csv beside them"
    )
    parser.add_argument("--out-prefix", type=Path, required=True, help="such as paper_figures/published/claims")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    verdicts = verdict.run(specs.of_arguments(options, ClaimsSpec), options.published, options.cells, options.marks)
    name = "published" if options.cells is None else "regenerated"
    paths = report.write(verdicts, name, options.out_prefix)
    total = ", ".join(f"{number} {word}" for word, number in report.counts(verdicts).items())
    print(f"{len(verdicts)} claims on {name} numbers: {total}", *paths, sep="\n")


if __name__ == "__main__":
    sys.exit(errors.run(main))
