"""Places of `StepRows` in vLLM's two model runners. Runs in vLLM's workers.

Prompts that do not carry `ROWS_FROM` are computed by vLLM as before, so both ways can be compared on one engine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from edge2giant.engine.distributions import Asked
from edge2giant.engine.packs import KEPT, ROWS_FROM
from edge2giant.engine.step_rows import LogitsOf, Span, StepRows, upload

# Key of SamplingParams.extra_args beside those of `packs`: which tokens a prompt asks beside its own (`Asked.as_json`); without
# it, the most likely one.
DISTRIBUTIONS = "edge2giant_distributions"


def rows_asked(sampling_params: Any) -> tuple[int, Asked | None, bool] | None:
    """Read the first row that a prompt requests, the tokens beside its own, and whether rows are kept; None if it wants none."""
    extra = (sampling_params and sampling_params.extra_args) or {}
    if ROWS_FROM not in extra:
        return None
    return extra[ROWS_FROM], Asked.of_json(extra[DISTRIBUTIONS]) if DISTRIBUTIONS in extra else None, extra.get(KEPT, False)


def take(runner: Any) -> tuple | None:
    """Give what `StepRows.take` gives of a runner that `install` has changed; None of others."""
    for place in ("prompt_logprobs_worker", "_get_prompt_logprobs_dict"):
        rows = getattr(getattr(runner, place, None), "rows", None)
        if isinstance(rows, StepRows):
            return rows.take()
    return None


def install(runner: Any) -> str:
    """Let a model runner compute requested rows only; returns which runner it is.

    ``v1``, ``v2``, ``idle`` (a stage that computes no logits), or ``unknown``: then nothing is changed, and vLLM computes the
    log-probabilities of all tokens of a prompt.
    """
    if hasattr(runner, "prompt_logprobs_worker"):
        if runner.prompt_logprobs_worker is None:
            return "idle"
        runner.prompt_logprobs_worker = SecondRunnerRows(runner.prompt_logprobs_worker)
        return "v2"
    if hasattr(runner, "_get_prompt_logprobs_dict") and hasattr(runner, "num_prompt_logprobs"):
        runner._get_prompt_logprobs_dict = FirstRunnerRows(runner, runner._get_prompt_logprobs_dict)
        return "v1"
    return "unknown"


class SecondRunnerRows:
    """Wraps the ``PromptLogprobsWorker`` of vLLM's second model runner."""

    def __init__(self, own: Any) -> None:
        self._own, self.rows = own, StepRows()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def add_request(self, req_id: str, req_idx: int, sampling_params: Any) -> None:
        """Note a request; one of ours is hidden from vLLM's own code."""
        self._own.add_request(req_id, req_idx, sampling_params)
        wanted = rows_asked(sampling_params)
        if wanted is not None:
            self._own.uses_prompt_logprobs[req_idx] = False
            self.rows.begin(req_id, *wanted)

    def remove_request(self, req_id: str) -> None:
        """Forget a request."""
        self._own.remove_request(req_id)
        self.rows.end(req_id)

    def compute_prompt_logprobs(
        self,
        logits_fn: LogitsOf,
        hidden_states: torch.Tensor,
        input_batch: Any,
        all_token_ids: torch.Tensor,
        num_computed_tokens: torch.Tensor,
        prompt_lens: np.ndarray,
    ) -> dict[str, Any]:
        """Give the rows of the step's prompts, ours and others."""
        others = self._own.compute_prompt_logprobs(
            logits_fn, hidden_states, input_batch, all_token_ids, num_computed_tokens, prompt_lens
        )
        spans = [
            Span(
                request,
                int(input_batch.query_start_loc_np[at]),
                int(input_batch.num_computed_prefill_tokens_np[at]),
                int(input_batch.num_scheduled_tokens[at]),
                int(prompt_lens[slot]),
                int(slot),
            )
            for at, (request, slot) in enumerate(zip(input_batch.req_ids, input_batch.idx_mapping_np, strict=False))
            if request in self.rows
        ]

        def targets(slots: np.ndarray, positions: np.ndarray) -> torch.Tensor:
            place = upload(np.stack([slots, positions]), all_token_ids.device)
            return all_token_ids[place[0], place[1]].long()

        spans = [span for span in spans if span.computed < span.prompt]
        return {**others, **self.rows.step(spans, hidden_states, logits_fn, targets)}


class FirstRunnerRows:
    """Wraps ``_get_prompt_logprobs_dict`` of vLLM's first model runner."""

    def __init__(self, runner: Any, own: Callable[..., dict]) -> None:
        self._runner, self._own, self.rows = runner, own, StepRows()

    def __call__(self, hidden_states: torch.Tensor, num_scheduled_tokens: dict[str, int]) -> dict[str, Any]:
        runner, waiting = self._runner, self._runner.num_prompt_logprobs
        asked = {request: rows_asked(runner.requests[request].sampling_params) for request in waiting}
        ours = {request: waiting.pop(request) for request, one in asked.items() if one is not None}
        found = self._own(hidden_states, num_scheduled_tokens)
        for request in ours:
            if request not in self.rows:
                self.rows.begin(request, *asked[request])
        spans = [self._span(request, num_scheduled_tokens[request]) for request in ours if request in num_scheduled_tokens]
        mine = self.rows.step(spans, hidden_states, runner.model.compute_logits, self._targets)
        done = {span.request for span in spans if span.computed + span.scheduled >= span.prompt}
        for request in done:
            self.rows.end(request)
        waiting.update({request: number for request, number in ours.items() if request not in done})
        found |= {request: one.to_cpu_nonblocking() for request, one in mine.items()}
        if mine:
            runner._sync_device()
        return found

    def _span(self, request: str, scheduled: int) -> Span:
        runner = self._runner
        state, slot = runner.requests[request], runner.input_batch.req_id_to_index[request]
        offset = int(runner.query_start_loc.np[slot])
        return Span(request, offset, state.num_computed_tokens, scheduled, len(state.prompt_token_ids), slot)

    def _targets(self, slots: np.ndarray, positions: np.ndarray) -> torch.Tensor:
        return upload(self._runner.input_batch.token_ids_cpu[slots, positions].astype(np.int64), self._runner.device)
