"""Generators of the 24 Big-Bench-Hard subtasks of leaderboard v2, each with its fixed answer choices.

The number of lettered options a question shows is at most that of the task's fixed choice list; the subtask's
few-shot examples (three real questions) stand in lm-eval's own YAML and are not repeated here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from .words import ANIMALS, COLOURS, FOODS, KINDS, NAMES, PLACES, SIZES, THINGS, Item, article, others

MULTIPLE = "ABCDEFGHIJKLMNOPQR"


def _row(text: str, target: str) -> Item:
    return text, {"input": text, "target": target}


def _lettered(question: str, options: list[str], right: str) -> Item:
    listed = "\n".join(f"({MULTIPLE[i]}) {o}" for i, o in enumerate(options))
    return _row(f"{question}\nOptions:\n{listed}", f"({MULTIPLE[options.index(right)]})")


def _shuffled(rng: random.Random, question: str, options: list[str]) -> Item:
    """Return a lettered question whose right option is the first one given."""
    right = options[0]
    mixed = rng.sample(options, len(options))
    return _lettered(question, mixed, right)


def boolean_expressions(rng: random.Random) -> Item:
    """Return a Boolean expression of one to three values."""
    terms = [rng.choice(("", "not ")) + rng.choice(("True", "False")) for _ in range(rng.choice((2, 2, 3)))]
    joints = [rng.choice(("and", "or")) for _ in terms[1:]]
    text = " ".join([terms[0], *[f"{j} {t}" for j, t in zip(joints, terms[1:], strict=True)]])
    return _row(f"{text} is", str(_evaluate(text)))


def _evaluate(text: str) -> bool:
    """Return the value of an expression of True, False, not, and, or (``and`` binds closer)."""
    values = {"True": True, "False": False, "not True": False, "not False": True}
    return any(all(values[term] for term in part.split(" and ")) for part in text.split(" or "))


def causal_judgement(rng: random.Random) -> Item:
    """Return who did a deed, and whether a named one did it."""
    name, other = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    asked = rng.choice((name, other))
    text = f"{name} took the {thing}. Did {asked} take the {thing}?\nOptions:\n- Yes\n- No"
    return _row(text, "Yes" if asked == name else "No")


def date_understanding(rng: random.Random) -> Item:
    """Return a named day to find among six."""
    days = [f"day {d}" for d in rng.sample(range(10), 6)]
    return _shuffled(rng, f"{rng.choice(NAMES)} says that today is {days[0]}. What is today?", days)


def disambiguation_qa(rng: random.Random) -> Item:
    """Return a sentence with a pronoun that stands for its subject."""
    first, second, third = rng.sample(NAMES, 3)
    animal = rng.choice(ANIMALS)
    return _shuffled(rng, f"{first} told {second} of a {animal}. Who told it?", [first, second, third])


def formal_fallacies(rng: random.Random) -> Item:
    """Return a syllogism that is right or names another colour."""
    name, animal = rng.choice(NAMES), rng.choice(ANIMALS)
    colour, hue = rng.sample(COLOURS, 2)
    said = rng.choice((colour, hue))
    text = f"All {animal}s are {colour}. {name} has {article(animal)}. So the {animal} is {said}."
    return _row(text, "valid" if said == colour else "invalid")


def geometric_shapes(rng: random.Random) -> Item:
    """Return one word to find among eleven."""
    words = rng.sample([w for k in KINDS.values() for w in k], 11)
    return _shuffled(rng, f"This element draws {article(words[0])}. It draws", words)


def hyperbaton(rng: random.Random) -> Item:
    """Return two adjective orders: size comes before colour."""
    size, colour, noun = rng.choice(SIZES), rng.choice(COLOURS), rng.choice(ANIMALS + THINGS)
    options = [f"{size} {colour} {noun}", f"{colour} {size} {noun}"]
    return options[0], _shuffled(rng, "Which sentence has the correct adjective order:", options)[1]


def logical_deduction(number: int, rng: random.Random) -> Item:
    """Return a row of animals, and ask for the named first."""
    animals = rng.sample(ANIMALS, number)
    text = f"There are {number} animals. The {animals[0]} is the first. Which is the first?"
    return _shuffled(rng, text, [f"The {a}" for a in animals])


def movie_recommendation(rng: random.Random) -> Item:
    """Return three words of a kind, and ask for a fourth."""
    kind = rng.choice([k for k in KINDS.values() if len(k) >= 4])
    *shown, right = rng.sample(kind, 4)
    unlike = [w for k in KINDS.values() if k is not kind for w in k]
    return _shuffled(rng, f"Find a word similar to {', '.join(shown)}:", [right, *rng.sample(unlike, 3)])


def navigate(rng: random.Random) -> Item:
    """Return steps forth and steps back, equal or not."""
    forth = rng.randrange(1, 10)
    back = rng.choice((forth, rng.randrange(1, 10)))
    place = rng.choice(PLACES)
    text = (
        f"If you follow these instructions, do you return to the {place}? Take {forth} steps right. "
        f"Take {back} steps left.\nOptions:\n- Yes\n- No"
    )
    return _row(text, "Yes" if forth == back else "No")


def object_counting(rng: random.Random) -> Item:
    """Return two amounts whose sum is at most nine (the task's choices go to 18)."""
    first, second = rng.choice([(a, b) for a in range(1, 9) for b in range(1, 9) if a + b < 10])
    one, two = rng.sample(FOODS, 2)
    return _row(f"I have {first} {one}s and {second} {two}s. How many foods do I have?", str(first + second))


def penguins_in_a_table(rng: random.Random) -> Item:
    """Return a table of five names and ages, and ask for the one of an age."""
    names, ages = rng.sample(NAMES, 5), rng.sample(range(1, 10), 5)
    table = "\n".join(f"{n}, {a}" for n, a in zip(names, ages, strict=True))
    asked = rng.randrange(5)
    options = [names[asked], *[n for i, n in enumerate(names) if i != asked]]
    return _shuffled(rng, f"name, age\n{table}\nWho is {ages[asked]}?", options)


def reasoning_about_colored_objects(rng: random.Random) -> Item:
    """Return two coloured things, and ask for the colour of one (eight options)."""
    colours = rng.sample(COLOURS, 8)
    one, two = rng.sample(THINGS, 2)
    asked, told = rng.sample((0, 1), 2)
    parts = [(one, colours[0]), (two, colours[1])]
    thing, colour = parts[asked]
    other, hue = parts[told]
    text = f"There is a {colour} {thing} and a {hue} {other}. What color is the {thing}?"
    return _shuffled(rng, text, [colour, *[c for c in colours if c != colour]])


def ruin_names(rng: random.Random) -> Item:
    """Return a name and four others, one of them with the same first word."""
    colour, animal = rng.choice(COLOURS), rng.choice(ANIMALS)
    right = f"{colour} {rng.choice(THINGS)}"
    wrong = [f"{c} {rng.choice(THINGS)}" for c in others(rng, COLOURS, colour, 3)]
    return _shuffled(rng, f"Which is an edit of '{colour} {animal}'?", [right, *wrong])


def salient_translation_error_detection(rng: random.Random) -> Item:
    """Return two versions of a sentence, and ask for the word that was left out (six options)."""
    words = rng.sample([w for k in KINDS.values() for w in k], 6)
    name = rng.choice(NAMES)
    return _shuffled(rng, f"{name} left out the word {words[0]}. Which word is left out?", words)


def snarks(rng: random.Random) -> Item:
    """Return two statements; the sarcastic one has 'oh sure' in it."""
    food, name = rng.choice(FOODS), rng.choice(NAMES)
    colour = rng.choice(COLOURS)
    item = _shuffled(
        rng,
        "Which statement is sarcastic?",
        [f"oh sure, {name} likes {colour} {food}s", f"{name} likes {colour} {food}s"],
    )
    return f"{name} {colour} {food}", item[1]


def sports_understanding(rng: random.Random) -> Item:
    """Return a sentence on eating a food (plausible) or a place (not)."""
    what = rng.choice((FOODS, PLACES))
    word = rng.choice(what)
    text = f'Is the following sentence plausible? "{rng.choice(NAMES)} ate the {rng.choice(COLOURS)} {word}."'
    return _row(text, "yes" if what is FOODS else "no")


def temporal_sequences(rng: random.Random) -> Item:
    """Return two places and hours, and ask for the hour of one (four options)."""
    name = rng.choice(NAMES)
    here, there = rng.sample(PLACES, 2)
    hours = [f"{h}am" for h in rng.sample(range(1, 10), 4)]
    asked = rng.randrange(2)
    place = (here, there)[asked]
    text = f"{name} was in the {here} at {hours[0]} and in the {there} at {hours[1]}."
    options = [hours[asked], *[h for i, h in enumerate(hours) if i != asked]]
    return _shuffled(rng, f"{text} When was {name} in the {place}?", options)


def tracking_shuffled_objects(number: int, rng: random.Random) -> Item:
    """Return people with coloured balls, who trade nothing, and ask for one's ball."""
    names, colours = rng.sample(NAMES, number), rng.sample(COLOURS, number)
    told = ", ".join(f"{n} has a {c} ball" for n, c in zip(names, colours, strict=True))
    asked = rng.randrange(number)
    options = [colours[asked], *[c for i, c in enumerate(colours) if i != asked]]
    return _shuffled(rng, f"{told}. At the end, {names[asked]} has the", options)


def web_of_lies(rng: random.Random) -> Item:
    """Return who tells the truth or lies, and ask for it."""
    name, other = rng.sample(NAMES, 2)
    first, second = rng.sample(("tells the truth", "lies"), 2)
    asked, said = rng.choice(((name, first), (other, second)))
    text = f"Question: {name} {first}. {other} {second}. Does {asked} tell the truth?"
    return _row(text, "Yes" if said == "tells the truth" else "No")


SUBTASKS: dict[str, Callable[[random.Random], Item]] = {
    "boolean_expressions": boolean_expressions,
    "causal_judgement": causal_judgement,
    "date_understanding": date_understanding,
    "disambiguation_qa": disambiguation_qa,
    "formal_fallacies": formal_fallacies,
    "geometric_shapes": geometric_shapes,
    "hyperbaton": hyperbaton,
    "logical_deduction_five_objects": partial(logical_deduction, 5),
    "logical_deduction_seven_objects": partial(logical_deduction, 7),
    "logical_deduction_three_objects": partial(logical_deduction, 3),
    "movie_recommendation": movie_recommendation,
    "navigate": navigate,
    "object_counting": object_counting,
    "penguins_in_a_table": penguins_in_a_table,
    "reasoning_about_colored_objects": reasoning_about_colored_objects,
    "ruin_names": ruin_names,
    "salient_translation_error_detection": salient_translation_error_detection,
    "snarks": snarks,
    "sports_understanding": sports_understanding,
    "temporal_sequences": temporal_sequences,
    "tracking_shuffled_objects_five_objects": partial(tracking_shuffled_objects, 5),
    "tracking_shuffled_objects_seven_objects": partial(tracking_shuffled_objects, 7),
    "tracking_shuffled_objects_three_objects": partial(tracking_shuffled_objects, 3),
    "web_of_lies": web_of_lies,
}
"""Generator of each subtask, by the data set's configuration name."""
