"""config/config.yaml as Snakemake merged it with a profile and --config: what a user edits."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Text


def _spelt(value: object) -> object:
    """Snakemake's --config reads True and False alone."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Folder = Annotated[str, Field(pattern=r"^[^/~]")]


class RunSettings(ConfigEntry):
    """Choices for one run of Snakemake."""

    study: names.name_of("study", "studies") = Field(description="a file of config/studies/")
    batch: Literal["auto", "suite", "checkpoint", "benchmark"] = Field(
        default="auto", description="how many benchmarks one evaluation job runs: auto goes by what is asked for"
    )
    results: Folder = Field(description="a folder below the working directory; it may be a link")
    figures: Folder = Field(description="a folder below the working directory; it may be a link")
    keep_checkpoints: Annotated[bool, BeforeValidator(_spelt)] = Field(
        default=True, description="whether weights stay once their cells are done"
    )
    check_checkpoints: Literal["size", "sha256"] = Field(
        default="size",
        description="how an evaluation holds a checkpoint's files to its record",
    )
    policy: names.name_of("policy", "policies") = Field(default="usual", description="entry of config/policies.yaml, for `gate`")
    mirror: Text | None = Field(default=None, description="folder of hub ids that acquire reads in place of the hub")
    token_file: Text | None = Field(default=None, description="file that holds the hub token")
    cluster: names.name_of("cluster", "clusters") | None = Field(
        default=None, description="entry of config/clusters.yaml; the first where it is left out"
    )
