"""Figures of the comparison: a heat map of z, and the differences with their intervals."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from edge2giant.paper import intervals, plotting
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
    return intervals.nothing(["No cell can be compared", *(f"{reason}: {count} cells" for reason, count in counts.items())])


LOOKS = {AGREES: (plotting.BLUE, "o"), DIFFERS: (plotting.RED, "D")}


def draw_intervals(result: pd.DataFrame, labels: Labels) -> Figure:
    """One panel a benchmark: the difference of every row with its 95% interval."""
    tested = result[result["z"].notna()]
    if tested.empty:
        return _nothing(result)
    names = dict(_variants(tested, labels))
    lines = pd.Categorical([names[key] for key in tested[VARIANT].itertuples(index=False, name=None)], names.values())
    rows = tested.assign(line=lines, panel=tested["benchmark"].map(labels.benchmark))
    return intervals.draw(rows.sort_values("line", kind="stable"), "Regenerated minus printed, with 95% intervals", LOOKS)


def write(result: pd.DataFrame, labels: Labels, prefix: str | Path) -> list[Path]:
    """Write `<prefix>.csv`, `<prefix>_heatmap.svg/.png` and `<prefix>_intervals.svg/.png`."""
    plotting.use_style()
    paths = [plotting.save_csv(result, prefix, float_format="%.10g")]
    paths += plotting.save(draw_heat(result, labels), f"{prefix}_heatmap")
    return paths + plotting.save(draw_intervals(result, labels), f"{prefix}_intervals")
