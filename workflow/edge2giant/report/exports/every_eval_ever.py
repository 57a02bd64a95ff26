"""Scores of a checkpoint as a record of Every Eval Ever (EvalEval Coalition), schema version 0.2.1.

One file for each model as one variant, its benchmarks as `evaluation_results`. The name of the file is a UUID of the cells'
fingerprints, so that the same cells are the same file.
"""

import json
import sys
import uuid
from datetime import datetime
from pathlib import Path

from edge2giant import records, typed
from edge2giant.records.cell import CellRecord
from edge2giant.report.exports import hugging_face
from edge2giant.specs.study import FP16, StudySpec

VERSION = "0.2.1"
SPACE = uuid.UUID("8b1c3f52-5a0e-5d0f-9d57-2409110550a1")
LARGEST = sys.float_info.max  # the schema wants a number where there is no bound
UNNAMED = {"rating": "mean rating by an LLM judge", "nats": "mean KL divergence from the unquantized model"}
RANGES = {
    "percent": {"min_score": 0, "max_score": 100},
    "rating": {"min_score": 1, "max_score": 10},
    "perplexity": {"min_score": 1, "max_score": LARGEST},
    "nats": {"min_score": 0, "max_score": LARGEST},
}
LIBRARY = "lm_eval"


def _texts(details: dict) -> dict[str, str]:
    """Additional details: every value a text, what is unknown left out."""
    known = {name: value for name, value in details.items() if value is not None}
    return {name: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for name, value in known.items()}


def _result(spec: StudySpec, record: CellRecord) -> dict:
    cell = record.cell
    benchmark, label = spec.benchmarks[cell.benchmark], spec.labels.benchmark(cell.benchmark)
    dataset, called, revision = hugging_face.dataset_of(spec, record)
    real = hugging_face.is_real(spec)
    metrics = list(benchmark.metrics) or [UNNAMED[record.unit]]
    source = {"source_type": "hf_dataset", "hf_repo": dataset, "samples_number": record.n} if real else {"source_type": "other"}
    details = typed.as_json({"published": record.published, "parts": record.parts, "warnings": record.warnings or None})
    found = {
        "evaluation_name": cell.benchmark,
        "evaluation_timestamp": record.provenance.finished,
        "source_data": {
            "dataset_name": called,
            **source,
            "additional_details": _texts({"revision": revision, "read": record.provenance.datasets}),
        },
        "metric_config": {
            "evaluation_description": f"{label}: {' and '.join(metrics)}, {benchmark.num_fewshot}-shot",
            "lower_is_better": record.sign < 0,
            "score_type": "continuous",
            **RANGES[record.unit],
            "additional_details": _texts({"normalised": benchmark.normalise, "aggregation": benchmark.aggregation}),
        },
        "score_details": {"score": record.score, "details": _texts(details)},
        "generation_config": {"additional_details": _texts({"protocol": cell.protocol, "seeds": record.provenance.seeds})},
    }
    if record.stderr is not None:
        found["score_details"]["uncertainty"] = {"standard_error": {"value": record.stderr}, "num_samples": record.n}
    return found


def _model(spec: StudySpec, made: list[CellRecord]) -> dict:
    cell, engine, weights = made[0].cell, made[0].engine, made[0].checkpoint
    repo = spec.repositories.get(cell.model, cell.model)
    details = {
        "base_model": repo,
        "method": cell.method,
        "toolkit": cell.toolkit,
        "bits": cell.bits,
        "checkpoint_digest": weights.digest,
        "checkpoint_bytes": weights.bytes,
        "kernel": engine.kernel,
        "dtype": engine.dtype,
        "tensor_parallel_size": engine.tensor_parallel_size,
    }
    name = hugging_face.name_of(spec, made)
    return {
        "name": name,
        "id": repo if cell.method == FP16[0] else f"{_developer(repo)}/{name}",
        "developer": _developer(repo),
        "inference_engine": {"name": engine.name, "version": engine.version},
        "additional_details": _texts(details),
    }


def _developer(repo: str) -> str:
    return repo.split("/")[0] if "/" in repo else "edge2giant"


def record_of(spec: StudySpec, made: list[CellRecord]) -> dict:
    """Record of the cells of one variant.

    `retrieved_timestamp` is when the last of them was finished, not when this was called: the same cells, the same bytes.
    """
    made = sorted(made, key=lambda one: one.cell.benchmark)
    cell, provenance = made[0].cell, [one.provenance for one in made]
    stamp = str(max(datetime.fromisoformat(one.finished).timestamp() for one in provenance))
    identity = [[one.cell, one.provenance.fingerprint, one.score] for one in made]
    source = {
        "source_name": f"edge2giant, study {cell.study}",
        "source_type": "evaluation_run",
        "source_organization_name": "edge2giant",
        "evaluator_relationship": "third_party",
        "additional_details": _texts({"study": cell.study, "protocol": cell.protocol, "stack": cell.stack}),
    }
    packages = provenance[0].packages
    return {
        "schema_version": VERSION,
        "evaluation_id": f"edge2giant_{cell.study}/{cell.model}_{cell.method}_{cell.bits}/{stamp}",
        "retrieved_timestamp": stamp,
        "dedupe_identity": {
            "run_fingerprint": records.digest(typed.as_json(identity)),
            "hash_algorithm": "sha256",
            "canonicalization_version": "JSON, keys sorted",
        },
        "source_metadata": source,
        "eval_library": {"name": LIBRARY, "version": packages.get(LIBRARY, "unknown"), "additional_details": _texts(packages)},
        "model_info": _model(spec, made),
        "evaluation_results": [_result(spec, one) for one in made],
    }


def write(spec: StudySpec, made: list[CellRecord], out: Path) -> Path:
    """Write the record of a variant where the collection would keep it; return the path."""
    record = record_of(spec, made)
    name = uuid.uuid5(SPACE, record["dedupe_identity"]["run_fingerprint"])
    cell = made[0].cell
    model = record["model_info"]
    path = out / "data" / f"edge2giant_{cell.study}" / model["developer"] / model["name"] / f"{name}.json"
    records.write_json(path, record)
    return path
