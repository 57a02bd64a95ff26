"""config/models.yaml: the unquantized models."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge2giant.config.entry import Commit, ConfigEntry, Count, Name, Positive, Text


class Architecture(ConfigEntry):
    """Numbers of a decoder as in its config.json, so that a plan needs no download."""

    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count
    head_dim: Count
    vocab_size: Count
    max_position_embeddings: Count
    tie_word_embeddings: bool


class Model(ConfigEntry):
    """One unquantized model."""

    name: Text = Field(description="as tables print it")
    repo: Text = Field(description="id on the Hugging Face hub")
    revision: Commit | None = Field(
        description="commit of 40 hexadecimal digits; null: acquire resolves the branch once and locks it"
    )
    licence: Text
    gated: bool = Field(description="whether the hub asks for a token and accepted terms")
    parameters: Count
    nominal_billions: Positive = Field(description="size in the model's name, for the printed storage")
    architecture: Architecture
    trust_remote_code: bool = Field(
        default=False, description="whether code of the model's repository may run; needs a `revision`"
    )
    made_by: Literal["miniature"] | None = Field(default=None, description="made here and not fetched")

    @model_validator(mode="after")
    def _code_was_read(self):
        if self.trust_remote_code and self.revision is None:
            raise ValueError("trust_remote_code needs a `revision`: the commit whose code was read")
        return self


Models = Annotated[dict[Name, Model], Field(min_length=1, title="config/models.yaml: the unquantized models")]
