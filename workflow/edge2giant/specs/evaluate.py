"""What an evaluation job gets: a variant, the benchmarks to run on it, and all that decides its answers."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge2giant.specs.variant import Variant


@dataclass(frozen=True)
class EngineSpec:
    """The engine that loads the checkpoint, with the arguments that stack, study, protocol and model decide."""

    name: Literal["hf", "vllm", "vllm-stock"]
    settings: dict[str, Any]


@dataclass(frozen=True)
class TasksSpec:
    """How lm-eval runs the tasks of a benchmark.

    Parameters
    ----------
    folder : str
        Folder of lm_eval/tasks that defines the tasks.
    fewshot_as_multiturn : bool
        Whether examples are turns of the chat.
    limit : int or None
        Questions of each task; None for all.
    seeds : dict of str to int
        Of `python`, `numpy`, `torch` and `fewshot`.
    option_order : {'stable', 'lm-eval'}
        Order of a question's options, see `edge2giant.evaluate.option_order`.
    """

    names: tuple[str, ...]
    folder: str
    num_fewshot: int
    chat_template: bool
    fewshot_as_multiturn: bool
    limit: int | None
    seeds: dict[str, int]
    option_order: Literal["stable", "lm-eval"] = "lm-eval"


@dataclass(frozen=True)
class GenerationSpec:
    """How the answers of a judged benchmark are generated: with FastChat's temperature of each category, or without sampling."""

    temperatures: Literal["fastchat", "greedy"]
    max_new_tokens: int
    seed: int


@dataclass(frozen=True)
class BenchmarkSpec:
    """One benchmark of a batch: `tasks` of lm-eval, or conversations with their `generation`.

    Parameters
    ----------
    locks : tuple of str
        Locks of its data below the store; the first is that of its main data set.
    """

    name: str
    locks: tuple[str, ...]
    tasks: TasksSpec | None = None
    generation: GenerationSpec | None = None


@dataclass(frozen=True)
class EvaluateSpec:
    """One batch of benchmarks on one checkpoint.

    Parameters
    ----------
    batch : str
        A suite, `all` or a benchmark.
    environment : str
        `<stack>/<name>` of the environment that runs the job.
    """

    study: str
    variant: Variant
    batch: str
    benchmarks: tuple[BenchmarkSpec, ...]
    engine: EngineSpec
    environment: str
    result_version: int

    def of(self, benchmark: BenchmarkSpec) -> dict[str, Any]:
        """The part of this spec that decides the answers to one of its benchmarks."""
        return {"result_version": self.result_version, "engine": asdict(self.engine), "benchmark": asdict(benchmark)}
