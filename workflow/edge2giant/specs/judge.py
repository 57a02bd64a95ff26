"""What a judging job gets to know: what decides a rating, and apart from it how the judge is reached."""

from dataclasses import dataclass, field
from typing import Any

from edge2giant.specs.variant import Variant


@dataclass(frozen=True)
class JudgeSpec:
    """What decides the ratings of a variant's answers. A change of it makes the job run again.

    Parameters
    ----------
    study : str
    variant : Variant
        Whose answers are rated.
    judge : str
        Entry of `config/judges.yaml`.
    model : str
        Model id that is sent to the endpoint.
    repeats : int
        Judgments of each turn.
    temperature : float or None
        None: not sent.
    max_tokens : int
        Longest judgment.
    extra_body : dict
        Further keys of each request.
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
    judge : str
        Entry of `config/judges.yaml`.
    base_url : str
        Address up to `/v1`; `auto`: that of the server which `serve` starts.
    usd_per_1k_prompt_tokens, usd_per_1k_completion_tokens : float
    limit_usd : float or None
        Spending cap; None for none.
    concurrency : int
        Requests at the same time.
    serve : tuple of str
        Command that serves the model; empty for an endpoint that is there.
    ready_timeout_s : float
        How long the server may take to start.
    key_file, key_env : str or None
        File whose first line is the API key; environment variable to read where that file is missing.
    timeout_s : float
        Time for one reply.
    attempts : int
        Attempts at one judgment.
    longest_wait_s : float
        Longest wait between two attempts.
    give_up_after : int
        Judgments in a row that may fail before the run ends.
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
