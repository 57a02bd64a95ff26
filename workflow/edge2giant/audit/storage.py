"""Printed storage against parameters x bits / 8, and against the bytes of checkpoints that were made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from edge2giant import records
from edge2giant.audit.exact import number
from edge2giant.audit.printed import Row
from edge2giant.errors import UserError

#: Share by which a size may miss the printed one before it is worth a note.
TOLERANCE = Fraction(1, 10)
BITS = re.compile(r"w(\d+)a(\d+)")
SIZE_IN_NAME = re.compile(r"(\d+)b\b")


@dataclass(frozen=True)
class Storage:
    """Sizes of one printed row in units of 10^9 bytes; None where unknown."""

    row: Row
    printed: Fraction
    nominal: Fraction | None
    parameters: Fraction | None
    measured: Fraction | None


def weight_bits(bits: str) -> int:
    """Return the weight width of ``w4a16``."""
    match = BITS.fullmatch(bits)
    if not match:
        raise UserError(f"'{bits}' is not a bit width", hint="write w<weight bits>a<activation bits>")
    return int(match[1])


def nominal_billions(model: str, entry: Mapping) -> Fraction | None:
    """Return the size that the model's name claims, from its config entry or the name itself."""
    if "nominal_billions" in entry:
        return Fraction(str(entry["nominal_billions"]))
    match = SIZE_IN_NAME.search(model)
    return Fraction(match[1]) if match else None


def sizes(rows: list[Row], models: Mapping[str, Mapping], measured: Mapping[tuple, int]) -> list[Storage]:
    """Return printed, nominal, exact and measured size of every (model, scheme), each once.

    Parameters
    ----------
    rows : list of Row
        Printed score rows; a scheme that stands in two tables counts once per printed size.
    models : mapping
        Entries of ``config/models.yaml``.
    measured : mapping
        Bytes by (model, method, bits).
    """
    found = {}
    for row in rows:
        entry, width = models.get(row.model, {}), Fraction(weight_bits(row.bits), 8)
        nominal, parameters = nominal_billions(row.model, entry), entry.get("parameters")
        key = (row.model, row.method, row.bits)
        size = Storage(
            row,
            number(row.storage),
            None if nominal is None else nominal * width,
            None if parameters is None else Fraction(parameters, 10**9) * width,
            None if key not in measured else Fraction(measured[key], 10**9),
        )
        found.setdefault((*key, row.storage), size)
    return list(found.values())


def read_measured(paths: list[Path]) -> dict[tuple[str, str, str], int]:
    """Return measured bytes by (model, method, bits) from checkpoint or cell records.

    Raises
    ------
    UserError
        If a file is neither, or two files give one scheme different sizes.
    """
    found: dict[tuple[str, str, str], int] = {}
    for path in paths:
        record = records.read_json(path)
        identity = record.get("cell", record)
        size = record.get("bytes", (record.get("checkpoint") or {}).get("bytes"))
        key = tuple(identity.get(name) for name in ("model", "method", "bits"))
        if None in key or not isinstance(size, int):
            raise UserError("is neither a checkpoint nor a cell record", path, "give checkpoint.json or cells")
        if found.setdefault(key, size) != size:
            raise UserError(f"another file gives {' '.join(key)} other bytes", path, "give one study's files")
    return found


def off(printed: Fraction, other: Fraction | None) -> bool:
    """Whether two sizes differ by more than `TOLERANCE` of the printed one."""
    return other is not None and abs(other - printed) > TOLERANCE * printed
