"""Many prompts in one message to vLLM's engine.

vLLM's front end checks, numbers, copies and serializes every prompt by itself, and builds several objects to follow its
answer: more work than a small model needs to compute it. A *pack* is one message for many prompts; prompts of one question
share the token ids of its context. vLLM is told to make its scheduler by `scheduler`, which takes packs apart in the engine's
process and computes the hashes of what prompts begin with once. The rows of prompts (`step_rows`) stay in the worker until all
are there and come in one answer.

Only the standard library is imported here; what is vLLM's is imported where it runs.
"""

import math
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edge2giant.engine.scoring import Logprobs, Prompt

SCHEDULER = f"{__name__}.scheduler"
# Key of SamplingParams.extra_args: the prompts of a message.
PACK = "edge2giant_pack"
# Keys of what a worker's model runner looks for, see `step_rows`.
ROWS_FROM, KEPT = "edge2giant_rows_from", "edge2giant_kept"
# Prompts of one message. The engine begins when the first has come.
PROMPTS = 256

Kind = tuple[tuple[int, ...], int | None, bool]


def sampling(candidates: Sequence[int], rows_from: int | None, fresh: bool, **extra: Any) -> Any:
    """Give vLLM's ``SamplingParams`` of a `Prompt`; `extra` goes to the model runner with a prompt that wants rows."""
    from vllm import SamplingParams

    wanted: dict[str, Any] = {"logprob_token_ids": list(candidates)} if candidates else {}
    if rows_from is not None:
        wanted |= {"prompt_logprobs": 1, "extra_args": extra or None}
    return SamplingParams(
        temperature=0.0,
        max_tokens=1,
        detokenize=False,
        flat_logprobs=True,
        skip_reading_prefix_cache=fresh,
        skip_clone=True,  # vLLM adds the end tokens to each prompt's copy; a deep one is a quarter of sending
        **wanted,
    )


def fits() -> bool:
    """Tell whether this vLLM has the places that packs need."""
    try:
        from vllm.v1.core.sched.async_scheduler import AsyncScheduler
        from vllm.v1.engine import EngineCoreRequest  # noqa: F401
        from vllm.v1.request import Request
    except ImportError:
        return False
    return hasattr(AsyncScheduler, "add_request") and hasattr(Request, "update_block_hashes")


class Packs:
    """Sends prompts in packs and collects their answers.

    Parameters
    ----------
    core : vllm.v1.engine.core_client.EngineCoreClient
        Of an engine whose scheduler was made by `scheduler`.
    take_rows : callable
        Gives what each worker has kept (`step_rows.StepRows.take`), and empties it.
    """

    def __init__(self, core: Any, take_rows: Callable[[], list]) -> None:
        self._core, self._take_rows = core, take_rows
        self._prompts: list[Prompt] = []
        self._first = 0  # number of the first of them; numbers never come again

    def send(self, prompts: Sequence[Prompt]) -> None:
        """Send prompts; the engine begins at once."""
        for at in range(0, len(prompts), PROMPTS):
            some = prompts[at : at + PROMPTS]
            self._core.add_request(_message(self._first + len(self._prompts), some))
            self._prompts += some

    def forget(self) -> None:
        """Drop what was sent: a later `receive` passes over its answers."""
        self._first += len(self._prompts)
        self._prompts = []

    def receive(self) -> tuple[list[Logprobs], int]:
        """Wait for all prompts that were sent; gives their answers in order, and how many tokens came from the cache.

        Raises
        ------
        RuntimeError
            The engine gave up a prompt, or answered for other tokens.
        """
        first, prompts = self._first, self._prompts
        done: dict[int, Any] = {}
        while len(done) < len(prompts):
            for output in self._core.get_output().outputs:
                number = int(output.request_id.rpartition("-")[2])
                if output.finish_reason.name not in ("STOP", "LENGTH"):
                    raise RuntimeError(f"vLLM ended a prompt with {output.finish_reason.name}")
                if number >= first:
                    done[number - first] = output
        self.forget()
        rows = {}
        if any(prompt.rows_from is not None for prompt in prompts):
            rows = {number - first: one for kept in self._take_rows() if kept for number, one in _kept_rows(kept)}
        answers = [
            _next_answer(prompt, done[at]) if prompt.rows_from is None else _row_answer(prompt, rows.get(at))
            for at, prompt in enumerate(prompts)
        ]
        cached = sum(output.prefill_stats.num_cached_tokens for output in done.values() if output.prefill_stats)
        return answers, cached


def _message(number: int, prompts: Iterable[Prompt]) -> Any:
    """Put prompts into one request of vLLM's engine, the first with this number."""
    from vllm import SamplingParams
    from vllm.v1.engine import EngineCoreRequest

    kinds: dict[Kind, int] = {}
    heads: list[tuple[bytes, list]] = []
    last = None
    for prompt in prompts:
        if prompt.head is not last:
            last = prompt.head
            heads.append((array("I", last).tobytes(), []))
        kind = kinds.setdefault((prompt.candidates, prompt.rows_from, prompt.fresh), len(kinds))
        heads[-1][1].append((prompt.tail, kind))
    return EngineCoreRequest(
        request_id=f"pack-{number}",
        prompt_token_ids=[0],
        mm_features=None,
        sampling_params=SamplingParams(max_tokens=1, extra_args={PACK: (number, list(kinds), heads)}),
        pooling_params=None,
        arrival_time=time.time(),
        lora_request=None,
        cache_salt=None,
        data_parallel_rank=None,
    )


def _next_answer(prompt: Prompt, output: Any) -> Logprobs:
    ids, values = output.new_logprobs[0][0].tolist(), output.new_logprobs[1][0].tolist()
    count = 1 + len(prompt.candidates)
    if tuple(ids[1:count]) != prompt.candidates:
        raise RuntimeError("vLLM gave log-probabilities of other tokens than requested")
    return Logprobs(values[1:count], values[:1])


def _kept_rows(kept: tuple) -> Iterable[tuple[int, tuple[int, list, list, list]]]:
    """Give (number of a prompt, (first row, own tokens, their log-probabilities, the best ones)) of a worker's rows."""
    import numpy as np

    names, firsts, counts, ids, values = kept
    own_ids = np.frombuffer(ids, dtype=np.int32).tolist()
    pairs = np.frombuffer(values, dtype=np.float32).reshape(-1, 2)
    own, best = pairs[:, 0].tolist(), pairs.max(axis=1).tolist()
    at = 0
    for name, first, count in zip(names, firsts, counts, strict=True):
        end = at + count
        yield int(name.rpartition("-")[2]), (first, own_ids[at:end], own[at:end], best[at:end])
        at = end


def _row_answer(prompt: Prompt, found: tuple[int, list, list, list] | None) -> Logprobs:
    """Read rows; the first ones, where they came from the cache, are unknown, or all of them."""
    start, length = prompt.rows_from or 0, prompt.length
    if found is None:
        return Logprobs([math.nan] * (length - start), [math.nan] * (length - start), length)
    first, ids, own, best = found
    tail = prompt.tail if start == len(prompt.head) else prompt.ids[start:]
    if tuple(ids) != tuple(tail[first + 1 - start :]):
        raise RuntimeError("vLLM gave log-probabilities of other tokens than requested")
    unknown = [math.nan] * (first + 1 - start)
    return Logprobs(unknown + own, unknown + best, first + 1)


def scheduler(vllm_config: Any, **named: Any) -> Any:
    """Make the scheduler that vLLM would take, with packs taken apart (``scheduler_cls`` of vLLM)."""
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler

    own = AsyncScheduler if vllm_config.scheduler_config.async_scheduling else Scheduler
    made = type("PackScheduler", (TakesPacks, own), {})(vllm_config=vllm_config, **named)
    made.unpacker = Unpacker(named.get("hash_block_size") or named["block_size"])
    return made


class TakesPacks:
    """Goes before vLLM's scheduler among the bases."""

    unpacker: "Unpacker"

    def add_request(self, request: Any) -> None:
        """Add a request, or those of a pack."""
        asked = (request.sampling_params and request.sampling_params.extra_args) or {}
        for one in self.unpacker(request, *asked[PACK]) if PACK in asked else (request,):
            super().add_request(one)  # type: ignore[misc]


class Unpacker:
    """Makes requests from packs, and the hash of each block of tokens once for prompts that begin alike.

    Parameters
    ----------
    block : int
        Tokens of a block that is hashed.
    """

    def __init__(self, block: int) -> None:
        self._bytes = block * array("I").itemsize
        self._head, self._hashes = b"", []  # of the last context, whose beginning the next one often shares

    def __call__(self, message: Any, number: int, kinds: Sequence[Sequence], heads: Sequence[tuple]) -> Iterable[Any]:
        """Give the requests of a message in their order."""
        params = [sampling(*kind, **{ROWS_FROM: kind[1], KEPT: True}) for kind in kinds]
        for head, members in heads:
            ids = array("I")
            ids.frombytes(head)
            context = ids.tolist()
            hashes = self._hashes_of(message, head, context)
            for tail, kind in members:
                yield _request(message, f"pack-{number}", context + list(tail), params[kind], hashes)
                number += 1

    def _hashes_of(self, message: Any, head: bytes, context: list[int]) -> list:
        if message._block_hasher is None:
            return []
        shared = common_blocks(self._head, head, self._bytes)
        whole = _request(message, "context", context, message.sampling_params, self._hashes[:shared])
        self._head, self._hashes = head, whole.block_hashes
        return self._hashes


def _request(message: Any, name: str, ids: list[int], params: Any, hashes: list) -> Any:
    """Make a request of vLLM's scheduler whose first blocks have these hashes."""
    one = type(message)(
        request_id=name,
        prompt_token_ids=ids,
        sampling_params=params,
        pooling_params=None,
        client_index=message.client_index,
        arrival_time=message.arrival_time,
    )
    one._block_hasher, one.block_hashes = message._block_hasher, list(hashes)
    one.update_block_hashes()
    return one


def common_blocks(one: bytes, other: bytes, size: int) -> int:
    """Count the whole blocks of `size` bytes that both begin with.

    >>> common_blocks(b"aabbcc", b"aabbcd", 2), common_blocks(b"aab", b"aabb", 2)
    (2, 1)
    """
    low, high = 0, min(len(one), len(other)) // size
    while low < high:
        middle = (low + high + 1) // 2
        if one[: middle * size] == other[: middle * size]:
            low = middle
        else:
            high = middle - 1
    return low
