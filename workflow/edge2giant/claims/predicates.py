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

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from edge2giant.claims.cases import (
    EPSILON,
    FILE,
    Case,
    Result,
    as_printed,
    judge_cases,
    missing_in,
    one_row,
    relate,
    undecided,
)  # fmt: skip
from edge2giant.claims.scores import Scores, label
from edge2giant.errors import UserError

PAPER_ALONE = Result(None, "a statement about the paper's own runs", missing=["only the paper can tell"])
PREDICATES: dict[str, Callable[..., Result]] = {}


def predicate(function: Callable[..., Result]) -> Callable[..., Result]:
    """Make a function known to ``claims.yaml`` under its name."""
    PREDICATES[function.__name__] = function
    return function


@predicate
def difference_is(scores: Scores, a: Mapping, b: Mapping, by: str, within: float | None = None) -> Result:
    """One score less another is the stated number: to its digits, or `within` points and of the same sign.

    Both scores are first rounded to the digits of the stated number, since the paper subtracts printed ones.
    """
    left, right = one_row(scores, a), one_row(scores, b)
    if missing := missing_in(left, "value", a) + missing_in(right, "value", b):
        return undecided(missing)
    first, second = next(left.itertuples()), next(right.itertuples())
    digits, stated = len(by.partition(".")[2]), float(by)
    found = float(as_printed(first.value, digits) - as_printed(second.value, digits))
    slack = 0.5 * 10**-digits if within is None else within
    holds = abs(found - stated) <= slack + EPSILON and found * stated >= 0
    case = Case(f"{label(first)} less {label(second)}", first.value, second.value, holds)
    return Result(holds, f"{found:+.2f} (stated {stated:+.2f})", [case])


@predicate
def each(scores: Scores, select: Mapping, relation: str, than: float, of="value", share="all") -> Result:
    """Each selected number stands in a relation to a constant."""
    rows = scores.select(select)
    missing = missing_in(rows, of, select)
    cases = [_against(row, of, relation, than) for row in rows.dropna(subset=[of]).itertuples()]
    return judge_cases(cases, share, missing)


def _against(row, of: str, relation: str, than: float) -> Case:
    value = getattr(row, of)
    return Case(label(row), value, than, relate(value, relation, than))


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
    cases, missing = [], []
    for one, other in _model_pairs(scores, left, right, models):
        first, second = scores.select(one), scores.select(other)
        missing += missing_in(first, of, one) + missing_in(second, of, other)
        joined = _join(first.dropna(subset=[of]), second.dropna(subset=[of]), matching)
        cases += [_pair(scores, a, b, relation, of, margin, exceptions) for a, b in joined]
    if not cases and not missing:
        missing = ["no two rows match"]
    return judge_cases(cases, share, list(dict.fromkeys(missing)))


def _model_pairs(scores: Scores, left: Mapping, right: Mapping, models) -> list[tuple[dict, dict]]:
    if models is None:
        return [(dict(left), dict(right))]
    chosen = scores.expand(models)
    return [({**left, "model": a}, {**right, "model": b}) for a, b in chosen]


def _join(first: pd.DataFrame, second: pd.DataFrame, matching: Sequence[str]) -> list[tuple]:
    def key(row):
        return tuple(getattr(row, column) for column in matching)

    return [(a, b) for a in first.itertuples() for b in second.itertuples() if key(a) == key(b)]


def _pair(scores: Scores, a, b, relation: str, of: str, margin: float, exceptions) -> Case:
    first, second = getattr(a, of), getattr(b, of)
    true = relate(first, relation, second, margin)
    excepted = any(all(getattr(a, c) in scores.expand(v) for c, v in entry.items()) for entry in exceptions)
    note = " (named as exception)" if excepted else ""
    return Case(f"{label(a)} against {label(b)}{note}", first, second, true != excepted)


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
    rows = scores.select(select)
    missing = missing_in(rows, of, select)
    if right is not None:
        others = scores.select(right)
        missing += missing_in(others, of, right)
        than = others[of].mean()
    if missing:
        return undecided(missing)
    mean = rows[of].mean()
    holds = relate(mean, relation, than, margin)
    return Result(holds, f"mean {mean:.2f} against {than:.2f}", [Case(f"mean {of}", mean, than, holds)])


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

    As many groups are taken as there are expected ones. `match`: ``same`` groups, or ``any`` of them among
    these.
    """
    rows = scores.select(select)
    if missing := missing_in(rows, of, select):
        return undecided(missing)
    groups = rows.groupby(by, sort=False)[of].agg(aggregate).sort_values(ascending=end == "lowest", kind="stable")
    found = list(groups.index[: len(expected)])
    holds = set(found) == set(expected) if match == "same" else bool(set(found) & set(expected))
    cases = [Case(f"{name} ({aggregate} {of})", value, None, _fits(name, found, expected)) for name, value in groups.items()]
    return Result(holds, f"{end}: {', '.join(found)} (stated {', '.join(expected)})", cases)


def _fits(name: str, found: Sequence[str], expected: Sequence[str]) -> bool | None:
    """A group speaks for the statement if found and expected, against it if only one of both."""
    if name not in found and name not in expected:
        return None
    return name in found and name in expected


@predicate
def winner(
    scores: Scores,
    select: Mapping,
    by: Sequence[str],
    expected: Mapping,
    end: str = "lowest",
    of: str = "value",
    share: str | float = "all",
) -> Result:
    """In each group (`by`) the row with the lowest (highest) number is of the expected kind; a tie counts.

    Groups without a row of the expected kind, or with that row alone, have no contest and are left out.
    """
    rows = scores.select(select)
    if missing := missing_in(rows, of, select):
        return undecided(missing)
    (column, kind), cases = next(iter(expected.items())), []
    for name, group in rows.groupby(list(by), sort=False):
        mine, others = group[group[column] == kind], group[group[column] != kind]
        if mine.empty or others.empty:
            continue
        best, rival = (mine[of].min(), others[of].min()) if end == "lowest" else (mine[of].max(), others[of].max())
        holds = relate(best, "at_most" if end == "lowest" else "at_least", rival)
        cases.append(Case(f"{' '.join(name)}: {kind} against the best other", best, rival, holds))
    return judge_cases(cases, share, [] if cases else ["no group has a contest"])


@predicate
def count_in_top(
    scores: Scores,
    select: Mapping,
    row: Sequence[str],
    column: str,
    top: int,
    expected: Sequence[tuple[str, int]],
    of: str = "delta",
    within: int = 0,
) -> Result:
    """How often each column is among a row's `top` lowest numbers; a tie with the last place counts."""
    rows = scores.select(select)
    if missing := missing_in(rows, of, select):
        return undecided(missing)
    places = rows.groupby(list(row))[of].rank(method="min")
    counts = rows[places <= top].groupby(column).size()
    cases = [
        Case(name, int(counts.get(name, 0)), stated, abs(int(counts.get(name, 0)) - stated) <= within)
        for name, stated in expected
    ]
    others = ", ".join(f"{name} {number}" for name, number in counts.items() if name not in dict(expected))
    result = judge_cases(cases, "all", [])
    result.summary = "; ".join(f"{c.what} {c.value} (stated {c.against})" for c in cases) + f"; others: {others}"
    return result


@predicate
def count_groups(
    scores: Scores,
    select: Mapping,
    by: str,
    relation: str,
    than: float,
    expected: int,
    of: str = "delta",
    aggregate: str = "mean",
) -> Result:
    """In how many groups the mean (or min: all rows, max: any row) stands in a relation to a constant."""
    rows = scores.select(select)
    if missing := missing_in(rows, of, select):
        return undecided(missing)
    groups = rows.groupby(by, sort=False)[of].agg(aggregate)
    cases = [Case(f"{name} ({aggregate} {of})", value, than, relate(value, relation, than)) for name, value in groups.items()]
    true = sum(case.holds for case in cases)
    return Result(true == expected, f"{true} of {len(cases)} (stated {expected})", cases)


@predicate
def gap_exceeds(
    scores: Scores,
    a: Mapping,
    b: Mapping,
    left: Mapping,
    right: Mapping,
    models: Sequence | str,
    matching=("suite",),
    share: str | float = "all",
) -> Result:
    """The gap between rows a and b is larger than the gaps of other model pairs (left less right)."""
    mine = difference_is(scores, a, b, "0.00")
    others = pairs(scores, left, right, "above", matching=matching, models=models)
    if missing := [*mine.missing, *others.missing]:
        return undecided(missing)
    gap = round(mine.cases[0].value - mine.cases[0].against, 9)
    cases = []
    for case in others.cases:
        other = round(case.value - case.against, 9)
        cases.append(Case(f"{case.what.replace(' against ', ' less ')}", other, gap, relate(gap, "above", other)))
    result = judge_cases(cases, share, [])
    result.summary = f"{gap:+.2f} is larger than {result.summary}"
    return result


@predicate
def overlap(
    scores: Scores,
    first: Mapping,
    second: Mapping,
    by: str,
    top: int,
    at_most: int,
    of_first: str = "value",
    of_second: str = "delta",
) -> Result:
    """The `top` groups with the lowest mean of one selection and of another share at most so many groups."""
    one, two = scores.select(first), scores.select(second)
    if missing := missing_in(one, of_first, first) + missing_in(two, of_second, second):
        return undecided(missing)
    low = list(one.groupby(by, sort=False)[of_first].mean().nsmallest(top).index)
    means = two.groupby(by, sort=False)[of_second].mean().sort_values(kind="stable")
    worst, both = list(means.index[:top]), set(low) & set(means.index[:top])
    cases = [
        Case(
            f"{name} (mean {of_second})",
            value,
            None,
            False if name in both else True if name in low else None,
        )
        for name, value in means.items()
    ]
    return Result(len(both) <= at_most, f"{', '.join(low)}; largest drops: {', '.join(worst)}", cases)


@predicate
def absent(scores: Scores, select: Mapping) -> Result:
    """The paper has no such scores. Decided on the published numbers alone."""
    rows = scores.select(select)
    if not scores.printed:
        return PAPER_ALONE
    cases = [Case(label(row), row.value, None, False) for row in rows.itertuples()]
    return Result(rows.empty, f"{len(cases)} such scores are printed", cases)


@predicate
def settings(scores: Scores, facts: Sequence[str], equals: object, share: str | float = "all") -> Result:
    """Named facts (settings with a source) have the stated value. Decided on the published facts alone."""
    if not scores.printed:
        return PAPER_ALONE
    unknown = [name for name in facts if name not in scores.facts]
    if unknown:
        raise UserError(f"no fact '{unknown[0]}'", FILE, f"facts are {', '.join(scores.facts)}")
    found = [(name, scores.facts[name]) for name in facts]
    cases = [Case(f"{name} ({fact.source})", fact.value, equals, fact.value == equals) for name, fact in found]
    return judge_cases(cases, share, [])
