"""Repeats of a study: each becomes a study `<study>-<repeat>`, whose cells are compared with those that they repeat."""

from collections.abc import Mapping

from edge2giant.config.benchmarks import Benchmark
from edge2giant.config.studies import Repeat, Study, StudyModel
from edge2giant.errors import UserError, unknown


def studies(study: Study, benchmarks: Mapping[str, Benchmark]) -> list[Study]:
    """The studies that a study's `repeats` stand for.

    Raises
    ------
    UserError
        If one names what the study does not have, or what cannot be repeated.
    """
    return [_made(study, name, repeat, benchmarks) for name, repeat in study.repeats.items()]


def _made(study: Study, name: str, repeat: Repeat, benchmarks: Mapping[str, Benchmark]) -> Study:
    where = f"{study.file}, repeats.{name}"
    models = {model: _again(study.models[model], repeat) for model in repeat.models or study.models if model in study.models}
    changed = {one: study.recipe_settings.get(one, {}) | {"calibration_seed": repeat.calibration_seed} for one in repeat.variants}
    made = study.model_copy(
        update={
            "name": f"{study.name}-{name}",
            "title": f"{study.title}: {name}",
            "repeated": study.name,
            "file": where,
            "repeats": {},
            "models": {model: entry for model, entry in models.items() if entry.variants or entry.judged},
            "benchmarks": repeat.benchmarks or tuple(one for one in study.benchmarks if benchmarks[one].tasks),
            "engine_settings": {**study.engine_settings, **repeat.engine_settings},
            "recipe_settings": {**study.recipe_settings, **({} if repeat.calibration_seed is None else changed)},
            "tables": (),
            "figure2_models": (),
        }
    )
    _check(study, repeat, made, benchmarks, where)
    return made


def _again(entry: StudyModel, repeat: Repeat) -> StudyModel:
    """What a repeat runs of a model."""
    kept = {kind: tuple(one for one in getattr(entry, kind) or () if one in repeat.variants) for kind in ("variants", "judged")}
    return entry.model_copy(update=kept)


def _check(study: Study, repeat: Repeat, made: Study, benchmarks: Mapping[str, Benchmark], where: str) -> None:
    for name in repeat.models or ():
        if name not in made.models:
            raise unknown("model with one of these variants", name, study.models, where)
    had = {variant.method_bits for variant in made.variants}
    for name in repeat.variants:
        if name not in had:
            raise unknown("variant", name, sorted({one.method_bits for one in study.variants}), where)
    for name in made.benchmarks:
        if name not in study.benchmarks:
            raise unknown("benchmark of the study", name, study.benchmarks, where)
        if benchmarks[name].divergence:
            raise UserError(f"{name} is a comparison with the unquantized model already", where, "leave it out of `benchmarks`")
    if not made.cells:
        raise UserError("repeats no cell", where, "name a benchmark that these variants are evaluated on")
