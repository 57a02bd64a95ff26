"""Money: a ledger of reserved and charged calls that keeps a spending cap."""

import fcntl
import json
import math
import os
import threading
import uuid
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.judge.requests import JudgmentRequest
from edge2giant.specs.judge import JudgeService, JudgeSpec

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


def most_usd(spec: JudgeSpec, service: JudgeService, messages: tuple[dict, ...]) -> float:
    """Return a price that one call cannot exceed, in USD."""
    return service.usd(most_tokens_in(messages), spec.max_tokens)


def estimate(requests: list[JudgmentRequest], done: set[str], spec: JudgeSpec, service: JudgeService) -> dict:
    """What a run would take, without any call.

    Returns
    -------
    dict
        Calls in all, done and to be made; prompt and completion tokens and USD as estimated (4 bytes a token,
        250 tokens a judgment) and at most (a token a byte, every reply at the token limit).
    """
    todo = [request for request in requests if request.fingerprint not in done]
    tokens_in = sum(usual_tokens_in(request.messages) for request in todo)
    tokens_out = len(todo) * min(USUAL_JUDGMENT, spec.max_tokens)
    most_in = sum(most_tokens_in(request.messages) for request in todo)
    most_out = len(todo) * spec.max_tokens
    return {
        "judge": spec.judge,
        "model": spec.model,
        "judgments": len(requests),
        "done": len(requests) - len(todo),
        "calls": len(todo),
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "usd": round(service.usd(tokens_in, tokens_out), 4),
        "most_tokens_in": most_in,
        "most_tokens_out": most_out,
        "most_usd": round(service.usd(most_in, most_out), 4),
        "limit_usd": service.limit_usd,
    }


def _bytes(message: dict) -> int:
    return len(message["content"].encode("utf-8", "replace"))


class Ledger:
    """A file of what calls may cost (reserved) and did cost (charged), shared by all processes that name it.

    Before a call its highest possible price is reserved; afterwards the reservation is replaced by the price
    of the tokens that the endpoint reports. A reservation that is never replaced (the process was killed, the
    connection broke half way) counts in full for ever, since the endpoint may have billed it.

    Parameters
    ----------
    path : str or Path
        JSONL file, made if missing.
    limit_usd : float or None
        Cap on the sum of all that the file holds. None: no cap, but calls are entered.
    """

    def __init__(self, path: str | Path, limit_usd: float | None):
        self.path = Path(path)
        self.limit_usd = limit_usd
        self._guard = threading.Lock()
        self._open: dict[str, float] = {}
        self._charged = 0.0
        self._read = 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._locked(lambda stream: None)

    @property
    def charged_usd(self) -> float:
        """What the endpoint has billed, as far as it reported tokens."""
        return self._charged

    @property
    def reserved_usd(self) -> float:
        """What calls in flight, interrupted or broken may have cost at most."""
        return math.fsum(self._open.values())

    def reserve(self, usd: float) -> str | None:
        """Set money aside for one call; None if that could pass the cap."""
        key = uuid.uuid4().hex

        def write(stream) -> str | None:
            if self.limit_usd is not None and self._charged + self.reserved_usd + usd > self.limit_usd:
                return None
            self._append(stream, {"call": key, "reserve": usd})
            return key

        return self._locked(write)

    def charge(self, key: str, usd: float) -> None:
        """Replace a reservation by what the call has really cost (0 if it was refused)."""
        self._locked(lambda stream: self._append(stream, {"call": key, "charge": usd}))

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
                self._charged += float(row["charge"])
        except (ValueError, KeyError, TypeError):
            what = f"holds a damaged line: {line[:80]!r}"
            raise UserError(what, self.path, "repair that line by hand") from None

    def _append(self, stream, row: dict) -> None:
        data = json.dumps(row).encode() + b"\n"
        stream.seek(0, os.SEEK_END)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        self._read += len(data)
        self._take(data)


class NoLedger:
    """Stands for the ledger of a judge that costs nothing."""

    limit_usd = None
    charged_usd = 0.0
    reserved_usd = 0.0

    def reserve(self, usd: float) -> str:
        """Allow every call."""
        return ""

    def charge(self, key: str, usd: float) -> None:
        """Note nothing."""
