"""One look for every figure, and files that are the same bytes for the same numbers."""

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from edge2giant import records

# Okabe and Ito (2008): can be told apart with the common forms of colour blindness; markers and line styles say it again.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"
STYLES = {
    "fp16": (BLACK, "o", "-"),
    "fp8": (SKY, "s", "-"),
    "smoothquant": (PURPLE, "D", "--"),
    "gptq-autogptq": (RED, "^", "--"),
    "gptq-llmcompressor": (ORANGE, "v", "--"),
    "gptq-autoround": (GREEN, "P", "--"),
    "gptq-gptqmodel": ("#7F3C00", "<", "--"),
    "autoround": ("#00533C", ">", "--"),
    "awq": (BLUE, "X", "-."),
    "awq-llmcompressor": ("#003E60", "*", "-."),
    "awq-autoround": ("#4C9F70", "d", "-."),
    "rtn": ("#8A8A8A", "h", ":"),
}
SPARE = ("#5D5D5D", ".", ":")
GREY = "#6B7280"


def style(method: str) -> tuple[str, str, str]:
    """Colour, marker and line style of a method; one that is not known gets the spare look."""
    return STYLES.get(method, SPARE)


def use_style() -> None:
    """Set seaborn's paper look; labels are never read as formulas, so any model name may stand in them."""
    sns.set_theme(context="paper", style="whitegrid", font="DejaVu Sans")
    plt.rcParams.update(
        {
            "svg.hashsalt": "edge2giant",
            "svg.fonttype": "path",
            "pdf.fonttype": 42,
            "text.parse_math": False,
            "savefig.dpi": 200,
            "axes.titlesize": 10,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8.5,
            "grid.color": "#D9DDE2",
            "axes.edgecolor": "#9AA1A9",
        }
    )


METADATA = {
    "svg": {"Date": None, "Creator": "edge2giant"},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": "edge2giant", "Producer": None},
}


def save(figure: Figure, prefix: str | Path, formats: tuple[str, ...] = ("svg", "png")) -> list[Path]:
    """Write a figure as `<prefix>.<format>` in each format without dates, and close it."""
    paths = [Path(f"{prefix}.{kind}") for kind in formats]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for kind, path in zip(formats, paths, strict=True):
        figure.savefig(path, format=kind, metadata=METADATA[kind], bbox_inches="tight", pad_inches=0.08)
    plt.close(figure)
    return paths


def grid(count: int, across: int, width: float, row: float, more: float = 0.0, **options) -> tuple[Figure, list]:
    """A figure with `count` panels, `across` in a row of height `row` (inches), and `more` height for what all share."""
    down = max(1, math.ceil(count / across))
    size = (width, row * down + more)
    figure, found = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained", **options)
    for axes in list(found.flat)[max(count, 1) :]:
        axes.set_axis_off()
    return figure, list(found.flat)


def save_csv(frame: pd.DataFrame, prefix: str | Path, **options) -> Path:
    """Write the numbers of a figure as `<prefix>.csv`, whole or not at all."""
    path = Path(f"{prefix}.csv")
    with records.atomic(path) as stream:
        frame.to_csv(stream, index=False, lineterminator="\n", **options)
    return path


def shared_legend(figure: Figure, axes, order: list[str] = ()) -> None:
    """Put one legend for all panels below a figure of constrained layout; texts that begin with those of `order` come first."""
    found = {}
    for panel in axes:
        handles, texts = panel.get_legend_handles_labels()
        found |= {text: handle for text, handle in zip(texts, handles, strict=True) if text not in found}

    def place(text: str) -> tuple[int, str]:
        begins = [number for number, start in enumerate(order) if text == start or text.startswith(f"{start} ")]
        return (begins[0] if begins else len(order)), text

    texts = sorted(found, key=place)
    if texts:
        handles = [found[text] for text in texts]
        figure.legend(handles, texts, loc="outside lower center", ncol=min(len(texts), 6), frameon=False)


def plain_log(axis) -> None:
    """Write the ticks of a logarithmic axis as plain numbers (formulas are switched off)."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def deep_losses(axes, linear: float = 2.0) -> None:
    """Compress differences beyond +-`linear` points, so that a few deep losses do not flatten all others."""
    low, high = axes.dataLim.intervaly
    axes.set_yscale("symlog", linthresh=linear, linscale=0.7)
    axes.set_ylim(min(1.3 * low, low - 0.3, -0.5), max(1.3 * high, high + 0.3, 0.5))
    axes.yaxis.set_major_locator(FixedLocator([-40, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 40]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))


def part_labels(figure: Figure, texts: list) -> None:
    """Raise each text until it covers none that was placed before it."""
    figure.canvas.draw()
    renderer, placed = figure.canvas.get_renderer(), []
    for text in texts:
        box = text.get_window_extent(renderer)
        while any(box.overlaps(other) for other in placed):
            x, y = text.get_position()
            text.set_position((x, y + 3))
            box = text.get_window_extent(renderer)
        placed.append(box.padded(1))


def empty(axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, transform=axes.transAxes, wrap=True)


def heat_map(axes, values: pd.DataFrame, limit: float, title: str, annotations: pd.DataFrame | None = None) -> None:
    """Draw signed values with a scale that is symmetric about zero; NaN stays grey.

    Parameters
    ----------
    limit : float
        Values beyond it keep the darkest colour.
    title : str
        Of the colour bar.
    annotations : DataFrame of str, optional
        What stands in the cells; else the values with sign and two digits.
    """
    if annotations is None:
        annotations = values.map(lambda value: "" if math.isnan(value) else f"{value:+.2f}".replace("+0.00", "0.00"))
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
