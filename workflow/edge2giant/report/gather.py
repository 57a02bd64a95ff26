"""Everything that a report reads, read once and checked."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.paper.tables import failure_reasons
from edge2giant.specs.study import Labels, StudySpec
from edge2giant.specs.variant import Variant

Key = tuple[str, str, str, str]
MADE_UP = (
    "The questions of this study are made up, and its models are tiny: it shows that every step works. Its scores say"
    " nothing about real models, and where a benchmark bears a known name, these are not that benchmark's questions."
)


@dataclass
class ReportMaterial:
    """What there is to report of a study.

    Parameters
    ----------
    spec : StudySpec
    published : Path
        Folder of the printed values, `config/published`.
    cells : dict
        (model, method, bits, benchmark) to cell record.
    paths : dict
        The same to the record's file.
    rows : list of dict
        model, method, bits, benchmarks, and label and storage_gb where known.
    failures : list of dict
        Failure records.
    analyses : dict
        `comparison`, `statistics`, `audit`, `claims` and `printed claims` to their CSV records; absent when there are none.
    notes : list of str
        Shown on top of the first page.
    """

    spec: StudySpec
    published: Path
    cells: dict[Key, dict] = field(default_factory=dict)
    paths: dict[Key, Path] = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)
    failures: list[dict] = field(default_factory=list)
    analyses: dict[str, list[dict]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def study(self) -> str:
        return self.spec.study

    @property
    def title(self) -> str:
        return self.spec.title

    @property
    def names(self) -> Labels:
        return self.spec.labels

    @property
    def benchmarks(self) -> list[str]:
        """Benchmarks that any row has, in the order of the config."""
        asked = {name for row in self.rows for name in row["benchmarks"]}
        known = list(dict.fromkeys(name for entry in self.spec.variants for name in entry.benchmarks))
        return [name for name in known if name in asked] + sorted(asked - set(known))

    @property
    def reasons(self) -> dict[tuple[Variant, str], str]:
        """Why cells failed, by variant and benchmark; `*` stands for all benchmarks."""
        return failure_reasons(self.failures)

    def state(self, key: Key) -> str:
        """`made`, `failed`, `not run` or `not planned`."""
        if key in self.cells:
            return "made"
        row = next((row for row in self.rows if row_key(row) == key[:3]), None)
        if row is None or key[3] not in row["benchmarks"]:
            return "not planned"
        return "failed" if self.reason(key) else "not run"

    def reason(self, key: Key) -> str:
        """Why a cell is missing, or an empty text."""
        reasons, variant = self.reasons, Variant(*key[:3])
        suite = self.spec.benchmarks[key[3]].suite if key[3] in self.spec.benchmarks else ""
        return next((reasons[variant, name] for name in (key[3], suite, "*") if (variant, name) in reasons), "")

    def confidential(self, benchmark: str) -> bool:
        """Whether a benchmark's questions and answers must not be shown."""
        return benchmark in self.spec.benchmarks and self.spec.benchmarks[benchmark].confidential

    def fp16(self, key: Key) -> dict | None:
        """The unquantized cell that a cell is compared with."""
        return self.cells.get((key[0], "fp16", "w16a16", key[3]))

    def against_fp16(self, key: Key) -> float | None:
        """ScoreText less the FP16 score of the same model, None for FP16 itself or where either is missing."""
        cell, base = self.cells.get(key), self.fp16(key)
        return None if cell is None or base is None or key[1] == "fp16" else cell["score"] - base["score"]


def row_key(row: dict) -> tuple[str, str, str]:
    """Model, method and bits of a row."""
    return row["model"], row["method"], row["bits"]


def cell_key(record: dict) -> Key:
    """Model, method, bits and benchmark of a cell record."""
    identity = record["cell"]
    return identity["model"], identity["method"], identity["bits"], identity["benchmark"]


def page_of(key: Key) -> str:
    """Where the page of a cell lies, relative to the report.

    Raises
    ------
    UserError
        If a name of the cell could lead out of the report's folder.
    """
    for part in key:
        if not part or part.startswith(".") or not all(c.isalnum() or c in "._-" for c in part):
            raise UserError(f"{part!r} cannot be a file name", "cell " + " ".join(key), "rename it in config/")
    return "cells/" + "/".join(key) + ".html"


def read_csv(path: str | Path) -> list[dict]:
    """Records of a CSV file.

    Raises
    ------
    UserError
        If it is missing or is not a CSV file of UTF-8 text.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            return [
                {key or "": value or "" for key, value in record.items() if key} for record in csv.DictReader(stream, strict=True)
            ]
    except FileNotFoundError:
        raise UserError("is missing", path, "make it first, or leave the option out") from None
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read as CSV ({error})", path, "make it anew") from None


def files(paths: Iterable[str | Path]) -> list[str]:
    """Records as named; a folder stands for every JSON file in it.

    Raises
    ------
    UserError
        If a path is neither a file nor a folder.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise UserError("is missing", path, "give records, or a folder of records")
        found += [str(path)] if path.is_file() else sorted(str(one) for one in path.rglob("*.json"))
    return found


def _rows(spec: StudySpec, cells: dict[Key, dict]) -> list[dict]:
    """Variants of the study, those of cells beyond it after them; each with the benchmarks to expect."""
    rows = [
        {
            "model": one.variant.model,
            "method": one.variant.method,
            "bits": one.variant.bits,
            "storage_gb": one.storage_gb,
            "benchmarks": list(one.benchmarks),
        }
        for one in spec.variants
    ]
    known = {row_key(row): row for row in rows}
    for key in cells:
        row = known.get(key[:3])
        if row is None:
            row = known[key[:3]] = dict(zip(frames.VARIANT, key[:3], strict=True)) | {"benchmarks": []}
            rows.append(row)
        row["benchmarks"] = list(dict.fromkeys([*row["benchmarks"], key[3]]))
    return rows


def _cells(study: str, paths: Iterable[str]) -> tuple[dict[Key, dict], dict[Key, Path]]:
    paths = files(paths)
    read = frames.read_cells(paths, study)
    return {cell_key(record): record for record in read}, {cell_key(r): Path(p) for p, r in zip(paths, read, strict=True)}


def _analyses(options: dict[str, str | None], printed: str | None) -> dict[str, list[dict]]:
    files = dict(options)
    if printed and not files.get("audit"):
        files["audit"] = str(Path(printed) / "audit.csv")
    if printed:
        files["printed claims"] = str(Path(printed) / "claims.csv")
    return {name: read_csv(path) for name, path in files.items() if path}


def read(
    spec: StudySpec,
    published: Path,
    cells: Iterable[str],
    failures: Iterable[str] = (),
    printed: str | None = None,
    note: str | None = None,
    **analyses: str | None,
) -> ReportMaterial:
    """Read what a report needs.

    Parameters
    ----------
    spec : StudySpec
    published : path
        Folder of the printed values.
    cells, failures : iterable of path
        Records, or folders of records.
    printed : path, optional
        Folder with the audit and the claims of the printed numbers.
    note : str, optional
        What a reader must know before all else.
    **analyses
        CSV files: comparison, statistics, claims, audit.

    Raises
    ------
    UserError
        If anything cannot be read, or a cell is of another study.
    """
    found, paths = _cells(spec.study, cells)
    material = ReportMaterial(spec, Path(published), found, paths)
    material.notes = [note] if note else []
    material.notes += [MADE_UP] if spec.source != "hub" else []
    material.rows = _rows(spec, found)
    material.failures = [records.read_json(path, "failure") for path in files(failures)]
    material.analyses = _analyses(analyses, printed)
    return material
