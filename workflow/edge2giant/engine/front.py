"""vLLM's own front end: each prompt is a request of its own. For checks, and for engines that take no packs (`packs`)."""

from collections.abc import Sequence
from typing import Any

from vllm import TokensPrompt

from edge2giant.engine.packs import ROWS_FROM, sampling
from edge2giant.engine.rows import array_rows, read
from edge2giant.engine.scoring import Logprobs, Prompt


class FrontEnd:
    """Sends prompts by ``LLM.enqueue`` and reads its answers.

    Parameters
    ----------
    model : vllm.LLM
    lora : vllm.lora.request.LoRARequest or None
    """

    def __init__(self, model: Any, lora: Any = None) -> None:
        self._model, self._lora = model, lora
        self._params: dict[tuple, Any] = {}
        self._prompts: list[Prompt] = []

    def send(self, prompts: Sequence[Prompt], salt: str | None = None, own: bool = False) -> None:
        """Send prompts; the engine begins at once.

        Parameters
        ----------
        salt : str, optional
            Name of the prefix cache that they share.
        own : bool
            vLLM computes all rows of a prompt as it does for everyone, not the requested ones alone (`step_rows`).
        """
        if not prompts:
            return
        named = {} if salt is None else {"cache_salt": salt}
        sent = [TokensPrompt(prompt_token_ids=list(prompt.ids), **named) for prompt in prompts]
        params = [self._sampling(prompt, own) for prompt in prompts]
        self._model.enqueue(sent, params, use_tqdm=False, lora_request=self._lora)
        self._prompts += prompts

    def forget(self) -> None:
        """Drop what was sent."""
        self._prompts = []

    def receive(self) -> tuple[list[Logprobs], int]:
        """Wait for all prompts that were sent; gives their answers in order, and how many tokens came from the cache."""
        with array_rows():
            outputs = self._model.wait_for_completion(use_tqdm=False)
        prompts, self._prompts = self._prompts, []
        answers = [read(output, prompt) for prompt, output in zip(prompts, outputs, strict=True)]
        return answers, sum(output.num_cached_tokens or 0 for output in outputs)

    def _sampling(self, prompt: Prompt, own: bool) -> Any:
        kind = (prompt.candidates, prompt.rows_from, prompt.fresh, own)
        if kind not in self._params:
            extra = {} if own else {ROWS_FROM: prompt.rows_from}
            self._params[kind] = sampling(*kind[:3], **extra)
        return self._params[kind]
