"""config/config.yaml as Snakemake merged it with a profile and --config: what a user edits."""

from typing import Annotated, Literal

from pydantic import Field

from edge2giant.config.entry import ConfigEntry, Text
from edge2giant.config.files import check

Folder = Annotated[str, Field(pattern=r"^[^/~]")]


class RunSettings(ConfigEntry):
    """Choices for one run of Snakemake."""

    study: Text = Field(description="a file of config/studies/")
    batch: Literal["suite", "checkpoint", "benchmark"] = Field(description="how many benchmarks one evaluation job runs")
    results: Folder = Field(description="a folder below the working directory; it may be a link")
    figures: Folder = Field(description="a folder below the working directory; it may be a link")
    keep_checkpoints: bool = Field(default=True, description="whether weights stay once their cells are done")
    mirror: Text | None = Field(default=None, description="folder of hub ids that acquire reads in place of the hub")
    token_file: Text | None = Field(default=None, description="file that holds the hub token")
    cluster: Text | None = Field(default=None, description="entry of config/clusters.yaml; the first where it is left out")


def check_run(merged: dict) -> RunSettings:
    """Check `config/config.yaml` as Snakemake merged it with a profile and `--config`.

    Raises
    ------
    UserError
        If a key or value is not allowed.
    """
    spelt = {"true": True, "false": False}  # Snakemake's --config reads True and False alone
    kept = merged.get("keep_checkpoints", True)
    settings = merged | {"keep_checkpoints": spelt.get(kept, kept) if isinstance(kept, str) else kept}
    return check(settings, RunSettings, "config/config.yaml or --config")
