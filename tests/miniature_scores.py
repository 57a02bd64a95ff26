"""Compare the cells of the miniature study with the committed list of their scores, errors and samples.

``workflow/in-env workflow python tests/miniature_scores.py results/miniature/cells`` prints every cell that differs and ends
with exit code 1 if one does. ``--write`` makes the list anew: do that only where scores are meant to change, and say why in
the commit. The list was made on x86-64 with AVX-512; another processor may round log-probabilities otherwise.
"""

import argparse
import json
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


def differences(expected: dict[str, dict], found: dict[str, dict]) -> list[str]:
    """One line for each cell that is missing, is not in the list, or has another value."""
    lines = [f"{name}: is missing" for name in expected.keys() - found.keys()]
    lines += [f"{name}: is not in the list" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        lines += [
            f"{name}: {key} is {found[name][key]}, expected {value}"
            for key, value in expected[name].items()
            if found[name][key] != value
        ]
    return sorted(lines)


def text(cells: dict[str, dict]) -> str:
    """The list as JSON, one cell a line."""
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in sorted(cells.items())) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path, help="results/miniature/cells")
    parser.add_argument("--write", action="store_true", help="make the list anew")
    options = parser.parse_args()
    found = read_cells(options.cells)
    if options.write:
        EXPECTED.write_text(text(found), encoding="utf-8")
        return 0
    lines = differences(json.loads(EXPECTED.read_text(encoding="utf-8")), found)
    print("\n".join(lines) or f"{len(found)} cells are as expected")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
