"""What an evaluation job gets: a variant, the benchmarks to run on it, and all that decides its answers."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge2giant.specs.variant import Variant


@dataclass(frozen=True)
class EngineSpec:
    """The engine that loads the checkpoint.

    Parameters
    ----------
    name : {'hf', 'vllm', 'vllm-stock'}
        See `edge2giant.engine`.
    settings : dict
        Arguments of the engine, see `edge2giant.engine.settings`: those of stack and study, data type, longest sequence, BOS.
    """

    name: Literal["hf", "vllm", "vllm-stock"]
    settings: dict[str, Any]


@dataclass(frozen=True)
class TasksSpec:
    """How lm-eval runs the tasks of a benchmark.

    Parameters
    ----------
    names : tuple of str
        Tasks, sorted.
    folder : str
        Folder of lm_eval/tasks that defines them.
    num_fewshot : int
    chat_template, fewshot_as_multiturn : bool
        Whether prompts go through the chat template, and examples as turns of the chat.
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
    """How the answers of a judged benchmark are generated.

    Parameters
    ----------
    temperatures : {'fastchat', 'greedy'}
        FastChat's temperature of each category, or no sampling at all.
    max_new_tokens : int
        Longest answer, in tokens.
    seed : int
        Seed of each question's sampling.
    """

    temperatures: Literal["fastchat", "greedy"]
    max_new_tokens: int
    seed: int


@dataclass(frozen=True)
class BenchmarkSpec:
    """One benchmark of a batch: `tasks` of lm-eval, or conversations with their `generation`.

    Parameters
    ----------
    name : str
    locks : tuple of str
        Locks of its data below the store; the first names the revision of its main data set.
    tasks : TasksSpec or None
    generation : GenerationSpec or None
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
    study : str
    variant : Variant
    batch : str
        Name of the batch: a suite, `all` or a benchmark.
    benchmarks : tuple of BenchmarkSpec
        In the order to run them.
    engine : EngineSpec
    environment : str
        `<stack>/<name>` of the environment that runs the job.
    result_version : int
        `edge2giant.evaluate.RESULT_VERSION`.
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
