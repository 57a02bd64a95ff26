"""config/studies/<study>.yaml: a grid to run."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Count, Name, Natural, Settings, Text, distinct, refusal
from edge2giant.config.stacks import EngineSettings
from edge2giant.specs.variant import Cell, Variant

Variants = distinct(names.MethodBits)


class StudyModel(ConfigEntry):
    """What of a model a study has."""

    variants: Variants = Field(description="method/bits that the lm-eval benchmarks are run on")
    judged: Variants | None = Field(default=None, description="method/bits that the judged benchmark is run on")


class Repeat(ConfigEntry):
    """Variants of a study, run once more with something changed that says nothing about quantization."""

    variants: Variants = Field(description="method/bits of the study")
    models: distinct(names.Model) | None = Field(default=None, description="models; all that have one of the variants")
    benchmarks: distinct(names.Benchmark) | None = Field(
        default=None, description="benchmarks of the study; all that lm-eval asks where left out"
    )
    engine_settings: EngineSettings = Field(default={}, description="arguments that put requests into other batches")
    calibration_seed: Natural | None = Field(default=None, description="of another draw from the calibration set")

    @model_validator(mode="after")
    def _changes_something(self):
        if not self.engine_settings and self.calibration_seed is None:
            raise refusal("changes nothing: give `engine_settings` or `calibration_seed`")
        return self


def _what_is_extended_is_there(schema: dict) -> None:
    """For editors: a study that extends another may leave every key out."""
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]


class StudyFile(ConfigEntry):
    """Content of a file, over that of the study that it extends."""

    model_config = ConfigDict(json_schema_extra=_what_is_extended_is_there)

    extends: Text | None = Field(default=None, description="a study whose keys but `repeats` hold wherever this one has none")
    title: Text
    source: Literal["hub", "miniature"] = Field(description="fetched by acquire, or made here")
    protocol: names.Protocol = Field(description="entry of config/protocols.yaml")
    stack: names.Stack = Field(description="entry of config/stacks.yaml")
    judge: names.Judge | None = Field(
        default=None, description="entry of config/judges.yaml; without it the judged benchmark is answered and not rated"
    )
    paper: bool = Field(
        default=False, description="whether it regenerates the paper, whose numbers and claims then stand beside its own"
    )
    calibration: names.CalibrationSet | None = Field(default=None, description="set that replaces every recipe's own")
    limit: Count | None = Field(default=None, description="questions of each task; all where it is left out")
    limits: dict[names.Benchmark, Count] = Field(
        default={}, description="the same for some benchmarks, over `limit`; of a divergence, windows of text"
    )
    benchmarks: distinct(names.Benchmark) = Field(description="entries of config/benchmarks.yaml")
    tables: distinct(names.Table) | None = Field(
        default=None, description="numbers of tables in config/benchmarks.yaml; all that it has a number for where left out"
    )
    figure2_models: distinct(names.Model) | None = Field(
        default=None, description="models of Figure 2; all with `judged` where left out"
    )
    engine_settings: EngineSettings = Field(default={}, description="over those of the stack")
    recipe_settings: dict[names.MethodBitsOrAll, Settings] = Field(
        default={}, description="what the study changes of recipes, by method/bits or for `all`: plain keys, or the toolkit's own"
    )
    checkpoints: dict[names.MethodBits, Literal["make", "published"]] = Field(
        default={}, description="method/bits whose checkpoint is made, or taken from the hub"
    )
    repeats: dict[Name, Repeat] = Field(
        default={}, description="what is run again to see what differs by itself: the noise floor"
    )
    models: Annotated[dict[names.Model, StudyModel], Field(min_length=1)] = Field(description="models and what is run on each")


class Study(StudyFile):
    """A grid to run, under one protocol and one stack."""

    name: Text
    file: Text = Field(description="where it stands: config/studies/<name>.yaml or my/studies/<name>.yaml")
    judged_benchmark: Text | None = Field(default=None, description="the benchmark whose answers a judge rates, if it has one")
    repeated: Text | None = Field(default=None, description="the study that this one repeats a part of; see `config.repeats`")

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """Every variant of the study, in the order of its file."""
        return tuple(
            Variant(model, *method_bits.split("/"))
            for model, entry in self.models.items()
            for method_bits in dict.fromkeys([*entry.variants, *(entry.judged or ())])
        )

    def limit_of(self, benchmark: str) -> int | None:
        """Questions of each task of a benchmark, or windows of a divergence; None for all."""
        return self.limits.get(benchmark, self.limit)

    @property
    def drawn_models(self) -> tuple[str, ...]:
        """Models of Figure 2: none without ratings."""
        rated = self.judge and self.judged_benchmark
        judged = tuple(name for name, entry in self.models.items() if entry.judged) if rated else ()
        return judged if self.figure2_models is None else self.figure2_models if judged else ()

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell: variants times lm-eval benchmarks, and the judged cells that the file names if it names a judge."""
        return tuple(Cell(self.name, variant, name) for variant in self.variants for name in self.scored(variant))

    def benchmarks_of(self, variant: Variant) -> list[str]:
        """The benchmarks that a variant is evaluated on, in the order of the study."""
        entry = self.models[variant.model]
        scored = variant.method_bits in entry.variants
        rated = variant.method_bits in (entry.judged or ())
        return [name for name in self.benchmarks if (rated if name == self.judged_benchmark else scored)]

    def scored(self, variant: Variant) -> list[str]:
        """The benchmarks of a variant that get a score: all but the judged one where the study has no judge."""
        return [name for name in self.benchmarks_of(variant) if self.judge or name != self.judged_benchmark]
