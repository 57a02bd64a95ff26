"""``python -m edge2giant.claims``: judge the paper's claims on published or regenerated numbers.

Reads ``<config>/published`` and, with ``--source cells``, cell records. Writes ``<out-prefix>.csv``, ``.md``,
``.html``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge2giant import errors


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m edge2giant.claims", description="Judge the paper's claims.")
    parser.add_argument("--config", type=Path, default=Path("config"), help="folder with published/ (config)")
    parser.add_argument("--source", choices=["published", "cells"], default="published", help="whose numbers")
    parser.add_argument("--cells", type=Path, nargs="*", default=[], help="cell records of one study")
    parser.add_argument(
        "--out-prefix",
        type=Path,
        required=True,
        help="such as paper_figures/published/claims: folder and name",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Judge all claims and print the counts."""
    options = arguments(argv)
    if options.source == "published" and options.cells:
        raise errors.UserError("--cells goes with --source cells", hint="drop one of both")
    from edge2giant.claims import report, verdict

    cells = options.cells if options.source == "cells" else None
    verdicts = verdict.run(options.config, cells)
    name = "published" if cells is None else "regenerated"
    paths = report.write(verdicts, name, options.out_prefix)
    total = ", ".join(f"{number} {word}" for word, number in report.counts(verdicts).items())
    print(f"{len(verdicts)} claims on {name} numbers: {total}")
    print("\n".join(str(path) for path in paths))


if __name__ == "__main__":
    sys.exit(errors.run(main))
