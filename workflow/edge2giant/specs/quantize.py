"""What decides the weights of one checkpoint."""

from dataclasses import dataclass, field
from typing import Any, Literal

from edge2giant import specs
from edge2giant.specs.variant import Variant
from edge2giant.typed import OMITTED

RANDOM_TOKENS = "random_tokens"
Packing = Literal["truncate", "full", "blocks", "windows", "random_tokens"]


@dataclass(frozen=True)
class CalibrationSpec:
    """Text, or random tokens, that a toolkit calibrates with.

    Parameters
    ----------
    name : str
        Entry of `config/calibration.yaml`; names the folder of the text in the store.
    packing : {'truncate', 'full', 'blocks', 'windows', 'random_tokens'}
        How documents become samples, see `quantize.calibration`.
    samples, length, seed : int
        Number of samples, tokens of each, and seed of the draw.
    special_tokens : bool
        Whether the tokenizer adds its special tokens to plain text.
    date : str or None
        What a chat template takes for today, as `2024-07-26`; None for text without conversations.
    repo, revision, config, split, files, field : str or None
        Where the text comes from: data set on the hub, its commit, configuration, split, file and column.
    """

    name: str
    packing: Packing
    samples: int
    length: int
    seed: int
    special_tokens: bool = True
    date: str | None = field(default=None, metadata=OMITTED)
    repo: str | None = None
    revision: str | None = None
    config: str | None = None
    split: str | None = None
    files: str | None = None
    field: str | None = None

    @property
    def reads_text(self) -> bool:
        return self.packing != RANDOM_TOKENS


@dataclass(frozen=True)
class HeldoutSpec:
    """Text that a checkpoint is validated on.

    Parameters
    ----------
    name : str
        Entry of `config/calibration.yaml`.
    samples, length : int
        How many documents are used, and the most tokens of each.
    """

    name: str
    samples: int
    length: int


@dataclass(frozen=True)
class PublishedSpec:
    """A checkpoint on the hub."""

    repo: str
    revision: str | None


@dataclass(frozen=True)
class QuantizeSpec:
    """What decides the weights of one checkpoint. Studies whose variants have the same spec share the checkpoint.

    Parameters
    ----------
    toolkit : str
        Module of `quantize/toolkits/`.
    source : {'make', 'published'}
        Whether the checkpoint is made here or taken from the hub.
    recipe : dict
        Parameters of the toolkit, as its JSON Schema says.
    calibration : CalibrationSpec or None
        None for a recipe that reads no calibration text.
    published : PublishedSpec or None
        The checkpoint that is taken, where `source` is 'published'.
    store : {'hub', 'miniature'}
        Part of the store that holds the model and the calibration text.
    repo, revision : str
        Of the unquantized model; the revision is None where its lock decides.
    environment : str
        `<stack>/<name>` of the environment that the toolkit runs in.
    result_version : int
        `quantize.RESULT_VERSION`.
    changed : dict or None
        What the study changes of the recipe or its calibration set, as it says it: the recipe is then a custom one.
    """

    variant: Variant
    toolkit: str
    source: Literal["make", "published"]
    heldout: HeldoutSpec
    store: Literal["hub", "miniature"]
    repo: str
    revision: str | None
    environment: str
    result_version: int
    recipe: dict[str, Any] = field(default_factory=dict)
    calibration: CalibrationSpec | None = None
    published: PublishedSpec | None = None
    changed: dict[str, Any] | None = field(default=None, metadata=OMITTED)

    @property
    def folder(self) -> str:
        """Last folder of the checkpoint's path."""
        return specs.digest(self)[:12]

    @property
    def path(self) -> str:
        """Folder of the checkpoint below the folder of results."""
        return f"checkpoints/{self.variant.path}/{self.folder}"
