"""Regenerated against printed, cell by cell: difference, its standard error, z, p and a verdict.

Reads cell records and the published CSV. The printed side gives no error, so a binomial one is put in its
place (`printed_stderr`). Both sides answer the same questions, so errors of question sampling are shared and
z is too small rather than too large: `differs` is a safe finding, `agrees` says only that sampling noise of
that size could explain the difference. MT-Bench is the exception: its printed error is unknown and only the
regenerated one is counted, so that there `differs` may be the printed side's noise (the remarks say so).
"""

import math
from dataclasses import asdict, astuple
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from edge2giant import published
from edge2giant.paper import frames
from edge2giant.paper.frames import VARIANT
from edge2giant.published import CATEGORIES_TABLE, MT_BENCH
from edge2giant.records.cell import CellRecord
from edge2giant.specs.study import AVERAGE, FP16, StudySpec
from edge2giant.specs.variant import Variant

AGREES, DIFFERS, UNCOMPARED = "agrees", "differs", "cannot be compared"
COLUMNS = [
    "suite",
    "benchmark",
    *VARIANT,
    "regenerated",
    "stderr",
    "published",
    "published_place",
    "published_corrected",
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
PROTOCOL = "paper"
ALPHA = 0.05  # family-wise error rate of the verdicts


def printed_stderr(value: float, cell: CellRecord) -> float:
    """Binomial standard error of a printed score in 0..100, in points; NaN for ratings, whose spread the paper does not print.

    The regenerated cell says how subtasks become the score and how many questions each has: see `published.printed_stderr`.
    """
    if cell.unit != "percent":
        return float("nan")
    sizes = {part.task: part.n for part in cell.parts if part.n}
    parts = [(questions, cell.aggregation.chances.get(task, 0.0)) for task, questions in sizes.items()]
    if not cell.aggregation.macro or not parts:
        parts = [(cell.n, parts[0][1] if parts else 0.0)]
    return published.printed_stderr(value, tuple(parts))


def _remarks(cell: CellRecord, spec: StudySpec) -> str:
    """What else differs from the paper's run, from the record."""
    engine, benchmark = cell.engine, spec.benchmarks.get(cell.cell.benchmark)
    found = [f"stack {cell.cell.stack}", f"{engine.name} {engine.version}"]
    found += [f"kernel {engine.kernel}"] if engine.kernel not in ("none", "native") else []
    if benchmark and cell.n < benchmark.questions:
        found.append(f"{cell.n} of {benchmark.questions} questions")
    return "; ".join([*found, *cell.warnings])


def _printed(folder: Path) -> dict[tuple, tuple[float, str, float]]:
    """(model, method, bits, benchmark) to value, place, and what the audit takes for right where it is a misprint (else NaN).

    MT-Bench is known by the average of Table 6.
    """
    misprints = published.misprints(folder)
    scores = frames.published_scores(folder)
    scores = scores[scores["benchmark"] != AVERAGE]
    ratings = frames.keep(frames.published_ratings(folder), table=CATEGORIES_TABLE, benchmark=AVERAGE)
    both = pd.concat([scores, ratings.assign(benchmark=MT_BENCH)])
    found = {}
    for row in both.itertuples():
        variant = Variant(row.model, row.method, row.bits)
        corrected = float(misprints.get((row.table, variant, row.benchmark), "nan"))
        found[(*astuple(variant), row.benchmark)] = (row.value, f"Table {row.table}", corrected)
    return found


def _why_not(key: tuple, protocol: str, known: dict) -> str:
    """Reason why a cell has no counterpart, or an empty text."""
    if key in known:
        return "" if protocol == PROTOCOL else f"other protocol: {protocol}"
    if key[0] not in {model for model, *_ in known}:
        return "model is not in the paper"
    if key[:3] not in {place[:3] for place in known}:
        return "variant is not in the paper"
    return "benchmark is not printed for this variant"


def _row(cell: CellRecord, known: dict, spec: StudySpec) -> dict:
    identity = cell.cell
    key = (*astuple(identity.variant), identity.benchmark)
    value, place, corrected = known.get(key, (float("nan"), None, float("nan")))
    row = asdict(identity.variant) | {
        "suite": identity.suite,
        "benchmark": identity.benchmark,
        "regenerated": cell.score,
        "stderr": cell.stderr,
        "remarks": _remarks(cell, spec),
        "published": value,
        "published_place": place,
        "published_corrected": corrected,
        "reason": _why_not(key, identity.protocol, known),
    }
    if math.isnan(value):
        return row
    if not math.isnan(corrected):
        row["remarks"] += (
            f"; {value:.2f} is a probable misprint of {corrected:.2f}, difference from that {cell.score - corrected:+.2f}"
        )
    row |= {"difference": round(cell.score - value, 10), "published_stderr": printed_stderr(value, cell)}
    errors = [error for error in (cell.stderr, row["published_stderr"]) if error is not None and error == error]
    row["difference_stderr"] = math.sqrt(sum(error**2 for error in errors)) if errors else float("nan")
    if not row["reason"] and not row["difference_stderr"] > 0:
        row["reason"] = "no standard error on either side"
    if len(errors) == 1:
        side = "printed" if cell.stderr is not None else "regenerated"
        row["remarks"] += f"; error of the {side} value unknown"
    return row


def compare(cells: list[CellRecord], spec: StudySpec, folder: Path) -> pd.DataFrame:
    """Compare every cell of a study with the value that the paper prints: a row for each, with the columns `COLUMNS`.

    `low` and `high` bound the 95% interval of the difference; `p` is two-sided normal; `p_holm` and `p_bh` are adjusted within
    the suite (statsmodels), the cells of one of the paper's tables and of its continuation in the appendix; the verdict goes by
    `p_holm`. Cells of another protocol than the paper's cannot be compared.
    """
    known = _printed(folder)
    frame = pd.DataFrame([_row(cell, known, spec) for cell in cells], columns=COLUMNS)
    texts = {"suite", "benchmark", *VARIANT, "published_place", "reason", "remarks", "verdict"}
    numeric = [name for name in COLUMNS if name not in texts]
    frame[numeric] = frame[numeric].astype(float)
    frame["verdict"] = frame["verdict"].astype(object)
    _test(frame)
    return _ordered(frame, spec, folder)


def _test(frame: pd.DataFrame) -> None:
    """Fill intervals, z, p, adjusted p and verdicts in place."""
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * frame["difference_stderr"]
    frame["low"], frame["high"] = frame["difference"] - half, frame["difference"] + half
    frame["verdict"] = UNCOMPARED
    chosen = frame[frame["reason"] == ""]
    for _, family in chosen.groupby("suite"):
        z = family["difference"] / family["difference_stderr"]
        p = 2 * stats.norm.sf(z.abs())
        holm, bh = (multipletests(p, alpha=ALPHA, method=name)[1] for name in ("holm", "fdr_bh"))
        frame.loc[family.index, ["z", "p", "p_holm", "p_bh"]] = np.column_stack([z, p, holm, bh])
        frame.loc[family.index, "verdict"] = np.where(holm < ALPHA, DIFFERS, AGREES)


def _ordered(frame: pd.DataFrame, spec: StudySpec, folder: Path) -> pd.DataFrame:
    """Sort by suite and benchmark in the paper's order, then by model, method and bits in its order."""
    benchmarks = [name for suite in spec.suites for name in suite.benchmarks]
    printed = frames.published_scores(folder).drop_duplicates(VARIANT)
    models = list(dict.fromkeys([*printed["model"], *spec.models, *sorted(frame["model"].unique())]))
    variants = [*printed[VARIANT].itertuples(index=False, name=None)]

    def place(row) -> tuple:
        key = (row.model, row.method, row.bits)
        return _index(benchmarks, row.benchmark), models.index(row.model), _index(variants, key), row.method != FP16[0], key

    order = sorted(frame.itertuples(), key=place)
    return frame.loc[[row.Index for row in order]].reset_index(drop=True)


def _index(known: list, item) -> int:
    """Place of an item; after all others if it is not there."""
    return known.index(item) if item in known else len(known)
