"""Money: a ledger of reserved and settled calls that never lets a spending cap be passed."""

import fcntl
import json
import math
import os
import threading
import uuid
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.judge.config import Judge

# Tokens that a chat format may add around each message, and around the reply.
TOKENS_AROUND_MESSAGE = 8
# Bytes of English text a token, for estimates only; a limit never rests on it.
BYTES_A_TOKEN = 4.0
# Length of a usual judgment in tokens, for estimates only.
USUAL_JUDGMENT = 250


def most_tokens_in(messages: tuple[dict, ...]) -> int:
    """Return prompt tokens that no byte-level tokenizer exceeds: one a byte, plus the chat format's."""
    return sum(_bytes(m) + TOKENS_AROUND_MESSAGE for m in messages) + TOKENS_AROUND_MESSAGE


def usual_tokens_in(messages: tuple[dict, ...]) -> int:
    """Estimate the prompt tokens of English messages."""
    return sum(math.ceil(_bytes(m) / BYTES_A_TOKEN) + TOKENS_AROUND_MESSAGE for m in messages)


def most_usd(judge: Judge, messages: tuple[dict, ...]) -> float:
    """Return a price that one call cannot exceed, in USD."""
    return judge.usd(most_tokens_in(messages), judge.max_tokens)


def usual_usd(judge: Judge, messages: tuple[dict, ...]) -> float:
    """Estimate the price of one call, in USD."""
    return judge.usd(usual_tokens_in(messages), min(USUAL_JUDGMENT, judge.max_tokens))


def _bytes(message: dict) -> int:
    return len(message["content"].encode("utf-8", "replace"))


class Ledger:
    """A file of what calls may cost (reserved) and did cost (settled), shared by all processes that name it.

    Before a call its highest possible price is reserved; afterwards the reservation is settled at the price
    of the tokens that the endpoint reports. A reservation that is never settled (the process was killed, the
    connection broke half way) counts in full for ever, since the endpoint may have billed it.

    Parameters
    ----------
    path : str or Path
        JSONL file, made if missing.
    limit_usd : float or None
        Cap on the sum of all that the file holds. None: no cap, but the books are kept.
    """

    def __init__(self, path: str | Path, limit_usd: float | None):
        self.path = Path(path)
        self.limit_usd = limit_usd
        self._guard = threading.Lock()
        self._open: dict[str, float] = {}
        self._settled = 0.0
        self._read = 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._locked(lambda stream: None)

    @property
    def settled_usd(self) -> float:
        """What the endpoint has billed, as far as it reported tokens."""
        return self._settled

    @property
    def reserved_usd(self) -> float:
        """What calls in flight, interrupted or broken may have cost at most."""
        return math.fsum(self._open.values())

    def reserve(self, usd: float) -> str | None:
        """Set money aside for one call; None if that could pass the cap."""
        key = uuid.uuid4().hex

        def write(stream) -> str | None:
            if self.limit_usd is not None and self._settled + self.reserved_usd + usd > self.limit_usd:
                return None
            self._append(stream, {"call": key, "reserve": usd})
            return key

        return self._locked(write)

    def settle(self, key: str, usd: float) -> None:
        """Replace a reservation by what the call has really cost (0 if it was refused)."""
        self._locked(lambda stream: self._append(stream, {"call": key, "settle": usd}))

    def _locked(self, action):
        with self._guard, self.path.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            self._catch_up(stream)
            return action(stream)

    def _catch_up(self, stream) -> None:
        stream.seek(self._read)
        content = stream.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            # a kill cut the last line short: its call was not yet sent, or stays reserved
            stream.truncate(self._read + whole)
        for line in content[:whole].splitlines():
            self._take(line)
        self._read += whole

    def _take(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            if "reserve" in row:
                self._open[row["call"]] = float(row["reserve"])
            else:
                self._open.pop(row["call"], None)
                self._settled += float(row["settle"])
        except (ValueError, KeyError, TypeError):
            what = f"holds a damaged line: {line[:80]!r}"
            raise UserError(what, self.path, "mend that line by hand") from None

    def _append(self, stream, row: dict) -> None:
        data = json.dumps(row).encode() + b"\n"
        stream.seek(0, os.SEEK_END)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        self._read += len(data)
        self._take(data)


class NoLedger:
    """The books of a judge that costs nothing."""

    limit_usd = None
    settled_usd = 0.0
    reserved_usd = 0.0

    def reserve(self, usd: float) -> str:
        """Allow every call."""
        return ""

    def settle(self, key: str, usd: float) -> None:
        """Note nothing."""
