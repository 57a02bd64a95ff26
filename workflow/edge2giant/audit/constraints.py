"""The rules that printed numbers must follow: averages, differences, turns, possible scores.

Every rule is a `Constraint`: the printed numbers that it reads and a function that recomputes one of them from
the others. `corrections` evaluates the same rules on changed numbers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from edge2giant.audit.exact import EXACT, OFF, ROUNDING, agreement, decimals, number, show, unit
from edge2giant.audit.printed import Key, PrintedRow, baseline
from edge2giant.audit.question_sets import QuestionSet
from edge2giant.published import CATEGORIES_TABLE, TURNS_TABLE
from edge2giant.specs.study import AVERAGE

Texts = Mapping[Key, str]

RATING = (Fraction(1), Fraction(10))
ANSWERS_PER_TURN = 80
#: Where a category mean can come from, and the steps per point that it then has; the most ordinary first.
RATING_SOURCES = (
    ("20 whole ratings", 20),
    ("20 ratings, one with a half point", 40),
    ("19 whole ratings", 19),
    ("18 whole ratings", 18),
    ("20 ratings, one with a tenth of a point", 200),
    ("17 whole ratings", 17),
    ("16 whole ratings", 16),
)


@dataclass(frozen=True)
class RuleOutcome:
    """The printed text, the recomputed one, and how well they agree (one of `exact.ORDER`)."""

    printed: str
    recomputed: str
    level: str


@dataclass(frozen=True)
class Constraint:
    """A rule that recomputes one printed number, its subject, from those of its keys.

    Kinds are ``average``, ``difference``, ``grid``, ``turns``, ``tables`` and ``ratings``.
    """

    kind: str
    subject: Key
    keys: tuple[Key, ...]
    check: Callable[[Texts], RuleOutcome]

    @property
    def name(self) -> str:
        """Identity of the rule, stable between runs."""
        row, column, _ = self.subject
        return f"{self.kind}/{row}/{column}".replace(" ", "-")


def texts_of(rows: list[PrintedRow]) -> dict[Key, str]:
    """Every printed number by its key."""
    return {
        row.key(column, what): text
        for row in rows
        for what, numbers in (("value", row.values), ("delta", row.deltas))
        for column, text in numbers.items()
    }


def _sum(kind: str, subject: Key, weights: Mapping[Key, Fraction | int], unprinted=Fraction(1, 2), signed=False) -> Constraint:
    """The subject is the weighted sum of other numbers, each known to `unprinted` steps of its last digit."""

    def check(texts: Texts) -> RuleOutcome:
        true = sum(weight * number(texts[key]) for key, weight in weights.items())
        slack = unprinted * sum(abs(weight) * unit(texts[key]) for key, weight in weights.items())
        places = max(decimals(texts[key]) for key in weights)
        return RuleOutcome(texts[subject], show(true, places, signed), agreement(true, texts[subject], slack))

    return Constraint(kind, subject, (*weights, subject), check)


def mean(kind: str, row: PrintedRow, columns: Iterable[str], what: str = "value") -> Constraint:
    """The printed average is the mean of the printed numbers (values, or differences) of these columns."""
    members = [row.key(column, what) for column in columns if column != AVERAGE]
    weights = dict.fromkeys(members, Fraction(1, len(members)))
    return _sum(kind, row.key(AVERAGE, what), weights, signed=what == "delta")


def difference(row: PrintedRow, base: PrintedRow, column: str) -> Constraint:
    """The printed difference is the value less the FP16 value of the same model and table."""
    return _sum("difference", row.key(column, "delta"), {row.key(column): 1, base.key(column): -1}, signed=True)


def on_grid(row: PrintedRow, column: str, candidate: QuestionSet) -> Constraint:
    """The printed score is one that the benchmark's questions can give."""
    key = row.key(column)

    def check(texts: Texts) -> RuleOutcome:
        text = texts[key]
        nearest = sorted(candidate.neighbours(text), key=lambda pair: abs(pair[1] - number(text)))[:2]
        options = " or ".join(f"{show(score)} ({k} of {candidate.questions})" for k, score in sorted(nearest))
        return RuleOutcome(text, options, candidate.holds(text))

    return Constraint("grid", key, (key,), check)


def tables_agree(row: PrintedRow, categories: PrintedRow, base: PrintedRow) -> Constraint:
    """Tables 6 and 7 print the same MT-Bench average; Table 6 gives it as FP16 plus a difference."""
    if categories is base:
        return _sum("tables", row.key(AVERAGE), {base.key(AVERAGE): 1}, unprinted=Fraction(0))
    return _sum("tables", row.key(AVERAGE), {base.key(AVERAGE): 1, categories.key(AVERAGE, "delta"): 1})


def ratings(row: PrintedRow, base: PrintedRow, column: str) -> Constraint:
    """A category's score is the mean of 20 whole ratings from 1 to 10, so a multiple of 0.05.

    Other sources are named where they explain the digits: half-point ratings, or a rating not read.
    """
    delta, reference = row.key(column, "delta"), base.key(column)
    members = (reference,) if row is base else (reference, delta)

    def check(texts: Texts) -> RuleOutcome:
        total = sum(number(texts[key]) for key in members)
        slack = sum(unit(texts[key]) / 2 for key in members)
        shown = texts[reference] if row is base else f"{texts[reference]} {texts[delta]} = {show(total)}"
        source = rating_source(total, slack)
        level = OFF if source is None else EXACT if source == RATING_SOURCES[0][0] else ROUNDING
        return RuleOutcome(shown, source or "no ratings", level)

    return Constraint("ratings", members[-1], members, check)


def rating_source(total: Fraction, slack: Fraction) -> str | None:
    """Name the most ordinary set of ratings whose mean prints as `total`; None if there is none.

    `slack` is the rounding of the printed numbers that the mean was put together from.
    """
    low, high = RATING
    if not low - slack <= total <= high + slack:
        return None
    for label, steps in RATING_SOURCES:
        if abs(total - Fraction(round(total * steps), steps)) <= slack:
            return label
    return None


def missing_ratings(first: str, second: str, average_text: str) -> str | None:
    """Say how many of the 80 ratings of one turn must be missing for the average to come out as printed."""
    one, two, every = number(first), number(second), ANSWERS_PER_TURN
    for missing in range(1, every):
        for turn, fewer, others in ((1, one, two), (2, two, one)):
            mean_of_all = ((every - missing) * fewer + every * others) / (2 * every - missing)
            if agreement(mean_of_all, average_text, unit(first) / 2) != OFF:
                return f"it would take {missing} of {every} ratings missing in turn {turn}"
    return None


def score_constraints(rows: list[PrintedRow], accepted: Mapping[str, QuestionSet]) -> list[Constraint]:
    """All rules of Tables 1, 2, 4 and 5; `accepted` holds the question set that fits each column."""
    rules = []
    for row in rows:
        base = baseline(rows, row)
        rules.append(mean("average", row, row.values))
        rules += [difference(row, base, column) for column in row.deltas]
        rules += [on_grid(row, column, accepted[column]) for column in row.values if column in accepted]
    return rules


def mt_bench_constraints(rows: list[PrintedRow]) -> list[Constraint]:
    """All rules of Tables 6 and 7."""
    by_table = {(row.table, row.variant): row for row in rows}
    rules = []
    for row in rows:
        if row.table == TURNS_TABLE:
            categories = by_table[CATEGORIES_TABLE, row.variant]
            rules += [mean("turns", row, row.values), tables_agree(row, categories, baseline(rows, categories))]
            continue
        base = baseline(rows, row)
        rules.append(mean("average", row, row.values) if row is base else mean("average", row, row.deltas, "delta"))
        rules += [ratings(row, base, column) for column in base.values if column != AVERAGE]
    return rules
