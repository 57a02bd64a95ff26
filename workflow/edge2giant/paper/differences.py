"""Paired differences of a study's variants from FP16, what of them is significant after Holm, and the noise floor."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from edge2giant import records
from edge2giant.paper import intervals, plotting
from edge2giant.records.units import UNITS
from edge2giant.specs.study import AVERAGE, StudySpec
from edge2giant.stats import LEVEL
from edge2giant.stats.family import EVERYTHING, REPEAT

LOOKS = {
    "significant (Holm)": (plotting.RED, "D"),
    "significant before Holm alone": (plotting.ORANGE, "s"),
    "not significant": (plotting.BLUE, "o"),
    "no test": (plotting.GREY, "x"),
    "noise floor": (plotting.BLACK, "^"),
}
SIGNIFICANT, BEFORE_HOLM, NOT_SIGNIFICANT, UNTESTED, NOISE = LOOKS
POOLED = (AVERAGE, EVERYTHING)
TITLE = "Differences from FP16 on the same questions, with 95% intervals"


def verdict(row: Mapping[str, str]) -> str:
    """What a row of `statistics.csv` says of its difference."""
    if row.get(REPEAT):
        return NOISE
    if not row["p_value"]:
        return UNTESTED
    if float(row["p_value"]) >= LEVEL:
        return NOT_SIGNIFICANT
    return SIGNIFICANT if float(row["p_holm"]) < LEVEL else BEFORE_HOLM


def rows_of(statistics: list[dict[str, str]], spec: StudySpec) -> pd.DataFrame:
    """The differences of `intervals.draw`, variants in the order of the study, each with its repeats below, pooled rows last."""
    order = {(one.variant.model, one.variant.method_bits): place for place, one in enumerate(spec.variants)}

    def place(row: Mapping[str, str]) -> tuple:
        variant = row["model"], f"{row['method_b']}/{row['bits_b']}"
        return row["benchmark"] in POOLED, order.get(variant, len(order)), row.get(REPEAT, "")

    found = [
        {
            "line": _line(row, spec),
            "panel": _panel(row, spec),
            **{name: float(row[name] or "nan") for name in ("difference", "low", "high")},
            "verdict": verdict(row),
        }
        for row in sorted(statistics, key=place)
    ]
    return pd.DataFrame(found, columns=["line", "panel", "difference", "low", "high", "verdict"])


def _line(row: Mapping[str, str], spec: StudySpec) -> str:
    name = f"{spec.labels.model(row['model'])}  {spec.labels.method_bits(row['method_b'], row['bits_b'])}"
    return f"{name}, {row[REPEAT]}" if row.get(REPEAT) else name


def _panel(row: Mapping[str, str], spec: StudySpec) -> str:
    if row["benchmark"] == EVERYTHING:
        return "All (points)"
    if row["benchmark"] == AVERAGE:
        return f"{next(suite.short for suite in spec.suites if suite.name == row['suite'])} average (points)"
    measure = spec.benchmarks[row["benchmark"]].measure
    less = "; less is better" if measure.lower_is_better else ""
    return f"{spec.labels.benchmark(row['benchmark'])}\n({UNITS[measure.unit].difference}{less})"


def draw(statistics: list[dict[str, str]], spec: StudySpec) -> Figure:
    """Draw the rows of `statistics.csv`."""
    plotting.use_style()
    rows = rows_of(statistics, spec)
    if rows.empty:
        return intervals.nothing(["No variant can be compared with FP16"])
    return intervals.draw(rows, f"{TITLE}, study {spec.study}", LOOKS)


def write(path: Path, spec: StudySpec, prefix: Path) -> list[Path]:
    """Write `<prefix>.svg` and `.png` of a `statistics.csv`."""
    return plotting.save(draw(records.read_csv(path, "make it by `snakemake analysis`"), spec), prefix)
