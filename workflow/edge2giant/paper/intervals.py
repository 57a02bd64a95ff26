"""Differences with their 95% intervals: a panel for each benchmark, a line for each variant."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from edge2giant.paper import plotting


def draw(rows: pd.DataFrame, title: str, looks: Mapping[str, tuple[str, str]]) -> Figure:
    """Draw differences in the order of their rows.

    Parameters
    ----------
    rows : DataFrame
        `line` and `panel` as they are headed, `difference`, `low`, `high` (NaN where there is no interval) and `verdict`.
    looks : dict of str to (colour, marker)
        Of each verdict.
    """
    lines, headings = (list(dict.fromkeys(rows[name])) for name in ("line", "panel"))
    across = min(len(headings), 7)
    width, height = 2.6 + 1.75 * max(across, 2), 1.2 + 0.16 * max(len(lines), 6)
    figure, panels = plotting.grid(len(headings), across, width, height, 0.4, sharey=True)
    places = {line: number for number, line in enumerate(lines)}
    for axes, heading in zip(panels, headings, strict=False):
        _draw_panel(axes, rows[rows["panel"] == heading], places, looks)
        axes.set_title(heading, fontsize=9)
        axes.set_yticks(range(len(lines)), lines, fontsize=6.5)
    panels[0].set_ylim(len(lines) - 0.5, -0.5)
    figure.suptitle(title, fontsize=10)
    plotting.shared_legend(figure, panels, list(looks))
    return figure


def _draw_panel(axes, rows: pd.DataFrame, places: Mapping[str, int], looks: Mapping[str, tuple[str, str]]) -> None:
    for verdict, group in rows.groupby("verdict"):
        colour, marker = looks[verdict]
        heights = group["line"].map(places)
        axes.hlines(heights, group["low"], group["high"], color=colour, linewidth=1)
        axes.plot(group["difference"], heights, marker, color=colour, markersize=3.2, label=verdict)
    axes.axvline(0, color=plotting.GREY, linewidth=1)


def nothing(lines: list[str]) -> Figure:
    """A figure that says why nothing is drawn."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 0.6 + 0.25 * len(lines)), layout="constrained")
    plotting.empty(axes, "\n".join(lines))
    return figure
