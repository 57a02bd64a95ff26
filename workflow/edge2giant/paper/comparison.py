"""Figures of the comparison: a heat map of z, and the differences with their intervals."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from edge2giant.paper import plotting
from edge2giant.paper.compare import AGREES, DIFFERS, UNCOMPARED
from edge2giant.paper.frames import VARIANT
from edge2giant.specs.study import Labels

MARK = {DIFFERS: "*", AGREES: "", UNCOMPARED: ""}


def _variants(result: pd.DataFrame, labels: Labels) -> list[tuple[tuple, str]]:
    keys = list(dict.fromkeys(result[VARIANT].itertuples(index=False, name=None)))
    order = list(dict.fromkeys(key[0] for key in keys))
    keys.sort(key=lambda key: order.index(key[0]))
    return [(key, f"{labels.model(key[0])}  {labels.method_bits(*key[1:])}") for key in keys]


def draw_heat(result: pd.DataFrame, labels: Labels) -> Figure:
    """Heat map of z, with the difference in points and a star where it differs."""
    variants = _variants(result, labels)
    benchmarks = list(dict.fromkeys(result["benchmark"]))
    size = (3.6 + 0.78 * max(len(benchmarks), 4), 1.6 + 0.235 * max(len(variants), 3))
    tested = result[result["z"].notna()]
    if tested.empty:
        return _nothing(result)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    shape = {"index": [key for key, _ in variants], "columns": benchmarks}
    z, texts = pd.DataFrame(np.nan, **shape), pd.DataFrame("", dtype=object, **shape)
    for row in tested.itertuples():
        key = (row.model, row.method, row.bits)
        place = (shape["index"].index(key), benchmarks.index(row.benchmark))
        z.iat[place] = row.z
        texts.iat[place] = f"{row.difference:+.2f}{MARK[row.verdict]}"
    title = "z (difference / its standard error)"
    plotting.heat_map(axes, z, 5.0, title, texts)
    axes.set_yticklabels([text for _, text in variants], rotation=0)
    axes.set_xticklabels([labels.benchmark(name) for name in benchmarks], rotation=35, ha="left")
    axes.set_title("Regenerated minus printed (points; * differs after Holm; grey: no comparison)", fontsize=9, pad=10)
    return figure


def _nothing(result: pd.DataFrame) -> Figure:
    """Figure that says why no cell is compared."""
    counts = result["reason"].value_counts()
    lines = ["No cell can be compared", *(f"{reason}: {count} cells" for reason, count in counts.items())]
    figure, axes = plt.subplots(figsize=(5, 0.6 + 0.25 * len(lines)), layout="constrained")
    plotting.empty(axes, "\n".join(lines))
    return figure


COLOURS = {AGREES: plotting.BLUE, DIFFERS: plotting.RED}
SHAPES = {AGREES: "o", DIFFERS: "D"}


def draw_intervals(result: pd.DataFrame, labels: Labels) -> Figure:
    """One panel a benchmark: the difference of every row with its 95% interval."""
    tested = result[result["z"].notna()]
    if tested.empty:
        return _nothing(result)
    variants = _variants(tested, labels)
    benchmarks = list(dict.fromkeys(tested["benchmark"]))
    across = min(max(len(benchmarks), 1), 7)
    width, row = 2.6 + 1.75 * max(across, 2), 1.2 + 0.16 * max(len(variants), 6)
    figure, grid = plotting.grid(len(benchmarks), across, width, row, 0.4, sharey=True)
    places = {key: number for number, (key, _) in enumerate(variants)}
    for axes, benchmark in zip(grid, benchmarks, strict=False):
        _interval_panel(axes, tested[tested["benchmark"] == benchmark], places)
        axes.set_title(labels.benchmark(benchmark), fontsize=9)
        axes.set_yticks(range(len(variants)), [text for _, text in variants], fontsize=6.5)
    grid[0].set_ylim(len(variants) - 0.5, -0.5)
    figure.suptitle("Regenerated minus printed, with 95% intervals", fontsize=10)
    plotting.shared_legend(figure, grid)
    return figure


def _interval_panel(axes, rows: pd.DataFrame, places: dict) -> None:
    for verdict, group in rows.groupby("verdict"):
        heights = [places[key] for key in group[VARIANT].itertuples(index=False, name=None)]
        half = (group["high"] - group["low"]) / 2
        look = {"fmt": SHAPES[verdict], "color": COLOURS[verdict], "markersize": 3.2, "elinewidth": 1}
        axes.errorbar(group["difference"], heights, xerr=half, label=verdict, **look)
    axes.axvline(0, color=plotting.GREY, linewidth=1)


def write(result: pd.DataFrame, labels: Labels, prefix: str | Path) -> list[Path]:
    """Write `<prefix>.csv`, `<prefix>_heatmap.svg/.png` and `<prefix>_intervals.svg/.png`."""
    plotting.use_style()
    paths = [plotting.save_csv(result, prefix, float_format="%.10g")]
    paths += plotting.save(draw_heat(result, labels), f"{prefix}_heatmap")
    return paths + plotting.save(draw_intervals(result, labels), f"{prefix}_intervals")
