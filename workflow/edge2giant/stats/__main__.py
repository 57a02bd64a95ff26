"""``python -m edge2giant.stats``: paired statistics of cells.

- ``pair``: two cells; the result goes to stdout as JSON
- ``family``: every variant of a study against a reference, with Holm and Benjamini-Hochberg: ``<out-prefix>.csv`` and ``.json``
- ``passages``: which questions of a data set share a passage: a CSV for ``--clusters``
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from edge2giant import errors, records, specs
from edge2giant.specs.score import StatisticsSpec
from edge2giant.stats import RESAMPLES, SEED, clusters, family, samples


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
    study.add_argument("--reference", default="fp16/w16a16", help="method/bits to compare with (fp16/w16a16)")
    study.add_argument("--out-prefix", type=Path, required=True, help="folder and start of the names to write")
    study.set_defaults(run=_family)
    for command in (pair, study):
        command.add_argument("--clusters", type=Path, help="CSV from 'passages': questions that share a passage")
        command.add_argument("--resamples", type=int, default=RESAMPLES, help=f"of bootstrap and permutations ({RESAMPLES})")
        command.add_argument("--seed", type=int, default=SEED, help=f"of bootstrap and permutations ({SEED})")
    passages = commands.add_parser("passages", help="number the passages of a data set")
    passages.add_argument("--parquet", type=Path, required=True, help="the data set's file")
    passages.add_argument("--task", required=True, help="lm-eval task that reads it")
    passages.add_argument("--column", default="narrative", help="column with the passage (narrative)")
    passages.add_argument("--out", type=Path, required=True, help="CSV to write, or to add the task to")
    passages.set_defaults(run=_passages)
    return parser.parse_args(argv)


def _drawn(options: argparse.Namespace) -> dict:
    """Clusters and draws of a comparison, as `family.compare` takes them."""
    if options.resamples < 1:
        raise errors.UserError("needs at least 1", "--resamples")
    table = clusters.read(options.clusters) if options.clusters else None
    return {"table": table, "resamples": options.resamples, "seed": options.seed}


def _pair(options: argparse.Namespace) -> None:
    row = family.compare(samples.read(options.a), samples.read(options.b), **_drawn(options))
    print(json.dumps(family.as_json(row), indent=1))


def _family(options: argparse.Namespace) -> None:
    spec, drawn = specs.of_arguments(options, StatisticsSpec), _drawn(options)
    pairs, alone = family.pairs([samples.read(path) for path in options.cells], options.reference)
    rows = [family.compare(a, b, **drawn) for a, b in pairs]
    rows += family.averages(rows, spec.suites)
    family.correct(rows)
    paths = family.write(rows, alone, options.out_prefix)
    for name in alone:
        print(f"no reference {options.reference} for {name}", file=sys.stderr)
    print(f"{len(pairs)} comparisons, {len(alone)} cells without a reference", *paths, sep="\n")


def _passages(options: argparse.Namespace) -> None:
    table = clusters.of_passages(options.parquet, options.task, options.column)
    print(f"{options.task}: {table['cluster'].nunique()} passages")
    if options.out.is_file():
        old = clusters.read(options.out)
        table = pd.concat([old[old["task"] != options.task], table], ignore_index=True)
    with records.atomic(options.out) as stream:
        table.to_csv(stream, index=False)


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    options.run(options)


if __name__ == "__main__":
    sys.exit(errors.run(main))
