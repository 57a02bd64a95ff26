"""Questions as text: the prompt shapes of lm-eval's tasks, and calibration text in those shapes."""

from __future__ import annotations

import ast
import random
import string
from collections.abc import Callable
from typing import Any

from . import bbh, ifeval, mt_bench, questions
from .words import POOLS, Item, draws

Row = dict[str, Any]
Example = tuple[str, str]
"""Context and the continuation that is scored, as lm-eval cuts them."""

USER, ASSISTANT, SYSTEM = "<|user|>", "<|assistant|>", "<|system|>"
BOS, EOS, PAD = "<s>", "</s>", "<pad>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}{{ eos_token }}"
    "{% else %}<|{{ message['role'] }}|>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Jinja template: each turn opens with its role's token, an assistant's turn ends with EOS."""


def _arc(row: Row, rng: random.Random) -> Example:
    right = row["choices"]["text"]["ABCD".index(row["answerKey"])]
    return f"Question: {row['question']}\nAnswer:", f" {right}"


def _hellaswag(row: Row, rng: random.Random) -> Example:
    second = row["ctx_b"].capitalize()
    return f"{row['activity_label']}: {row['ctx_a']} {second}", f" {row['endings'][int(row['label'])]}"


def _truthfulqa(row: Row, rng: random.Random) -> Example:
    return f"Q: {row['question']}\nA:", f" {rng.choice(row['mc2_targets']['choices'][:2])}"


def _letters(question: str, options: list[str], right: str) -> Example:
    listed = "".join(f"{string.ascii_uppercase[i]}. {o}\n" for i, o in enumerate(options))
    return f"{question}\n{listed}Answer:", f" {right}"


def _mmlu(row: Row, rng: random.Random) -> Example:
    return _letters(row["question"], row["choices"], "ABCD"[row["answer"]])


def _mmlu_pro(row: Row, rng: random.Random) -> Example:
    return _letters(row["question"], row["options"], row["answer"])


def _gpqa(row: Row, rng: random.Random) -> Example:
    right = row["Correct Answer"]
    choices = [right, *[row[f"Incorrect Answer {i}"] for i in (1, 2, 3)]]
    rng.shuffle(choices)
    listed = "\n".join(f"({string.ascii_uppercase[i]}) {c}" for i, c in enumerate(choices))
    context = f"What is the correct answer to this question:{row['Question']}\nChoices:\n{listed}\nAnswer:"
    return context, f"  ({string.ascii_uppercase[choices.index(right)]})"


def _winogrande(row: Row, rng: random.Random) -> Example:
    before, after = row["sentence"].split("_")
    return before + row[f"option{row['answer']}"], after


def _gsm8k(row: Row, rng: random.Random) -> Example:
    return f"Question: {row['question']}\nAnswer:", f" {row['answer']}"


def _math(row: Row, rng: random.Random) -> Example:
    return f"Problem:\n{row['problem']}\n\nSolution:", f" {row['solution']}"


def _musr(row: Row, rng: random.Random) -> Example:
    listed = "".join(f"{i} - {c}\n" for i, c in enumerate(ast.literal_eval(row["choices"]), 1))
    return f"{row['narrative']}\n\n{row['question']}\n\n{listed}\nAnswer:", f" {row['answer_choice']}"


def _bbh(row: Row, rng: random.Random) -> Example:
    return f"Q: {row['input']}\nA:", f" {row['target']}"


def _ifeval(row: Row, rng: random.Random) -> Example:
    return row["prompt"], row["response"]


SHAPES: dict[str, Callable[[Row, random.Random], Example]] = {
    "arc_challenge": _arc,
    "hellaswag": _hellaswag,
    "truthfulqa": _truthfulqa,
    "mmlu": _mmlu,
    "winogrande": _winogrande,
    "gsm8k": _gsm8k,
    "bbh": _bbh,
    "gpqa": _gpqa,
    "ifeval": _ifeval,
    "math_lvl5": _math,
    "mmlu_pro": _mmlu_pro,
    "musr": _musr,
}
"""How lm-eval shows one row of each benchmark (without description and fixed examples)."""


def makers() -> dict[str, list[tuple[str, Callable[[random.Random], Item]]]]:
    """Return all generators by benchmark: (config or split, generator) pairs."""
    made = questions.generators()
    made["bbh"] = list(bbh.SUBTASKS.items())
    made["ifeval"] = [("default", ifeval.prompt)]
    return made


def examples(benchmark: str, config: str, pool: str, number: int, rng: random.Random) -> list[Example]:
    """Return ``number`` examples of one config in lm-eval's shape, drawn from one pool (repeats possible)."""
    if pool not in POOLS:
        raise ValueError(f"pool {pool}: one of {POOLS}")
    make = dict(makers()[benchmark])[config]
    found: list[Example] = []
    while len(found) < number:
        row = next(draws(make, pool, rng))
        found.append(SHAPES[benchmark](row, rng))
    return found


def chat(turns: list[tuple[str, str]]) -> str:
    """Return a conversation as :data:`CHAT_TEMPLATE` renders it."""
    return BOS + "".join(f"{USER}{question}{ASSISTANT}{answer}{EOS}" for question, answer in turns)


def calibration(rng: random.Random, number: int = 256) -> list[str]:
    """Return texts of the calibration pool: a few examples of one benchmark each, or a conversation."""
    made = makers()
    names = [*made, "mt_bench"]
    texts = []
    for i in range(number):
        name = names[i % len(names)]
        if name == "mt_bench":
            texts.append(chat(mt_bench.conversation(rng, "calibration")[1]))
            continue
        config = rng.choice(made[name])[0]
        shown = examples(name, config, "calibration", 6, rng)
        texts.append("\n\n".join(context + answer for context, answer in shown))
    return texts


def pages(pool: str, number: int, rng: random.Random, each: int = 8) -> list[str]:
    """Return pages of running text in wikitext's form: examples of one pool, those of one benchmark together."""
    made = makers()
    names = list(made)
    found = []
    for i in range(number):
        name = names[i % len(names)]
        config = rng.choice(made[name])[0]
        shown = " \n ".join(context + answer for context, answer in examples(name, config, pool, each, rng))
        found.append(f" = {name} {i + 1} = \n \n {shown} \n ")
    return found


def held_out(rng: random.Random, number: int = 64) -> list[str]:
    """Return texts unlike any question: random letters, digits, signs and made-up words."""
    signs = string.ascii_letters + string.digits + string.punctuation + " " * 12
    texts = []
    for i in range(number):
        if i % 2:
            texts.append("".join(rng.choice(signs) for _ in range(240)).strip())
            continue
        words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randrange(2, 10))) for _ in range(45)]
        texts.append(" ".join(words))
    return texts
