"""Records of what lies in the store."""

from dataclasses import dataclass
from typing import Annotated

from edge2giant.typed import Natural, NotEmpty, Sha256, Text


@dataclass(frozen=True)
class FileDigest:
    """Size and content of a file."""

    bytes: Natural
    sha256: Sha256


@dataclass(frozen=True)
class Lock:
    """`<name>.lock.json`: what lies in the store under which ids, and where it came from; file names are relative to the lock."""

    id: Annotated[tuple[Text, ...], NotEmpty()]
    source: Text
    revision: Text
    files: Annotated[dict[str, FileDigest], NotEmpty()]
