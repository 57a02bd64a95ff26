"""Write the miniature's units with the locks of :mod:`edge2giant.store`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge2giant import records, store

SOURCE = "made by workflow/demo"


def write_lock(path: Path, identifiers: list[str], files: Iterable[Path]) -> None:
    """Write ``<name>.lock.json``: ids, source, revision (a digest over the files), bytes and sha256 of each.

    File names are relative to the lock's folder.
    """
    lock = store.make_lock(path.parent, list(files), identifiers, SOURCE)
    records.write(path, lock)


def write_text(path: Path, content: str) -> Path:
    """Write a text file in one move, so that no reader sees half of it; return its path."""
    with records.atomic(path) as stream:
        stream.write(content)
    return path
