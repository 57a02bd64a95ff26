"""Files that the named targets mean: everything of one study."""

from types import SimpleNamespace

from edge2giant.plan import Plan, quantize
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant


def checkpoints(plan: Plan) -> list[str]:
    return [f"<results>/{spec.path}" for spec in quantize.checkpoints(plan, plan.study.name).values()]


def cells(plan: Plan) -> list[str]:
    return [f"<results>/{cell.path}" for cell in plan.study.cells]


def overlap(plan: Plan) -> list[str]:
    """Comparison of calibration text with benchmarks, where the study has both."""
    named = SimpleNamespace(study=plan.study.name)
    compared = quantize.calibration_locks(plan, named) and quantize.evaluated_locks(plan, named)
    return [f"<results>/{plan.study.name}/overlap.json"] if compared else []


def quantized_and_judged(plan: Plan) -> list[Variant]:
    """Quantized variants whose judged answers can be compared with those of the unquantized model."""
    study = plan.study
    return [one for one in study.variants if one.method != FP16[0] and study.judged_benchmark in study.benchmarks_of(one)]


def answers(plan: Plan) -> list[str]:
    """Answers to the judged benchmark of a study that has no judge, which no cell asks for."""
    study = plan.study
    unrated = [one for one in study.variants if set(study.benchmarks_of(one)) - set(study.scored(one))]
    return [f"<results>/{study.name}/answers/{one.path}.jsonl" for one in unrated]


def noise(plan: Plan) -> list[str]:
    if not plan.study.judge:
        return []
    return [f"<results>/{plan.study.name}/noise/{one.path}.json" for one in quantized_and_judged(plan)]


def inspections(plan: Plan) -> list[str]:
    return [f"<figures>/{plan.study.name}/inspection/{one.path}.html" for one in quantized_and_judged(plan)]
