"""The scores that claims are about: one long table, with the difference from FP16 beside each value.

Which rows a claim selects is decided on the published grid; where the values come from is the source. A
row that the source lacks stays in the selection with a missing value, so that a claim over twelve models
is not quietly decided on three.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.published import TURNS_TABLE
from edge2giant.records.cell import CellRecord
from edge2giant.specs.claims import ClaimsSpec
from edge2giant.specs.study import AVERAGE, FP16
from edge2giant.specs.variant import Variant, widths

FILE = "config/published/claims.yaml"
KEYS = ["suite", "benchmark", "model", "method", "bits"]
FILTERS = [*KEYS, "family", "w_bits"]
QUANTITIES = ("value", "delta", "size_of_delta", "recovery")


def published_ratings(folder: Path) -> pd.DataFrame:
    """Printed ratings: of MT-Bench's categories from Table 6, of turns and average from Table 7 (all printed there)."""
    ratings = frames.published_ratings(folder)
    return ratings[(ratings["benchmark"] != AVERAGE) | (ratings["table"] == TURNS_TABLE)]


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame[[*KEYS, "value"]].reset_index(drop=True).astype({"value": float})
    if double := frame[frame.duplicated(KEYS)].values.tolist():
        raise UserError(f"{' '.join(map(str, double[0][:-1]))} occurs twice", hint="give one source's scores")
    frame["family"] = [method.partition("-")[0] for method in frame["method"]]
    frame["w_bits"] = [widths(bits)[0] for bits in frame["bits"]]
    fp16 = frame[frame["method"] == FP16[0]].set_index(["suite", "benchmark", "model"])["value"]
    base = pd.Series(fp16.reindex(pd.MultiIndex.from_frame(frame[["suite", "benchmark", "model"]])).to_numpy())
    # Printed digits are decimal: without rounding 61.13 - 47.81 is not 13.32.
    frame["delta"] = (frame["value"] - base).round(9)
    frame["size_of_delta"] = frame["delta"].abs()
    frame["recovery"] = 100 * frame["value"] / base.where(base > 0)
    return frame


def published(folder: Path, corrections: Mapping[tuple[int, Variant, str], str] | None = None) -> pd.DataFrame:
    """The printed scores of all tables, with the audit's `corrections` in place of probable misprints where these are given.

    Returns
    -------
    DataFrame
        Columns `FILTERS` and `QUANTITIES`; averages are rows with benchmark ``average``; MT-Bench
        categories and turns are benchmarks of suite ``mt_bench``. Points (0..100), for MT-Bench ratings
        (1..10).
    """
    scores = pd.concat([frames.published_scores(folder), published_ratings(folder)], ignore_index=True)
    for (table, variant, column), right in (corrections or {}).items():
        names = {**asdict(variant), "table": table, "benchmark": column}
        scores.loc[(scores[list(names)] == pd.Series(names)).all(axis=1), "value"] = float(right)
    return _complete(scores)


def regenerated(folder: Path, cells: list[CellRecord]) -> pd.DataFrame:
    """The scores of a study's cell records in the same form; averages only where a suite is complete."""
    grid = frames.published_scores(folder)
    columns = grid[grid["benchmark"] != AVERAGE].groupby("suite", sort=False)["benchmark"].unique()
    members = {suite: list(benchmarks) for suite, benchmarks in columns.items()}
    scores = frames.with_average(frames.scores_of(cells), members)
    parts = [part[[*KEYS, "value"]] for part in (scores[scores["suite"].isin(members)], frames.ratings_of(cells))]
    return _complete(pd.concat([part for part in parts if len(part)] or parts, ignore_index=True))


class Scores:
    """Values of one source on the published grid, whose rows are what claims can select.

    `values` are those of `published` or `regenerated`; `printed` says whether the source is the paper.
    """

    def __init__(self, spec: ClaimsSpec, grid: pd.DataFrame, values: pd.DataFrame, printed: bool):
        self.sets, self.facts, self.printed = spec.sets, spec.facts, printed
        self.table = grid[[*FILTERS]].merge(values[[*KEYS, *QUANTITIES]], on=KEYS, how="left")
        self.table["suite_label"] = self.table["suite"].replace(spec.suites)

    def expand(self, value: object) -> list:
        """A filter's values as a list, with the members of a named set (`@name`) in place of its name."""
        found = []
        for item in value if isinstance(value, list) else [value]:
            if not (isinstance(item, str) and item.startswith("@")):
                found.append(item)
            elif item[1:] in self.sets:
                found += self.sets[item[1:]]
            else:
                raise UserError(f"no set '{item[1:]}'", FILE, f"sets are {', '.join(self.sets)}")
        return found

    def select(self, where: Mapping[str, object]) -> pd.DataFrame:
        """The grid's rows that fit all filters, in printed order; values may be missing."""
        rows = self.table
        for column, value in where.items():
            if column not in FILTERS:
                raise UserError(f"no column '{column}'", FILE, f"columns are {', '.join(FILTERS)}")
            rows = rows[rows[column].isin(self.expand(value))]
        return rows


def label(row) -> str:
    """Name one row in words: variant and column."""
    method = row.method if row.method == FP16[0] else f"{row.method} {row.bits}"
    return f"{row.model} {method} {row.suite_label} {row.benchmark}"
