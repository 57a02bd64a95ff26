"""config/clusters.yaml: sites, their partitions and GPUs."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Count, Name, Natural, Positive, Text, listed, refusal

SlurmNames = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._,-]*$")]


class Submission(ConfigEntry):
    """What SLURM is asked for beside resources."""

    account: Text | None = None
    qos: Text | None = None
    constraint: Text | None = None
    scratch: Text | None = Field(default=None, description="node-local folder; environment variables are expanded there")


class Partition(Submission):
    """Equal nodes with equal GPUs."""

    partition: SlurmNames | None = Field(
        default=None, description="SLURM's name of it, or several with commas, where that is not the entry's own name"
    )
    gpu: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = Field(
        default=None,
        description="GPU type or MIG profile as SLURM calls it (sinfo -o %G); left out where the site's GPUs have no type",
    )
    ask_by: Literal["gpus", "gres"] = Field(default="gpus", description="option of sbatch that the site takes GPUs by")
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

    partition: SlurmNames | None = None
    tflops: Positive | None = Field(default=None, description="peak of the cores that a job without GPU takes, for the forecast")
    bandwidth_gb_s: Positive | None = Field(default=None, description="memory bandwidth of such a job")


class ResourceOverride(ConfigEntry):
    """Resources that are set by hand for the jobs it matches; what is left out is planned."""

    variants: Text = Field(description="model/method/bits with * and ?")
    phase: Literal["quantize", "evaluate", "judge"] | None = Field(default=None, description="every phase where it is left out")
    partition: Text | None = None
    gpus: Natural | None = Field(default=None, description="of one node, 1 where it is left out; 0 for a job without GPU")
    nodes: Count | None = Field(default=None, description="of an evaluation")
    mem_mb: Count | None = Field(default=None, description="host memory of the first attempt; each further one doubles it")
    runtime: Count | None = Field(default=None, description="minutes of the first attempt; each further one doubles them")

    @model_validator(mode="after")
    def _nodes_and_gpus_are_of_a_partition(self):
        if self.partition is None and (self.gpus is not None or self.nodes is not None):
            raise refusal("`gpus` and `nodes` need a `partition`")
        if self.nodes is not None and self.phase not in (None, "evaluate"):
            raise refusal("only an evaluation runs on several `nodes`")
        return self


class Cluster(ConfigEntry):
    """SLURM partitions of a site, or one machine."""

    title: Text
    partitions: dict[SlurmNames, Partition] = Field(description="with GPUs; none on a machine without")
    account: Text | None = None
    scratch: Text | None = Field(
        default=None,
        description="node-local folder that checkpoints are staged to, once a node; environment variables are expanded there",
    )
    cpu: Cpu = Field(default=Cpu(), description="where jobs without GPU go")
    overrides: listed(ResourceOverride) = Field(default=(), description="merged key by key; of two that match the later counts")
    rehearse: dict[names.Model, names.Model] = Field(
        default={}, description="models placed as if they were others, on a stack without GPU"
    )

    @model_validator(mode="after")
    def _overrides_ask_for_what_there_is(self):
        for number, one in enumerate(self.overrides):
            if one.partition is None:
                continue
            place = ("overrides", number)
            if one.partition not in self.partitions:
                raise refusal(
                    f"unknown partition '{one.partition}'", f"choose one of: {', '.join(sorted(self.partitions))}", place
                )
            there, nodes, gpus = self.partitions[one.partition], one.nodes or 1, one.gpus or 0
            if gpus > there.gpus_per_node or nodes > there.nodes:
                have = f"{there.nodes} nodes of {there.gpus_per_node} GPUs"
                what = f"asks for {nodes} nodes of {gpus} GPUs, partition {one.partition} has {have}"
                raise refusal(what, place=place)
        return self


Clusters = Annotated[dict[Name, Cluster], Field(min_length=1, title="config/clusters.yaml: sites, their partitions and GPUs")]
