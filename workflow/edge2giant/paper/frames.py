"""Tidy score frames: one row per score, published and regenerated alike, with the columns `COLUMNS`.

`value` is in 0..100, of ratings in 1..10, of other units as it is; `benchmark` is `average` for an average, and the category or
turn for a part of a judged benchmark. Of printed scores, `printed` and `printed_delta` keep the digits and signs of the paper and
`stderr` and `n` are NaN; of regenerated ones the printed columns are empty.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple
from pathlib import Path

import pandas as pd

from edge2giant import published, records
from edge2giant.errors import UserError
from edge2giant.published import PrintedNumber
from edge2giant.records.cell import CellRecord
from edge2giant.specs.study import AVERAGE, Measure

VARIANT = ["model", "method", "bits"]
COLUMNS = [
    "source", "suite", "benchmark", *VARIANT,
    "value", "stderr", "n", "storage_gb", "value_source", "printed", "printed_delta", "table",
]  # fmt: skip
PUBLISHED = "published"
COMPUTED = "computed"
NOT_PRINTED = {"value_source": "regenerated", "printed": None, "printed_delta": None, "table": None}


def _published(numbers: Iterable[PrintedNumber]) -> pd.DataFrame:
    numbers = list(numbers)
    rows = [
        asdict(one.variant)
        | {"suite": one.suite, "benchmark": one.column, "value_source": COMPUTED if one.computed else "printed"}
        | {"value": float(one.value), "storage_gb": float(one.storage_gb), "table": one.table}
        for one in numbers
    ]
    texts = {"printed": [one.value for one in numbers], "printed_delta": [one.delta for one in numbers]}
    frame = pd.DataFrame(rows).assign(source=PUBLISHED, stderr=float("nan"), n=float("nan"))
    return frame.assign(**{name: pd.Series(found, dtype=object) for name, found in texts.items()})[COLUMNS]


def published_scores(folder: Path) -> pd.DataFrame:
    """Every printed score of Tables 1, 2, 4 and 5, averages included, in the printed order; `folder` is `config/published`."""
    return _published(published.scores(folder))


def published_ratings(folder: Path) -> pd.DataFrame:
    """Every MT-Bench score of Tables 6 (by category) and 7 (by turn), in the printed order.

    The average stands in both tables, so select by `table` before using it. `value_source` is `computed` where Table 6 prints
    only the difference from FP16.
    """
    return _published(published.mt_bench(folder))


def read_cells(paths: Iterable[str | Path], study: str | None = None) -> list[CellRecord]:
    """Read the cell records of one study, by default that of the first.

    Raises
    ------
    UserError
        If a record is unreadable or no valid cell, is of another study, or stands for a cell that another file holds too.
    """
    cells, seen = [], {}
    for path in paths:
        cell = records.read(path, CellRecord)
        identity = cell.cell
        study = study or identity.study
        if identity.study != study:
            raise UserError(f"is a cell of study {identity.study}", path, f"give cells of study {study} alone")
        key = (*astuple(identity.variant), identity.benchmark)
        if key in seen:
            raise UserError(f"holds the same cell as {seen[key]} ({' '.join(key)})", path, "give each cell once")
        seen[key] = path
        cells.append(cell)
    return cells


def _row(cell: CellRecord, benchmark: str, **numbers: float | None) -> dict:
    """A row about a cell, with NaN for numbers that are not known."""
    identity = cell.cell
    row = {"suite": identity.suite, **asdict(identity.variant), "source": identity.study, "benchmark": benchmark}
    known = {name: float("nan") if number is None else float(number) for name, number in numbers.items()}
    return row | known | NOT_PRINTED | {"storage_gb": cell.checkpoint.bytes / 1e9}


def scores_of(cells: Iterable[CellRecord]) -> pd.DataFrame:
    """A row for each cell record; `source` is the study, `storage_gb` the measured size in 10^9 bytes; no averages."""
    rows = [_row(cell, cell.cell.benchmark, value=cell.score, stderr=cell.stderr, n=cell.n) for cell in cells]
    return pd.DataFrame(rows, columns=COLUMNS)


def parts_of(cells: Iterable[CellRecord], measures: Mapping[str, Measure]) -> pd.DataFrame:
    """Rows of the columns `benchmark/metric`, parts of cells, each on the scale of its measure."""
    rows = []
    for cell in cells:
        for part in cell.parts:
            column = f"{cell.cell.benchmark}/{part.metric}"
            if column in measures and part.raw is not None:
                scale = 100.0 if measures[column].unit == "percent" else 1.0
                stderr = None if part.stderr is None else part.stderr * scale
                rows.append(_row(cell, column, value=part.raw * scale, stderr=stderr, n=part.n))
    return pd.DataFrame(rows, columns=COLUMNS)


def ratings_of(cells: Iterable[CellRecord]) -> pd.DataFrame:
    """Means by category and by turn of the judged cells among `cells`, and over all ratings as `average`."""
    rows = []
    for cell in (cell for cell in cells if cell.unit == "rating"):
        parts = [(part.task, part.raw, part.stderr, part.n) for part in cell.parts]
        for name, mean, stderr, n in (*parts, (AVERAGE, cell.score, cell.stderr, cell.n)):
            rows.append(_row(cell, name, value=mean, stderr=stderr, n=n))
    return pd.DataFrame(rows, columns=COLUMNS)


def keep(frame: pd.DataFrame, **equal: object) -> pd.DataFrame:
    """Rows whose columns equal the given values."""
    for column, value in equal.items():
        frame = frame[frame[column] == value]
    return frame


def with_average(scores: pd.DataFrame, members: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """Add the plain mean of each suite as benchmark `average`, where all of its benchmarks have a score.

    The standard error takes the benchmarks as independent samples: sqrt(sum of squares) / number.

    Parameters
    ----------
    scores : DataFrame
        Without averages.
    members : mapping
        Suite to its benchmarks; a suite that is not there has no average.
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
    extra = pd.DataFrame(averages, columns=COLUMNS)
    return pd.concat([scores, extra], ignore_index=True) if len(extra) else scores
