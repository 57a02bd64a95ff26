"""Views for the paper's questions: each a figure and the CSV that it is drawn from (see `tradeoffs`)."""

import math
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from edge2giant.paper import plotting, tradeoffs
from edge2giant.paper.frames import VARIANT
from edge2giant.specs.study import StudySpec

HEAT_LIMIT = 8.0  # points; deeper losses keep the darkest colour, so that the many small ones stay visible
NO_AVERAGES = "no row has a complete average and an FP16 average"


def _by_suite(found: pd.DataFrame, spec: StudySpec, height: float, draw: Callable, missing: str) -> tuple[Figure, list]:
    """A figure with a panel for each suite, drawn by `draw(axes, rows)`; a suite without rows says what is missing."""
    suites = [suite for suite in spec.suites if suite.average]
    if not suites:
        figure, (axes,) = plotting.grid(1, 1, 5.25, height)
        plotting.empty(axes, "no suite of the study has an average")
        return figure, [axes]
    figure, panels = plotting.grid(len(suites), len(suites), 5.25 * len(suites), height)
    for suite, axes in zip(suites, panels, strict=True):
        axes.set_title(suite.label)
        rows = found[found["suite"] == suite.name]
        if rows.empty:
            plotting.empty(axes, missing)
        else:
            draw(axes, rows)
    return figure, panels


def _marks(method: str, bits: str) -> dict:
    """Look of the points of a method: hollow at 8/16, so that both widths of one method can be told apart."""
    colour, marker, _ = plotting.style(method)
    if bits == "w8a16":
        return {"marker": marker, "facecolors": "none", "edgecolors": colour, "linewidths": 1.2}
    return {"marker": marker, "facecolors": colour, "edgecolors": "white", "linewidths": 0.5}


def _dodged(frame: pd.DataFrame) -> pd.DataFrame:
    """Spread the methods sideways, for models of one size would hide each other."""
    count = len(tradeoffs.METHODS)
    steps = frame["method"].map(tradeoffs.METHODS).fillna(count) - count / 2
    return frame.assign(fp16_storage_gb=frame["fp16_storage_gb"] * 1.05**steps)


def _scatter(axes, frame: pd.DataFrame, x: str, y: str, spec: StudySpec) -> None:
    for (method, bits), group in frame.groupby(["method", "bits"], sort=False):
        name = spec.labels.method_bits(method, bits)
        axes.scatter(group[x], group[y], s=32, label=name, zorder=3, **_marks(method, bits))


def _legend(figure: Figure, axes, spec: StudySpec) -> None:
    plotting.shared_legend(figure, axes, [spec.labels.method(method) for method in plotting.STYLES])


def draw_storage(found: pd.DataFrame, spec: StudySpec) -> Figure:
    """Average against storage with the Pareto front; a model is named where it enters the front."""
    texts = []

    def panel(axes, points: pd.DataFrame) -> None:
        _scatter(axes, points, "storage_gb", "value", spec)
        front = points[points["pareto"]].sort_values("storage_gb")
        axes.step(front["storage_gb"], front["value"], where="post", color=plotting.GREY, linewidth=1, zorder=2)
        for row in front.drop_duplicates("model").itertuples():
            look = {"xytext": (-5, 4), "textcoords": "offset points", "ha": "right", "va": "bottom", "color": "#333333"}
            texts.append(axes.annotate(spec.labels.model(row.model), (row.storage_gb, row.value), fontsize=7, **look))
        axes.set_xscale("log")
        plotting.plain_log(axes.xaxis)
        axes.margins(x=0.12, y=0.08)
        axes.set_xlim(left=axes.get_xlim()[0] / 3)
        axes.set(xlabel="Storage (GB, logarithmic)", ylabel="Average score")

    figure, panels = _by_suite(found, spec, 4.6, panel, "no row has a complete average")
    _legend(figure, panels, spec)
    plotting.part_labels(figure, texts)
    return figure


def draw_method(found: pd.DataFrame, spec: StudySpec) -> Figure:
    """One line for each method and bits: every model as a point, the median as a bar."""
    lines = list(dict.fromkeys(zip(found["method"], found["bits"], strict=True)))

    def panel(axes, rows: pd.DataFrame) -> None:
        for place, (method, bits) in enumerate(lines):
            values = rows[(rows["method"] == method) & (rows["bits"] == bits)]["delta"]
            axes.scatter(values, [place] * len(values), **_marks(method, bits) | {"s": 28, "alpha": 0.8, "zorder": 3})
            if len(values):
                axes.vlines(values.median(), place - 0.32, place + 0.32, color="black", linewidth=1.6, zorder=4)
        axes.axvline(0, color=plotting.GREY, linewidth=1)
        axes.set_yticks(range(len(lines)), [spec.labels.method_bits(*line) for line in lines])
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlabel("Average minus FP16 (points); bar: median over models")

    return _by_suite(found, spec, 1.6 + 0.36 * max(len(lines), 3), panel, NO_AVERAGES)[0]


def draw_size(found: pd.DataFrame, spec: StudySpec) -> Figure:
    """Difference of the averages against the size of the unquantized model."""

    def panel(axes, rows: pd.DataFrame) -> None:
        _scatter(axes, _dodged(rows), "fp16_storage_gb", "delta", spec)
        axes.axhline(0, color=plotting.GREY, linewidth=1)
        axes.set_xscale("log")
        plotting.plain_log(axes.xaxis)
        plotting.deep_losses(axes)
        axes.set_xlabel("FP16 storage of the model (GB, logarithmic; methods spread sideways)")
        axes.set_ylabel("Average minus FP16 (points)")

    figure, panels = _by_suite(found[found["fp16_storage_gb"].notna()], spec, 4.2, panel, NO_AVERAGES)
    _legend(figure, panels, spec)
    return figure


def draw_difficulty(found: pd.DataFrame, spec: StudySpec) -> Figure:
    """One panel a benchmark: difference from FP16 against the FP16 score."""
    benchmarks = list(dict.fromkeys(found["benchmark"]))
    across = min(6, max(1, math.ceil(len(benchmarks) / 2)))
    figure, grid = plotting.grid(len(benchmarks), across, max(2.15 * across, 6.5), 2.35, 0.7, sharey=True)
    for axes, benchmark in zip(grid, benchmarks, strict=False):
        chosen = found[found["benchmark"] == benchmark]
        _scatter(axes, chosen, "fp16", "delta", spec)
        axes.axhline(0, color=plotting.GREY, linewidth=1)
        rho = chosen["spearman"].iloc[0]
        text = "" if math.isnan(rho) else f"\nSpearman {rho:+.2f}"
        axes.set_title(spec.labels.benchmark(benchmark) + text, fontsize=9)
        axes.set_xlabel("FP16 score" if axes.get_subplotspec().is_last_row() else "")
    if benchmarks:
        _deepest(grid, found["delta"])
    else:
        plotting.empty(grid[0], "no quantized score with its FP16 score")
    figure.supylabel("Score minus FP16 (points)", fontsize=9)
    _legend(figure, grid, spec)
    return figure


def _deepest(axes, values: pd.Series) -> None:
    """Give panels that share their scale the range of all of them."""
    for panel in axes:
        panel.dataLim.intervaly = (values.min(), values.max())
        plotting.deep_losses(panel)


def _column(spec: StudySpec, column: str) -> str:
    name, _, average = column.partition(" ")
    short = {suite.name: suite.short for suite in spec.suites}
    return f"{short[name]} average" if average else spec.labels.benchmark(column)


def draw_heat(found: pd.DataFrame, spec: StudySpec) -> Figure:
    """Heat map of the differences; red is loss, blue is gain, grey is no score."""
    columns = [name for name in found.columns if name not in VARIANT]
    size = (1.2 + 0.75 * max(len(columns), 4) + 2.2, 1.4 + 0.235 * max(len(found), 3))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    if found.empty:
        plotting.empty(axes, "no quantized score with its FP16 score")
        return figure
    plotting.heat_map(axes, found[columns], HEAT_LIMIT, "Score minus FP16 (points)")
    rows = found[VARIANT].itertuples(index=False)
    axes.set_yticklabels([f"{spec.labels.model(m)}  {spec.labels.method_bits(s, b)}" for m, s, b in rows], rotation=0)
    axes.set_xticklabels([_column(spec, name) for name in columns], rotation=35, ha="left")
    models = list(found["model"])
    for place in (number for number in range(1, len(models)) if models[number] != models[number - 1]):
        axes.axhline(place, color="#444", linewidth=0.8)
    return figure


VIEWS: dict[str, tuple[Callable, Callable]] = {
    "rq1_storage": (tradeoffs.storage, draw_storage),
    "rq2_method": (tradeoffs.by_method, draw_method),
    "rq3_size": (tradeoffs.by_size, draw_size),
    "rq4_difficulty": (tradeoffs.difficulty, draw_difficulty),
    "heatmap": (tradeoffs.heat, draw_heat),
}


def write(scores: pd.DataFrame, spec: StudySpec, folder: Path, views: Iterable[str] = tuple(VIEWS), note: str = "") -> list[Path]:
    """Write views of scores with averages as `<name>.svg`, `.png` and `.csv` in `folder`, which is made; `note` goes above."""
    plotting.use_style()
    scores, paths = scores[scores["suite"].isin(spec.averaged)], []
    for name in views:
        compute, draw = VIEWS[name]
        found = compute(scores)
        figure = draw(found, spec)
        if note:
            text = textwrap.fill(note, int(19 * figure.get_figwidth()), break_on_hyphens=False)
            figure.text(0.01, 1.02, text, fontsize=7, va="bottom")  # above: legends hang at the lower end of what is saved
        paths += plotting.save(figure, folder / name)
        paths.append(plotting.save_csv(found, folder / name, float_format="%.10g"))
    return paths
