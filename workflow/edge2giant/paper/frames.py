"""Tidy score frames: one row per score, published and regenerated alike.

Reads `config/published/*.csv` and cell records; writes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from edge2giant import published, records
from edge2giant.errors import UserError
from edge2giant.published import PrintedNumber
from edge2giant.records.cell import CellRecord
from edge2giant.specs.study import AVERAGE, MT_BENCH
from edge2giant.specs.variant import Variant

VARIANT = ["model", "method", "bits"]
COMMON = ["value", "stderr", "n", "storage_gb", "printed", "printed_delta", "table"]
SCORE_COLUMNS = ["source", "suite", "benchmark", *VARIANT, *COMMON]
MT_BENCH_COLUMNS = ["source", *VARIANT, "category", "value_source", *COMMON]
PUBLISHED = "published"
NOT_PRINTED = {"printed": None, "printed_delta": None, "table": None}


def _published(numbers: Iterable[PrintedNumber], column: str, columns: list[str]) -> pd.DataFrame:
    """Numbers beside their printed digits; the paper prints no standard error and no sample size."""
    numbers = list(numbers)
    rows = [
        asdict(one.variant)
        | {"suite": one.suite, column: one.column, "value_source": "computed" if one.computed else "printed"}
        | {"value": float(one.value), "storage_gb": float(one.storage_gb), "table": one.table}
        for one in numbers
    ]
    texts = {"printed": [one.value for one in numbers], "printed_delta": [one.delta for one in numbers]}
    frame = pd.DataFrame(rows).assign(source=PUBLISHED, stderr=float("nan"), n=float("nan"))
    return frame.assign(**{name: pd.Series(found, dtype=object) for name, found in texts.items()})[columns]


def published_scores(folder: Path) -> pd.DataFrame:
    """Every printed score of Tables 1, 2, 4 and 5, averages included, in the printed order.

    Returns
    -------
    DataFrame, shape (700, 13)
        Columns `SCORE_COLUMNS`. `value` is a float in 0..100, `printed` and `printed_delta` keep the digits and signs of the
        paper, `stderr` and `n` are NaN, `table` is the number of the printed table.
    """
    return _published(published.scores(folder), "benchmark", SCORE_COLUMNS)


def published_mt_bench(folder: Path) -> pd.DataFrame:
    """Every MT-Bench score of Tables 6 (categories) and 7 (turns), in the printed order.

    Returns
    -------
    DataFrame, shape (432, 13)
        Columns `MT_BENCH_COLUMNS`. `category` is one of the eight categories, `turn 1`, `turn 2` or `average`; the average stands
        in both tables, so select by `table` (6 or 7) before using it. `value_source` is `computed` where Table 6 prints only the
        difference from FP16.
    """
    return _published(published.mt_bench(folder), "category", MT_BENCH_COLUMNS)


def read_cells(paths: Iterable[str | Path], study: str | None = None) -> list[dict]:
    """Read cell records, each checked against the cell schema.

    Parameters
    ----------
    paths : iterable of path
    study : str, optional
        Refuse cells of another study; without it, cells of several studies.

    Raises
    ------
    UserError
        If a record is unreadable, does not fit the schema, is of another study, or stands for a cell that another file holds too.
    """
    cells, seen = [], {}
    for path in paths:
        cell = records.read_json(path, CellRecord)
        identity = cell["cell"]
        study = study or identity["study"]
        if identity["study"] != study:
            raise UserError(f"is a cell of study {identity['study']}", path, f"give cells of study {study} alone")
        key = tuple(identity[name] for name in (*VARIANT, "benchmark"))
        if key in seen:
            raise UserError(f"holds the same cell as {seen[key]} ({' '.join(key)})", path, "give each cell once")
        seen[key] = path
        cells.append(cell)
    return cells


def variant_of(cell: Mapping) -> Variant:
    """The variant that a cell record (or a failure record) is about."""
    identity = cell.get("cell", cell)
    return Variant(identity["model"], identity["method"], identity["bits"])


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _common(cell: dict, **numbers: float | None) -> dict:
    """What a row of either frame says of its cell, and numbers with NaN for what is unknown."""
    identity, size = cell["cell"], cell["checkpoint"].get("bytes") or cell["checkpoint"].get("nominal_bytes")
    row = {name: identity[name] for name in VARIANT} | {"source": identity["study"]} | NOT_PRINTED
    return row | {"storage_gb": size / 1e9 if size else float("nan")} | {name: _number(n) for name, n in numbers.items()}


def scores_of(cells: Iterable[dict]) -> pd.DataFrame:
    """Score frame of cell records: a row for each, on the paper's scale.

    Returns
    -------
    DataFrame
        Columns `SCORE_COLUMNS`; `source` is the study; `storage_gb` is the measured size in 10^9 bytes; no averages.
    """
    rows = [
        _common(cell, value=cell["score"], stderr=cell["stderr"], n=cell["n"])
        | {name: cell["cell"][name] for name in ("suite", "benchmark")}
        for cell in cells
    ]
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def mt_bench_of(cells: Iterable[dict]) -> pd.DataFrame:
    """MT-Bench means by category and by turn from the parts of the `mt_bench` cells among `cells`.

    Returns
    -------
    DataFrame
        Columns `MT_BENCH_COLUMNS`, ratings 1..10.
    """
    rows = [row for cell in cells if cell["cell"]["benchmark"] == MT_BENCH for row in _ratings(cell)]
    return pd.DataFrame(rows, columns=MT_BENCH_COLUMNS)


def _ratings(cell: dict) -> Iterable[dict]:
    for part in cell["parts"]:
        table = 7 if part["task"].startswith("turn ") else 6
        row = _common(cell, value=part["raw"], stderr=part["stderr"], n=part["n"])
        yield row | {"category": part["task"], "value_source": "regenerated", "table": table}
    for table in (6, 7):
        row = _common(cell, value=cell["score"], stderr=cell["stderr"], n=cell["n"])
        yield row | {"category": AVERAGE, "value_source": "regenerated", "table": table}


def keep(frame: pd.DataFrame, **equal: object) -> pd.DataFrame:
    """Rows whose columns equal the given values."""
    for column, value in equal.items():
        frame = frame[frame[column] == value]
    return frame


def with_average(scores: pd.DataFrame, members: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """Add the plain mean of each suite as benchmark `average`, where all of its columns exist.

    Parameters
    ----------
    scores : DataFrame
        Cells' scores, no averages.
    members : mapping
        Suite to its benchmarks.

    Notes
    -----
    The standard error takes the benchmarks as independent samples: sqrt(sum of squares) / number.
    """
    averages = []
    for (source, suite, *variant), group in scores.groupby(["source", "suite", *VARIANT], sort=False):
        columns = set(members.get(suite, ()))
        found = group[group["benchmark"].isin(columns)]
        if not columns or set(found["benchmark"]) != columns or found["value"].isna().any():
            continue
        averages.append(
            dict(zip(VARIANT, variant, strict=True))
            | {"source": source, "suite": suite, "benchmark": AVERAGE, "value": found["value"].mean()}
            | {"stderr": (found["stderr"] ** 2).sum(skipna=False) ** 0.5 / len(columns), "n": found["n"].sum()}
            | {"storage_gb": found["storage_gb"].iloc[0]}
            | NOT_PRINTED
        )
    extra = pd.DataFrame(averages, columns=SCORE_COLUMNS)
    return pd.concat([scores, extra], ignore_index=True) if len(extra) else scores
