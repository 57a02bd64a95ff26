"""The paper's claims as data, as `config/published/claims.yaml` states them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReadingSpec:
    """One way to decide a part of a claim.

    Parameters
    ----------
    says : str
        The reading in words.
    predicate : str
        Function in `edge2giant.claims.predicates`.
    parameters : dict
        Its arguments.
    """

    says: str
    predicate: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class PartSpec:
    """Part of a claim.

    Parameters
    ----------
    says : str
        What it is about; empty for the only part of a claim.
    strict : ReadingSpec
    lenient : ReadingSpec or None
        None where no word is vague.
    """

    says: str
    strict: ReadingSpec
    lenient: ReadingSpec | None = None


@dataclass(frozen=True)
class ClaimSpec:
    """A sentence of the paper's findings.

    Parameters
    ----------
    id : str
    place : str
        Section of the paper.
    statement : str
        The sentence, paraphrased.
    parts : tuple of PartSpec
    note : str
    """

    id: str
    place: str
    statement: str
    parts: tuple[PartSpec, ...]
    note: str = ""


@dataclass(frozen=True)
class FactSpec:
    """A setting that a claim can ask for.

    Parameters
    ----------
    value : object
    source : str
        Where it is stated.
    """

    value: Any
    source: str


@dataclass(frozen=True)
class ClaimsSpec:
    """All claims, in the order of their file.

    Parameters
    ----------
    claims : tuple of ClaimSpec
    sets : dict of str to tuple
        Lists that a selection names as `@name`.
    facts : dict of str to FactSpec
    """

    claims: tuple[ClaimSpec, ...]
    sets: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    facts: dict[str, FactSpec] = field(default_factory=dict)
