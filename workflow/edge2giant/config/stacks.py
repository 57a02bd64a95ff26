"""config/stacks.yaml: engines and environments."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Name, Settings, Text

OF_PROTOCOL = ("add_bos_token", "chat_template_kwargs", "date", "think_end_token")


def _of_engine(settings: dict) -> dict:
    """Refuse what a model's own entry or the protocol decides."""
    if wrong := [key for key in OF_PROTOCOL if key in settings]:
        raise ValueError(f"{wrong[0]} does not belong here: the protocol decides it (`bos` for add_bos_token)")
    if "chat_template" in settings:
        raise ValueError("chat_template does not belong here: it is a key of a model's entry of models.yaml")
    if "trust_remote_code" in settings:
        raise ValueError("trust_remote_code does not belong here: code of a model's repository is not run")
    return settings


EngineSettings = Annotated[Settings, AfterValidator(_of_engine)]
Environment = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$")]


class Stack(ConfigEntry):
    """The pinned software that a study runs on."""

    title: Text
    device: Literal["cpu", "cuda"]
    engine: Literal["hf", "vllm", "vllm-stock"]
    engine_version: Annotated[str, Field(pattern=r"^[0-9.]+$")] = Field(
        description="release that preflight judges by, in quotes; the pin stands in envs/"
    )
    engine_settings: EngineSettings = Field(description="arguments of the engine")
    environments: Annotated[dict[names.name_of("toolkit", "served"), Environment], Field(min_length=1)] = Field(
        description="toolkit and its environment: a file of envs/<stack>/, or of another stack as <stack>/<name>"
    )

    def environment(self, name: str, toolkit: str) -> str:
        """`<stack>/<environment>` that holds a toolkit; `name` is the stack's own."""
        environment = self.environments[toolkit]
        return environment if "/" in environment else f"{name}/{environment}"


Stacks = Annotated[dict[Name, Stack], Field(min_length=1, title="config/stacks.yaml: engines and environments")]
