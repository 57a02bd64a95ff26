"""What a job asks of the machine or of SLURM: GPUs by its placement, memory and minutes that grow. Pure functions."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from edge2giant import grid
from edge2giant.cluster import placement
from edge2giant.cluster.placement import GIB, Placement
from edge2giant.errors import UserError

MIB = 2**20
SITE = ("parallel", "scratch", "slurm_partition", "gpu_model", "cpus_per_task", "nodes", "gres", "mpi", "tasks", "tasks_per_gpu")
SITE += ("slurm_account", "qos", "constraint")
# A tiny model on a CPU stack: the toolkit's libraries outweigh it.
CPU_MEMORY_MB = 4000
CPU_MINUTES = 60
GPU_JOB_THREADS = 8
# Set-up of a job before it works: imports, loading, compiling.
SETUP_MINUTES = 45
# Wall time of a job by a checkpoint's size: generous, since a job that hits its limit loses what the journal does not hold yet.
MINUTES_PER_BILLION = {"evaluate": 12, "quantize": 6}
MAX_MINUTES = 14 * 24 * 60
# A worker process for each GPU, and tokenization and sampling beside it.
CPUS_PER_GPU = 6


@dataclass(frozen=True)
class Job:
    """A job as far as its resources go.

    Parameters
    ----------
    phase : {'evaluate', 'quantize'}
    row : grid.Row
    device : {'cpu', 'cuda'}
        Of the stack it runs on.
    """

    phase: str
    row: grid.Row
    device: str


def cluster_of(house: grid.House, name: str | None) -> dict:
    """The cluster of that name, or the first of `config/clusters.yaml`.

    Raises
    ------
    UserError
        If there is no such cluster.
    """
    if name is None:
        return next(iter(house.clusters.values()))
    if name not in house.clusters:
        raise grid.unknown("cluster", name, house.clusters, "config/config.yaml")
    return house.clusters[name]


def override(cluster: dict, job: Job) -> dict:
    """The last entry of the cluster's overrides that matches a job; nothing if none does."""
    found = {}
    for entry in cluster.get("overrides", []):
        if fnmatchcase(job.row.path, entry["rows"]) and entry.get("phase", job.phase) == job.phase:
            found = entry
    return found


def architecture(house: grid.House, cluster: dict, model: str) -> dict:
    """The architecture that a model is placed by: its own, or that of the model it stands in for in a rehearsal."""
    return house.models[cluster.get("rehearse", {}).get(model, model)]["architecture"]


def billions(house: grid.House, cluster: dict, model: str) -> float:
    return house.models[cluster.get("rehearse", {}).get(model, model)]["parameters"] / 1e9


def place(house: grid.House, cluster: dict, job: Job) -> Placement | None:
    """GPUs of a job, or None when it asks for none.

    A stack without GPU asks for none, unless the cluster's `rehearse` or an override says otherwise.

    Raises
    ------
    UserError
        If nothing in the cluster can hold the job, or an override asks for more than its partition has.
    """
    if wanted := override(cluster, job):
        return forced(cluster, wanted)
    if job.device == "cpu" and job.row.model not in cluster.get("rehearse", {}):
        return None
    shape = json.dumps(architecture(house, cluster, job.row.model))
    try:
        return _place(job.phase, job.row.method, job.row.bits, shape, json.dumps(cluster["partitions"]))
    except UserError as error:
        raise UserError(error.what, f"{error.where}, {job.row.path}", error.cure) from None


@cache
def _place(phase: str, method: str, bits: str, shape: str, partitions: str) -> Placement:
    """Place once what many resources of many jobs ask for; texts, since a cache needs keys that cannot change."""
    by = {"evaluate": placement.place_evaluation, "quantize": placement.place_quantization}[phase]
    return by(json.loads(shape), method, bits, {"partitions": json.loads(partitions)})


def forced(cluster: dict, wanted: dict) -> Placement | None:
    """The placement that an override names."""
    where = f"config/clusters.yaml, override of {wanted['rows']}"
    name, gpus, nodes = wanted["partition"], wanted.get("gpus", 1), wanted.get("nodes", 1)
    if name not in cluster["partitions"]:
        raise grid.unknown("partition", name, cluster["partitions"], where)
    partition = cluster["partitions"][name]
    if gpus > partition["gpus_per_node"] or nodes > partition["nodes"]:
        have = f"{partition['nodes']} nodes of {partition['gpus_per_node']} GPUs"
        raise UserError(f"asks for {nodes} nodes of {gpus} GPUs, partition {name} has {have}", where, "ask for less")
    return Placement(name, partition["gpu"], nodes, gpus) if gpus else None


def memory_mb(house: grid.House, cluster: dict, job: Job, attempt: int = 1) -> int:
    """Host memory in MB, doubled with each attempt up to what a node of the partition has."""
    placed = place(house, cluster, job)
    if placed is None or job.device == "cpu":
        return CPU_MEMORY_MB * 2 ** (attempt - 1)
    shape = architecture(house, cluster, job.row.model)
    if job.phase == "quantize":
        need = placement.quantization_host_bytes(shape)
    else:
        need = placement.evaluation_host_bytes(shape, job.row.bits, placed.gpus_per_node)
    ceiling = int(cluster["partitions"][placed.partition]["host_memory_gib"] * GIB // MIB)
    return min(need // MIB * 2 ** (attempt - 1), ceiling)


def minutes(house: grid.House, cluster: dict, job: Job, attempt: int = 1) -> int:
    """Wall-clock limit in minutes, doubled with each attempt up to what the partition allows."""
    placed = place(house, cluster, job)
    if placed is None or job.device == "cpu":
        return CPU_MINUTES * 2 ** (attempt - 1)
    work = MINUTES_PER_BILLION[job.phase] * billions(house, cluster, job.row.model)
    if job.phase == "evaluate":
        work /= placed.gpus**0.5
    ceiling = int(cluster["partitions"][placed.partition]["max_hours"] * 60)
    return min(int(SETUP_MINUTES + work) * 2 ** (attempt - 1), ceiling, MAX_MINUTES)


def threads(job: Job) -> int:
    """CPU cores of a job: the miniature's models are too small to share one, a GPU job tokenizes while it computes."""
    return 1 if job.device == "cpu" else GPU_JOB_THREADS


def gpus(house: grid.House, cluster: dict, job: Job) -> int:
    """GPUs of one job that fits one machine; several nodes ask by `gres`, which SLURM counts for each node."""
    placed = place(house, cluster, job)
    return placed.gpus if placed and placed.nodes == 1 else 0


def site(house: grid.House, cluster: dict, job: Job) -> dict[str, str | int | None]:
    """What only SLURM reads: partition, GPU type, nodes, account. None leaves a request unsaid."""
    placed = place(house, cluster, job)
    if placed is None:
        entry = cluster.get("cpu", {})
        return {
            "parallel": "1x1",
            "scratch": entry.get("scratch", "-"),
            "slurm_partition": entry.get("partition"),
            **_account(cluster, entry),
        }
    partition = cluster["partitions"][placed.partition]
    # A second node would look for the first one's copy.
    scratch = partition.get("scratch", "-") if placed.nodes == 1 else "-"
    said = {"parallel": "1x1", "scratch": scratch, "slurm_partition": placed.partition, "nodes": placed.nodes}
    said |= _account(cluster, partition)
    # What is rehearsed without a GPU has no layers to share and no workers to feed.
    if job.device == "cuda":
        share = min(CPUS_PER_GPU, partition["cpus"] // partition["gpus_per_node"])
        said |= {"parallel": f"{placed.gpus_per_node}x{placed.nodes}", "cpus_per_task": share * placed.gpus_per_node}
    if placed.nodes == 1:
        return said | {"gpu_model": placed.gpu}
    per_node = f"gpu:{placed.gpu}:{placed.gpus_per_node}"
    return said | {"gres": per_node, "mpi": "srun", "tasks": placed.nodes, "tasks_per_gpu": 0}


def _account(cluster: dict, entry: dict) -> dict[str, str | None]:
    return {
        "slurm_account": entry.get("account", cluster.get("account")),
        "qos": entry.get("qos"),
        "constraint": entry.get("constraint"),
    }
