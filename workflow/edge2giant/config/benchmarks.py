"""config/benchmarks.yaml: suites, which are tables, and benchmarks, which are their columns."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge2giant.config import names
from edge2giant.config.entry import Commit, ConfigEntry, Count, Natural, Text, distinct, listed, refusal
from edge2giant.records.units import UnitName
from edge2giant.specs.score import Aggregation
from edge2giant.store import punkt

Choices = Annotated[int, Field(ge=2)]
Tasks = dict[Text, Choices | None]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class TableColumn(ConfigEntry):
    """A column of a suite whose benchmarks have scores of several kinds."""

    label: Text
    unit: UnitName = "percent"
    lower_is_better: bool = False


class SuiteTable(ConfigEntry):
    """A table that a suite fills."""

    number: Count
    title: Text
    models: distinct(names.Model) | None = Field(default=None, description="models shown here and in no other table of the suite")
    parts: dict[Text, Text] = Field(default={}, description="columns of a judged benchmark: category or turn, and its heading")
    columns: dict[Text, TableColumn] = Field(
        default={}, description="columns, where they are not the benchmarks: benchmark, or benchmark/metric of its parts"
    )
    notes: listed(Text) = Field(default=(), description="what a reader must know, below the table")


class Suite(ConfigEntry):
    """Benchmarks that run together and that tables show together."""

    label: Text
    short: Text | None = Field(default=None, description="label where room is short; `label` where it is left out")
    answers: Literal["lm-eval", "judged"] = Field(default="lm-eval", description="scored by lm-eval, or rated by a judge")
    average: bool = Field(default=True, description="whether the benchmarks have a mean")
    printed: listed(Identifier) = Field(default=(), description="benchmarks that the paper prints, in its order")
    place: Text | None = Field(default=None, description="where the main results stand; the first table where it is left out")
    tables: listed(SuiteTable, min_length=1)

    @property
    def judged(self) -> bool:
        return self.answers == "judged"

    @property
    def short_label(self) -> str:
        return self.short or self.label

    @property
    def main_place(self) -> str:
        return self.place or f"Table {self.tables[0].number}"


class Metric(ConfigEntry):
    """A metric of lm-eval and the filter that its answers went through."""

    name: Text
    filter: Text
    label: Text | None = Field(default=None, description="what a table's heading calls it, where lm-eval's name says too little")


Metrics = listed(Metric)


class QuestionGroups(ConfigEntry):
    """Questions that are not independent of each other: statistics count a group as one unit."""

    fields: listed(Text, min_length=1) = Field(description="fields of lm-eval's document that questions of a group share")
    pattern: Text | None = Field(default=None, description="regular expression; its group stands for a field's value")
    tasks: listed(Text) = Field(default=(), description="tasks that it holds for; all where it is left out")

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, value: str | None) -> str | None:
        try:
            groups = 1 if value is None else re.compile(value).groups
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from None
        if groups != 1:
            raise ValueError("needs one group in parentheses")
        return value


class DivergenceText(ConfigEntry):
    """Text on which variants are compared with the unquantized model."""

    config: Text = Field(description="configuration of the data set")
    split: Text
    field: Text = Field(description="column of text")
    before: str = Field(default="", description="what stands before the first row")
    between: str = Field(default="\n", description="what stands between two rows")
    window: Annotated[int, Field(ge=4)] = Field(default=512, description="tokens of a window; the second half is scored")
    kept: Count = Field(default=256, description="most likely tokens that are kept at each place; all others count as one")


class Benchmark(ConfigEntry):
    """One benchmark: its lm-eval tasks and how their answers become a score."""

    label: Text = Field(description="as tables print it")
    suite: Text = Field(description="entry of `suites`")
    folder: Text | None = Field(default=None, description="folder of lm_eval/tasks that defines the tasks")
    datasets: Annotated[dict[Text, Commit], Field(min_length=1)] = Field(description="hub id and commit of 40 hexadecimal digits")
    nltk: Commit | None = Field(default=None, description="commit of nltk/nltk_data, where checks of answers need its tables")
    tasks: Tasks = Field(default={}, description="lm-eval task and its number of answer choices; null: no chance level")
    metrics: Metrics = Field(default=(), description="lm-eval metrics and filters; several are averaged")
    also: Metrics = Field(default=(), description="lm-eval metrics that are parts of a cell and in no score")
    divergence: DivergenceText | None = Field(
        default=None, description="text on which variants are compared with the unquantized model; in place of tasks"
    )
    unit: UnitName = Field(default="percent", description="of the score")
    lower_is_better: bool = False
    num_fewshot: Natural = 0
    aggregation: Aggregation = Field(default="single", description="how the scores of tasks become one")
    groupings: listed(QuestionGroups) = Field(default=(), description="questions that share a passage, a story or a source")
    chance: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="mean of guessing on the metric's scale, where the choices do not give it"
    )
    normalise: bool = Field(default=False, description="whether the chance level is subtracted")
    documents: Count = Field(description="questions in the whole set")
    shuffled: bool = Field(default=False, description="whether lm-eval shuffles the options of each question")
    confidential: bool = Field(default=False, description="whether questions stay out of what is published")

    @property
    def repositories(self) -> dict[str, str]:
        """Everything that is fetched for it, with its commit."""
        return self.datasets | ({punkt.REPOSITORY: self.nltk} if self.nltk else {})

    @property
    def chances(self) -> dict[str, float]:
        """Chance level that is subtracted from each task's score."""
        return {task: 1 / n if n and self.normalise else 0.0 for task, n in self.tasks.items()}


class BenchmarksFile(ConfigEntry):
    """The whole file."""

    suites: Annotated[dict[Identifier, Suite], Field(min_length=1)]
    benchmarks: Annotated[dict[Identifier, Benchmark], Field(min_length=1)]

    @property
    def table_numbers(self) -> list[int]:
        return [table.number for suite in self.suites.values() for table in suite.tables]

    @property
    def judged(self) -> list[str]:
        return [name for name, entry in self.benchmarks.items() if self.suites[entry.suite].judged]

    @model_validator(mode="after")
    def _benchmarks_fit_their_suites(self):
        for name, entry in self.benchmarks.items():
            if entry.suite not in self.suites:
                known = f"choose one of: {', '.join(self.suites)}"
                raise refusal(f"unknown suite '{entry.suite}'", known, ("benchmarks", name))
            for key in () if self.suites[entry.suite].judged or entry.divergence else ("folder", "tasks", "metrics"):
                if not getattr(entry, key):
                    raise refusal(f"lacks its {key}", None, ("benchmarks", name))
            for one in entry.groupings:
                if lost := [task for task in one.tasks if task not in entry.tasks]:
                    raise refusal(f"groupings: '{lost[0]}' is no task of the benchmark", None, ("benchmarks", name))
        # There is one copy of nltk's tables, and one place for a variant's ratings.
        if len({entry.nltk for entry in self.benchmarks.values() if entry.nltk}) > 1:
            raise refusal("several commits of `nltk`", "name one", ("benchmarks",))
        if len(self.judged) > 1:
            raise refusal(f"{' and '.join(self.judged)} are judged", "only one benchmark can be", ("benchmarks",))
        return self

    @model_validator(mode="after")
    def _suites_have_tables_of_their_own(self):
        for name, suite in self.suites.items():
            for benchmark in suite.printed:
                if benchmark not in self.benchmarks or self.benchmarks[benchmark].suite != name:
                    raise refusal(f"'{benchmark}' is no benchmark of the suite", None, ("suites", name, "printed"))
            for table in suite.tables:
                for column in table.columns:
                    benchmark = self.benchmarks.get(column.partition("/")[0])
                    if benchmark is None or benchmark.suite != name:
                        raise refusal(f"column '{column}' is of no benchmark of the suite", None, ("suites", name, "tables"))
                if self.table_numbers.count(table.number) > 1:
                    raise refusal(f"table {table.number} is given twice", "each table has a number of its own", ("suites", name))
                if bool(table.parts) != suite.judged:
                    raise refusal(f"table {table.number}: `parts` are for judged suites, and only these", None, ("suites", name))
        return self
