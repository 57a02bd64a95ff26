"""From parts to a verdict: strict and lenient reading of each part, and one word for the claim."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from edge2giant import published as printed
from edge2giant.claims.cases import Result
from edge2giant.claims.predicates import PREDICATES
from edge2giant.claims.scores import FILE, Scores, published, regenerated
from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.specs.claims import ClaimSpec, ClaimsSpec, PartSpec, ReadingSpec

HOLDS, IN_PART, FAILS, OPEN = "holds", "holds in part", "fails", "cannot be decided"
VERDICTS = (HOLDS, IN_PART, FAILS, OPEN)


@dataclass(frozen=True)
class PartVerdict:
    """One part of a claim, read strictly and, where that differs, leniently.

    `corrected` is what it would be with the audit's corrections in place of misprints, where that is something else.
    """

    spec: PartSpec
    strict: Result
    lenient: Result | None = None
    corrected: "PartVerdict | None" = None

    @property
    def says(self) -> tuple[str, ...]:
        """Status and findings in words."""
        return (self.status, *(result.summary for result in (self.strict, self.lenient) if result))

    @property
    def status(self) -> str:
        """``strict``, ``lenient`` (only read so), ``fails`` or ``undecided``."""
        holds = [self.strict.holds, *([self.lenient.holds] if self.lenient else [])]
        if self.strict.holds:
            return "strict"
        if None in holds:
            return "undecided"
        return "lenient" if any(holds) else "fails"


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim and what the numbers say about it."""

    spec: ClaimSpec
    parts: tuple[PartVerdict, ...]

    @property
    def word(self) -> str:
        """One of `VERDICTS`, on the numbers as printed.

        Every part true in its strict reading: holds. No part true in any reading: fails. One undecided part
        leaves the claim undecided, whatever the others say. Everything between holds in part.
        """
        states = {part.status for part in self.parts}
        if "undecided" in states:
            return OPEN
        if states == {"strict"}:
            return HOLDS
        return FAILS if states == {"fails"} else IN_PART


def _read(scores: Scores, claim: str, reading: ReadingSpec) -> Result:
    where, name = f"{FILE}: {claim}", reading.predicate
    if name not in PREDICATES:
        raise UserError(f"no predicate '{name}'", where, f"predicates are {', '.join(PREDICATES)}")
    try:
        return PREDICATES[name](scores, **reading.parameters)
    except TypeError as error:
        raise UserError(str(error), where, "see docs/claims.md for the parameters") from None


def judge(spec: ClaimsSpec, scores: Scores) -> list[ClaimVerdict]:
    """The verdict on every claim, in their order."""

    def part_of(claim: ClaimSpec, part: PartSpec) -> PartVerdict:
        return PartVerdict(part, *(_read(scores, claim.id, reading) for reading in (part.strict, part.lenient) if reading))

    return [ClaimVerdict(claim, tuple(part_of(claim, part) for part in claim.parts)) for claim in spec.claims]


def run(spec: ClaimsSpec, folder: Path, cells: Iterable[Path] | None = None, audited: Path | None = None) -> list[ClaimVerdict]:
    """Judge all claims on the published numbers (`folder` is `config/published`), or on the cell records of one study.

    `audited` is what the audit says of the published numbers, by default `marks.csv` beside them.
    """
    grid = published(folder)
    if cells is not None:
        return judge(spec, Scores(spec, grid, regenerated(folder, frames.read_cells(cells)), False))
    right = published(folder, printed.misprints(folder, audited))
    found, corrected = (judge(spec, Scores(spec, grid, values, True)) for values in (grid, right))
    return [_beside(one, other) for one, other in zip(found, corrected, strict=True)]


def _beside(claim: ClaimVerdict, corrected: ClaimVerdict) -> ClaimVerdict:
    """A verdict with the parts that misprints change."""
    pairs = zip(claim.parts, corrected.parts, strict=True)
    return replace(claim, parts=tuple(replace(one, corrected=other if other.says != one.says else None) for one, other in pairs))
