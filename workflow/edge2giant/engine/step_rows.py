"""Log-probabilities of the requested prompt tokens alone. Runs in vLLM's workers.

vLLM computes prompt log-probabilities for every token of a prompt that its cache does not hold (its newer model
runner even for every token of a step in which any prompt requests some), with a sort of the vocabulary for each,
and copies them to the host prompt by prompt. An answer choice needs those of its own tokens. `install` lets both
model runners compute only these, all prompts of a step together. Prompts that do not carry `ROWS_FROM` are
computed by vLLM as before, so both ways can be compared on one engine.

Row ``r`` of a prompt is the hidden state at its token ``r``, which says how likely token ``r + 1`` was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from edge2giant.engine.distributions import Asked, of_logits

# Keys of SamplingParams.extra_args: the first token of the prompt whose log-probability is wanted, and which tokens beside it
# (`Asked.as_json`); without the second, the most likely one.
ROWS_FROM = "edge2giant_rows_from"
DISTRIBUTIONS = "edge2giant_distributions"
# Rows whose logits are held at a time; they take rows x vocabulary x 4 bytes a few times over.
CHUNK = 512

LogitsOf = Callable[[torch.Tensor], torch.Tensor | None]


class Span(NamedTuple):
    """Part of a prompt that a step computes."""

    request: str
    offset: int  # of its first token among all tokens of the step
    computed: int  # tokens of the prompt that stand before this part
    scheduled: int  # tokens in this part
    prompt: int  # tokens of the whole prompt
    slot: int  # where the runner keeps the request


@dataclass
class Values:
    """Own, best and further tokens of rows, on the device until the first of the step's prompts reads them."""

    token_ids: torch.Tensor  # [rows, 2 or more]
    logprobs: torch.Tensor  # [rows, 2 or more], nats
    _host: "Values | None" = None

    def host(self) -> "Values":
        """Start the copy of all rows to the host, once."""
        if self._host is None:
            self._host = Values(self.token_ids.to("cpu", non_blocking=True), self.logprobs.to("cpu", non_blocking=True))
        return self._host

    def part(self, rows: slice) -> "Values":
        """Give some of the rows."""
        return Values(self.token_ids[rows], self.logprobs[rows])


@dataclass
class Found:
    """The rows of one prompt; vLLM calls `to_cpu_nonblocking` as it would on its own tensors."""

    parts: list[tuple[Values, slice]]

    def to_cpu_nonblocking(self) -> Any:
        """Give ``LogprobsTensors`` on the host, filled once the stream has come so far."""
        from vllm.v1.outputs import LogprobsTensors

        if len(self.parts) == 1:
            values, rows = self.parts[0]
            one = values.host().part(rows)
        else:
            some = [values.part(rows) for values, rows in self.parts]
            one = Values(torch.cat([each.token_ids for each in some]), torch.cat([each.logprobs for each in some])).host()
        ranks = torch.zeros(len(one.logprobs), dtype=torch.int32)
        return LogprobsTensors(one.token_ids, one.logprobs, ranks)


@dataclass
class PendingPrompt:
    """A prompt on its way through the steps."""

    rows_from: int
    asked: Asked | None = None
    reached: int = -1  # row after the last one stored
    parts: list[tuple[Values, slice]] = field(default_factory=list)

    def rows(self, span: Span) -> range:
        """Give the rows of a span that are wanted."""
        first = max(span.computed, self.rows_from - 1)
        return range(first, max(first, min(span.computed + span.scheduled, span.prompt - 1)))

    def take(self, rows: range, values: Values, at: int) -> None:
        """Store the rows at ``at`` of a step's values; rows that do not follow the last ones replace them."""
        if rows.start != self.reached:
            self.parts = []
        self.parts.append((values, slice(at, at + len(rows))))
        self.reached = rows.stop


class StepRows:
    """The prompts of one model runner that request rows."""

    def __init__(self) -> None:
        self._pending: dict[str, PendingPrompt] = {}

    def begin(self, request: str, rows_from: int, asked: Asked | None = None) -> None:
        """Note a prompt."""
        self._pending[request] = PendingPrompt(rows_from, asked)

    def end(self, request: str) -> None:
        """Forget a prompt."""
        self._pending.pop(request, None)

    def __contains__(self, request: str) -> bool:
        return request in self._pending

    def step(
        self,
        spans: Sequence[Span],
        hidden: torch.Tensor,
        logits_of: LogitsOf,
        targets: Callable[[np.ndarray, np.ndarray], torch.Tensor],
    ) -> dict[str, Found]:
        """Compute the wanted rows of a step and give those prompts that are complete.

        Parameters
        ----------
        spans : sequence of Span
            Of prompts that were noted.
        hidden : tensor, [tokens of the step, width]
        logits_of : callable
            Hidden states to logits, [rows, vocabulary].
        targets : callable
            (slots, positions) of tokens, both [rows], to their ids on the device of ``hidden``.
        """
        rows = [self._pending[span.request].rows(span) for span in spans]
        wanted = [(span, one) for span, one in zip(spans, rows, strict=True) if one]
        plain = [(span, one) for span, one in wanted if self._pending[span.request].asked is None]
        for part in (plain, *([pair] for pair in wanted if pair not in plain)):
            if part and not self._compute(part, hidden, logits_of, targets):
                return {}
        done = [span.request for span in spans if span.computed + span.scheduled >= span.prompt]
        return {request: Found(self._pending[request].parts) for request in done if self._pending[request].parts}

    def _compute(self, wanted: list[tuple[Span, range]], hidden: torch.Tensor, logits_of: LogitsOf, targets: Callable) -> bool:
        """Compute rows that are asked alike, and store them; False on a GPU that gathers no logits."""
        index = np.concatenate([np.arange(one.start, one.stop) - span.computed + span.offset for span, one in wanted])
        slots = np.concatenate([np.full(len(one), span.slot) for span, one in wanted])
        positions = np.concatenate([np.arange(one.start + 1, one.stop + 1) for _, one in wanted])
        pending, first = self._pending[wanted[0][0].request], wanted[0][1].start
        values = values_of(
            hidden,
            upload(index, hidden.device),
            targets(slots, positions),
            logits_of,
            pending.asked,
            first + 1 - pending.rows_from,
        )
        if values is None:
            return False
        at = 0
        for span, one in wanted:
            self._pending[span.request].take(one, values, at)
            at += len(one)
        return True


def upload(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Send an array to a device without waiting for what the device is doing."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def values_of(
    hidden: torch.Tensor,
    index: torch.Tensor,
    targets: torch.Tensor,
    logits_of: LogitsOf,
    asked: Asked | None = None,
    first: int = 0,
) -> Values | None:
    """Compute the log-probabilities of targets, and of the most likely tokens or those asked, after some hidden states.

    Parameters
    ----------
    hidden : tensor, [tokens, width]
    index : tensor of int64, [rows]
        Rows of ``hidden``.
    targets : tensor of int64, [rows]
        Ids of the tokens that follow.
    logits_of : callable
        Hidden states to logits. None on a GPU that does not gather them gives None.
    asked : Asked or None
        Further tokens of one prompt; ``first`` is the place of the first row among them.
    """
    ids, logprobs = [], []
    for rows, own in zip(index.split(CHUNK), targets.split(CHUNK), strict=True):
        logits = logits_of(hidden[rows])
        if logits is None:
            return None
        found = of_logits(logits, own, asked, first) if asked else own_and_best(logits, own)
        ids.append(found[0])
        logprobs.append(found[1])
        first += len(rows)
    return Values(torch.cat(ids), torch.cat(logprobs))


def own_and_best(logits: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and log-probabilities of the own and the most likely token, both [rows, 2]."""
    logits = logits.float()
    best = logits.max(dim=-1)
    chosen = torch.stack([logits.gather(1, own[:, None])[:, 0], best.values], dim=1)
    return torch.stack([own, best.indices], dim=1), chosen - torch.logsumexp(logits, dim=-1, keepdim=True)


def rows_asked(sampling_params: Any) -> tuple[int, Asked | None] | None:
    """Read the first row that a prompt requests and the tokens beside its own; None if it requests none of ours."""
    extra = (sampling_params and sampling_params.extra_args) or {}
    if ROWS_FROM not in extra:
        return None
    return extra[ROWS_FROM], Asked.of_json(extra[DISTRIBUTIONS]) if DISTRIBUTIONS in extra else None


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
        self._own, self._rows = own, StepRows()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def add_request(self, req_id: str, req_idx: int, sampling_params: Any) -> None:
        """Note a request; one of ours is hidden from vLLM's own code."""
        self._own.add_request(req_id, req_idx, sampling_params)
        wanted = rows_asked(sampling_params)
        if wanted is not None:
            self._own.uses_prompt_logprobs[req_idx] = False
            self._rows.begin(req_id, *wanted)

    def remove_request(self, req_id: str) -> None:
        """Forget a request."""
        self._own.remove_request(req_id)
        self._rows.end(req_id)

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
            if request in self._rows
        ]

        def targets(slots: np.ndarray, positions: np.ndarray) -> torch.Tensor:
            place = upload(np.stack([slots, positions]), all_token_ids.device)
            return all_token_ids[place[0], place[1]].long()

        spans = [span for span in spans if span.computed < span.prompt]
        return {**others, **self._rows.step(spans, hidden_states, logits_fn, targets)}


class FirstRunnerRows:
    """Wraps ``_get_prompt_logprobs_dict`` of vLLM's first model runner."""

    def __init__(self, runner: Any, own: Callable[..., dict]) -> None:
        self._runner, self._own, self._rows = runner, own, StepRows()

    def __call__(self, hidden_states: torch.Tensor, num_scheduled_tokens: dict[str, int]) -> dict[str, Any]:
        runner, waiting = self._runner, self._runner.num_prompt_logprobs
        asked = {request: rows_asked(runner.requests[request].sampling_params) for request in waiting}
        ours = {request: waiting.pop(request) for request, one in asked.items() if one is not None}
        found = self._own(hidden_states, num_scheduled_tokens)
        for request in ours:
            if request not in self._rows:
                self._rows.begin(request, *asked[request])
        spans = [self._span(request, num_scheduled_tokens[request]) for request in ours if request in num_scheduled_tokens]
        mine = self._rows.step(spans, hidden_states, runner.model.compute_logits, self._targets)
        done = {span.request for span in spans if span.computed + span.scheduled >= span.prompt}
        for request in done:
            self._rows.end(request)
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
