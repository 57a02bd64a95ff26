"""config/protocols.yaml: how benchmarks are prompted and scored."""

from typing import Annotated, Literal

from pydantic import Field

from edge2giant.config import names
from edge2giant.config.benchmarks import Benchmark, Metrics, Tasks
from edge2giant.config.entry import ConfigEntry, Count, Date, Name, Natural, Settings, Text
from edge2giant.specs.score import Aggregation


class Seeds(ConfigEntry):
    """Seeds of lm-eval."""

    python: Natural
    numpy: Natural
    torch: Natural
    fewshot: Natural


class AnswerGeneration(ConfigEntry):
    """How the answers of a judged benchmark are generated."""

    temperatures: Literal["fastchat", "greedy"] = Field(description="FastChat's for each category, or 0")
    max_new_tokens: Count
    seed: Natural


class Override(ConfigEntry):
    """What a protocol changes of a benchmark; a key that is left out keeps the benchmark's value."""

    tasks: Tasks | None = None
    metrics: Metrics | None = None
    num_fewshot: Natural | None = None
    aggregation: Aggregation | None = None
    normalise: bool | None = None
    documents: Count | None = None

    def applied(self, benchmark: Benchmark) -> Benchmark:
        changes = {key: getattr(self, key) for key in self.model_fields_set if getattr(self, key) is not None}
        return benchmark.model_copy(update=changes)


class ChatOverride(ConfigEntry):
    """What a protocol changes of a suite's prompts."""

    chat_template: bool | None = None
    fewshot_as_multiturn: bool | None = None


class Protocol(ConfigEntry):
    """One way to prompt and to score."""

    title: Text
    chat_template: bool = Field(description="whether lm-eval's prompts are chats; conversations always are")
    fewshot_as_multiturn: bool = Field(description="whether the examples of a chat are turns of their own")
    suites: dict[names.Suite, ChatOverride] = Field(default={}, description="suites that differ in the two keys above")
    chat_template_kwargs: Settings = Field(default={}, description="variables of the chat template, such as enable_thinking")
    date: Date = Field(description='what a chat template takes for today, in quotes, as "2024-07-26"')
    think_end_token: Text | None = Field(
        default=None, description="text that ends an answer's thinking, which is dropped with it"
    )
    bos: Literal["gemma_only", "tokenizer", "always", "never"] = Field(
        description="whether a BOS token goes before each prompt; gemma_only: by the model's type"
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"]
    max_model_len: Count = Field(description="tokens of prompt and answer")
    seeds: Seeds
    clip_normalised_at_zero: bool
    option_order: Literal["stable", "lm-eval"] = Field(
        description="order of the options of a `shuffled` benchmark: by the question's id, or lm-eval's own"
    )
    benchmarks: dict[names.Benchmark, Override] = Field(description="what differs from config/benchmarks.yaml")
    generation: AnswerGeneration = Field(description="of the answers of a judged benchmark")

    def needs_bos(self, model_type: str) -> bool | None:
        """Whether a BOS token goes before each prompt of a model; None leaves it to the tokenizer."""
        return {"always": True, "never": False, "tokenizer": None, "gemma_only": "gemma" in model_type.lower()}[self.bos]

    def of_suite(self, suite: str, key: Literal["chat_template", "fewshot_as_multiturn"]) -> bool:
        """A key of this protocol as one of its suites has it."""
        own = getattr(self.suites.get(suite), key, None)
        return getattr(self, key) if own is None else own


Protocols = Annotated[
    dict[Name, Protocol], Field(min_length=1, title="config/protocols.yaml: how benchmarks are prompted and scored")
]
