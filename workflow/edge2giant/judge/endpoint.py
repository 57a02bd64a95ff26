"""One reply of an OpenAI-compatible endpoint, requested again after failures that pass."""

import email.utils
import json
import random
import threading
import time
from dataclasses import dataclass

import tenacity

from edge2giant.judge.budget import most_usd
from edge2giant.specs.judge import JudgeService, JudgeSpec

# No reply to a request for a few thousand tokens is longer; more means that the endpoint is not what it
# should be.
LONGEST_REPLY = 16 * 1024 * 1024
# What the server refused before it worked is not billed.
RETRY_STATUS = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600))
FATAL_STATUS = frozenset({401, 403, 404, 405})


@dataclass(frozen=True)
class Reply:
    """An endpoint's reply: text, model, tokens as the endpoint counts them, and the attempts it took."""

    text: str
    finish_reason: str | None
    answered_by: str | None
    tokens_in: int | None
    tokens_out: int | None
    usd: float
    attempts: int
    seconds: float


class JudgmentError(Exception):
    """One judgment failed: the attempts are used up or the endpoint refuses this request."""

    def __init__(self, reason: str, attempts: int):
        super().__init__(reason)
        self.reason, self.attempts = reason, attempts


class EndpointError(Exception):
    """The endpoint refuses every request (wrong key, wrong model, no such address)."""


class CapError(Exception):
    """The next call could pass the spending cap."""


class StoppedError(Exception):
    """Another thread has ended the run."""


class _PassingError(Exception):
    """A failure that may pass, with the wait that the server requested, if any."""

    def __init__(self, reason: str, wait_s: float | None = None):
        super().__init__(reason)
        self.wait_s = wait_s


class Endpoint:
    """A judge behind HTTP, used by any number of threads.

    Parameters
    ----------
    spec : JudgeSpec
        Model and settings.
    service : JudgeService
        Limits and prices.
    base_url, key : str
        Address (up to /v1) and API key.
    ledger : Ledger or NoLedger
        Each attempt is reserved in it before it is sent.
    stop : threading.Event
        Set from outside to end waits at once.
    on_retry : callable
        Gets the reason of every repeated attempt.
    """

    def __init__(self, spec: JudgeSpec, service: JudgeService, base_url: str, key: str, ledger, stop: threading.Event, on_retry):
        import openai

        self.spec, self.service, self.ledger, self.stop, self.on_retry = spec, service, ledger, stop, on_retry
        self.openai = openai
        self.transport_errors = _transport_errors()
        self.client = openai.OpenAI(
            base_url=base_url,
            api_key=key,
            max_retries=0,
            timeout=openai.Timeout(service.timeout_s, connect=20.0),
        )

    def close(self) -> None:
        """Close all connections."""
        self.client.close()

    def reply(self, messages: tuple[dict, ...]) -> Reply:
        """Get one reply.

        Raises
        ------
        JudgmentError, EndpointError, CapError, StoppedError
            See there. `JudgmentError` and `EndpointError` carry the endpoint's reason.
        """
        started = time.monotonic()
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.service.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(_PassingError),
            sleep=self._sleep,
            before_sleep=lambda state: self.on_retry(str(state.outcome.exception())),
            reraise=True,
        )
        try:
            body, usd = retrying(self._once, messages)
        except _PassingError as error:
            raise JudgmentError(str(error), self.service.attempts) from None
        except JudgmentError as error:
            raise JudgmentError(error.reason, retrying.statistics.get("attempt_number", 1)) from None
        attempts = retrying.statistics.get("attempt_number", 1)
        return _reply(body, usd, attempts, time.monotonic() - started)

    def _wait(self, state) -> float:
        wanted = state.outcome.exception().wait_s
        growing = min(self.service.longest_wait_s, 0.5 * 2 ** (state.attempt_number - 1))
        if wanted is not None:
            return min(wanted, self.service.longest_wait_s) + random.uniform(0, 0.1)
        return growing * random.uniform(0.5, 1.0)

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise StoppedError

    def _once(self, messages: tuple[dict, ...]) -> tuple[dict, float]:
        """One attempt. The reservation stays open where the endpoint may have billed without an answer."""
        if self.stop.is_set():
            raise StoppedError
        reservation = self.ledger.reserve(most_usd(self.spec, self.service, messages))
        if reservation is None:
            raise CapError
        try:
            body = checked(self._post(messages))
        except _RefusedError as refusal:
            self.ledger.charge(reservation, 0.0)
            raise refusal.exception from None
        usd = self._price(body, messages)
        self.ledger.charge(reservation, usd)
        return body, usd

    def _price(self, body: dict, messages: tuple[dict, ...]) -> float:
        tokens_in, tokens_out = _usage(body)
        if tokens_in is None or tokens_out is None:
            return most_usd(self.spec, self.service, messages)
        return self.service.usd(tokens_in, tokens_out)

    def _post(self, messages: tuple[dict, ...]) -> bytes:
        deadline = time.monotonic() + self.service.timeout_s
        try:
            with self._open(messages) as response:
                return _read(response.iter_bytes(), deadline)
        except self.openai.APITimeoutError:
            raise _PassingError("timeout") from None
        except self.openai.APIStatusError as error:
            raise _RefusedError(_refusal(error.status_code, error.response.headers, self._shown(error))) from None
        except self.openai.APIConnectionError as error:
            raise _connection(error) from None
        except self.transport_errors as error:
            raise _PassingError(f"connection broke half way ({type(error).__name__})") from None

    def _shown(self, error) -> str:
        """Return the text of an error's body, without the key that some endpoints repeat in it."""
        return _body_text(error).replace(self.client.api_key, "(the key)")[:300]

    def _open(self, messages: tuple[dict, ...]):
        spec = self.spec
        options = {} if spec.temperature is None else {"temperature": spec.temperature}
        options[self.service.token_limit_parameter] = spec.max_tokens
        return self.client.chat.completions.with_streaming_response.create(
            model=spec.model, messages=list(messages), n=1, extra_body=spec.extra_body or None, **options
        )


def _transport_errors() -> tuple[type[Exception], ...]:
    # openai 3 speaks HTTP through httpx2, older ones through httpx
    try:
        import httpx2 as http
    except ImportError:
        import httpx as http
    return http.HTTPError, http.StreamError


class _RefusedError(Exception):
    """The endpoint did no work, so that the call costs nothing; carries the exception to raise."""

    def __init__(self, exception: Exception):
        super().__init__(str(exception))
        self.exception = exception


def _connection(error: Exception) -> Exception:
    cause = error.__cause__
    name = type(cause).__name__ if cause else type(error).__name__
    if name in ("ConnectError", "ConnectTimeout", "UnsupportedProtocol"):
        return _RefusedError(_PassingError(f"cannot connect ({cause or error})"))
    return _PassingError(f"connection broke ({name})")


def _refusal(status: int, headers, body: str) -> Exception:
    reason = f"HTTP {status}" + (f": {body}" if body else "")
    if status in FATAL_STATUS or "insufficient_quota" in body:
        return EndpointError(reason)
    if status in RETRY_STATUS:
        return _PassingError(reason, retry_after(headers.get("retry-after")))
    return JudgmentError(reason, 1)


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header (number or date) requests; None without a sensible one."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return seconds if 0 <= seconds < float("inf") else None


def _body_text(error) -> str:
    text = error.body if isinstance(error.body, str) else json.dumps(error.body) if error.body else ""
    return " ".join(text.split())


def _read(chunks, deadline: float) -> bytes:
    """Join the chunks of a reply; an endpoint that drips bytes is cut off at the deadline."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if time.monotonic() > deadline:
            raise _PassingError("timeout (the reply drips)")
        if size > LONGEST_REPLY:
            raise _PassingError(f"reply longer than {LONGEST_REPLY} bytes")
    return b"".join(parts)


def checked(content: bytes) -> dict:
    """Return the JSON of a reply that holds a text; anything else is a failure that may pass."""
    try:
        body = json.loads(content)
        text = body["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise _PassingError(f"malformed reply ({type(error).__name__})") from None
    if not isinstance(text, str):
        raise _PassingError("malformed reply (no text)")
    return body


def _usage(body: dict) -> tuple[int | None, int | None]:
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _reply(body: dict, usd: float, attempts: int, seconds: float) -> Reply:
    choice = body["choices"][0]
    tokens_in, tokens_out = _usage(body)
    return Reply(
        text=_utf8(choice["message"]["content"]),
        finish_reason=_string(choice.get("finish_reason")),
        answered_by=_string(body.get("model")),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd=usd,
        attempts=attempts,
        seconds=seconds,
    )


def _string(value) -> str | None:
    return _utf8(value) if isinstance(value, str) else None


def _utf8(text: str) -> str:
    # half of a surrogate pair cannot be written as UTF-8
    return text.encode("utf-8", "replace").decode()
