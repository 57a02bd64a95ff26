"""What predicates return, and the comparisons that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

import pandas as pd

from edge2giant.claims.scores import FILE, FILTERS, Scores, label
from edge2giant.errors import UserError

#: Slack of a comparison of binary floats that stand for two-digit decimals.
EPSILON = 1e-9


@dataclass(frozen=True)
class Case:
    """One number, or pair of numbers, that a predicate looked at."""

    what: str
    value: float
    against: float | None = None
    holds: bool | None = None


@dataclass(frozen=True)
class Result:
    """What a predicate found: None where it cannot be decided, the numbers that decide it, and what is missing."""

    holds: bool | None
    summary: str
    cases: Sequence[Case] = ()
    missing: Sequence[str] = ()

    @property
    def counterexamples(self) -> list[Case]:
        """Cases that speak against the statement."""
        return [case for case in self.cases if case.holds is False]


class MissingScoresError(Exception):
    """Scores that a predicate needs all of are missing."""

    def __init__(self, missing: Sequence[str]):
        self.missing = missing
        super().__init__(", ".join(missing))


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
    """Round as a table does: half away from zero, by the decimal digits and not by those of the binary float."""
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


def undecided(missing: Sequence[str], cases: Sequence[Case] = ()) -> Result:
    """The result where scores are missing."""
    return Result(None, f"scores that are missing: {len(missing)}", cases, missing)


def judge_cases(cases: list[Case], share: str | float, missing: Sequence[str] = ()) -> Result:
    """Count cases; undecided if any score is missing. Where some suffice, the others do not count."""
    if missing:
        return undecided(missing, cases)
    true = sum(case.holds for case in cases)
    summary = f"{true} of {len(cases)} (needed: {share})"
    holds = enough(true, len(cases), share)
    if share == "some" and true:
        cases = [replace(case, holds=case.holds or None) for case in cases]
    return Result(holds, summary, cases)


def missing_in(rows: pd.DataFrame, of: str, where: Mapping) -> list[str]:
    """Names of the selected rows that have no value, or what was selected if there are no rows."""
    if rows.empty:
        return [f"{in_order(where)}: no such rows in the paper's tables"]
    return [label(row) for row in rows[rows[of].isna()].itertuples()]


def in_order(where: Mapping) -> dict:
    """A selection with its filters in the order of the columns."""
    return {name: where[name] for name in FILTERS if name in where}


def complete(scores: Scores, *wanted: tuple[Mapping, str], missing: Sequence[str] = ()) -> list[pd.DataFrame]:
    """The rows of each (selection, quantity); `MissingScoresError` if one has no value, or others are `missing` already."""
    rows = [scores.select(where) for where, _ in wanted]
    found = [name for one, (where, of) in zip(rows, wanted, strict=True) for name in missing_in(one, of, where)]
    if found or missing:
        raise MissingScoresError([*found, *missing])
    return rows


def two_rows(scores: Scores, a: Mapping, b: Mapping, missing: Sequence[str] = ()) -> list:
    """The row that each of two selections names, as `complete`."""
    found = complete(scores, (a, "value"), (b, "value"), missing=missing)
    for where, rows in zip((a, b), found, strict=True):
        if len(rows) > 1:
            raise UserError(f"{in_order(where)} selects {len(rows)} rows", FILE, "name one row")
    return [next(rows.itertuples()) for rows in found]
