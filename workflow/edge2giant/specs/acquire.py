"""What is fetched: one spec for each piece, and all of a study's for the job that surveys them first."""

from dataclasses import dataclass, field
from typing import Literal

from edge2giant.models.facts import ModelFacts


@dataclass(frozen=True)
class FetchSpec:
    """One piece that is fetched.

    Parameters
    ----------
    kind : {'model', 'dataset', 'calibration', 'mt-bench', 'nltk'}
    name : str
        Model, benchmark or calibration set; `mt_bench`; `nltk`.
    repo : str
        Id on the hub, or of a git repository.
    revision : str or None
        Commit or branch; None for the newest, which is locked.
    folder : str
        Where its files go, below the store.
    lock : str
        Path of its lock below the store and below `config/lock/<source>`.
    patterns : tuple of str
        Files to take, where the kind does not say.
    field : str or None
        Column of a calibration set that is kept, or `messages`.
    """

    kind: Literal["model", "dataset", "calibration", "mt-bench", "nltk"]
    name: str
    repo: str
    revision: str | None
    folder: str
    lock: str
    patterns: tuple[str, ...] = ()
    field: str | None = None

    @property
    def repo_type(self) -> str:
        """What a source calls this kind of repository."""
        return {"model": "model", "dataset": "dataset", "calibration": "dataset"}.get(self.kind, "web")


@dataclass(frozen=True)
class AcquireSpec:
    """All that a study fetches."""

    study: str
    pieces: tuple[FetchSpec, ...]


@dataclass(frozen=True)
class ExpectedModel:
    """What a model's entry says of it.

    Parameters
    ----------
    config_sha256 : str or None
        Of its config.json; None where it was never read.
    chats : str or None
        A benchmark of the study that needs the model's own chat template.
    file : str
        Where the entry stands.
    folder : str or None
        A folder of this machine that holds it.
    """

    facts: ModelFacts
    config_sha256: str | None = None
    chats: str | None = None
    file: str = "config/models.yaml"
    folder: str | None = None


@dataclass(frozen=True)
class SourceService:
    """Where everything is fetched from, and what models are expected to be. It makes no job run again.

    Parameters
    ----------
    mirror : str or None
        A folder of hub ids, or the address of a hub; None for the public hub.
    token_file : str or None
        File that holds the hub token.
    models : dict of str to ExpectedModel
        By name.
    locks : str or None
        Folder that gets a copy of each new lock; that of the committed ones where it is None.
    """

    mirror: str | None = None
    token_file: str | None = None
    models: dict[str, ExpectedModel] = field(default_factory=dict)
    locks: str | None = None
