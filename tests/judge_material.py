"""A small bench of 80 questions in FastChat's files, for tests of the judge."""

import json
import os
from pathlib import Path

import yaml
from edge2giant.mt_bench import CATEGORIES, REFERENCE_CATEGORIES

# as workflow/in-env does: a judge that a run starts is a Python module beside the package
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent / "workflow")

ENTRY = {
    "title": "test judge",
    "kind": "openai-compatible",
    "model": "test-judge",
    "base_url": "http://127.0.0.1:9/v1",
    "price_usd_per_1k_tokens": {"prompt": 0, "completion": 0},
    "limit_usd": None,
    "repeats": 1,
    "concurrency": 8,
    "timeout_s": 1.0,
    "attempts": 6,
    "longest_wait_s": 0.1,
}
PROMPTS = {
    "single-v1": "[Question]\n{question}\n\n[The Start of Assistant's Answer]\n{answer}\n[The End of Assistant's Answer]",
    "single-math-v1": "[Question]\n{question}\n\n[The Start of Reference Answer]\n{ref_answer_1}\n"
    "[The End of Reference Answer]\n\n[The Start of Assistant's Answer]\n{answer}\n"
    "[The End of Assistant's Answer]",
    "single-v1-multi-turn": "U1 {question_1} A1 {answer_1} U2 {question_2} A2 {answer_2}",
    "single-math-v1-multi-turn": "R1 {ref_answer_1} R2 {ref_answer_2} U1 {question_1} A1 {answer_1} "
    "U2 {question_2} A2 {answer_2}",
}


def lines(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def questions(per_category=10):
    return [
        {
            "question_id": 81 + i,
            "category": c,
            "turns": [f"{c} question {i}, first?", f"{c} question {i}, second?"],
        }
        for i, c in enumerate(c for c in CATEGORIES for _ in range(per_category))
    ]


def answer(question, model="model-a", words="answer"):
    key = question["question_id"]
    texts = [f"{words} {key} {turn} {{braces}} [[10]]" for turn in (1, 2)]
    return {
        "question_id": key,
        "answer_id": f"{model}-{key}",
        "model_id": model,
        "choices": [{"index": 0, "turns": texts}],
        "tstamp": 0.0,
    }


def bench(folder: Path, per_category=10) -> Path:
    rows = questions(per_category)
    lines(folder / "question.jsonl", rows)
    referenced = [answer(q, "reference", "reference") for q in rows if q["category"] in REFERENCE_CATEGORIES]
    lines(folder / "reference_answer.jsonl", referenced)
    prompts = [
        {"name": name, "type": "single", "system_prompt": f"system of {name}", "prompt_template": template}
        for name, template in PROMPTS.items()
    ]
    lines(folder / "judge_prompts.jsonl", prompts)
    return folder


def answers(path: Path, per_category=10, model="model-a", words="answer") -> Path:
    return lines(path, [answer(q, model, words) for q in questions(per_category)])


def judges(path: Path, **entry) -> Path:
    path.write_text(yaml.safe_dump({"test": {**ENTRY, **entry}}), encoding="utf-8")
    return path
