"""Build Tables 1, 2, 4, 5, 6 and 7 as plain values; `render` turns them into files.

Reads score frames (`frames`), row lists and failure records; writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from edge2giant.mt_bench import CATEGORIES
from edge2giant.paper import frames, labels, numerals

RATINGS_PER_CATEGORY = 20
OPTIONAL = ("scores_are", "storage_measured_gb")
COMPUTED, OFF_GRID, WRONG_DELTA = "\N{DOUBLE DAGGER}", "\N{DAGGER}", "\N{SECTION SIGN}"
MEANING = {OFF_GRID: "off grid", WRONG_DELTA: "difference does not add up"}


@dataclass(frozen=True)
class Spec:
    """What one numbered table of the paper shows.

    Parameters
    ----------
    number : int
        Number in the paper.
    title : str
        What the caption begins with.
    suite : str
        Suite of its columns.
    sister : int or None
        Table that prints the same columns for the other models.
    """

    number: int
    title: str
    suite: str
    sister: int | None = None

    @property
    def is_mt_bench(self) -> bool:
        """Whether the columns are MT-Bench categories or turns."""
        return self.suite == "mt_bench"


SPECS = {
    spec.number: spec
    for spec in (
        Spec(1, "Open LLM Leaderboard v1", "leaderboard_v1", sister=4),
        Spec(2, "Open LLM Leaderboard v2", "leaderboard_v2", sister=5),
        Spec(4, "Open LLM Leaderboard v1, further models", "leaderboard_v1", sister=1),
        Spec(5, "Open LLM Leaderboard v2, further models", "leaderboard_v2", sister=2),
        Spec(6, "MT-Bench by category", "mt_bench"),
        Spec(7, "MT-Bench by turn", "mt_bench"),
    )
}


@dataclass(frozen=True)
class Score:
    """A printed number with its difference from FP16.

    Parameters
    ----------
    text : str
        The number.
    delta : str or None
        Signed difference, None for the FP16 row or where there is no FP16 value.
    """

    text: str
    delta: str | None = None

    @property
    def arrow(self) -> str:
        """Arrow and size of the difference, or an empty text."""
        return numerals.arrow(self.delta)[0] if self.delta else ""

    @property
    def direction(self) -> str:
        """`up`, `down`, `same`, or an empty text."""
        return numerals.arrow(self.delta)[1] if self.delta else ""


@dataclass(frozen=True)
class Entry:
    """One cell of a table.

    Parameters
    ----------
    state : str
        `ok`, `failed`, `not run`, `not planned` or `incomplete` (an average that lacks a column).
    score : Score or None
        The number, when `ok`.
    stderr : float or None
        Its standard error, when known.
    reason : str
        Why it failed.
    note : int or None
        Number of the note that holds the whole reason.
    marks : str
        Footnote signs.
    published : Score or None
        The printed number beside it.
    """

    state: str
    score: Score | None = None
    stderr: float | None = None
    reason: str = ""
    note: int | None = None
    marks: str = ""
    published: Score | None = None

    @property
    def text(self) -> str:
        """What a reader sees where there is no number."""
        if self.state == "failed":
            reason = self.reason if len(self.reason) <= 40 else self.reason[:39].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
            return f"failed: {reason}"
        return {"ok": "", "not run": "not run"}.get(self.state, "\N{EN DASH}")


@dataclass(frozen=True)
class Row:
    """One line of a table: a model under one scheme.

    Parameters
    ----------
    model, method, bits : str
        Slugs.
    model_label, method_label, bits_label, storage : str
        What is shown of them.
    entries : tuple of Entry
        One a column.
    mark : str
        Footnote sign of the whole row.
    measured : str
        Size of the checkpoint in GB, empty for printed scores.
    """

    model: str
    model_label: str
    method: str
    method_label: str
    bits: str
    bits_label: str
    storage: str
    entries: tuple[Entry, ...]
    mark: str = ""
    measured: str = ""

    @property
    def printed(self) -> bool:
        """Whether the paper prints any value of this row."""
        return any(entry.published for entry in self.entries)


@dataclass(frozen=True)
class Table:
    """A table ready to be written.

    Parameters
    ----------
    number : int
        Number in the paper.
    title : str
        Its title and where the numbers come from.
    columns : tuple of (slug, heading)
        Score columns, the average last.
    groups : tuple of tuple of Row
        The rows of one model together.
    notes : tuple of str
        Footnotes.
    beside : bool
        Whether the printed values stand beside the regenerated ones.
    """

    number: int
    title: str
    columns: tuple[tuple[str, str], ...]
    groups: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...]
    beside: bool = False

    @property
    def caption(self) -> str:
        """Number and title."""
        return f"Table {self.number}. {self.title}"

    @property
    def rows(self) -> list[Row]:
        """All rows in order."""
        return [row for group in self.groups for row in group]


Key = tuple[str, str, str, str]


@dataclass
class Source:
    """Everything that fills a table.

    Parameters
    ----------
    title : str
        Ends the caption.
    frame : DataFrame
        Rows with model, method, bits, column, value, stderr, printed, printed_delta.
    rows : list of dict
        Rows to show: model, method, bits, and label, storage_gb, benchmarks where known.
    failures : dict
        (model, method, bits, column or `*`) to the reason.
    beside : DataFrame or None
        Printed values to show beside, in the form of `frame`.
    """

    title: str
    frame: pd.DataFrame
    rows: list[dict]
    failures: dict[Key, str] = field(default_factory=dict)
    beside: pd.DataFrame | None = None

    @property
    def is_regenerated(self) -> bool:
        """Whether the scores come from cells."""
        return not (self.frame["source"] == "published").any()


def columns(spec: Spec, config_dir: str, names: labels.Labels) -> tuple[tuple[str, str], ...]:
    """Slug and heading of each score column, in the printed order."""
    if spec.is_mt_bench:
        printed = frames.keep(frames.published_mt_bench(config_dir), table=spec.number)["category"]
        return tuple((slug, labels.category(slug)) for slug in dict.fromkeys(printed))
    printed = frames.keep(frames.published_scores(config_dir), table=spec.number)["benchmark"]
    return tuple((slug, names.benchmark(slug)) for slug in dict.fromkeys(printed))


def members(config_dir: str) -> dict[str, list[str]]:
    """Suite to the benchmarks that its printed average takes in."""
    printed = frames.published_scores(config_dir)
    printed = printed[printed["benchmark"] != "average"]
    return {suite: list(dict.fromkeys(group["benchmark"])) for suite, group in printed.groupby("suite", sort=False)}


def published_frame(spec: Spec, config_dir: str, tables: Iterable[int] | None = None) -> pd.DataFrame:
    """Printed values of a table (or of all tables given) with the column name in `column`."""
    if spec.is_mt_bench:
        frame = frames.keep(frames.published_mt_bench(config_dir), table=spec.number)
        return frame.rename(columns={"category": "column"})
    frame = frames.published_scores(config_dir).rename(columns={"benchmark": "column"})
    return frame[frame["table"].isin(list(tables or [spec.number]))]


def cells_frame(spec: Spec, cells: Sequence[dict], config_dir: str) -> pd.DataFrame:
    """Regenerated values of a table, with averages where all columns exist."""
    if spec.is_mt_bench:
        frame = frames.mt_bench_of(cells)
        return frames.keep(frame, table=spec.number).rename(columns={"category": "column"})
    scores = frames.keep(frames.scores_of(cells), suite=spec.suite)
    scores = frames.with_average(scores, {spec.suite: members(config_dir)[spec.suite]})
    return scores.rename(columns={"benchmark": "column"})


def rows_of(frame: pd.DataFrame) -> list[dict]:
    """Row list of a frame: its schemes in the order in which they stand."""
    unique = frame.drop_duplicates(frames.ROW)
    return unique[[*frames.ROW, "storage_gb"]].to_dict("records")


def choose_rows(spec: Spec, rows: list[dict], config_dir: str) -> list[dict]:
    """Leave out the models that the paper prints in the sister table, and rows without this suite.

    A model that the paper does not know stays in the main table (1 or 2).
    """
    if spec.is_mt_bench:
        return [row for row in rows if "mt_bench" in row.get("benchmarks", ["mt_bench"])]
    printed = frames.published_scores(config_dir)
    sister = set(frames.keep(printed, table=spec.sister)["model"])
    own = set(frames.keep(printed, table=spec.number)["model"])
    main = spec.number < spec.sister
    return [row for row in rows if row["model"] in own or (main and row["model"] not in sister)]


def failure_reasons(failures: Iterable[Mapping]) -> dict[Key, str]:
    """Index failure records (schema `failure`) by cell; one without a benchmark stands for its whole row."""
    return {
        (f["model"], f["method"], f["bits"], f["benchmark"] or "*"): " ".join(f"{f['phase']}: {f['reason']}".split())
        for f in failures
    }


class _Builder:
    """Fills the entries of one table; holds the look-ups that every cell needs."""

    def __init__(self, spec: Spec, source: Source, heads: tuple[tuple[str, str], ...]):
        self.spec, self.source, self.heads = spec, source, heads
        self.scores = self._scores(source.frame)
        self.beside = {} if source.beside is None else self._scores(source.beside)
        self.notes: list[str] = []
        self.marks: set[str] = set()

    def _scores(self, frame: pd.DataFrame) -> dict[Key, dict]:
        chosen = frame[frame["value"].notna()].to_dict("records")
        return {(row["model"], row["method"], row["bits"], row["column"]): row for row in chosen}

    def _score(self, scores: dict[Key, dict], key: Key) -> Score | None:
        record = scores.get(key)
        if record is None:
            return None
        if record["printed"] is not None:
            return Score(record["printed"], record["printed_delta"])
        text = numerals.fixed(record["value"])
        baseline = scores.get((key[0], "fp16", "w16a16", key[3]))
        if baseline is None or key[1] == "fp16":
            return Score(text)
        return Score(text, numerals.difference(text, numerals.fixed(baseline["value"])))

    def _mark(self, record: dict) -> str:
        """Signs of a printed score that cannot be, or whose printed difference does not add up."""
        if record["printed"] is None:
            return ""
        rated = record["column"] in CATEGORIES
        odd = rated and numerals.off_grid(record["printed"], RATINGS_PER_CATEGORY)
        marks = (OFF_GRID if odd else "") + ("" if self._adds_up(record) else WRONG_DELTA)
        self.marks.update(marks)
        return marks

    def _adds_up(self, record: dict) -> bool:
        """Whether the printed difference is the printed score minus the printed FP16 score."""
        fp16 = self.scores.get((record["model"], "fp16", "w16a16", record["column"]))
        if record["printed_delta"] is None or fp16 is None:
            return True
        exact = numerals.difference(record["printed"], fp16["printed"])
        return numerals.equal(exact, record["printed_delta"])

    def row_mark(self, row: dict) -> str:
        """Sign of a row whose scores the paper leaves to the reader to compute (Table 6)."""
        key = (row["model"], row["method"], row["bits"])
        found = [self.scores.get((*key, slug)) for slug, _ in self.heads]
        mark = COMPUTED if any(record and record.get("value_source") == "computed" for record in found) else ""
        self.marks.update(mark)
        return mark

    def _failure(self, key: Key) -> str | None:
        model, method, width, column = key
        suite = [column] if not self.spec.is_mt_bench else ["mt_bench"]
        for name in (*suite, self.spec.suite, "*"):
            if reason := self.source.failures.get((model, method, width, name)):
                return reason
        return None

    def _note(self, reason: str) -> int:
        if reason not in self.notes:
            self.notes.append(reason)
        return self.notes.index(reason) + 1

    def _missing(self, key: Key, row: dict) -> Entry:
        column, published = key[3], self._score(self.beside, key)
        if column == "average" and not self.spec.is_mt_bench:
            return Entry("incomplete", published=published)
        planned = row.get("benchmarks")
        benchmark = "mt_bench" if self.spec.is_mt_bench else column
        if planned is not None and benchmark not in planned:
            return Entry("not planned", published=published)
        if reason := self._failure(key):
            return Entry("failed", reason=reason, note=self._note(reason), published=published)
        return Entry("not run", published=published)

    def entry(self, row: dict, column: str) -> Entry:
        """Fill one cell."""
        key = (row["model"], row["method"], row["bits"], column)
        score = self._score(self.scores, key)
        if score is None:
            return self._missing(key, row)
        record = self.scores[key]
        error = None if pd.isna(record["stderr"]) else float(record["stderr"])
        return Entry("ok", score, error, marks=self._mark(record), published=self._score(self.beside, key))

    def storage(self, row: dict) -> str:
        """Size to show: the nominal one of the row list, else the measured one."""
        size = row.get("storage_gb")
        return self.measured(row) if size is None else numerals.gigabytes(float(size))

    def measured(self, row: dict) -> str:
        """Size of the checkpoint that the scores come from."""
        key = (row["model"], row["method"], row["bits"])
        size = next((record["storage_gb"] for place, record in self.scores.items() if place[:3] == key), None)
        return numerals.gigabytes(None if size is None else float(size))


def _groups(rows: list[Row]) -> tuple[tuple[Row, ...], ...]:
    """Rows by model, each model once, in the order of its first row."""
    order = dict.fromkeys(row.model for row in rows)
    return tuple(tuple(row for row in rows if row.model == model) for model in order)


def _storage_note(source: Source) -> str:
    nominal = any(row.get("storage_gb") is not None for row in source.rows)
    how = "nominal, parameters times weight bits" if nominal else "measured, size of the checkpoint's weights"
    return f"Storage: {how}."


def _toolkit_note(rows: list[Row], names: labels.Labels) -> list[str]:
    marked = {row.method_label: names.toolkit(row.method) or row.method for row in rows if "*" in row.method_label}
    pairs = [f"{label}: {toolkit}" for label, toolkit in sorted(marked.items(), key=lambda item: len(item[0]))]
    return ["Toolkits: " + "; ".join(pairs) + "."] if pairs else []


def _notes(builder: _Builder, rows: list[Row], names: labels.Labels) -> tuple[str, ...]:
    states = {entry.state for row in rows for entry in row.entries}
    unit = "rating points" if builder.spec.is_mt_bench else "points"
    arrows = any(entry.score and entry.score.arrow for row in rows for entry in row.entries)
    notes = [f"Arrows: difference from the FP16 row of the same model, in {unit}."] if arrows else []
    notes += ["W/A: bits of weights/activations."]
    notes += [_storage_note(builder.source)]
    notes += _toolkit_note(rows, names)
    if COMPUTED in builder.marks:
        notes.append(f"{COMPUTED} The paper prints only the differences of this row; scores are FP16 plus difference.")
    if OFF_GRID in builder.marks:
        grid = f"the mean of {RATINGS_PER_CATEGORY} whole ratings"
        notes.append(f"{OFF_GRID} Cannot be {grid}: a half point, or a rating dropped.")
    if WRONG_DELTA in builder.marks:
        notes.append(f"{WRONG_DELTA} As printed, but not the printed score minus the printed FP16 score.")
    if builder.source.beside is not None:
        notes.append("Second line of a cell: what the paper prints; a cell without one is not in the paper.")
    if states & {"failed", "not run", "incomplete"}:
        notes.append("An average stands only where all of its columns do.")
    if "not planned" in states:
        notes.append("\N{EN DASH}: not part of this study.")
    return (*notes, *(f"[{number}] failed: {reason}" for number, reason in enumerate(builder.notes, 1)))


def build(spec: Spec, source: Source, heads: tuple[tuple[str, str], ...], names: labels.Labels) -> Table:
    """Lay out one table.

    Parameters
    ----------
    spec : Spec
        Which table.
    source : Source
        Scores, rows, failures and printed values.
    heads : tuple of (slug, heading)
        See `columns`.
    names : Labels
        Names of models and methods.

    Returns
    -------
    Table
        One row for each row of the source, whether or not it has scores.
    """
    builder = _Builder(spec, source, heads)
    rows = [
        Row(
            row["model"],
            str(row.get("label") or names.model(row["model"])),
            row["method"],
            names.method(row["method"]),
            row["bits"],
            labels.bits(row["bits"]),
            builder.storage(row),
            tuple(builder.entry(row, slug) for slug, _ in heads),
            builder.row_mark(row),
            builder.measured(row) if source.is_regenerated else "",
        )
        for row in source.rows
    ]
    groups = _groups(rows)
    notes = _notes(builder, rows, names)
    return Table(spec.number, f"{spec.title}. {source.title}", heads, groups, notes, source.beside is not None)


def tidy(table: Table) -> pd.DataFrame:
    """One line per row, numbers as printed; what is not a number says so in the column's `_state`."""
    lines = []
    for row in table.rows:
        line = {
            "model": row.model_label,
            "method": row.method_label,
            "w/a": row.bits_label,
            "storage_gb": row.storage,
        }
        line |= {"storage_measured_gb": row.measured, "scores_are": "computed" if row.mark else ""}
        for (slug, _), entry in zip(table.columns, row.entries, strict=True):
            line |= _tidy_entry(slug.replace(" ", "_"), entry, table.beside)
        lines.append(line)
    known = pd.DataFrame(lines)
    optional = [name for name in known.columns if name.endswith("_stderr") or name in OPTIONAL]
    unknown = [name for name in optional if not known[name].any()]
    return known.drop(columns=unknown)


def _tidy_entry(slug: str, entry: Entry, beside: bool) -> dict[str, str]:
    score = entry.score or Score("")
    state = f"failed: {entry.reason}" if entry.state == "failed" else entry.state
    state = "; ".join(MEANING[mark] for mark in entry.marks) or state
    line = {slug: score.text, f"{slug}_difference": score.delta or ""}
    line |= {f"{slug}_stderr": "" if entry.stderr is None else f"{entry.stderr:.4g}"}
    line |= {f"{slug}_state": state}
    if beside:
        published = entry.published or Score("")
        line |= {f"{slug}_published": published.text, f"{slug}_published_difference": published.delta or ""}
    return line
