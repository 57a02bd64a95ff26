"""Tidy score frames: one row per score, published and regenerated alike.

Reads `config/published/*.csv` and cell records; writes nothing.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from edge2giant import records
from edge2giant.errors import UserError

SCORE_COLUMNS = [
    "source",
    "suite",
    "benchmark",
    "model",
    "method",
    "bits",
    "value",
    "stderr",
    "n",
    "storage_gb",
    "printed",
    "printed_delta",
    "table",
]
MT_BENCH_COLUMNS = [
    "source",
    "model",
    "method",
    "bits",
    "category",
    "value",
    "value_source",
    "stderr",
    "n",
    "printed",
    "printed_delta",
    "table",
    "storage_gb",
]
ROW = ["model", "method", "bits"]
SCHEMA = "cell"


def _read_csv(config_dir: str | Path, name: str) -> pd.DataFrame:
    path = Path(config_dir) / "published" / name
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UserError("is missing", path, "restore the published values from the repository") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read as CSV ({error})", path, "restore it from the repository") from None


def method_slug(method: str, toolkit: str) -> str:
    """Project's name of a printed (method, toolkit): only GPTQ needs its toolkit to tell its rows apart."""
    return f"gptq-{toolkit}" if method == "gptq" else method


def _or_none(texts: pd.Series) -> pd.Series:
    return texts.astype(object).where(texts != "", None)


def published_scores(config_dir: str | Path) -> pd.DataFrame:
    """Every printed score of Tables 1, 2, 4 and 5, averages included, in the printed order.

    Parameters
    ----------
    config_dir : path
        Folder that holds `published/scores.csv`.

    Returns
    -------
    DataFrame, shape (700, 13)
        Columns `SCORE_COLUMNS`. `value` is a float in 0..100, `printed` and `printed_delta` keep the digits
        and signs of the paper, `stderr` and `n` are NaN (the paper prints none), `table` is the number of
        the printed table.

    Raises
    ------
    UserError
        If the CSV is missing or unreadable.
    """
    raw = _read_csv(config_dir, "scores.csv")
    frame = raw[["suite", "benchmark", "model", "table"]].copy()
    frame["source"] = "published"
    frame["method"] = [method_slug(m, t) for m, t in zip(raw["method"], raw["toolkit"], strict=True)]
    frame["bits"] = "w" + raw["w_bits"] + "a" + raw["a_bits"]
    frame["value"] = raw["value"].astype(float)
    frame["stderr"] = frame["n"] = float("nan")
    frame["storage_gb"] = raw["storage_gb"].astype(float)
    frame["printed"] = _or_none(raw["value"])
    frame["printed_delta"] = _or_none(raw["printed_delta"])
    frame["table"] = frame["table"].astype(int)
    return frame[SCORE_COLUMNS]


def _mt_bench_schemes(scores: pd.DataFrame) -> pd.DataFrame:
    """Which scheme stands behind fp16, gptq and awq of each model in Tables 6 and 7.

    The paper marks AutoGPTQ in Table 7 also for models without an AutoGPTQ row; there the model's only
    4-bit GPTQ row is taken, as in `config/studies/paper.yaml`.
    """
    rows = scores.drop_duplicates(ROW)[[*ROW, "storage_gb"]]
    rows = rows[rows["bits"].isin(["w16a16", "w4a16"])].copy()
    rows["printed_method"] = rows["method"].str.replace(r"^gptq-.*", "gptq", regex=True)
    rows["rank"] = (rows["method"] != "gptq-autogptq").astype(int)
    rows = rows.sort_values("rank", kind="stable")
    return rows.drop_duplicates(["model", "printed_method"]).drop(columns="rank")


def published_mt_bench(config_dir: str | Path) -> pd.DataFrame:
    """Every MT-Bench score of Tables 6 (categories) and 7 (turns), in the printed order.

    Returns
    -------
    DataFrame, shape (432, 13)
        Columns `MT_BENCH_COLUMNS`. `category` is one of the eight categories, `turn 1`, `turn 2` or
        `average`; the average stands in both tables, so select by `table` (6 or 7) before using it.
        `value_source` is `computed` where Table 6 prints only the difference from FP16.

    Raises
    ------
    UserError
        If a CSV is missing or unreadable.
    """
    raw = _read_csv(config_dir, "mt_bench.csv").rename(columns={"method": "printed_method"})
    raw["order"] = range(len(raw))
    frame = raw.merge(_mt_bench_schemes(published_scores(config_dir)), on=["model", "printed_method"], how="left")
    frame = frame.sort_values("order")
    frame["source"] = "published"
    frame["category"] = frame["category_or_turn"].str.replace("_", " ")
    frame["printed"] = _or_none(frame["value"])
    frame["printed_delta"] = _or_none(frame["printed_delta"])
    frame["value"] = frame["value"].astype(float)
    frame["stderr"] = frame["n"] = float("nan")
    frame["table"] = frame["table"].astype(int)
    return frame[MT_BENCH_COLUMNS].reset_index(drop=True)


def read_cells(paths: Iterable[str | Path]) -> list[dict]:
    """Read cell records, each checked against the cell schema.

    Raises
    ------
    UserError
        If a record is unreadable, does not fit the schema, or stands for a cell that another file holds too.
    """
    cells, seen = [], {}
    for path in paths:
        cell = records.read_json(path, SCHEMA)
        key = tuple(cell["cell"][name] for name in ("study", "model", "method", "bits", "benchmark"))
        if key in seen:
            raise UserError(f"holds the same cell as {seen[key]} ({' '.join(key)})", path, "give each cell once")
        seen[key] = path
        cells.append(cell)
    return cells


def _storage_gb(cell: dict) -> float:
    size = cell["checkpoint"].get("bytes") or cell["checkpoint"].get("nominal_bytes")
    return size / 1e9 if size else float("nan")


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _score_row(cell: dict) -> dict:
    identity = cell["cell"]
    row = {name: identity[name] for name in ("suite", "benchmark", "model", "method", "bits")}
    return row | {
        "source": identity["study"],
        "value": _number(cell["score"]),
        "stderr": _number(cell["stderr"]),
        "n": _number(cell["n"]),
        "storage_gb": _storage_gb(cell),
        "printed": None,
        "printed_delta": None,
        "table": None,
    }


def scores_of(cells: Iterable[dict]) -> pd.DataFrame:
    """Score frame of cell records that are already read (see `cell_scores`)."""
    return pd.DataFrame([_score_row(cell) for cell in cells], columns=SCORE_COLUMNS)


def cell_scores(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per cell record, on the paper's scale.

    Parameters
    ----------
    paths : iterable of path
        Cell records (`results/<study>/cells/.../<benchmark>.json`).

    Returns
    -------
    DataFrame
        Columns `SCORE_COLUMNS`; `source` is the study; `storage_gb` is the measured size in 10^9 bytes; no
        averages.

    Raises
    ------
    UserError
        See `read_cells`.
    """
    return scores_of(read_cells(paths))


def _part_rows(cell: dict) -> list[dict]:
    identity, rows = cell["cell"], []
    base = {name: identity[name] for name in ROW} | {
        "source": identity["study"],
        "value_source": "regenerated",
        "printed": None,
        "printed_delta": None,
        "storage_gb": _storage_gb(cell),
    }
    for part in cell["parts"]:
        turn = part["task"].startswith("turn ")
        rows.append(
            base
            | {
                "category": part["task"],
                "value": _number(part["raw"]),
                "stderr": _number(part["stderr"]),
                "n": _number(part["n"]),
                "table": 7 if turn else 6,
            }
        )
    for table in (6, 7):
        average = {"category": "average", "value": _number(cell["score"]), "stderr": _number(cell["stderr"])}
        rows.append(base | average | {"n": _number(cell["n"]), "table": table})
    return rows


def mt_bench_of(cells: Iterable[dict]) -> pd.DataFrame:
    """MT-Bench frame of cell records that are already read (see `cell_mt_bench`)."""
    rows = [row for cell in cells if cell["cell"]["benchmark"] == "mt_bench" for row in _part_rows(cell)]
    return pd.DataFrame(rows, columns=MT_BENCH_COLUMNS)


def cell_mt_bench(paths: Iterable[str | Path]) -> pd.DataFrame:
    """MT-Bench means by category and by turn from the parts of the `mt_bench` cells among `paths`.

    Returns
    -------
    DataFrame
        Columns `MT_BENCH_COLUMNS`, ratings 1..10; cells of other benchmarks are left out.
    """
    return mt_bench_of(read_cells(paths))


def keep(frame: pd.DataFrame, **equal: object) -> pd.DataFrame:
    """Rows whose columns equal the given values."""
    for column, value in equal.items():
        frame = frame[frame[column] == value]
    return frame


def with_average(scores: pd.DataFrame, members: dict[str, list[str]]) -> pd.DataFrame:
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
    for (source, suite, *row), group in scores.groupby(["source", "suite", *ROW], sort=False):
        columns = members.get(suite, [])
        found = group[group["benchmark"].isin(columns)]
        if not columns or set(found["benchmark"]) != set(columns) or found["value"].isna().any():
            continue
        error = (found["stderr"] ** 2).sum(skipna=False) ** 0.5 / len(columns)
        averages.append(
            dict(zip(ROW, row, strict=True))
            | {"source": source, "suite": suite, "benchmark": "average", "value": found["value"].mean()}
            | {"stderr": error, "n": found["n"].sum(), "storage_gb": found["storage_gb"].iloc[0]}
            | {"printed": None, "printed_delta": None, "table": None}
        )
    extra = pd.DataFrame(averages, columns=SCORE_COLUMNS)
    return pd.concat([scores, extra], ignore_index=True) if len(extra) else scores
