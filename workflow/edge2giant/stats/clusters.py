"""Questions that share a passage: they are not independent, so they are resampled together."""

from pathlib import Path

import pandas as pd

from edge2giant.errors import UserError

COLUMNS = ["task", "doc_id", "cluster"]
MAKE = "make it with the command 'passages'"


def of_passages(parquet: Path, task: str, column: str) -> pd.DataFrame:
    """Number the passages of a data set that an lm-eval task reads: the same text in `column`, the same cluster.

    The row number is the question's ``doc_id``.
    """
    try:
        passages = pd.read_parquet(parquet, columns=[column])[column]
    except (OSError, ValueError) as error:
        raise UserError(f"column '{column}' cannot be read as Parquet ({error})", parquet, "give the data set's file") from None
    return pd.DataFrame({"task": task, "doc_id": range(len(passages)), "cluster": pd.factorize(passages)[0]})


def read(path: Path) -> pd.DataFrame:
    """Read a cluster table (CSV with ``task``, ``doc_id``, ``cluster``)."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read as CSV ({error})", path, MAKE) from None
    if list(table.columns) != COLUMNS or table.duplicated(COLUMNS[:2]).any():
        raise UserError("is not a cluster table", path, MAKE)
    return table


def attach(joined: pd.DataFrame, table: pd.DataFrame | None) -> pd.Series:
    """Each row's cluster: its passage where the table has its task (all of it), else the document itself."""
    if table is None or not set(table["task"]) & set(joined["task"]):
        return joined["doc_id"]
    found = joined[["task", "doc_id"]].merge(table, on=["task", "doc_id"], how="left")["cluster"].set_axis(joined.index)
    gaps = found.isna() & joined["task"].isin(set(table["task"]))
    if gaps.any():
        first = joined[gaps].iloc[0]
        raise UserError(f"names no passage for {first.task} {first.doc_id}", "cluster table", MAKE)
    return found.fillna(joined["doc_id"])
