"""config/models.yaml: the unquantized models."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from edge2giant import typed
from edge2giant.config.entry import (
    Commit,
    ConfigEntry,
    Count,
    Name,
    Natural,
    NotNegative,
    Positive,
    Sha256,
    Text,
    distinct,
    entry_of,
    refusal,
)
from edge2giant.models.facts import ModelFacts


def _facts(entry: ConfigEntry) -> ModelFacts:
    return typed.build(ModelFacts, entry.model_dump(), "config/models.yaml")


class Noise(ConfigEntry):
    """Uniform noise on the linear layers of decoder blocks."""

    bits: Annotated[int, Field(ge=2, le=8)] = Field(description="of the grid that the source lies on")
    group_size: Count = Field(description="input channels of a group of that grid")
    share: NotNegative = Field(description="most that is added or subtracted, in steps of the grid")


class Distillation(ConfigEntry):
    """AdamW towards the source's next-token distributions."""

    steps: Count
    windows: Count = Field(description="windows of text in a step")
    length: Count = Field(description="tokens of a window")
    learning_rate: Positive = Field(description="the largest: after the warmup it falls to 0 along a cosine")
    warmup: Natural = Field(description="steps over which the learning rate rises")
    heldout: Count = Field(description="last windows of each text, which are only measured on")
    seed: Natural = Field(description="of the noise and of the order of windows")


class Tuning(ConfigEntry):
    """How a model is made of another one: noise, then distillation."""

    source: Text = Field(alias="from", description="entry of config/models.yaml, which is fetched")
    texts: distinct(Text) = Field(description="entries of config/calibration.yaml whose documents are read")
    noise: Noise
    distillation: Distillation


class Model(ConfigEntry):
    """One unquantized model."""

    name: Text = Field(description="as tables print it")
    repo: Text = Field(description="id on the Hugging Face hub")
    revision: Commit | None = Field(
        description="commit of 40 hexadecimal digits; null: acquire resolves the branch once and locks it"
    )
    licence: Text
    gated: bool = Field(description="whether the hub asks for a token and accepted terms")
    nominal_billions: Positive = Field(description="size in the model's name, for the printed storage")
    facts: Annotated[entry_of(ModelFacts), AfterValidator(_facts)] = Field(description="what the model's own files say")
    chat_template: Text | None = Field(
        default=None, description="file below config/ with a chat template in place of the model's own"
    )
    folder: Text | None = Field(
        default=None, description="folder of this machine that holds it, not the hub; `revision` is then a digest of its files"
    )
    trust_remote_code: bool = Field(default=False, description="code of a model's repository is not run: true is refused")
    config_sha256: Sha256 | None = Field(default=None, description="of the config.json that the facts were read from")
    unverified: bool = Field(
        default=False, description="the facts were typed by hand; `python -m edge2giant.add_model` reads them from the model"
    )
    made_by: Literal["miniature"] | None = Field(default=None, description="made here and not fetched")
    tuned: Tuning | None = Field(default=None, description="made here of another model by rule tune_model, and not fetched")

    @model_validator(mode="after")
    def _has_no_code(self):
        if self.trust_remote_code:
            raise refusal(
                "trust_remote_code: code of a model's repository is not run", "name a model whose type transformers has"
            )
        return self

    @model_validator(mode="after")
    def _facts_have_a_source(self):
        if not self.made_by and not self.tuned and self.unverified == (self.config_sha256 is not None):
            raise refusal("should have either `config_sha256` or `unverified: true`", "add the model by edge2giant.add_model")
        return self


Models = Annotated[dict[Name, Model], Field(min_length=1, title="config/models.yaml: the unquantized models")]
