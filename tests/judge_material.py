"""A small bench of 80 questions in FastChat's files, for tests of the judge."""

import dataclasses
import json
import math
import os
from pathlib import Path

from edge2giant import specs
from edge2giant.mt_bench import CATEGORIES, REFERENCE_CATEGORIES
from edge2giant.specs.judge import JudgeService, JudgeSpec
from edge2giant.specs.variant import Variant

# as workflow/in-env does: a judge that a run starts is a Python module beside the package
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent / "workflow")

SPEC = JudgeSpec(
    study="smoke",
    variant=Variant("tiny-0.4m", "fp16", "w16a16"),
    judge="test",
    model="test-judge",
    repeats=1,
    temperature=0,
    max_tokens=2048,
)
SERVICE = JudgeService(
    judge="test",
    base_url="http://127.0.0.1:9/v1",
    usd_per_1k_prompt_tokens=0,
    usd_per_1k_completion_tokens=0,
    limit_usd=None,
    concurrency=8,
    timeout_s=1.0,
    attempts=6,
    longest_wait_s=0.1,
)
RULE_JUDGE = {
    "judge": "miniature",
    "model": "edge2giant-rule-judge-1",
    "base_url": "auto",
    "serve": ("{python}", "-m", "demo", "judge", "--port", "{port}"),
    "ready_timeout_s": 20,
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


def judgments(values, judge="test", category=None) -> list[dict]:
    """Judgments of questions 81, 82, ... with ratings of shape (questions, turns, repeats); NaN is unparsed."""
    return [
        {
            "question_id": 81 + q, "category": category or CATEGORIES[q % 8], "turn": t, "repeat": r, "judge": judge,
            "rating": None if math.isnan(value) else float(value), "status": "unparsed" if math.isnan(value) else "rated",
            "question_sha256": "0" * 64, "answer_sha256": f"{q:08x}{t}", "fingerprint": f"{q:08x}{t}{r}",
        }
        for q, turns in enumerate(values) for t, repeats in enumerate(turns, 1) for r, value in enumerate(repeats)
    ]  # fmt: skip


def rating(room: Path, *more: str, **changed) -> list[str]:
    """Command line of `rate` in a folder, by a judge whose spec or service is changed."""
    spec_keys = {field.name for field in dataclasses.fields(JudgeSpec)}
    spec = dataclasses.replace(SPEC, **{key: value for key, value in changed.items() if key in spec_keys})
    other = {key: value for key, value in changed.items() if key not in spec_keys}
    service = dataclasses.replace(SERVICE, judge=spec.judge, **other)
    digest = specs.write(spec, room)
    (room / "service.json").write_text(specs.text(service), encoding="utf-8")
    return [
        "rate", "--spec", str(specs.path(room, digest)), "--spec-digest", digest, "--service", str(room / "service.json"),
        "--answers", str(room / "answers.jsonl"), "--data", str(room / "data"), "--judgment-cache", str(room / "judgment_cache"),
        "--failures", str(room / "failures"), "--out", str(room / "judgments.jsonl"), *more,
    ]  # fmt: skip
