"""Printed storage against parameters x bits / 8, and against the bytes of checkpoints that were made."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from edge2giant import records
from edge2giant.audit.exact import number
from edge2giant.audit.printed import PrintedRow
from edge2giant.errors import UserError
from edge2giant.specs.audit import ModelSize
from edge2giant.specs.variant import Variant

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


def sizes(rows: list[PrintedRow], models: Mapping[str, ModelSize], measured: Mapping[Variant, int]) -> list[PrintedSize]:
    """Return printed, nominal, exact and measured size of every variant, once for each size that is printed.

    Parameters
    ----------
    rows : list of PrintedRow
        Of the tables of scores.
    models : mapping
    measured : mapping
        Bytes of checkpoints.
    """
    found = {}
    for row in rows:
        variant, model = row.variant, models.get(row.variant.model)
        width = Fraction(variant.widths[0], 8)
        size = PrintedSize(
            row,
            number(row.storage),
            Fraction(model.nominal_billions) * width if model else None,
            Fraction(model.parameters, 10**9) * width if model else None,
            Fraction(measured[variant], 10**9) if variant in measured else None,
        )
        found.setdefault((variant, row.storage), size)
    return list(found.values())


def read_measured(paths: list[Path]) -> dict[Variant, int]:
    """Return measured bytes from checkpoint or cell records.

    Raises
    ------
    UserError
        If a file is neither, or two files give one variant different sizes.
    """
    found: dict[Variant, int] = {}
    for path in paths:
        record = records.read_json(path)
        identity = record.get("cell", record)
        size = record.get("bytes", (record.get("checkpoint") or {}).get("bytes"))
        variant = Variant(*(identity.get(name) for name in ("model", "method", "bits")))
        if None in (variant.model, variant.method, variant.bits) or not isinstance(size, int):
            raise UserError("is neither a checkpoint nor a cell record", path, "give checkpoint.json or cells")
        if found.setdefault(variant, size) != size:
            raise UserError(f"another file gives {variant.path} other bytes", path, "give one study's files")
    return found


def off(printed: Fraction, other: Fraction | None) -> bool:
    """Whether two sizes differ by more than `TOLERANCE` of the printed one."""
    return other is not None and abs(other - printed) > TOLERANCE * printed
