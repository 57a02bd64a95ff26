"""config/policies.yaml: what a quantized variant may lose, for `snakemake gate`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Name, NotNegative, Text, distinct, refusal


class Loss(ConfigEntry):
    """The largest loss that is allowed."""

    largest: NotNegative = Field(description="points of the score; rating points of a judged suite")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="with which the loss must be shown to be smaller, or larger, on one side"
    )
    optional: bool = Field(default=False, description="whether a variant passes where this was not measured")


class TripWire(ConfigEntry):
    """A measure that says that something is wrong, and not what it costs."""

    warn: NotNegative | None = None
    block: NotNegative | None = None
    optional: bool = Field(default=False, description="whether a variant passes where this was not measured")

    @model_validator(mode="after")
    def _rises(self):
        if self.warn is None and self.block is None:
            raise refusal("says nothing: give `warn` or `block`")
        if None not in (self.warn, self.block) and self.warn > self.block:
            raise refusal("`warn` is above `block`")
        return self


class Policy(ConfigEntry):
    """What every variant of a study is held to."""

    title: Text
    suites: dict[names.Suite, Loss] = Field(
        default={}, description="losses of the averages of suites, or of the one benchmark of a suite"
    )
    benchmarks: dict[names.Benchmark, Loss] = Field(default={}, description="losses of single benchmarks")
    divergence: TripWire | None = Field(default=None, description="mean KL divergence from the unquantized model, nats a token")
    loops: TripWire | None = Field(default=None, description="rise of the share of written answers that end in a loop")
    length: TripWire | None = Field(
        default=None, description="length of written answers in that of the unquantized model's; 1 is equal"
    )
    fails: distinct(Literal["warn", "inconclusive", "block"]) = Field(
        default=("block",), description="verdicts of a variant at which the command ends with an error"
    )

    @model_validator(mode="after")
    def _holds_something(self):
        if not (self.suites or self.benchmarks or self.divergence or self.loops or self.length):
            raise refusal("holds a variant to nothing: give `suites`, `benchmarks`, `divergence`, `loops` or `length`")
        return self


Policies = Annotated[dict[Name, Policy], Field(min_length=1)]
