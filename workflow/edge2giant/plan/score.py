"""Specs and inputs of cells and of the statistics over them."""

from functools import cache
from pathlib import Path

from edge2giant import published
from edge2giant.errors import unknown
from edge2giant.plan import judge
from edge2giant.specs.score import Grouping, LmEvalMetric, PrintedScore, ScoreSpec, StatisticsSpec
from edge2giant.specs.variant import Variant


def spec(plan, wildcards) -> ScoreSpec:
    """The spec of the cell in the path."""
    return score_spec(plan.config, *plan.member(wildcards), wildcards.benchmark)


def score_spec(config, study, variant: Variant, name: str) -> ScoreSpec:
    """Everything that turns the answers of a variant on a benchmark into a score."""
    if name not in study.scored(variant):
        raise unknown(f"benchmark of {variant.path}", name, study.scored(variant), f"study {study.name}")
    benchmark = config.benchmark(study, name)
    return ScoreSpec(
        study=study.name,
        variant=variant,
        benchmark=name,
        suite=benchmark.suite,
        judged=name == study.judged_benchmark,
        toolkit=config.toolkit(variant),
        protocol=study.protocol,
        stack=study.stack,
        tasks=dict(benchmark.tasks),
        metrics=tuple(LmEvalMetric(metric.name, metric.filter) for metric in benchmark.metrics),
        aggregation=benchmark.aggregation,
        normalise=benchmark.normalise,
        clip=config.protocols[study.protocol].clip_normalised_at_zero,
        printed=printed_scores(config.root / "config/published").get((variant, name)) if study.paper else None,
        groupings=tuple(Grouping(one.fields, one.pattern, one.tasks) for one in benchmark.groupings),
        chance=benchmark.chance,
        also=tuple(LmEvalMetric(metric.name, metric.filter) for metric in benchmark.also),
        unit=benchmark.unit,
        lower_is_better=benchmark.lower_is_better,
        divergence=benchmark.divergence is not None,
    )


def judgments(plan, wildcards) -> list[str]:
    """The judge's ratings that the cell of a judged benchmark reads; nothing for the others."""
    if wildcards.benchmark != plan.config.study(wildcards.study).judged_benchmark:
        return []
    return judge.ratings(plan, wildcards)


def statistics(plan, wildcards) -> StatisticsSpec:
    """The spec of a study's paired statistics."""
    study, entries = plan.config.study(wildcards.study), plan.config.benchmarks
    averaged = [name for name, suite in plan.config.suites.items() if suite.average]
    suites = {suite: tuple(name for name in study.benchmarks if entries[name].suite == suite) for suite in averaged}
    return StatisticsSpec(study.name, suites, {f"{study.name}-{name}": name for name in study.repeats})


@cache
def printed_scores(folder: Path) -> dict[tuple[Variant, str], PrintedScore]:
    """What the paper prints of leaderboard scores, by variant and benchmark; `place` says so where it is a probable misprint."""
    found, misprints = {}, published.misprints(folder)
    for one in published.scores(folder):
        right = misprints.get((one.table, one.variant, one.column))
        place = f"Table {one.table}" + (f" (probable misprint of {right})" if right else "")
        found.setdefault((one.variant, one.column), PrintedScore(one.value, place))
    return found
