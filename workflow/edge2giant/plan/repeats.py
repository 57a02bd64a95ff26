"""Repeats of a study's cells, whose difference from these is the noise floor of its statistics."""

from edge2giant.config import Config, Study
from edge2giant.errors import UserError
from edge2giant.plan import Plan, evaluate, quantize
from edge2giant.plan.study import paths_of_cells


def of(config: Config, study: Study) -> dict[str, Study]:
    """The studies that a study's `repeats` stand for, by their names in the study's file."""
    return {name: config.study(f"{study.name}-{name}") for name in study.repeats}


def cells(plan: Plan, wildcards) -> list[str]:
    """Paths of the cells that repeat those of a study."""
    study = plan.config.study(wildcards.study)
    return [path for repeat in of(plan.config, study).values() for path in paths_of_cells(repeat)]


def check(config: Config) -> None:
    """Refuse a repeat that would find the answers of what it repeats in the cache: no difference would look like no noise."""
    for study in config.studies.values():
        for repeat in of(config, study).values():
            for variant in repeat.variants:
                weights = [quantize.checkpoint_spec(config, one, variant) for one in (study, repeat)]
                engines = [evaluate.engine_spec(config, one, variant.model) for one in (study, repeat)]
                if weights[0] == weights[1] and engines[0] == engines[1]:
                    hint = "give another `engine_settings` or `calibration_seed` than the study has"
                    raise UserError(f"{variant.path} has the weights and the engine of what it repeats", repeat.file, hint)
