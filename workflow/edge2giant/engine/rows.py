"""Prompt log-probabilities as arrays, without a Python object for every token of the prompt.

vLLM's front end turns the arrays that come from its engine into dictionaries, or into flat lists, token by
token, for the whole prompt, cached part included: milliseconds for a prompt of a thousand tokens, more than the
GPU needs. While `array_rows` is in force, the arrays stay as they are. `read_rows` reads both forms, so a vLLM
whose inside has changed only costs time.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edge2giant.engine.distributions import OWN, Places
from edge2giant.engine.scoring import Logprobs, Prompt

log = logging.getLogger(__name__)


class ArrayRows:
    """Token ids and log-probabilities after each token of a prompt, position 1 first.

    Columns: the prompt's own token, then the most likely one.
    """

    def __init__(self, token_ids: Any, logprobs: Any) -> None:
        self.token_ids, self.logprobs = token_ids, logprobs

    def __len__(self) -> int:
        return len(self.token_ids) + 1

    def extend(self, token_ids: Any, logprobs: Any) -> None:
        """Append the rows of another part of the prompt."""
        import numpy as np

        self.token_ids = np.concatenate([self.token_ids, token_ids])
        self.logprobs = np.concatenate([self.logprobs, logprobs])


@contextmanager
def array_rows() -> Iterator[bool]:
    """Let vLLM's front end keep arrays; yields False where this vLLM has no such place."""
    try:
        from vllm.v1.engine.logprobs import LogprobsProcessor

        original = LogprobsProcessor._update_prompt_logprobs
    except (ImportError, AttributeError):
        log.warning("this vLLM builds prompt log-probabilities its own way; scoring long answers is slower")
        yield False
        return

    def keep_arrays(self: Any, tensors: Any) -> None:
        token_ids, logprobs = tensors[0].numpy().copy(), tensors[1].numpy().copy()
        if isinstance(self.prompt_logprobs, ArrayRows):
            self.prompt_logprobs.extend(token_ids, logprobs)
        else:
            self.prompt_logprobs = ArrayRows(token_ids, logprobs)

    LogprobsProcessor._update_prompt_logprobs = keep_arrays
    try:
        yield True
    finally:
        LogprobsProcessor._update_prompt_logprobs = original


def read(output: Any, prompt: Prompt) -> Logprobs:
    """Read what was wanted of a prompt from a vLLM output."""
    if prompt.rows_from is None:
        return read_next(output, prompt.candidates)
    return read_rows(output, prompt.ids, prompt.rows_from, prompt.fresh)


def read_rows(output: Any, prompt: Sequence[int], start: int, fresh: bool) -> Logprobs:
    """Read the log-probabilities of ``prompt[start:]`` from a vLLM output.

    Positions served from the cache hold whatever was in memory. What does not belong to the prompt's own
    tokens, or is no log-probability, counts as unknown; in a prompt computed without the cache it is the model's own.
    """
    cached = output.num_cached_tokens
    known = 1 if fresh else len(prompt) if cached is None else cached + 1
    rows = output.prompt_logprobs
    # Some vLLMs give a row for every token of the prompt, others leave out those that came from the cache.
    left_out = len(prompt) - len(rows)
    known = max(known, left_out + 1)
    first = max(known, start)
    ids, logprobs, best = _columns(rows, first - left_out, len(prompt) - left_out)
    wanted = list(prompt[first:])
    wrong = [
        first + at
        for at, (one, other, value) in enumerate(zip(ids, wanted, logprobs, strict=True))
        if one != other or (not fresh and not value <= 0.0)
    ]
    known = max([known, *(at + 1 for at in wrong)])
    unknown = [math.nan] * (first - start)
    return Logprobs(unknown + logprobs, unknown + best, known)


def read_next(output: Any, candidates: Sequence[int]) -> Logprobs:
    """Read the log-probabilities of ``candidates`` after the prompt from a vLLM output.

    Raises
    ------
    RuntimeError
        The output is not for these tokens.
    """
    flat = output.outputs[0].logprobs
    count = 1 + len(candidates)
    if list(flat.token_ids[1:count]) != list(candidates):
        raise RuntimeError("vLLM gave log-probabilities of other tokens than requested")
    return Logprobs(flat.logprobs[1:count], flat.logprobs[:1])


def read_places(output: Any, own: Sequence[int]) -> Places:
    """Read the distributions at the places of a window, before its tokens ``own``.

    Raises
    ------
    RuntimeError
        The output is not for these tokens.
    """
    rows = output.prompt_logprobs
    if not isinstance(rows, ArrayRows) or rows.token_ids[:, OWN].tolist() != list(own):
        raise RuntimeError("vLLM gave distributions at other places than requested")
    return Places.of_columns(rows.token_ids, rows.logprobs)


def _columns(rows: Any, low: int, high: int) -> tuple[list[int], list[float], list[float]]:
    """Give the prompt's own tokens at positions [low, high), their log-probabilities and the best ones."""
    if isinstance(rows, ArrayRows):
        part = slice(low - 1, high - 1)
        logprobs = rows.logprobs[part]
        return rows.token_ids[part, 0].tolist(), logprobs[:, 0].tolist(), logprobs.max(axis=1).tolist()
    starts = rows.start_indices[low:high]
    ends = rows.end_indices[low:high]
    return (
        [rows.token_ids[at] for at in starts],
        [rows.logprobs[at] for at in starts],
        [max(rows.logprobs[at:end]) for at, end in zip(starts, ends, strict=True)],
    )
