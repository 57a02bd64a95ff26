"""Specs of what is made from a study's cells: tables, figures, comparison, trade-offs, claims, report, exports."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edge2giant import published
from edge2giant.mt_bench import CATEGORIES
from edge2giant.specs.claims import ClaimSpec, ClaimsSpec, FactSpec, PartSpec, ReadingSpec
from edge2giant.specs.study import AVERAGE, MT_BENCH, Labels, StudyBenchmark, StudySpec, StudyVariant, SuiteColumns, TableLayout

if TYPE_CHECKING:
    from edge2giant.config import Config
    from edge2giant.config.claims import ClaimPart
    from edge2giant.config.studies import Study

PAPER = "paper"
PRINTED = "published"
SUITES = {"leaderboard_v1": "Open LLM Leaderboard v1", "leaderboard_v2": "Open LLM Leaderboard v2"}
# Number, title and suite; of two tables with one suite the first is the main one, the second that of the appendix.
TABLES = (
    (1, "Open LLM Leaderboard v1", "leaderboard_v1"),
    (2, "Open LLM Leaderboard v2", "leaderboard_v2"),
    (4, "Open LLM Leaderboard v1, further models", "leaderboard_v1"),
    (5, "Open LLM Leaderboard v2, further models", "leaderboard_v2"),
    (6, "MT-Bench by category", MT_BENCH),
    (7, "MT-Bench by turn", MT_BENCH),
)
MT_BENCH_COLUMNS = {6: (*CATEGORIES, AVERAGE), 7: ("turn 1", "turn 2", AVERAGE)}


def spec(plan, wildcards) -> StudySpec:
    """The spec of the study in the path, or of the study that named targets mean."""
    return study_spec(plan.config, getattr(wildcards, "study", plan.run.study))


def shown(plan, wildcards) -> StudySpec:
    """The spec of the study in the path, or of the paper's study where the path has `published` in its place."""
    return study_spec(plan.config, PAPER if wildcards.study == PRINTED else wildcards.study)


def unless_printed(function):
    """The same input, and none for the printed numbers, which come from no cells."""
    return lambda plan, wildcards: [] if wildcards.study == PRINTED else function(plan, wildcards)


def cells_option(plan, wildcards) -> str:
    """The option of a study's cells; without it a command shows the printed numbers."""
    return "" if wildcards.study == PRINTED else "--cells"


def claims(plan, wildcards) -> ClaimsSpec:
    """The paper's claims."""
    return claims_spec(plan.config)


def cells(plan, wildcards) -> list[str]:
    """Every cell of a study."""
    return paths_of_cells(plan.config.study(wildcards.study))


def mt_bench_cells(plan, wildcards) -> list[str]:
    return paths_of_cells(plan.config.study(wildcards.study), {MT_BENCH})


def cells_of_table(plan, wildcards) -> list[str]:
    """Cells of a table's suite, of the variants that it shows."""
    layout = study_spec(plan.config, wildcards.study).table(int(wildcards.number))
    benchmarks = {name for name, entry in plan.config.benchmarks.items() if entry.suite == layout.suite}
    return paths_of_cells(plan.config.study(wildcards.study), benchmarks, set(layout.variants))


def tables(plan, study: "Study") -> list[str]:
    """Every table that a study names, in its four forms."""
    return [f"<figures>/{study.name}/table{number}.{form}" for number in study.tables for form in ("csv", "tex", "html", "md")]


def figure2(plan, study: "Study") -> list[str]:
    """Figure 2 in its three forms, of a study with MT-Bench."""
    forms = ("pdf", "png", "svg") if paths_of_cells(study, {MT_BENCH}) else ()
    return [f"<figures>/{study.name}/figure2.{form}" for form in forms]


def paths_of_cells(study: "Study", benchmarks: set | None = None, variants: set | None = None) -> list[str]:
    """Paths of a study's cells, of some benchmarks or variants if named."""
    return [
        f"<results>/{cell.path}"
        for cell in study.cells
        if (benchmarks is None or cell.benchmark in benchmarks) and (variants is None or cell.variant in variants)
    ]


def study_spec(config: "Config", name: str) -> StudySpec:
    """Build the spec of a study."""
    study = config.study(name)
    protocol = config.protocols[study.protocol]
    suites = tuple(SuiteColumns(suite, label, columns_of(config, study, suite)) for suite, label in SUITES.items())
    return StudySpec(
        study=study.name,
        title=study.title,
        protocol=study.protocol,
        protocol_title=protocol.title,
        stack=study.stack,
        source=study.source,
        variants=tuple(
            StudyVariant(variant, nominal_gb(config, variant), tuple(study.benchmarks_of(variant))) for variant in study.variants
        ),
        labels=labels(config),
        repositories={model: entry.repo for model, entry in config.models.items()},
        benchmarks={benchmark: benchmark_of(config, study, benchmark) for benchmark in config.benchmarks},
        suites=suites,
        tables=tuple(layout(config, study, {suite.name: suite for suite in suites}, *table) for table in TABLES),
        figure2_models=tuple(study.figure2_models),
    )


def labels(config: "Config") -> Labels:
    """Labels of all that `config/` names."""
    methods = config.recipes.methods
    return Labels(
        models={name: entry.name for name, entry in config.models.items()},
        methods={name: entry.label for name, entry in methods.items()},
        toolkits={name: entry.toolkit for name, entry in methods.items()},
        benchmarks={name: entry.label for name, entry in config.benchmarks.items()},
    )


def nominal_gb(config: "Config", variant) -> float:
    """Parameters times weight bits over 8, in 10^9 bytes: what the paper prints as storage."""
    return config.models[variant.model].nominal_billions * variant.widths[0] / 8


def benchmark_of(config: "Config", study: "Study", name: str) -> StudyBenchmark:
    entry = config.benchmark(study, name)
    return StudyBenchmark(
        suite=entry.suite,
        questions=entry.documents,
        confidential=entry.confidential,
        datasets=dict(entry.datasets),
        metrics=tuple(metric.name for metric in entry.metrics),
        num_fewshot=entry.num_fewshot,
        aggregation=entry.aggregation,
        normalise=entry.normalise,
    )


def columns_of(config: "Config", study: "Study", suite: str) -> tuple[str, ...]:
    """Benchmarks of a suite in the order of the config: those that the paper prints, and those of the study."""
    shown = {*printed(config.root).columns[suite], *study.benchmarks}
    return tuple(name for name, entry in config.benchmarks.items() if entry.suite == suite and name in shown)


def layout(config: "Config", study: "Study", suites: dict, number: int, title: str, suite: str) -> TableLayout:
    """One table: its columns, and the variants of the study that it shows."""
    if suite == MT_BENCH:
        variants = tuple(variant for variant in study.variants if MT_BENCH in study.benchmarks_of(variant))
        return TableLayout(number, title, suite, MT_BENCH_COLUMNS[number], variants)
    main = min(other for other, _, one in TABLES if one == suite)
    paper, columns = printed(config.root), suites[suite].benchmarks
    variants = tuple(variant for variant in study.variants if paper.tables.get((suite, variant.model), main) == number)
    return TableLayout(number, title, suite, (*columns, AVERAGE), variants, set(columns) == set(paper.columns[suite]))


@dataclass(frozen=True)
class Printed:
    """Where the paper prints what.

    Parameters
    ----------
    tables : dict
        (suite, model) to the number of the table.
    columns : dict
        Suite to its benchmarks.
    """

    tables: dict[tuple[str, str], int]
    columns: dict[str, tuple[str, ...]]


@cache
def printed(root: Path) -> Printed:
    """Read from the printed scores which table holds which model, and which benchmarks."""
    numbers = [one for one in published.scores(Path(root) / "config/published") if one.column != AVERAGE]
    tables = {(one.suite, one.variant.model): one.table for one in numbers}
    return Printed(tables, {suite: tuple(dict.fromkeys(one.column for one in numbers if one.suite == suite)) for suite in SUITES})


def claims_spec(config: "Config") -> ClaimsSpec:
    """The claims with both readings of each part written out."""
    file = config.claims
    return ClaimsSpec(
        claims=tuple(
            ClaimSpec(name, claim.place, claim.statement, tuple(_part(part) for part in claim.parts), claim.note or "")
            for name, claim in file.claims.items()
        ),
        sets={name: tuple(values) for name, values in file.sets.items()},
        facts={name: FactSpec(fact.value, fact.source) for name, fact in file.facts.items()},
    )


def _part(part: "ClaimPart") -> PartSpec:
    """A lenient reading changes parameters of the strict one, unless it names another predicate."""
    strict = ReadingSpec(part.strictly, part.predicate, part.with_)
    if part.lenient is None:
        return PartSpec(part.says, strict)
    predicate = part.lenient.predicate or part.predicate
    kept = part.with_ if predicate == part.predicate else {}
    return PartSpec(part.says, strict, ReadingSpec(part.leniently, predicate, {**kept, **part.lenient.with_}))
