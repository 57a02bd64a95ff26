"""GPU time of a study before it runs: tokens times parameters over stated throughput. Pure functions of `config/`.

What finished cells have counted replaces the estimates of `config/workload.yaml`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge2giant.plan import placement, quantize, resources
from edge2giant.quantize.sizes import planned_bytes
from edge2giant.schemes.limits import Device
from edge2giant.specs.variant import Variant

if TYPE_CHECKING:
    from edge2giant.config import Config, Study
    from edge2giant.config.clusters import Cluster
    from edge2giant.config.workload import Workload

STATED = ("tflops", "bandwidth_gb_s")


@dataclass
class Line:
    """Cost of one step: a checkpoint's making, an engine's start, or a cell.

    Parameters
    ----------
    step : {'quantize', 'load', 'cell'}
    place : str
        Table or figure that a cell belongs to; '' for the others.
    gpu, gpus
        Type and count of the placement; '' and 0 without GPU.
    forecast_seconds, forecast_gpu_seconds, seconds, gpu_seconds : float or None
        Before the run, and as measured; None where it is not known.
    """

    step: str
    place: str
    model: str
    method: str
    bits: str
    benchmark: str
    gpu: str
    gpus: int
    forecast_seconds: float | None
    forecast_gpu_seconds: float | None
    seconds: float | None = None
    gpu_seconds: float | None = None
    measured_on: str | None = None

    def record(self) -> dict:
        return asdict(self)


def cell_seconds(
    parameters: int, weights: int, speed: int, tokens: tuple[float, float], partition, gpus: int, workload: "Workload"
) -> float:
    """Wall time of a cell: prefill at a share of the GPUs' peak, then decoding at a share of their bandwidth.

    Parameters
    ----------
    parameters, weights : int
        Of the checkpoint; bytes.
    speed : int
        How many times their arithmetic of 16 bits the GPUs have for its scheme.
    tokens : (float, float)
        Computed and generated tokens of the whole benchmark.
    """
    prefill = 2 * parameters * tokens[0] / (partition.tflops * 1e12 * speed * gpus * workload.shares.prefill)
    step = weights / (partition.bandwidth_gb_s * 1e9 * gpus * workload.shares.bandwidth)
    return prefill + tokens[1] / workload.concurrency * step


def tokens_of(config: "Config", study: "Study", benchmark: str, workload: "Workload") -> tuple[float, float]:
    """Computed and generated tokens of a benchmark in a study."""
    each = workload.tokens.get(benchmark, workload.other_tokens)
    documents = config.benchmark(study, benchmark).documents
    if study.limit:
        documents = min(documents, study.limit)
    return each.prefill * documents, each.new * documents


def lines(
    config: "Config",
    study: "Study",
    cluster: "Cluster",
    workload: "Workload",
    batch: str,
    counted: Mapping[str, tuple[float, float]] | None = None,
) -> list[Line]:
    """The forecast of every step of a study, variants in its order.

    Parameters
    ----------
    counted : mapping, optional
        Computed and generated tokens by benchmark, where cells of the study have counted them.
    """
    found, tokens = [], {name: tokens_of(config, study, name, workload) for name in study.benchmarks} | dict(counted or {})
    for variant in study.variants:
        making = resources.quantize_job(config, quantize.checkpoint_spec(config, study, variant))
        found.append(_quantize(config, cluster, making, workload))
        found += _evaluate(config, study, cluster, resources.evaluate_job(config, study, variant), workload, batch, tokens)
    return found


def _line(
    step: str, variant: Variant, placed: placement.Placement | None, seconds: float | None, benchmark: str = "", place: str = ""
) -> Line:
    gpus = placed.gpus if placed else 0
    total = None if seconds is None else seconds * gpus
    return Line(
        step, place, variant.model, variant.method, variant.bits, benchmark, placed.gpu if placed else "", gpus, seconds, total
    )


def _placed(config: "Config", cluster: "Cluster", job: resources.Job) -> placement.Placement | None:
    """GPUs that a job computes on: none on a stack without GPU, also where it rehearses for those that have some."""
    return resources.Requests(config, cluster).place(job) if job.device == "cuda" else None


def _quantize(config: "Config", cluster: "Cluster", job: resources.Job, workload: "Workload") -> Line:
    """A checkpoint that is linked takes time and no GPU."""
    placed = _placed(config, cluster, job)
    rate = workload.link_seconds_per_billion
    if not job.links:
        rate = workload.quantize_rate(job.variant.method, config.toolkit(job.variant))
    known = rate is not None and (placed or (job.links and job.device == "cuda"))
    seconds = rate * config.models[job.variant.model].facts.parameters / 1e9 if known else None
    return _line("quantize", job.variant, placed, seconds)


def _evaluate(
    config: "Config", study: "Study", cluster: "Cluster", job: resources.Job, workload: "Workload", batch: str, tokens: dict
) -> list[Line]:
    variant, model = job.variant, config.models[job.variant.model]
    placed = _placed(config, cluster, job)
    partition = cluster.partitions[placed.partition] if placed else cluster.cpu
    stated = all(getattr(partition, key) for key in STATED)
    scheme = job.serving.scheme
    speed = scheme.speed(Device.parse(f"cuda:{partition.compute_capability}")) if placed else 1
    weights = planned_bytes(model.facts, scheme)["total"]
    start = workload.start.seconds + weights / (workload.start.read_gb_s * 1e9) if placed else None
    found, loaded = [], set()
    for name in study.benchmarks_of(variant):
        suite = config.benchmarks[name].suite
        resident = {"suite": suite, "checkpoint": "all", "benchmark": name}[batch]
        if resident not in loaded:
            loaded.add(resident)
            found.append(_line("load", variant, placed, start, benchmark=resident))
        seconds = None
        if stated:
            width = placed.gpus if placed else 1
            seconds = cell_seconds(model.facts.parameters, weights, speed, tokens[name], partition, width, workload)
        found.append(_line("cell", variant, placed, seconds, name, config.suites[suite].main_place))
    return found
