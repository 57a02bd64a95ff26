"""Regenerated against printed, cell by cell: difference, its standard error, z, p and a verdict.

Reads cell records and the published CSV. The printed side gives no error, so a binomial one is put in its
place (`printed_stderr`). Both sides answer the same questions, so errors of question sampling are shared and
z is too small rather than too large: `differs` is a safe finding, `agrees` says only that sampling noise of
that size could explain the difference. MT-Bench is the exception: its printed error is unknown and only the
regenerated one is counted, so that there `differs` may be the printed side's noise (the remarks say so).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats
from statsmodels.stats.multitest import multipletests

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.paper import frames, labels, plotting, tables, tradeoffs
from edge2giant.paper.frames import ROW

AGREES, DIFFERS, UNCOMPARED = "agrees", "differs", "cannot be compared"
COLUMNS = [
    "suite",
    "benchmark",
    *ROW,
    "regenerated",
    "stderr",
    "published",
    "published_place",
    "published_stderr",
    "difference",
    "difference_stderr",
    "low",
    "high",
    "z",
    "p",
    "p_holm",
    "p_bh",
    "verdict",
    "reason",
    "remarks",
]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Conditions:
    """What decides whether a cell is compared.

    Parameters
    ----------
    protocol : str
        Protocol under which a cell may be compared with the paper.
    names : Labels
        Knows how many questions a benchmark has.
    """

    protocol: str
    names: labels.Labels


def printed_stderr(value: float, cell: dict) -> float:
    """Binomial-like standard error of a printed score.

    Parameters
    ----------
    value : float
        Printed score in 0..100.
    cell : dict
        Regenerated cell: gives the number of questions and, for normalised scores, the chance levels.

    Returns
    -------
    float
        Points; NaN for ratings, whose spread the paper does not print.

    Notes
    -----
    With c the mean chance level over parts (weighted by questions; 0 where a score is not normalised), the
    raw accuracy is p = c + (1 - c) value / 100 and the error 100 / (1 - c) sqrt(p (1 - p) / n).
    """
    if cell["unit"] != "percent":
        return float("nan")
    chance = _mean_chance(cell)
    accuracy = min(max(chance + (1 - chance) * value / 100, 0.0), 1.0)
    return 100 / (1 - chance) * math.sqrt(accuracy * (1 - accuracy) / cell["n"])


def _mean_chance(cell: dict) -> float:
    """Chance level that the score is normalised by; 0 when score and raw accuracy are the same."""
    parts = [part for part in cell["parts"] if part["raw"] is not None and part["n"]]
    total = sum(part["n"] for part in parts)
    plain = all(math.isclose(part["normalised"] or 0.0, 100 * part["raw"], abs_tol=1e-9) for part in parts)
    if plain or not total:
        return 0.0
    return sum((part["chance"] or 0.0) * part["n"] for part in parts) / total


def _remarks(cell: dict, names: labels.Labels) -> str:
    """What else is unlike the paper's run, as the record tells it."""
    whole = names.documents(cell["cell"]["benchmark"], cell["cell"]["protocol"])
    stated = [f"stack {cell['cell']['stack']}", f"{cell['engine']['name']} {cell['engine']['version']}"]
    stated += [f"kernel {cell['engine']['kernel']}"] if cell["engine"]["kernel"] not in ("none", "native") else []
    stated += [f"{cell['n']} of {whole} questions"] if whole and cell["n"] < whole else []
    return "; ".join([*stated, *cell["warnings"]])


def _printed(config_dir: str) -> dict[tuple, tuple[float, str]]:
    """(model, method, bits, benchmark) to value and place; MT-Bench by the average of Table 6."""
    scores = frames.published_scores(config_dir)
    scores = scores[scores["benchmark"] != "average"]
    ratings = frames.keep(frames.published_mt_bench(config_dir), table=6, category="average")
    both = pd.concat([scores, ratings.assign(benchmark="mt_bench")])
    return {(row.model, row.method, row.bits, row.benchmark): (row.value, f"Table {row.table}") for row in both.itertuples()}


def _why_not(cell: dict, known: dict, conditions: Conditions) -> str:
    """Reason why a cell has no counterpart, or an empty text."""
    identity = cell["cell"]
    key = tuple(identity[name] for name in (*ROW, "benchmark"))
    if key not in known:
        if identity["model"] not in {model for model, *_ in known}:
            return "model is not in the paper"
        if key[:3] not in {place[:3] for place in known}:
            return "scheme is not in the paper for this model"
        return "benchmark is not printed for this row"
    if identity["protocol"] != conditions.protocol:
        return f"other protocol: {identity['protocol']}"
    return ""


def _row(cell: dict, known: dict, conditions: Conditions) -> dict:
    identity = cell["cell"]
    row = {name: identity[name] for name in ("suite", "benchmark", *ROW)}
    row |= {
        "regenerated": cell["score"],
        "stderr": cell["stderr"],
        "remarks": _remarks(cell, conditions.names),
    }
    value, place = known.get(tuple(identity[name] for name in (*ROW, "benchmark")), (float("nan"), None))
    row |= {"published": value, "published_place": place, "reason": _why_not(cell, known, conditions)}
    if math.isnan(value):
        return row
    row |= {"difference": round(cell["score"] - value, 10), "published_stderr": printed_stderr(value, cell)}
    errors = [error for error in (cell["stderr"], row["published_stderr"]) if error is not None and error == error]
    row["difference_stderr"] = math.sqrt(sum(error**2 for error in errors)) if errors else float("nan")
    if not row["reason"] and not row["difference_stderr"] > 0:
        row["reason"] = "no standard error on either side"
    if len(errors) == 1:
        side = "printed" if cell["stderr"] is not None else "regenerated"
        row["remarks"] += f"; error of the {side} value unknown"
    return row


def compare(
    cells: list[dict], config_dir: str, names: labels.Labels, alpha: float = 0.05, protocol: str = "paper"
) -> pd.DataFrame:
    """Hold every cell against the value that the paper prints.

    Parameters
    ----------
    cells : list of dict
        Cell records.
    config_dir : path
        Folder that holds `published/`.
    names : Labels
        Gives the order of models.
    alpha : float
        Family-wise error rate of the verdicts. A family is a suite: the cells of one of the paper's tables
        and its sister in the appendix.
    protocol : str
        Cells of another protocol cannot be compared.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, a row for each cell. `low` and `high` bound the 95% interval of the difference;
        `p` is two-sided normal; `p_holm` and `p_bh` are adjusted within the suite (statsmodels); the
        verdict goes by `p_holm`.
    """
    if not 0 < alpha < 1:
        raise UserError(f"{alpha} is no error rate", "--alpha", "choose one between 0 and 1")
    conditions = Conditions(protocol, names)
    known = _printed(config_dir)
    frame = pd.DataFrame([_row(cell, known, conditions) for cell in cells], columns=COLUMNS)
    numeric = [name for name in COLUMNS if name not in {"suite", "benchmark", *ROW, "published_place", "reason", "remarks"}]
    numeric.remove("verdict")
    frame[numeric] = frame[numeric].astype(float)
    frame["verdict"] = frame["verdict"].astype(object)
    _test(frame, alpha)
    return _ordered(frame, config_dir, names)


def _test(frame: pd.DataFrame, alpha: float) -> None:
    """Fill intervals, z, p, adjusted p and verdicts in place."""
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * frame["difference_stderr"]
    frame["low"], frame["high"] = frame["difference"] - half, frame["difference"] + half
    frame["verdict"] = UNCOMPARED
    chosen = frame[frame["reason"] == ""]
    for _, family in chosen.groupby("suite"):
        z = family["difference"] / family["difference_stderr"]
        p = 2 * stats.norm.sf(z.abs())
        holm, bh = (multipletests(p, alpha=alpha, method=name)[1] for name in ("holm", "fdr_bh"))
        frame.loc[family.index, ["z", "p", "p_holm", "p_bh"]] = np.column_stack([z, p, holm, bh])
        frame.loc[family.index, "verdict"] = np.where(holm < alpha, DIFFERS, AGREES)


def _ordered(frame: pd.DataFrame, config_dir: str, names: labels.Labels) -> pd.DataFrame:
    """Sort by suite and benchmark in the paper's order, then by model and scheme in its order."""
    benchmarks = [name for members in tables.members(config_dir).values() for name in members] + ["mt_bench"]
    printed = frames.published_scores(config_dir).drop_duplicates(ROW)
    models = list(dict.fromkeys([*printed["model"], *names.models, *sorted(frame["model"].unique())]))
    schemes = [*printed[ROW].itertuples(index=False, name=None)]

    def place(row) -> tuple:
        key = (row.model, row.method, row.bits)
        known = schemes.index(key) if key in schemes else len(schemes)
        benchmark = benchmarks.index(row.benchmark) if row.benchmark in benchmarks else len(benchmarks)
        return benchmark, models.index(row.model), known, row.method != "fp16", key

    order = sorted(frame.itertuples(), key=place)
    return frame.loc[[row.Index for row in order]].reset_index(drop=True)


MARK = {DIFFERS: "*", AGREES: "", UNCOMPARED: ""}


def _schemes(result: pd.DataFrame, names: labels.Labels) -> list[tuple[tuple, str]]:
    keys = list(dict.fromkeys(result[ROW].itertuples(index=False, name=None)))
    order = list(dict.fromkeys(key[0] for key in keys))
    keys.sort(key=lambda key: order.index(key[0]))
    return [(key, f"{names.model(key[0])}  {labels.scheme(names, *key[1:])}") for key in keys]


def draw_heat(result: pd.DataFrame, names: labels.Labels) -> Figure:
    """Heat map of z, with the difference in points and a star where it differs."""
    schemes = _schemes(result, names)
    benchmarks = list(dict.fromkeys(result["benchmark"]))
    size = (3.6 + 0.78 * max(len(benchmarks), 4), 1.6 + 0.235 * max(len(schemes), 3))
    tested = result[result["z"].notna()]
    if tested.empty:
        return _nothing(result)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    shape = {"index": [key for key, _ in schemes], "columns": benchmarks}
    z, texts = pd.DataFrame(np.nan, **shape), pd.DataFrame("", dtype=object, **shape)
    for row in tested.itertuples():
        key = (row.model, row.method, row.bits)
        place = (shape["index"].index(key), benchmarks.index(row.benchmark))
        z.iat[place] = row.z
        texts.iat[place] = f"{row.difference:+.2f}{MARK[row.verdict]}"
    title = "z (difference / its standard error)"
    tradeoffs.heat_map(axes, z, 5.0, title, texts)
    axes.set_yticklabels([text for _, text in schemes], rotation=0)
    axes.set_xticklabels([names.benchmark(name) for name in benchmarks], rotation=35, ha="left")
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


def draw_intervals(result: pd.DataFrame, names: labels.Labels) -> Figure:
    """One panel a benchmark: the difference of every row with its 95% interval."""
    tested = result[result["z"].notna()]
    if tested.empty:
        return _nothing(result)
    schemes = _schemes(tested, names)
    benchmarks = list(dict.fromkeys(tested["benchmark"]))
    across = min(max(len(benchmarks), 1), 7)
    down = max(1, math.ceil(len(benchmarks) / across))
    size = (2.6 + 1.75 * max(across, 2), (1.2 + 0.16 * max(len(schemes), 6)) * down + 0.4)
    figure, grid = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained", sharey=True)
    places = {key: number for number, (key, _) in enumerate(schemes)}
    for axes, benchmark in zip(grid.flat, benchmarks, strict=False):
        _interval_panel(axes, tested[tested["benchmark"] == benchmark], places)
        axes.set_title(names.benchmark(benchmark), fontsize=9)
        axes.set_yticks(range(len(schemes)), [text for _, text in schemes], fontsize=6.5)
    grid.flat[0].set_ylim(len(schemes) - 0.5, -0.5)
    for axes in list(grid.flat)[len(benchmarks) :]:
        axes.set_axis_off()
    figure.suptitle("Regenerated minus printed, with 95% intervals", fontsize=10)
    plotting.shared_legend(figure, grid.flat)
    return figure


def _interval_panel(axes, rows: pd.DataFrame, places: dict) -> None:
    for verdict, group in rows.groupby("verdict"):
        heights = [places[key] for key in group[ROW].itertuples(index=False, name=None)]
        half = (group["high"] - group["low"]) / 2
        look = {"fmt": SHAPES[verdict], "color": COLOURS[verdict], "markersize": 3.2, "elinewidth": 1}
        axes.errorbar(group["difference"], heights, xerr=half, label=verdict, **look)
    axes.axvline(0, color=plotting.GREY, linewidth=1)


def summary(result: pd.DataFrame) -> str:
    """Count the verdicts in one line."""
    counts = result["verdict"].value_counts()
    return ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in (AGREES, DIFFERS, UNCOMPARED))


def write(result: pd.DataFrame, names: labels.Labels, prefix: str | Path) -> list[Path]:
    """Write `<prefix>.csv`, `<prefix>_heatmap.svg/.png` and `<prefix>_intervals.svg/.png`."""
    plotting.use_style()
    with records.atomic(f"{prefix}.csv") as stream:
        result.to_csv(stream, index=False, lineterminator="\n", float_format="%.10g")
    paths = [Path(f"{prefix}.csv")]
    paths += plotting.save(draw_heat(result, names), f"{prefix}_heatmap")
    return paths + plotting.save(draw_intervals(result, names), f"{prefix}_intervals")
