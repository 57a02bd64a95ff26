"""What each job gets of the machine or of SLURM: GPUs by its placement, memory and minutes that grow with each attempt."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from edge2giant.config import Config, Study
from edge2giant.config.clusters import Cluster, Partition, Submission
from edge2giant.engine.plan import GIB, Serving
from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.plan import Plan, placement, signed, vars_of
from edge2giant.plan import evaluate as evaluations
from edge2giant.plan import quantize as checkpoints
from edge2giant.plan.placement import Placement
from edge2giant.quantize import toolkits
from edge2giant.specs.quantize import QuantizeSpec
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant

MIB = 2**20
ASKED = ("gpu", "mem_mb", "runtime", "parallel", "engine", "scratch", "slurm_partition", "gpu_model", "cpus_per_task", "nodes")
ASKED += ("gres", "mpi", "tasks", "tasks_per_gpu", "slurm_account", "qos", "constraint", "slurm_extra", "node_gpus")
"""Names of what SLURM and a job's command line read."""
# A tiny model on a CPU stack: the toolkit's libraries outweigh it.
CPU_MEMORY_MB = 4000
CPU_MINUTES = 60
GPU_JOB_THREADS = 8
# Set-up of a job before it works: imports, loading, compiling.
SETUP_MINUTES = 45
# Wall time of a job by a checkpoint's size, of an evaluation for each suite: generous, since a job that hits its limit loses what
# no cache holds yet.
MINUTES_PER_BILLION = {"evaluate": 12, "quantize": 6}
# To link a checkpoint is to read its files twice for their SHA-256, and to validate it.
LINK_MINUTES_PER_BILLION = 0.5
# A judge serves one model for all answers of a variant.
JUDGE_MEMORY_MB = 64_000
JUDGE_MINUTES = 240
# Minutes on a GPU, hours on a CPU.
TUNE_MINUTES = 240
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
    phase : {'quantize', 'evaluate', 'judge', 'tune'}
    device : {'cpu', 'cuda'}
        Of the stack it runs on.
    links : bool
        Of a checkpoint: nothing is quantized, its files are linked, hashed and validated, on CPU.
    serving : Serving or None
        Of an evaluation: what its engine is started with.
    judge_gpus : int
        Of a judge that the job serves.
    suites : int
        Of an evaluation: of how many suites its benchmarks are. Its time limit is the sum of theirs.
    """

    phase: str
    variant: Variant
    device: str
    links: bool = False
    serving: Serving | None = None
    judge_gpus: int = 0
    suites: int = 1

    @property
    def small(self) -> bool:
        """Whether it is of a stack without GPU, whose models are tiny."""
        return self.device == "cpu" and not self.judge_gpus and self.phase != "tune"


JobOf = Callable[[Plan, Any], Job]


# --- the jobs of each phase, by wildcards --------------------------------------------------------------------------------


def quantize(plan: Plan, wildcards) -> Job:
    return quantize_job(plan.config, checkpoints.spec(plan, wildcards))


def tune(plan: Plan, wildcards) -> Job:
    return Job("tune", Variant(wildcards.model, *FP16), plan.config.stacks[plan.study.stack].device)


def evaluate(plan: Plan, wildcards) -> Job:
    names = evaluations.benchmarks(plan, wildcards)
    suites = {plan.config.benchmarks[name].suite for name in names}
    return evaluate_job(plan.config, *plan.member(wildcards), suites=len(suites))


def judge(plan: Plan, wildcards) -> Job:
    study, variant = plan.member(wildcards)
    return Job("judge", variant, plan.config.stacks[study.stack].device, judge_gpus=plan.config.judges[study.judge].gpus)


def quantize_job(config: Config, spec: QuantizeSpec) -> Job:
    """The job that makes a checkpoint."""
    stack = spec.environment.split("/")[0]
    return Job("quantize", spec.variant, config.stacks[stack].device, links=toolkits.links(spec.toolkit))


def evaluate_job(config: Config, study: Study, variant: Variant, suites: int = 1) -> Job:
    """The job that evaluates a variant's checkpoint on benchmarks of so many suites, with what its engine is started with."""
    stack, protocol = config.stacks[study.stack], config.protocols[study.protocol]
    names = ("max_model_len", "kv_cache_dtype", "max_num_batched_tokens", "gpu_memory_utilization")
    settings = {"max_model_len": protocol.max_model_len, **stack.engine_settings, **study.engine_settings}
    version = tuple(map(int, re.findall(r"\d+", stack.engine_version)))
    whole = stack.engine == "vllm-stock" and version < CHUNKS_SINCE
    chosen = {name: settings[name] for name in names if name in settings}
    serving = Serving(checkpoints.scheme(config, study, variant), **chosen, whole_prompts=whole)
    return Job("evaluate", variant, stack.device, serving=serving, suites=suites)


# --- what the rules get --------------------------------------------------------------------------------------------------


def of(plan: Plan, job_of: JobOf) -> dict[str, Callable]:
    """The resources of a rule: `resources: **resources.of(PLAN, resources.evaluate)`."""
    requests, found = Requests(plan.config, plan.config.cluster(plan.run.cluster)), {}

    def asked(wildcards, attempt: int) -> dict:
        key = (attempt, *vars_of(wildcards).values())
        if key not in found:
            found[key] = requests.asked(job_of(plan, wildcards), attempt)
        return found[key]

    def named(name: str) -> Callable:
        return signed(lambda wildcards, attempt: asked(wildcards, attempt).get(name))

    return {name: named(name) for name in ASKED}


def threads(plan: Plan, job_of: JobOf) -> Callable[[Any], int]:
    """CPU cores: the miniature's models are too small to share one, a GPU job tokenizes while it computes."""
    return signed(lambda wildcards: 1 if job_of(plan, wildcards).small else GPU_JOB_THREADS)


def gpu_request(partition: Partition, placed: Placement) -> dict[str, str | int]:
    """Resources by which SLURM's executor plugin asks for the GPUs of a placement.

    Several nodes, and sites that want it, ask by `gres`, which SLURM counts for each node. The plugin takes no hyphen in a type,
    so such a type is asked for by `--gpus-per-node`, which means the same.
    """
    each = ":".join(filter(None, (partition.gpu, str(placed.gpus_per_node))))
    if "-" in (partition.gpu or ""):
        return {"gpu": 0, "slurm_extra": f"--gpus-per-node={each}"}
    if placed.nodes > 1 or partition.ask_by == "gres":
        return {"gpu": 0, "gres": f"gpu:{each}"}
    return {"gpu": placed.gpus} | ({"gpu_model": partition.gpu} if partition.gpu else {})


class Requests:
    """What jobs ask for on one cluster."""

    def __init__(self, config: Config, cluster: Cluster):
        self.config, self.cluster = config, cluster
        self.partitions = {name: entry.model_dump(exclude_none=True) for name, entry in cluster.partitions.items()}
        self.place = cache(self._place)

    def asked(self, job: Job, attempt: int = 1) -> dict[str, str | int | None]:
        """All that SLURM and the command line of a job get. What is None or left out is not asked for.

        `node_gpus` is what `workflow/with-gpus` locks on a machine without SLURM, however SLURM is asked.
        """
        placed, wanted = self.place(job), self.override(job)
        found = {"mem_mb": self.memory_mb(job, attempt), "runtime": self.minutes(job, attempt), "parallel": "1x1", "engine": "-"}
        if placed is None:
            if wanted.get("gpus") == 0:
                entry, gpus = self.cluster.partitions[wanted["partition"]], 0
                name = entry.partition or wanted["partition"]
            else:
                name, entry, gpus = self.cluster.cpu.partition, self.cluster.cpu, job.judge_gpus
            return found | self._submission(name, entry) | {"gpu": gpus, "node_gpus": gpus}
        partition = self.cluster.partitions[placed.partition]
        found |= self._submission(partition.partition or placed.partition, partition) | {"nodes": placed.nodes}
        found |= {"node_gpus": placed.gpus_per_node} | gpu_request(partition, placed)
        # What is rehearsed without a GPU has no layers to share and no workers to feed.
        if job.device == "cuda":
            share = min(CPUS_PER_GPU, partition.cpus // partition.gpus_per_node)
            found |= {"parallel": f"{placed.gpus_per_node}x{placed.nodes}", "cpus_per_task": share * placed.gpus_per_node}
            found |= {"engine": ",".join(f"{name}={value}" for name, value in placed.settings) or "-"}
        if placed.nodes > 1:
            # A second node would look for the first one's copy.
            found |= {"mpi": "srun", "tasks": placed.nodes, "tasks_per_gpu": 0, "scratch": "-"}
        return found

    def _submission(self, partition: str | None, entry: Submission) -> dict[str, str | None]:
        return {
            "slurm_partition": partition,
            "scratch": entry.scratch or self.cluster.scratch or "-",
            "slurm_account": entry.account or self.cluster.account,
            "qos": entry.qos,
            "constraint": entry.constraint,
        }

    def override(self, job: Job) -> dict[str, Any]:
        """What the cluster's overrides set for a job, merged key by key; of two the later counts."""
        found: dict[str, Any] = {}
        for entry in self.cluster.overrides:
            if fnmatchcase(job.variant.path, entry.variants) and (entry.phase or job.phase) == job.phase:
                found |= entry.model_dump(exclude_unset=True, exclude={"variants", "phase"})
        return found

    def facts(self, model: str) -> ModelFacts:
        """The facts that a model is placed by: its own, or those of the model it stands for in a rehearsal."""
        return self.config.models[self.cluster.rehearse.get(model, model)].facts

    def _place(self, job: Job) -> Placement | None:
        """GPUs of a job, or None when it needs none.

        A checkpoint that is linked needs none, also under an override. A stack without GPU needs none either, unless the
        cluster's `rehearse` or an override gives it some.

        Raises
        ------
        UserError
            If nothing in the cluster can hold the job, or an override wants more than its partition has.
        """
        if job.links:
            return None
        if "partition" in (wanted := self.override(job)):
            return self._forced(job, wanted)
        if job.phase == "judge":
            return placement.place_judge(job.judge_gpus, self.partitions) if job.device == "cuda" and job.judge_gpus else None
        if job.device == "cpu" and job.variant.model not in self.cluster.rehearse:
            return None
        facts = self.facts(job.variant.model)
        try:
            if job.phase == "tune":
                return placement.place_tuning(facts, self.partitions)
            if job.serving is None:
                return placement.place_quantization(facts, self.partitions)
            return placement.place_evaluation(facts, job.serving, self.partitions)
        except UserError as error:
            raise UserError(error.what, f"{error.where}, {job.variant.path}", error.hint) from None

    def _forced(self, job: Job, wanted: dict) -> Placement | None:
        """The placement that an override sets."""
        name, per_node = wanted["partition"], wanted.get("gpus", job.judge_gpus or 1)
        nodes = wanted.get("nodes", 1) if job.phase == "evaluate" else 1
        partition = self.cluster.partitions[name]
        if per_node > partition.gpus_per_node or nodes > partition.nodes:
            have = f"{partition.nodes} nodes of {partition.gpus_per_node} GPUs"
            where = f"clusters.yaml, overrides of {job.variant.path}"
            raise UserError(f"want {nodes} nodes of {per_node} GPUs, partition {name} has {have}", where, "set less")
        if not per_node:
            return None
        facts = self.facts(job.variant.model)
        return placement.as_set(facts, job.serving, self.partitions, name, nodes, per_node)

    def memory_mb(self, job: Job, attempt: int = 1) -> int:
        """Host memory in MB, doubled with each attempt up to what a node of the partition (without one, any node) has."""
        placed = self.place(job)
        nodes = [self.cluster.partitions[placed.partition]] if placed else self.cluster.partitions.values()
        needed = self.override(job).get("mem_mb") or self._planned_memory_mb(job, placed)
        most = max((int(node.host_memory_gib * GIB // MIB) for node in nodes), default=None)
        wanted = needed * 2 ** (attempt - 1)
        return wanted if most is None else min(wanted, most)

    def _planned_memory_mb(self, job: Job, placed: Placement | None) -> int:
        facts = self.facts(job.variant.model)
        if job.small:
            return CPU_MEMORY_MB
        if job.links:
            return placement.validation_host_bytes(facts) // MIB
        if job.phase == "judge":
            return JUDGE_MEMORY_MB
        if job.phase == "tune":
            return placement.tuning_bytes(facts) // MIB
        if job.phase == "quantize":
            return placement.quantization_host_bytes(facts) // MIB
        return placement.evaluation_host_bytes(facts, job.serving.scheme, placed.gpus_per_node if placed else 0) // MIB

    def minutes(self, job: Job, attempt: int = 1) -> int:
        """Wall-clock limit in minutes, doubled with each attempt up to what the partition allows."""
        placed = self.place(job)
        needed = self.override(job).get("runtime") or self._planned_minutes(job, placed)
        return min(needed * 2 ** (attempt - 1), self._most_minutes(placed))

    def within_limit(self, job: Job) -> bool:
        """Whether the partition allows the time that a job is planned to take."""
        placed = self.place(job)
        return self._planned_minutes(job, placed) <= self._most_minutes(placed)

    def _most_minutes(self, placed: Placement | None) -> int:
        return min(MAX_MINUTES, int(self.cluster.partitions[placed.partition].max_hours * 60) if placed else MAX_MINUTES)

    def _planned_minutes(self, job: Job, placed: Placement | None) -> int:
        if job.small:
            return CPU_MINUTES
        if job.phase == "judge":
            return JUDGE_MINUTES
        if job.phase == "tune":
            return TUNE_MINUTES
        rate = LINK_MINUTES_PER_BILLION if job.links else MINUTES_PER_BILLION[job.phase]
        work = rate * job.suites * self.facts(job.variant.model).parameters / 1e9
        if job.phase == "evaluate" and placed:
            work /= placed.gpus**0.5
        return int(SETUP_MINUTES + work)
