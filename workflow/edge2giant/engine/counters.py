"""Counts of an engine's work, in intervals that ``usage`` closes; `Counted` keeps them for an lm-eval model."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from edge2giant.engine import checks


@dataclass
class Usage:
    """Sums over one interval; times in seconds, sizes in bytes."""

    requests: int = 0
    prompts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    too_long: int = 0
    seconds: float = 0.0
    peak_gpu_bytes: int = 0


class Meter:
    """Counts of an engine.

    An interval stays readable after ``close`` until the next request begins another, so that the order in
    which a caller reads the usage and the description does not matter.
    """

    def __init__(self) -> None:
        self.usage = Usage()
        self.interval = 0
        self._closed = False

    @contextmanager
    def call(self, requests: int) -> Iterator[Usage]:
        """Count one call of lm-eval with its requests and its time."""
        if self._closed:
            self.usage, self._closed = Usage(), False
            self.interval += 1
        self.usage.requests += requests
        began = time.perf_counter()
        try:
            yield self.usage
        finally:
            self.usage.seconds += time.perf_counter() - began

    def close(self, peak_gpu_bytes: int) -> dict[str, int | float]:
        """End the interval and return its counts; an interval without a request counts nothing."""
        if self._closed:
            return asdict(Usage(peak_gpu_bytes=peak_gpu_bytes))
        self.usage.peak_gpu_bytes = peak_gpu_bytes
        self._closed = True
        return asdict(self.usage)


class Counted:
    """Counts and checks what lm-eval asks of a model; goes before lm-eval's class among the bases."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.meter = Meter()
        self.settings: dict[str, Any] = {}
        self._asked: list = []  # requests of this call, to name one in an error
        super().__init__(*args, **kwargs)

    @contextmanager
    def asked(self, requests: list) -> Iterator[None]:
        """Count one call of lm-eval, and refuse requests without a text."""
        checks.refuse_empty(requests)
        self._asked = requests
        with self.meter.call(len(requests)):
            yield
        self._asked = []

    def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        with self.asked(requests):
            scores = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        checks.require_finite(value for value, _ in scores)
        return scores

    def loglikelihood_rolling(self, requests: list, disable_tqdm: bool = False) -> list[float]:
        with self.asked(requests):
            scores = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        checks.require_finite(scores)
        return scores

    def generate_until(self, requests: list, disable_tqdm: bool = False) -> list[str]:
        with self.asked(requests):
            return super().generate_until(requests, disable_tqdm=disable_tqdm)
