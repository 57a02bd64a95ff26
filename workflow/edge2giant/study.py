"""What a study consists of: `rows` lists the lines of its tables, `show` counts its cells by model and phase.

Reads `config/` alone.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from edge2giant import errors, grid, records


def rows(house: grid.House, study: grid.Study) -> list[dict]:
    """The lines of a study's tables in order: model, method, bits, nominal storage in GB, and the benchmarks to expect."""
    return [
        {
            "model": row.model,
            "label": house.models[row.model]["name"],
            "method": row.method,
            "bits": row.bits,
            "storage_gb": nominal_gb(house, row),
            "benchmarks": study.benchmarks_of(row),
        }
        for row in study.rows
    ]


def nominal_gb(house: grid.House, row: grid.Row) -> float:
    """Parameters times weight bits over 8, in 10^9 bytes: what the paper prints as storage."""
    weight_bits = int(row.bits.removeprefix("w").split("a")[0])
    return house.models[row.model]["nominal_billions"] * weight_bits / 8


def counts(study: grid.Study) -> list[dict]:
    """Checkpoints, leaderboard cells and MT-Bench cells of each model."""
    by_model = Counter((cell.model, cell.benchmark == "mt_bench") for cell in study.cells)
    checkpoints = Counter(row.model for row in study.rows)
    return [
        {
            "model": model,
            "checkpoints": checkpoints[model],
            "leaderboard cells": by_model[model, False],
            "MT-Bench cells": by_model[model, True],
        }
        for model in checkpoints
    ]


def table(lines: list[dict]) -> str:
    """Lines of a plain table with a total, for a terminal."""
    heads = list(lines[0])
    total = {head: sum(line[head] for line in lines) if head != heads[0] else "total" for head in heads}
    widths = {head: max(len(head), *(len(str(line[head])) for line in [*lines, total])) for head in heads}

    def text(line: dict) -> str:
        return "  ".join(f"{line[head]!s:<{widths[head]}}" for head in heads).rstrip()

    return "\n".join(text(line) for line in [dict(zip(heads, heads, strict=True)), *lines, total])


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.study", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("rows", help="the lines of the study's tables, as JSON")
    listing.add_argument("--study", required=True)
    listing.add_argument("--out", required=True, type=Path)
    show = commands.add_parser("show", help="cells by model and phase")
    show.add_argument("--study", required=True)
    return top


def main() -> None:
    args = parser().parse_args()
    house = grid.load()
    study = house.study(args.study)
    if args.command == "rows":
        records.write_json(args.out, rows(house, study))
    else:
        print(f"study {study.name}: {study.title}\n{table(counts(study))}\n{len(study.cells)} cells")


if __name__ == "__main__":
    sys.exit(errors.run(main))
