"""Checkpoints: what decides each, where it lies, and what its job reads."""

import json
from dataclasses import replace
from functools import cache

from edge2giant.config import Config, Study
from edge2giant.config.names import ALL
from edge2giant.config.recipes import Recipe
from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.plan import Plan, paths
from edge2giant.quantize import RESULT_VERSION, changes, toolkits
from edge2giant.schemes import mixed
from edge2giant.schemes.scheme import Scheme
from edge2giant.specs.quantize import CalibrationSpec, HeldoutSpec, PublishedSpec, QuantizeSpec
from edge2giant.specs.variant import Variant

HELDOUT = "heldout"


# --- functions of a plan and wildcards ---------------------------------------------------------------------------------


def spec(plan: Plan, wildcards) -> QuantizeSpec:
    """The spec that the path of a checkpoint names by its digest.

    Raises
    ------
    UserError
        If no study has such a checkpoint.
    """
    known = _by_folder(plan)
    if wildcards.digest not in known:
        raise UserError(
            f"no study has a checkpoint with digest {wildcards.digest}",
            f"checkpoints/{wildcards.model}/{wildcards.method}/{wildcards.bits}",
            "`snakemake plan` lists the digests; they change with the configuration",
        )
    return known[wildcards.digest]


def inputs(plan: Plan, wildcards) -> dict[str, str]:
    """The model, the text and the published checkpoint that a job reads; of text the lock beside its folder."""
    wanted = spec(plan, wildcards)
    found = {
        "model": paths.store(wanted.store, f"models/{wildcards.model}"),
        "lock": paths.store(wanted.store, f"models/{wildcards.model}.lock.json"),
        "heldout": paths.calibration_lock("miniature", wanted.heldout.name),
    }
    if wanted.calibration and wanted.calibration.reads_text:
        found["calibration"] = paths.calibration_lock(wanted.store, wanted.calibration.name)
    if wanted.published:
        found["published"] = f"<results>/store/hub/published/{wanted.published.repo}"
    return found


def folders(plan: Plan, wildcards) -> str:
    """The options that name the folders of text and of a published checkpoint."""
    found = inputs(plan, wildcards)
    named = {name: found[name] for name in ("heldout", "calibration", "published") if name in found}
    options = (f"--{name} {path.removesuffix('.lock.json')}" for name, path in named.items())
    return " ".join(options).replace("<results>", plan.results)


def environment(plan: Plan, wildcards) -> str:
    return spec(plan, wildcards).environment


def checkpoint(plan: Plan, wildcards) -> str:
    """The checkpoint of a study's variant."""
    study, variant = plan.member(wildcards)
    return f"<results>/{checkpoints(plan, study.name)[variant].path}"


def calibration_locks(plan: Plan, wildcards) -> list[str]:
    """Calibration text that the checkpoints of a study read."""
    sets = [one.calibration for one in checkpoints(plan, wildcards.study).values()]
    texts = sorted({one.name for one in sets if one and one.reads_text})
    return [paths.calibration_lock(plan.config.study(wildcards.study).source, name) for name in texts]


def evaluated_locks(plan: Plan, wildcards) -> list[str]:
    """The main data sets of a study's lm-eval benchmarks; questions of a judged one have no right answers."""
    study = plan.config.study(wildcards.study)
    return [
        paths.store(study.source, f"datasets/{name}.lock.json") for name in study.benchmarks if name != study.judged_benchmark
    ]


# --- specs -------------------------------------------------------------------------------------------------------------


@cache
def checkpoints(plan: Plan, study: str) -> dict[Variant, QuantizeSpec]:
    """The specs of a study's checkpoints."""
    entry = plan.config.study(study)
    return {variant: checkpoint_spec(plan.config, entry, variant) for variant in entry.variants}


@cache
def _by_folder(plan: Plan) -> dict[str, QuantizeSpec]:
    """The specs of every study's checkpoints, by the last folder of their paths."""
    return {one.folder: one for study in plan.config.studies for one in checkpoints(plan, study).values()}


def checkpoint_spec(config: Config, study: Study, variant: Variant) -> QuantizeSpec:
    """What decides the checkpoint of a study's variant."""
    if study.checkpoints.get(variant.method_bits) == "published":
        return published_spec(config, study, variant)
    return made_spec(config, study, variant, changes_of(config, study, variant))


def check(config: Config) -> None:
    """Refuse a study's change of a recipe that its toolkit does not take, before any job is planned."""
    for study in config.studies.values():
        specs = [made_spec(config, study, one, changes_of(config, study, one)) for one in study.variants if study.recipe_settings]
        _check_left_out(config, study, [one for one in specs if one.changed])


def _check_left_out(config: Config, study: Study, specs: list[QuantizeSpec]) -> None:
    """Refuse layers to leave out that no model of the study has, and a recipe that leaves out all."""
    unknown: dict[tuple[str, str], bool] = {}
    for spec in specs:
        facts, own = config.models[spec.variant.model].facts, base_recipe(config, spec.variant)[0]
        added = set(toolkits.left_out(spec.toolkit, spec.recipe)) - set(toolkits.left_out(spec.toolkit, own))
        names = facts.modules() if added else []
        for pattern in sorted(added):
            key = (spec.variant.method_bits, pattern)
            unknown[key] = unknown.get(key, True) and not any(mixed.means((pattern,), name) for name in names)
        if added and scheme_of(spec, facts).bits < 16 == scheme_of(spec, facts).effective_bits:
            where = f"{study.file}, recipe_settings, {spec.variant.method_bits}"
            raise UserError(f"`ignore` leaves no layer of {spec.variant.model} to quantize", where, "choose fewer layers")
    for (method_bits, pattern), missing in unknown.items():
        if missing:
            where = f"{study.file}, recipe_settings, {method_bits}"
            hint = "names are whole, such as model.layers.0.mlp.down_proj, or `re:` and an expression such as re:.*down_proj"
            raise UserError(f"no model of the study has a layer '{pattern}' to leave out", where, hint)


def changes_of(config: Config, study: Study, variant: Variant) -> dict:
    """What a study changes of a variant's recipe: its own changes, over those for all that the recipe takes.

    Raises
    ------
    UserError
        If the study changes something for all that no recipe of its takes.
    """
    common = study.recipe_settings.get(ALL, {})
    every = (config.study(study.repeated) if study.repeated else study).variants
    if unused := common.keys() - {key for one in every for key in _taken(config, one)} if common else ():
        takes = sorted({key for one in every for key in _taken(config, one)})
        what = f"no recipe of the study takes '{min(unused)}'"
        raise UserError(what, f"{study.file}, recipe_settings.{ALL}", f"they take {', '.join(takes)}")
    taken = _taken(config, variant) if common else ()
    return {key: value for key, value in common.items() if key in taken} | study.recipe_settings.get(variant.method_bits, {})


def in_words(changed: dict) -> str:
    """What is changed of a recipe, in one line."""
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in changed.items())


def _taken(config: Config, variant: Variant) -> set[str]:
    """Plain keys that a variant's recipe takes."""
    recipe, calibration = base_recipe(config, variant)
    return set(changes.taken(config.toolkit(variant), recipe, calibration is not None))


def base_recipe(config: Config, variant: Variant) -> tuple[dict, str | None]:
    """The recipe of a model with its overrides, and the name of its calibration set."""
    entry, model = recipe_of(config, variant), config.models[variant.model]
    recipe, calibration = entry.recipe, entry.calibration
    for number, one in enumerate(entry.overrides):
        if variant.model in one.models or model.facts.model_type in one.model_types:
            calibration = one.calibration if "calibration" in one.model_fields_set else calibration
            file = config.where("recipes", "methods", variant.method)
            where = f"{file}, {variant.method}.bits.{variant.bits}.overrides[{number}].changes"
            recipe = changes.merged(recipe, one.recipe)
            recipe, _ = changes.applied(config.toolkit(variant), recipe, one.changes, False, where)
    return numbered(recipe, model.facts.num_hidden_layers), calibration


def numbered(recipe, layers: int):
    """A recipe in whose texts `{first}` and `{last}` are the numbers of a model's first and last decoder block."""
    if isinstance(recipe, dict):
        return {key: numbered(value, layers) for key, value in recipe.items()}
    if isinstance(recipe, list | tuple):
        return [numbered(one, layers) for one in recipe]
    if isinstance(recipe, str):
        return recipe.replace("{first}", "0").replace("{last}", str(layers - 1))
    return recipe


def made_spec(config: Config, study: Study, variant: Variant, changed: dict | None) -> QuantizeSpec:
    """The checkpoint as the recipe makes it, with the changes of a study: plain keys and the toolkit's own."""
    recipe, name = base_recipe(config, variant)
    if name is not None:
        name = study.calibration or name
    toolkit = config.toolkit(variant)
    where = f"{study.file}, recipe_settings, {variant.method_bits}"
    made, drawn = changes.applied(toolkit, recipe, changed or {}, name is not None, where)
    calibration = calibration_spec(config, name)
    custom = calibration and replace(calibration, **drawn)
    return QuantizeSpec(
        toolkit=toolkit,
        source="make",
        recipe=made,
        calibration=custom,
        changed=changed if (made, custom) != (recipe, calibration) else None,
        **_common(config, study, variant, toolkit),
    )


def scheme(config: Config, study: Study, variant: Variant) -> Scheme:
    """The scheme of a variant's checkpoint, by its recipe also where it is published: its config.json is not fetched yet."""
    spec = made_spec(config, study, variant, changes_of(config, study, variant))
    return scheme_of(spec, config.models[variant.model].facts)


def scheme_of(spec: QuantizeSpec, facts: ModelFacts) -> Scheme:
    """The scheme of a checkpoint that is made, in a model with these facts."""
    made = toolkits.module(spec.toolkit).scheme(spec.recipe)
    return mixed.in_model(made, facts, toolkits.left_out(spec.toolkit, spec.recipe))


def published_spec(config: Config, study: Study, variant: Variant) -> QuantizeSpec:
    """The checkpoint that the recipe names on the hub."""
    found = recipe_of(config, variant).published[variant.model]
    return QuantizeSpec(
        toolkit="published",
        source="published",
        published=PublishedSpec(found.repo, found.revision),
        **_common(config, study, variant, "published"),
    )


def _common(config: Config, study: Study, variant: Variant, toolkit: str) -> dict:
    model, heldout = config.models[variant.model], config.calibration[HELDOUT]
    return {
        "variant": variant,
        "heldout": HeldoutSpec(HELDOUT, heldout.samples, heldout.length),
        "store": study.source,
        "repo": model.repo,
        "revision": model.revision,
        "environment": config.environment(study.stack, toolkit),
        "result_version": RESULT_VERSION,
    }


def recipe_of(config: Config, variant: Variant) -> Recipe:
    """The entry of recipes.yaml for a method and bits."""
    return config.methods[variant.method].bits[variant.bits]


def calibration_spec(config: Config, name: str | None) -> CalibrationSpec | None:
    """The calibration set of that name."""
    if name is None:
        return None
    entry = dict(config.calibration[name])
    return CalibrationSpec(name=name, **{key: value for key, value in entry.items() if key != "place" and value is not None})
