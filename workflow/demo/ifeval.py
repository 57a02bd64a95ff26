"""Instruction-following prompts that lm-eval's own checkers grade, each with a response that follows them."""

from __future__ import annotations

import random
from typing import Any

from .words import ANIMALS, COLOURS, FOODS, NAMES, PLACES, THINGS, Item

KWARGS = {
    "num_highlights": "int64",
    "relation": "string",
    "num_words": "int64",
    "num_sentences": "int64",
    "postscript_marker": "string",
    "keywords": "list<string>",
    "keyword": "string",
    "frequency": "int64",
    "forbidden_words": "list<string>",
    "end_phrase": "string",
}
"""Arguments that the instructions here take, with their types in the real data set."""

NOUNS = ANIMALS + FOODS + THINGS + PLACES

Instruction = tuple[str, str, dict[str, Any], str]
"""Sentence of the prompt, instruction id, its arguments, and a response that follows it."""


def _instruction(rng: random.Random) -> Instruction:
    colour = rng.choice(COLOURS)
    noun, other, third = rng.sample(NOUNS, 3)
    name = rng.choice(NAMES)
    phrase = f"{colour} {noun}"
    choices: tuple[Instruction, ...] = (
        (f"Say {phrase} without commas.", "punctuation:no_comma", {}, phrase),
        (f"Say {phrase} in double quotation marks.", "startend:quotation", {}, f'"{phrase}"'),
        (
            f"Give the title {phrase} in double angular brackets.",
            "detectable_format:title",
            {},
            f"<<{phrase}>>",
        ),
        (
            f"Say {noun} and mark it with *.",
            "detectable_format:number_highlighted_sections",
            {"num_highlights": 1},
            f"*{noun}*",
        ),
        (
            f"{name} wants the words {noun} and {other}.",
            "keywords:existence",
            {"keywords": [noun, other]},
            f"{noun} {other}",
        ),
        (
            f"{name} wants the word {noun} and never {third}.",
            "keywords:forbidden_words",
            {"forbidden_words": [third]},
            noun,
        ),
        (
            f"{name} wants the word {noun} at least 3 times.",
            "keywords:frequency",
            {"keyword": noun, "frequency": 3, "relation": "at least"},
            f"{noun} {noun} {noun}",
        ),
        (
            f"Say {phrase} and end with the words for {name}.",
            "startend:end_checker",
            {"end_phrase": f"for {name}"},
            f"{phrase} for {name}",
        ),
        (
            f"Say {noun} and add a postscript with P.S. on {other}.",
            "detectable_content:postscript",
            {"postscript_marker": "P.S."},
            f"{noun}\nP.S. {other}",
        ),
        (
            f"Tell in at least 2 sentences of {noun} and {other}.",
            "length_constraints:number_sentences",
            {"num_sentences": 2, "relation": "at least"},
            f"I like the {noun}. I like the {other}.",
        ),
        (
            f"Say {phrase} in less than 5 words.",
            "length_constraints:number_words",
            {"num_words": 5, "relation": "less than"},
            phrase,
        ),
        (
            f'Give the {noun} of {name} as "{colour}" in JSON.',
            "detectable_format:json_format",
            {},
            f'{{"{noun}": "{colour}"}}',
        ),
    )
    return rng.choice(choices)


def prompt(rng: random.Random) -> Item:
    """Return a prompt with one or two instructions (the second one a ban on commas).

    The row has the real columns plus ``response`` (dropped before it is written), which follows them all.
    """
    sentence, name, kwargs, response = _instruction(rng)
    names, arguments = [name], [kwargs]
    if name != "punctuation:no_comma" and rng.random() < 0.25:
        sentence += " Use no commas."
        names.append("punctuation:no_comma")
        arguments.append({})
    row = {
        "key": 0,
        "prompt": f"{sentence}\n",
        "instruction_id_list": names,
        "kwargs": [{k: a.get(k) for k in KWARGS} for a in arguments],
        "response": response,
    }
    return sentence, row
