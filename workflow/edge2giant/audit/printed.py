"""The printed numbers as text, row by row."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant

Key = tuple[str, str, str]


@dataclass(frozen=True)
class PrintedRow:
    """A variant in one table.

    Parameters
    ----------
    table : int
    variant : Variant
    storage : str
        Printed gigabytes; empty in the MT-Bench tables, which print none.
    values, deltas : dict of str to str
        Column (benchmark, category or turn) to printed text; `deltas` are printed differences from FP16.
    """

    table: int
    variant: Variant
    storage: str = ""
    values: dict[str, str] = field(default_factory=dict)
    deltas: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short name of the row, unique over all tables."""
        return f"T{self.table}/{self.variant.path}"

    def key(self, column: str, what: str = "value") -> Key:
        """Return the key of one printed number of this row (`what` is `value` or `delta`)."""
        return (self.name, column, what)


def _rows(lines: Iterable[tuple[PrintedRow, str, str | None, str | None]]) -> list[PrintedRow]:
    """Rows in printed order from (row without numbers, column, value, delta) of each line."""
    rows: dict[str, PrintedRow] = {}
    for line, column, value, delta in lines:
        row = rows.setdefault(line.name, line)
        for target, text in ((row.values, value), (row.deltas, delta)):
            if text is None:
                continue
            if column in target:
                raise UserError(f"{row.name} has {column} twice", "config/published", "keep one line per number")
            target[column] = text
    return list(rows.values())


def _variant(line) -> Variant:
    return Variant(line.model, line.method, line.bits)


def read_scores(published: Path) -> list[PrintedRow]:
    """Return the rows of Tables 1, 2, 4 and 5 in printed order."""
    lines = frames.published_scores(published).itertuples()
    return _rows(
        (PrintedRow(line.table, _variant(line), f"{line.storage_gb:g}"), line.benchmark, line.printed, line.printed_delta)
        for line in lines
    )


def read_mt_bench(published: Path) -> list[PrintedRow]:
    """Return the rows of Tables 6 and 7; values that the paper does not print are left out."""
    lines = frames.published_mt_bench(published).itertuples()
    return _rows(
        (
            PrintedRow(line.table, _variant(line)),
            line.category,
            line.printed if line.value_source == "printed" else None,
            line.printed_delta,
        )
        for line in lines
    )


def read_stated_sizes(published: Path) -> dict[str, int]:
    """Return the number of test samples that Table 3 states, by benchmark."""
    path = published / "benchmarks.csv"
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            return {line["benchmark"]: int(line["n_test_samples"]) for line in csv.DictReader(handle)}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", path, "restore it from the repository") from None


def baseline(rows: list[PrintedRow], row: PrintedRow) -> PrintedRow:
    """Return the FP16 row of the same table and model."""
    for other in rows:
        if (other.table, other.variant.model, other.variant.method) == (row.table, row.variant.model, FP16[0]):
            return other
    raise UserError("has no FP16 row to compare with", row.name, "add it to config/published")
