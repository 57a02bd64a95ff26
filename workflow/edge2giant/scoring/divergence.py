"""The cell of a divergence: its mean with its error by window, and the numbers beside it."""

from pathlib import Path

import numpy as np

from edge2giant import records
from edge2giant.divergence import PLACES, Compared
from edge2giant.records.cell import Part
from edge2giant.scoring.aggregation import Aggregation, Estimate, weighted_mean
from edge2giant.scoring.cell import Score

METRIC = "kl_mean"
QUANTILE = 0.99


def score(folder: Path, benchmark: str) -> Score:
    """Score an entry of the answer cache; a window is a sample, for its tokens are not independent."""
    found = Compared.load(folder / PLACES)
    windows, places = found.kl.shape
    weights = np.full(windows, float(places))
    aggregation = Aggregation(macro=False, chances={benchmark: 0.0}, scale=1.0)
    mean = weighted_mean(found.kl.mean(axis=1), weights)
    rows = [_row(benchmark, found, at, float(places)) for at in range(windows)]
    estimate = aggregation.estimate({benchmark: mean})
    return Score(estimate, parts(benchmark, found, weights, mean), rows, aggregation, chance=None)


def parts(benchmark: str, found: Compared, weights: np.ndarray, mean: Estimate) -> list[Part]:
    """Mean, quantile and largest divergence; shares in percent; perplexities on the same places."""
    windows = len(weights)

    def part(metric: str, raw: float, stderr: float | None = None, scale: float = 1.0) -> Part:
        return Part(benchmark, metric, raw=raw, stderr=stderr, chance=None, normalised=raw * scale, n=windows)

    def share(metric: str, values: np.ndarray) -> Part:
        one = weighted_mean(values.mean(axis=1), weights)
        return part(metric, one.value, one.stderr, 100.0)

    def perplexity(metric: str, logprobs: np.ndarray) -> Part:
        one = weighted_mean(-logprobs.astype(float).mean(axis=1), weights)
        value = float(np.exp(one.value))
        return part(metric, value, None if one.stderr is None else one.stderr * value)

    return [
        part(METRIC, mean.value, mean.stderr),
        part("kl_q99", float(np.quantile(found.kl, QUANTILE))),
        part("kl_largest", float(found.kl.max())),
        share("same_top", found.same_top),
        share("halved", found.halved),
        perplexity("perplexity", found.own),
        perplexity("perplexity_unquantized", found.base),
    ]


def _row(benchmark: str, found: Compared, window: int, places: float) -> dict:
    text = records.digest(found.tokens[window].tolist())
    return {
        "task": benchmark,
        "metric": METRIC,
        "doc_id": window,
        "doc_hash": text,
        "target_hash": text,
        "prompt_hash": text,
        "prediction": None,
        "correct": None,
        "value": float(found.kl[window].mean()),
        "weight": places,
        "cluster": None,
    }
