"""Small valid records for tests."""

import copy
import json
from pathlib import Path

from edge2giant import typed
from edge2giant.mt_bench import CATEGORIES
from edge2giant.records.cell import CellRecord
from edge2giant.records.failure import Failure

SUITES = {
    "leaderboard_v1": ("arc_challenge", "gsm8k", "hellaswag", "mmlu", "truthfulqa", "winogrande"),
    "leaderboard_v2": ("bbh", "gpqa", "ifeval", "math_lvl5", "mmlu_pro", "musr"),
    "mt_bench": ("mt_bench",),
}
DIGEST = "0123456789abcdef" * 4

CELL = {
    "schema": 1,
    "cell": {
        "study": "miniature",
        "model": "mini-2m",
        "method": "fp16",
        "toolkit": "none",
        "bits": "w16a16",
        "benchmark": "arc_challenge",
        "suite": "leaderboard_v1",
        "protocol": "paper",
        "stack": "cpu",
    },
    "score": 53.125,
    "stderr": 1.5,
    "n": 1172,
    "unit": "percent",
    "parts": [
        {
            "task": "arc_challenge",
            "metric": "acc_norm,none",
            "raw": 0.53125,
            "stderr": 0.015,
            "chance": None,
            "normalised": 53.125,
            "n": 1172,
        }
    ],
    "aggregation": {"macro": False, "chances": {"arc_challenge": 0.0}, "scale": 100.0, "clip": False},
    "published": None,
    "samples": {"path": "samples.parquet", "sha256": DIGEST, "rows": 1172},
    "checkpoint": {"digest": DIGEST, "bytes": 4_000_000, "nominal_bytes": 4_000_000, "recipe": {}},
    "cost": {
        "seconds": 10.0,
        "gpu_count": 0,
        "gpu_name": None,
        "gpu_seconds": 0.0,
        "requests": 1172,
        "tokens_in": 100_000,
        "tokens_out": 0,
        "tokens_cached": 0,
        "load_seconds": 1.0,
        "peak_gpu_bytes": None,
    },
    "engine": {
        "name": "hf",
        "version": "5.17.0",
        "dtype": "float32",
        "tensor_parallel_size": 1,
        "pipeline_parallel_size": 1,
        "max_model_len": 2048,
        "kernel": "none",
        "settings": {},
        "self_check": None,
    },
    "provenance": {
        "git_commit": None,
        "git_dirty": None,
        "environment_sha256": DIGEST,
        "installer": "venv",
        "packages": {"lm_eval": "0.4.13"},
        "task_versions": {},
        "task_hashes": {},
        "datasets": {},
        "chat_template_sha256": None,
        "seeds": {},
        "host": "test",
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:00:10Z",
        "fingerprint": DIGEST,
    },
    "warnings": [],
}


def _merge(base: dict, changes: dict) -> dict:
    for key, value in changes.items():
        base[key] = _merge(base[key], value) if isinstance(value, dict) and key in base and base[key] else value
    return base


def make_cell(**overrides) -> dict:
    """Return a valid cell record as its file holds it.

    A keyword that names a field of `cell` (model, method, bits, benchmark, study, ...) goes there; the
    suite follows the benchmark; any other keyword replaces a top-level field, mappings being merged. One
    part follows score and n.
    """
    record = copy.deepcopy(CELL)
    for name in [name for name in overrides if name in record["cell"]]:
        record["cell"][name] = overrides.pop(name)
    benchmark = record["cell"]["benchmark"]
    record["cell"]["suite"] = next((s for s, members in SUITES.items() if benchmark in members), "leaderboard_v1")
    if benchmark == "mt_bench" and "parts" not in overrides:
        return _mt_bench(record, overrides)
    _merge(record, overrides)
    if "parts" not in overrides:
        part = record["parts"][0]
        part.update(task=benchmark, raw=record["score"] / 100, normalised=record["score"], n=record["n"])
        part["stderr"] = None if record["stderr"] is None else record["stderr"] / 100
    return record


def cell_record(**overrides) -> CellRecord:
    """Return `make_cell` as it is read."""
    return typed.build(CellRecord, make_cell(**overrides), "cell")


def _mt_bench(record: dict, overrides: dict) -> dict:
    """MT-Bench cell whose parts all have the score (or `ratings`: category or turn to mean)."""
    ratings = overrides.pop("ratings", {})
    record |= {"score": 6.0, "stderr": 0.2, "n": 160, "unit": "rating"}
    _merge(record, overrides)
    tasks = {**dict.fromkeys(CATEGORIES, 20), "turn 1": 80, "turn 2": 80}
    record["parts"] = [
        {
            "task": task,
            "metric": "rating",
            "raw": ratings.get(task, record["score"]),
            "stderr": None if record["stderr"] is None else record["stderr"] * (160 / n) ** 0.5,
            "chance": None,
            "normalised": None,
            "n": n,
        }
        for task, n in tasks.items()
    ]
    return record


def make_failure(**overrides) -> Failure:
    """Return a valid failure record."""
    record = {
        "schema": 1,
        "study": "miniature",
        "model": "mini-2m",
        "method": "awq",
        "bits": "w4a16",
        "benchmark": None,
        "phase": "quantize",
        "reason": "out of memory",
        "log": None,
        "time": "2026-01-01T00:00:00Z",
    }
    return Failure(**record | overrides)


def write_records(folder: Path, made: list) -> list[str]:
    """Write records as numbered JSON files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, record in enumerate(made):
        path = folder / f"{number}.json"
        path.write_text(json.dumps(typed.as_json(record)), encoding="utf-8")
        paths.append(str(path))
    return paths


def study_cells(rows: list[tuple[str, str, str]], **overrides) -> list[CellRecord]:
    """Cells of all thirteen benchmarks for (model, method, bits) rows; quantized rows lose a point a step."""
    cells = []
    for number, (model, method, bits) in enumerate(rows):
        for column, benchmark in enumerate(name for members in SUITES.values() for name in members):
            score = (6.0 if benchmark == "mt_bench" else 50.0 + column) - 0.25 * number
            cells.append(cell_record(model=model, method=method, bits=bits, benchmark=benchmark, score=score, **overrides))
    return cells
