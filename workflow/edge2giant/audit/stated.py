"""What the paper states beside its scores: Table 3, the toolkits that Table 7 marks, and storage."""

from collections.abc import Iterable, Iterator, Mapping

from edge2giant.audit import storage
from edge2giant.audit.exact import EXACT, OFF, show
from edge2giant.audit.question_sets import QuestionSet
from edge2giant.audit.results import DOUBTFUL, NOTE, Audit, Finding, mark
from edge2giant.published import TURNS_TABLE, PrintedNumber, StatedBenchmark
from edge2giant.specs.audit import AuditSpec
from edge2giant.specs.study import FP16

UNMARKED = ("", "unmarked")


def table3(spec: AuditSpec, rows: Iterable[StatedBenchmark], accepted: Mapping[str, QuestionSet]) -> Iterator[Finding]:
    """Compare what Table 3 states with the fitting set, or else the public one: samples, tasks, and the scale of ratings."""
    for row in rows:
        fitting, facts = accepted.get(row.benchmark), spec.facts.get(row.benchmark)
        samples = fitting.questions if fitting else spec.questions.get(row.benchmark, row.questions)
        grounds = f"the printed column fits {fitting.label}" if fitting else "size of the public set"
        checks = [("samples", "number of test samples", str(row.questions), str(samples), grounds)]
        if facts:
            checks.append(("tasks", "number of tasks", str(row.tasks), str(facts.tasks), facts.source))
            checks.append(("scale", "scale of ratings", row.scale, facts.scale, facts.source))
        for check, what, printed, right, comment in checks:
            if printed != right:
                where = f"Table 3, {row.benchmark}, {what}"
                yield Finding(f"{check}/T3/{row.benchmark}", check, where, printed, right, severity=DOUBTFUL, comment=comment)


def toolkits(audit: Audit, numbers: Iterable[PrintedNumber]) -> None:
    """Compare the toolkit that Table 7 marks on a model's GPTQ row with the 4-bit GPTQ rows of the tables of scores."""
    marked = {one.variant: one.toolkit_marked for one in numbers if one.toolkit_marked not in UNMARKED}
    for variant, toolkit in marked.items():
        row, has = f"T{TURNS_TABLE}/{variant.path}", variant.method.partition("-")[2]
        audit.outcomes["toolkit", EXACT if toolkit == has else OFF] += 1
        if toolkit != has:
            where = f"Table {TURNS_TABLE}, {variant.model}, mark of GPTQ"
            comment = "no table of scores has a row of this model by the toolkit that is marked"
            audit.findings.append(Finding(f"toolkit/{row}", "toolkit", where, toolkit, has, severity=DOUBTFUL, comment=comment))
            audit.marks.append(mark((row, "method", "value"), "toolkit", toolkit))


def size(audit: Audit, size: storage.PrintedSize) -> None:
    """Compare a printed size with the nominal one, that of the real parameters, and that of a checkpoint."""
    row, variant = size.row, size.row.variant
    audit.outcomes["storage", EXACT if size.nominal in (None, size.printed) else OFF] += 1
    shown = ("storage", f"Table {row.table}, {variant.model}, {variant.method} {variant.bits}, storage (GB)", row.storage)
    if size.nominal not in (None, size.printed):
        formula, nominal = f"nominal parameters x {variant.widths[0]} bits / 8", f"{float(size.nominal):g}"
        audit.findings.append(Finding(f"storage/{row.name}", *shown, nominal, comment=formula))
        audit.marks.append(mark((row.name, "storage", "value"), "storage", row.storage, nominal))
    if variant.method == FP16[0] and storage.off(size.printed, size.parameters):
        comment = "the name understates the parameters; holds for all rows of this model"
        audit.findings.append(Finding(f"parameters/{row.name}", *shown, show(size.parameters), severity=NOTE, comment=comment))
    if storage.off(size.printed, size.measured):
        comment = "bytes of the checkpoint that was made, in 10^9"
        audit.findings.append(Finding(f"measured/{row.name}", *shown, show(size.measured), severity=NOTE, comment=comment))
