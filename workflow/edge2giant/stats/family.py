"""Many pairs at once: every variant against a reference, pooled by suite and by variant, with control of multiple comparisons."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.specs.score import StatisticsSpec
from edge2giant.specs.study import AVERAGE
from edge2giant.stats import LEVEL, paired, procedures, samples
from edge2giant.stats.procedures import Spread

EVERYTHING = "all"
IDENTITY = ["study", "model", "suite", "benchmark", "method_a", "bits_a", "method_b", "bits_b"]
REPEAT = "repeat"
INTERNAL = ("warnings", "spread", "unclipped", "unit")
ERROR = ["unclipped", "error", "freedom"]
RESULT = [field.name for field in dataclasses.fields(paired.Comparison) if field.name not in INTERNAL]
COLUMNS = [*IDENTITY, REPEAT, "pooled", *RESULT, *ERROR, "p_holm", "p_bh", "warnings"]
# How far the samples may miss the score in the cell record.
TOLERANCE = 1e-6
# Points of a pooled test for one unit of a score: a rating goes from 1 to 10.
POINTS = {"percent": 1.0, "rating": 100 / 9}


def compare(a: samples.Evaluation, b: samples.Evaluation, **options) -> dict:
    """Compare a cell with its reference `a`; return `IDENTITY` and the fields of `paired.Comparison`.

    Parameters
    ----------
    **options
        ``resamples`` and ``seed`` of `paired.compare`.
    """
    joined = samples.join(a, b)
    how, other = (Aggregation(**asdict(one.cell.aggregation)) for one in (a, b))
    if how != other:
        raise UserError(f"is not scored like {b.name}", a.name, "pair cells of one protocol")
    key = f"{a.variant.path} {b.variant.path} {b.identity.benchmark}"
    found = paired.compare(joined, how, a.cell.chance or 0.0, key=key, **options)
    for one, score in ((a, found.score_a), (b, found.score_b)):
        if abs(score - one.cell.score) > TOLERANCE:
            what = f"samples give {score:.6f}, the cell says {one.cell.score:.6f}"
            raise UserError(what, one.name, "delete the cell and make it again")
    warnings = list(found.warnings)
    if found.prompts_differ:
        warnings.append(f"{found.prompts_differ} prompts differ")
    if a.identity.protocol != b.identity.protocol:
        warnings.append(f"protocols {a.identity.protocol} and {b.identity.protocol}")
    row = _identity(a, b) | {"pooled": 1, "unit": a.cell.unit} | vars(found) | {"warnings": warnings}
    # a share of the reference's score says nothing where less is better
    return row | dict.fromkeys(("recovery", "recovery_low", "recovery_high")) if a.cell.lower_is_better else row


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


def noise_floor(
    cells: list[samples.Evaluation], repeats: list[samples.Evaluation], spec: StatisticsSpec, **options
) -> list[dict]:
    """Rows of each repeat against what it repeats, and pooled; outside of every family.

    Parameters
    ----------
    **options
        Of `compare`.
    """
    known, groups = {_cell(one): one for one in cells}, defaultdict(list)
    for one in repeats:
        if _cell(one) not in known:
            raise UserError("repeats a cell that is not there", one.name, "give the cells of the study that it repeats")
        groups[one.identity.study].append(one)
    found = []
    for study, group in groups.items():
        rows = [compare(known[_cell(one)], one, **options) for one in group]
        found += [row | {REPEAT: spec.repeats[study]} for row in [*rows, *pooled(rows, spec.suites)]]
    return found


def _cell(one: samples.Evaluation) -> tuple:
    return one.variant, one.identity.benchmark


def pooled(rows: list[dict], suites: Mapping[str, tuple[str, ...]]) -> list[dict]:
    """One row a suite, where all of its benchmarks were compared, and one a variant, over all of its benchmarks in points.

    Each is a stratified test: the mean of the benchmarks' differences, whose variances add up.
    """
    found = []
    for group in _grouped(rows, "benchmark"):
        members = set(suites.get(group[0]["suite"], ()))
        if len(members) > 1 and {row["benchmark"] for row in group} == members:
            found.append(_pool(group, {"benchmark": AVERAGE}))
    for group in _grouped([row for row in rows if row["unit"] in POINTS], "benchmark", "suite"):
        if len(group) > 1:
            found.append(_pool([_in_points(row) for row in group], {"suite": EVERYTHING, "benchmark": EVERYTHING}))
    return found


def _grouped(rows: list[dict], *without: str) -> Iterable[list[dict]]:
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in IDENTITY if name not in without)].append(row)
    return groups.values()


def _in_points(row: dict) -> dict:
    factor = POINTS[row["unit"]]
    lowest = 1 if row["unit"] == "rating" else 0
    spread = row["spread"]
    scaled = Spread(*(factor**2 * x for x in (spread.a, spread.b, spread.covariance, spread.difference)), spread.freedom)
    scores = {name: factor * (row[name] - lowest) for name in ("score_a", "score_b", "chance")}
    return row | scores | {"unclipped": factor * row["unclipped"], "spread": scaled}


def _pool(group: list[dict], names: dict) -> dict:
    averaged = ("score_a", "score_b", "unclipped", "chance")
    a, b, difference, chance = (float(np.mean([row[name] for row in group])) for name in averaged)
    spreads, size = [row["spread"] for row in group], len(group)
    sums = [sum(getattr(one, name) for one in spreads) / size**2 for name in ("a", "b", "covariance", "difference")]
    spread = Spread(*sums, procedures.freedom([one.difference for one in spreads], [one.freedom for one in spreads]))
    row = {name: group[0][name] for name in IDENTITY} | dict.fromkeys(RESULT) | names
    row |= vars(procedures.t_test(difference, spread.difference, spread.freedom)) | paired.recovery(a, b, chance, spread)
    row |= {name: sum(one[name] for one in group) for name in ("questions", "clusters", "prompts_differ")}
    row |= {"score_a": a, "score_b": b, "difference": b - a, "unclipped": difference, "chance": chance, "test": "pooled t"}
    row["detectable"] = procedures.detectable(spread.difference, spread.freedom) if spread.difference > 0 else None
    row["warnings"] = [paired.CLIPPED.format(difference)] if abs(b - a - difference) > TOLERANCE else []
    if spread.difference == 0:
        row["warnings"].append("nothing varies in any of them, so the interval has no width")
    if unknown := [one["benchmark"] for one in group if np.isnan(one["spread"].difference)]:
        row["warnings"].append(f"the spread of {', '.join(unknown)} is unknown")
    return row | {"pooled": size, "unit": "percent", "spread": spread}


def correct(rows: list[dict]) -> None:
    """Add Holm and Benjamini-Hochberg p-values (statsmodels).

    Cells are one family, suites a second and variants a third: the rows of one repeat what the rows of another say.
    """
    families = defaultdict(list)
    for row in rows:
        row["p_holm"] = row["p_bh"] = float("nan")
        if not np.isnan(row["p_value"]):
            families[row["benchmark"] if row["benchmark"] in (AVERAGE, EVERYTHING) else "cells"].append(row)
    for tested in families.values():
        _adjust(tested)


def _adjust(tested: list[dict]) -> None:
    from statsmodels.stats.multitest import multipletests

    for name, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
        corrected = multipletests([row["p_value"] for row in tested], LEVEL, method)[1]
        for row, value in zip(tested, corrected, strict=True):
            row[name] = float(value)
    size = len(tested)
    for row in tested:
        if row["p_holm"] < LEVEL and (row["floor"] or 0) * size > LEVEL:
            row["warnings"].append(
                f"the check cannot confirm this after Holm: its p is at least {row['floor']:.2g}, of {size} tests the smallest"
                f" must be below {LEVEL / size:.2g}"
            )


def as_json(row: dict) -> dict:
    """A row as a JSON record, NaN as null."""
    spread = row["spread"]
    row = row | {"error": float(np.sqrt(spread.difference)), "freedom": spread.freedom}
    clean = {name: row[name] for name in COLUMNS if name in row}
    return {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in clean.items()}


def write(rows: list[dict], noise: list[dict], alone: list[str], prefix: Path) -> list[Path]:
    """Write ``<prefix>.csv``, in which rows of the noise floor name their repeat, and ``<prefix>.json``; return their paths."""
    paths = [prefix.with_name(f"{prefix.name}.{ending}") for ending in ("csv", "json")]
    found, floor = [as_json(row) for row in rows], [as_json(row) for row in noise]
    lines = [row | {"warnings": "; ".join(row["warnings"])} for row in [*found, *floor]]
    records.write_csv(paths[0], lines, COLUMNS)
    records.write_json(paths[1], {"comparisons": found, "noise_floor": floor, "without_reference": alone})
    return paths
