"""From parts to a verdict: strict and lenient reading of each part, and one word for the claim."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from edge2giant import records
from edge2giant.claims.predicates import PREDICATES, Result
from edge2giant.claims.scores import PUBLISHED, Scores, published, regenerated
from edge2giant.errors import UserError

HOLDS, IN_PART, FAILS, OPEN = "holds", "holds in part", "fails", "cannot be decided"
VERDICTS = (HOLDS, IN_PART, FAILS, OPEN)


@dataclass
class Part:
    """One part of a claim, read strictly and, where that differs, leniently."""

    says: str
    strictly: str
    leniently: str
    strict: Result
    lenient: Result | None

    @property
    def status(self) -> str:
        """``strict``, ``lenient`` (only read so), ``fails`` or ``undecided``."""
        results = [self.strict] if self.lenient is None else [self.strict, self.lenient]
        if self.strict.holds:
            return "strict"
        if any(result.holds is None for result in results):
            return "undecided"
        return "lenient" if any(result.holds for result in results) else "fails"


@dataclass
class Verdict:
    """A claim and what the numbers say about it."""

    id: str
    place: str
    statement: str
    note: str
    parts: list[Part]

    @property
    def word(self) -> str:
        """One of `VERDICTS`.

        Every part true in its strict reading: holds. No part true in any reading: fails. One undecided part
        leaves the claim undecided, whatever the others say. Everything between holds in part.
        """
        states = {part.status for part in self.parts}
        if "undecided" in states:
            return OPEN
        if states == {"strict"}:
            return HOLDS
        return FAILS if states == {"fails"} else IN_PART


def read_claims(config: Path) -> dict:
    """Return ``published/claims.yaml``.

    Raises
    ------
    UserError
        If it is missing, does not fit its schema, or names a predicate or parameter that does not exist.
    """
    path = config / "published" / "claims.yaml"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError("is missing", path, "restore it from the repository") from None
    except yaml.YAMLError as error:
        raise UserError(f"cannot be read as YAML ({error})", path, "mend the file") from None
    if wrong := records.problem(document, "claims"):
        raise UserError(wrong, path, "see workflow/schemas/claims.schema.json")
    for name, claim in document["claims"].items():
        for part in claim["parts"]:
            for reading in (part, part.get("lenient", {})):
                _check_call(f"{path}: {name}", {**_call(part), **_call(reading)})
    return document


def _call(reading: Mapping) -> dict:
    return {key: reading[key] for key in ("predicate", "with") if key in reading}


def _check_call(where: str, call: Mapping) -> None:
    """Refuse an unknown predicate or parameter with the list of known ones, before anything is computed."""
    name = call["predicate"]
    if name not in PREDICATES:
        raise UserError(f"no predicate '{name}'", where, f"predicates are {', '.join(PREDICATES)}")
    known = list(inspect.signature(PREDICATES[name]).parameters)[1:]
    unknown = set(call["with"]) - set(known)
    if unknown:
        raise UserError(f"{name} takes no '{min(unknown)}'", where, f"parameters are {', '.join(known)}")


def _apply(scores: Scores, where: str, name: str, parameters: Mapping) -> Result:
    try:
        return PREDICATES[name](scores, **parameters)
    except TypeError as error:
        raise UserError(str(error), where, "see docs/claims.md for the parameters") from None


def _part(scores: Scores, where: str, entry: Mapping) -> Part:
    strict = _apply(scores, where, entry["predicate"], entry["with"])
    lenient = None
    if "lenient" in entry:
        name = entry["lenient"].get("predicate", entry["predicate"])
        same = name == entry["predicate"]
        parameters = {**(entry["with"] if same else {}), **entry["lenient"].get("with", {})}
        lenient = _apply(scores, where, name, parameters)
    return Part(entry.get("says", ""), entry["strictly"], entry.get("leniently", ""), strict, lenient)


def judge(document: Mapping, scores: Scores) -> list[Verdict]:
    """Return the verdict on every claim of the document, in its order."""
    return [
        Verdict(
            name,
            claim["place"],
            claim["statement"],
            claim.get("note", ""),
            [_part(scores, f"claims.yaml: {name}", part) for part in claim["parts"]],
        )
        for name, claim in document["claims"].items()
    ]


def run(config: Path, cells: list[Path] | None) -> list[Verdict]:
    """Judge all claims on the published numbers (`cells` None) or on the given cell records."""
    document, grid = read_claims(config), published(config)
    values = grid if cells is None else regenerated(config, cells)
    source = PUBLISHED if cells is None else "cells"
    return judge(document, Scores(grid, values, document["sets"], document.get("facts", {}), source))
