"""Many pairs at once: every variant against a reference, with control of multiple comparisons."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.specs.study import AVERAGE
from edge2giant.stats import clusters, paired, samples

LEVEL = 0.05
IDENTITY = ["study", "model", "suite", "benchmark", "method_a", "bits_a", "method_b", "bits_b"]
RESULT = [field.name for field in dataclasses.fields(paired.Comparison) if field.name not in ("draws", "warnings")]
COLUMNS = [*IDENTITY, *RESULT, "p_holm", "p_bh", "warnings"]
# How far the samples may miss the score in the cell record.
TOLERANCE = 1e-6


def compare(a: samples.Evaluation, b: samples.Evaluation, table: pd.DataFrame | None = None, **options) -> dict:
    """Compare a cell with its reference `a`; return `IDENTITY` and the fields of `paired.Comparison`.

    Parameters
    ----------
    table : DataFrame, optional
        Clusters, from `clusters.read`.
    **options
        ``resamples`` and ``seed`` of `paired.compare`.
    """
    joined = samples.join(a, b)
    how, other = (Aggregation(**asdict(one.cell.aggregation)) for one in (a, b))
    if how != other:
        raise UserError(f"is not scored like {b.name}", a.name, "pair cells of one protocol")
    found = paired.compare(joined, clusters.attach(joined, table), how, **options)
    for one, score in ((a, found.score_a), (b, found.score_b)):
        if abs(score - one.cell.score) > TOLERANCE:
            what = f"samples give {score:.6f}, the cell says {one.cell.score:.6f}"
            raise UserError(what, one.name, "delete the cell and make it again")
    warnings = list(found.warnings)
    if found.prompts_differ:
        warnings.append(f"{found.prompts_differ} prompts differ")
    if a.identity.protocol != b.identity.protocol:
        warnings.append(f"protocols {a.identity.protocol} and {b.identity.protocol}")
    return _identity(a, b) | vars(found) | {"warnings": warnings}


def _identity(a: samples.Evaluation, b: samples.Evaluation) -> dict:
    names = {name: getattr(a.identity, name) for name in ("study", "model", "suite", "benchmark")}
    for side, variant in (("a", a.variant), ("b", b.variant)):
        names |= {f"method_{side}": variant.method, f"bits_{side}": variant.bits}
    return names


def pairs(cells: list[samples.Evaluation], reference: str) -> tuple[list[tuple], list[str]]:
    """(reference, other) of every model and benchmark, and the names of the cells that have no reference."""
    groups = defaultdict(list)
    for one in cells:
        groups[one.identity.study, one.identity.model, one.identity.benchmark].append(one)
    found, alone = [], []
    for group in groups.values():
        if len({one.variant for one in group}) < len(group):
            raise UserError("is given twice", group[0].name, "give each cell once")
        first = next((one for one in group if one.variant.method_bits == reference), None)
        others = [one for one in group if one is not first]
        found += [(first, other) for other in others if first]
        alone += [other.name for other in others if not first]
    return found, alone


def correct(rows: list[dict]) -> None:
    """Add Holm and Benjamini-Hochberg p-values over all rows that have a test (statsmodels)."""
    from statsmodels.stats.multitest import multipletests

    tested = [row for row in rows if not np.isnan(row["p_value"])]
    for name, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
        for row in rows:
            row[name] = float("nan")
        corrected = multipletests([row["p_value"] for row in tested], LEVEL, method)[1] if tested else []
        for row, value in zip(tested, corrected, strict=True):
            row[name] = float(value)


def averages(rows: list[dict], suites: Mapping[str, tuple[str, ...]]) -> list[dict]:
    """The difference of suite averages where all benchmarks of the suite were compared.

    Benchmarks are resampled independently of each other, so the mean of their bootstrap distributions is
    that of the average. No test: it is not one of the family's hypotheses.
    """
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in IDENTITY if name != "benchmark")].append(row)
    found = []
    for group in groups.values():
        members = set(suites.get(group[0]["suite"], ()))
        if len(members) > 1 and {row["benchmark"] for row in group} == members:
            found.append(_average(group))
    return found


def _average(group: list[dict]) -> dict:
    a, b = (float(np.mean([row[name] for row in group])) for name in ("score_a", "score_b"))
    draws = np.mean([row["draws"] for row in group], axis=0)
    low, high = paired.percentiles(draws)
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
    """A row as a JSON record: no draws, NaN as null."""
    clean = {name: row[name] for name in COLUMNS if name in row}
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in clean.items()}


def write(rows: list[dict], alone: list[str], prefix: Path) -> list[Path]:
    """Write ``<prefix>.csv`` and ``<prefix>.json``; return their paths."""
    paths = [prefix.with_name(f"{prefix.name}.{ending}") for ending in ("csv", "json")]
    found = [as_json(row) for row in rows]
    records.write_csv(paths[0], [row | {"warnings": "; ".join(row["warnings"])} for row in found], COLUMNS)
    records.write_json(paths[1], {"comparisons": found, "without_reference": alone})
    return paths
