"""Views for the paper's questions: storage (RQ1), method (RQ2), size (RQ3), difficulty (RQ4); a heat map.

Reads a score frame with averages; each view is a figure and the CSV that it is drawn from. MT-Bench has its
own scale and its own figure.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from scipy import stats

from edge2giant import records
from edge2giant.paper import labels, plotting
from edge2giant.paper.frames import ROW

SUITES = {"leaderboard_v1": "Open LLM Leaderboard v1", "leaderboard_v2": "Open LLM Leaderboard v2"}
HEAT_LIMIT = 8.0  # points; deeper losses keep the darkest colour, so that the many small ones stay visible


def deltas(scores: pd.DataFrame) -> pd.DataFrame:
    """Difference of every quantized score from the FP16 score of the same model.

    Parameters
    ----------
    scores : DataFrame
        Score frame (`frames`), averages included.

    Returns
    -------
    DataFrame
        The quantized rows that have an FP16 score, with `fp16`, `delta` (points) and `fp16_storage_gb`.
    """
    key = ["source", "suite", "benchmark", "model"]
    base = scores[scores["method"] == "fp16"][[*key, "value", "storage_gb"]]
    base = base.rename(columns={"value": "fp16", "storage_gb": "fp16_storage_gb"})
    found = scores[scores["method"] != "fp16"].merge(base, on=key, how="inner")
    found["delta"] = (found["value"] - found["fp16"]).round(10)
    return found[found["suite"].isin(list(SUITES))]


def pareto(points: pd.DataFrame) -> pd.Series:
    """Mark the points that no other beats with as little storage and as high a score.

    Parameters
    ----------
    points : DataFrame
        `storage_gb` and `value`.
    """
    order = points.sort_values(["storage_gb", "value"], ascending=[True, False], kind="stable")
    best, front = -math.inf, []
    for index, value in order["value"].items():
        if value > best:
            front.append(index)
            best = value
    return pd.Series(points.index.isin(front), index=points.index)


def storage(scores: pd.DataFrame) -> pd.DataFrame:
    """RQ1: average and storage of every row, with the Pareto front of each suite."""
    found = scores[(scores["benchmark"] == "average") & scores["suite"].isin(list(SUITES))]
    found = found[found["storage_gb"].notna()].copy()
    found["pareto"] = False
    for _, group in found.groupby("suite"):
        found.loc[group.index, "pareto"] = pareto(group)
    return found[["source", "suite", *ROW, "storage_gb", "value", "pareto"]]


def by_method(scores: pd.DataFrame) -> pd.DataFrame:
    """RQ2: difference of the averages from FP16, row by row, in the order of the methods."""
    found = deltas(scores)
    found = found[found["benchmark"] == "average"].copy()
    order = {method: number for number, method in enumerate(plotting.STYLES)}
    found["order"] = found["method"].map(order).fillna(len(order))
    found = found.sort_values(["suite", "order", "bits"], kind="stable")
    return found[["source", "suite", *ROW, "fp16", "value", "delta"]]


def by_size(scores: pd.DataFrame) -> pd.DataFrame:
    """RQ3: difference of the averages from FP16 against the size of the unquantized model."""
    found = deltas(scores)
    found = found[found["benchmark"] == "average"].sort_values(["suite", "fp16_storage_gb"], kind="stable")
    return found[["source", "suite", *ROW, "fp16_storage_gb", "fp16", "value", "delta"]]


def difficulty(scores: pd.DataFrame) -> pd.DataFrame:
    """RQ4: difference from FP16 against the FP16 score, with Spearman's rank correlation by benchmark.

    Notes
    -----
    `spearman` and `p` come from `scipy.stats.spearmanr` over the rows of a benchmark (NaN under four rows).
    Rows of one model share their FP16 score, so that p is smaller than it would be for independent rows.
    """
    found = deltas(scores)
    found = found[found["benchmark"] != "average"].copy()
    found["spearman"] = found["p"] = np.nan
    for _, group in found.groupby(["suite", "benchmark"]):
        if len(group) >= 4 and group["fp16"].nunique() > 1 and group["delta"].nunique() > 1:
            result = stats.spearmanr(group["fp16"], group["delta"])
            found.loc[group.index, ["spearman", "p"]] = [result.statistic, result.pvalue]
    return found[["source", "suite", "benchmark", *ROW, "fp16", "value", "delta", "spearman", "p"]]


def heat(scores: pd.DataFrame) -> pd.DataFrame:
    """Difference from FP16 of every quantized row (lines) on every benchmark and average (columns)."""
    found = deltas(scores)
    column = found["benchmark"].where(found["benchmark"] != "average", found["suite"] + " average")
    found = found.assign(column=column)
    wide = found.pivot_table(index=ROW, columns="column", values="delta", sort=False)
    rows = list(dict.fromkeys(zip(*(found[name] for name in ROW), strict=True)))
    models = list(dict.fromkeys(scores["model"]))
    order = [column for suite in SUITES for column in dict.fromkeys(found[found["suite"] == suite]["column"])]
    return wide.reindex(sorted(rows, key=lambda row: models.index(row[0])))[order].reset_index()


def _panels(width: float, height: float) -> tuple[Figure, dict]:
    figure, axes = plt.subplots(1, 2, figsize=(width, height), layout="constrained")
    return figure, dict(zip(SUITES, axes, strict=True))


def _marks(method: str, bits: str) -> dict:
    """Look of a scheme's points: hollow at 8/16, so that both widths of one method can be told apart."""
    colour, marker, _ = plotting.style(method)
    if bits == "w8a16":
        return {"marker": marker, "facecolors": "none", "edgecolors": colour, "linewidths": 1.2}
    return {"marker": marker, "facecolors": colour, "edgecolors": "white", "linewidths": 0.5}


def _dodged(frame: pd.DataFrame) -> pd.DataFrame:
    """Spread the methods sideways, for models of one size would hide each other."""
    order = {method: number for number, method in enumerate(plotting.STYLES)}
    steps = frame["method"].map(order).fillna(len(order)) - len(order) / 2
    return frame.assign(fp16_storage_gb=frame["fp16_storage_gb"] * 1.05**steps)


def _scatter(axes, frame: pd.DataFrame, x: str, y: str, names: labels.Labels) -> None:
    for (method, bits), group in frame.groupby(["method", "bits"], sort=False):
        name = labels.scheme(names, method, bits)
        axes.scatter(group[x], group[y], s=32, label=name, zorder=3, **_marks(method, bits))


def _legend(figure: Figure, axes, names: labels.Labels) -> None:
    plotting.shared_legend(figure, axes, [names.method(method) for method in plotting.STYLES])


def draw_storage(found: pd.DataFrame, names: labels.Labels) -> Figure:
    """Average against storage with the Pareto front; a model is named where it enters the front."""
    figure, panels = _panels(10.5, 4.6)
    texts = []
    for suite, axes in panels.items():
        points = found[found["suite"] == suite]
        axes.set_title(SUITES[suite])
        if points.empty:
            plotting.empty(axes, "no row has a complete average")
            continue
        _scatter(axes, points, "storage_gb", "value", names)
        front = points[points["pareto"]].sort_values("storage_gb")
        axes.step(front["storage_gb"], front["value"], where="post", color=plotting.GREY, linewidth=1, zorder=2)
        for row in front.drop_duplicates("model").itertuples():
            place = {"xytext": (-5, 4), "textcoords": "offset points", "ha": "right", "va": "bottom"}
            where = (row.storage_gb, row.value)
            texts.append(axes.annotate(names.model(row.model), where, fontsize=7, color="#333333", **place))
        axes.set_xscale("log")
        plotting.plain_log(axes.xaxis)
        axes.margins(x=0.12, y=0.08)
        axes.set_xlim(left=axes.get_xlim()[0] / 3)
        axes.set_xlabel("Storage (GB, logarithmic)")
        axes.set_ylabel("Average score")
    _legend(figure, panels.values(), names)
    plotting.part_labels(figure, texts)
    return figure


def draw_method(found: pd.DataFrame, names: labels.Labels) -> Figure:
    """One line a scheme: every model as a point, the median as a bar."""
    schemes = list(dict.fromkeys(zip(found["method"], found["bits"], strict=True)))
    figure, panels = _panels(10.5, 1.6 + 0.36 * max(len(schemes), 3))
    for suite, axes in panels.items():
        chosen = found[found["suite"] == suite]
        axes.set_title(SUITES[suite])
        if chosen.empty:
            plotting.empty(axes, "no row has a complete average and an FP16 average")
            continue
        for place, (method, bits) in enumerate(schemes):
            values = chosen[(chosen["method"] == method) & (chosen["bits"] == bits)]["delta"]
            marks = _marks(method, bits) | {"s": 28, "alpha": 0.8, "zorder": 3}
            axes.scatter(values, [place] * len(values), **marks)
            if len(values):
                axes.vlines(values.median(), place - 0.32, place + 0.32, color="black", linewidth=1.6, zorder=4)
        axes.axvline(0, color=plotting.GREY, linewidth=1)
        axes.set_yticks(range(len(schemes)), [labels.scheme(names, *scheme) for scheme in schemes])
        axes.set_ylim(len(schemes) - 0.5, -0.5)
        axes.set_xlabel("Average minus FP16 (points); bar: median over models")
    return figure


def draw_size(found: pd.DataFrame, names: labels.Labels) -> Figure:
    """Difference of the averages against the size of the unquantized model."""
    figure, panels = _panels(10.5, 4.2)
    for suite, axes in panels.items():
        chosen = found[(found["suite"] == suite) & found["fp16_storage_gb"].notna()]
        axes.set_title(SUITES[suite])
        if chosen.empty:
            plotting.empty(axes, "no row has a complete average and an FP16 average")
            continue
        _scatter(axes, _dodged(chosen), "fp16_storage_gb", "delta", names)
        axes.axhline(0, color=plotting.GREY, linewidth=1)
        axes.set_xscale("log")
        plotting.plain_log(axes.xaxis)
        plotting.deep_losses(axes)
        axes.set_xlabel("FP16 storage of the model (GB, logarithmic; methods spread sideways)")
        axes.set_ylabel("Average minus FP16 (points)")
    _legend(figure, panels.values(), names)
    return figure


def draw_difficulty(found: pd.DataFrame, names: labels.Labels) -> Figure:
    """One panel a benchmark: difference from FP16 against the FP16 score."""
    benchmarks = list(dict.fromkeys(found["benchmark"]))
    across = min(6, max(1, math.ceil(len(benchmarks) / 2)))
    down = max(1, math.ceil(len(benchmarks) / across))
    size = (max(2.15 * across, 6.5), 2.35 * down + 0.7)
    figure, grid = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained", sharey=True)
    for axes, benchmark in zip(grid.flat, benchmarks, strict=False):
        chosen = found[found["benchmark"] == benchmark]
        _scatter(axes, chosen, "fp16", "delta", names)
        axes.axhline(0, color=plotting.GREY, linewidth=1)
        rho = chosen["spearman"].iloc[0]
        text = "" if math.isnan(rho) else f"\nSpearman {rho:+.2f}"
        axes.set_title(names.benchmark(benchmark) + text, fontsize=9)
        axes.set_xlabel("FP16 score" if axes.get_subplotspec().is_last_row() else "")
    for axes in list(grid.flat)[len(benchmarks) :]:
        axes.set_axis_off()
    if benchmarks:
        _deepest(grid.flat, found["delta"])
    else:
        plotting.empty(grid.flat[0], "no quantized score with its FP16 score")
    figure.supylabel("Score minus FP16 (points)", fontsize=9)
    _legend(figure, grid.flat, names)
    return figure


def _deepest(axes, values: pd.Series) -> None:
    """Give panels that share their scale the range of all of them."""
    for panel in axes:
        panel.dataLim.intervaly = (values.min(), values.max())
        plotting.deep_losses(panel)


def _column(names: labels.Labels, column: str) -> str:
    suite, _, average = column.partition(" ")
    return f"v{suite[-1]} average" if average else names.benchmark(column)


def draw_heat(found: pd.DataFrame, names: labels.Labels) -> Figure:
    """Heat map of the differences; red is loss, blue is gain, grey is no score."""
    columns = [name for name in found.columns if name not in ROW]
    size = (1.2 + 0.75 * max(len(columns), 4) + 2.2, 1.4 + 0.235 * max(len(found), 3))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    if found.empty:
        plotting.empty(axes, "no quantized score with its FP16 score")
        return figure
    heat_map(axes, found[columns], HEAT_LIMIT, "Score minus FP16 (points)")
    rows = found[ROW].itertuples(index=False)
    axes.set_yticklabels([f"{names.model(m)}  {labels.scheme(names, s, b)}" for m, s, b in rows], rotation=0)
    axes.set_xticklabels([_column(names, name) for name in columns], rotation=35, ha="left")
    models = list(found["model"])
    for place in (number for number in range(1, len(models)) if models[number] != models[number - 1]):
        axes.axhline(place, color="#444", linewidth=0.8)
    return figure


def heat_map(axes, values: pd.DataFrame, limit: float, title: str, annotations: pd.DataFrame | None = None) -> None:
    """Draw signed values with a scale that is symmetric about zero; NaN stays grey.

    Parameters
    ----------
    axes : Axes
        Where.
    values : DataFrame
        Lines and columns.
    limit : float
        Values beyond it keep the darkest colour.
    title : str
        Of the colour bar.
    annotations : DataFrame of str, optional
        What stands in the cells; else the values with sign and two digits.
    """
    if annotations is None:
        annotations = values.map(lambda value: "" if math.isnan(value) else f"{value:+.2f}")
    axes.set_facecolor("#E3E5E8")
    sns.heatmap(
        values.astype(float),
        ax=axes,
        cmap="RdBu",
        center=0,
        vmin=-limit,
        vmax=limit,
        annot=annotations,
        fmt="",
        annot_kws={"fontsize": 6.5},
        linewidths=0.4,
        linecolor="white",
        cbar_kws={
            "label": title,
            "extend": "both",
            "shrink": 0.6 if len(values) > 10 else 1.0,
            "aspect": 35 if len(values) > 10 else 12,
            "pad": 0.01,
        },
    )
    axes.grid(False)
    axes.xaxis.tick_top()
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0)


VIEWS: dict[str, tuple[Callable, Callable]] = {
    "rq1_storage": (storage, draw_storage),
    "rq2_method": (by_method, draw_method),
    "rq3_size": (by_size, draw_size),
    "rq4_difficulty": (difficulty, draw_difficulty),
    "heatmap": (heat, draw_heat),
}


def write(scores: pd.DataFrame, names: labels.Labels, folder: str | Path, views: Iterable[str] = tuple(VIEWS)) -> list[Path]:
    """Write every view as `<name>.svg`, `.png` and `.csv`.

    Parameters
    ----------
    scores : DataFrame
        Score frame with averages.
    names : Labels
        Names of models, methods and benchmarks.
    folder : path
        Made if it is not there.
    views : iterable of str
        Keys of `VIEWS`.
    """
    plotting.use_style()
    paths = []
    for name in views:
        compute, draw = VIEWS[name]
        found = compute(scores)
        prefix = Path(folder) / name
        paths += plotting.save(draw(found, names), prefix)
        with records.atomic(f"{prefix}.csv") as stream:
            found.to_csv(stream, index=False, lineterminator="\n", float_format="%.10g")
        paths.append(Path(f"{prefix}.csv"))
    return paths
