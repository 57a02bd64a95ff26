"""config/recipes.yaml: methods and their recipes."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Repo, Settings, Text, distinct, listed, refusal

Bits = Annotated[str, Field(pattern=r"^w[0-9]+a[0-9]+$")]
Places = Annotated[dict[Text, Text], Field(min_length=1)]


class RecipeOverride(ConfigEntry):
    """What differs for some models, by their names or by the `model_type` of their config.json."""

    models: distinct(names.Model) = ()
    model_types: distinct(Text) = ()
    recipe: Settings = Field(default={}, description="laid over the recipe")
    changes: Settings = Field(default={}, description="plain keys, as those of a study's recipe_settings")
    why: Text | None = Field(default=None, description="what is wrong without it, and where that is reported")
    calibration: names.CalibrationSet | None = Field(
        default=None, description="set of config/calibration.yaml; null: none is read"
    )

    @model_validator(mode="after")
    def _changes_something(self):
        if not self.models and not self.model_types:
            raise refusal("is for no model: give `models` or `model_types`")
        if not self.model_fields_set & {"recipe", "changes", "calibration"}:
            raise refusal("changes nothing: give `recipe`, `changes` or `calibration`")
        return self


class Published(ConfigEntry):
    """A checkpoint on the hub that the paper's may be."""

    repo: Repo
    revision: Text | None = None
    evidence: Literal["strong", "medium", "weak"]


class Recipe(ConfigEntry):
    """A method at one width."""

    recipe: Settings = Field(description="parameters of the toolkit")
    calibration: names.CalibrationSet | None = Field(description="set of config/calibration.yaml; null: none is read")
    overrides: listed(RecipeOverride, min_length=1) = ()
    published: Annotated[dict[names.Model, Published], Field(min_length=1)] = Field(
        default={}, description="checkpoints on the hub by model"
    )
    place: Places = Field(description="where each value stands in the paper")
    unknown: Places = Field(default={}, description="what the paper leaves open, and the choice made here")


class Method(ConfigEntry):
    """A quantization method with its toolkit."""

    label: Text = Field(description="as tables print it")
    toolkit: names.name_of("toolkit", "toolkits") = Field(description="module of quantize/toolkits/")
    paper: bool = Field(description="whether the paper has this method")
    bits: Annotated[dict[Bits, Recipe], Field(min_length=1)] = Field(description="widths of the form w4a16")


class Recipes(ConfigEntry):
    """The whole file."""

    methods: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")], Method], Field(min_length=1)]
