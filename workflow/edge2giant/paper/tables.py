"""Build tables as plain values; `render` turns them into files.

Takes a study's spec, score frames (`frames`) and failure records; writes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from edge2giant import published as printed_numbers
from edge2giant.paper import frames, marks, numerals
from edge2giant.paper.values import Heading, Row, ScoreText, Table, TableEntry
from edge2giant.records.cell import CellRecord
from edge2giant.records.failure import Failure
from edge2giant.records.units import UNITS
from edge2giant.specs.study import AVERAGE, FP16, Labels, Measure, StudySpec, StudyVariant, TableLayout
from edge2giant.specs.variant import Variant

COMPUTED = "\N{DOUBLE DAGGER}"
ALL = "*"

Places = dict[tuple[Variant, str], dict]
"""Rows of a frame by variant and column."""


def published(spec: StudySpec, number: int, folder: Path, audited: Path | None = None) -> Table:
    """A table as the paper prints it, by the spec of the paper's study and the numbers in `config/published`.

    `audited` is what the audit says of these numbers, by default `marks.csv` beside them.
    """
    layout = spec.table(number)
    frame = frames.keep(_printed(layout, folder), table=number)
    shown = frame.drop_duplicates(frames.VARIANT).itertuples()
    variants = tuple(StudyVariant(Variant(row.model, row.method, row.bits), row.storage_gb, ()) for row in shown)
    columns = tuple(column for column in layout.columns if column in set(frame["benchmark"]))
    faults = marks.by_place(mark for mark in printed_numbers.marks(folder, audited) if mark.table == number)
    builder = _Builder(layout, spec, "As printed in arXiv 2409.11055v6.", columns, variants, by_place(frame), faults=faults)
    if layout.parts_of:
        builder.rated = {one.variant: one for one in printed_numbers.mt_bench(folder) if one.table == number}
    return builder.table()


def regenerated(spec: StudySpec, number: int, cells: list[CellRecord], folder: Path, failures: Mapping | None = None) -> Table:
    """A table from cell records: a row for each variant that the study shows in it.

    In a study that regenerates the paper, the printed values stand beside them.

    Parameters
    ----------
    folder : path
        `config/published`.
    failures : mapping, optional
        See `failure_reasons`.
    """
    layout = spec.table(number)
    printed = _printed(layout, folder)
    if not spec.paper:
        printed = printed[:0]
    elif not layout.printed:
        printed = printed[printed["benchmark"] != AVERAGE]
    return _Builder(
        layout,
        spec,
        f"Regenerated (study {spec.study})." if spec.paper else f"Study {spec.study}.",
        layout.columns,
        tuple(spec.by_variant[variant] for variant in layout.variants),
        by_place(frames.keep(_regenerated(spec, layout, cells), suite=layout.suite)),
        by_place(printed),
        failures or {},
        marks.by_place(mark for mark in printed_numbers.marks(folder) if mark.table in set(printed["table"])),
    ).table()


def _regenerated(spec: StudySpec, layout: TableLayout, cells: list[CellRecord]) -> pd.DataFrame:
    """Numbers of a table's cells: of a judged benchmark its parts, of others scores, averages and the parts that have columns."""
    if layout.parts_of:
        return frames.ratings_of(cells)
    scores = frames.with_average(frames.scores_of(cells), spec.averaged)
    parts = frames.parts_of(cells, layout.measures)
    return pd.concat([scores, parts], ignore_index=True) if len(parts) else scores


def _printed(layout: TableLayout, folder: Path) -> pd.DataFrame:
    """Printed values of a table's suite; of parts, those of this table, since each prints an average of its own."""
    if layout.parts_of:
        return frames.keep(frames.published_ratings(folder), suite=layout.suite, table=layout.number)
    return frames.keep(frames.published_scores(folder), suite=layout.suite)


def by_place(frame: pd.DataFrame) -> Places:
    """Rows that have a value."""
    rows = frame[frame["value"].notna()].to_dict("records")
    return {(Variant(row["model"], row["method"], row["bits"]), row["benchmark"]): row for row in rows}


def failure_reasons(failures: Iterable[Failure]) -> dict[tuple[Variant, str], str]:
    """Index failures by cell; one without a benchmark stands for its whole variant."""
    return {
        (failure.variant, failure.benchmark or ALL): " ".join(f"{failure.phase}: {failure.reason}".split())
        for failure in failures
    }


@dataclass
class _Builder:
    """Fills the entries of one table, and collects what its notes must explain.

    Parameters
    ----------
    source : str
        Ends the caption.
    columns : tuple of str
    variants : tuple of StudyVariant
        Rows to show.
    beside : Places or None
        Printed values to show beside, none of them for a study of one's own; None for the table as printed.
    failures : mapping
        (variant, benchmark or `*`) to the reason.
    faults : Marks
        What the audit says of the printed values.
    rated : mapping
        A number of each row of an MT-Bench table as printed, for its toolkit and cost.
    """

    layout: TableLayout
    spec: StudySpec
    source: str
    columns: tuple[str, ...]
    variants: tuple[StudyVariant, ...]
    scores: Places
    beside: Places | None = None
    failures: Mapping[tuple[Variant, str], str] = field(default_factory=dict)
    faults: marks.Marks = field(default_factory=dict)
    rated: Mapping[Variant, printed_numbers.PrintedNumber] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    marked: list[printed_numbers.PrintedMark] = field(default_factory=list)

    @property
    def labels(self) -> Labels:
        return self.spec.labels

    def table(self) -> Table:
        rows = [self._row(entry) for entry in self.variants]
        models = dict.fromkeys(row.variant.model for row in rows)
        groups = tuple(tuple(row for row in rows if row.variant.model == model) for model in models)
        columns = tuple(self._heading(name) for name in self.columns)
        title = f"{self.layout.title}. {self.source}"
        span = next(suite.label for suite in self.spec.suites if suite.name == self.layout.suite)
        span += " (mean rating, 1 to 10)" if self.layout.parts_of else ""
        beside, sizes = self.beside is not None and self.spec.paper, not self.rated
        made = "cell records, with the numbers that the paper prints" if beside else "cell records"
        source = "the printed numbers in config/published" if self.beside is None else made
        return Table(self.layout.number, title, columns, groups, self._notes(rows, columns), beside, source, span, sizes)

    def _heading(self, name: str) -> Heading:
        """A column's heading with shots and metrics, as the study runs its benchmark."""
        if self.layout.parts_of or name == AVERAGE:
            return Heading(name, self.labels.part(name) if self.layout.parts_of else self.labels.benchmark(name))
        if name in self.layout.measures:
            return Heading(name, self.layout.measures[name].label)
        benchmark = self.spec.benchmarks[name]
        below = (f"{benchmark.num_fewshot}-shot", ", ".join(benchmark.metrics)) if benchmark.metrics else ()
        return Heading(name, self.labels.benchmark(name), below)

    def _row(self, shown: StudyVariant) -> Row:
        variant, labels = shown.variant, self.labels
        first = next(other.variant for other in self.variants if other.variant.model == variant.model) == variant
        return Row(
            variant,
            labels.model(variant.model),
            self._method(variant),
            labels.bits(variant.bits, shown.effective_bits),
            numerals.gigabytes(shown.storage_gb) + ("" if self.beside is not None else self._signs(variant, "storage")),
            tuple(self._entry(shown, column) for column in self.columns),
            self._computed(variant) + self._signs(variant, "method"),
            "" if self.beside is None else self._measured(variant),
            self.rated[variant].cost_usd if variant in self.rated and first else "",
        )

    def _method(self, variant: Variant) -> str:
        """Label of a row's method; in an MT-Bench table as printed, with the toolkit that it marks, or with none."""
        marked = self.rated[variant].toolkit_marked if variant in self.rated else ""
        if not marked:
            return self.labels.method(variant.method)
        family = variant.method.partition("-")[0]
        return (
            self.labels.method(f"{family}-{marked}") if marked != "unmarked" else self.labels.method(variant.method).rstrip("*")
        )

    def _entry(self, shown: StudyVariant, column: str) -> TableEntry:
        key = (shown.variant, column)
        beside = self._score(self.beside or {}, key)
        score = self._score(self.scores, key)
        if score is None:
            return self._missing(shown, column, beside)
        found = self.scores[key]
        error = None if pd.isna(found["stderr"]) else float(found["stderr"])
        return TableEntry("ok", score, error, published=beside)

    def _score(self, scores: dict, key: tuple[Variant, str]) -> ScoreText | None:
        found = scores.get(key)
        if found is None:
            return None
        if found["printed"] is not None:
            faults = (self._signs(*key, what) for what in ("value", "delta"))
            return ScoreText(found["printed"], found["printed_delta"], *faults, computed=self._alone(found))
        measure = self._measure(key[1])
        digits = UNITS[measure.unit].digits
        text, base = numerals.fixed(found["value"], digits), self._baseline(scores, key)
        if base is None or key[0].method == FP16[0]:
            return ScoreText(text)
        delta = numerals.difference(text, numerals.fixed(base["value"], digits))
        return ScoreText(text, delta, lower_is_better=measure.lower_is_better)

    def _measure(self, column: str) -> Measure:
        """What a column's numbers are; parts of a judged benchmark and averages are counted upwards."""
        benchmark = self.spec.benchmarks.get(column)
        return self.layout.measures.get(column) or (benchmark.measure if benchmark else Measure())

    @staticmethod
    def _baseline(scores: dict, key: tuple[Variant, str]) -> dict | None:
        return scores.get((Variant(key[0].model, *FP16), key[1]))

    def _signs(self, variant: Variant, column: str, what: str = "value") -> str:
        """Signs of what the audit says of a printed number, which its notes explain."""
        found = self.faults.get((variant, column, what), ())
        self.marked += found
        return marks.signs(found)

    def _alone(self, found: dict) -> bool:
        """Whether a table as printed shows the difference alone (Table 6)."""
        return self.beside is None and found["value_source"] == frames.COMPUTED

    def _computed(self, variant: Variant) -> str:
        """Sign of a row whose scores the paper leaves to the reader to compute (Table 6)."""
        found = [self.scores.get((variant, column), {}) for column in self.columns]
        return COMPUTED if any(row.get("value_source") == frames.COMPUTED for row in found) else ""

    def _missing(self, shown: StudyVariant, column: str, beside: ScoreText | None) -> TableEntry:
        benchmark = self.layout.parts_of or column.partition("/")[0]
        if benchmark == AVERAGE:
            return TableEntry("incomplete", published=beside)
        if benchmark not in shown.benchmarks:
            return TableEntry("not planned", published=beside)
        places = ((shown.variant, name) for name in (benchmark, self.layout.suite, ALL))
        reason = next((self.failures[place] for place in places if place in self.failures), None)
        if reason is None:
            return TableEntry("not run", published=beside)
        if reason not in self.reasons:
            self.reasons.append(reason)
        return TableEntry("failed", reason=reason, note=self.reasons.index(reason) + 1, published=beside)

    def _measured(self, variant: Variant) -> str:
        """Size of the checkpoint that the scores come from."""
        size = next((row["storage_gb"] for (one, _), row in self.scores.items() if one == variant), None)
        return numerals.gigabytes(size)

    def _notes(self, rows: list[Row], columns: tuple[Heading, ...]) -> tuple[str, ...]:
        entries = [entry for row in rows for entry in row.entries]
        states = {entry.state for entry in entries}
        unit = "rating points" if self.layout.parts_of else "the column's unit" if self.layout.measures else "points"
        reversed_ = any(self._measure(column.name).lower_is_better for column in columns)
        arrows = any(entry.score and entry.score.arrow for entry in entries)
        computed = "The paper prints only the differences of this row; the CSV file has FP16 plus difference."
        sizes, beside = not self.rated, self.beside is not None
        notes = {
            f"Arrows: difference from the FP16 row of the same model, in {unit}.": arrows,
            "A rise is a loss where lower is better: perplexity, divergence.": arrows and reversed_,
            "Below the headings: examples in the prompt, and the metrics; several are averaged.": any(
                column.below for column in columns
            ),
            "W/A: bits of weights/activations.": sizes,
            "W with a decimal: bits of a weight on average over layers of different schemes.": any(
                entry.effective_bits for entry in self.variants
            ),
            "Storage: nominal, parameters times weight bits.": sizes and beside,
            self._toolkits(rows): any("*" in row.method_label for row in rows),
            f"{COMPUTED} {computed}": any(COMPUTED in row.mark for row in rows),
            "Second line of a cell: what the paper prints; a cell without one is not in the paper.": any(
                entry.variant == variant for variant, _ in self.beside or () for entry in self.variants
            ),
            "An average stands only where all of its columns do.": bool(states & {"failed", "not run", "incomplete"}),
            "\N{EN DASH}: not part of this study.": "not planned" in states,
        }
        changed = {
            f"{self.labels.method_bits(entry.variant.method, entry.variant.bits)}: custom recipe ({entry.changed})."
            for entry in self.variants
            if entry.changed and self.beside is not None
        }
        failed = (f"[{number}] failed: {reason}" for number, reason in enumerate(self.reasons, 1))
        heading = {column.name: column.label for column in columns}
        return (
            *(note for note, stands in notes.items() if stands),
            *self._limited(),
            *self.layout.notes,
            *marks.notes(self.marked, self.labels, heading),
            *sorted(changed),
            *failed,
        )

    def _limited(self) -> list[str]:
        """What to say where the study asks a part of a benchmark alone."""
        names = dict.fromkeys(column.partition("/")[0] for column in self.columns if column != AVERAGE)
        said = "" if self.layout.parts_of or self.beside is None else self.spec.limited(names)
        return [said] if said else []

    def _toolkits(self, rows: list[Row]) -> str:
        toolkits = {self.labels.method(method): toolkit for method, toolkit in self.labels.toolkits.items()}
        marked = {row.method_label: toolkits.get(row.method_label, "") for row in rows if "*" in row.method_label}
        return "Toolkits: " + "; ".join(f"{label}: {marked[label]}" for label in sorted(marked, key=len)) + "."
