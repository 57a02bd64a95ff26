"""Finished judgments, which runs share. Each run claims a judgment before it requests it, so that none is requested by two."""

import fcntl
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.judge.shared_lines import SharedLines


class JudgmentCache(SharedLines):
    """Judgments in `<folder>/judgments.jsonl`; `done` has them by fingerprint, as the file was last read."""

    hint = "delete that line; its judgment is then requested again"

    def __init__(self, folder: Path):
        super().__init__(folder / "judgments.jsonl")
        self.done: dict[str, dict] = {}

    def __enter__(self) -> "JudgmentCache":
        super().__enter__()
        # opened once: POSIX drops all of a process's claims when it closes any handle of this file
        self._claims = self.path.with_name("claims").open("ab")
        return self

    def __exit__(self, *_) -> None:
        super().__exit__()
        self._claims.close()

    def take(self, row: dict, place: str) -> None:
        if row.get("schema") != 1 or not isinstance(row.get("fingerprint"), str) or "rating" not in row:
            raise UserError("is not a judgment of this version", place, self.hint)
        self.done[row["fingerprint"]] = row

    def claim(self, fingerprint: str) -> bool:
        """Take a judgment for this process until its end; False if it is done or another process has taken it."""
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(fingerprint))
        except OSError:
            return False
        # the process that held it may have finished just now
        with self.locked():
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
