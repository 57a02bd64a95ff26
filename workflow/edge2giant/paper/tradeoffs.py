"""Numbers behind the views for the paper's questions: storage (RQ1), method (RQ2), size (RQ3), difficulty (RQ4).

Each function takes a score frame of the leaderboards, averages included. MT-Bench has its own scale and its own figure.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from edge2giant.paper import plotting
from edge2giant.paper.frames import VARIANT
from edge2giant.specs.study import AVERAGE, FP16

METHODS = {method: number for number, method in enumerate(plotting.STYLES)}


def deltas(scores: pd.DataFrame) -> pd.DataFrame:
    """The quantized rows that have an FP16 score of the same model, with `fp16`, `delta` (points) and `fp16_storage_gb`."""
    key = ["source", "suite", "benchmark", "model"]
    base = scores[scores["method"] == FP16[0]][[*key, "value", "storage_gb"]]
    base = base.rename(columns={"value": "fp16", "storage_gb": "fp16_storage_gb"})
    found = scores[scores["method"] != FP16[0]].merge(base, on=key, how="inner")
    return found.assign(delta=(found["value"] - found["fp16"]).round(10))


def _average_deltas(scores: pd.DataFrame) -> pd.DataFrame:
    found = deltas(scores)
    return found[found["benchmark"] == AVERAGE].copy()


def pareto(points: pd.DataFrame) -> pd.Series:
    """Mark the points that no other beats with as little `storage_gb` and as high a `value`."""
    order = points.sort_values(["storage_gb", "value"], ascending=[True, False], kind="stable")
    best, front = -math.inf, []
    for index, value in order["value"].items():
        if value > best:
            front.append(index)
            best = value
    return pd.Series(points.index.isin(front), index=points.index)


def storage(scores: pd.DataFrame) -> pd.DataFrame:
    """RQ1: average and storage of every variant, with the Pareto front of each suite."""
    found = scores[(scores["benchmark"] == AVERAGE) & scores["storage_gb"].notna()].assign(pareto=False)
    for _, group in found.groupby("suite"):
        found.loc[group.index, "pareto"] = pareto(group)
    return found[["source", "suite", *VARIANT, "storage_gb", "value", "pareto"]]


def by_method(scores: pd.DataFrame) -> pd.DataFrame:
    """RQ2: difference of the averages from FP16, variant by variant, in the order of the methods."""
    found = _average_deltas(scores)
    found["order"] = found["method"].map(METHODS).fillna(len(METHODS))
    found = found.sort_values(["suite", "order", "bits"], kind="stable")
    return found[["source", "suite", *VARIANT, "fp16", "value", "delta"]]


def by_size(scores: pd.DataFrame) -> pd.DataFrame:
    """RQ3: difference of the averages from FP16 against the size of the unquantized model."""
    found = _average_deltas(scores).sort_values(["suite", "fp16_storage_gb"], kind="stable")
    return found[["source", "suite", *VARIANT, "fp16_storage_gb", "fp16", "value", "delta"]]


def difficulty(scores: pd.DataFrame) -> pd.DataFrame:
    """RQ4: difference from FP16 against the FP16 score, with Spearman's rank correlation by benchmark.

    `spearman` and `p` come from `scipy.stats.spearmanr` over the variants of a benchmark (NaN under four).
    Variants of one model share their FP16 score, so that p is smaller than it would be for independent ones.
    """
    found = deltas(scores)
    found = found[found["benchmark"] != AVERAGE].copy()
    found["spearman"] = found["p"] = np.nan
    for _, group in found.groupby(["suite", "benchmark"]):
        if len(group) >= 4 and group["fp16"].nunique() > 1 and group["delta"].nunique() > 1:
            result = stats.spearmanr(group["fp16"], group["delta"])
            found.loc[group.index, ["spearman", "p"]] = [result.statistic, result.pvalue]
    return found[["source", "suite", "benchmark", *VARIANT, "fp16", "value", "delta", "spearman", "p"]]


def heat(scores: pd.DataFrame) -> pd.DataFrame:
    """Difference from FP16 of every quantized variant (lines) on every benchmark and average (columns)."""
    found = deltas(scores)
    found["column"] = found["benchmark"].where(found["benchmark"] != AVERAGE, found["suite"] + f" {AVERAGE}")
    wide = found.pivot_table(index=VARIANT, columns="column", values="delta", sort=False)
    variants = dict.fromkeys(found[VARIANT].itertuples(index=False, name=None))
    models = list(dict.fromkeys(scores["model"]))
    order = list(dict.fromkeys(found.sort_values("suite", kind="stable")["column"]))
    return wide.reindex(sorted(variants, key=lambda variant: models.index(variant[0])))[order].reset_index()
