"""Records of an evaluation: the answer cache's entry, the manifest of a batch, and the cell that is scored from them."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from edge2giant.records.units import UNITS, UnitName
from edge2giant.specs.variant import Variant
from edge2giant.typed import OMITTED, MismatchError, Natural, NotEmpty, Positive, Range, Sha256, Text


@dataclass(frozen=True)
class Cost:
    """What a benchmark took on a loaded checkpoint. `load_seconds` is the start of the engine, which its batch shares.

    `seconds` is the time that it held the engine. Of these `wait_seconds` passed until its requests were there; `prepare_seconds`
    and `score_seconds` are those of the process beside the engine that built them and scored the answers. `tokens_in` counts
    the tokens of prompts, `tokens_cached` those of them that were not computed again.
    """

    seconds: float
    gpu_count: Natural
    gpu_name: Text | None
    gpu_seconds: float
    requests: Natural
    tokens_in: Natural
    tokens_out: Natural
    tokens_cached: Natural
    load_seconds: float
    peak_gpu_bytes: Natural | None
    wait_seconds: float | None = field(default=None, metadata=OMITTED)
    prepare_seconds: float | None = field(default=None, metadata=OMITTED)
    score_seconds: float | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class Differences:
    """Differences of log-likelihoods in nats: the signed mean with its standard error, and quantiles of their sizes."""

    mean: float
    error: float | None
    mean_abs: float
    half: float
    nine_tenths: float
    ninety_nine_hundredths: float
    largest: float


@dataclass(frozen=True)
class SelfCheckRecord:
    """Requests scored the slow way too, twice: see `engine.self_check`.

    `engine` is the difference of the engine from the slow way, `floor` that of the slow way from itself; `outside` says in what
    the engine's is more than the floor's. `best_changed` counts questions whose most likely continuation differs, the margin is
    theirs.
    """

    requests: Positive
    questions: Positive
    engine: Differences
    floor: Differences
    best_changed: Natural
    widest_changed_margin: float
    greedy_changed: Natural
    outside: tuple[Literal["size", "mean"], ...]


@dataclass(frozen=True)
class EngineFacts:
    """What answered: as `engine.describe` says. `prompting` is how prompts and answers begin and end, as executed."""

    name: Text
    version: Text
    dtype: Text
    tensor_parallel_size: Positive
    pipeline_parallel_size: Positive
    max_model_len: Positive
    kernel: Text
    settings: dict
    self_check: SelfCheckRecord | None
    prompting: dict | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class Provenance:
    """Where a result was made and with what. Records made before the installer was kept have none."""

    git_commit: Text | None
    git_dirty: bool | None
    environment_sha256: Sha256
    packages: dict[str, Text]
    task_versions: dict
    task_hashes: dict
    datasets: dict
    chat_template_sha256: Text | None
    seeds: dict
    host: Text
    started: Text
    finished: Text
    fingerprint: Sha256
    installer: Literal["conda", "venv", "system"] | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class CacheEntry:
    """`results/answer_cache/<fingerprint>/entry.json`: one finished benchmark of one checkpoint.

    `identity` is all that the answers depend on; the fingerprint is its digest. `files` maps names to SHA-256.
    """

    schema: Literal[1]
    benchmark: Text
    fingerprint: Sha256
    identity: dict
    files: Annotated[dict[str, Sha256], NotEmpty()]
    cost: Cost
    engine: EngineFacts
    provenance: Provenance
    warnings: tuple[Text, ...]


@dataclass(frozen=True)
class CheckpointSummary:
    """What manifests and cells say of the checkpoint: see `CheckpointRecord`."""

    digest: Sha256
    bytes: Positive
    nominal_bytes: Positive | None
    recipe: dict


@dataclass(frozen=True)
class Manifest:
    """`results/<study>/evaluations/<model>/<method>/<bits>/<batch>.json`: a batch's benchmarks, by fingerprint of their entry.

    `spec` is the digest of the job's spec. A batch that has not ended, or failed, has what is finished in
    `<batch>.unfinished.json`.
    """

    schema: Literal[1]
    study: Text
    model: Text
    method: Text
    bits: Text
    batch: Text
    checkpoint: CheckpointSummary
    entries: Annotated[dict[str, Sha256], NotEmpty()]
    spec: Sha256 | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class CellIdentity:
    """Which cell, and under which protocol and stack it was made."""

    study: Text
    model: Text
    method: Text
    toolkit: Text
    bits: Text
    benchmark: Text
    suite: Text
    protocol: Text
    stack: Text

    @property
    def variant(self) -> Variant:
        return Variant(self.model, self.method, self.bits)


@dataclass(frozen=True)
class Part:
    """One metric of one subtask (of MT-Bench: one category or turn).

    `raw` and `stderr` are on the metric's own scale, `normalised` on that of the score, `chance` is the level of guessing.
    """

    task: Text
    metric: Text
    raw: float | None
    stderr: float | None
    chance: float | None
    normalised: float | None
    n: Natural


@dataclass(frozen=True)
class PaperValue:
    """What the paper prints for a cell, and the score less that."""

    value: Text
    difference: float
    place: Text


@dataclass(frozen=True)
class SampleTable:
    """The per-sample table beside a cell."""

    path: Text
    sha256: Sha256
    rows: Positive


@dataclass(frozen=True)
class AggregationRecord:
    """How the parts became the score: see `scoring.aggregation.Aggregation`."""

    macro: bool
    chances: dict[str, float]
    scale: float
    clip: bool
    exponential: bool | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class CellRecord:
    """`results/<study>/cells/<model>/<method>/<bits>/<benchmark>.json`: the score of one cell, and that of guessing."""

    schema: Literal[1]
    cell: CellIdentity
    score: float
    stderr: float | None
    n: Positive
    unit: UnitName
    parts: Annotated[tuple[Part, ...], NotEmpty()]
    aggregation: AggregationRecord
    published: PaperValue | None
    samples: SampleTable
    checkpoint: CheckpointSummary
    cost: Cost
    engine: EngineFacts
    provenance: Provenance
    warnings: tuple[Text, ...]
    chance: float | None = field(default=None, metadata=OMITTED)
    lower_is_better: bool | None = field(default=None, metadata=OMITTED)

    def __post_init__(self):
        unit = UNITS[self.unit]
        if wrong := Range(unit.least, unit.most).wrong(self.score):
            raise MismatchError("score", wrong)

    @property
    def sign(self) -> int:
        """Sign of a difference that is a gain."""
        return -1 if self.lower_is_better else 1
