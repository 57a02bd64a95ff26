"""What predicates return, and the comparisons that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

import pandas as pd

from edge2giant.claims.scores import FILTERS, Scores, label
from edge2giant.errors import UserError

FILE = "config/published/claims.yaml"
#: Slack of a comparison of binary floats that stand for two-digit decimals.
EPSILON = 1e-9


@dataclass
class Case:
    """One number, or pair of numbers, that a predicate looked at."""

    what: str
    value: float
    against: float | None = None
    holds: bool | None = None


@dataclass
class Result:
    """What a predicate found.

    Attributes
    ----------
    holds : bool or None
        None: cannot be decided.
    summary : str
    cases : list of Case
        The numbers that decide it.
    missing : list of str
        What it asked for and did not get.
    """

    holds: bool | None
    summary: str
    cases: list[Case] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def counterexamples(self) -> list[Case]:
        """Cases that speak against the statement."""
        return [case for case in self.cases if case.holds is False]


def relate(left: float, relation: str, right: float, margin: float = 0.0) -> bool:
    """Compare two numbers; `margin` widens ``at_least``/``at_most`` and sharpens ``above``/``below``."""
    gap = left - right
    tests = {
        "above": gap > margin + EPSILON,
        "below": gap < -margin - EPSILON,
        "at_least": gap >= -margin - EPSILON,
        "at_most": gap <= margin + EPSILON,
        "alike": abs(gap) <= margin + EPSILON,
        "apart": abs(gap) >= margin - EPSILON,
    }
    if relation not in tests:
        raise UserError(f"no relation '{relation}'", FILE, f"one of {', '.join(tests)}")
    return bool(tests[relation])


def as_printed(value: float, digits: int) -> Decimal:
    """Round as a table does: half away from zero, on the decimal digits and not on their binary shadow."""
    return Decimal(repr(round(value, 9))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def enough(true: int, total: int, share: str | float) -> bool:
    """Whether `true` of `total` cases are as many as `share` asks for."""
    if share == "all":
        return true == total
    if share == "most":
        return 2 * true > total
    if share == "some":
        return true > 0
    if isinstance(share, (int, float)) and not isinstance(share, bool) and 0 < share <= 1:
        return true >= share * total - EPSILON
    raise UserError(f"no share '{share}'", FILE, "all, most, some or a number in (0, 1]")


def undecided(missing: list[str], cases: Sequence[Case] = ()) -> Result:
    """The result where scores are missing."""
    text = f"scores that it asks for and that are missing: {len(missing)}"
    return Result(None, text, list(cases), missing)


def missing_in(rows: pd.DataFrame, of: str, where: Mapping) -> list[str]:
    """Names of the selected rows that have no value, or what was selected if there are no rows."""
    if rows.empty:
        return [f"{in_order(where)}: no such rows in the paper's tables"]
    return [label(row) for row in rows[rows[of].isna()].itertuples()]


def in_order(where: Mapping) -> dict:
    """A selection with its filters in the order of the columns."""
    return {name: where[name] for name in FILTERS if name in where}


def one_row(scores: Scores, where: Mapping) -> pd.DataFrame:
    """Select at most one row."""
    rows = scores.select(where)
    if len(rows) > 1:
        raise UserError(f"{in_order(where)} selects {len(rows)} rows", FILE, "name one row")
    return rows


def judge_cases(cases: list[Case], share: str | float, missing: list[str]) -> Result:
    """Count cases; undecided if any score is missing. Where some suffice, the others do not count."""
    if missing:
        return undecided(missing, cases)
    true = sum(case.holds for case in cases)
    if share == "some" and true:
        cases = [Case(case.what, case.value, case.against, case.holds or None) for case in cases]
    return Result(enough(true, len(cases), share), f"{true} of {len(cases)} (asked: {share})", cases)
