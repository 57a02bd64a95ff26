"""Tables and the figure of a run that is not whole: scores where cells exist, the reason where a row failed."""

import shutil
import subprocess
import sys
from pathlib import Path

from edge2giant import grid, paths, records
from edge2giant.cluster import blame
from edge2giant.errors import UserError
from edge2giant.study import rows as study_rows


def found_cells(house: grid.House, study: grid.Study, results: Path) -> tuple[list[Path], list[grid.Cell]]:
    """Cells that exist, and cells that do not."""
    found = {cell: results / study.name / "cells" / cell.row.path / f"{cell.benchmark}.json" for cell in study.cells}
    return [p for p in found.values() if p.is_file()], [c for c, p in found.items() if not p.is_file()]


def render(house: grid.House, study: grid.Study, results: Path, logs: Path, out: Path) -> str:
    """Render what there is into `out` and return one line for the terminal.

    Raises
    ------
    UserError
        If there is no cell yet, or the tables cannot be rendered.
    """
    cells, missing = found_cells(house, study, results)
    shutil.rmtree(out, ignore_errors=True)
    failed = write_failures(house, study, results, logs, out, missing)
    if not cells and not failed:
        raise UserError("no cell exists and no failure is recorded", f"study {study.name}", "run it first: snakemake all")
    records.write_json(out / "rows.json", study_rows(house, study))
    common = ["--cells", *map(str, cells), "--failures", *map(str, failed), "--expected", str(out / "rows.json")]
    for number in (1, 2):
        _paper("table", "--number", str(number), "--source", "cells", "--out-prefix", str(out / f"table{number}"), *common)
    if any(path.stem == "mt_bench" for path in cells):
        models = ",".join(study.figure2_models)
        _paper("figure2", "--source", "cells", "--models", models, "--out-prefix", str(out / "figure2"), *common)
    return f"{len(cells)} of {len(study.cells)} cells, {len(failed)} rows failed: {out}"


def write_failures(
    house: grid.House, study: grid.Study, results: Path, logs: Path, out: Path, missing: list[grid.Cell]
) -> list[Path]:
    """Write one failure record for each row that misses cells and was tried; return their paths."""
    written = []
    for row in dict.fromkeys(cell.row for cell in missing):
        digest = paths.checkpoint_spec(house, study, row).folder
        if record := blame.failure(results, logs, blame.Tried(study.name, row, digest)):
            path = out / "failures" / row.path / "failure.json"
            records.write_json(path, record, "failure")
            written.append(path)
    return written


def _paper(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "edge2giant.paper", *arguments], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(last.removeprefix("error: "), f"partial {arguments[0]}")
