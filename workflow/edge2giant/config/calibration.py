"""config/calibration.yaml: calibration sets."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from edge2giant.config.entry import ConfigEntry, Count, Date, Name, Natural, Repo, Text, refusal
from edge2giant.specs.quantize import Packing


class CalibrationSet(ConfigEntry):
    """Text (or random tokens) that a toolkit calibrates with."""

    repo: Repo | None = Field(description="data set on the hub; null: made here")
    config: Text | None = Field(default=None, description="configuration of the data set")
    split: Text | None = None
    files: Text | None = Field(default=None, description="file of the data set, where not every one of the split")
    field: Text | None = Field(default=None, description="column; `messages` goes through the model's chat template")
    revision: Text | None = Field(default=None, description="commit; null: acquire resolves the branch once and locks it")
    samples: Count
    length: Count = Field(description="tokens of a sample")
    packing: Packing = Field(description="how documents become samples")
    seed: Natural
    special_tokens: bool | None = None
    date: Date | None = Field(default=None, description="what a chat template takes for today; conversations need it")
    place: Text = Field(description="where the paper or the tool says so")

    @model_validator(mode="after")
    def _conversations_have_a_date(self) -> Self:
        if self.field == "messages" and self.date is None:
            raise refusal("conversations need a `date`", 'what a chat template takes for today, in quotes, as "2024-07-26"')
        return self


class CalibrationFile(ConfigEntry):
    """The whole file."""

    sets: Annotated[dict[Name, CalibrationSet], Field(min_length=1)]
