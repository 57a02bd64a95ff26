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
class DivergenceSpec:
    """Text on which a model's distributions are compared with those of the unquantized model, and what is kept of these.

    Parameters
    ----------
    repo, config, split, field : str
        Data set of the store, its configuration and split, and the column of text.
    before, between : str
        What stands before the first row's text and between rows.
    window : int
        Tokens of a window; the second half is scored.
    kept : int
        Most likely tokens of the unquantized model that are kept at each place; all others count as one.
    limit : int or None
        Windows; None for all.
    reference : bool
        Whether the variant is the unquantized model, which writes its distributions and then is compared with itself.
    """

    repo: str
    config: str
    split: str
    field: str
    before: str
    between: str
    window: int
    kept: int
    limit: int | None
    reference: bool


@dataclass(frozen=True)
class BenchmarkSpec:
    """One benchmark of a batch: `tasks` of lm-eval, conversations with their `generation`, or a `divergence`.

    Parameters
    ----------
    locks : tuple of str
        Locks of its data below the store; the first is that of its main data set.
    """

    name: str
    locks: tuple[str, ...]
    tasks: TasksSpec | None = None
    generation: GenerationSpec | None = None
    divergence: DivergenceSpec | None = None


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
