"""From rules to findings: what is wrong, where, by how much, and which change would correct it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge2giant import published
from edge2giant.audit import constraints, printed, question_sets, storage
from edge2giant.audit.corrections import Correction, Rulebook
from edge2giant.audit.exact import EXACT, OFF, ROUNDING, TRUNCATED, decimals, prints, show
from edge2giant.audit.question_sets import QuestionSet
from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.specs.audit import AuditedColumn, AuditSpec
from edge2giant.specs.study import FP16

ERROR, DOUBTFUL, NOTE = "error", "doubtful", "note"
SEVERITIES = (ERROR, DOUBTFUL, NOTE)
USUAL_DECIMALS = 2


@dataclass(frozen=True)
class Finding:
    """One thing that a reader of the tables should know.

    Parameters
    ----------
    id : str
        Check, row and column; the same in every run.
    correction : str
        The one change that would correct it, or empty.
    alternatives : int
        How many changes of the smallest kind would correct it equally well (1 where `correction` is given).
    severity : str
        ``error``: no rounding explains it. ``doubtful``: it rests on an assumption about sets or tools.
        ``note``: explained by rounding, or a matter of form.
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

    Parameters
    ----------
    outcomes : Counter
        Number of rules by (kind, level).
    evidence : list of Evidence
        Every column against every candidate set.
    untestable : dict of str to str
        Columns that no set can be identified by, and why.
    modes : list of dict
        How the on-grid cells of each row were cut to two digits.
    """

    findings: list[Finding] = field(default_factory=list)
    outcomes: Counter = field(default_factory=Counter)
    evidence: list[question_sets.Evidence] = field(default_factory=list)
    untestable: dict[str, str] = field(default_factory=dict)
    modes: list[dict] = field(default_factory=list)
    sizes: list[storage.PrintedSize] = field(default_factory=list)

    def changes(self) -> set[str]:
        """The different corrections of the findings."""
        return {finding.correction for finding in self.findings if finding.correction}

    def counts(self) -> dict[str, int]:
        """Number of findings of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}


def place(key: printed.Key) -> str:
    """Say in words where a printed number stands."""
    row, column, what = key
    table, model, method, bits = row.split("/")
    shown = method if method == FP16[0] else f"{method} {bits}"
    return f"Table {table[1:]}, {model}, {shown}, {column}{' (difference)' if what == 'delta' else ''}"


def in_words(change: Correction) -> str:
    """Say what a correction changes."""
    return f"{place(change.key)}: {change.before} to {change.after} ({change.step})"


def run(spec: AuditSpec, folder: Path, cells: list[Path]) -> Audit:
    """Audit every printed table of `folder` (`config/published`); the cells of a study say how large its checkpoints are."""
    audit = Audit()
    scores, mt_bench = printed.rows_of(published.scores(folder)), printed.rows_of(published.mt_bench(folder))
    accepted = _columns(audit, scores, spec.columns)
    audit.findings += _sample_numbers(spec, published.stated_questions(folder), accepted)
    for rules, rows in (
        (constraints.score_constraints(scores, accepted), scores),
        (constraints.mt_bench_constraints(mt_bench), mt_bench),
    ):
        book = Rulebook(rules, constraints.texts_of(rows))
        _rules(audit, book)
        _digits(audit, book.texts)
    audit.modes = [_mode(row, accepted) for row in scores]
    audit.sizes = storage.sizes(scores, spec.models, frames.read_cells(cells))
    for size in audit.sizes:
        audit.outcomes["storage", EXACT if size.nominal in (None, size.printed) else OFF] += 1
        audit.findings += _storage(size)
    audit.findings.sort(key=lambda finding: (SEVERITIES.index(finding.severity), finding.check, finding.id))
    return audit


def _columns(audit: Audit, rows: list[printed.PrintedRow], columns: tuple[AuditedColumn, ...]) -> dict[str, QuestionSet]:
    """Compare every column with its candidate sets; return the accepted set of each."""
    accepted = {}
    for column in columns:
        name = column.benchmark
        texts = [row.values[name] for row in rows if name in row.values]
        if not texts:
            raise UserError(f"has no printed column {name}", "config/published/grids.yaml", "remove the entry")
        if column.untestable:
            audit.untestable[name] = column.untestable
            continue
        found = [question_sets.weigh(name, QuestionSet.of(candidate), texts) for candidate in column.sets]
        audit.evidence += found
        if winner := question_sets.best(found):
            accepted[name] = winner.candidate
        elif all(one.verdict in ("no power", "rejected") for one in found):
            audit.untestable[name] = _why_untestable(found)
    return accepted


def _why_untestable(found: list[question_sets.Evidence]) -> str:
    open_sets = [one.candidate.label for one in found if one.verdict == "no power"]
    rejected = [one.candidate.label for one in found if one.verdict == "rejected"]
    text = f"every printable value is possible under: {'; '.join(open_sets)}" if open_sets else "no set fits"
    return f"{text}. Rejected: {'; '.join(rejected)}" if rejected else text


def _sample_numbers(spec: AuditSpec, stated: Mapping[str, int], accepted: Mapping[str, QuestionSet]) -> Iterator[Finding]:
    """Compare the sample numbers that Table 3 states with the fitting set, or else with the public one."""
    for column, number in stated.items():
        fitting = accepted.get(column)
        real = fitting.questions if fitting else spec.questions.get(column, number)
        if real != number:
            grounds = f"the printed column fits {fitting.label}" if fitting else "size of the public set"
            where, sizes = f"Table 3, {column}, number of test samples", (str(number), str(real))
            yield Finding(f"samples/T3/{column}", "samples", where, *sizes, severity=DOUBTFUL, comment=grounds)


def _rules(audit: Audit, book: Rulebook) -> None:
    """Turn every rule that does not hold on the printed digits into a finding."""
    for rule in book.rules:
        outcome = book.now[rule.name]
        audit.outcomes[rule.kind, outcome.level] += 1
        if outcome.level == OFF:
            audit.findings.append(_broken(book, rule, outcome))
        elif outcome.level == ROUNDING or (outcome.level == TRUNCATED and rule.kind != "grid"):
            comment = outcome.level if rule.kind != "ratings" else "not a multiple of 0.05"
            note = (rule.name, rule.kind, place(rule.subject), outcome.printed, outcome.recomputed)
            audit.findings.append(Finding(*note, severity=NOTE, comment=comment))


def _broken(book: Rulebook, rule: constraints.Constraint, outcome: constraints.RuleOutcome) -> Finding:
    changes = book.corrections(rule)
    change = changes[0] if len(changes) == 1 else None
    comments = []
    if change and len(change.resolves) > 1:
        comments.append(f"the same change corrects {len(change.resolves)} findings")
    if len(changes) > 1:
        some = "; ".join(in_words(found) for found in changes[:3])
        comments.append(f"{len(changes)} changes would correct it, such as {some}")
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
        len(changes),
        DOUBTFUL if rule.kind in ("grid", "ratings") and not change else ERROR,
        "; ".join(comments),
    )


def _digits(audit: Audit, texts: constraints.Texts) -> None:
    for key, text in texts.items():
        usual = decimals(text) == USUAL_DECIMALS
        audit.outcomes["digits", EXACT if usual else OFF] += 1
        if not usual:
            note = ("/".join(("digits", *key)), "digits", place(key), text, f"{USUAL_DECIMALS} decimals")
            audit.findings.append(Finding(*note, severity=NOTE, comment=f"printed with {decimals(text)} decimal"))


def _mode(row: printed.PrintedRow, accepted: Mapping[str, QuestionSet]) -> dict:
    """Count how the cells of a row were cut: as only rounding gives, only truncation, or either."""
    counts = Counter(_cut(found, row.values[column]) for column, found in accepted.items() if column in row.values)
    kinds = ("only rounded", "only truncated", "either", "off grid")
    return {"table": row.table} | asdict(row.variant) | {kind: counts[kind] for kind in kinds}


def _cut(candidate: QuestionSet, text: str) -> str:
    how = candidate.holds(text)
    if how == OFF:
        return "off grid"
    if how == TRUNCATED:
        return "only truncated"
    source = next(score for _, score in candidate.neighbours(text) if prints(score, text) == EXACT)
    return "either" if show(source, USUAL_DECIMALS + 2)[: len(text)] == text else "only rounded"


def _storage(size: storage.PrintedSize) -> Iterator[Finding]:
    row, variant = size.row, size.row.variant
    shown = ("storage", f"Table {row.table}, {variant.model}, {variant.method} {variant.bits}, storage (GB)", row.storage)
    if size.nominal not in (None, size.printed):
        formula = f"nominal parameters x {variant.widths[0]} bits / 8"
        yield Finding(f"storage/{row.name}", *shown, f"{float(size.nominal):g}", comment=formula)
    if variant.method == FP16[0] and storage.off(size.printed, size.parameters):
        comment = "the name understates the parameters; holds for all rows of this model"
        yield Finding(f"parameters/{row.name}", *shown, show(size.parameters), severity=NOTE, comment=comment)
    if storage.off(size.printed, size.measured):
        comment = "bytes of the checkpoint that was made, in 10^9"
        yield Finding(f"measured/{row.name}", *shown, show(size.measured), severity=NOTE, comment=comment)
