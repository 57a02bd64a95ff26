"""What each job gets of the machine or of SLURM: GPUs by its placement, memory and minutes that grow with each attempt."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from edge2giant.engine.plan import GIB, Serving
from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.plan import placement
from edge2giant.plan import quantize as checkpoints
from edge2giant.plan.members import member
from edge2giant.plan.placement import Placement
from edge2giant.quantize import toolkits
from edge2giant.specs.variant import Variant

if TYPE_CHECKING:
    from edge2giant.config import Config, Study
    from edge2giant.config.clusters import Cluster, Submission
    from edge2giant.plan import Plan
    from edge2giant.specs.quantize import QuantizeSpec

MIB = 2**20
SITE = ("parallel", "engine", "scratch", "slurm_partition", "gpu_model", "cpus_per_task", "nodes", "gres", "mpi", "tasks")
SITE += ("tasks_per_gpu", "slurm_account", "qos", "constraint")
"""What SLURM and the job's command line read beside memory, time and GPUs."""
# A tiny model on a CPU stack: the toolkit's libraries outweigh it.
CPU_MEMORY_MB = 4000
CPU_MINUTES = 60
GPU_JOB_THREADS = 8
# Set-up of a job before it works: imports, loading, compiling.
SETUP_MINUTES = 45
# Wall time of a job by a checkpoint's size: generous, since a job that hits its limit loses what no cache holds yet.
MINUTES_PER_BILLION = {"evaluate": 12, "quantize": 6}
# To link a checkpoint is to read its files twice for their SHA-256, and to validate it.
LINK_MINUTES_PER_BILLION = 0.5
# A judge serves one model for all answers of a variant.
JUDGE_MEMORY_MB = 64_000
JUDGE_MINUTES = 240
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
    phase : {'quantize', 'evaluate', 'judge'}
    variant : Variant
    device : {'cpu', 'cuda'}
        Of the stack it runs on.
    links : bool
        Of a checkpoint: nothing is quantized, its files are linked, hashed and validated, on CPU.
    serving : Serving or None
        Of an evaluation: what its engine is started with.
    judge_gpus : int
        Of a judge that the job serves.
    """

    phase: str
    variant: Variant
    device: str
    links: bool = False
    serving: Serving | None = None
    judge_gpus: int = 0


JobOf = Callable[["Plan", Any], Job]


# --- the jobs of each phase, by wildcards --------------------------------------------------------------------------------


def quantize(plan: "Plan", wildcards) -> Job:
    return quantize_job(plan.config, checkpoints.spec(plan, wildcards))


def evaluate(plan: "Plan", wildcards) -> Job:
    return evaluate_job(plan.config, *member(plan, wildcards))


def judge(plan: "Plan", wildcards) -> Job:
    study, variant = member(plan, wildcards)
    return Job("judge", variant, plan.config.stacks[study.stack].device, judge_gpus=plan.config.judges[study.judge].gpus or 0)


def quantize_job(config: "Config", spec: "QuantizeSpec") -> Job:
    """The job that makes a checkpoint."""
    stack = spec.environment.split("/")[0]
    return Job("quantize", spec.variant, config.stacks[stack].device, links=toolkits.links(spec.toolkit))


def evaluate_job(config: "Config", study: "Study", variant: Variant) -> Job:
    """The job that evaluates a variant's checkpoint, with what the configuration says of its engine."""
    stack, protocol = config.stacks[study.stack], config.protocols[study.protocol]
    names = ("max_model_len", "kv_cache_dtype", "max_num_batched_tokens", "gpu_memory_utilization")
    settings = {"max_model_len": protocol.max_model_len, **stack.engine_settings, **study.engine_settings}
    version = tuple(map(int, re.findall(r"\d+", stack.engine_version)))
    whole = stack.engine == "vllm-stock" and version < CHUNKS_SINCE
    serving = Serving(**{name: settings[name] for name in names if name in settings}, whole_prompts=whole)
    return Job("evaluate", variant, stack.device, serving=serving)


# --- what the rules get --------------------------------------------------------------------------------------------------


def of(plan: "Plan", job_of: JobOf) -> dict[str, Callable]:
    """The resources of a rule: `resources: **resources.of(PLAN, resources.evaluate)`."""
    cluster = cluster_of(plan.config, plan.run.cluster)
    config = plan.config
    site_of = cache(partial(site, config, cluster))

    def named(name: str) -> Callable:
        return lambda wildcards: site_of(job_of(plan, wildcards)).get(name)

    return {name: named(name) for name in SITE} | {
        "gpu": lambda wildcards: gpus(config, cluster, job_of(plan, wildcards)),
        "mem_mb": lambda wildcards, attempt: memory_mb(config, cluster, job_of(plan, wildcards), attempt),
        "runtime": lambda wildcards, attempt: minutes(config, cluster, job_of(plan, wildcards), attempt),
    }


def threads(plan: "Plan", job_of: JobOf) -> Callable[[Any], int]:
    """CPU cores: the miniature's models are too small to share one, a GPU job tokenizes while it computes."""

    def of_job(wildcards) -> int:
        job = job_of(plan, wildcards)
        return GPU_JOB_THREADS if job.device == "cuda" or job.judge_gpus else 1

    return of_job


def cluster_of(config: "Config", name: str | None) -> "Cluster":
    """The cluster of that name, or the first of `config/clusters.yaml`.

    Raises
    ------
    UserError
        If there is no such cluster.
    """
    if name is None:
        return next(iter(config.clusters.values()))
    if name not in config.clusters:
        from edge2giant.config import unknown

        raise unknown("cluster", name, config.clusters, "config/config.yaml")
    return config.clusters[name]


# --- one job ---------------------------------------------------------------------------------------------------------------


def override(cluster: "Cluster", job: Job) -> dict[str, Any]:
    """What the cluster's overrides set for a job, merged key by key; of two the later counts."""
    found: dict[str, Any] = {}
    for entry in cluster.overrides:
        if fnmatchcase(job.variant.path, entry.variants) and (entry.phase or job.phase) == job.phase:
            found |= entry.model_dump(exclude_unset=True, exclude={"variants", "phase"})
    return found


def facts_of(config: "Config", cluster: "Cluster", model: str) -> ModelFacts:
    """The facts that a model is placed by: its own, or those of the model it stands for in a rehearsal."""
    return config.models[cluster.rehearse.get(model, model)].facts


def partitions_of(cluster: "Cluster") -> dict[str, dict]:
    return {name: partition.model_dump(exclude_none=True) for name, partition in cluster.partitions.items()}


def place(config: "Config", cluster: "Cluster", job: Job) -> Placement | None:
    """GPUs of a job, or None when it needs none.

    A checkpoint that is linked needs none, also under an override. A stack without GPU needs none either, unless the cluster's
    `rehearse` or an override gives it some.

    Raises
    ------
    UserError
        If nothing in the cluster can hold the job, or an override wants more than its partition has.
    """
    if job.links:
        return None
    wanted = override(cluster, job)
    if "partition" in wanted:
        return forced(config, cluster, job, wanted)
    if job.phase == "judge":
        return placement.place_judge(job.judge_gpus, partitions_of(cluster)) if job.device == "cuda" and job.judge_gpus else None
    if job.device == "cpu" and job.variant.model not in cluster.rehearse:
        return None
    facts = facts_of(config, cluster, job.variant.model)
    try:
        return _place(job.variant.method, job.variant.bits, facts, job.serving, json.dumps(partitions_of(cluster)))
    except UserError as error:
        raise UserError(error.what, f"{error.where}, {job.variant.path}", error.hint) from None


@cache
def _place(method: str, bits: str, facts: ModelFacts, serving: Serving | None, partitions: str) -> Placement:
    """Place once what many resources of many jobs need; a text, since a cache needs keys that cannot change."""
    if serving is None:
        return placement.place_quantization(facts, method, bits, json.loads(partitions))
    return placement.place_evaluation(facts, method, bits, serving, json.loads(partitions))


def forced(config: "Config", cluster: "Cluster", job: Job, wanted: dict) -> Placement | None:
    """The placement that an override sets."""
    name, per_node = wanted["partition"], wanted.get("gpus", job.judge_gpus or 1)
    nodes = wanted.get("nodes", 1) if job.phase == "evaluate" else 1
    partition = cluster.partitions[name]
    if per_node > partition.gpus_per_node or nodes > partition.nodes:
        have = f"{partition.nodes} nodes of {partition.gpus_per_node} GPUs"
        where = f"config/clusters.yaml, overrides of {job.variant.path}"
        raise UserError(f"want {nodes} nodes of {per_node} GPUs, partition {name} has {have}", where, "set less")
    if not per_node:
        return None
    facts = facts_of(config, cluster, job.variant.model)
    return placement.as_set(facts, job.variant.bits, job.serving, partitions_of(cluster), name, nodes, per_node)


def host_bytes(config: "Config", cluster: "Cluster", job: Job, placed: Placement | None) -> int:
    """Host memory that a job needs, in bytes."""
    facts = facts_of(config, cluster, job.variant.model)
    if job.links:
        return placement.validation_host_bytes(facts)
    if job.phase == "judge":
        return JUDGE_MEMORY_MB * MIB
    if job.phase == "quantize":
        return placement.quantization_host_bytes(facts)
    return placement.evaluation_host_bytes(facts, job.variant.bits, placed.gpus_per_node if placed else 0)


def memory_mb(config: "Config", cluster: "Cluster", job: Job, attempt: int = 1) -> int:
    """Host memory in MB, doubled with each attempt up to what a node of the partition (without one, any node) has."""
    set_by_hand = override(cluster, job).get("mem_mb")
    if job.device == "cpu" and not job.judge_gpus:
        return (set_by_hand or CPU_MEMORY_MB) * 2 ** (attempt - 1)
    placed = place(config, cluster, job)
    nodes = [cluster.partitions[placed.partition]] if placed else cluster.partitions.values()
    ceiling = int(max(node.host_memory_gib for node in nodes) * GIB // MIB)
    return min((set_by_hand or host_bytes(config, cluster, job, placed) // MIB) * 2 ** (attempt - 1), ceiling)


def minutes(config: "Config", cluster: "Cluster", job: Job, attempt: int = 1) -> int:
    """Wall-clock limit in minutes, doubled with each attempt up to what the partition allows."""
    set_by_hand = override(cluster, job).get("runtime")
    if job.device == "cpu" and not job.judge_gpus:
        return (set_by_hand or CPU_MINUTES) * 2 ** (attempt - 1)
    placed = place(config, cluster, job)
    ceiling = int(cluster.partitions[placed.partition].max_hours * 60) if placed else MAX_MINUTES
    needed = set_by_hand or planned_minutes(config, cluster, job, placed)
    return min(needed * 2 ** (attempt - 1), ceiling, MAX_MINUTES)


def planned_minutes(config: "Config", cluster: "Cluster", job: Job, placed: Placement | None) -> int:
    if job.phase == "judge":
        return JUDGE_MINUTES
    rate = LINK_MINUTES_PER_BILLION if job.links else MINUTES_PER_BILLION[job.phase]
    work = rate * facts_of(config, cluster, job.variant.model).parameters / 1e9
    if job.phase == "evaluate" and placed:
        work /= placed.gpus**0.5
    return int(SETUP_MINUTES + work)


def gpus(config: "Config", cluster: "Cluster", job: Job) -> int:
    """GPUs of a job on one node; several nodes ask by `gres`, which SLURM counts for each node."""
    placed = place(config, cluster, job)
    if placed is None:
        return 0 if override(cluster, job).get("gpus") == 0 else job.judge_gpus
    return placed.gpus if placed.nodes == 1 else 0


def site(config: "Config", cluster: "Cluster", job: Job) -> dict[str, str | int | None]:
    """Partition, GPU type, nodes, account and what the command line of a job needs. None leaves a request out."""
    placed = place(config, cluster, job)
    if placed is None:
        name, entry = without_gpus(cluster, job)
        scratch = entry.scratch or cluster.scratch or "-"
        return {"parallel": "1x1", "engine": "-", "scratch": scratch, "slurm_partition": name, **_account(cluster, entry)}
    partition = cluster.partitions[placed.partition]
    # A second node would look for the first one's copy.
    scratch = (partition.scratch or cluster.scratch or "-") if placed.nodes == 1 else "-"
    found = {"parallel": "1x1", "engine": "-", "scratch": scratch, "slurm_partition": placed.partition, "nodes": placed.nodes}
    found |= _account(cluster, partition)
    # What is rehearsed without a GPU has no layers to share and no workers to feed.
    if job.device == "cuda":
        share = min(CPUS_PER_GPU, partition.cpus // partition.gpus_per_node)
        found |= {"parallel": f"{placed.gpus_per_node}x{placed.nodes}", "cpus_per_task": share * placed.gpus_per_node}
        found |= {"engine": ",".join(f"{name}={value}" for name, value in placed.settings) or "-"}
    if placed.nodes == 1:
        return found | {"gpu_model": placed.gpu}
    per_node = f"gpu:{placed.gpu}:{placed.gpus_per_node}"
    return found | {"gres": per_node, "mpi": "srun", "tasks": placed.nodes, "tasks_per_gpu": 0}


def without_gpus(cluster: "Cluster", job: Job) -> tuple[str | None, "Submission"]:
    """Partition of a job that needs no GPU, with its entry: the cluster's `cpu`, or what an override with `gpus: 0` sets."""
    wanted = override(cluster, job)
    if wanted.get("gpus") == 0:
        return wanted["partition"], cluster.partitions[wanted["partition"]]
    return cluster.cpu.partition, cluster.cpu


def _account(cluster: "Cluster", entry) -> dict[str, str | None]:
    return {"slurm_account": entry.account or cluster.account, "qos": entry.qos, "constraint": entry.constraint}
