"""Training text: rows of examples in the shapes of lm-eval's prompts, and conversations.

The fixed beginnings (task descriptions, few-shot examples of BBH and MATH, TruthfulQA's six answers) are
read from the installed lm-eval, so that the model meets the very prompts that it is scored on; nothing of
them is kept in this repository. All questions are drawn from the training pool.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import jinja2
import yaml

from . import mt_bench, text
from .text import EOS, SHAPES, Example
from .words import pool_of

BETWEEN = "\n\n"
ALONE = ("gpqa", "ifeval", "musr")  # zero-shot: one question a prompt
MIX = {
    "arc_challenge": 2,
    "hellaswag": 1.5,
    "truthfulqa": 1,
    "mmlu": 5,
    "winogrande": 1.5,
    "gsm8k": 2,
    "bbh": 6,
    "gpqa": 2,
    "ifeval": 2,
    "math_lvl5": 1.5,
    "mmlu_pro": 4,
    "musr": 3,
    "mt_bench": 2.5,
}
"""Share of each benchmark's shape in the training rows."""

Piece = tuple[str, bool]
"""A stretch of text, and whether the model is asked to produce it."""


class _Loader(yaml.SafeLoader):
    """YAML loader that reads lm-eval's ``!function`` tags as text."""


_Loader.add_constructor("!function", lambda loader, node: node.value)


def _tasks() -> Path:
    spec = find_spec("lm_eval")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("lm_eval is not installed; training reads its fixed examples")
    return Path(spec.origin).parent / "tasks"


def _read(relative: str) -> dict:
    return yaml.load((_tasks() / relative).read_text(encoding="utf-8"), Loader=_Loader)


@cache
def beginning(benchmark: str, config: str) -> str:
    """Return what stands before the first question of a prompt ('' for most benchmarks)."""
    if benchmark == "mmlu":
        return _read(f"mmlu/default/mmlu_{config}.yaml")["description"]
    if benchmark == "bbh":
        task = _read(f"leaderboard/bbh_mc/{config}.yaml")
        shots = task["fewshot_config"]["samples"]
        return task["description"] + "".join(f"Q: {s['input']}\nA: {s['target']}{BETWEEN}" for s in shots)
    if benchmark == "math_lvl5":
        from lm_eval.tasks.leaderboard.math.utils import list_fewshot_samples

        shots = list_fewshot_samples()
        return "".join(f"Problem:\n{s['problem']}\n\nSolution: {s['solution']}{BETWEEN}" for s in shots)
    if benchmark == "truthfulqa":
        whole = _read("truthfulqa/truthfulqa_mc1.yaml")["doc_to_text"]
        return jinja2.Template(whole).render(question="").removesuffix("Q: \nA:")
    return ""


@cache
def _makers() -> dict[str, list]:
    return text.makers()


def _example(benchmark: str, make, rng: random.Random) -> Example:
    while True:
        question, row = make(rng)
        if pool_of(question) == "training":
            return SHAPES[benchmark](row, rng)


def row(rng: random.Random, fixed: bool) -> Iterator[Piece]:
    """Yield an endless row of one benchmark's examples.

    Parameters
    ----------
    fixed
        Begin as lm-eval's prompt does (long); else with the first example.
    """
    benchmark = rng.choices(list(MIX), weights=list(MIX.values()))[0]
    if benchmark == "mt_bench":
        yield from _conversations(rng)
    config, make = rng.choice(_makers()[benchmark])
    alone = benchmark in ALONE
    start = beginning(benchmark, config) if fixed or benchmark == "mmlu" else ""
    if start:
        yield start, False
    while True:
        context, answer = _example(benchmark, make, rng)
        yield context, False
        ends = alone or (benchmark in ("gsm8k", "math_lvl5") and rng.random() < 0.2)
        yield answer + (EOS if ends else BETWEEN), True


def _conversations(rng: random.Random) -> Iterator[Piece]:
    while True:
        _, turns = mt_bench.conversation(rng, "training")
        yield text.BOS, False
        for question, answer in turns:
            yield f"{text.USER}{question}{text.ASSISTANT}", False
            yield answer + EOS, True


def sample(rng: random.Random, number: int, characters: int = 600) -> Iterator[str]:
    """Yield texts to train the tokenizer on: every benchmark alike, some with its fixed beginning."""
    for i in range(number):
        made, length = [], 0
        for piece, _ in row(rng, fixed=i % 10 == 0):
            made.append(piece)
            length += len(piece)
            if length > characters:
                break
        whole = "".join(made)
        for special in (EOS, text.BOS, text.USER, text.ASSISTANT):
            whole = whole.replace(special, " ")
        yield whole
