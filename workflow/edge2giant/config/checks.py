"""Checks between files: every name that one file uses stands in the file that defines it."""

from collections.abc import Iterable
from pathlib import Path

from edge2giant.config.errors import unknown
from edge2giant.errors import UserError

WORKFLOW = Path(__file__).resolve().parent.parent.parent
SERVICES = ("miniature", "evaluate")
"""What a stack has environments for beside toolkits."""


def check(config) -> None:
    """Refuse a config that names what it does not have, or asks for what cannot be made.

    Raises
    ------
    UserError
        For the first such name: the file, the place in it, and what there is.
    """
    check_benchmarks(config)
    check_protocols(config)
    check_stacks(config)
    check_recipes(config)
    check_clusters(config)
    check_workload(config)
    check_grids(config)
    check_claims(config)
    for study in sorted(config.studies.values(), key=lambda study: study.extends is not None):  # the extended study first
        check_study(config, study)


def check_names(config, run) -> None:
    """Refuse a study or cluster of `config/config.yaml` or `--config` that does not exist."""
    config.study(run.study)
    _known("cluster", [run.cluster] if run.cluster else [], config.clusters, "config/config.yaml")


def _known(kind: str, names: Iterable[str], known: Iterable[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise unknown(kind, name, known, where)


def check_benchmarks(config) -> None:
    for name, entry in config.benchmarks.items():
        where = f"config/benchmarks.yaml, {name}"
        if (name == "mt_bench") != (entry.suite == "mt_bench"):
            raise UserError(f"is in suite {entry.suite}", where, "suite mt_bench holds mt_bench alone")
        check_aggregation(entry, where)


def check_aggregation(benchmark, where: str) -> None:
    """Only a mean of normalised tasks can join tasks of different chance levels."""
    if benchmark.aggregation != "mean" and len(set(benchmark.chances.values())) > 1:
        raise UserError("tasks of different chance levels need `aggregation: mean`", where)


def check_protocols(config) -> None:
    for name, protocol in config.protocols.items():
        where = f"config/protocols.yaml, {name}.benchmarks"
        _known("benchmark", protocol.benchmarks, config.benchmarks, where)
        for benchmark, override in protocol.benchmarks.items():
            check_aggregation(override.applied(config.benchmarks[benchmark]), f"{where}.{benchmark}")


def toolkits() -> list[str]:
    """Names of the toolkit modules."""
    return sorted(path.stem for path in (WORKFLOW / "edge2giant/quantize/toolkits").glob("[a-z]*.py"))


def check_stacks(config) -> None:
    kinds = [*SERVICES, *toolkits()]
    for name, stack in config.stacks.items():
        where = f"config/stacks.yaml, {name}.environments"
        _known("toolkit", stack.environments, kinds, where)
        if "evaluate" not in stack.environments:
            raise UserError("'evaluate' is missing", where, "name the environment that holds the engine")
        for toolkit in stack.environments:
            environment = stack.environment(name, toolkit)
            if not (WORKFLOW.parent / "envs" / f"{environment}.yaml").is_file():
                raise UserError(f"there is no envs/{environment}.yaml", f"{where}.{toolkit}")


def check_recipes(config) -> None:
    modules = toolkits()
    for name, method in config.methods.items():
        where = f"config/recipes.yaml, methods.{name}"
        _known("toolkit", [method.toolkit], modules, where)
        for bits, recipe in method.bits.items():
            place = f"{where}.bits.{bits}"
            sets = [one.calibration for one in (recipe, *recipe.overrides) if one.calibration is not None]
            _known("calibration set", sets, config.calibration, place)
            _known("model", [model for one in recipe.overrides for model in one.models], config.models, f"{place}.overrides")
            _known("model", recipe.published, config.models, f"{place}.published")


def check_clusters(config) -> None:
    for name, cluster in config.clusters.items():
        where = f"config/clusters.yaml, {name}"
        for number, one in enumerate(cluster.overrides):
            place = f"{where}.overrides[{number}]"
            if one.partition is None:
                continue
            _known("partition", [one.partition], cluster.partitions, place)
            there, nodes, gpus = cluster.partitions[one.partition], one.nodes or 1, one.gpus or 0
            if gpus > there.gpus_per_node or nodes > there.nodes:
                have = f"{there.nodes} nodes of {there.gpus_per_node} GPUs"
                raise UserError(f"asks for {nodes} nodes of {gpus} GPUs, partition {one.partition} has {have}", place)
        _known("model", [*cluster.rehearse, *cluster.rehearse.values()], config.models, f"{where}.rehearse")


def check_workload(config) -> None:
    _known("benchmark", config.workload.tokens, config.benchmarks, "config/workload.yaml, tokens")
    _known(
        "method",
        config.workload.quantize_seconds_per_billion,
        config.methods,
        "config/workload.yaml, quantize_seconds_per_billion",
    )


def check_grids(config) -> None:
    _known("benchmark", config.grids, config.benchmarks, "config/published/grids.yaml")


def check_claims(config) -> None:
    sets = config.claims.sets
    for name, claim in config.claims.claims.items():
        where = f"config/published/claims.yaml, claims.{name}"
        for part in claim.parts:
            for values in (part.with_, part.lenient.with_ if part.lenient else {}):
                _known("set", (text[1:] for text in _texts(values) if text.startswith("@")), sets, where)


def _texts(value) -> Iterable[str]:
    """Every text in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def check_study(config, study) -> None:
    where = f"config/studies/{study.name}.yaml"
    _known("protocol", [study.protocol], config.protocols, where)
    _known("stack", [study.stack], config.stacks, where)
    _known("judge", [study.judge], config.judges, where)
    _known("benchmark", study.benchmarks, config.benchmarks, where)
    _known("model", study.models, config.models, f"{where}, models")
    _known("model", study.figure2_models, config.models, f"{where}, figure2_models")
    _known("calibration set", [study.calibration] if study.calibration else [], config.calibration, where)
    if "mt_bench" in study.benchmarks:
        answered = [name for name, entry in study.models.items() if entry.mt_bench]
        _known("model with `mt_bench`", study.figure2_models, answered, f"{where}, figure2_models")
    for key in ("recipe_settings", "checkpoints"):
        for method_bits in getattr(study, key):
            _check_method_bits(config, method_bits, f"{where}, {key}.{method_bits}")
    for variant in study.variants:
        check_variant(config, study, variant, f"{where}, models.{variant.path}")


def _check_method_bits(config, method_bits: str, where: str) -> None:
    method, bits = method_bits.split("/")
    _known("method", [method], config.methods, where)
    _known(f"width of {method}", [bits], config.methods[method].bits, where)


def check_variant(config, study, variant, where: str) -> None:
    _check_method_bits(config, variant.method_bits, where)
    published = study.checkpoints.get(variant.method_bits) == "published"
    if published:
        models = config.methods[variant.method].bits[variant.bits].published
        if variant.model not in models:
            known = ", ".join(models) or "none"
            raise UserError(f"no published checkpoint of {variant.model}", where, f"config/recipes.yaml names one of: {known}")
    needed = "published" if published else config.toolkit(variant)
    environments = config.stacks[study.stack].environments
    _known(f"toolkit on stack {study.stack}", [needed], environments, where)
