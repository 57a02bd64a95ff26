"""A miniature MT-Bench: two-turn questions that a judge can grade by rule from its prompt alone.

The files have FastChat's format; questions, references and judge prompts are the project's own. Where no
reference answer exists (writing, roleplay, extraction, stem, humanities) the question itself states what to
check, in one of the forms of :data:`FORMS`; ``{words}`` is lower-case words separated by single spaces.
"""

from __future__ import annotations

import random
from typing import Any

from edge2giant.mt_bench import CATEGORIES, REFERENCE_CATEGORIES

from .words import ANIMALS, COLOURS, COUNTS, FOODS, NAMES, PLACES, THINGS, pool_of

FIRST_ID = 81
NOUNS = ANIMALS + FOODS + THINGS

FORMS = {
    "Write the word {word} {count} times.": "the word, {count} times (two to five), nothing else",
    "Write these words: {words}.": "the words in this order, nothing else",
    "Say that you are {name} the {word}.": "I am {name} the {word}.",
    "{key}: {value}. {key}: {value}. Give the {key}.": "the value of that key",
    "Count from {number} to {number}.": "the numbers from the first to the second, one space between",
}
"""Forms of the self-checking questions and of their answers."""

Turn = tuple[str, str]
"""A question and its right answer."""


def _times(rng: random.Random) -> Turn:
    word, number = rng.choice(NOUNS), rng.randrange(2, 6)
    return f"Write the word {word} {COUNTS[number - 1]} times.", " ".join([word] * number)


def _words(rng: random.Random) -> Turn:
    words = " ".join([rng.choice(COLOURS), rng.choice(NOUNS), rng.choice(PLACES)])
    return f"Write these words: {words}.", words


def _role(rng: random.Random) -> Turn:
    who = f"{rng.choice(NAMES)} the {rng.choice(ANIMALS)}"
    return f"Say that you are {who}.", f"I am {who}."


def _extract(rng: random.Random) -> Turn:
    entries = {"name": rng.choice(NAMES), "colour": rng.choice(COLOURS), "place": rng.choice(PLACES)}
    keys = rng.sample(list(entries), 2)
    asked = rng.choice(keys)
    listed = " ".join(f"{k}: {entries[k]}." for k in keys)
    return f"{listed} Give the {asked}.", entries[asked]


def _count(rng: random.Random) -> Turn:
    first = rng.randrange(18)
    last = first + rng.randrange(1, 5)
    return f"Count from {first} to {last}.", " ".join(str(d) for d in range(first, last + 1))


def _where(rng: random.Random) -> Turn:
    first, second = rng.sample(NAMES, 2)
    here, there = rng.sample(PLACES, 2)
    asked, place = rng.choice(((first, here), (second, there)))
    return f"{first} is in the {here}. {second} is in the {there}. Where is {asked}?", place


def _add(rng: random.Random) -> Turn:
    first = rng.randrange(10)
    second = rng.randrange(10 - first)
    return f"{rng.choice(NAMES)} asks: what is {first} + {second}?", str(first + second)


def _code(rng: random.Random) -> Turn:
    words = f"{rng.choice(COLOURS)} {rng.choice(NOUNS)}"
    return f'What does print("{words}") show?', words


TURNS = {
    "writing": _times,
    "roleplay": _role,
    "reasoning": _where,
    "math": _add,
    "coding": _code,
    "extraction": _extract,
    "stem": _count,
    "humanities": _words,
}
"""Generator of one turn, by category."""


def conversation(rng: random.Random, pool: str, category: str | None = None) -> tuple[str, list[Turn]]:
    """Return a category and two different turns, both of whose questions belong to ``pool``."""
    category = category or rng.choice(CATEGORIES)
    turns: list[Turn] = []
    for _ in range(10_000):
        turn = TURNS[category](rng)
        if pool_of(turn[0]) == pool and turn not in turns:
            turns.append(turn)
        if len(turns) == 2:
            return category, turns
    raise RuntimeError(f"{category} has fewer than two questions in pool {pool}")


def questions(rng: random.Random, per_category: int = 2) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of ``question.jsonl`` and of ``reference_answer.jsonl``, ids from 81 on."""
    asked: list[dict[str, Any]] = []
    references: list[dict[str, Any]] = []
    used: set[str] = set()
    for category in CATEGORIES:
        for _ in range(per_category):
            turns = _unused(rng, category, used)
            number = FIRST_ID + len(asked)
            asked.append({"question_id": number, "category": category, "turns": [q for q, _ in turns]})
            if category in REFERENCE_CATEGORIES:
                references.append(_reference(number, [a for _, a in turns]))
    return asked, references


def _unused(rng: random.Random, category: str, used: set[str]) -> list[Turn]:
    while True:
        _, turns = conversation(rng, "test", category)
        if used.isdisjoint(q for q, _ in turns):
            used.update(q for q, _ in turns)
            return turns


def _reference(number: int, answers: list[str]) -> dict[str, Any]:
    return {
        "question_id": number,
        "answer_id": f"miniature-{number}",
        "model_id": "demo",
        "choices": [{"index": 0, "turns": answers}],
        "tstamp": 0.0,
    }


_TASK = (
    "Rate how well the assistant {aim}. Say in one sentence why, then give the rating from 1 (useless) to 10 "
    '(perfect) as "[[rating]]", for example "Rating: [[3]]".'
)
_FOLLOWS = _TASK.format(aim="does what the question asks")
_AGREES = _TASK.format(aim="answers the question; the reference answer is right")
_SECOND = " Rate the answer to the second question alone."

_SINGLE = "[Question]\n{question}\n\n[The Start of Assistant's Answer]\n{answer}\n[The End of Assistant's Answer]"
_SINGLE_MATH = (
    "[Question]\n{question}\n\n[The Start of Reference Answer]\n{ref_answer_1}\n[The End of Reference Answer]"
    "\n\n[The Start of Assistant's Answer]\n{answer}\n[The End of Assistant's Answer]"
)
_MULTI = (
    "<|The Start of Assistant A's Conversation with User|>\n\n### User:\n{question_1}\n\n### Assistant A:\n"
    "{answer_1}\n\n### User:\n{question_2}\n\n### Assistant A:\n{answer_2}\n\n"
    "<|The End of Assistant A's Conversation with User|>"
)
_MULTI_MATH = (
    "<|The Start of Reference Answer|>\n\n### User:\n{question_1}\n\n### Reference answer:\n{ref_answer_1}"
    "\n\n### User:\n{question_2}\n\n### Reference answer:\n{ref_answer_2}\n\n"
    "<|The End of Reference Answer|>\n\n\n"
) + _MULTI


def _prompt(name: str, system: str, template: str, description: str, category: str) -> dict[str, str]:
    return {
        "name": name,
        "type": "single",
        "system_prompt": system,
        "prompt_template": template,
        "description": description,
        "category": category,
        "output_format": "[[rating]]",
    }


def judge_prompts() -> list[dict[str, str]]:
    """Return the four single-answer prompts, with FastChat's names, keys and placeholders and our words."""
    plain = "You grade the answers of an assistant."
    return [
        _prompt("single-v1", plain, f"[Instruction]\n{_FOLLOWS}\n\n{_SINGLE}", "Any question", "general"),
        _prompt("single-math-v1", plain, f"[Instruction]\n{_AGREES}\n\n{_SINGLE_MATH}", "With a reference", "math"),
        _prompt("single-v1-multi-turn", _FOLLOWS + _SECOND, _MULTI, "Any second turn", "general"),
        _prompt(
            "single-math-v1-multi-turn",
            _AGREES + _SECOND,
            _MULTI_MATH,
            "Second turn with a reference",
            "math",
        ),
    ]
