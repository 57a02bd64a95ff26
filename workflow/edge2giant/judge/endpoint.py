"""One reply of an OpenAI-compatible endpoint, requested again after failures that pass."""

import email.utils
import json
import random
import threading
import time
from dataclasses import dataclass, replace

import httpx2
import tenacity

from edge2giant.judge.budget import most_usd
from edge2giant.specs.judge import JudgeService, JudgeSpec

# No reply to a request for a few thousand tokens is longer; more means that the endpoint is not what it should be.
LONGEST_REPLY = 16 * 1024 * 1024
CONNECT_S = 20.0
FATAL_STATUS = frozenset({401, 403, 404, 405})
RETRY_STATUS = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600))


@dataclass(frozen=True)
class Reply:
    """A judge's text, with the tokens as the endpoint counts them, and what it took to get it."""

    judgment: str | None = None
    answered_by: str | None = None
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float = 0.0
    attempts: int = 1
    seconds: float = 0.0


class JudgmentError(Exception):
    """One judgment failed: the attempts are used up or the endpoint refuses this request."""

    def __init__(self, reason: str, attempts: int = 1):
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


class _NotSentError(_PassingError):
    """The request never reached the endpoint."""


class Endpoint:
    """A judge behind HTTP, used by any number of threads.

    Parameters
    ----------
    base_url, key : str
        Address (up to /v1) and API key.
    ledger : Ledger or NoLedger
        Each attempt is reserved in it before it is sent.
    stop : threading.Event
        Set from outside to end waits at once.
    """

    def __init__(self, spec: JudgeSpec, service: JudgeService, base_url: str, key: str, ledger, stop: threading.Event):
        self.spec, self.service, self.key, self.ledger, self.stop = spec, service, key, ledger, stop
        self.client = httpx2.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx2.Timeout(service.timeout_s, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=service.concurrency),
            follow_redirects=True,
            trust_env=service.base_url != "auto",  # no proxy stands between this process and the server that it has started
        )

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
            sleep=tenacity.sleep_using_event(self.stop),
            reraise=True,
        )
        try:
            reply = retrying(self._once, messages)
        except (_PassingError, JudgmentError) as error:
            raise JudgmentError(str(error), retrying.statistics["attempt_number"]) from None
        seconds = round(time.monotonic() - started, 3)
        return replace(reply, attempts=retrying.statistics["attempt_number"], seconds=seconds)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        wanted = state.outcome.exception().wait_s
        if wanted is not None:
            return min(wanted, self.service.longest_wait_s) + random.uniform(0, 0.1)
        return min(0.5 * 2 ** (state.attempt_number - 1), self.service.longest_wait_s) * random.uniform(0.5, 1.0)

    def _once(self, messages: tuple[dict, ...]) -> Reply:
        """One attempt. The reservation stays open where the endpoint may have billed without an answer."""
        if self.stop.is_set():
            raise StoppedError
        most = most_usd(self.spec, self.service, messages)
        reservation = self.ledger.reserve(most)
        if reservation is None:
            raise CapError
        try:
            response, content = self._post(messages)
        except _NotSentError:
            self.ledger.charge(reservation, 0.0)
            raise
        if response.is_error:
            # what the server refused before it worked is not billed
            self.ledger.charge(reservation, 0.0)
            raise self._refusal(response, content)
        reply = parsed(content)
        counted = reply.tokens_in is not None and reply.tokens_out is not None
        usd = self.service.usd(reply.tokens_in, reply.tokens_out) if counted else most
        self.ledger.charge(reservation, usd)
        return replace(reply, usd=usd)

    def _post(self, messages: tuple[dict, ...]) -> tuple[httpx2.Response, bytes]:
        spec, deadline = self.spec, time.monotonic() + self.service.timeout_s
        body = {"model": spec.model, "messages": messages, "n": 1, self.service.token_limit_parameter: spec.max_tokens}
        if spec.temperature is not None:
            body["temperature"] = spec.temperature
        try:
            with self.client.stream("POST", "chat/completions", json=body | spec.extra_body) as response:
                return response, _read(response, deadline)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as error:
            raise _NotSentError(f"cannot connect ({error})") from None
        except httpx2.TimeoutException:
            raise _PassingError("timeout") from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _PassingError(f"connection broke ({type(error).__name__})") from None

    def _refusal(self, response: httpx2.Response, content: bytes) -> Exception:
        """What an error status means; its text is shown without the key that some endpoints repeat."""
        text = " ".join(content.decode(errors="replace").replace(self.key, "(the key)").split())[:300]
        reason = f"HTTP {response.status_code}" + (f": {text}" if text else "")
        if response.status_code in FATAL_STATUS or "insufficient_quota" in text:
            return EndpointError(reason)
        if response.status_code in RETRY_STATUS:
            return _PassingError(reason, retry_after(response.headers.get("retry-after")))
        return JudgmentError(reason)


def _read(response: httpx2.Response, deadline: float) -> bytes:
    """The body; an endpoint that drips bytes is cut off at the deadline."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if time.monotonic() > deadline:
            raise _PassingError("timeout (the reply drips)")
        if len(content) > LONGEST_REPLY:
            raise _PassingError(f"reply longer than {LONGEST_REPLY} bytes")
    return bytes(content)


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


def parsed(content: bytes) -> Reply:
    """The reply in a body; a body without a text is a failure that may pass."""
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise _PassingError(f"malformed reply ({type(error).__name__})") from None
    if not isinstance(text, str):
        raise _PassingError("malformed reply (no text)")
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    return Reply(
        judgment=_text(text),
        answered_by=_text(body.get("model")),
        finish_reason=_text(choice.get("finish_reason")),
        tokens_in=_count(usage.get("prompt_tokens")),
        tokens_out=_count(usage.get("completion_tokens")),
    )


def _count(value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value) -> str | None:
    # half of a surrogate pair cannot be written as UTF-8
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
