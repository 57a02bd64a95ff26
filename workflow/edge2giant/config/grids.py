"""config/published/grids.yaml: which values a benchmark's score can take."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, Strict, WithJsonSchema, model_validator

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Count, Text, listed, refusal


def _chance(value: object) -> object:
    if (isinstance(value, int) and not isinstance(value, bool) and value == 0) or (
        isinstance(value, str) and re.fullmatch(r"1/([2-9]|[1-9][0-9]+)", value)
    ):
        return value
    raise ValueError("a chance level is 0 or of the form 1/4")


Chance = Annotated[
    int | str,
    BeforeValidator(_chance),
    WithJsonSchema({"anyOf": [{"const": 0}, {"type": "string", "pattern": "^1/([2-9]|[1-9][0-9]+)$"}]}),
]


class ScoreGrid(ConfigEntry):
    """One candidate: a score is the mean of its parts."""

    label: Text
    parts: listed(Annotated[tuple[Count, Chance], Strict(False)], min_length=1) = Field(
        description="for each subtask [questions, chance level]"
    )


class Candidates(ConfigEntry):
    """Candidates of one column, or why there are none."""

    sets: Annotated[dict[Text, ScoreGrid], Field(min_length=1)] | None = None
    none: Text | None = Field(default=None, description="why there is no grid")

    @model_validator(mode="after")
    def _one_of_both(self):
        if (self.sets is None) == (self.none is None):
            raise refusal("give either `sets` or `none`")
        return self


Grids = Annotated[
    dict[names.Benchmark, Candidates],
    Field(min_length=1, title="config/published/grids.yaml: which values a benchmark's score can take"),
]
