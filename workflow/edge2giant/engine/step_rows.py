"""Log-probabilities of the requested prompt tokens alone. Runs in vLLM's workers.

vLLM computes prompt log-probabilities for every token of a prompt that its cache does not hold (its newer model
runner even for every token of a step in which any prompt requests some), with a sort of the vocabulary for each,
and copies them to the host prompt by prompt. An answer choice needs those of its own tokens. `StepRows` computes
only these, all prompts of a step together; `runners` puts it into vLLM.

Row ``r`` of a prompt is the hidden state at its token ``r``, which says how likely token ``r + 1`` was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from edge2giant.engine.distributions import Asked, of_logits

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
    kept: bool = False
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
        self._kept: dict[str, PendingPrompt] = {}

    def begin(self, request: str, rows_from: int, asked: Asked | None = None, kept: bool = False) -> None:
        """Note a prompt."""
        self._pending[request] = PendingPrompt(rows_from, asked, kept)

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
        """Compute the wanted rows of a step and give those prompts that are complete, but for those that wait for `take`.

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
        plain, others = [], []
        for pair in wanted:
            (plain if self._pending[pair[0].request].asked is None else others).append(pair)
        for part in (plain, *([pair] for pair in others)):
            if part and not self._compute(part, hidden, logits_of, targets):
                return {}
        done = [span.request for span in spans if span.computed + span.scheduled >= span.prompt]
        found = {request: one for request in done if (one := self._pending[request]).parts}
        self._kept.update((request, one) for request, one in found.items() if one.kept)
        return {request: Found(one.parts) for request, one in found.items() if not one.kept}

    def take(self) -> tuple[list[str], list[int], list[int], bytes, bytes]:
        """Give the rows of all complete prompts that were kept, and forget them.

        Returns
        -------
        list of str, list of int, list of int, bytes, bytes
            Names, first row and number of rows of the prompts; of their rows one after the other, the own token (int32), and the
            log-probabilities of the own and the most likely token (float32).
        """
        kept, self._kept = self._kept, {}
        places: dict[int, int] = {}
        steps: list[Values] = []
        order = [np.zeros(0, dtype=np.int64)]
        counts = []
        size = 0
        for one in kept.values():
            count = 0
            for values, rows in one.parts:
                if id(values) not in places:
                    places[id(values)] = size
                    steps.append(values)
                    size += len(values.token_ids)
                order.append(np.arange(rows.start, rows.stop) + places[id(values)])
                count += rows.stop - rows.start
            counts.append(count)
        firsts = [one.reached - count for one, count in zip(kept.values(), counts, strict=True)]
        if not steps:
            return [], [], [], b"", b""
        every = np.concatenate(order)
        ids = torch.cat([values.token_ids[:, 0] for values in steps]).to("cpu", torch.int32).numpy()[every]
        logprobs = torch.cat([values.logprobs[:, :2] for values in steps]).to("cpu", torch.float32).numpy()[every]
        return list(kept), firsts, counts, ids.tobytes(), logprobs.tobytes()

    def _compute(self, wanted: list[tuple[Span, range]], hidden: torch.Tensor, logits_of: LogitsOf, targets: Callable) -> bool:
        """Compute rows that are asked alike, and store them; False on a GPU that gathers no logits."""
        sizes = [len(one) for _, one in wanted]
        before = np.cumsum([0, *sizes[:-1]])
        rows = np.arange(sum(sizes)) + np.repeat([one.start for _, one in wanted] - before, sizes)
        index = rows + np.repeat([span.offset - span.computed for span, _ in wanted], sizes)
        slots = np.repeat([span.slot for span, _ in wanted], sizes)
        pending, first = self._pending[wanted[0][0].request], wanted[0][1].start
        values = values_of(
            hidden,
            upload(index, hidden.device),
            targets(slots, rows + 1),
            logits_of,
            pending.asked,
            first + 1 - pending.rows_from,
        )
        if values is None:
            return False
        at = 0
        for (span, one), size in zip(wanted, sizes, strict=True):
            self._pending[span.request].take(one, values, at)
            at += size
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
