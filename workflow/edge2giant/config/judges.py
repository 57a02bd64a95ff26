"""config/judges.yaml: who rates MT-Bench answers."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge2giant.config.entry import ConfigEntry, Count, Name, Natural, NotNegative, Positive, Settings, Text, listed, refusal


class Price(ConfigEntry):
    """USD for 1,000 tokens."""

    prompt: NotNegative
    completion: NotNegative


class Judge(ConfigEntry):
    """One judge; docs/mt_bench.md explains each key."""

    title: Text
    kind: Literal["openai-compatible", "served"]
    model: Text
    model_choice: Text | None = Field(default=None, description="why this model")
    base_url: Annotated[str, Field(pattern=r"^(auto|https?://.+)$")] = Field(
        description="http(s) address, or auto for a judge that the job starts"
    )
    key_file: Text | None = Field(default=None, description="file whose first line is the API key")
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        default=None, description="environment variable that holds the API key"
    )
    serve: listed(Text, min_length=1) = Field(default=(), description="command that serves the model")
    gpus: Natural = Field(default=0, description="GPUs that serving the model takes")
    ready_timeout_s: Positive = 900
    price_usd_per_1k_tokens: Price
    price_source: Text | None = None
    limit_usd: NotNegative | None = Field(description="USD that this judge may cost; null: no limit")
    repeats: Count = Field(description="ratings of each answer")
    concurrency: Annotated[int, Field(ge=1, le=256)] = Field(description="requests at the same time, at most 256")
    timeout_s: Positive = 180
    attempts: Annotated[int, Field(ge=1, le=100)] = 8
    longest_wait_s: NotNegative = 60
    give_up_after: Count = 8
    temperature: NotNegative | None = 0.0
    max_tokens: Count = 2048
    token_limit_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: Settings = Field(default={}, description="what else each request holds")

    @model_validator(mode="after")
    def _kind_and_keys_agree(self):
        if (self.kind == "served") != bool(self.serve):
            raise refusal("a judge of kind served needs `serve`" if self.kind == "served" else "`serve` needs kind served")
        if self.kind == "openai-compatible" and self.base_url == "auto":
            raise refusal("a judge of kind openai-compatible needs an http(s) address as its `base_url`")
        if self.kind == "served" and not re.match(r"auto$|http://(127\.|localhost|\[::1\])", self.base_url):
            raise refusal("the `base_url` of a judge of kind served is auto or an address of this machine")
        return self


Judges = Annotated[dict[Name, Judge], Field(min_length=1, title="config/judges.yaml: who rates MT-Bench answers")]
