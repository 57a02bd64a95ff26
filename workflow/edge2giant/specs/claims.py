"""The paper's claims as data, as `config/published/claims.yaml` states them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReadingSpec:
    """One way to decide a part of a claim: in words, as a function of `edge2giant.claims.predicates`, and with its arguments."""

    says: str
    predicate: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class PartSpec:
    """Part of a claim. `says` is empty for the only one; `lenient` is None where no word is vague."""

    says: str
    strict: ReadingSpec
    lenient: ReadingSpec | None = None


@dataclass(frozen=True)
class ClaimSpec:
    """A sentence of the paper's findings, paraphrased; `place` is its section."""

    id: str
    place: str
    statement: str
    parts: tuple[PartSpec, ...]
    note: str = ""


@dataclass(frozen=True)
class FactSpec:
    """A setting that a claim can ask for, and where it is stated."""

    value: Any
    source: str


@dataclass(frozen=True)
class ClaimsSpec:
    """All claims, in the order of their file; `sets` are the lists that a selection names as `@name`, `suites` short labels."""

    claims: tuple[ClaimSpec, ...]
    sets: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    facts: dict[str, FactSpec] = field(default_factory=dict)
    suites: dict[str, str] = field(default_factory=dict)
