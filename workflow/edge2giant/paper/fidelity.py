"""Perplexity beside divergence from the unquantized model: a panel for each benchmark, a line for each variant."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from edge2giant.paper import frames, plotting
from edge2giant.paper.frames import VARIANT
from edge2giant.records.cell import CellRecord
from edge2giant.records.units import UNBOUNDED, UNITS
from edge2giant.specs.study import StudySpec
from edge2giant.specs.variant import Variant

Z95 = 1.959964


def scores(cells: list[CellRecord], spec: StudySpec) -> pd.DataFrame:
    """Scores without an upper bound with their 95% intervals (normal), in the order of the study."""
    chosen = [cell for cell in cells if cell.unit in UNBOUNDED]
    found = frames.scores_of(chosen)[["benchmark", *VARIANT, "value", "stderr", "n"]]
    half = Z95 * found["stderr"]
    found = found.assign(low=found["value"] - half, high=found["value"] + half, unit=[cell.unit for cell in chosen])
    order = {entry.variant: place for place, entry in enumerate(spec.variants)}
    place = [order.get(Variant(*row), len(order)) for row in found[VARIANT].itertuples(index=False)]
    return found.assign(place=place).sort_values(["benchmark", "place"], ascending=[False, True]).drop(columns="place")


def draw(found: pd.DataFrame, spec: StudySpec) -> Figure:
    """Draw the scores of `scores`."""
    variants = list(dict.fromkeys(found[VARIANT].itertuples(index=False, name=None)))
    benchmarks = list(dict.fromkeys(found["benchmark"]))
    figure, panels = plotting.grid(
        len(benchmarks), len(benchmarks), 4.6 * len(benchmarks), 1.2 + 0.3 * len(variants), sharey=True
    )
    for axes, benchmark in zip(panels, benchmarks, strict=True):
        rows = found[found["benchmark"] == benchmark]
        for row in rows.itertuples():
            colour, marker, _ = plotting.style(row.method)
            place = variants.index((row.model, row.method, row.bits))
            error = 0 if np.isnan(row.stderr) else Z95 * row.stderr
            axes.errorbar(row.value, place, xerr=error, fmt=marker, color=colour, capsize=2)
        axes.set_title(spec.labels.benchmark(benchmark))
        axes.set_xlabel(UNITS[rows["unit"].iloc[0]].scale)
    panels[0].set_yticks(
        range(len(variants)), [f"{spec.labels.model(m)}  {spec.labels.method_bits(s, b)}" for m, s, b in variants]
    )
    panels[0].set_ylim(len(variants) - 0.5, -0.5)
    return figure


def write(cells: list[CellRecord], spec: StudySpec, prefix: Path) -> list[Path]:
    """Write `<prefix>.svg`, `.png` and `.csv`."""
    plotting.use_style()
    found = scores(cells, spec)
    return [*plotting.save(draw(found, spec), prefix), plotting.save_csv(found, prefix, float_format="%.10g")]
