"""The printed numbers as text, row by row, from the published score frames."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.paper import frames

MT_BENCH = "mt_bench"


@dataclass(frozen=True)
class Row:
    """One printed row: a model under a scheme in one table.

    Attributes
    ----------
    table : int
    suite, model, method, bits : str
        As in the study grid (``gptq-autogptq``, ``w4a16``).
    storage : str
        Printed gigabytes; empty in the MT-Bench tables, which print none.
    values, deltas : dict of str to str
        Column (benchmark, category or turn) to printed text; ``deltas`` are printed differences from FP16.
    """

    table: int
    suite: str
    model: str
    method: str
    bits: str
    storage: str = ""
    values: dict[str, str] = field(default_factory=dict)
    deltas: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short name of the row, unique over all tables."""
        return f"T{self.table}/{self.model}/{self.method}/{self.bits}"

    def key(self, column: str, what: str = "value") -> tuple[str, str, str]:
        """Return the key of one printed number of this row (``what`` is ``value`` or ``delta``)."""
        return (self.name, column, what)


def _fill(rows: dict[str, Row], row: Row, column: str, value: str | None, delta: str | None) -> None:
    row = rows.setdefault(row.name, row)
    for target, text in ((row.values, value), (row.deltas, delta)):
        if text is None:
            continue
        if column in target:
            raise UserError(f"{row.name} has {column} twice", "config/published", "keep one line per number")
        target[column] = text


def read_scores(config: Path) -> list[Row]:
    """Return the rows of Tables 1, 2, 4 and 5 in printed order."""
    rows: dict[str, Row] = {}
    for line in frames.published_scores(config).itertuples():
        storage = f"{line.storage_gb:g}"
        row = Row(line.table, line.suite, line.model, line.method, line.bits, storage)
        _fill(rows, row, line.benchmark, line.printed, line.printed_delta)
    return list(rows.values())


def read_mt_bench(config: Path) -> list[Row]:
    """Return the rows of Tables 6 and 7; values that the paper does not print are left out."""
    rows: dict[str, Row] = {}
    for line in frames.published_mt_bench(config).itertuples():
        row = Row(line.table, MT_BENCH, line.model, line.method, line.bits)
        value = line.printed if line.value_source == "printed" else None
        _fill(rows, row, line.category, value, line.printed_delta)
    return list(rows.values())


def read_stated_sizes(config: Path) -> dict[str, int]:
    """Return the number of test samples that Table 3 states, by benchmark."""
    path = config / "published" / "benchmarks.csv"
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            return {line["benchmark"]: int(line["n_test_samples"]) for line in csv.DictReader(handle)}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", path, "restore it from the repository") from None


def baseline(rows: list[Row], row: Row) -> Row:
    """Return the FP16 row of the same table and model."""
    for other in rows:
        if (other.table, other.model, other.method) == (row.table, row.model, "fp16"):
            return other
    raise UserError("has no FP16 row to compare with", row.name, "add it to config/published")
