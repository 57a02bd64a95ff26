"""config/benchmarks.yaml: the columns of the paper's tables."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge2giant.config.entry import Commit, ConfigEntry, Count, Natural, Text, listed, refusal

Suite = Literal["leaderboard_v1", "leaderboard_v2", "mt_bench"]
Aggregation = Literal["single", "size_weighted", "mean"]
Choices = Annotated[int, Field(ge=2)]
Tasks = dict[Text, Choices | None]


class Metric(ConfigEntry):
    """A metric of lm-eval and the filter that its answers went through."""

    name: Text
    filter: Text


Metrics = listed(Metric)


class Benchmark(ConfigEntry):
    """One benchmark: its lm-eval tasks and how their answers become a score."""

    label: Text = Field(description="as tables print it")
    suite: Suite
    folder: Text | None = Field(default=None, description="folder of lm_eval/tasks that defines the tasks")
    datasets: Annotated[dict[Text, Commit], Field(min_length=1)] = Field(description="hub id and commit of 40 hexadecimal digits")
    tasks: Tasks = Field(description="lm-eval task and its number of answer choices; null: no chance level")
    metrics: Metrics = Field(description="lm-eval metrics and filters; several are averaged")
    num_fewshot: Natural
    aggregation: Aggregation = Field(description="how the scores of tasks become one")
    normalise: bool = Field(description="whether the chance level is subtracted")
    documents: Count = Field(description="questions in the whole set")
    confidential: bool = Field(default=False, description="whether questions stay out of what is published")

    @model_validator(mode="after")
    def _can_be_run(self):
        if self.suite == "mt_bench":
            return self
        for key in ("folder", "tasks", "metrics"):
            if not getattr(self, key):
                raise refusal(f"lacks its {key}")
        return self

    @property
    def chances(self) -> dict[str, float]:
        """Chance level that is subtracted from each task's score."""
        return {task: 1 / n if n and self.normalise else 0.0 for task, n in self.tasks.items()}


BenchmarkName = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Benchmarks = Annotated[
    dict[BenchmarkName, Benchmark], Field(min_length=1, title="config/benchmarks.yaml: the columns of the paper's tables")
]
