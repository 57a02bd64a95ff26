"""What a page shows: sections with tables, whose columns say how a value is shown; templates escape all of it."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"
LONGEST = 600
STEPS = (0.25, 1.0, 3.0, 8.0)
MARKS = {
    **dict.fromkeys(("agrees", "holds", "made", "gained", "for", "fits"), "good"),
    **dict.fromkeys(("differs", "fails", "error", "failed", "lost", "against"), "bad"),
    **dict.fromkeys(("holds in part", "doubtful", "weak support"), "fair"),
    **dict.fromkeys(("cannot be compared", "cannot be decided", "no power", "rejected"), "soft"),
    **dict.fromkeys(("note", "not run", "missing", "same"), "soft"),
}


@dataclass(frozen=True)
class Value:
    """One cell of a table, or one number on top of a page.

    Parameters
    ----------
    order : float or str or None
        What a number is sorted by; an empty text sorts last.
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
    """Heading of a column and how its values are shown.

    Parameters
    ----------
    kind : str
        `text`, `long` (cut after 600 characters), `choice` (filtered by a list of its values), `link`; numbers: `number`,
        `count`, `signed`, `p` (three significant digits) or `score` (number with difference).
    hint : str
        Explanation of the heading.
    digits : int or None
        Decimals of a number; None: as it is written.
    """

    name: str
    kind: str = "text"
    hint: str = ""
    digits: int | None = 2

    @property
    def numeric(self) -> bool:
        return self.kind in ("number", "count", "signed", "p", "score")

    def shown(self, raw: object) -> Value:
        """A value as this column shows it."""
        if isinstance(raw, Value):
            return raw
        if self.kind == "p":
            return significant(raw)
        if self.numeric:
            return number(raw, 0 if self.kind == "count" else self.digits, self.kind == "signed")
        if self.kind == "long" and isinstance(raw, str) and len(raw) > LONGEST:
            raw = f"{raw[:LONGEST]} \N{HORIZONTAL ELLIPSIS} ({len(raw) - LONGEST:,} more characters)"
        return text(raw, f"mark {MARKS[raw]}" if self.kind == "choice" and raw in MARKS else "")


@dataclass
class Grid:
    """A table that sorts and filters.

    Parameters
    ----------
    rows : list of list
        Values, or what the columns make values of.
    page : int
        Rows to show at once.
    folded : bool or None
        Whether it starts folded; None: it cannot be folded.
    """

    name: str
    caption: str
    columns: list[Column]
    rows: list[list] = field(default_factory=list)
    notes: Sequence[str] = ()
    page: int = 25
    folded: bool | None = None


@dataclass
class Section:
    """A heading with what stands below it.

    Parameters
    ----------
    name : str
        Its `id`.
    points : list of str
        A list below the text.
    nav : str
        What leads to it in the navigation; empty: nothing does.
    notice : str
        Shown before the tables.
    empty : str
        What it says when no table has a row.
    """

    name: str
    title: str
    text: str = ""
    grids: list[Grid] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    nav: str = ""
    counts: list[tuple[str, int]] = field(default_factory=list)
    notice: str = ""
    empty: str = ""


def number(value: object, digits: int | None = 2, signed: bool = False, **rest: str) -> Value:
    """A number to so many digits, or as it is written; None, NaN and an empty text become a dash that sorts last."""
    try:
        known = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        known = math.nan
    if math.isnan(known):
        return Value(NONE, "", mark="soft")
    shown = str(value) if digits is None else f"{known:+,.{digits}f}" if signed else f"{known:,.{digits}f}"
    return Value(shown.replace("-", MINUS), known, **rest)


def significant(value: object, digits: int = 3) -> Value:
    """A number to so many significant digits (p values)."""
    known = number(value)
    if known.order == "":
        return known
    return Value(f"{known.order:.{digits}g}".replace("e-0", "e-").replace("-", MINUS), known.order)


def text(value: object, mark: str = "") -> Value:
    """A text; a dash where there is none."""
    return Value(str(value), mark=mark) if value not in (None, "") else Value(NONE, mark="soft")


def count(value: int, word: str) -> Value:
    """A number on top of a page, in the colour of its word unless it is zero."""
    return Value(f"{value:,}", mark=MARKS.get(word, "") if value else "soft")


def counts(words: Iterable[str]) -> list[tuple[str, int]]:
    """How often each word occurs, good news first."""
    rank = {word: place for place, word in enumerate(MARKS)}
    return sorted(Counter(words).items(), key=lambda item: rank.get(item[0], len(rank)))


def heat(difference: float | None, scale: float = 1.0) -> str:
    """Class of a difference: `up-1`..`up-4`, `down-1`..`down-4` or `same`; `scale` is the points that its unit is worth."""
    if difference is None or math.isnan(difference):
        return ""
    step = sum(abs(difference) * scale >= limit for limit in STEPS)
    return "same" if step == 0 else f"{'up' if difference > 0 else 'down'}-{step}"


def of_records(name: str, caption: str, records: Iterable[dict], columns: dict[str, Column], **rest) -> Grid:
    """A grid of records: those of the requested columns that are not empty."""
    records = list(records)
    present = [key for key in columns if any(record.get(key) not in (None, "") for record in records)]
    rows = [[record.get(key) for key in present] for record in records]
    return Grid(name, caption, [columns[key] for key in present], rows, **rest)
