"""The spec of the audit of the printed tables."""

from edge2giant.config import Config
from edge2giant.config.grids import Candidates
from edge2giant.specs.audit import AuditedColumn, AuditSpec, BenchmarkFacts, ModelSize, QuestionSetSpec


def spec(plan, wildcards) -> AuditSpec:
    return audit_spec(plan.config)


def audit_spec(config: Config) -> AuditSpec:
    return AuditSpec(
        models={name: ModelSize(str(entry.nominal_billions), entry.facts.parameters) for name, entry in config.models.items()},
        questions={name: entry.documents for name, entry in config.benchmarks.items()},
        columns=tuple(_column(name, entry) for name, entry in config.grids.items()),
        facts={name: BenchmarkFacts(fact.tasks, fact.scale, fact.source) for name, fact in config.facts.benchmarks.items()},
    )


def _column(benchmark: str, entry: Candidates) -> AuditedColumn:
    sets = tuple(
        QuestionSetSpec(name, found.label, tuple((questions, str(chance)) for questions, chance in found.parts))
        for name, found in (entry.sets or {}).items()
    )
    return AuditedColumn(benchmark, sets, entry.none or "")
