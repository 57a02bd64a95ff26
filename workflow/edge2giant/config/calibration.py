"""config/calibration.yaml: calibration sets."""

from typing import Annotated

from pydantic import Field

from edge2giant.config.entry import ConfigEntry, Count, Name, Natural, Repo, Text
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
    place: Text = Field(description="where the paper or the tool says so")


class CalibrationFile(ConfigEntry):
    """The whole file."""

    sets: Annotated[dict[Name, CalibrationSet], Field(min_length=1)]
