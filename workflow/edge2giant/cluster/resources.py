"""What a job asks of the machine or of SLURM: GPUs by its placement, memory and minutes that grow. Pure functions."""

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from edge2giant import grid
from edge2giant.cluster import placement
from edge2giant.cluster.placement import Placement
from edge2giant.engine.plan import GIB, Serving
from edge2giant.errors import UserError
from edge2giant.quantize import toolkits
from edge2giant.specs.quantize import QuantizeSpec

MIB = 2**20
SITE = ("parallel", "engine", "scratch", "slurm_partition", "gpu_model", "cpus_per_task", "nodes", "gres", "mpi", "tasks")
SITE += ("tasks_per_gpu", "slurm_account", "qos", "constraint")
# A tiny model on a CPU stack: the toolkit's libraries outweigh it.
CPU_MEMORY_MB = 4000
CPU_MINUTES = 60
GPU_JOB_THREADS = 8
# Set-up of a job before it works: imports, loading, compiling.
SETUP_MINUTES = 45
# Wall time of a job by a checkpoint's size: generous, since a job that hits its limit loses the benchmark that was running.
MINUTES_PER_BILLION = {"evaluate": 12, "quantize": 6}
# To link a checkpoint is to read its files twice for their SHA-256, and the proof.
LINK_MINUTES_PER_BILLION = 0.5
MAX_MINUTES = 14 * 24 * 60
# A worker process for each GPU, and tokenization and sampling beside it.
CPUS_PER_GPU = 6
# vLLM cuts long prompts into steps since this version.
CHUNKS_SINCE = (0, 8)


@dataclass(frozen=True)
class Job:
    """A job as far as its resources go.

    Parameters
    ----------
    phase : {'evaluate', 'quantize'}
    row : grid.Row
    device : {'cpu', 'cuda'}
        Of the stack it runs on.
    links : bool
        Of a checkpoint: nothing is quantized, its files are linked, hashed and proven, on CPU.
    serving : Serving or None
        Of an evaluation: what its engine is asked for.
    """

    phase: str
    row: grid.Row
    device: str
    links: bool = False
    serving: Serving | None = None


def making(house: grid.House, row: grid.Row, spec: QuantizeSpec) -> Job:
    """The job that makes a checkpoint."""
    stack = spec.environment.split("/")[0]
    return Job("quantize", row, house.stacks[stack]["device"], links=toolkits.links(spec.toolkit))


def evaluation(house: grid.House, study: grid.Study, row: grid.Row) -> Job:
    """The job that evaluates a row's checkpoint, with what the config says of its engine."""
    stack, protocol = house.stacks[study.stack], house.protocols[study.protocol]
    names = ("max_model_len", "kv_cache_dtype", "max_num_batched_tokens", "gpu_memory_utilization")
    settings = stack["engine_settings"] | study.engine_settings
    asked = {"max_model_len": protocol["max_model_len"]} | {name: settings[name] for name in names if name in settings}
    version = tuple(map(int, re.findall(r"\d+", stack["engine_version"])))
    whole = stack["engine"] == "vllm-stock" and version < CHUNKS_SINCE
    return Job("evaluate", row, stack["device"], serving=Serving(**asked, whole_prompts=whole))


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

    A checkpoint that is linked asks for none, whatever an override says of its row. A stack without GPU asks for none either,
    unless the cluster's `rehearse` or an override says otherwise.

    Raises
    ------
    UserError
        If nothing in the cluster can hold the job, or an override asks for more than its partition has.
    """
    if job.links:
        return None
    if wanted := override(cluster, job):
        return forced(house, cluster, job, wanted)
    if job.device == "cpu" and job.row.model not in cluster.get("rehearse", {}):
        return None
    shape = json.dumps(architecture(house, cluster, job.row.model))
    try:
        return _place(job.row.method, job.row.bits, shape, job.serving, json.dumps(cluster["partitions"]))
    except UserError as error:
        raise UserError(error.what, f"{error.where}, {job.row.path}", error.hint) from None


@cache
def _place(method: str, bits: str, shape: str, serving: Serving | None, partitions: str) -> Placement:
    """Place once what many resources of many jobs ask for; texts, since a cache needs keys that cannot change."""
    architecture, cluster = json.loads(shape), {"partitions": json.loads(partitions)}
    if serving is None:
        return placement.place_quantization(architecture, method, bits, cluster)
    return placement.place_evaluation(architecture, method, bits, serving, cluster)


def forced(house: grid.House, cluster: dict, job: Job, wanted: dict) -> Placement | None:
    """The placement that an override names."""
    where = f"config/clusters.yaml, override of {wanted['rows']}"
    name, gpus, nodes = wanted["partition"], wanted.get("gpus", 1), wanted.get("nodes", 1)
    if name not in cluster["partitions"]:
        raise grid.unknown("partition", name, cluster["partitions"], where)
    partition = cluster["partitions"][name]
    if gpus > partition["gpus_per_node"] or nodes > partition["nodes"]:
        have = f"{partition['nodes']} nodes of {partition['gpus_per_node']} GPUs"
        raise UserError(f"asks for {nodes} nodes of {gpus} GPUs, partition {name} has {have}", where, "ask for less")
    shape = architecture(house, cluster, job.row.model)
    return placement.as_ordered(shape, job.row.bits, job.serving, cluster, name, nodes, gpus) if gpus else None


def host_bytes(house: grid.House, cluster: dict, job: Job, placed: Placement | None) -> int:
    """Host memory that a job needs, in bytes."""
    shape = architecture(house, cluster, job.row.model)
    if job.links:
        return placement.proof_host_bytes(shape)
    if job.phase == "quantize":
        return placement.quantization_host_bytes(shape)
    return placement.evaluation_host_bytes(shape, job.row.bits, placed.gpus_per_node if placed else 0)


def memory_mb(house: grid.House, cluster: dict, job: Job, attempt: int = 1) -> int:
    """Host memory in MB, doubled with each attempt up to what a node of the partition (without one, any node) has."""
    if job.device == "cpu":
        return CPU_MEMORY_MB * 2 ** (attempt - 1)
    placed = place(house, cluster, job)
    partitions = cluster["partitions"]
    nodes = [partitions[placed.partition]] if placed else partitions.values()
    ceiling = int(max(node["host_memory_gib"] for node in nodes) * GIB // MIB)
    return min(host_bytes(house, cluster, job, placed) // MIB * 2 ** (attempt - 1), ceiling)


def minutes(house: grid.House, cluster: dict, job: Job, attempt: int = 1) -> int:
    """Wall-clock limit in minutes, doubled with each attempt up to what the partition allows."""
    if job.device == "cpu":
        return CPU_MINUTES * 2 ** (attempt - 1)
    placed = place(house, cluster, job)
    rate = LINK_MINUTES_PER_BILLION if job.links else MINUTES_PER_BILLION[job.phase]
    work = rate * billions(house, cluster, job.row.model)
    if job.phase == "evaluate" and placed:
        work /= placed.gpus**0.5
    ceiling = int(cluster["partitions"][placed.partition]["max_hours"] * 60) if placed else MAX_MINUTES
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
            "engine": "-",
            "scratch": entry.get("scratch", "-"),
            "slurm_partition": entry.get("partition"),
            **_account(cluster, entry),
        }
    partition = cluster["partitions"][placed.partition]
    # A second node would look for the first one's copy.
    scratch = partition.get("scratch", "-") if placed.nodes == 1 else "-"
    said = {"parallel": "1x1", "engine": "-", "scratch": scratch, "slurm_partition": placed.partition, "nodes": placed.nodes}
    said |= _account(cluster, partition)
    # What is rehearsed without a GPU has no layers to share and no workers to feed.
    if job.device == "cuda":
        share = min(CPUS_PER_GPU, partition["cpus"] // partition["gpus_per_node"])
        said |= {"parallel": f"{placed.gpus_per_node}x{placed.nodes}", "cpus_per_task": share * placed.gpus_per_node}
        said |= {"engine": ",".join(f"{name}={value}" for name, value in placed.settings) or "-"}
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
