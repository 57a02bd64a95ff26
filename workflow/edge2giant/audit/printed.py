"""The printed numbers as text, row by row."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from edge2giant.errors import UserError
from edge2giant.published import PrintedNumber
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant

Key = tuple[str, str, str]


@dataclass(frozen=True)
class PrintedRow:
    """A variant in one table.

    Parameters
    ----------
    storage : str
        Printed gigabytes.
    values, deltas : dict of str to str
        Column (benchmark, category or turn) to printed text; `deltas` are printed differences from FP16.
    """

    table: int
    variant: Variant
    storage: str
    values: dict[str, str] = field(default_factory=dict)
    deltas: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short name of the row, unique over all tables."""
        return f"T{self.table}/{self.variant.path}"

    def key(self, column: str, what: str = "value") -> Key:
        """The key of one printed number of this row (`what` is `value` or `delta`)."""
        return (self.name, column, what)


def rows_of(numbers: Iterable[PrintedNumber]) -> list[PrintedRow]:
    """Rows in printed order; values that the paper does not print are left out."""
    rows: dict[str, PrintedRow] = {}
    for one in numbers:
        row = PrintedRow(one.table, one.variant, one.storage_gb)
        row = rows.setdefault(row.name, row)
        for target, text in ((row.values, None if one.computed else one.value), (row.deltas, one.delta)):
            if text is not None and target.setdefault(one.column, text) is not text:
                raise UserError(f"{row.name} has {one.column} twice", "config/published", "keep one line per number")
    return list(rows.values())


def baseline(rows: list[PrintedRow], row: PrintedRow) -> PrintedRow:
    """The FP16 row of the same table and model."""
    for other in rows:
        if (other.table, other.variant.model, other.variant.method) == (row.table, row.variant.model, FP16[0]):
            return other
    raise UserError("has no FP16 row to compare with", row.name, "add it to config/published")
