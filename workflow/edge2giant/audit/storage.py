"""Printed storage against parameters x bits / 8, and against the bytes of checkpoints that were made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from edge2giant.audit.exact import number
from edge2giant.audit.printed import PrintedRow
from edge2giant.records.cell import CellRecord
from edge2giant.specs.audit import ModelSize

#: Share by which a size may miss the printed one before it is worth a note.
TOLERANCE = Fraction(1, 10)


@dataclass(frozen=True)
class PrintedSize:
    """Sizes of one printed row in units of 10^9 bytes; None where unknown."""

    row: PrintedRow
    printed: Fraction
    nominal: Fraction | None
    parameters: Fraction | None
    measured: Fraction | None


def sizes(rows: list[PrintedRow], models: Mapping[str, ModelSize], cells: Iterable[CellRecord]) -> list[PrintedSize]:
    """Every size that the tables of scores print, one for each row, beside what models and cell records say."""
    measured = {cell.cell.variant: Fraction(cell.checkpoint.bytes, 10**9) for cell in cells}
    found = []
    for row in rows:
        model, width = models.get(row.variant.model), Fraction(row.variant.widths[0], 8)
        nominal = Fraction(model.nominal_billions) * width if model else None
        parameters = Fraction(model.parameters, 10**9) * width if model else None
        found.append(PrintedSize(row, number(row.storage), nominal, parameters, measured.get(row.variant)))
    return found


def off(printed: Fraction, other: Fraction | None) -> bool:
    """Whether two sizes differ by more than `TOLERANCE` of the printed one."""
    return other is not None and abs(other - printed) > TOLERANCE * printed
