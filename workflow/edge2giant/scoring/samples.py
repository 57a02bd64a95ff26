"""Per-sample tables out of lm-eval's raw sample files."""

import hashlib
import json
import math
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet

from edge2giant import jsonl
from edge2giant.errors import UserError
from edge2giant.specs.score import Grouping, LmEvalMetric

SCHEMA = pyarrow.schema(
    [
        ("task", pyarrow.string()),
        ("metric", pyarrow.string()),
        ("doc_id", pyarrow.int64()),
        ("doc_hash", pyarrow.string()),
        ("target_hash", pyarrow.string()),
        ("prompt_hash", pyarrow.string()),
        ("prediction", pyarrow.string()),
        ("correct", pyarrow.bool_()),
        ("value", pyarrow.float64()),
        ("weight", pyarrow.float64()),
        ("cluster", pyarrow.string()),
    ]
)
LONGEST_PREDICTION = 100


def read(
    folder: Path,
    tasks: list[str],
    metrics: tuple[LmEvalMetric, ...],
    groupings: tuple[Grouping, ...] = (),
    weighted: bool = False,
) -> list[dict]:
    """Rows of the sample table out of an entry of the answer cache: one for each (task, metric, document), in their order.

    `weighted` is for perplexities, whose samples are a log-likelihood and what it is counted by (words, bytes, tokens).
    """
    row = _weighted_row if weighted else _row
    rows = [
        row(task, metric.name, sample) | {"cluster": cluster(task, sample["doc"], groupings)}
        for task in sorted(tasks)
        for metric in metrics
        for sample in _of_filter(folder / f"samples_{task}.jsonl", metric.filter)
    ]
    _require_finite([row["value"] for row in rows], "values", folder)
    return rows


def _of_filter(path: Path, name: str) -> list[dict]:
    found = [sample for sample in jsonl.read(path) if sample["filter"] == name]
    if not found:
        raise UserError(f"holds no sample of filter '{name}'", path, "correct the metric in config/benchmarks.yaml")
    choices = [one for sample in found for one in sample.get("filtered_resps", ()) if isinstance(one, list) and len(one) == 2]
    _require_finite([float(one[0]) for one in choices], "log-likelihoods", path)
    return sorted(found, key=lambda sample: sample["doc_id"])


def _require_finite(numbers: list[float], what: str, where: Path) -> None:
    if wrong := sum(not math.isfinite(one) for one in numbers):
        raise UserError(f"{wrong} of {len(numbers)} {what} are not finite", where, "delete it and evaluate again")


def _weighted_row(task: str, metric: str, sample: dict) -> dict:
    loglikelihood, count = map(float, sample[metric])
    hashes = {name: sample[name] for name in ("doc_hash", "target_hash", "prompt_hash")}
    row = {"task": task, "metric": metric, "doc_id": sample["doc_id"], **hashes, "prediction": None, "correct": None}
    return row | {"value": -loglikelihood / count, "weight": count}


def _row(task: str, metric: str, sample: dict) -> dict:
    raw = sample[metric]
    values = [float(v) for v in raw] if isinstance(raw, list) else [float(raw)]
    value = sum(values) / len(values)
    zero_or_one = not isinstance(raw, list) and value in (0.0, 1.0) and not _is_share(sample, metric)
    return {
        "task": task,
        "metric": metric,
        "doc_id": sample["doc_id"],
        "doc_hash": sample["doc_hash"],
        "target_hash": sample["target_hash"],
        "prompt_hash": sample["prompt_hash"],
        "prediction": prediction(sample, metric),
        "correct": bool(value) if zero_or_one else None,
        "value": value,
        "weight": float(len(values)),
    }


def cluster(task: str, doc: dict, groupings: tuple[Grouping, ...]) -> str | None:
    """A digest that questions share which are not independent of each other; None for a question on its own.

    Questions of two tasks can share it: GPQA's three sets hold each other.
    """
    for one in groupings:
        if one.tasks and task not in one.tasks:
            continue
        if lost := [name for name in one.fields if name not in doc]:
            hint = f"name one of: {', '.join(doc)}"
            raise UserError(f"documents of {task} have no field '{lost[0]}'", "groupings in config/benchmarks.yaml", hint)
        values = sorted(str(doc[name]).strip() for name in one.fields)
        if one.pattern:
            matches = [re.search(one.pattern, value) for value in values]
            values = [match[1] for match in matches if match]
        if len(values) == len(one.fields) and any(values):
            return hashlib.sha256("\0".join(values).encode()).hexdigest()[:16]
    return None


def _is_share(sample: dict, metric: str) -> bool:
    """TruthfulQA MC2 is a share of probability, also where it happens to be 0 or 1."""
    return metric == "acc" and isinstance(sample["doc"], dict) and "mc2_targets" in sample["doc"]


def prediction(sample: dict, metric: str) -> str:
    """What the model answered: index of the chosen option, or the (filtered) text, as a hash where it is long."""
    responses = sample["filtered_resps"]
    if isinstance(responses[0], (list, tuple)):
        return str(chosen_option(sample, normalised=metric == "acc_norm"))
    text = str(responses[0]).strip()
    if len(text) <= LONGEST_PREDICTION:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def chosen_option(sample: dict, normalised: bool) -> int:
    """Index of the option with the largest log-likelihood, per character of the option where normalised.

    As lm-eval's `acc` and `acc_norm`; the option's leading delimiter does not count as a character.
    """
    scores = [float(response[0]) for response in sample["filtered_resps"]]
    if normalised:
        options = [continuation for _, continuation in sample["arguments"]]
        scores = [score / max(len(option.removeprefix(" ")), 1) for score, option in zip(scores, options, strict=True)]
    return max(range(len(scores)), key=scores.__getitem__)


def write(path: Path, rows: list[dict]) -> None:
    """Write the table as Parquet; the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, SCHEMA), partial, compression="zstd")
    partial.replace(path)


def lm_eval_mean(folder: Path, task: str, metric: LmEvalMetric) -> float:
    """The mean that lm-eval itself reports, on the scale 0 to 1."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]
    return float(results[task][f"{metric.name},{metric.filter}"])
