"""What a study fetches, for the job that surveys it before anything is fetched."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Material:
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
    lock : str
        Path of its lock below the store and below `config/lock/<source>`.
    patterns : tuple of str
        Files to take, where the kind does not say.
    """

    kind: Literal["model", "dataset", "calibration", "mt-bench", "nltk"]
    name: str
    repo: str
    revision: str | None
    lock: str
    patterns: tuple[str, ...] = ()

    @property
    def repo_type(self) -> str:
        """What a source calls this kind of repository."""
        return {"model": "model", "dataset": "dataset", "calibration": "dataset"}.get(self.kind, "web")


@dataclass(frozen=True)
class AcquireSpec:
    """All that a study fetches."""

    study: str
    materials: tuple[Material, ...]
