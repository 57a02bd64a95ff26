"""Figure 2: MT-Bench by the eight categories for FP16, GPTQ and AWQ, one panel a model.

The paper's text names the models and what is compared, not the axes; the radar is the usual form of
MT-Bench. A second form has points with intervals, since lines of a radar cannot carry an error.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from edge2giant.paper import frames, plotting
from edge2giant.records.cell import CellRecord
from edge2giant.specs.study import AVERAGE, FP16, Labels, StudySpec

Z95 = 1.959963984540054
PRINTED_GPTQ = "gptq-autogptq"  # whose look stands for GPTQ of any toolkit
COLUMNS = ["source", "model", "method", "bits", "benchmark", "value", "stderr", "value_source", "printed_delta"]


@dataclass(frozen=True)
class Panels:
    """What Figure 2 shows.

    Parameters
    ----------
    frame : DataFrame
        Ratings (see `frames`) of the categories, which are the axes of a panel.
    models : tuple of str
        One column of panels each.
    sources : tuple of (source, title)
        One row of panels each.
    """

    frame: pd.DataFrame
    categories: tuple[str, ...]
    models: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]

    def variants(self, source: str, model: str) -> list[tuple[str, str, pd.DataFrame]]:
        """Method, bits and the ratings (index: category) of one panel; FP16 first."""
        chosen = self.frame[(self.frame["source"] == source) & (self.frame["model"] == model)]
        groups = [
            (method, bits, group.set_index("benchmark").reindex(self.categories))
            for (method, bits), group in chosen.groupby(["method", "bits"], sort=False)
        ]
        return sorted(groups, key=lambda group: group[0] != FP16[0])


def published(spec: StudySpec, folder: Path) -> Panels:
    """The panels that the paper prints."""
    return panels_of(
        spec, frames.published_ratings(folder), spec.figure2_models, (frames.PUBLISHED, "as printed in arXiv 2409.11055v6")
    )


def regenerated(spec: StudySpec, cells: list[CellRecord], folder: Path, form: str = "radar") -> Panels:
    """The panels of a study's cells.

    Parameters
    ----------
    form : {'radar', 'all', 'intervals'}
        `radar`: the models that the study names for Figure 2; `all`: every model with ratings; `intervals`: those of `radar`,
        with the printed panels below.
    """
    rated = tuple(dict.fromkeys(variant.model for variant in spec.categories.variants))
    models = (form == "all" and rated) or spec.figure2_models
    found = panels_of(spec, frames.ratings_of(cells), models, (spec.study, f"regenerated ({spec.study})"))
    if form != "intervals":
        return found
    printed = published(spec, folder)
    both = pd.concat([found.frame, printed.frame], ignore_index=True)
    return Panels(both, found.categories, models, (*found.sources, *printed.sources))


def panels_of(spec: StudySpec, ratings: pd.DataFrame, models: tuple[str, ...], source: tuple[str, str]) -> Panels:
    """Panels of one source of ratings."""
    categories = tuple(name for name in spec.categories.columns if name != AVERAGE)
    return Panels(ratings[ratings["benchmark"].isin(categories)], categories, models, (source,))


@dataclass(frozen=True)
class Curve:
    """One variant of a panel: label, look (colour, marker, line), whether it is FP16, and its ratings by category."""

    label: str
    look: tuple[str, str, str]
    baseline: bool
    ratings: pd.DataFrame


def curves(panels: Panels, source: str, model: str, labels: Labels) -> list[Curve]:
    """The curves of one panel; the printed ones name methods as Table 6 does, GPTQ without its toolkit."""
    found = []
    for method, bits, ratings in panels.variants(source, model):
        label, look = labels.method_bits(method, bits), plotting.style(method)
        if source == frames.PUBLISHED:
            label = labels.method(method).rstrip("*")
            look = plotting.style(PRINTED_GPTQ) if method.startswith("gptq-") else look
        found.append(Curve(label, look, method == FP16[0], ratings))
    return found


def _radar(axes, panels: Panels, variants: list[Curve], labels: Labels) -> None:
    """Draw one panel; a category without a rating leaves a gap."""
    angles = np.linspace(0, 2 * np.pi, len(panels.categories) + 1)
    axes.set_theta_offset(math.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_ylim(0, 10)
    axes.set_yticks([2, 4, 6, 8, 10])
    axes.set_yticklabels(["2", "4", "6", "8", "10"], color=plotting.GREY, fontsize=7)
    axes.set_rlabel_position(22.5)
    axes.set_xticks(angles[:-1])
    axes.set_xticklabels([labels.part(name) for name in panels.categories])
    axes.tick_params(axis="x", pad=-2)
    for text, angle in zip(axes.get_xticklabels(), angles[:-1], strict=True):
        side = math.sin(angle)
        text.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")

    for curve in variants:
        colour, marker, line = curve.look
        values = np.append(curve.ratings["value"].to_numpy(), curve.ratings["value"].iloc[0])
        axes.plot(
            angles,
            values,
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=3.8,
            linewidth=1.4,
            label=curve.label,
            clip_on=False,
        )
        if curve.baseline:
            axes.fill(angles, values, color=colour, alpha=0.07, linewidth=0)


def _points(axes, panels: Panels, variants: list[Curve], labels: Labels) -> None:
    """Draw one panel of points, with 95% intervals where a standard error is known."""
    places = np.arange(len(panels.categories))
    for number, curve in enumerate(variants):
        colour, marker, _ = curve.look
        shift = 0.24 * (number - (len(variants) - 1) / 2)
        low, high = _interval(curve.ratings)
        axes.errorbar(
            curve.ratings["value"],
            places + shift,
            xerr=[low, high],
            fmt=marker,
            color=colour,
            markersize=4.2,
            elinewidth=1.1,
            capsize=1.8,
            label=curve.label,
        )
    axes.set_yticks(places)
    first = axes.get_subplotspec().is_first_col()
    axes.set_yticklabels([labels.part(name) if first else "" for name in panels.categories])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlim(0.8, 10.2)
    axes.set_xticks([1, 2, 4, 6, 8, 10])
    axes.set_xlabel("Mean rating (1 to 10)")


def _interval(ratings: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the 95% interval below and above each mean, kept inside the scale of ratings."""
    width = Z95 * ratings["stderr"].fillna(0).to_numpy(float)
    values = ratings["value"].fillna(1).to_numpy(float)
    return np.minimum(width, values - 1).clip(0), np.minimum(width, 10 - values).clip(0)


def draw(panels: Panels, labels: Labels, intervals: bool) -> Figure:
    """Draw every panel, with `intervals` as points with 95% intervals (1.96 standard errors) instead of a radar."""
    plotting.use_style()
    cases = [(source, title, model) for source, title in panels.sources for model in panels.models]
    across = len(panels.models) if len(panels.models) <= 4 or len(panels.sources) > 1 else 4
    row, axes_kind = (3.2, {}) if intervals else (3.15, {"projection": "polar"})
    figure, axes = plotting.grid(len(cases), across, 3.45 * across, row, 0.7, subplot_kw=axes_kind)
    for panel, (source, title, model) in zip(axes, cases, strict=False):
        variants = curves(panels, source, model, labels)
        (_points if intervals else _radar)(panel, panels, variants, labels)
        panel.set_title(labels.model(model) + (f"\n{title}" if len(panels.sources) > 1 else ""), pad=8)
        if not variants:
            plotting.empty(panel, "no score")
    figure.suptitle(f"Figure 2. MT-Bench by category, {' and '.join(title for _, title in panels.sources)}", fontsize=10)
    methods = [labels.method(method) for method in plotting.STYLES]
    order = list(dict.fromkeys(name for method in methods for name in (method.rstrip("*"), method)))
    plotting.shared_legend(figure, axes, order)
    return figure


def write(panels: Panels, labels: Labels, intervals: bool, prefix: str | Path) -> list[Path]:
    """Write `<prefix>.pdf`, `.svg`, `.png`, and `.csv` with the numbers drawn."""
    paths = plotting.save(draw(panels, labels, intervals), prefix, ("pdf", "svg", "png"))
    shown = panels.frame[panels.frame["model"].isin(panels.models)]
    return [*paths, plotting.save_csv(shown[COLUMNS].rename(columns={"benchmark": "category"}), prefix)]
