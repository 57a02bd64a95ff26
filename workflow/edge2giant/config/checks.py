"""Checks that need several files of `config/`. A name is checked where it stands, by its type: see `config/names.py`."""

from typing import TYPE_CHECKING

from edge2giant import ROOT
from edge2giant.errors import UserError, unknown
from edge2giant.specs import engine
from edge2giant.specs import study as study_specs
from edge2giant.specs.engine import NO_TEMPLATE

if TYPE_CHECKING:
    from edge2giant.config.benchmarks import Benchmark
    from edge2giant.config.loading import Config
    from edge2giant.config.studies import Study
    from edge2giant.specs.variant import Variant

SERVICES = ("miniature", "evaluate")
"""What a stack has environments for beside toolkits."""
FP16 = "/".join(study_specs.FP16)
"""The unquantized model among a study's variants."""
PRINTED = "published"
"""What stands in a study's place in the paths of what is made of the printed numbers."""


def toolkits() -> list[str]:
    """Names of the toolkit modules."""
    return sorted(path.stem for path in (ROOT / "workflow/edge2giant/quantize/toolkits").glob("[a-z]*.py"))


def check(config: "Config") -> None:
    """Refuse a config whose files ask of each other what they do not have.

    Raises
    ------
    UserError
        The first such place.
    """
    check_benchmarks(config)
    check_stacks(config)
    check_templates(config)
    check_tuned(config)
    check_policies(config)
    for study in sorted(config.studies.values(), key=lambda study: study.extends is not None):  # the extended study first
        check_study(config, study)


def check_benchmarks(config: "Config") -> None:
    for name, entry in config.benchmarks.items():
        check_aggregation(entry, f"{config.where('benchmarks', 'benchmarks', name)}, {name}")
    for protocol, entry in config.protocols.items():
        for name, override in entry.benchmarks.items():
            changed = override.applied(config.benchmarks[name])
            check_aggregation(changed, f"{config.where('protocols', protocol)}, {protocol}.benchmarks.{name}")


def check_aggregation(benchmark: "Benchmark", where: str) -> None:
    """Only a mean of normalised tasks can join tasks of different chance levels."""
    if benchmark.aggregation != "mean" and len(set(benchmark.chances.values())) > 1:
        raise UserError("tasks of different chance levels need `aggregation: mean`", where)


def check_stacks(config: "Config") -> None:
    for name, stack in config.stacks.items():
        where = f"{config.where('stacks', name)}, {name}"
        engine.check(stack.engine, stack.engine_settings, where=f"{where}.engine_settings")
        where = f"{where}.environments"
        if "evaluate" not in stack.environments:
            raise UserError("'evaluate' is missing", where, "name the environment that holds the engine")
        for toolkit in stack.environments:
            environment = f"envs/{stack.environment(name, toolkit)}.yaml"
            if not (ROOT / environment).is_file():
                raise UserError(f"there is no {environment}", f"{where}.{toolkit}")


def check_templates(config: "Config") -> None:
    for name in config.models:
        if (file := config.template_file(name)) and not (config.root / file).is_file():
            raise UserError(f"there is no {file}", f"{config.where('models', name)}, {name}.chat_template")


def check_tuned(config: "Config") -> None:
    """Refuse a model that is tuned from what cannot be fetched, on what is no text, or that has other facts than its source."""
    fetched = [name for name, entry in config.models.items() if not entry.tuned and not entry.made_by]
    texts = [name for name, entry in config.calibration.items() if entry.repo]
    for name, entry in config.models.items():
        if not entry.tuned:
            continue
        where = f"{config.where('models', name)}, {name}.tuned"
        if entry.tuned.source not in fetched:
            raise unknown("model that is fetched", entry.tuned.source, fetched, f"{where}.from")
        for text in entry.tuned.texts:
            if text not in texts:
                raise unknown("calibration set that is fetched", text, texts, f"{where}.texts")
        if entry.facts != config.models[entry.tuned.source].facts:
            raise UserError(f"its facts are not those of {entry.tuned.source}", where, "write the same")


def check_policies(config: "Config") -> None:
    """Only the average of a suite, or the one benchmark of it, has a loss."""
    for name, policy in config.policies.items():
        for suite in policy.suites:
            members = [benchmark for benchmark, entry in config.benchmarks.items() if entry.suite == suite]
            if not config.suites[suite].average and len(members) > 1:
                where = f"{config.where('policies', name)}, {name}.suites"
                raise UserError(f"{suite} has no average", where, f"name under `benchmarks`: {', '.join(members)}")


def check_study(config: "Config", study: "Study") -> None:
    where = study.file
    if study.name == PRINTED:
        raise UserError("this name means the printed numbers", where, "give the file another name")
    check_engine_settings(config, study, f"{where}, engine_settings")
    check_tables(config, study, where)
    if study.judged_benchmark:
        answered = [name for name, entry in study.models.items() if entry.judged]
        for name in study.figure2_models or ():
            if name not in answered:
                raise unknown("model with `judged`", name, answered, f"{where}, figure2_models")
    for name in study.models:
        check_chats(config, study, name, f"{where}, models.{name}")
    check_divergence(config, study, where)
    for variant in study.variants:
        check_variant(config, study, variant, f"{where}, models.{variant.path}")


def check_tables(config: "Config", study: "Study", where: str) -> None:
    """Refuse a table of ratings that no judge gives."""
    rated = {table.number for suite in config.suites.values() if suite.judged for table in suite.tables}
    if not study.judge and (shown := sorted(rated & set(study.tables or ()))):
        raise UserError(f"table {shown[0]} shows ratings, and the study names no judge", where, "leave it out, or name a `judge`")


def check_engine_settings(config: "Config", study: "Study", where: str) -> None:
    """Refuse settings that the stack's engine does not have, and a length that one of the models does not reach."""
    stack = config.stacks[study.stack]
    engine.check(stack.engine, study.engine_settings, where=where)
    length = study.engine_settings.get("max_model_len", stack.engine_settings.get("max_model_len", 0))
    for name in study.models:
        if length > (most := config.models[name].facts.positions):
            raise UserError(f"max_model_len {length} is more than the {most} positions of {name}", where, "set less")


def check_chats(config: "Config", study: "Study", model: str, where: str) -> None:
    """Refuse chats with a model that is known to have no chat template."""
    entry = config.models[model]
    if entry.facts.chat_template is False and not entry.chat_template and (chats := config.first_chat(study, model)):
        raise UserError(f"{chats} asks in chats, and {entry.repo} has no chat template", where, NO_TEMPLATE)


def check_divergence(config: "Config", study: "Study", where: str) -> None:
    """A divergence needs the unquantized model beside its variants, and an engine that gives distributions."""
    compared = next((name for name in study.benchmarks if config.benchmarks[name].divergence), None)
    if compared is None:
        return
    if config.stacks[study.stack].engine == "vllm-stock":
        raise UserError(
            f"engine vllm-stock cannot compute {compared}", where, "use a stack with engine vllm or hf, or leave it out"
        )
    for model, entry in study.models.items():
        if FP16 not in entry.variants:
            raise UserError(f"{compared} compares with {FP16}, which is not there", f"{where}, models.{model}", "add the variant")


def check_variant(config: "Config", study: "Study", variant: "Variant", where: str) -> None:
    """Refuse a variant that nobody published, or whose toolkit the study's stack does not have."""
    toolkit = config.toolkit(variant)
    if study.checkpoints.get(variant.method_bits) == "published":
        toolkit, models = "published", config.methods[variant.method].bits[variant.bits].published
        if variant.model not in models:
            known = ", ".join(models) or "none"
            recipes = config.where("recipes", "methods", variant.method)
            raise UserError(f"no published checkpoint of {variant.model}", where, f"{recipes} names one of: {known}")
    environments = config.stacks[study.stack].environments
    if toolkit not in environments:
        raise unknown(f"toolkit on stack {study.stack}", toolkit, environments, where)
