"""Tables and the figure of a run that is not complete: scores where answers are there, the reason where a variant failed.

A cell is made when its batch has ended. What a batch that is running or has failed did finish, and what has just ended, is
scored here.
"""

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edge2giant import records
from edge2giant.cluster import reasons
from edge2giant.errors import UserError
from edge2giant.paper import figure2, frames, tables
from edge2giant.paper.render import write
from edge2giant.plan import quantize
from edge2giant.plan.score import score_spec
from edge2giant.plan.study import filled_tables, study_spec
from edge2giant.records.failure import Failure
from edge2giant.scoring.make import make_cell
from edge2giant.specs.study import StudySpec
from edge2giant.specs.variant import Cell

if TYPE_CHECKING:
    from edge2giant.config import Config, Study


def found_cells(study: "Study", results: Path) -> tuple[list[Path], list[Cell]]:
    """Cells that exist, and cells that do not."""
    found = {cell: results / cell.path for cell in study.cells}
    return [p for p in found.values() if p.is_file()], [c for c, p in found.items() if not p.is_file()]


def render(config: "Config", study: "Study", results: Path, logs: Path, out: Path) -> str:
    """Render what there is into `out` and return one line for the terminal.

    Raises
    ------
    UserError
        If there is no cell yet, or the tables cannot be rendered.
    """
    cells, missing = found_cells(study, results)
    shutil.rmtree(out, ignore_errors=True)
    cells += score_finished(config, study, results, out, missing)
    failed = write_failures(config, study, results, logs, out, missing)
    if not cells and not failed:
        raise UserError("no cell exists and no failure is recorded", f"study {study.name}", "run it first: snakemake all")
    _draw(study_spec(config, study.name), filled_tables(config, study), cells, failed, config.root / "config/published", out)
    return f"{len(cells)} of {len(study.cells)} cells, {len(failed)} variants failed: {out}"


def score_finished(config: "Config", study: "Study", results: Path, out: Path, missing: list[Cell]) -> list[Path]:
    """Make the missing cells whose answers are there, below `out`, and return their paths; a judge's cells are left out."""
    made = []
    for cell in missing:
        if cell.benchmark == study.judged_benchmark:
            continue
        folder = results / study.name / "evaluations" / cell.variant.path
        for listed in sorted(folder.glob("*.json")):
            path = out / cell.path
            spec = score_spec(config, study, cell.variant, cell.benchmark)
            with contextlib.suppress(UserError):  # a batch without it, and answers that are gone
                make_cell(spec, listed, results / "answer_cache", [], path, path.with_suffix(".samples.parquet"))
                made.append(path)
                break
    return made


def write_failures(config: "Config", study: "Study", results: Path, logs: Path, out: Path, missing: list[Cell]) -> list[Path]:
    """Write one failure record for each variant that misses cells and was tried; return their paths."""
    written = []
    for variant in dict.fromkeys(cell.variant for cell in missing):
        digest = quantize.checkpoint_spec(config, study, variant).folder
        if record := reasons.failure(results, logs, reasons.Tried(study.name, variant, digest)):
            path = out / "failures" / variant.path / "failure.json"
            records.write(path, record)
            written.append(path)
    return written


def _draw(spec: StudySpec, numbers: Iterable[int], cells: list[Path], failures: list[Path], published: Path, out: Path) -> None:
    read = frames.read_cells(cells, spec.study)
    why = tables.failure_reasons(records.read(path, Failure) for path in failures)
    for number in numbers:
        write(tables.regenerated(spec, number, read, published, why), out / f"table{number}")
    if any(cell.unit == "rating" for cell in read):
        figure2.write(figure2.regenerated(spec, read, published), spec.labels, False, out / "figure2")
