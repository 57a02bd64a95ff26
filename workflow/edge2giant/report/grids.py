"""What a page shows in a table: columns and cells as plain values, ready for a template that escapes them."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge2giant.paper import numerals

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"
STEPS = (0.25, 1.0, 3.0, 8.0)
MARKS = {
    "agrees": "good",
    "holds": "good",
    "made": "good",
    "differs": "bad",
    "fails": "bad",
    "error": "bad",
    "failed": "bad",
    "lost": "bad",
    "gained": "good",
    "holds in part": "fair",
    "doubtful": "fair",
    "cannot be compared": "soft",
    "cannot be decided": "soft",
    "note": "soft",
    "not run": "soft",
}


@dataclass(frozen=True)
class Value:
    """One cell of a table on a page.

    Parameters
    ----------
    text : str
        What is shown.
    order : float or str or None
        What it is sorted by; None: the text.
    mark : str
        Class that colours it.
    href : str
        Where it leads, relative to the page.
    sub : str
        Second, smaller line.
    delta, subdelta : str
        Differences beside the two lines, in a column `score`.
    hidden : str
        What a link adds for readers who do not see its place.
    """

    text: str
    order: float | str | None = None
    mark: str = ""
    href: str = ""
    sub: str = ""
    delta: str = ""
    subdelta: str = ""
    hidden: str = ""


@dataclass(frozen=True)
class Column:
    """Heading of a column; `kind` is `text`, `long`, `number`, `count`, `score` (number with
    difference), `choice` (filtered by a list of its values) or `link`."""

    name: str
    kind: str = "text"
    hint: str = ""


@dataclass
class Grid:
    """A table that sorts and filters."""

    name: str
    caption: str
    columns: list[Column]
    rows: list[list[Value]] = field(default_factory=list)
    notes: Sequence[str] = ()
    page: int = 25


def number(value: object, digits: int = 2, signed: bool = False, **rest: str) -> Value:
    """A number to so many digits; None, NaN and an empty text become a dash that sorts last."""
    try:
        known = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        known = math.nan
    if math.isnan(known):
        return Value(NONE, "", mark="soft")
    text = f"{known:+,.{digits}f}" if signed else f"{known:,.{digits}f}"
    return Value(text.replace("-", MINUS), known, **rest)


def significant(value: object, digits: int = 3) -> Value:
    """A number to so many significant digits (p values)."""
    shown = number(value)
    return (
        shown if shown.order == "" else Value(f"{shown.order:.{digits}g}".replace("e-0", "e-").replace("-", MINUS), shown.order)
    )


def size(value: float | None) -> Value:
    """Bytes in 10^9, to four significant digits."""
    known = number(None if value is None else value / 1e9)
    return known if known.order == "" else Value(numerals.gigabytes(value / 1e9), known.order)


def marked(text: str) -> Value:
    """A verdict or state with its colour."""
    return Value(text, mark=f"mark {MARKS.get(text, '')}".strip())


def text(value: object) -> Value:
    """A text; a dash where there is none."""
    return Value(str(value)) if value not in (None, "") else Value(NONE, "", mark="soft")


def heat(difference: float | None, scale: float = 1.0) -> str:
    """Class of a difference in points: `up-1`..`up-4`, `down-1`..`down-4` or `same`.

    Parameters
    ----------
    difference : float or None
    scale : float
        Points that one unit is worth: 10 for ratings, whose scale has ten steps.
    """
    if difference is None or math.isnan(difference):
        return ""
    step = sum(abs(difference) * scale >= limit for limit in STEPS)
    return "same" if step == 0 else f"{'up' if difference > 0 else 'down'}-{step}"


def of_records(name: str, caption: str, records: Iterable[dict], columns: dict[str, Column]) -> Grid:
    """A grid of CSV records: the requested columns that exist, each by its kind.

    Parameters
    ----------
    name, caption : str
    records : iterable of dict
        Texts by column name.
    columns : dict
        Column name to heading, in the order to show.
    """
    records = list(records)
    present = [key for key in columns if any(key in record for record in records)]
    rows = [[_value(record.get(key), columns[key]) for key in present] for record in records]
    return Grid(name, caption, [columns[key] for key in present], rows)


def _value(raw: object, column: Column) -> Value:
    if column.kind == "count":
        return number(raw, 0)
    if column.kind == "number":
        return (
            significant(raw)
            if column.name.startswith("p")
            else number(raw, signed=column.name.startswith(("difference", "low", "high")))
        )
    if column.kind == "choice" and str(raw) in MARKS:
        return marked(str(raw))
    return text(raw)


def slug(value: str) -> str:
    """A text as an `id` can have it."""
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
