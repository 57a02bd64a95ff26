"""Which files of a repository are wanted, and whether they suffice. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.models import read
from edge2giant.specs.acquire import FetchSpec
from edge2giant.store import plain_name

PATTERNS = {
    "model": (
        "*.safetensors",
        "*.json",
        "*.model",
        "*.jinja",
        "merges.txt",
        "LICENSE*",
        "USE_POLICY*",
        "NOTICE*",
        "*.md",
    ),
    "dataset": ("*.parquet", "*.jsonl", "*.json", "*.csv", "README.md", "LICENSE*"),
}
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack")
DUPLICATES = ("consolidated*.safetensors", "*training_args*", "optimizer*")


@dataclass(frozen=True)
class Entry:
    """A file of a repository as its source announces it.

    Attributes
    ----------
    sha256 : str or None
        SHA-256 of the content, where the source tells it (large files of a hub).
    blob : str or None
        Git's object id of the content, where the source tells that (small files of a hub).
    """

    bytes: int
    sha256: str | None = None
    blob: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a source offers of a repository at one revision; `commit` is None where it knows no commits."""

    repo: str
    commit: str | None
    files: dict[str, Entry]
    gated: bool = False

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files.values())

    def only(self, names: Collection[str]) -> "Listing":
        """The part of it with some of the files."""
        return replace(self, files={name: self.files[name] for name in names if name in self.files})


def wanted(piece: FetchSpec, names: Collection[str]) -> list[str]:
    """Pick the files of a repository by the patterns of a piece, else of its kind.

    A model's files lie at the top of its repository; folders hold other formats of the same weights.

    Raises
    ------
    UserError
        If nothing is wanted, a model has only pickled weights, or a name leaves the repository's folder.
    """
    kind, repo = piece.repo_type, piece.repo
    chosen = sorted(
        plain_name(name, repo)
        for name in names
        if any(fnmatchcase(name if piece.patterns else name.rsplit("/", 1)[-1], one) for one in piece.patterns or PATTERNS[kind])
        and not any(fnmatchcase(name, pattern) for pattern in (*PICKLED, *DUPLICATES))
        and not (kind == "model" and "/" in name)
        and not any(part.startswith(".") for part in name.split("/"))
    )
    if kind == "model" and not any(name.endswith(".safetensors") for name in chosen):
        pickled = any(fnmatchcase(name, pattern) for name in names for pattern in PICKLED)
        what = "only pickled weights, which can run code when they are loaded" if pickled else "no safetensors weights"
        raise UserError(f"holds {what}", repo, "name a `revision` with safetensors in config/models.yaml")
    if not chosen:
        raise UserError("holds no file of a kind that is read here", repo, "check the id and the revision")
    return chosen


def refuse_missing_shards(folder: Path, repo: str) -> None:
    """Refuse a model whose index names weights that are not there.

    Raises
    ------
    UserError
        Naming the first missing file.
    """
    for shard in read.shards(folder, repo):
        if not (folder / plain_name(shard, f"{repo}/{read.INDEX}")).is_file():
            raise UserError(f"names {shard}, which is not there", f"{repo}/{read.INDEX}", "name another revision")
