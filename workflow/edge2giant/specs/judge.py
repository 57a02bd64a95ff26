"""What a judging job gets to know: what decides a rating, and apart from it how the judge is reached."""

from dataclasses import dataclass, field
from typing import Any

from edge2giant.specs.variant import Variant


@dataclass(frozen=True)
class JudgeSpec:
    """What decides the ratings of a variant's answers. A change of it makes the job run again.

    `judge` is an entry of `config/judges.yaml`, `model` the id that is sent to the endpoint, `repeats` the judgments of each
    turn; a temperature of None is not sent; `extra_body` holds further keys of each request.
    """

    study: str
    variant: Variant
    judge: str
    model: str
    repeats: int
    temperature: float | None
    max_tokens: int
    extra_body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgeService:
    """How a judge is reached, what it may cost and how fast it is asked. None of it decides a rating or makes a job run again.

    Parameters
    ----------
    base_url : str
        Address up to `/v1`; `auto`: that of the server which `serve` starts.
    limit_usd : float or None
        Spending cap; None for none.
    concurrency : int
        Requests at the same time.
    serve : tuple of str
        Command that serves the model; empty for an endpoint that is there.
    ready_timeout_s, timeout_s, longest_wait_s : float
        How long the server may take to start, one reply may take, and the wait between two attempts may be.
    key_file, key_env : str or None
        File whose first line is the API key; environment variable to read where that file is missing.
    attempts, give_up_after : int
        Attempts at one judgment; judgments in a row that may fail before the run ends.
    token_limit_parameter : str
        Name under which `max_tokens` is sent.
    """

    judge: str
    base_url: str
    usd_per_1k_prompt_tokens: float
    usd_per_1k_completion_tokens: float
    limit_usd: float | None
    concurrency: int
    serve: tuple[str, ...] = ()
    ready_timeout_s: float = 900.0
    key_file: str | None = None
    key_env: str | None = None
    timeout_s: float = 180.0
    attempts: int = 8
    longest_wait_s: float = 60.0
    give_up_after: int = 8
    token_limit_parameter: str = "max_tokens"

    @property
    def free(self) -> bool:
        """Whether no token costs anything."""
        return not (self.usd_per_1k_prompt_tokens or self.usd_per_1k_completion_tokens)

    def usd(self, tokens_in: int, tokens_out: int) -> float:
        """Price of so many prompt and completion tokens."""
        return (tokens_in * self.usd_per_1k_prompt_tokens + tokens_out * self.usd_per_1k_completion_tokens) / 1000
