"""The answer cache: one folder for each finished benchmark of a checkpoint, named by a digest of all that decides the answers.

An entry is written in a hidden folder and renamed when it is complete, so `kill -9` loses at most the benchmarks that ran or were
scored.
A lock of the operating system on each entry refuses a second writer; it is released when its process ends.
"""

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.records.cell import CacheEntry


class AnswerCache:
    """Entries below one folder.

    Parameters
    ----------
    root : path
        `results/answer_cache`.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def folder(self, fingerprint: str) -> Path:
        return self.root / fingerprint

    def scratch(self, fingerprint: str) -> Path:
        """Folder of files that are still being written, on the disk of the cache."""
        return self.root / f".{fingerprint}.scoring"

    def entry(self, fingerprint: str) -> CacheEntry | None:
        """Return the entry of a finished benchmark, or None if there is none or one of its files is missing or damaged."""
        folder = self.folder(fingerprint)
        if not (folder / "entry.json").exists():
            return None
        with contextlib.suppress(UserError, OSError):
            entry = records.read(folder / "entry.json", CacheEntry)
            if all(records.file_sha256(folder / name) == sha256 for name, sha256 in entry.files.items()):
                return entry
        return None

    @contextlib.contextmanager
    def locked(self, fingerprints: Iterable[str]) -> Iterator[None]:
        """Hold the locks of several entries.

        Raises
        ------
        UserError
            If another process holds one of them; the message says which process and where.
        """
        (self.root / "locks").mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            for fingerprint in sorted(set(fingerprints)):
                stack.enter_context(self._lock(fingerprint))
            yield

    @contextlib.contextmanager
    def _lock(self, fingerprint: str) -> Iterator[None]:
        path = self.root / "locks" / fingerprint
        with path.open("a+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.seek(0)
                owner = stream.read().strip() or "another process"
                raise UserError(f"is being written by {owner}", path, "wait for it or end it, then run again") from None
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {socket.gethostname()}")
            stream.flush()
            yield

    def add(self, fingerprint: str, write: Callable[[Path], CacheEntry]) -> CacheEntry:
        """Make an entry: `write(folder)` puts its files there and returns the entry, to which their hashes are added."""
        partial = self.root / f".{fingerprint}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            entry = write(partial)
            entry = replace(entry, files={p.name: records.file_sha256(p) for p in sorted(partial.iterdir())})
            records.write(partial / "entry.json", entry)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            # libraries derive errors of the network and of data sets from OSError, without the disk's number
            if isinstance(error, OSError) and error.errno is not None:
                raise UserError(f"cannot be written ({error.strerror})", self.root, "free space, then run again") from error
            raise
        folder = self.folder(fingerprint)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        return entry
