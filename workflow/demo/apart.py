"""Compare the training text with the questions of a store: none may occur in it."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
from edge2giant.errors import UserError

from . import corpus
from .ids import IDS
from .text import SHAPES

LEFT_OUT = (
    "gpqa",
    "ifeval",
    "wikitext",
)  # choices in random order, rows without a response, pages without questions


def contexts(store: Path) -> set[str]:
    """Return the questions of a store's data sets as prompts show them."""
    found = set()
    for benchmark, identifier in IDS.items():
        if benchmark in LEFT_OUT:
            continue
        for path in sorted((store / "datasets" / identifier).rglob("*.parquet")):
            rows = pq.read_table(path).to_pylist()
            found |= {SHAPES[benchmark](row, random.Random(0))[0] for row in rows}
    return found


def check(store: Path, seed: int, rows: int = 300) -> int:
    """Compare a sample of the training text with a store; return how many questions were compared.

    Raises
    ------
    UserError
        Naming the first question of the store that the training text holds, or the lack of a store.
    """
    asked = contexts(store)
    if not asked:
        raise UserError("holds no data sets", store, "make them: python -m demo data --out STORE")
    rng = random.Random(f"{seed}/apart")
    compared = 0
    for _ in range(rows):
        for piece, wanted in islice(corpus.row(rng, fixed=False), 20):
            compared += not wanted
            if piece in asked:
                raise UserError(f"training text holds its question {piece!r}", store, "make the store anew")
    return compared
