"""The record of a model that was tuned from another one: `<model>.tuned.json` beside its folder in the store."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from edge2giant.records.checkpoint import Durations, EnvironmentRecord, Extreme, PeakMemory, SourceModel
from edge2giant.records.lock import FileDigest
from edge2giant.typed import Natural, NotEmpty, Positive, Sha256, Text


@dataclass(frozen=True)
class TextRecord:
    """A text: SHA-256 of its file, tokens, and windows that were trained on and kept apart."""

    name: Text
    sha256: Sha256
    tokens: Natural
    training: Natural
    heldout: Natural


@dataclass(frozen=True)
class HeldoutMeasure:
    """On the windows that were kept apart: perplexity, and divergence from the source in nats a token."""

    perplexity: float
    divergence: float


@dataclass(frozen=True)
class TunedRecord:
    """What was made of what, and how far it is from grids of 4 bits.

    Parameters
    ----------
    spec : str
        Digest of the `TuneSpec`; `recipe` is its content.
    losses : tuple of float
        Mean divergence from the source over the first and the last tenth of the steps, in nats a token.
    measured : dict
        `source`, `noised` and `tuned`, each in the stored type.
    grids : dict
        `source` and `tuned`: by grid the layer nearest to it, its rounding error over that of Gaussian weights.
    digest : str
        Over the names and contents of `files`.
    """

    schema: Literal[1]
    id: Text
    source: SourceModel
    texts: Annotated[tuple[TextRecord, ...], NotEmpty()]
    spec: Sha256
    recipe: dict[str, Any]
    packages: dict[str, Text]
    device: Text
    tokens: Positive
    losses: tuple[float, float]
    measured: dict[str, HeldoutMeasure]
    grids: dict[str, dict[str, Extreme]]
    files: Annotated[dict[str, FileDigest], NotEmpty()]
    digest: Sha256
    environment: EnvironmentRecord
    seconds: Durations
    memory: PeakMemory
    made: Text
