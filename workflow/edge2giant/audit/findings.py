"""From rules to findings: what is wrong, where, by how much, and what would settle it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from edge2giant.audit import constraints, grids, printed, storage
from edge2giant.audit.corrections import Book, Correction
from edge2giant.audit.exact import EXACT, OFF, ROUNDING, TRUNCATED, decimals, prints, show
from edge2giant.errors import UserError

ERROR, DOUBTFUL, NOTE = "error", "doubtful", "note"
SEVERITIES = (ERROR, DOUBTFUL, NOTE)
USUAL_DECIMALS = 2


@dataclass(frozen=True)
class Finding:
    """One thing that a reader of the tables should know.

    Attributes
    ----------
    id : str
        Check, row and column; the same in every run.
    check : str
        Kind of rule.
    where : str
        Table, model, scheme and column in words.
    printed, recomputed : str
    correction : str
        The one change that would settle it, or empty.
    alternatives : int
        How many changes of the smallest kind would settle it equally well (1 where `correction` is given).
    severity : str
        ``error``: no rounding explains it. ``doubtful``: an assumption about sets or tools stands behind it.
        ``note``: explained by rounding, or a matter of form.
    comment : str
    """

    id: str
    check: str
    where: str
    printed: str
    recomputed: str
    correction: str = ""
    alternatives: int = 0
    severity: str = ERROR
    comment: str = ""


@dataclass
class Audit:
    """All results of one run.

    Attributes
    ----------
    findings : list of Finding
    outcomes : Counter
        Number of rules by (kind, level).
    evidence : list of Evidence
        Every column against every candidate set.
    ungridded : dict of str to str
        Columns without a grid and why.
    modes : list of dict
        How the on-grid cells of each row were cut to two digits.
    sizes : list of Storage
    """

    findings: list[Finding] = field(default_factory=list)
    outcomes: Counter = field(default_factory=Counter)
    evidence: list[grids.Evidence] = field(default_factory=list)
    ungridded: dict[str, str] = field(default_factory=dict)
    modes: list[dict] = field(default_factory=list)
    sizes: list[storage.Storage] = field(default_factory=list)

    def changes(self) -> set[str]:
        """The different corrections that settle findings."""
        return {finding.correction for finding in self.findings if finding.correction}

    def counts(self) -> dict[str, int]:
        """Number of findings of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}


def place(key: constraints.Key) -> str:
    """Say in words where a printed number stands."""
    row, column, what = key
    table, model, method, bits = row.split("/")
    scheme = method if method == "fp16" else f"{method} {bits}"
    return f"Table {table[1:]}, {model}, {scheme}, {column}{' (difference)' if what == 'delta' else ''}"


def in_words(change: Correction) -> str:
    """Say what a correction changes."""
    return f"{place(change.key)}: {change.before} to {change.after} ({change.step})"


def read_models(config: Path) -> dict[str, dict]:
    """Return ``models.yaml``, or nothing where a config folder holds the published numbers alone."""
    path = config / "models.yaml"
    if not path.is_file():
        return {}
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UserError(f"cannot be read as YAML ({error})", path, "mend the file") from None


def run(config: Path, checkpoints: list[Path]) -> Audit:
    """Audit every printed table.

    Parameters
    ----------
    config : Path
        Folder with ``published/`` and ``models.yaml``.
    checkpoints : list of Path
        Checkpoint or cell records with measured bytes; may be empty.
    """
    audit = Audit()
    scores, mt_bench = printed.read_scores(config), printed.read_mt_bench(config)
    accepted = _columns(audit, scores, grids.read_grids(config))
    _sample_numbers(audit, config, accepted)
    for rules, rows in (
        (constraints.score_constraints(scores, accepted), scores),
        (constraints.mt_bench_constraints(mt_bench), mt_bench),
    ):
        book = Book(rules, constraints.texts_of(rows))
        _rules(audit, book)
        _digits(audit, book.texts)
    audit.modes = [_mode(row, accepted) for row in scores]
    audit.sizes = storage.sizes(scores, read_models(config), storage.read_measured(checkpoints))
    _storage(audit)
    audit.findings.sort(key=lambda finding: (SEVERITIES.index(finding.severity), finding.check, finding.id))
    return audit


def _columns(audit: Audit, rows: list[printed.Row], entries: Mapping[str, dict]) -> dict[str, grids.Grid]:
    """Weigh every column against its candidate sets; return the accepted grid of each."""
    accepted = {}
    for column, entry in entries.items():
        texts = [row.values[column] for row in rows if column in row.values]
        if not texts:
            raise UserError(f"has no printed column {column}", "config/published/grids.yaml", "remove the entry")
        if "none" in entry:
            audit.ungridded[column] = entry["none"]
            continue
        found = [grids.weigh(column, grid, texts) for grid in entry["sets"]]
        audit.evidence += found
        if winner := grids.best(found):
            accepted[column] = winner.grid
        elif all(one.verdict in ("no power", "rejected") for one in found):
            audit.ungridded[column] = _why_open(found)
    return accepted


def _why_open(found: list[grids.Evidence]) -> str:
    open_sets = [one.grid.label for one in found if one.verdict == "no power"]
    rejected = [one.grid.label for one in found if one.verdict == "rejected"]
    text = f"every printable value is possible under: {'; '.join(open_sets)}" if open_sets else "no set fits"
    return f"{text}. Rejected: {'; '.join(rejected)}" if rejected else text


def _sample_numbers(audit: Audit, config: Path, accepted: Mapping[str, grids.Grid]) -> None:
    """Hold the sample numbers stated in Table 3 against the fitting set, or the number in benchmarks.yaml."""
    path = config / "benchmarks.yaml"
    known = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for column, stated in printed.read_stated_sizes(config).items():
        fitting = accepted.get(column)
        real = fitting.questions if fitting else known.get(column, {}).get("documents", stated)
        if real == stated:
            continue
        grounds = f"the printed column fits {fitting.label}" if fitting else "size of the public set"
        audit.findings.append(
            Finding(
                f"samples/T3/{column}",
                "samples",
                f"Table 3, {column}, number of test samples",
                str(stated),
                str(real),
                severity=DOUBTFUL,
                comment=grounds,
            )
        )


def _rules(audit: Audit, book: Book) -> None:
    """Turn every rule that does not hold on the printed digits into a finding."""
    for rule in book.rules:
        outcome = book.now[rule.name]
        audit.outcomes[(rule.kind, outcome.level)] += 1
        if outcome.level == OFF:
            audit.findings.append(_broken(book, rule, outcome))
        elif outcome.level == ROUNDING or (outcome.level == TRUNCATED and rule.kind != "grid"):
            comment = outcome.level if rule.kind != "ratings" else "not a multiple of 0.05"
            where = place(rule.subject)
            note = (rule.name, rule.kind, where, outcome.printed, outcome.recomputed)
            audit.findings.append(Finding(*note, severity=NOTE, comment=comment))


def _broken(book: Book, rule: constraints.Constraint, outcome: constraints.Outcome) -> Finding:
    change, alternatives = book.correction(rule)
    comments = []
    if change and len(change.settles) > 1:
        comments.append(f"the same change settles {len(change.settles)} findings")
    if not change and alternatives > 1:
        some = "; ".join(in_words(found) for found in book.candidates(rule)[:3])
        comments.append(f"{alternatives} changes would settle it, such as {some}")
    if rule.kind == "turns":
        texts = [book.texts[key] for key in rule.keys]
        comments.append(constraints.missing_ratings(*texts) or "no number of missing ratings explains it")
    return Finding(
        rule.name,
        rule.kind,
        place(rule.subject),
        outcome.printed,
        outcome.recomputed,
        in_words(change) if change else "",
        alternatives,
        DOUBTFUL if rule.kind in ("grid", "ratings") and not change else ERROR,
        "; ".join(comments),
    )


def _digits(audit: Audit, texts: constraints.Texts) -> None:
    for key, text in texts.items():
        if decimals(text) != USUAL_DECIMALS:
            row, column, what = key
            audit.outcomes[("digits", OFF)] += 1
            audit.findings.append(
                Finding(
                    f"digits/{row}/{column}/{what}",
                    "digits",
                    place(key),
                    text,
                    f"{USUAL_DECIMALS} decimals",
                    severity=NOTE,
                    comment=f"printed with {decimals(text)} decimal",
                )
            )
        else:
            audit.outcomes[("digits", EXACT)] += 1


def _mode(row: printed.Row, accepted: Mapping[str, grids.Grid]) -> dict:
    """Count how the cells of a row were cut: as only rounding gives, only truncation, or either."""
    counts = Counter()
    for column, grid in accepted.items():
        if column in row.values:
            counts[_cut(grid, row.values[column])] += 1
    kinds = ("only rounded", "only truncated", "either", "off grid")
    return {"table": row.table, "model": row.model, "method": row.method, "bits": row.bits} | {
        kind: counts[kind] for kind in kinds
    }


def _cut(grid: grids.Grid, text: str) -> str:
    how = grid.holds(text)
    if how == OFF:
        return "off grid"
    if how == TRUNCATED:
        return "only truncated"
    source = next(score for _, score in grid.neighbours(text) if prints(score, text) == EXACT)
    return "either" if show(source, USUAL_DECIMALS + 2)[: len(text)] == text else "only rounded"


def _storage(audit: Audit) -> None:
    for size in audit.sizes:
        row = size.row
        bad = size.nominal is not None and size.nominal != size.printed
        audit.outcomes[("storage", OFF if bad else EXACT)] += 1
        where = f"Table {row.table}, {row.model}, {row.method} {row.bits}, storage (GB)"
        if bad:
            formula = f"nominal parameters x {storage.weight_bits(row.bits)} bits / 8"
            audit.findings.append(
                Finding(
                    f"storage/{row.name}",
                    "storage",
                    where,
                    row.storage,
                    f"{float(size.nominal):g}",
                    comment=formula,
                )
            )
        if row.method == "fp16" and storage.off(size.printed, size.parameters):
            text = "the name understates the parameters; holds for all schemes of this model"
            _size_note(audit, f"parameters/{row.name}", where, size, size.parameters, text)
        if storage.off(size.printed, size.measured):
            text = "bytes of the checkpoint that was made, in 10^9"
            _size_note(audit, f"measured/{row.name}", where, size, size.measured, text)


def _size_note(audit: Audit, name: str, where: str, size: storage.Storage, other, comment: str) -> None:
    note = Finding(name, "storage", where, size.row.storage, show(other), severity=NOTE, comment=comment)
    audit.findings.append(note)


def as_dict(finding: Finding) -> dict:
    """Return a finding as a flat record for the CSV."""
    return asdict(finding)
