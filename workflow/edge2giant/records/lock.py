"""Records of what lies in the store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from edge2giant import records
from edge2giant.typed import Natural, NotEmpty, Sha256, Text


@dataclass(frozen=True)
class FileDigest:
    """Size and content of a file."""

    bytes: Natural
    sha256: Sha256

    @classmethod
    def of(cls, path: Path, sha256: str | None = None) -> "FileDigest":
        """Describe a file; `sha256` is given where it has just been checked."""
        return cls(path.stat().st_size, sha256 or records.file_sha256(path))


@dataclass(frozen=True)
class Lock:
    """`<name>.lock.json`: what lies in the store under which ids, and where it came from; file names are relative to the lock."""

    id: Annotated[tuple[Text, ...], NotEmpty()]
    source: Text
    revision: Text
    files: Annotated[dict[str, FileDigest], NotEmpty()]
