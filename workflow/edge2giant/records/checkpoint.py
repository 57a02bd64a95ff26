"""The record of a checkpoint: how it was made, what it weighs, and its validation."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from edge2giant.records.lock import FileDigest
from edge2giant.typed import OMITTED, Natural, NotEmpty, Pattern, Positive, Range, Sha256, Share, Text

Names = tuple[Text, ...]
Seconds = Annotated[float, Range(0)]
ByType = dict[Literal["float32", "float16", "bfloat16"], float]


@dataclass(frozen=True)
class NamedVariant:
    model: Text
    method: Text
    bits: Annotated[str, Pattern("w[0-9]+a[0-9]+", "of the form w4a16")]


@dataclass(frozen=True)
class SourceModel:
    """The unquantized model; `digest` is over its files."""

    id: Annotated[Names, NotEmpty()]
    revision: Text | None
    digest: Sha256
    licence: Text | None


@dataclass(frozen=True)
class Fallback:
    """Layers that the toolkit could not quantize as told, and the dampening that it took instead."""

    layers: Annotated[Names, NotEmpty()]
    dampening_frac: float | None
    cause: Text


@dataclass(frozen=True)
class SmoothedMapping:
    """A layer whose output channels were divided by scales, and the layers whose input channels were multiplied by them."""

    smooth_layer: Text
    balance_layers: Annotated[Names, NotEmpty()]


@dataclass(frozen=True)
class ExecutedRecipe:
    """What the toolkit did; `transform` says whether it moved scales between layers, `smoothed` between which."""

    parameters: dict
    transform: Literal["none", "smoothing"] = "none"
    ignore: Names = ("lm_head",)
    fallbacks: tuple[Fallback, ...] = ()
    smoothed: tuple[SmoothedMapping, ...] = ()


@dataclass(frozen=True)
class RecipeRecord:
    """`spec` is the digest of the `QuantizeSpec`, `planned` its content."""

    spec: Sha256
    planned: dict
    executed: ExecutedRecipe


@dataclass(frozen=True)
class ToolkitRecord:
    name: Text
    packages: dict[str, Text]
    citation: str


@dataclass(frozen=True)
class CalibrationRecord:
    """The calibration set as drawn; `sha256` is over the token ids, `text_sha256` over the text that they come from."""

    id: Text
    repo: Text | None
    packing: Text
    seed: Natural
    samples: Positive
    length: Positive
    tokens: Positive
    sha256: Sha256
    text_sha256: Sha256 | None


@dataclass(frozen=True)
class CheckpointSize:
    """`nominal_bytes` counts quantized layers at their bits and the rest at 16."""

    weights_bytes: Positive
    total_bytes: Positive
    nominal_bytes: Positive


@dataclass(frozen=True)
class TensorSummary:
    """Levels of the quantized layers' codes: distinct values in a group."""

    layers: Natural
    levels_mean: float
    levels_fewest: Natural


@dataclass(frozen=True)
class Extreme:
    """The worst value of a kind, and the layer or block that has it."""

    value: float
    where: Text


@dataclass(frozen=True)
class HeldoutRecord:
    """The held-out text; `decoder_layers` is None where the whole model read it."""

    samples: Natural
    tokens: Natural
    sha256: Sha256
    decoder_layers: Natural | None


@dataclass(frozen=True)
class Divergence:
    """The checkpoint's distributions of the next token of held-out text beside the unquantized model's.

    Parameters
    ----------
    divergence, nearest_divergence : float
        Mean Kullback-Leibler divergence from the unquantized model in nats a token: of the checkpoint, and of round-to-nearest.
    top1_agreement : float
        Share of tokens at which both find the same token the likeliest.
    perplexity, source_perplexity : float
        Of the checkpoint and of the unquantized model.
    """

    divergence: float
    nearest_divergence: float
    top1_agreement: Share
    perplexity: float
    source_perplexity: float


@dataclass(frozen=True)
class Misreading:
    """How far an engine went towards a known misreading: see `quantize.validation.agreement`."""

    name: Text
    fraction: float | None
    error: float | None
    decided: bool
    moves: float | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class RoundingSummary:
    """Draws of rounded activations, with their spread and the limit by the engine's type, in nats."""

    draws: Annotated[int, Range(2)]
    spread: ByType
    limit: ByType
    misreadings: tuple[Misreading, ...]


@dataclass(frozen=True)
class EngineAgreement:
    """An engine's log-probabilities against independent weights, in nats."""

    name: Literal["hf", "toolkit"]
    dtype: Text
    logprob_difference_mean: float | None
    logprob_difference_largest: float | None
    limit: float
    misreadings: tuple[Misreading, ...] | None = field(default=None, metadata=OMITTED)
    reference: Text | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class CheckResult:
    check: Text
    value: Any
    limit: Any
    passed: Literal[True]


@dataclass(frozen=True)
class Validation:
    """The checks that the checkpoint passed; None where a check does not apply."""

    tensors: TensorSummary | None
    layers: dict[str, Extreme] | None
    heldout: HeldoutRecord
    divergence: Divergence | None
    engine: EngineAgreement | None
    checks: tuple[CheckResult, ...]
    rounding: RoundingSummary | None = None


@dataclass(frozen=True)
class EnvironmentRecord:
    python: Text
    platform: Text
    installer: Literal["conda", "venv", "system"]
    distributions_sha256: Sha256
    cpus: Natural
    gpu: Text | None


@dataclass(frozen=True)
class Durations:
    """Wall time of the parts of a run."""

    total: Seconds
    calibration: Seconds | None = field(default=None, metadata=OMITTED)
    quantize: Seconds | None = field(default=None, metadata=OMITTED)
    validation: Seconds | None = field(default=None, metadata=OMITTED)
    digest: Seconds | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class PeakMemory:
    peak_rss_bytes: Natural
    peak_gpu_bytes: Natural | None


@dataclass(frozen=True)
class CheckpointRecord:
    """`checkpoint.json`. `digest` is over the names and contents of `files`."""

    schema: Literal[2]
    variant: NamedVariant
    model: SourceModel
    recipe: RecipeRecord
    toolkit: ToolkitRecord
    calibration: CalibrationRecord | None
    size: CheckpointSize
    files: Annotated[dict[str, FileDigest], NotEmpty()]
    digest: Sha256
    validation: Validation
    environment: EnvironmentRecord
    seconds: Durations
    memory: PeakMemory
    made: Text
