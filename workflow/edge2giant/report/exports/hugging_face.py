"""Scores of a checkpoint in the two forms of the Hugging Face hub: `model-index` of a model card, and `.eval_results/*.yaml`.

Forms: docs of the hub, "Model cards" (model-index) and "Evaluation results". Both are written by `huggingface_hub`'s own classes.
"""

from pathlib import Path

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.repocard_data import eval_results_to_model_index

from edge2giant import records
from edge2giant.records.cell import CellRecord
from edge2giant.specs.study import FP16, StudySpec

UNNAMED = {"rating": "rating", "nats": "mean KL divergence"}
"""Metrics of benchmarks that are not lm-eval's, by unit."""
TASK = "text-generation"


def is_real(spec: StudySpec) -> bool:
    """Whether a cell answers the benchmark's own questions; the made-up ones of another source must not be taken for them."""
    return spec.source == "hub"


def dataset_of(spec: StudySpec, record: CellRecord) -> tuple[str, str, str]:
    """Id of a cell's questions, what to call them, and the revision in the configuration (made-up ones: what was read)."""
    benchmark = record.cell.benchmark
    label = spec.labels.benchmark(benchmark)
    if is_real(spec):
        dataset, revision = next(iter(spec.benchmarks[benchmark].datasets.items()))
        return dataset, label, revision
    read = "+".join(sorted(record.provenance.datasets.values())) or "unknown"
    return f"edge2giant-made-up/{benchmark}", f"{label} (made-up questions)", read


def name_of(spec: StudySpec, made: list[CellRecord]) -> str:
    """Name of a checkpoint: its model with method and bits."""
    cell = made[0].cell
    model = spec.labels.model(cell.model)
    return model if cell.method == FP16[0] else f"{model}-{cell.method}-{cell.bits}"


def notes(spec: StudySpec, record: CellRecord) -> str:
    """What a reader must know to compare the number with another one."""
    cell, engine = record.cell, record.engine
    shots = spec.benchmarks[cell.benchmark].num_fewshot
    error = "" if record.stderr is None else f", standard error {record.stderr:.4g}"
    method, made_by = f"{cell.method} {cell.bits}", f"{engine.name} {engine.version}"
    return f"{shots}-shot, protocol {cell.protocol}, {method}, {made_by}{error}"


def model_index(spec: StudySpec, made: list[CellRecord]) -> dict:
    """The `model-index` of a model card, as a mapping."""
    results = []
    for record in made:
        benchmark = record.cell.benchmark
        dataset, called, revision = dataset_of(spec, record)
        entry = spec.benchmarks[benchmark]
        metrics = list(entry.metrics) or [UNNAMED[record.unit]]
        results.append(
            EvalResult(
                task_type=TASK,
                task_name=called,
                dataset_type=dataset,
                dataset_name=called,
                dataset_revision=revision,
                dataset_args={"num_few_shot": entry.num_fewshot},
                metric_type=metrics[0],
                metric_name=" and ".join(metrics),
                metric_value=record.score,
                metric_args={"normalised": entry.normalise, "notes": notes(spec, record)},
                verified=False,
            )
        )
    return {"model-index": eval_results_to_model_index(name_of(spec, made), results)}


def eval_results(spec: StudySpec, record: CellRecord) -> list[dict]:
    """One score in the form of a file under `.eval_results/`."""
    dataset, _, revision = dataset_of(spec, record)
    entry = EvalResultEntry(
        dataset_id=dataset,
        dataset_revision=revision,
        task_id=record.cell.benchmark,
        value=record.score,
        date=record.provenance.finished,
        notes=notes(spec, record),
    )
    return eval_result_entries_to_yaml([entry])


def write(spec: StudySpec, made: list[CellRecord], out: Path) -> list[Path]:
    """Write the metadata of a variant's model card and its evaluation results; return the paths.

    A study of made-up questions gets no evaluation results: the hub would show them on the leaderboard of the real benchmark.
    """
    folder = out / made[0].cell.variant.path
    files = {folder / "model-index.yaml": model_index(spec, made)}
    for one in made if is_real(spec) else ():
        files[folder / ".eval_results" / f"{one.cell.benchmark}.yaml"] = eval_results(spec, one)
    for path, content in files.items():
        records.write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return list(files)
