"""config/config.yaml as Snakemake merged it with a profile and --config: what a user edits."""

from typing import Annotated, Literal

from pydantic import Field

from edge2giant.config.entry import Entry, Text

Folder = Annotated[str, Field(pattern=r"^[^/~]")]


class Run(Entry):
    """Choices for one run of Snakemake."""

    study: Text = Field(description="a file of config/studies/")
    batch: Literal["suite", "checkpoint", "benchmark"] = Field(description="how many benchmarks one evaluation job runs")
    results: Folder = Field(description="a folder below the working directory; it may be a link")
    figures: Folder = Field(description="a folder below the working directory; it may be a link")
    keep_checkpoints: bool = Field(default=True, description="whether weights stay once their cells are done")
    mirror: Text | None = Field(default=None, description="folder of hub ids that acquire reads in place of the hub")
    token_file: Text | None = Field(default=None, description="file that holds the hub token")
    cluster: Text | None = Field(default=None, description="entry of config/clusters.yaml; the first where it is left out")
