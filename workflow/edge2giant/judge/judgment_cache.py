"""Finished judgments: an append-only file that survives a kill and that runs may share.

Any number of processes may use one cache at the same time, on one machine or on a shared file system with
POSIX locks. Each claims a judgment before it requests it, so that none is requested by two; claims end with
the process that holds them, however it ends.
"""

import contextlib
import fcntl
import os
import threading
from pathlib import Path

from edge2giant import jsonl
from edge2giant.errors import UserError

FILE = "judgments.jsonl"
CLAIMS = "claims"
DAMAGED = "delete that line; its judgment is then requested again"


class JudgmentCache:
    """Judgments by fingerprint, in `<folder>/judgments.jsonl`. Use as a context manager.

    A judgment is on disk before `add` returns. A last line that a kill cut short is dropped (its judgment had
    not been acknowledged).

    Parameters
    ----------
    folder : str or Path
        Made if missing.

    Attributes
    ----------
    done : dict
        What the file held when it was last read, by fingerprint.

    Raises
    ------
    UserError
        If a whole line of the file is damaged, or the disk refuses a line.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self.done: dict[str, dict] = {}
        self._guard = threading.RLock()
        self._read = 0
        self._lines = 0

    def __enter__(self) -> "JudgmentCache":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("a+b", buffering=0)
            # opened once: POSIX drops all of a process's claims when it closes any handle of this file
            self._claims = (self.folder / CLAIMS).open("ab")
        except OSError as error:
            raise UserError(f"cannot be written ({error.strerror})", self.folder, "repair its permissions") from None
        try:
            self.refresh()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._stream.close()
        self._claims.close()

    @contextlib.contextmanager
    def _locked(self):
        with self._guard:
            fcntl.flock(self._stream, fcntl.LOCK_EX)
            try:
                self._catch_up()
                yield
            finally:
                fcntl.flock(self._stream, fcntl.LOCK_UN)

    def _catch_up(self) -> None:
        self._stream.seek(self._read)
        content = self._stream.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            # lines are written under the lock, so that whoever left half a line is dead
            self._stream.truncate(self._read + whole)
        for line in content[:whole].splitlines():
            self._lines += 1
            if line.strip():
                self._take(line)
        self._read += whole

    def _take(self, line: bytes) -> None:
        row = parse(line, f"{self.path}:{self._lines}")
        self.done[row["fingerprint"]] = row

    def refresh(self) -> None:
        """Read what other processes have added."""
        with self._locked():
            pass

    def add(self, judgment: dict) -> None:
        """Append one judgment and wait until it is on disk."""
        data = jsonl.line(judgment).encode()
        with self._locked():
            try:
                self._write(data)
            except OSError as error:
                with contextlib.suppress(OSError):
                    self._stream.truncate(self._read)
                what = f"cannot be written ({error.strerror})"
                raise UserError(what, self.path, "free space or repair its permissions") from None
            self._read += len(data)
            self._lines += 1
            self.done[judgment["fingerprint"]] = judgment

    def _write(self, data: bytes) -> None:
        written = 0
        while written < len(data):
            written += self._stream.write(data[written:])
        os.fsync(self._stream.fileno())

    def claim(self, fingerprint: str) -> bool:
        """Take a judgment for this process; False if it is done or another process has taken it."""
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(fingerprint))
        except OSError:
            return False
        # the process that had it may have finished just now
        self.refresh()
        if fingerprint in self.done:
            self.release(fingerprint)
            return False
        return True

    def release(self, fingerprint: str) -> None:
        """Give a claimed judgment back."""
        fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _place(fingerprint))


def _place(fingerprint: str) -> int:
    # one byte of a file that holds none: 60 bits make two judgments at one place as good as impossible
    return int(fingerprint[:15], 16)


def parse(line: bytes, place: str) -> dict:
    """Return the judgment of one line of the cache."""
    try:
        row = jsonl.parse(line.decode("utf-8"), place, None, DAMAGED)
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 ({error.reason})", place, DAMAGED) from None
    if row.get("schema") != 1 or not isinstance(row.get("fingerprint"), str) or "rating" not in row:
        raise UserError("is not a judgment of this version", place, DAMAGED)
    return row


def peek(folder: str | Path) -> set[str]:
    """Return the fingerprints of the judgments in a cache, without any lock or change."""
    path = Path(folder) / FILE
    if not path.exists():
        return set()
    lines = path.read_bytes().split(b"\n")[:-1]
    return {parse(line, f"{path}:{i}")["fingerprint"] for i, line in enumerate(lines, 1) if line.strip()}
