"""config/published/facts.yaml: what is known beside the paper's numbers."""

from typing import Annotated

from pydantic import Field

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Count, Text, listed


class BenchmarkFact(ConfigEntry):
    """What Table 3 should say of a benchmark."""

    tasks: Count
    scale: Annotated[str, Field(pattern=r"^([0-9]+-[0-9]+)?$", description="of ratings, such as 1-10")] = ""
    source: Text


class OpenSetting(ConfigEntry):
    """A setting that the paper leaves open or says twice."""

    setting: Text
    place: Text = Field(description="where the paper speaks of it")
    says: Text = Field(description="what it says there")
    choice: Text = Field(description="what is done here")


class SummaryClaim(ConfigEntry):
    """What a summary of the paper claims and the paper does not."""

    claim: Text
    source: Text = Field(description="the summary")
    paper: Text = Field(description="what the paper has")
    place: Text = Field(description="where in the paper, or a claim of claims.yaml")


class Facts(ConfigEntry):
    """The whole file."""

    benchmarks: dict[names.Benchmark, BenchmarkFact]
    open: listed(OpenSetting, min_length=1)
    summaries: listed(SummaryClaim, min_length=1)
