"""From rules to findings: what is wrong, where, by how much, and which change would correct it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, astuple
from pathlib import Path

from edge2giant import published
from edge2giant.audit import constraints, plausibility, printed, question_sets, stated, storage
from edge2giant.audit.corrections import Rulebook
from edge2giant.audit.exact import EXACT, OFF, ROUNDING, TRUNCATED, decimals, prints, show
from edge2giant.audit.question_sets import QuestionSet
from edge2giant.audit.results import DOUBTFUL, ERROR, NOTE, SEVERITIES, Audit, Finding, in_words, mark, place
from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.published import MISPRINT
from edge2giant.specs.audit import AuditedColumn, AuditSpec

USUAL_DECIMALS = 2


def run(spec: AuditSpec, folder: Path, cells: list[Path]) -> Audit:
    """Audit every printed table of `folder` (`config/published`); the cells of a study say how large its checkpoints are."""
    audit = Audit()
    scores, mt_bench = printed.rows_of(published.scores(folder)), printed.rows_of(published.mt_bench(folder))
    accepted = accepted_sets(audit, scores, spec.columns)
    audit.findings += stated.table3(spec, published.stated(folder), accepted)
    for rules, rows in (
        (constraints.score_constraints(scores, accepted), scores),
        (constraints.mt_bench_constraints(mt_bench), mt_bench),
    ):
        book = Rulebook(rules, constraints.texts_of(rows))
        _rules(audit, book)
        _digits(audit, book.texts)
    audit.findings += plausibility.findings(scores, column_parts(spec, accepted))
    stated.toolkits(audit, published.mt_bench(folder))
    audit.modes = [_mode(row, accepted) for row in scores]
    audit.sizes = storage.sizes(scores, spec.models, frames.read_cells(cells))
    for size in audit.sizes:
        stated.size(audit, size)
    audit.findings.sort(key=lambda finding: (SEVERITIES.index(finding.severity), finding.check, finding.id))
    audit.marks = sorted(set(audit.marks), key=astuple)
    return audit


def accepted_sets(audit: Audit, rows: list[printed.PrintedRow], columns: tuple[AuditedColumn, ...]) -> dict[str, QuestionSet]:
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


def column_parts(spec: AuditSpec, accepted: Mapping[str, QuestionSet]) -> dict[str, published.Parts]:
    """Questions and chance levels behind each column: of the set that fits, the first candidate, or the public number."""
    first = {column.benchmark: QuestionSet.of(column.sets[0]) for column in spec.columns if column.sets}
    sets = {name: [(number, float(chance)) for number, chance in one.parts] for name, one in {**first, **accepted}.items()}
    return {name: tuple(sets.get(name, [(questions, 0.0)])) for name, questions in spec.questions.items()}


def _rules(audit: Audit, book: Rulebook) -> None:
    """Turn every rule that does not hold on the printed digits into a finding."""
    for rule in book.rules:
        outcome = book.now[rule.name]
        audit.outcomes[rule.kind, outcome.level] += 1
        if outcome.level == OFF:
            audit.findings.append(_broken(audit, book, rule, outcome))
        elif outcome.level == ROUNDING or (outcome.level == TRUNCATED and rule.kind != "grid"):
            comment = outcome.level
            if rule.kind == "ratings":
                comment = "not a multiple of 0.05"
                audit.marks.append(mark(rule.subject, rule.kind, book.texts[rule.subject]))
            note = (rule.name, rule.kind, place(rule.subject), outcome.printed, outcome.recomputed)
            audit.findings.append(Finding(*note, severity=NOTE, comment=comment))


def _broken(audit: Audit, book: Rulebook, rule: constraints.Constraint, outcome: constraints.RuleOutcome) -> Finding:
    changes = book.corrections(rule)
    change = changes[0] if len(changes) == 1 else None
    audit.marks.append(mark(rule.subject, rule.kind, book.texts[rule.subject]))
    if change:
        audit.marks.append(mark(change.key, MISPRINT, change.before, change.after))
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
