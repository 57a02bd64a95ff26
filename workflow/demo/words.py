"""The vocabulary of the generated questions, and the seeded split of its questions into disjoint pools."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

NAMES = ("Tom", "Ann", "Bob", "Sue", "Max", "Eva", "Dan", "Liz", "Sam", "Joe", "Kim", "Ned")
COLOURS = ("red", "blue", "green", "pink", "gold", "grey", "black", "white")
ANIMALS = ("cat", "dog", "cow", "hen", "fox", "pig", "bat", "owl")
THINGS = ("ball", "hat", "cup", "bag", "pen", "net", "key", "toy")
FOODS = ("pie", "nut", "egg", "jam", "bun", "fig")
PLACES = ("park", "barn", "shop", "lake", "hill", "room")
SIZES = ("big", "small")
COUNTS = ("one", "two", "three", "four", "five")
DEEDS = ("cook", "sing", "swim", "draw", "read", "run")

KINDS = {
    "a colour": COLOURS,
    "an animal": ANIMALS,
    "a thing": THINGS,
    "a food": FOODS,
    "a place": PLACES,
}
"""Kinds that a question may ask for; the word lists do not overlap."""

POOLS = ("test", "shots", "calibration", "training")
"""Disjoint uses of a question: scored, shown as an example, calibrated on, trained on."""

_SHARES = "ttsscrrrrr"  # of ten buckets: 2 test, 2 shots, 1 calibration, 5 training
_POOL_OF_LETTER = {"t": "test", "s": "shots", "c": "calibration", "r": "training"}

Item = tuple[str, dict[str, Any]]
"""A question's identifying text and its row in the schema of the real data set."""


def pool_of(text: str) -> str:
    """Return the one pool that a question text belongs to, for good (no seed: runs must agree)."""
    return _POOL_OF_LETTER[_SHARES[int(hashlib.sha256(text.encode()).hexdigest(), 16) % len(_SHARES)]]


def draws(make: Callable[[random.Random], Item], pool: str, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield distinct rows of ``make`` whose question belongs to ``pool``.

    Raises
    ------
    RuntimeError
        When 10,000 draws in a row bring nothing new: the vocabulary is too small for the wanted number.
    """
    seen: set[str] = set()
    misses = 0
    while misses < 10_000:
        text, row = make(rng)
        if text in seen or pool_of(text) != pool:
            misses += 1
            continue
        seen.add(text)
        misses = 0
        yield row
    raise RuntimeError(f"{make} has no more than {len(seen)} questions in pool {pool}")


def take(make: Callable[[random.Random], Item], pool: str, number: int, rng: random.Random) -> list[dict[str, Any]]:
    """Return ``number`` distinct rows of ``make`` from one pool."""
    source = draws(make, pool, rng)
    return [next(source) for _ in range(number)]


def article(word: str) -> str:
    """Return the word with its indefinite article."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def others(rng: random.Random, words: tuple[str, ...], but: str, number: int) -> list[str]:
    """Return ``number`` distinct words other than ``but``."""
    return rng.sample([w for w in words if w != but], number)
