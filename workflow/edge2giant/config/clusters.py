"""config/clusters.yaml: sites, their partitions and GPUs."""

from typing import Annotated, Literal

from pydantic import Field

from edge2giant.config.entry import Count, Entry, Name, Natural, Positive, Text, listed


class Submission(Entry):
    """What SLURM is asked for beside resources."""

    account: Text | None = None
    qos: Text | None = None
    constraint: Text | None = None
    scratch: Text | None = Field(default=None, description="node-local folder; environment variables are expanded there")


class Partition(Submission):
    """Equal nodes with equal GPUs."""

    gpu: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")] = Field(description="GPU type as SLURM calls it")
    gpus_per_node: Count
    nodes: Count
    gpu_memory_gib: Positive
    compute_capability: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")] = Field(description='in quotes, such as "9.0"')
    host_memory_gib: Positive
    cpus: Count
    max_hours: Positive
    tflops: Positive | None = Field(
        default=None, description="peak of dense 16-bit matrix products of one GPU; the forecast counts 8-bit ones twice as fast"
    )
    bandwidth_gb_s: Positive | None = Field(default=None, description="peak memory bandwidth of one GPU")


class Cpu(Submission):
    """Where jobs without GPU go."""

    partition: Text | None = None
    tflops: Positive | None = Field(default=None, description="peak of the cores that a job without GPU takes, for the forecast")
    bandwidth_gb_s: Positive | None = Field(default=None, description="memory bandwidth of such a job")


class PlacementOverride(Entry):
    """A placement that is forced; the last match counts."""

    variants: Text = Field(description="model/method/bits with * and ?")
    phase: Literal["evaluate", "quantize"] | None = None
    partition: Text
    gpus: Natural = Field(default=1, description="of one node; 0 for a job without GPU")
    nodes: Count = 1


class Cluster(Entry):
    """SLURM partitions of a site, or one machine."""

    title: Text
    partitions: Annotated[dict[Name, Partition], Field(min_length=1)]
    account: Text | None = None
    scratch: Text | None = Field(
        default=None,
        description="node-local folder that checkpoints are staged to, once a node; environment variables are expanded there",
    )
    cpu: Cpu = Field(default=Cpu(), description="where jobs without GPU go")
    overrides: listed(PlacementOverride) = ()
    rehearse: dict[Text, Text] = Field(default={}, description="models placed as if they were others, on a stack without GPU")


Clusters = Annotated[dict[Name, Cluster], Field(min_length=1, title="config/clusters.yaml: sites, their partitions and GPUs")]
