"""Evaluations: the benchmarks of a batch and all that decides their answers; which batch a cell is in, `batches` says."""

from edge2giant import evaluate
from edge2giant.config import Config, Study
from edge2giant.errors import UserError
from edge2giant.plan import Plan, paths
from edge2giant.specs.evaluate import BenchmarkSpec, DivergenceSpec, EngineSpec, EvaluateSpec, GenerationSpec, TasksSpec
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant

WHOLE = "all"


def spec(plan: Plan, wildcards) -> EvaluateSpec:
    """All that the configuration says about the evaluation of a batch."""
    study, variant = plan.member(wildcards)
    return EvaluateSpec(
        study=study.name,
        variant=variant,
        batch=wildcards.batch,
        benchmarks=tuple(benchmark_spec(plan.config, study, variant, name) for name in benchmarks(plan, wildcards)),
        engine=engine_spec(plan.config, study, variant.model),
        environment=environment(plan, wildcards),
        result_version=evaluate.RESULT_VERSION,
    )


def engine_spec(config: Config, study: Study, model: str) -> EngineSpec:
    """The engine of a study for one of its models, with the settings that stack, study and protocol decide."""
    stack, protocol, entry = config.stacks[study.stack], config.protocols[study.protocol], config.models[model]
    settings = {
        "dtype": protocol.dtype,
        "max_model_len": min(protocol.max_model_len, entry.facts.positions),
        **stack.engine_settings,
        **study.engine_settings,
    }
    chosen = {
        "add_bos_token": protocol.needs_bos(entry.facts.model_type),
        "chat_template": config.chat_template(model),
        "chat_template_kwargs": protocol.chat_template_kwargs,
        "date": protocol.date,
        "think_end_token": protocol.think_end_token,
    }
    settings |= {key: value for key, value in chosen.items() if value is not None}
    return EngineSpec(name=stack.engine, settings=settings)


def benchmark_spec(config: Config, study: Study, variant: Variant, name: str) -> BenchmarkSpec:
    """All that decides a benchmark's answers, apart from the engine."""
    protocol, benchmark = config.protocols[study.protocol], config.benchmark(study, name)
    locks = paths.data_locks(name, benchmark)
    if name == study.judged_benchmark:
        return BenchmarkSpec(name, locks, generation=GenerationSpec(**dict(protocol.generation)))
    if benchmark.divergence:
        repo, unquantized = next(iter(benchmark.datasets)), is_unquantized(variant)
        return BenchmarkSpec(
            name,
            locks,
            divergence=DivergenceSpec(repo, **dict(benchmark.divergence), limit=study.limit_of(name), reference=unquantized),
        )
    tasks = TasksSpec(
        names=tuple(sorted(benchmark.tasks)),
        folder=benchmark.folder,
        num_fewshot=benchmark.num_fewshot,
        chat_template=config.chats(study, name),
        fewshot_as_multiturn=protocol.of_suite(benchmark.suite, "fewshot_as_multiturn"),
        limit=study.limit_of(name),
        seeds=dict(protocol.seeds),
        option_order=protocol.option_order if benchmark.shuffled else "lm-eval",
    )
    return BenchmarkSpec(name, locks, tasks=tasks)


def is_unquantized(variant: Variant) -> bool:
    return (variant.method, variant.bits) == FP16


def references(plan: Plan, wildcards) -> list[str]:
    """Records of the unquantized model's distributions that a batch compares with."""
    study, variant = plan.member(wildcards)
    compared = [name for name in benchmarks(plan, wildcards) if plan.config.benchmarks[name].divergence]
    if is_unquantized(variant):
        return []
    return [f"<results>/{study.name}/references/{variant.model}/{name}.json" for name in compared]


def benchmarks(plan: Plan, wildcards) -> list[str]:
    """The benchmarks of a batch, in the order of the study.

    Raises
    ------
    UserError
        If the variant has none of them.
    """
    study, variant = plan.member(wildcards)
    names = in_batch(plan.config, study, variant, wildcards.batch)
    if not names:
        raise UserError(
            f"no batch '{wildcards.batch}' of {variant.path} in study {study.name}", "results path",
            f"batches: {', '.join([*plan.config.suites, WHOLE])}, or one of its benchmarks",
        )  # fmt: skip
    return names


def in_batch(config: Config, study: Study, variant: Variant, batch: str) -> list[str]:
    """The benchmarks of a variant that a batch of this name holds, in the order of the study."""
    suites = {name: config.benchmarks[name].suite for name in study.benchmarks_of(variant)}
    return [name for name, suite in suites.items() if batch in (name, suite, WHOLE)]


def datasets(plan: Plan, wildcards) -> list[str]:
    """Locks of all data that the benchmarks of a batch read."""
    source = plan.config.study(wildcards.study).source
    locks = [lock for name in benchmarks(plan, wildcards) for lock in paths.data_locks(name, plan.config.benchmarks[name])]
    return [paths.store(source, lock) for lock in dict.fromkeys(locks)]


def environment(plan: Plan, wildcards) -> str:
    """`<stack>/<name>` of the environment that holds the study's engine."""
    return plan.config.environment(plan.config.study(wildcards.study).stack, "evaluate")


def store(plan: Plan, wildcards) -> str:
    """Folder of the models and data sets of a study's source."""
    return f"{plan.results}/store/{plan.config.study(wildcards.study).source}"
