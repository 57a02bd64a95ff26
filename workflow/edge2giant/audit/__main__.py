"""``python -m edge2giant.audit``: audit the printed tables.

Writes ``<out-prefix>.csv``, ``.html`` and five more CSVs. Never changes a printed number.
"""

import argparse
import sys
from pathlib import Path

from edge2giant import errors, published, specs
from edge2giant.audit import findings, report
from edge2giant.audit.results import ERROR
from edge2giant.specs.audit import AuditSpec


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge2giant.audit", description="Audit the printed tables.")
    specs.add_arguments(parser)
    parser.add_argument("--published", type=Path, required=True, metavar="DIR", help="config/published")
    parser.add_argument(
        "--cells", type=Path, nargs="+", default=[], metavar="FILE", help="cells of a study, for measured storage"
    )
    parser.add_argument("--out-prefix", type=Path, required=True, help="such as paper_figures/published/audit")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    audit = findings.run(specs.of_arguments(options, AuditSpec), options.published, options.cells)
    paths = report.write(audit, options.out_prefix)
    counts = ", ".join(f"{number} {severity}" for severity, number in audit.counts().items())
    changes = f"{len(audit.changes())} changes of one number would settle {audit.corrected()} of {audit.counts()[ERROR]} errors"
    if published.marks(options.published) != audit.marks:
        copy = f"copy {options.out_prefix}_marks.csv over it"
        print(f"{options.published}/marks.csv is not what this audit finds: tables of studies mark what it says; {copy}")
    print(f"{audit.outcomes.total()} rules checked: {counts}; {changes}", *paths, sep="\n")


if __name__ == "__main__":
    sys.exit(errors.run(main))
