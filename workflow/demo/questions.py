"""One question generator a benchmark; each returns the question's text and a row in the real schema.

Every generator mixes easy questions (copy a word) with harder ones (bind two facts, know a kind), so that
a tiny model lands between chance and perfect. The number of choices is that of the real data set.
"""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from .words import (
    ANIMALS,
    COLOURS,
    DEEDS,
    FOODS,
    KINDS,
    NAMES,
    PLACES,
    THINGS,
    Item,
    article,
    others,
)

LETTERS = "ABCDEFGHIJ"

_MMLU = """
    abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry
    college_computer_science college_mathematics college_medicine college_physics computer_security conceptual_physics
    econometrics electrical_engineering elementary_mathematics formal_logic global_facts high_school_biology
    high_school_chemistry high_school_computer_science high_school_european_history high_school_geography
    high_school_government_and_politics high_school_macroeconomics high_school_mathematics high_school_microeconomics
    high_school_physics high_school_psychology high_school_statistics high_school_us_history high_school_world_history
    human_aging human_sexuality international_law jurisprudence logical_fallacies machine_learning management marketing
    medical_genetics miscellaneous moral_disputes moral_scenarios nutrition philosophy prehistory professional_accounting
    professional_law professional_medicine professional_psychology public_relations security_studies sociology
    us_foreign_policy virology world_religions
"""
MMLU_SUBJECTS = tuple(_MMLU.split())
MMLU_PRO_CATEGORIES = (
    "biology",
    "business",
    "chemistry",
    "computer science",
    "economics",
    "engineering",
    "health",
    "history",
    "law",
    "math",
    "other",
    "philosophy",
    "physics",
    "psychology",
)
MATH_SUBJECTS = {
    "algebra": "Algebra",
    "counting_and_probability": "Counting & Probability",
    "geometry": "Geometry",
    "intermediate_algebra": "Intermediate Algebra",
    "number_theory": "Number Theory",
    "prealgebra": "Prealgebra",
    "precalculus": "Precalculus",
}


def _fact(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
    """Return a short story with its question, the answer, and the answer's kind."""
    name, other = rng.sample(NAMES, 2)
    thing, second = rng.sample(THINGS, 2)
    colour, hue = rng.sample(COLOURS, 2)
    animal, place = rng.choice(ANIMALS), rng.choice(PLACES)
    stories = (
        (f"{name} has a {colour} {thing}. What colour is the {thing}?", colour, COLOURS),
        (f"{name} saw {article(animal)} in the {place}. Where was the {animal}?", place, PLACES),
        (f"{name} gave {article(animal)} to {other}. What did {name} give?", animal, ANIMALS),
        (f"{name} has a {colour} {thing} and a {hue} {second}. What colour is the {thing}?", colour, COLOURS),
        (f"{name} has a {hue} {second} and a {colour} {thing}. What colour is the {thing}?", colour, COLOURS),
    )
    return rng.choice(stories)


def arc_challenge(rng: random.Random) -> Item:
    """Return a question on a one-sentence story with four answers, one of them in the story (or two)."""
    question, answer, kind = _fact(rng)
    texts = [answer, *others(rng, kind, answer, 3)]
    rng.shuffle(texts)
    row = {
        "id": "",
        "question": question,
        "choices": {"text": texts, "label": list("ABCD")},
        "answerKey": "ABCD"[texts.index(answer)],
    }
    return question, row


def hellaswag(rng: random.Random) -> Item:
    """Return two places with an animal in each, and the first half of one of the sentences again."""
    here, there = rng.sample(PLACES, 2)
    colour, hue = rng.sample(COLOURS, 2)
    animal, beast = rng.sample(ANIMALS, 2)
    asked, right = rng.choice(((here, f"a {colour} {animal}."), (there, f"a {hue} {beast}.")))
    endings = [f"a {c} {a}." for c in (colour, hue) for a in (animal, beast)]
    rng.shuffle(endings)
    first = f"In the {here} is a {colour} {animal}. In the {there} is a {hue} {beast}."
    second = f"in the {asked} is"
    row = {
        "ind": 0,
        "activity_label": "Walk",
        "ctx_a": first,
        "ctx_b": second,
        "ctx": f"{first} {second}",
        "endings": endings,
        "source_id": "",
        "split": "",
        "split_type": "indomain",
        "label": str(endings.index(right)),
    }
    return row["ctx"], row


def truthfulqa(rng: random.Random) -> Item:
    """Return a question with a rumour and the truth: two true and two false answers (mc2)."""
    subject = rng.choice(ANIMALS + THINGS)
    false, true, third = rng.sample(COLOURS, 3)
    name = rng.choice(NAMES)
    question = f"{name} thinks the {subject} is {false}, but it is {true}. What colour is the {subject}?"
    row = {
        "question": question,
        "mc1_targets": {
            "choices": [f"The {subject} is {c}." for c in (true, false, third)],
            "labels": [1, 0, 0],
        },
        "mc2_targets": {
            "choices": [f"{what} is {colour}." for colour in (true, false) for what in (f"The {subject}", "It")],
            "labels": [1, 1, 0, 0],
        },
    }
    return question, row


def pick(rng: random.Random, options: int, by_letter: bool) -> tuple[str, list[str], int]:
    """Return a question, its options (one word each) and the index of the right one.

    Half of the questions name the letter where ``by_letter``; the others name the word, or its kind.
    """
    asked, kind = rng.choice(list(KINDS.items()))
    right = rng.choice(kind)
    style = rng.choice(("letter", "letter", "word", "kind") if by_letter else ("word", "word", "kind"))
    unlike = [w for k in KINDS.values() if k is not kind for w in k]
    pool = [w for k in KINDS.values() for w in k if w != right] if style != "kind" else unlike
    words = [right, *rng.sample(pool, options - 1)]
    rng.shuffle(words)
    index = words.index(right)
    text = {"letter": f"Pick {LETTERS[index]}.", "word": f"Which is {right}?", "kind": f"Which is {asked}?"}
    return text[style], words, index


def _with_options(question: str, words: list[str]) -> str:
    return " ".join([question, *words])


def mmlu(subject: str, rng: random.Random) -> Item:
    """Return a question of one MMLU subject: four options, answered by letter."""
    question, words, index = pick(rng, 4, by_letter=True)
    row = {"question": question, "subject": subject, "choices": words, "answer": index}
    return _with_options(question, words), row


def mmlu_pro(category: str, rng: random.Random) -> Item:
    """Return a question of one MMLU-Pro category: ten options, or sometimes fewer, answered by letter."""
    question, words, index = pick(rng, rng.choice((10, 10, 10, 10, 8, 5)), by_letter=True)
    row = {
        "question_id": 0,
        "question": question,
        "options": words,
        "answer": LETTERS[index],
        "answer_index": index,
        "cot_content": "",
        "category": category,
        "src": "edge2giant.miniature",  # part of each question's hash, and so of its scores' digests
    }
    return _with_options(question, words), row


def gpqa(rng: random.Random) -> Item:
    """Return a four-option question; lm-eval shuffles the options, so no question names a letter."""
    question, words, index = pick(rng, 4, by_letter=False)
    right = words.pop(index)
    row = {
        "Record ID": "",
        "High-level domain": "Miniature",
        "Subdomain": "Words",
        "Question": f" {question}",
        "Correct Answer": right,
        "Incorrect Answer 1": words[0],
        "Incorrect Answer 2": words[1],
        "Incorrect Answer 3": words[2],
        "Explanation": f"The option is {right}.",
    }
    return _with_options(question, sorted([right, *words])), row


def winogrande(rng: random.Random) -> Item:
    """Return a sentence with a gap that only the owner of the named thing fits."""
    first, second = rng.sample(NAMES, 2)
    one, two = rng.sample(rng.choice((ANIMALS, THINGS)), 2)
    owner, owned = rng.choice((("1", one), ("2", two)))
    start = f"{first} has {article(one)} and {second} has {article(two)}"
    sentence = f"{start}. _ likes the {owned}."
    return start, {"sentence": sentence, "option1": first, "option2": second, "answer": owner}


def _sum(rng: random.Random) -> tuple[int, str, int, int]:
    """Return a one-digit addition or subtraction with a one-digit result."""
    if rng.random() < 0.7:
        first = rng.randrange(10)
        second = rng.randrange(10 - first)
        return first, "+", second, first + second
    first = rng.randrange(10)
    second = rng.randrange(first + 1)
    return first, "-", second, first - second


def gsm8k(rng: random.Random) -> Item:
    """Return a one-step word problem on one-digit numbers."""
    first, sign, second, result = _sum(rng)
    name, thing = rng.choice(NAMES), rng.choice(THINGS + FOODS + ANIMALS)
    deed = "gets" if sign == "+" else "gives away"
    question = f"{name} has {first} {thing}s and {deed} {second}. How many {thing}s does {name} have?"
    return question, {"question": question, "answer": f"{first} {sign} {second} = {result}\n#### {result}"}


def _math_problem(subject: str, rng: random.Random) -> tuple[str, int]:
    first, sign, second, result = _sum(rng)
    letter, name = rng.choice("abcnxyz"), rng.choice(NAMES)
    if subject == "number_theory":
        first, second = rng.sample(range(10), 2)
        return f"{name} writes ${first}$ and ${second}$. Find the larger number.", max(first, second)
    if subject == "geometry":
        return f"{name} has a line of length ${first}$. Find the length of the line in cm.", first
    if subject == "counting_and_probability":
        return f"{name} has ${first}$ {rng.choice(THINGS)}s. How many are there?", first
    text = {
        "algebra": f"{name} says ${letter}={first}$. Find ${letter}{sign}{second}$.",
        "intermediate_algebra": f"{name} has $f({letter})={letter}{sign}{second}$. Find $f({first})$.",
        "prealgebra": f"{name} asks for ${first}{sign}{second}$. Find it.",
        "precalculus": f"{name} has a vector $({first}, {second})$. Find its first entry.",
    }[subject]
    return text, first if subject == "precalculus" else result


def math_lvl5(subject: str, level: int, rng: random.Random) -> Item:
    """Return a problem of one MATH subject, whose solution ends in a boxed digit."""
    problem, result = _math_problem(subject, rng)
    solution = f"The answer is $\\boxed{{{result}}}$."
    row = {
        "problem": problem,
        "level": f"Level {level}",
        "type": MATH_SUBJECTS[subject],
        "solution": solution,
    }
    return problem, row


def _musr_row(narrative: str, question: str, choices: list[str], right: str) -> Item:
    row = {
        "narrative": narrative,
        "question": question,
        "choices": repr(choices),
        "answer_index": choices.index(right),
        "answer_choice": right,
    }
    return f"{narrative} {question}", row


def musr_murder_mysteries(rng: random.Random) -> Item:
    """Return two suspects with their places, and the place of the deed (2 choices)."""
    first, second = rng.sample(NAMES, 2)
    here, there = rng.sample(PLACES, 2)
    right, place = rng.choice(((first, here), (second, there)))
    narrative = f"{first} was in the {here}. {second} was in the {there}. The cow died in the {place}."
    return _musr_row(narrative, "Who is the most likely murderer?", [first, second], right)


def musr_object_placements(rng: random.Random) -> Item:
    """Return two things put in two places, and ask for one (5 choices)."""
    name, other = rng.sample(NAMES, 2)
    thing, second = rng.sample(THINGS, 2)
    places = rng.sample(PLACES, 5)
    right, place = rng.choice(((thing, places[0]), (second, places[1])))
    narrative = f"{name} left the {thing} in the {places[0]}. {other} left the {second} in the {places[1]}."
    choices = sorted(places)
    return _musr_row(narrative, f"Where is the {right}?", choices, place)


def musr_team_allocation(rng: random.Random) -> Item:
    """Return two people's liking for two jobs, and three ways to share the jobs (3 choices)."""
    first, second, third = rng.sample(NAMES, 3)
    deed, work = rng.sample(DEEDS, 2)
    choices = [f"{deed}: {a}, {work}: {b}" for a, b in ((first, second), (second, first), (third, second))]
    right = choices[0]
    rng.shuffle(choices)
    narrative = f"{first} likes to {deed}. {second} likes to {work}. {third} likes to sleep."
    return _musr_row(narrative, "Who should do which job?", choices, right)


MUSR = {
    "murder_mysteries": musr_murder_mysteries,
    "object_placements": musr_object_placements,
    "team_allocation": musr_team_allocation,
}


def generators() -> dict[str, list[tuple[str, Any]]]:
    """Return the generators of each benchmark of this module, by configuration or split."""
    return {
        "arc_challenge": [("ARC-Challenge", arc_challenge)],
        "hellaswag": [("default", hellaswag)],
        "truthfulqa": [("multiple_choice", truthfulqa)],
        "mmlu": [(s, partial(mmlu, s)) for s in MMLU_SUBJECTS],
        "winogrande": [("winogrande_xl", winogrande)],
        "gsm8k": [("main", gsm8k)],
        "gpqa": [("gpqa_extended", gpqa)],
        "math_lvl5": [(s, partial(math_lvl5, s, 5)) for s in MATH_SUBJECTS],
        "mmlu_pro": [(c, partial(mmlu_pro, c)) for c in MMLU_PRO_CATEGORIES],
        "musr": list(MUSR.items()),
    }
