"""Money: a ledger of reserved and charged calls that keeps a spending cap."""

import contextlib
import math
import uuid
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.judge.requests import JudgmentRequest
from edge2giant.judge.shared_lines import SharedLines
from edge2giant.specs.judge import JudgeService, JudgeSpec

# Tokens that a chat format may add around each message, and around the reply.
TOKENS_AROUND_MESSAGE = 8
# Of English text and of a usual judgment; for estimates only, a limit never rests on them.
BYTES_A_TOKEN = 4.0
USUAL_JUDGMENT = 250


def most_tokens_in(messages: tuple[dict, ...]) -> int:
    """Prompt tokens that no byte-level tokenizer exceeds: one a byte, plus the chat format's."""
    return sum(_bytes(m) + TOKENS_AROUND_MESSAGE for m in messages) + TOKENS_AROUND_MESSAGE


def usual_tokens_in(messages: tuple[dict, ...]) -> int:
    """Prompt tokens of English messages, as an estimate."""
    return sum(math.ceil(_bytes(m) / BYTES_A_TOKEN) + TOKENS_AROUND_MESSAGE for m in messages)


def _bytes(message: dict) -> int:
    return len(message["content"].encode("utf-8", "replace"))


def most_usd(spec: JudgeSpec, service: JudgeService, messages: tuple[dict, ...]) -> float:
    """A price that one call cannot exceed."""
    return service.usd(most_tokens_in(messages), spec.max_tokens)


def estimate(requests: list[JudgmentRequest], done: set[str], spec: JudgeSpec, service: JudgeService) -> dict:
    """What a run would take, without any call: as estimated, and at most (every reply at the token limit)."""
    todo = [request.messages for request in requests if request.fingerprint not in done]
    tokens_in, most_in = sum(map(usual_tokens_in, todo)), sum(map(most_tokens_in, todo))
    tokens_out, most_out = len(todo) * min(USUAL_JUDGMENT, spec.max_tokens), len(todo) * spec.max_tokens
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


class Ledger(SharedLines):
    """A file of what calls may cost (reserved) and did cost (charged), shared by all runs that name it. Use as a context manager.

    Before a call its highest possible price is reserved; afterwards the reservation is replaced by the price
    of the tokens that the endpoint reports. A reservation that is never replaced (the process was killed, the
    connection broke half way) counts in full for ever, since the endpoint may have billed it.

    Parameters
    ----------
    path : Path
        JSONL file, made if missing.
    limit_usd : float or None
        Cap on the sum of all that the file holds. None: no cap, but calls are entered.
    """

    hint = "repair that line by hand"

    def __init__(self, path: Path, limit_usd: float | None):
        super().__init__(path)
        self.limit_usd = limit_usd
        self.charged_usd = 0.0
        self._open: dict[str, float] = {}

    @property
    def reserved_usd(self) -> float:
        """What calls in flight, interrupted or broken may have cost at most."""
        return math.fsum(list(self._open.values()))

    def reserve(self, usd: float) -> str | None:
        """Set money aside for one call; None if that could pass the cap."""
        with self.locked():
            if self.limit_usd is not None and self.charged_usd + self.reserved_usd + usd > self.limit_usd:
                return None
            key = uuid.uuid4().hex
            self.append({"call": key, "reserve": usd})
            return key

    def charge(self, key: str, usd: float) -> None:
        """Replace a reservation by what the call has really cost (0 if it was refused)."""
        self.append({"call": key, "charge": usd})

    def take(self, row: dict, place: str) -> None:
        try:
            if "reserve" in row:
                self._open[row["call"]] = float(row["reserve"])
            else:
                self._open.pop(row["call"], None)
                self.charged_usd += float(row["charge"])
        except (ValueError, KeyError, TypeError):
            raise UserError("is not an entry of a ledger", place, self.hint) from None


class NoLedger(contextlib.nullcontext):
    """Stands for the ledger of a judge that costs nothing."""

    def __enter__(self) -> "NoLedger":
        return self

    def reserve(self, usd: float) -> str:
        return ""

    def charge(self, key: str, usd: float) -> None:
        pass
