"""Specs of what is made from a study's cells: tables, figures, comparison, trade-offs, claims, report, exports."""

from collections.abc import Collection
from functools import cache
from pathlib import Path

from edge2giant.config import Config
from edge2giant.config.benchmarks import Benchmark, Suite, SuiteTable
from edge2giant.config.checks import PRINTED
from edge2giant.config.claims import ClaimPart
from edge2giant.config.studies import Study
from edge2giant.errors import unknown
from edge2giant.plan import quantize
from edge2giant.records.units import UNBOUNDED
from edge2giant.specs.claims import ClaimSpec, ClaimsSpec, FactSpec, PartSpec, ReadingSpec
from edge2giant.specs.study import AVERAGE, Labels, Measure, StudyBenchmark, StudySpec, StudyVariant, SuiteColumns, TableLayout

PAPER = "paper"


def spec(plan, wildcards) -> StudySpec:
    """The spec of the study in the path, or of the study that named targets mean."""
    return _built(plan, getattr(wildcards, "study", plan.run.study))


def shown(plan, wildcards) -> StudySpec:
    """The spec of the study in the path, or of the paper's study where the path has `published` in its place."""
    return _built(plan, PAPER if wildcards.study == PRINTED else wildcards.study)


def category(name: str):
    """The heading in Snakemake's report for what a study shows; the printed numbers have one of their own."""
    return lambda wildcards: "3 As printed" if wildcards.study == PRINTED else name


def unless_printed(function):
    """The same input, and none for the printed numbers, which come from no cells."""
    return lambda plan, wildcards: [] if wildcards.study == PRINTED else function(plan, wildcards)


def marks(plan, wildcards) -> str:
    """What the audit says of the printed numbers: as it is made for the tables as printed, else the copy in `config/`."""
    return "<figures>/published/audit_marks.csv" if wildcards.study == PRINTED else "config/published/marks.csv"


def cells_option(plan, wildcards) -> str:
    """The option of a study's cells; without it a command shows the printed numbers."""
    return "" if wildcards.study == PRINTED else "--cells"


def claims(plan, wildcards) -> ClaimsSpec:
    return claims_spec(plan.config)


def cells(plan, wildcards) -> list[str]:
    return paths_of_cells(plan.config.study(wildcards.study))


def judged_cells(plan, wildcards) -> list[str]:
    study = plan.config.study(wildcards.study)
    return paths_of_cells(study, {study.judged_benchmark})


def cells_of_table(plan, wildcards) -> list[str]:
    """Cells of a table's suite, of the variants that it shows."""
    layout = spec(plan, wildcards).table(int(wildcards.number))
    benchmarks = {name for name, entry in plan.config.benchmarks.items() if entry.suite == layout.suite}
    return paths_of_cells(plan.config.study(wildcards.study), benchmarks, set(layout.variants))


def cells_of_fidelity(plan, wildcards) -> list[str]:
    """Cells whose scores are in units without an upper bound: perplexity and divergence.

    Raises
    ------
    UserError
        If the study has none.
    """
    study = plan.config.study(wildcards.study)
    names = {name for name, entry in plan.config.benchmarks.items() if entry.unit in UNBOUNDED}
    if not names & set(study.benchmarks):
        raise unknown("perplexity or divergence", "fidelity", names, f"{study.file}, benchmarks")
    return paths_of_cells(study, names)


def tables(plan, numbers: Collection[int] | None = None) -> list[str]:
    """The study's tables in their four forms, or those of some numbers; a number that it has no row for makes none."""
    study = plan.study
    found = [number for number in filled_tables(plan.config, study) if numbers is None or number in numbers]
    return [f"<figures>/{study.name}/table{number}.{form}" for number in found for form in ("csv", "tex", "html", "md")]


def filled_tables(config: Config, study: Study) -> list[int]:
    """Numbers of the tables that a study names, by default of all, which show any of its variants."""
    filled = [table.number for table in study_spec(config, study.name).tables if table.variants]
    return filled if study.tables is None else [number for number in study.tables if number in filled]


def printed_tables(plan) -> list[int]:
    """Numbers of the tables that the paper prints."""
    return sorted(table.number for suite in plan.config.suites.values() if suite.printed for table in suite.tables)


def figure2(study: Study, *ways: str) -> list[str]:
    """Figure 2 in its three forms, also drawn in other ways, of a study with ratings."""
    forms = ("pdf", "png", "svg") if study.drawn_models else ()
    return [f"<figures>/{study.name}/figure2{way}.{form}" for way in ways or ("",) for form in forms]


def fidelity(plan) -> list[str]:
    """The figure of perplexity and divergence, of a study that has either."""
    study = plan.study
    unbounded = any(plan.config.benchmarks[name].unit in UNBOUNDED for name in study.benchmarks)
    return [f"<figures>/{study.name}/fidelity.{form}" for form in ("svg", "png", "csv") if unbounded]


def analyses(plan, study: Study) -> dict[str, str]:
    """What is made of a study's cells for its report: with the paper beside them where the study regenerates it."""
    folder = f"<figures>/{study.name}"
    printed = {"comparison": f"{folder}/comparison.csv", "claims": f"{folder}/claims.csv"}
    return {"statistics": f"{folder}/statistics.csv"} | (printed if study.paper else {})


def analysis(plan) -> list[str]:
    """All analyses of the study, and its views where it has averages."""
    study, folder = plan.study, f"<figures>/{plan.study.name}"
    averages = any(suite.average for suite in study_spec(plan.config, study.name).suites)
    return [
        *analyses(plan, study).values(),
        f"{folder}/differences.svg",
        *([f"{folder}/claims.html"] if study.paper else []),
        *([f"{folder}/tradeoffs"] if averages else []),
        *figure2(study, "_all", "_intervals"),
    ]


def report_input(plan, wildcards) -> dict[str, str]:
    """Analyses that a report shows."""
    study = plan.config.study(wildcards.study)
    printed = {"audit": "<figures>/published/audit.csv", "printed": "<figures>/published/claims.csv"}
    return analyses(plan, study) | (printed if study.paper else {})


def report_options(plan, wildcards, input) -> str:
    """Options of the report's command for these analyses."""
    names = report_input(plan, wildcards)
    beside = [f"--printed {Path(input['printed']).parent}"] if "printed" in names else []
    return " ".join([*beside, *(f"--{name} {input[name]}" for name in names if name not in ("audit", "printed"))])


def paths_of_cells(study: Study, benchmarks: set | None = None, variants: set | None = None) -> list[str]:
    """Paths of a study's cells, of some benchmarks or variants if named."""
    return [
        f"<results>/{cell.path}"
        for cell in study.cells
        if (benchmarks is None or cell.benchmark in benchmarks) and (variants is None or cell.variant in variants)
    ]


@cache
def _built(plan, name: str) -> StudySpec:
    return study_spec(plan.config, name)


def study_spec(config: Config, name: str) -> StudySpec:
    study = config.study(name)
    protocol = config.protocols[study.protocol]
    suites = tuple(suite for suite in (columns_of(config, study, suite) for suite in config.suites) if suite.benchmarks)
    tables = [layout(config, study, suite, table) for suite in suites for table in config.suites[suite.name].tables]
    return StudySpec(
        study=study.name,
        title=study.title,
        protocol=study.protocol,
        protocol_title=protocol.title,
        stack=study.stack,
        source=study.source,
        variants=tuple(study_variant(config, study, variant) for variant in study.variants),
        labels=labels(config),
        repositories={model: entry.repo for model, entry in config.models.items()},
        benchmarks={benchmark: benchmark_of(config, study, benchmark) for benchmark in config.benchmarks},
        suites=suites,
        tables=tuple(sorted(tables, key=lambda table: table.number)),
        figure2_models=study.drawn_models,
        paper=study.paper,
    )


def study_variant(config: Config, study: Study, variant) -> StudyVariant:
    """What a study shows of a variant; its storage is parameters times weight bits over 8, as the paper prints it."""
    changed = quantize.checkpoint_spec(config, study, variant).changed
    bits = quantize.scheme(config, study, variant).effective_bits
    words, effective = quantize.in_words(changed) if changed else None, bits if bits != variant.widths[0] else None
    nominal = config.models[variant.model].nominal_billions * (effective or variant.widths[0]) / 8
    return StudyVariant(variant, nominal, tuple(study.scored(variant)), words, effective)


def labels(config: Config) -> Labels:
    """Labels of all that `config/` names."""
    methods = config.recipes.methods
    tables = (table for suite in config.suites.values() for table in suite.tables)
    return Labels(
        models={name: entry.name for name, entry in config.models.items()},
        methods={name: entry.label for name, entry in methods.items()},
        toolkits={name: entry.toolkit for name, entry in methods.items()},
        benchmarks={name: entry.label for name, entry in config.benchmarks.items()},
        parts={name: heading for table in tables for name, heading in table.parts.items()},
    )


def benchmark_of(config: Config, study: Study, name: str) -> StudyBenchmark:
    entry = config.benchmark(study, name)
    return StudyBenchmark(
        suite=entry.suite,
        questions=entry.documents,
        confidential=entry.confidential,
        datasets=entry.repositories,
        metrics=tuple(metric.label or metric.name for metric in entry.metrics),
        num_fewshot=entry.num_fewshot,
        aggregation=entry.aggregation,
        normalise=entry.normalise,
        measure=Measure(entry.unit, entry.lower_is_better),
        limit=limit_of(study, name, entry),
    )


def limit_of(study: Study, name: str, entry: Benchmark) -> str | None:
    """What of a benchmark a study asks, in words; None for all."""
    count = study.limit_of(name) if name in study.benchmarks and name != study.judged_benchmark else None
    if count is None:
        return None
    return f"{count} windows of {entry.divergence.window} tokens" if entry.divergence else f"{count} questions of each task"


def columns_of(config: Config, study: Study, name: str) -> SuiteColumns:
    """The benchmarks that a study has of a suite; of one that regenerates the paper after all that the paper prints."""
    suite = config.suites[name]
    own = [one for one, entry in config.benchmarks.items() if entry.suite == name and one in study.benchmarks]
    columns = tuple(dict.fromkeys([*suite.printed, *own])) if study.paper else tuple(own)
    return SuiteColumns(name, suite.label, suite.short_label, columns, suite.average and len(columns) > 1)


def layout(config: Config, study: Study, columns: SuiteColumns, table: SuiteTable) -> TableLayout:
    """One table: its columns, and the variants of the study that it shows."""
    suite = config.suites[columns.name]
    variants = tuple(
        variant
        for variant in study.variants
        if shows(suite, table, variant.model, study.paper) and set(study.scored(variant)) & set(columns.benchmarks)
    )
    kept = {name: entry for name, entry in table.columns.items() if name.partition("/")[0] in columns.benchmarks}
    names = tuple(table.parts) or tuple(kept) or columns.benchmarks
    return TableLayout(
        number=table.number,
        title=table.title,
        suite=columns.name,
        columns=(*names, AVERAGE) if columns.average or table.parts else names,
        variants=variants,
        printed=set(columns.benchmarks) == set(suite.printed),
        parts_of=columns.benchmarks[0] if table.parts else None,
        measures={name: Measure(one.unit, one.lower_is_better, one.label) for name, one in kept.items()},
        notes=(*table.notes, *partly(suite, columns)),
    )


def shows(suite: Suite, table: SuiteTable, model: str, paper: bool) -> bool:
    """Whether a table shows a model: only the paper's tables part them."""
    if not paper:
        return not table.models
    elsewhere = {name for other in suite.tables if other != table for name in other.models or ()}
    return model in table.models if table.models else model not in elsewhere


def partly(suite: Suite, columns: SuiteColumns) -> list[str]:
    """What to say of an average that leaves out benchmarks of a suite."""
    left = len(set(suite.printed) - set(columns.benchmarks))
    return [f"Average: of these {len(columns.benchmarks)} columns; {suite.label} has {left} more."] * (
        columns.average and left > 0
    )


def claims_spec(config: Config) -> ClaimsSpec:
    """The claims with both readings of each part written out."""
    file = config.claims
    return ClaimsSpec(
        claims=tuple(
            ClaimSpec(name, claim.place, claim.statement, tuple(_part(part) for part in claim.parts), claim.note or "")
            for name, claim in file.claims.items()
        ),
        sets={name: tuple(values) for name, values in file.sets.items()},
        facts={name: FactSpec(fact.value, fact.source) for name, fact in file.facts.items()},
        suites={name: suite.short_label for name, suite in config.suites.items()},
    )


def _part(part: ClaimPart) -> PartSpec:
    """A lenient reading changes parameters of the strict one, unless it names another predicate."""
    strict = ReadingSpec(part.strictly, part.predicate, part.with_)
    if part.lenient is None:
        return PartSpec(part.says, strict)
    predicate = part.lenient.predicate or part.predicate
    kept = part.with_ if predicate == part.predicate else {}
    return PartSpec(part.says, strict, ReadingSpec(part.leniently, predicate, {**kept, **part.lenient.with_}))
