"""Many pairs at once: every variant against a reference, with control of multiple comparisons."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.stats import clusters, paired, samples

LEVEL = 0.05
IDENTITY = ["study", "model", "suite", "benchmark", "method_a", "bits_a", "method_b", "bits_b"]
RESULT = [field.name for field in dataclasses.fields(paired.Comparison) if field.name not in ("draws", "warnings")]
COLUMNS = [*IDENTITY, *RESULT, "p_holm", "p_bh", "warnings"]
AVERAGE = "average"


def compare(a: samples.Evaluation, b: samples.Evaluation, table=None, **options) -> dict:
    """Compare two cells.

    Parameters
    ----------
    a, b : Evaluation
        Reference and the other.
    table : DataFrame, optional
        Clusters, from `clusters.read`.
    **options
        ``resamples`` and ``seed`` of `paired.compare`.

    Returns
    -------
    dict
        `IDENTITY`, `RESULT`, ``warnings`` and ``draws``.
    """
    joined, benchmark = samples.join(a, b), a.identity["benchmark"]
    how, other = (Aggregation(**one.cell["aggregation"]) for one in (a, b))
    if how != other:
        raise UserError(f"is not scored like {b.name}", a.name, "pair cells of one protocol")
    recorded = (a.cell["score"], b.cell["score"])
    found = paired.compare(joined, clusters.attach(joined, table), how, benchmark, recorded, **options)
    record = _identity(a, b) | {name: getattr(found, name) for name in [*RESULT, "warnings", "draws"]}
    if found.prompts_differ:
        record["warnings"].append(f"{found.prompts_differ} prompts differ")
    if a.identity["protocol"] != b.identity["protocol"]:
        record["warnings"].append(f"protocols {a.identity['protocol']} and {b.identity['protocol']}")
    return record


def _identity(a: samples.Evaluation, b: samples.Evaluation) -> dict:
    names = {name: a.identity[name] for name in ("study", "model", "suite", "benchmark")}
    for side, one in (("a", a), ("b", b)):
        names |= {f"method_{side}": one.identity["method"], f"bits_{side}": one.identity["bits"]}
    return names


def pairs(cells: list[samples.Evaluation], reference: str) -> tuple[list[tuple], list[str]]:
    """Return (reference, other) of every model and benchmark, and the names of the cells that have no reference."""
    groups = defaultdict(list)
    for one in cells:
        key = tuple(one.identity[name] for name in ("study", "model", "benchmark"))
        groups[key].append(one)
    found, alone = [], []
    for group in groups.values():
        first = [one for one in group if method_bits(one) == reference]
        others = [one for one in group if method_bits(one) != reference]
        if len(first) > 1 or len({method_bits(one) for one in others}) < len(others):
            raise UserError("is given twice", group[0].name, "give each cell once")
        found += [(first[0], other) for other in others] if first else []
        alone += [] if first else [one.name for one in others]
    return found, alone


def method_bits(one: samples.Evaluation) -> str:
    """Method and bits of a cell, as ``fp16/w16a16``."""
    return f"{one.identity['method']}/{one.identity['bits']}"


def correct(rows: list[dict]) -> None:
    """Add Holm and Benjamini-Hochberg p-values over all rows that have a test (statsmodels)."""
    from statsmodels.stats.multitest import multipletests

    tested = [row for row in rows if not np.isnan(row["p_value"])]
    for row in rows:
        row["p_holm"] = row["p_bh"] = float("nan")
    if not tested:
        return
    p_values = [row["p_value"] for row in tested]
    for name, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
        for row, value in zip(tested, multipletests(p_values, LEVEL, method)[1], strict=True):
            row[name] = float(value)


def averages(rows: list[dict], suites: Mapping[str, tuple[str, ...]]) -> list[dict]:
    """Return the difference of suite averages where all benchmarks of the suite were compared.

    Benchmarks are resampled independently of each other, so the mean of their bootstrap distributions is
    that of the average. No test: it is not one of the family's hypotheses.
    """
    groups = defaultdict(list)
    for row in rows:
        names = ("study", "model", "suite", "method_a", "bits_a", "method_b", "bits_b")
        groups[tuple(row[name] for name in names)].append(row)
    found = []
    for group in groups.values():
        members = set(suites.get(group[0]["suite"], ()))
        if len(members) > 1 and {row["benchmark"] for row in group} == members:
            found.append(_average(group))
    return found


def _average(group: list[dict]) -> dict:
    a, b = (float(np.mean([row[name] for row in group])) for name in ("score_a", "score_b"))
    draws = np.mean([row["draws"] for row in group], axis=0)
    tail = (1 - paired.CONFIDENCE) / 2
    low, high = (float(x) for x in np.quantile(draws, [tail, 1 - tail]))
    row = {name: group[0][name] for name in IDENTITY} | dict.fromkeys(RESULT)
    return row | {
        "benchmark": AVERAGE,
        "score_a": a,
        "score_b": b,
        "difference": b - a,
        "low": low,
        "high": high,
        "interval": "paired bootstrap",
        "p_value": float("nan"),
        "test": "none",
        "questions": sum(one["questions"] for one in group),
        "clusters": sum(one["clusters"] for one in group),
        "recovery": 100 * b / a if a else float("nan"),
        "warnings": [],
        "draws": draws,
    }


def as_json(row: dict) -> dict:
    """Return a row as a JSON record: no draws, NaN as null."""
    clean = {name: row.get(name) for name in COLUMNS if name in row}
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in clean.items()}


def write(rows: list[dict], alone: list[str], prefix: Path) -> list[Path]:
    """Write ``<prefix>.csv`` and ``<prefix>.json``; return their paths."""
    paths = [prefix.with_name(f"{prefix.name}.{ending}") for ending in ("csv", "json")]
    records.write_csv(paths[0], [as_json(row) | {"warnings": "; ".join(row["warnings"])} for row in rows], COLUMNS)
    document = {"comparisons": [as_json(row) for row in rows], "without_reference": alone}
    records.write_json(paths[1], document)
    return paths
