"""``python -m edge2giant.stats``: paired statistics of cells.

- ``pair``: two cells; the result goes to stdout as JSON
- ``family``: every variant of a study against a reference, with Holm and Benjamini-Hochberg: ``<out-prefix>.csv`` and ``.json``
- ``simulate``: coverage of the intervals and errors of the tests on made-up answers, as JSON and as a table
"""

import argparse
import json
import sys
from pathlib import Path

from edge2giant import errors, records, specs
from edge2giant.specs.score import StatisticsSpec
from edge2giant.stats import RESAMPLES, SEED, family, samples, simulation


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge2giant.stats", description="Paired statistics of cells.")
    commands = parser.add_subparsers(required=True)
    pair = commands.add_parser("pair", help="compare two cells of one benchmark")
    pair.add_argument("--a", type=Path, required=True, help="reference cell (FP16)")
    pair.add_argument("--b", type=Path, required=True, help="the other cell")
    pair.set_defaults(run=_pair)
    study = commands.add_parser("family", help="compare every variant of a study with a reference")
    specs.add_arguments(study)
    study.add_argument("--cells", type=Path, nargs="+", required=True, help="cell records")
    study.add_argument("--repeats", type=Path, nargs="*", default=[], help="records of cells that repeat some of these")
    study.add_argument("--reference", default="fp16/w16a16", help="method/bits to compare with (fp16/w16a16)")
    study.add_argument("--out-prefix", type=Path, required=True, help="folder and start of the names to write")
    study.set_defaults(run=_family)
    for command in (pair, study):
        command.add_argument("--resamples", type=int, default=RESAMPLES, help=f"of the permutation test ({RESAMPLES})")
        command.add_argument("--seed", type=int, default=SEED, help=f"of the permutation test ({SEED})")
    simulate = commands.add_parser("simulate", help="how often the intervals cover and the tests reject, on made-up answers")
    simulate.add_argument("--repeats", type=int, default=simulation.REPEATS, help=f"of each case ({simulation.REPEATS})")
    simulate.add_argument("--seed", type=int, default=SEED, help=f"of the answers ({SEED})")
    simulate.add_argument("--out", type=Path, required=True, help="JSON file to write; the table goes to stdout")
    simulate.set_defaults(run=_simulate)
    return parser.parse_args(argv)


def _drawn(options: argparse.Namespace) -> dict:
    """Draws of a comparison, as `family.compare` takes them."""
    if options.resamples < 1:
        raise errors.UserError("needs at least 1", "--resamples")
    return {"resamples": options.resamples, "seed": options.seed}


def _pair(options: argparse.Namespace) -> None:
    row = family.compare(samples.read(options.a), samples.read(options.b), **_drawn(options))
    print(json.dumps(family.as_json(row), indent=1))


def _family(options: argparse.Namespace) -> None:
    spec, drawn = specs.of_arguments(options, StatisticsSpec), _drawn(options)
    cells = [samples.read(path) for path in options.cells]
    pairs, alone = family.pairs(cells, options.reference)
    rows = [family.compare(a, b, **drawn) for a, b in pairs]
    rows += family.pooled(rows, spec.suites)
    family.correct(rows)
    noise = family.noise_floor(cells, [samples.read(path) for path in options.repeats], spec, **drawn)
    paths = family.write(rows, noise, alone, options.out_prefix)
    for name in alone:
        print(f"no reference {options.reference} for {name}", file=sys.stderr)
    print(f"{len(pairs)} comparisons, {len(alone)} cells without a reference, {len(options.repeats)} repeats", *paths, sep="\n")


def _simulate(options: argparse.Namespace) -> None:
    if options.repeats < 1:
        raise errors.UserError("needs at least 1", "--repeats")
    found = simulation.run(options.repeats, options.seed)
    records.write_json(options.out, found)
    print(simulation.table(found["cases"]))


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    options.run(options)


if __name__ == "__main__":
    sys.exit(errors.run(main))
