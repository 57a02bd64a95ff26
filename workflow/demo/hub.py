"""Write the data sets, calibration text and MT-Bench files into a store, byte for byte the same each time.

Layout and locks are those of the store: ``datasets/<hub id>/README.md`` (with ``configs:``) and
``datasets/<hub id>/<config>/<split>-00000-of-00001.parquet``, one ``<name>.lock.json`` beside each unit.
File names in a lock are relative to the folder that the lock lies in.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import bbh, ifeval, mt_bench, questions, text
from .ids import IDS
from .lock import write_lock, write_text
from .words import take

TEXTS = pa.list_(pa.string())
ANSWERS = pa.struct([("choices", TEXTS), ("labels", pa.list_(pa.int32()))])
ARROW = {"string": pa.string(), "int64": pa.int64(), "list<string>": TEXTS}


def _strings(*names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.string()) for name in names]


SCHEMAS: dict[str, pa.Schema] = {
    "allenai/ai2_arc": pa.schema(
        [
            *_strings("id", "question"),
            ("choices", pa.struct([("text", TEXTS), ("label", TEXTS)])),
            *_strings("answerKey"),
        ]
    ),
    "openai/gsm8k": pa.schema(_strings("question", "answer")),
    "Rowan/hellaswag": pa.schema(
        [
            ("ind", pa.int32()),
            *_strings("activity_label", "ctx_a", "ctx_b", "ctx"),
            ("endings", TEXTS),
            *_strings("source_id", "split", "split_type", "label"),
        ]
    ),
    "cais/mmlu": pa.schema([*_strings("question", "subject"), ("choices", TEXTS), ("answer", pa.int64())]),
    "truthfulqa/truthful_qa": pa.schema([*_strings("question"), ("mc1_targets", ANSWERS), ("mc2_targets", ANSWERS)]),
    "allenai/winogrande": pa.schema(_strings("sentence", "option1", "option2", "answer")),
    "SaylorTwift/bbh": pa.schema(_strings("input", "target")),
    "Idavidrein/gpqa": pa.schema(
        _strings(
            "Record ID",
            "High-level domain",
            "Subdomain",
            "Question",
            "Correct Answer",
            "Incorrect Answer 1",
            "Incorrect Answer 2",
            "Incorrect Answer 3",
            "Explanation",
        )
    ),
    "wis-k/instruction-following-eval": pa.schema(
        [
            ("key", pa.int64()),
            *_strings("prompt"),
            ("instruction_id_list", TEXTS),
            ("kwargs", pa.list_(pa.struct([(k, ARROW[t]) for k, t in ifeval.KWARGS.items()]))),
        ]
    ),
    "DigitalLearningGmbH/MATH-lighteval": pa.schema(_strings("problem", "level", "type", "solution")),
    "TIGER-Lab/MMLU-Pro": pa.schema(
        [
            ("question_id", pa.int64()),
            *_strings("question"),
            ("options", TEXTS),
            *_strings("answer"),
            ("answer_index", pa.int64()),
            *_strings("cot_content", "category", "src"),
        ]
    ),
    "TAUR-Lab/MuSR": pa.schema(
        [
            *_strings("narrative", "question", "choices"),
            ("answer_index", pa.int64()),
            *_strings("answer_choice"),
        ]
    ),
    "EleutherAI/wikitext_document_level": pa.schema(_strings("page")),
}
"""Columns of each data set as on the hub, by hub id."""

Splits = dict[tuple[str, str], list[dict[str, Any]]]
"""Rows by (config, split)."""


def splits(benchmark: str, rng: random.Random) -> Splits:
    """Return all rows of one benchmark's data set, by config and split."""
    return _SPLITS[benchmark](rng)


def _plain(make: Callable, config: str, sizes: dict[str, tuple[str, int]], rng: random.Random) -> Splits:
    """Draw each split from its pool; splits that share a pool get different rows."""
    rows: Splits = {}
    for pool in sorted({p for p, _ in sizes.values()}):
        wanted = [(split, n) for split, (p, n) in sizes.items() if p == pool]
        drawn = iter(take(make, pool, sum(n for _, n in wanted), rng))
        for split, number in wanted:
            rows[config, split] = [next(drawn) for _ in range(number)]
    return rows


def _arc(rng: random.Random) -> Splits:
    sizes = {"train": ("shots", 40), "validation": ("shots", 30), "test": ("test", 40)}
    rows = _plain(questions.arc_challenge, "ARC-Challenge", sizes, rng)
    return _numbered(rows, "id", lambda split, i: f"miniature_{split}_{i}")


def _hellaswag(rng: random.Random) -> Splits:
    sizes = {"train": ("shots", 30), "validation": ("test", 60)}
    rows = _plain(questions.hellaswag, "default", sizes, rng)
    for (_, split), part in rows.items():
        for row in part:
            row["split"] = "val" if split == "validation" else split
    _numbered(rows, "source_id", lambda split, i: f"miniature~{split}{i}")
    return _numbered(rows, "ind", lambda split, i: i)


def _truthfulqa(rng: random.Random) -> Splits:
    return _plain(questions.truthfulqa, "multiple_choice", {"validation": ("test", 40)}, rng)


def _winogrande(rng: random.Random) -> Splits:
    sizes = {"train": ("shots", 30), "validation": ("test", 100)}
    return _plain(questions.winogrande, "winogrande_xl", sizes, rng)


def _gsm8k(rng: random.Random) -> Splits:
    return _plain(questions.gsm8k, "main", {"train": ("shots", 40), "test": ("test", 60)}, rng)


def _mmlu(rng: random.Random) -> Splits:
    rows: Splits = {}
    for subject, make in questions.generators()["mmlu"]:
        rows |= _plain(make, subject, {"dev": ("shots", 5), "test": ("test", 2)}, rng)
    return rows


def _mmlu_pro(rng: random.Random) -> Splits:
    test: list[dict[str, Any]] = []
    shots: list[dict[str, Any]] = []
    for number, (_, make) in enumerate(questions.generators()["mmlu_pro"]):
        test += take(make, "test", 8 if number < 2 else 7, rng)
        shots += take(make, "shots", 5, rng)
    rows = {("default", "test"): test, ("default", "validation"): shots}
    return _numbered(rows, "question_id", lambda split, i: i + (0 if split == "test" else 1000))


def _bbh(rng: random.Random) -> Splits:
    return {(name, "test"): take(make, "test", 2, rng) for name, make in bbh.SUBTASKS.items()}


def _gpqa(rng: random.Random) -> Splits:
    rows = take(questions.gpqa, "test", 30, rng)
    for number, row in enumerate(rows):
        row["Record ID"] = f"miniature{number:02d}"
    sizes = {"gpqa_extended": 30, "gpqa_main": 24, "gpqa_diamond": 18}
    return {(config, "train"): rows[:n] for config, n in sizes.items()}


def _ifeval(rng: random.Random) -> Splits:
    rows = take(ifeval.prompt, "test", 40, rng)
    for row in rows:
        del row["response"]
    return _numbered({("default", "train"): rows}, "key", lambda split, i: 1000 + i)


def _math(rng: random.Random) -> Splits:
    rows: Splits = {}
    for subject in questions.MATH_SUBJECTS:
        for split, pool, hard, easy in (("train", "shots", 4, 1), ("test", "test", 2, 1)):
            drawn = take(lambda r, s=subject: questions.math_lvl5(s, 5, r), pool, hard + easy, rng)
            for row in drawn[hard:]:
                row["level"] = "Level 1"
            rows[subject, split] = drawn
    return rows


def _musr(rng: random.Random) -> Splits:
    return {("default", split): take(make, "test", 20, rng) for split, make in questions.MUSR.items()}


def _wikitext(rng: random.Random) -> Splits:
    sizes = {"train": ("shots", 2), "test": ("test", 14)}
    return {
        ("wikitext-2-raw-v1", split): [{"page": page} for page in text.pages(pool, number, rng)]
        for split, (pool, number) in sizes.items()
    }


_SPLITS: dict[str, Callable[[random.Random], Splits]] = {
    "arc_challenge": _arc,
    "gsm8k": _gsm8k,
    "hellaswag": _hellaswag,
    "mmlu": _mmlu,
    "truthfulqa": _truthfulqa,
    "winogrande": _winogrande,
    "bbh": _bbh,
    "gpqa": _gpqa,
    "ifeval": _ifeval,
    "math_lvl5": _math,
    "mmlu_pro": _mmlu_pro,
    "musr": _musr,
    "wikitext": _wikitext,
}


def _numbered(rows: Splits, column: str, value: Callable[[str, int], Any]) -> Splits:
    for (_, split), part in rows.items():
        for i, row in enumerate(part):
            row[column] = value(split, i)
    return rows


def _card(identifier: str, rows: Splits) -> str:
    """Return the README with the ``configs:`` list by which ``datasets`` finds the files."""
    lines = ["---", "configs:"]
    for config in dict.fromkeys(c for c, _ in rows):
        lines += [f"- config_name: {config}", "  data_files:"]
        for _, split in (key for key in rows if key[0] == config):
            lines += [f"  - split: {split}", f"    path: {config}/{split}-00000-of-00001.parquet"]
    lines += [
        "---",
        "",
        f"Miniature stand-in with the columns of {identifier}, made by `python -m demo data`.",
        "Not one row is of the real data set; scores on it say nothing about a real model.",
        "",
    ]
    return "\n".join(lines)


def write_dataset(folder: Path, identifier: str, rows: Splits) -> list[Path]:
    """Write card and parquet files of one data set below ``folder``; return the files."""
    schema = SCHEMAS[identifier]
    home = folder / identifier
    shutil.rmtree(home, ignore_errors=True)
    files = [write_text(home / "README.md", _card(identifier, rows))]
    for (config, split), part in rows.items():
        path = home / config / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(part, schema=schema), path)
        files.append(path)
    return files


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    return write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_store(store: Path, seed: int = 0) -> None:
    """Write data sets, calibration sets and MT-Bench files with their locks into ``store``.

    Each benchmark draws from its own generator seeded by ``seed`` and its name, so that changing one leaves
    the others' bytes alone. The test, shots, calibration and training pools are disjoint whatever the seed.
    """
    datasets = store / "datasets"
    for benchmark, identifier in IDS.items():
        files = write_dataset(datasets, identifier, splits(benchmark, random.Random(f"{seed}/{benchmark}")))
        write_lock(datasets / f"{benchmark}.lock.json", [identifier], files)
    calibration = {
        "miniature": text.calibration(random.Random(f"{seed}/calibration")),
        "heldout": text.held_out(random.Random(f"{seed}/offdist")),  # the seed's word decides the text
    }
    for name, texts in calibration.items():
        file = _write_jsonl(store / "calibration" / name / "text.jsonl", ({"text": t} for t in texts))
        write_lock(store / "calibration" / f"{name}.lock.json", [name], [file])
    _write_mt_bench(store, random.Random(f"{seed}/mt_bench"))


def _write_mt_bench(store: Path, rng: random.Random) -> None:
    asked, references = mt_bench.questions(rng)
    parts = {"question": asked, "reference_answer": references, "judge_prompts": mt_bench.judge_prompts()}
    files = [_write_jsonl(store / "datasets/mt_bench" / f"{name}.jsonl", rows) for name, rows in parts.items()]
    write_lock(store / "datasets/mt_bench.lock.json", ["mt_bench"], files)
