"""Finished judgments, which runs share. Each run claims a judgment before it requests it, so that none is requested by two."""

import fcntl
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.judge.shared_lines import SharedLines, parse

FILE = "judgments.jsonl"
CLAIMS = "claims"
DAMAGED = "delete that line; its judgment is then requested again"


class JudgmentCache:
    """Judgments by fingerprint, in `<folder>/judgments.jsonl`. Use as a context manager.

    Parameters
    ----------
    folder : path
        Made if missing.

    Attributes
    ----------
    done : dict
        What the file held when it was last read, by fingerprint.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.done: dict[str, dict] = {}
        self._lines = SharedLines(self.folder / FILE, self._take, DAMAGED)

    def __enter__(self) -> "JudgmentCache":
        self._lines.__enter__()
        # opened once: POSIX drops all of a process's claims when it closes any handle of this file
        self._claims = (self.folder / CLAIMS).open("ab")
        return self

    def __exit__(self, *_) -> None:
        self._lines.__exit__()
        self._claims.close()

    def _take(self, row: dict, place: str) -> None:
        self.done[checked(row, place)["fingerprint"]] = row

    def add(self, judgment: dict) -> None:
        """Append one judgment and wait until it is on disk."""
        self._lines.append(judgment)

    def claim(self, fingerprint: str) -> bool:
        """Take a judgment for this process until its end; False if it is done or another process has taken it."""
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(fingerprint))
        except OSError:
            return False
        # the process that held it may have finished just now
        with self._lines.locked():
            if fingerprint not in self.done:
                return True
        self.release(fingerprint)
        return False

    def release(self, fingerprint: str) -> None:
        """Give a claimed judgment back."""
        fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _place(fingerprint))


def _place(fingerprint: str) -> int:
    # one byte of a file that holds none: 60 bits make two judgments at one place as good as impossible
    return int(fingerprint[:15], 16)


def checked(row: dict, place: str) -> dict:
    """A row of the cache, or `UserError` if it is of another form."""
    if row.get("schema") != 1 or not isinstance(row.get("fingerprint"), str) or "rating" not in row:
        raise UserError("is not a judgment of this version", place, DAMAGED)
    return row


def peek(folder: str | Path) -> set[str]:
    """Fingerprints of the judgments in a cache, without any lock or change."""
    path = Path(folder) / FILE
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    places = [(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    return {checked(parse(line, place, DAMAGED), place)["fingerprint"] for line, place in places}
