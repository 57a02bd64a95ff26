"""A table as plain values: what `tables` builds and `render` writes."""

from dataclasses import dataclass

from edge2giant.paper import numerals
from edge2giant.specs.variant import Variant


@dataclass(frozen=True)
class ScoreText:
    """A number as text with its signed difference from FP16.

    Parameters
    ----------
    delta : str or None
        None for the FP16 row or where there is no FP16 value.
    marks, delta_marks : str
        Footnote signs of the number and of the difference.
    computed : bool
        Whether the paper prints the difference alone.
    lower_is_better : bool
    """

    text: str
    delta: str | None = None
    marks: str = ""
    delta_marks: str = ""
    computed: bool = False
    lower_is_better: bool = False

    @property
    def arrow(self) -> str:
        return numerals.arrow(self.delta)[0] if self.delta else ""

    @property
    def shown(self) -> str:
        """The number with its signs; empty where the paper prints the difference alone."""
        return "" if self.computed else self.text + self.marks

    @property
    def difference(self) -> str:
        """The difference as the paper prints it, in parentheses, with its signs."""
        return f"({self.arrow}){self.delta_marks}" if self.delta else ""

    @property
    def direction(self) -> str:
        """`up` for a gain, `down` for a loss, `same`, or an empty text."""
        found = numerals.arrow(self.delta)[1] if self.delta else ""
        return {"up": "down", "down": "up"}.get(found, found) if self.lower_is_better else found


@dataclass(frozen=True)
class TableEntry:
    """One cell of a table.

    Parameters
    ----------
    state : str
        `ok`, `failed`, `not run`, `not planned` or `incomplete` (an average that lacks a column).
    reason : str
        Why it failed.
    note : int or None
        Number of the note that holds the whole reason.
    published : ScoreText or None
        The printed number beside it.
    """

    state: str
    score: ScoreText | None = None
    stderr: float | None = None
    reason: str = ""
    note: int | None = None
    published: ScoreText | None = None

    @property
    def text(self) -> str:
        """What a reader sees where there is no number."""
        if self.state == "failed":
            reason = self.reason if len(self.reason) <= 40 else self.reason[:39].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
            return f"failed: {reason}"
        return {"ok": "", "not run": "not run"}.get(self.state, "\N{EN DASH}")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Parameters
    ----------
    storage, measured : str
        Nominal size, and that of the checkpoint, in GB; the latter empty for printed scores.
    entries : tuple of TableEntry
        One a column.
    mark : str
        Footnote signs of the whole row.
    cost : str
        What judging the model cost, in its first row (Table 7).
    """

    variant: Variant
    model_label: str
    method_label: str
    bits_label: str
    storage: str
    entries: tuple[TableEntry, ...]
    mark: str = ""
    measured: str = ""
    cost: str = ""

    @property
    def printed(self) -> bool:
        """Whether the paper prints any value of this row."""
        return any(entry.published for entry in self.entries)


@dataclass(frozen=True)
class Heading:
    """Heading of a score column, and the lines below it: shots and metrics."""

    name: str
    label: str
    below: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table ready to be written.

    Parameters
    ----------
    columns : tuple of Heading
        Score columns, the average last.
    groups : tuple of tuple of Row
        The rows of one model together.
    beside : bool
        Whether the printed values stand beside the regenerated ones.
    source : str
        What it was made from.
    span : str
        Heading over all score columns.
    sizes : bool
        Whether there are columns of bits and storage, which the paper's MT-Bench tables lack.
    """

    number: int
    title: str
    columns: tuple[Heading, ...]
    groups: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...]
    beside: bool = False
    source: str = "cell records"
    span: str = ""
    sizes: bool = True

    @property
    def lines(self) -> int:
        """How many lines of shots and metrics stand below the headings."""
        return max(len(column.below) for column in self.columns)

    @property
    def costs(self) -> bool:
        """Whether there is a column of costs."""
        return any(row.cost for row in self.rows)

    @property
    def caption(self) -> str:
        return f"Table {self.number}. {self.title}"

    @property
    def rows(self) -> list[Row]:
        return [row for group in self.groups for row in group]
