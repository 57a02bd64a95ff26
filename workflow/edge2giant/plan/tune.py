"""Models that are tuned from another one: what decides each, and what its job reads."""

from edge2giant import tune
from edge2giant.config.models import Tuning
from edge2giant.errors import unknown
from edge2giant.plan import Plan, paths
from edge2giant.specs.tune import DistillationSpec, NoiseSpec, TuneSpec

SOURCE = "hub"
TOOLKIT = "llmcompressor"
"""Its environment has torch and transformers, on every stack."""
NO_MODEL = "(?!)"


def spec(plan: Plan, wildcards) -> TuneSpec:
    """What decides the weights of a tuned model, on the stack of the study that the named targets mean."""
    entry, tuned = plan.config.models[wildcards.model], tuning(plan, wildcards)
    return TuneSpec(
        model=wildcards.model,
        repo=entry.repo,
        source=tuned.source,
        texts=tuned.texts,
        noise=NoiseSpec(**dict(tuned.noise)),
        distillation=DistillationSpec(**dict(tuned.distillation)),
        licence=entry.licence,
        environment=environment(plan, wildcards),
        result_version=tune.RESULT_VERSION,
    )


def tuning(plan: Plan, wildcards) -> Tuning:
    """How a model is tuned."""
    known = {name: entry.tuned for name, entry in plan.config.models.items() if entry.tuned}
    if wildcards.model not in known:
        raise unknown("model that is tuned", wildcards.model, known, "config/models.yaml")
    return known[wildcards.model]


def inputs(plan: Plan, wildcards) -> dict[str, str | list[str]]:
    """The source model and its lock, and the locks beside the texts."""
    tuned = tuning(plan, wildcards)
    return {
        "model": paths.store(SOURCE, f"models/{tuned.source}"),
        "lock": paths.store(SOURCE, f"models/{tuned.source}.lock.json"),
        "texts": [paths.calibration_lock(SOURCE, name) for name in tuned.texts],
    }


def texts(plan: Plan, wildcards) -> list[str]:
    """Folders of the texts."""
    return [path.removesuffix(".lock.json").replace("<results>", plan.results) for path in inputs(plan, wildcards)["texts"]]


def environment(plan: Plan, wildcards) -> str:
    return plan.config.environment(plan.study.stack, TOOLKIT)


def models(plan: Plan) -> str:
    """Pattern of the models that are tuned."""
    return "|".join(name for name, entry in plan.config.models.items() if entry.tuned) or NO_MODEL
