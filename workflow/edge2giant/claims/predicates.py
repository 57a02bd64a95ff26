"""Named predicates over selections of scores: what a claim can be made of.

Each takes `Scores` and parameters from ``claims.yaml`` and returns a `Result`. Common parameters:

``select`` (or ``left``, ``right``, ``a``, ``b``)
    Filters: ``suite``, ``benchmark``, ``model``, ``method``, ``family`` (method without its toolkit),
    ``bits``, ``w_bits``; one value, a list, or ``@set``.
``of``
    ``value``, ``delta`` (value less FP16), ``size_of_delta`` or ``recovery`` (percent of FP16).
``relation``
    ``above``, ``below``, ``at_least``, ``at_most``; between two rows also ``alike`` (within ``margin``) and
    ``apart`` (by ``margin`` or more).
``share``
    Of how many cases it must be true: ``all``, ``most`` (more than half), ``some``, or a number (0.75:
    that share or more).

A missing value makes a predicate undecided (``holds`` is None), whatever the other rows say.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from edge2giant.claims.cases import (
    EPSILON,
    Case,
    MissingScoresError,
    Result,
    as_printed,
    complete,
    judge_cases,
    missing_in,
    relate,
    two_rows,
    undecided,
)
from edge2giant.claims.scores import FILE, Scores, label
from edge2giant.errors import UserError

PAPER_ALONE = Result(None, "a statement about the paper's own runs", missing=["only the paper can tell"])
#: What an unchanged score is.
UNCHANGED = {"delta": 0.0, "recovery": 100.0}
PREDICATES: dict[str, Callable[..., Result]] = {}


def predicate(function: Callable[..., Result]) -> Callable[..., Result]:
    """Make a function known to ``claims.yaml`` under its name; where scores are missing its result is undecided."""

    @functools.wraps(function)
    def decided(*arguments, **parameters) -> Result:
        try:
            return function(*arguments, **parameters)
        except MissingScoresError as error:
            return undecided(error.missing)

    PREDICATES[function.__name__] = decided
    return decided


@predicate
def difference_is(scores: Scores, a: Mapping, b: Mapping, by: str, within: float | None = None) -> Result:
    """One score less another is the stated number: to its digits, or `within` points and of the same sign (0.00 has none).

    Both scores are first rounded to the digits of the stated number, since the paper subtracts printed ones.
    """
    first, second = two_rows(scores, a, b)
    digits, stated = len(by.partition(".")[2]), float(by)
    found = float(as_printed(first.value, digits) - as_printed(second.value, digits))
    slack = 0.5 * 10**-digits if within is None else within
    holds = abs(found - stated) <= slack + EPSILON and (found * stated > 0 or stated == 0)
    case = Case(f"{label(first)} less {label(second)}", first.value, second.value, holds)
    return Result(holds, f"{found:+.2f} (stated {stated:+.2f})", [case])


@predicate
def each(scores: Scores, select: Mapping, relation: str, than: float, of="value", share="all") -> Result:
    """Each selected number stands in a relation to a constant."""
    rows = scores.select(select)
    values = [(label(row), getattr(row, of)) for row in rows.dropna(subset=[of]).itertuples()]
    cases = [Case(name, value, than, relate(value, relation, than)) for name, value in values]
    return judge_cases(cases, share, missing_in(rows, of, select))


@predicate
def pairs(
    scores: Scores,
    left: Mapping,
    right: Mapping,
    relation: str,
    matching: Sequence[str] = (),
    models: Sequence | str | None = None,
    of: str = "value",
    margin: float = 0.0,
    share: str | float = "all",
    exceptions: Sequence[Mapping] = (),
) -> Result:
    """Each left row against each right row that agrees with it in the columns `matching`.

    `models` gives (left model, right model) pairs to go through, where the models differ. Rows that fit an
    entry of `exceptions` are expected not to hold: for them the opposite is asked.
    """
    selections = [(left, right)]
    if models is not None:
        selections = [({**left, "model": a}, {**right, "model": b}) for a, b in scores.expand(models)]
    cases, missing = [], []
    for one, other in selections:
        first, second = scores.select(one), scores.select(other)
        missing += missing_in(first, of, one) + missing_in(second, of, other)
        joined = _join(first.dropna(subset=[of]), second.dropna(subset=[of]), matching)
        cases += [_pair(scores, a, b, relation, of, margin, exceptions) for a, b in joined]
    if not cases and not missing:
        missing = ["no two rows match"]
    return judge_cases(cases, share, list(dict.fromkeys(missing)))


def _join(first: pd.DataFrame, second: pd.DataFrame, matching: Sequence[str]) -> list[tuple]:
    def key(row):
        return tuple(getattr(row, column) for column in matching)

    return [(a, b) for a in first.itertuples() for b in second.itertuples() if key(a) == key(b)]


def _pair(scores: Scores, a, b, relation: str, of: str, margin: float, exceptions) -> Case:
    first, second = getattr(a, of), getattr(b, of)
    excepted = any(all(getattr(a, c) in scores.expand(v) for c, v in entry.items()) for entry in exceptions)
    note = " (named as exception)" if excepted else ""
    holds = relate(first, relation, second, margin) != excepted
    return Case(f"{label(a)} against {label(b)}{note}", first, second, holds)


@predicate
def mean_is(
    scores: Scores,
    select: Mapping,
    relation: str,
    than: float | None = None,
    right: Mapping | None = None,
    of="delta",
    margin: float = 0.0,
) -> Result:
    """The mean of a selection against a constant (`than`) or against the mean of another (`right`)."""
    selections = [(where, of) for where in (select, right) if where is not None]
    mean, *other = (rows[of].mean() for rows in complete(scores, *selections))
    than = other[0] if other else than
    holds = relate(mean, relation, than, margin)
    return Result(holds, f"mean {mean:.3f} against {than:.3f}", [Case(f"mean {of}", mean, than, holds)])


def _ranked(rows: pd.DataFrame, by: str, of: str, aggregate: str = "mean", end: str = "lowest") -> pd.Series:
    """A number for each group, from the lowest (highest), without the noise of binary floats, so that equal means tie."""
    numbers = rows.groupby(by, sort=False)[of].agg(aggregate).round(9)
    return numbers.sort_values(ascending=end == "lowest", kind="stable")


def _changed(numbers: pd.Series, of: str, end: str = "lowest") -> pd.Series:
    """Which numbers are drops (for the highest: rises); an unchanged score is neither. Of values all."""
    if of not in UNCHANGED:
        return pd.Series(True, numbers.index)
    gap = numbers - UNCHANGED[of]
    return gap < -EPSILON if end == "lowest" else gap > EPSILON


def _first(groups: pd.Series, top: int, of: str, end: str = "lowest") -> tuple[list[str], list[str]]:
    """The `top` first groups that are changes, with all that tie for the last place; and those of them before that tie."""
    changed = groups[_changed(groups, of, end)]
    last = changed.iloc[:top].tail(1)
    found = changed[changed.isin([*changed.iloc[:top]])]
    return list(found.index), list(found[~found.isin(last)].index if len(found) > top else found.index)


@predicate
def extreme(
    scores: Scores,
    select: Mapping,
    by: str,
    expected: Sequence[str],
    end: str = "lowest",
    of: str = "delta",
    aggregate: str = "mean",
    match: str = "same",
) -> Result:
    """The groups with the lowest (highest) mean, or worst case, are the expected ones.

    As many groups are taken as there are expected ones, with those that tie for the last place; the lowest differences must be
    drops, the highest rises. `match`: ``same`` groups, or ``any`` of them among these.
    """
    (rows,) = complete(scores, (select, of))
    groups = _ranked(rows, by, of, aggregate, end)
    found, certain = _first(groups, len(expected), of, end)
    both, either = set(found) & set(expected), {*found, *expected}
    cases = [
        Case(f"{name} ({aggregate} {of})", value, None, name in both if name in either else None)
        for name, value in groups.items()
    ]
    holds = set(certain) <= set(expected) <= set(found) if match == "same" else bool(both)
    return Result(holds, f"{end}: {_with_values(groups, found)} (stated {_with_values(groups, expected)})", cases)


def _with_values(groups: pd.Series, names: Sequence[str]) -> str:
    return ", ".join(f"{name} {groups[name]:+.3f}" if name in groups else name for name in names) or "none"


@predicate
def largest_drops(scores: Scores, select: Mapping, by: str, named: Sequence[str] | str, top: int, at_most: int) -> Result:
    """Of the `top` groups with the largest mean drop, with those that tie for the last place, at most so many are named ones."""
    (rows,) = complete(scores, (select, "delta"))
    groups, named = _ranked(rows, by, "delta"), scores.expand(named)
    worst, _ = _first(groups, top, "delta")
    both = set(worst) & set(named)
    cases = [Case(f"{name} (mean delta)", groups[name], None, name not in both) for name in groups.index if name in named]
    shown = f"largest drops: {_with_values(groups, worst)}; named: {_with_values(groups, named)}"
    return Result(len(both) <= at_most, shown, cases)


@predicate
def winner(scores: Scores, select: Mapping, by: Sequence[str], expected: Mapping, of="value", share="all") -> Result:
    """In each group (`by`) the row with the lowest number is of the expected kind; a tie counts.

    Groups without a row of the expected kind, or with that row alone, have no contest and are left out.
    """
    (rows,) = complete(scores, (select, of))
    ((column, kind),) = expected.items()
    cases = []
    for name, group in rows.groupby(list(by), sort=False):
        best, rival = (group[of][mine].min() for mine in (group[column] == kind, group[column] != kind))
        if pd.notna(best) and pd.notna(rival):
            holds = relate(best, "at_most", rival)
            cases.append(Case(f"{' '.join(name)}: {kind} against the best other", best, rival, holds))
    return judge_cases(cases, share, [] if cases else ["no group has a row of the expected kind and another"])


@predicate
def count_in_top(
    scores: Scores,
    select: Mapping,
    row: Sequence[str],
    column: str,
    top: int,
    expected: Sequence[tuple[str, int]],
    of: str = "delta",
    ties: bool = True,
) -> Result:
    """How often each column is among a row's `top` lowest numbers, which must be drops where they are differences.

    `ties`: whether columns that tie across the last place count; the summary gives both counts where they differ.
    """
    (rows,) = complete(scores, (select, of))
    rows = rows.assign(**{of: rows[of].round(9)})
    ranks, drops = rows.groupby(list(row))[of], _changed(rows[of], of)
    chosen = {kind: rows[(ranks.rank(method=kind) <= top) & drops] for kind in ("min", "max")}
    with_ties, without = (found.groupby(column).size() for found in chosen.values())
    decides = with_ties if ties else without
    counts = {name: int(decides.get(name, 0)) for name, _ in expected}
    cases = [Case(name, counts[name], stated, counts[name] == stated) for name, stated in expected]

    def shown(name: str) -> str:
        one, other = (int(found.get(name, 0)) for found in (with_ties, without))
        return f"{name} {one}" + (f" with ties, {other} without" if one != other else "")

    stated = "; ".join(f"{shown(name)} (stated {number})" for name, number in expected)
    others = ", ".join(shown(name) for name in with_ties.index if name not in dict(expected))
    return replace(judge_cases(cases, "all"), summary=f"{stated}; others: {others}; of {len(ranks)} rows")


@predicate
def count_groups(scores: Scores, select: Mapping, by: str, relation: str, than: float, expected: int, of="delta") -> Result:
    """In how many groups the mean stands in a relation to a constant."""
    (rows,) = complete(scores, (select, of))
    means = rows.groupby(by, sort=False)[of].mean()
    cases = [Case(f"{name} (mean {of})", value, than, relate(value, relation, than)) for name, value in means.items()]
    true = sum(case.holds for case in cases)
    return Result(true == expected, f"{true} of {len(cases)} (stated {expected})", cases)


@predicate
def gap_exceeds(
    scores: Scores, a: Mapping, b: Mapping, left: Mapping, right: Mapping, models: Sequence | str, share="all"
) -> Result:
    """The gap between rows a and b is larger than the gaps of other model pairs (left less right) in the same suite."""
    others = pairs(scores, left, right, "above", matching=("suite",), models=models)
    first, second = two_rows(scores, a, b, others.missing)
    gap = round(first.value - second.value, 9)
    cases = []
    for case in others.cases:
        other = round(case.value - case.against, 9)
        cases.append(Case(case.what.replace(" against ", " less "), other, gap, relate(gap, "above", other)))
    result = judge_cases(cases, share)
    return replace(result, summary=f"{gap:+.2f} is larger than {result.summary}")


@predicate
def absent(scores: Scores, select: Mapping) -> Result:
    """The paper has no such scores. Decided on the published numbers alone."""
    if not scores.printed:
        return PAPER_ALONE
    cases = [Case(label(row), row.value, None, False) for row in scores.select(select).itertuples()]
    return Result(not cases, f"{len(cases)} such scores are printed", cases)


@predicate
def settings(scores: Scores, facts: Sequence[str], equals: object) -> Result:
    """Named facts (settings with a source) have the stated value. Decided on the published facts alone."""
    if not scores.printed:
        return PAPER_ALONE
    if unknown := [name for name in facts if name not in scores.facts]:
        raise UserError(f"no fact '{unknown[0]}'", FILE, f"facts are {', '.join(scores.facts)}")
    found = [(name, scores.facts[name]) for name in facts]
    return judge_cases([Case(f"{name} ({fact.source})", fact.value, equals, fact.value == equals) for name, fact in found], "all")
