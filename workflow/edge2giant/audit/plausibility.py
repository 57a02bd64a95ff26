"""Scores that are possible but stand out against their neighbours.

A score's neighbours in its column are the other rows of the same model. Its distance from their median is divided by the noise
that is expected: the binomial standard error of a score on so many questions, and the spread of the neighbours (median absolute
deviation, scaled to a standard deviation). A row that loses everywhere stands out in many columns and is no misprint, so the
distance must also stand out among those of the row's other columns. Both must reach the limit of Iglewicz and Hoaglin (1993)
for modified z-scores.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import hypot
from statistics import median

from edge2giant.audit.printed import PrintedRow
from edge2giant.audit.results import DOUBTFUL, Finding, place
from edge2giant.published import Parts, printed_stderr
from edge2giant.specs.study import AVERAGE

LIMIT = 3.5
#: Scales a median absolute deviation to the standard deviation of a normal distribution.
TO_SIGMA = 1.4826
#: A row with fewer neighbours in its model has no spread to be compared with.
NEIGHBOURS = 2


@dataclass(frozen=True)
class Outlier:
    """A score far from its neighbours.

    Parameters
    ----------
    neighbours : tuple of float
        The model's other scores in the column.
    expected : float
        Their median.
    column_z, row_z : float
        Distance from the median in units of the expected noise, and the same against the row's other columns.
    """

    row: PrintedRow
    column: str
    neighbours: tuple[float, ...]
    expected: float
    column_z: float
    row_z: float


def outliers(rows: list[PrintedRow], parts: Mapping[str, Parts]) -> Iterator[Outlier]:
    """Every score that stands out by `LIMIT` in its column and in its row; `parts` holds the questions of each column."""
    distances = {row.variant: _distances(row, rows, parts) for row in _joined(rows)}
    for row in rows:
        found = distances[row.variant]
        for column in row.values:
            if column not in found or len(found) < 3:
                continue
            neighbours, expected, column_z = found[column]
            row_z = _distance(column_z, [z for name, (_, _, z) in found.items() if name != column], 1.0)
            if min(abs(column_z), abs(row_z)) >= LIMIT and column_z * row_z > 0:
                yield Outlier(row, column, neighbours, expected, column_z, row_z)


def findings(rows: list[PrintedRow], parts: Mapping[str, Parts]) -> Iterator[Finding]:
    """The outliers as doubtful findings, with the measure used."""
    for one in outliers(rows, parts):
        others = ", ".join(f"{score:.2f}" for score in one.neighbours)
        comment = (
            f"the model's other rows: {others}; {one.column_z:+.1f} times the expected noise from their median, "
            f"{one.row_z:+.1f} times against the row's other columns"
        )
        key = one.row.key(one.column)
        shown = (place(key), one.row.values[one.column], f"{one.expected:.2f}")
        yield Finding("/".join(("plausibility", *key)), "plausibility", *shown, severity=DOUBTFUL, comment=comment)


def _joined(rows: list[PrintedRow]) -> list[PrintedRow]:
    """Rows of a variant in several tables as one, so that each has all of its columns."""
    joined = {}
    for row in rows:
        whole = joined.setdefault(row.variant, PrintedRow(row.table, row.variant, row.storage))
        whole.values.update(row.values)
    return list(joined.values())


def _distances(row: PrintedRow, rows: list[PrintedRow], parts: Mapping[str, Parts]) -> dict[str, tuple]:
    """For each column of a joined row: the neighbours' scores, their median, and the distance from it."""
    found = {}
    for column, text in row.values.items():
        others = [other for other in rows if other.variant.model == row.variant.model and other.variant != row.variant]
        scores = tuple(float(other.values[column]) for other in others if column in other.values)
        if column == AVERAGE or column not in parts or len(scores) < NEIGHBOURS:
            continue
        expected = median(scores)
        noise = printed_stderr(expected, parts[column])
        found[column] = (scores, expected, _distance(float(text), scores, noise))
    return found


def _distance(value: float, others: list[float] | tuple[float, ...], noise: float) -> float:
    """How far a value is from the median of others, in units of their spread and the noise together."""
    middle = median(others)
    spread = TO_SIGMA * median(abs(other - middle) for other in others)
    return (value - middle) / hypot(noise, spread)
