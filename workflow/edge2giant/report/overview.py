"""The top of a report: how far the study is, and the map of all its cells."""

from collections import Counter
from dataclasses import astuple, dataclass

from edge2giant.report import grids
from edge2giant.report.gather import Key, ReportMaterial, base_of, page_of

RATING_POINTS = 10


@dataclass(frozen=True)
class Tile:
    """One of the numbers on top."""

    label: str
    number: str
    mark: str = ""


@dataclass(frozen=True)
class Place:
    """One field of the map.

    Parameters
    ----------
    state : str
        See `ReportMaterial.state`.
    score, fp16, printed : str
        Score, difference from FP16 (of FP16 itself the score), difference from the printed value; a dash where unknown.
    fp16_heat, printed_heat : str
        Their colours.
    hint : str
        The whole of it as a sentence.
    href : str
        The cell's page.
    """

    state: str
    score: str = grids.NONE
    fp16: str = grids.NONE
    printed: str = grids.NONE
    fp16_heat: str = ""
    printed_heat: str = ""
    hint: str = ""
    href: str = ""


def states(material: ReportMaterial) -> Counter:
    """Planned cells by state."""
    return Counter(material.state(key) for key in material.planned)


def tiles(material: ReportMaterial) -> list[Tile]:
    """Counts of cells, verdicts and findings, and the time that the cells took."""
    count = states(material)
    planned = sum(count.values())
    found = [
        Tile(f"of {planned} cells made", str(count["made"]), "good" if count["made"] == planned else ""),
        Tile("cells failed", str(count["failed"]), "bad" if count["failed"] else ""),
        Tile("cells not run", str(count["not run"]), "soft" if not count["not run"] else "fair"),
    ]
    for analysis, key, value, label, mark in (
        ("comparison", "verdict", "differs", "cells differ from the paper", "bad"),
        ("claims", "verdict", "holds", "claims hold on these cells", "good"),
        ("printed claims", "verdict", "holds", "claims hold as printed", "good"),
        ("audit", "severity", "error", "errors in the printed tables", "bad"),
    ):
        if (records := material.analyses.get(analysis)) is not None:
            hits = len({r.get("id", i) for i, r in enumerate(records) if r.get(key) == value})
            found.append(Tile(label, str(hits), mark if hits else ""))
    return [*found, _time(material)]


def _time(material: ReportMaterial) -> Tile:
    costs = [cell["cost"] for cell in material.cells.values()]
    gpu = sum(cost["gpu_seconds"] for cost in costs)
    seconds, unit = (gpu, "GPU") if gpu else (sum(cost["seconds"] for cost in costs), "CPU")
    if seconds < 3600:
        return Tile(f"{unit} minutes of evaluation", grids.number(seconds / 60, 1).text)
    return Tile(f"{unit} hours of evaluation", grids.number(seconds / 3600, 1).text)


def place(material: ReportMaterial, key: Key) -> Place:
    """Fill one field of the map."""
    state, record = material.state(key), material.cells.get(key)
    name = f"{material.names.model(key[0])}, {material.names.method_bits(*key[1:3])}, {material.names.benchmark(key[3])}"
    if record is None:
        reason = material.reason(key) if state == "failed" else ""
        return Place(state, hint=f"{name}: {state}{f' ({reason})' if reason else ''}")
    scale = RATING_POINTS if record["unit"] == "rating" else 1
    fp16, printed = material.against_fp16(key), (record["published"] or {}).get("difference")
    shown = [grids.number(record["score"]).text, *(grids.number(value, signed=True).text for value in (fp16, printed))]
    hint = f"{name}: {shown[0]}; against FP16 {shown[1]}; against the paper {shown[2]}"
    heats = [grids.heat(fp16, scale), grids.heat(printed, scale)]
    if key == base_of(key):
        shown[1], heats[0] = shown[0], "base"
    return Place(state, *shown, *heats, hint, page_of(key))


def score_map(material: ReportMaterial) -> list[dict]:
    """Rows of the map: model, method, and a `Place` for each benchmark; the first row of a model counts its rows."""
    variants = [entry.variant for entry in material.variants]
    per_model = Counter(variant.model for variant in variants)
    lines, last = [], None
    for variant in sorted(variants, key=lambda variant: list(per_model).index(variant.model)):
        lines.append(
            {
                "model": material.names.model(variant.model),
                "span": per_model[variant.model] if variant.model != last else 0,
                "method": material.names.method_bits(variant.method, variant.bits),
                "places": [place(material, (*astuple(variant), name)) for name in material.benchmarks],
            }
        )
        last = variant.model
    return lines
