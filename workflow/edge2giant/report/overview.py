"""The top of a report: how far the study is, and the map of all its cells."""

from collections import Counter
from dataclasses import astuple, dataclass

from edge2giant.pages import grids
from edge2giant.pages.grids import Value
from edge2giant.records.units import UNITS
from edge2giant.report.gather import Key, ReportMaterial, base_of, page_of

UNKNOWN = grids.text("")
COUNTED = (
    ("comparison", "verdict", "differs", "cells differ from the paper"),
    ("claims", "verdict", "holds", "claims hold on these cells"),
    ("printed claims", "verdict", "holds", "claims hold as printed"),
    ("audit", "severity", "error", "errors in the printed tables"),
)


@dataclass(frozen=True)
class Place:
    """One field of the map: state, a sentence that says all, the cell's page, and what it shows by choice.

    Parameters
    ----------
    fp16, printed, score : Value
        Difference from FP16 (of FP16 itself the score), difference from the printed value, and score.
    """

    state: str
    hint: str
    href: str = ""
    fp16: Value = UNKNOWN
    printed: Value = UNKNOWN
    score: Value = UNKNOWN


def states(material: ReportMaterial) -> Counter:
    """Planned cells by state."""
    return Counter(material.state(key) for key in material.planned)


def tiles(material: ReportMaterial) -> list[tuple[str, Value]]:
    """Counts of cells, verdicts and findings, and the time that the cells took."""
    count = states(material)
    planned = sum(count.values())
    found = [
        (f"of {planned} cells made", grids.count(count["made"], "made" if count["made"] == planned else "")),
        ("cells failed", grids.count(count["failed"], "failed")),
        ("cells not run", grids.count(count["not run"], "doubtful")),
    ]
    for analysis, key, value, label in COUNTED:
        if (records := material.analyses.get(analysis)) is not None:
            hits = {record.get("id", i) for i, record in enumerate(records) if record.get(key) == value}
            found.append((label, grids.count(len(hits), value)))
    return [*found, _time(material)]


def _time(material: ReportMaterial) -> tuple[str, Value]:
    costs = [cell.cost for cell in material.cells.values()]
    gpu = sum(cost.gpu_seconds for cost in costs)
    seconds, unit = (gpu, "GPU") if gpu else (sum(cost.seconds for cost in costs), "CPU")
    if seconds < 3600:
        return f"{unit} minutes of evaluation", grids.number(seconds / 60, 1)
    return f"{unit} hours of evaluation", grids.number(seconds / 3600, 1)


def place(material: ReportMaterial, key: Key) -> Place:
    """Fill one field of the map."""
    state, record = material.state(key), material.cells.get(key)
    name = f"{material.names.model(key[0])}, {material.names.method_bits(*key[1:3])}, {material.names.benchmark(key[3])}"
    if record is None:
        reason = material.reason(key) if state == "failed" else ""
        return Place(state, f"{name}: {state}{f' ({reason})' if reason else ''}")
    unit, sign = UNITS[record.unit], record.sign
    score = grids.number(record.score, unit.digits)
    fp16, printed = (
        grids.number(value, unit.digits, signed=True, mark=grids.heat(None if value is None else sign * value, unit.points))
        for value in (material.against_fp16(key), record.published and record.published.difference)
    )
    hint = f"{name}: {score.text}; against FP16 {fp16.text}"
    hint += f"; against the paper {printed.text}" if material.spec.paper else ""
    if key == base_of(key):
        fp16 = Value(score.text, mark="base")
    return Place(state, hint, page_of(key), fp16, printed, score)


def score_map(material: ReportMaterial) -> list[tuple[str, list[tuple[str, list[Place]]]]]:
    """The map: models with their rows, each a method with a `Place` for each benchmark."""
    models: dict[str, list[tuple[str, list[Place]]]] = {}
    for variant in (entry.variant for entry in material.variants):
        places = [place(material, (*astuple(variant), name)) for name in material.benchmarks]
        row = (material.names.method_bits(variant.method, variant.bits), places)
        models.setdefault(variant.model, []).append(row)
    return [(material.names.model(model), rows) for model, rows in models.items()]
