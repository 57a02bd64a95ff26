"""Per-sample tables of two cells, joined question by question."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.records.cell import CellIdentity, CellRecord
from edge2giant.specs.variant import Variant

KEY = ["task", "metric", "doc_id"]
COMPARED = {"doc_hash": "document", "target_hash": "target", "weight": "weight", "cluster": "group"}
COLUMNS = [*KEY, *COMPARED, "prompt_hash", "prediction", "correct", "value"]
SHOWN = 3


@dataclass(frozen=True)
class Evaluation:
    """A cell record and where it lies."""

    cell: CellRecord
    path: Path

    @property
    def identity(self) -> CellIdentity:
        """Model, method, bits, benchmark and the like."""
        return self.cell.cell

    @property
    def variant(self) -> Variant:
        return self.identity.variant

    @property
    def name(self) -> str:
        """Short name for messages."""
        return f"{self.variant.path}/{self.identity.benchmark}"

    def samples(self) -> pd.DataFrame:
        """The per-sample table, one row per (task, metric, document), as it was when the cell was written."""
        path = self._table()
        if records.file_sha256(path) != self.cell.samples.sha256:
            raise UserError("is not the table that the cell was made from", path, "delete the cell and make it again")
        table = pd.read_parquet(path)
        if lost := [name for name in COLUMNS if name not in table]:
            raise UserError(f"has no column '{lost[0]}'", path, "delete the cell and make it again")
        alone = table["task"].astype(object) + " " + table["doc_id"].astype(str)
        table = table[COLUMNS].assign(cluster=table["cluster"].astype(object).where(table["cluster"].notna(), alone))
        if double := int(table.duplicated(KEY).sum()):
            raise UserError(f"holds {double} questions twice", path, "delete the cell and make it again")
        return table

    def _table(self) -> Path:
        named = Path(self.cell.samples.path)
        for path in (named, self.path.parent / named.name):
            if path.is_file():
                return path
        raise UserError(f"its per-sample table {named} is missing", self.path, "run where it lies, or move it beside")


def read(path: Path) -> Evaluation:
    return Evaluation(records.read(path, CellRecord), path)


def join(a: Evaluation, b: Evaluation) -> pd.DataFrame:
    """Join two evaluations question by question; refuse them if a question, its document or its target differs.

    Returns
    -------
    DataFrame
        `KEY`, ``weight``, ``cluster``, and ``value``, ``correct``, ``prediction``, ``prompt_hash`` with suffixes ``_a``
        and ``_b``.
    """
    if a.identity.benchmark != b.identity.benchmark:
        raise UserError(f"cannot be paired with {b.name}", a.name, "give two cells of one benchmark")
    pair = f"{a.name} with {b.name}"
    both = a.samples().merge(b.samples(), on=KEY, how="outer", suffixes=("_a", "_b"), indicator=True)
    alone = both[both["_merge"] != "both"]
    if len(alone):
        side = {"left_only": a.name, "right_only": b.name}[alone["_merge"].iloc[0]]
        what = f"{len(alone)} questions are on one side alone: {_some(alone)} only in {side}"
        raise UserError(what, pair, "evaluate both on the same questions")
    for column, what in COMPARED.items():
        differ = both[both[f"{column}_a"] != both[f"{column}_b"]]
        if len(differ):
            what = f"{len(differ)} questions differ in their {what}: {_some(differ)}"
            raise UserError(what, pair, "pair evaluations of the same data set revision and seeds")
    return both.rename(columns={"weight_a": "weight", "cluster_a": "cluster"}).drop(columns=["_merge", "weight_b", "cluster_b"])


def _some(rows: pd.DataFrame) -> str:
    names = [f"{row.task} {row.doc_id}" for row in rows.head(SHOWN).itertuples()]
    return ", ".join(names) + (", ..." if len(rows) > SHOWN else "")
