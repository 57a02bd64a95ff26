"""From parts to a verdict: strict and lenient reading of each part, and one word for the claim."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge2giant.claims.cases import FILE, Result
from edge2giant.claims.predicates import PREDICATES
from edge2giant.claims.scores import Scores, published, regenerated
from edge2giant.errors import UserError
from edge2giant.specs.claims import ClaimsSpec, PartSpec, ReadingSpec

HOLDS, IN_PART, FAILS, OPEN = "holds", "holds in part", "fails", "cannot be decided"
VERDICTS = (HOLDS, IN_PART, FAILS, OPEN)


@dataclass
class PartVerdict:
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
class ClaimVerdict:
    """A claim and what the numbers say about it."""

    id: str
    place: str
    statement: str
    note: str
    parts: list[PartVerdict]

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


def check(spec: ClaimsSpec) -> None:
    """Refuse an unknown predicate or parameter before anything is computed.

    Raises
    ------
    UserError
        With the list of known ones.
    """
    for claim in spec.claims:
        for reading in (reading for part in claim.parts for reading in (part.strict, part.lenient) if reading):
            where, name = f"{FILE}: {claim.id}", reading.predicate
            if name not in PREDICATES:
                raise UserError(f"no predicate '{name}'", where, f"predicates are {', '.join(PREDICATES)}")
            known = list(inspect.signature(PREDICATES[name]).parameters)[1:]
            if unknown := set(reading.parameters) - set(known):
                raise UserError(f"{name} takes no '{min(unknown)}'", where, f"parameters are {', '.join(known)}")


def _apply(scores: Scores, where: str, reading: ReadingSpec) -> Result:
    try:
        return PREDICATES[reading.predicate](scores, **reading.parameters)
    except TypeError as error:
        raise UserError(str(error), where, "see docs/claims.md for the parameters") from None


def judge(spec: ClaimsSpec, scores: Scores) -> list[ClaimVerdict]:
    """Return the verdict on every claim, in their order."""
    return [
        ClaimVerdict(claim.id, claim.place, claim.statement, claim.note, [_part(scores, claim.id, part) for part in claim.parts])
        for claim in spec.claims
    ]


def _part(scores: Scores, claim: str, part: PartSpec) -> PartVerdict:
    where = f"{FILE}: {claim}"
    strict = _apply(scores, where, part.strict)
    if part.lenient is None:
        return PartVerdict(part.says, part.strict.says, "", strict, None)
    return PartVerdict(part.says, part.strict.says, part.lenient.says, strict, _apply(scores, where, part.lenient))


def run(spec: ClaimsSpec, folder: Path, cells: Iterable[Path] | None = None) -> list[ClaimVerdict]:
    """Judge all claims on the published numbers, or on the given cell records.

    Parameters
    ----------
    spec : ClaimsSpec
    folder : path
        `config/published`.
    cells : iterable of path, optional
        Cell records of one study.
    """
    check(spec)
    grid = published(folder)
    values = grid if cells is None else regenerated(folder, cells)
    return judge(spec, Scores(grid, values, spec.sets, spec.facts, cells is None))
