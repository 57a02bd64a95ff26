"""Compare the cells of a study with the committed list of their scores, errors and samples: the miniature study, or `--expected`.

``workflow/in-env workflow python tests/miniature_scores.py results/miniature/cells`` prints every cell that differs and ends
with exit code 1 if one does. ``--write`` makes the list anew: do that only where scores are meant to change, and say why in
the commit. Another processor than the list's rounds log-probabilities otherwise: there, scores of unquantized models have to
be equal to 0.001, and those of quantized ones, whose weights already differ, to three of their standard errors.
"""

import argparse
import json
import math
import platform
import sys
from pathlib import Path

EXPECTED = Path(__file__).resolve().parent / "data/miniature_cells.json"


def read_cells(folder: Path) -> dict[str, dict]:
    """Score, standard error, number of documents and digest of the samples of each cell below `folder`, by its path there."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        cell = json.loads(path.read_text(encoding="utf-8"))
        values = {name: cell[name] for name in ("score", "stderr", "n")} | {"samples": cell["samples"]["sha256"]}
        found[path.relative_to(folder).with_suffix("").as_posix()] = values
    return found


def processor() -> str:
    """What the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def differences(expected: dict, found: dict[str, dict]) -> list[str]:
    """One line for each cell that is missing, is not in the list, or has another value."""
    cells, near = expected["cells"], expected["processor"] != processor()
    lines = [f"{name}: is missing" for name in cells.keys() - found.keys()]
    lines += [f"{name}: is not in the list" for name in found.keys() - cells.keys()]
    for name in cells.keys() & found.keys():
        wanted, own = cells[name], found[name]
        keys = [key for key in wanted if wanted[key] != own[key]]
        if near and wanted["n"] == own["n"] and abs(wanted["score"] - own["score"]) <= tolerance(name, wanted, own):
            keys = []
        lines += [f"{name}: {key} is {own[key]}, expected {wanted[key]}" for key in keys]
    return sorted(lines)


def tolerance(name: str, *cells: dict) -> float:
    """How far a score may be from another processor's."""
    return 0.001 if "/fp16/" in name else 3 * math.hypot(*(cell["stderr"] or 0 for cell in cells)) + 0.001


def text(cells: dict[str, dict]) -> str:
    """The list as JSON, one cell a line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in sorted(cells.items()))
    return f'{{"processor": {json.dumps(processor())}, "cells": {{\n{lines}\n}}}}\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path, help="such as results/miniature/cells")
    parser.add_argument("--expected", type=Path, default=EXPECTED, help="the committed list")
    parser.add_argument("--write", action="store_true", help="make the list anew")
    options = parser.parse_args()
    found = read_cells(options.cells)
    if options.write:
        options.expected.write_text(text(found), encoding="utf-8")
        return 0
    lines = differences(json.loads(options.expected.read_text(encoding="utf-8")), found)
    print("\n".join(lines) or f"{len(found)} cells are as expected")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
