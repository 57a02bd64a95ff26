"""An append-only file of JSON lines that threads and processes share, and that survives a kill."""

import contextlib
import fcntl
import os
import threading
from pathlib import Path

from edge2giant import jsonl
from edge2giant.errors import UserError


class SharedLines:
    """Lines of one file, each on disk before `append` returns. Use as a context manager.

    Any number of processes may use one file, on one machine or on a shared file system with POSIX locks. A last line
    that a kill cut short is dropped. A subclass has `take`, and a `hint` on what to do about a damaged line.
    """

    hint: str

    def __init__(self, path: Path):
        self.path = path
        self._guard = threading.RLock()
        self._read = self._lines = self._depth = 0

    def take(self, row: dict, place: str) -> None:
        """Get every line once, in their order, whoever wrote it; a wrong one is a `UserError`."""
        raise NotImplementedError

    def __enter__(self):
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise UserError(f"cannot be written ({error.strerror})", self.path, "repair its permissions") from None
        try:
            with self.locked():
                return self
        except BaseException:
            self._stream.close()
            raise

    def __exit__(self, *_) -> None:
        self._stream.close()

    @contextlib.contextmanager
    def locked(self):
        """Keep other threads and processes out; what they have added is read first."""
        with self._guard:
            if not self._depth:
                fcntl.flock(self._stream, fcntl.LOCK_EX)
            self._depth += 1
            try:
                self._catch_up()
                yield
            finally:
                self._depth -= 1
                if not self._depth:
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
                place = f"{self.path}:{self._lines}"
                self.take(self._parsed(line, place), place)
        self._read += whole

    def _parsed(self, line: bytes, place: str) -> dict:
        try:
            return jsonl.parse(line.decode(), place, None, self.hint)
        except UnicodeDecodeError as error:
            raise UserError(f"is not UTF-8 ({error.reason})", place, self.hint) from None

    def append(self, row: dict) -> None:
        """Add a line and wait until it is on disk.

        Raises
        ------
        UserError
            If the disk refuses it.
        """
        data = jsonl.line(row).encode()
        with self.locked():
            try:
                written = 0
                while written < len(data):
                    written += self._stream.write(data[written:])
                os.fsync(self._stream.fileno())
            except OSError as error:
                with contextlib.suppress(OSError):
                    self._stream.truncate(self._read)
                what = f"cannot be written ({error.strerror})"
                raise UserError(what, self.path, "free space or repair its permissions") from None
            self._catch_up()
