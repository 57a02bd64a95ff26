"""GPU time of a study before it runs: tokens times parameters over stated throughput. Pure functions of `config/`.

What finished cells have counted replaces the estimates of `config/workload.yaml`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from edge2giant.plan import batches, placement, quantize, resources
from edge2giant.quantize.sizes import planned_bytes
from edge2giant.schemes.limits import Device
from edge2giant.specs.variant import Variant

if TYPE_CHECKING:
    from edge2giant.config import Config, Study
    from edge2giant.config.clusters import Cluster
    from edge2giant.config.workload import Workload


@dataclass
class Line:
    """Cost of one step: a checkpoint's making, an engine's start, or a cell.

    Parameters
    ----------
    step : {'quantize', 'load', 'cell'}
    place : str
        Table or figure that a cell belongs to; '' for the others.
    benchmark : str
        Of a cell; of an engine's start, what it is started for.
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

    @property
    def group(self) -> str:
        """What it is added up with: the other lines of its table or figure, or of its step."""
        return self.place or self.step

    def measure(self, seconds: float, gpus: int, on: str | None) -> None:
        self.seconds, self.gpu_seconds, self.measured_on = round(seconds, 1), round(seconds * gpus, 1), on or "cpu"


def _line(
    step: str, variant: Variant, placed: placement.Placement | None, seconds: float | None, benchmark: str = "", place: str = ""
) -> Line:
    gpu, gpus = (placed.gpu, placed.gpus) if placed else ("", 0)
    return Line(step, place, *astuple(variant), benchmark, gpu, gpus, seconds, None if seconds is None else seconds * gpus)


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


@dataclass(frozen=True)
class Forecast:
    """What the steps of a study take on a cluster.

    Parameters
    ----------
    config, study, cluster
    batch : {'auto', 'suite', 'checkpoint', 'benchmark'}
        What one job evaluates.
    counted : mapping
        Computed and generated tokens by benchmark, where cells of the study have counted them.
    """

    config: "Config"
    study: "Study"
    cluster: "Cluster"
    batch: str
    counted: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def lines(self) -> list[Line]:
        """Every step, variants in the order of the study."""
        return [line for variant in self.study.variants for line in (self._making(variant), *self._evaluation(variant))]

    def tokens(self, benchmark: str) -> tuple[float, float]:
        """Computed and generated tokens of a benchmark."""
        if benchmark in self.counted:
            return self.counted[benchmark]
        each = self.config.workload.tokens.get(benchmark, self.config.workload.other_tokens)
        entry, limit = self.config.benchmark(self.study, benchmark), self.study.limit_of(benchmark)
        documents: float = entry.documents
        if limit and entry.divergence:
            documents = min(documents, limit * entry.divergence.window / each.prefill)
        elif limit:
            documents = min(documents, limit * max(len(entry.tasks), 1))
        return each.prefill * documents, each.new * documents

    @cached_property
    def _requests(self) -> resources.Requests:
        return resources.Requests(self.config, self.cluster)

    def _placed(self, job: resources.Job) -> placement.Placement | None:
        """GPUs that a job computes on: none on a stack without GPU, also where it rehearses for those that have some."""
        return self._requests.place(job) if job.device == "cuda" else None

    def _making(self, variant: Variant) -> Line:
        """A checkpoint that is linked takes time and no GPU."""
        workload = self.config.workload
        job = resources.quantize_job(self.config, quantize.checkpoint_spec(self.config, self.study, variant))
        placed = self._placed(job)
        rate = workload.link_seconds_per_billion
        if not job.links:
            rate = workload.quantize_rate(variant.method, self.config.toolkit(variant))
        known = rate is not None and (placed or (job.links and job.device == "cuda"))
        seconds = rate * self.config.models[variant.model].facts.parameters / 1e9 if known else None
        return _line("quantize", variant, placed, seconds)

    def _evaluation(self, variant: Variant) -> Iterator[Line]:
        """A line for each start of an engine, before the first cell that it serves, and for each cell."""
        workload, facts = self.config.workload, self.config.models[variant.model].facts
        job = resources.evaluate_job(self.config, self.study, variant)
        scheme, placed = job.serving.scheme, self._placed(job)
        partition = self.cluster.partitions[placed.partition] if placed else self.cluster.cpu
        speed = scheme.speed(Device.parse(f"cuda:{partition.compute_capability}")) if placed else 1
        weights = planned_bytes(facts, scheme)["total"]
        start = workload.start.seconds + weights / (workload.start.read_gb_s * 1e9) if placed else None
        loaded, batch_of = set(), batches.of_all(self.config, self._requests, self.study, variant, self.batch)
        for name, resident in batch_of.items():
            suite, seconds = self.config.benchmarks[name].suite, None
            if resident not in loaded:
                loaded.add(resident)
                yield _line("load", variant, placed, start, resident)
            if partition.tflops and partition.bandwidth_gb_s:
                gpus = placed.gpus if placed else 1
                seconds = cell_seconds(facts.parameters, weights, speed, self.tokens(name), partition, gpus, workload)
            yield _line("cell", variant, placed, seconds, name, self.config.suites[suite].main_place)
