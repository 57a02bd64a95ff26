"""The paper's whole grid as made-up cells, and cells with answers, for tests of the report."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pandas as pd
from edge2giant import config, records
from edge2giant.paper import frames
from edge2giant.specs.study import StudySpec, StudyVariant
from edge2giant.specs.variant import Variant
from factories import make_cell, make_failure
from study_specs import PUBLISHED, spec_of

HOSTILE = """<script>window.pwned=1</script><img src=x onerror="window.pwned=2">"'`-->"""
HOSTILE += "<svg/onload=window.pwned=3>{{7*7}} </script><!--"
HASHES = ["doc_hash", "target_hash", "prompt_hash"]
COLUMNS = ["task", "metric", "doc_id", *HASHES, "prediction", "correct", "value", "weight", "cluster"]


def listing(study: str, *variants: tuple[str, str, str, list[str]]) -> StudySpec:
    """The spec of a study with other variants, each with the benchmarks to expect."""
    entries = (StudyVariant(Variant(model, method, bits), 1.0, tuple(names)) for model, method, bits, names in variants)
    return replace(spec_of(study), variants=tuple(entries), tables=tuple(replace(t, variants=()) for t in spec_of(study).tables))


def _printed() -> dict[tuple, tuple[float, str, str]]:
    scores = frames.published_scores(PUBLISHED)
    ratings = frames.keep(frames.published_ratings(PUBLISHED), table=6, benchmark="average").assign(benchmark="mt_bench")
    both = pd.concat([scores, ratings])
    return {(r.model, r.method, r.bits, r.benchmark): (r.value, r.printed, f"Table {r.table}") for r in both.itertuples()}


def paper_grid(folder: Path) -> list[str]:
    """Write the 636 cells of the paper's study near the printed values; return the paths."""
    chance, printed, paths = random.Random(1), _printed(), []
    for cell in config.load().study("paper").cells:
        names = {"model": cell.variant.model, "method": cell.variant.method, "bits": cell.variant.bits}
        value, text, place = printed[(*names.values(), cell.benchmark)]
        rating = cell.benchmark == "mt_bench"
        score = min(max(value + chance.gauss(0, 0.1 if rating else 1.0), 1.0), 10.0 if rating else 100.0)
        record = make_cell(
            study="paper", **names, benchmark=cell.benchmark, score=round(score, 4),
            toolkit=spec_of("paper").labels.toolkit(cell.variant.method), stack="current",
            published={"value": text, "difference": round(score - value, 4), "place": place},
            cost={"gpu_count": 1, "gpu_name": "NVIDIA H100", "gpu_seconds": 30.0, "seconds": 30.0},
        )  # fmt: skip
        path = folder / cell.variant.path / f"{cell.benchmark}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
        paths.append(str(path))
    return paths


def statistics(folder: Path, paths: list[str]) -> str:
    """Write paired statistics of a grid as `edge2giant.stats family` would form them."""
    read = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    base = {(c["cell"]["model"], c["cell"]["benchmark"]): c["score"] for c in read if c["cell"]["method"] == "fp16"}
    lines = [
        {
            **{name: c["cell"][name] for name in ("study", "model", "suite", "benchmark")},
            "method_a": "fp16", "bits_a": "w16a16", "method_b": c["cell"]["method"], "bits_b": c["cell"]["bits"],
            "score_a": (a := base[c["cell"]["model"], c["cell"]["benchmark"]]), "score_b": c["score"],
            "difference": c["score"] - a, "test": "McNemar", "p_check": 0.05, "check": "exact McNemar",
            "low": c["score"] - a - 1, "high": c["score"] - a + 1, "p_value": 0.0312, "p_holm": 1.0, "p_bh": 0.00001234,
            "questions": 1172, "a_right_b_wrong": 40, "a_wrong_b_right": 20, "agreement": 0.91, "recovery": 98.0, "warnings": "",
            "recovery_low": 96.0, "recovery_high": 99.5, "detectable": 2.4,
        }
        for c in read if c["cell"]["method"] != "fp16"
    ]  # fmt: skip
    path = folder / "statistics.csv"
    pd.DataFrame(lines).to_csv(path, index=False)
    return str(path)


def with_samples(folder: Path, record: dict, rows: list[dict]) -> str:
    """Write a cell and its samples; return the record's path."""
    cell = record["cell"]
    path = folder / cell["model"] / cell["method"] / cell["bits"] / f"{cell['benchmark']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = path.with_suffix(".samples.parquet")
    pd.DataFrame(rows, columns=COLUMNS).to_parquet(table)
    record["samples"] = {"path": f"elsewhere/{table.name}", "sha256": records.file_sha256(table), "rows": len(rows)}
    path.write_text(json.dumps(record), encoding="utf-8")
    return str(path)


def answer(
    number: int, correct: bool, prediction: str = "A", task: str = "arc_challenge", metric: str = "acc_norm", doc: str = "d"
) -> dict:
    """One line of a samples table."""
    hashes = {"doc_hash": f"{doc}{number}", "target_hash": f"t{number}", "prompt_hash": f"p{number}"}
    scored = {"correct": correct, "value": float(correct), "weight": 1.0}
    return {"task": task, "metric": metric, "doc_id": number, "prediction": prediction} | hashes | scored


def hostile_study(folder: Path) -> tuple[list[str], list[str]]:
    """A study whose every free text tries to be markup: cells (one of a confidential benchmark) and failures."""
    cells = []
    for method, bits in (("fp16", "w16a16"), ("awq", "w4a16")):
        for benchmark in ("arc_challenge", "gpqa"):
            record = make_cell(
                method=method, bits=bits, benchmark=benchmark, warnings=[HOSTILE], engine={"kernel": HOSTILE, "version": HOSTILE}
            )
            record["provenance"] |= {"host": HOSTILE, "packages": {HOSTILE: HOSTILE}, "datasets": {HOSTILE: HOSTILE}}
            record["parts"][0]["metric"] = "acc_norm"
            record["checkpoint"]["recipe"] = {"digest": "0" * 64, "asked": HOSTILE}
            rows = [answer(n, (n + len(method)) % 3 > 0, f"SECRET {n} {HOSTILE}", task=HOSTILE) for n in range(30)]
            cells.append(with_samples(folder, record, rows))
    failure = make_failure(reason=HOSTILE, log=HOSTILE, method="smoothquant", bits="w8a8")
    path = folder / "failure.json"
    records.write(path, failure)
    return cells, [str(path)]
