"""Distributions over the tokens of whole windows, out of vLLM: what `step_rows` gathers in its workers."""

from collections.abc import Iterator, Sequence
from typing import Any

from vllm import TokensPrompt

from edge2giant.engine.distributions import Asked, Places
from edge2giant.engine.packs import ROWS_FROM, sampling
from edge2giant.engine.rows import array_rows, read_places
from edge2giant.engine.runners import DISTRIBUTIONS
from edge2giant.errors import UserError

# Windows whose distributions are held at a time, about a megabyte each.
WINDOWS = 64


def window_places(lm: Any, windows: Sequence[Sequence[int]], start: int, asked: Sequence[Asked]) -> Iterator[Places]:
    """Give the distributions at the places of each window, portion by portion; `lm` is a `FastVLLM`."""
    if lm._rows == "unknown":
        raise UserError("this vLLM gives no distributions of chosen tokens", "engine vllm", "use vLLM 0.25 to 0.33")
    for at in range(0, len(windows), WINDOWS):
        some = windows[at : at + WINDOWS]
        with lm.meter.call(len(some)), array_rows():
            params = [  # fresh: nothing is computed at places that come from the cache
                sampling((), start, fresh=True, **{ROWS_FROM: start, DISTRIBUTIONS: one.as_json()})
                for one in asked[at : at + WINDOWS]
            ]
            prompts = [TokensPrompt(prompt_token_ids=list(window)) for window in some]
            lm.model.enqueue(prompts, params, use_tqdm=False, lora_request=lm.lora_request)
            outputs = lm.model.wait_for_completion(use_tqdm=False)
            lm._count(outputs)
        for window, output in zip(some, outputs, strict=True):
            yield read_places(output, window[start:])
