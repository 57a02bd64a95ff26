"""Try a request again when the server is busy or the connection breaks."""

import sys
from collections.abc import Callable
from time import sleep
from typing import TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from edge2giant.errors import UserError

Answer = TypeVar("Answer")

BUSY = (408, 425, 429, 500, 502, 503, 504)
ATTEMPTS = 6
LONGEST_WAIT = 60.0
FIRST_WAIT = 1.0


def retried(ask: Callable[[], Answer], what: str) -> Answer:
    """Return what `ask` returns, calling it up to six times.

    After a status of `BUSY` or a broken connection it is called again, after the seconds that `Retry-After` names or else
    1, 2, 4 ... s.
    Any other error is raised at once, and the last one after the last attempt.
    """

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception()
        named = f"HTTP {error.response.status_code}" if _response(error) is not None else type(error).__name__
        print(f"{what}: {named}, trying again in {state.next_action.sleep:g} s", file=sys.stderr, flush=True)

    attempts = Retrying(
        retry=retry_if_exception(_passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=_wait,
        sleep=sleep,
        before_sleep=say,
        reraise=True,
    )
    return attempts(ask)


def refusal(error: Exception, what: str) -> UserError:
    """The error for a request that failed for good."""
    response = _response(error)
    if response is None:
        lines = str(error).strip().splitlines()
        said = lines[0] if lines else type(error).__name__
        return UserError(f"could not be fetched ({said})", what, "run the same command again to go on")
    status = response.status_code
    if status in (401, 403):
        return UserError("the server refuses this token", what, "put a valid one into the `token_file`")
    hints = {
        404: "name a commit that exists in config/benchmarks.yaml",
        429: "the number of requests is limited: wait some minutes, then run the same command again to go on",
    }
    return UserError(f"the server answers HTTP {status}", what, hints.get(status, "run the same command again to go on"))


def _response(error: BaseException) -> httpx.Response | None:
    return getattr(error, "response", None)


def _passing(error: BaseException) -> bool:
    response = _response(error)
    return isinstance(error, httpx.TransportError) if response is None else response.status_code in BUSY


def _wait(state: RetryCallState) -> float:
    response = _response(state.outcome.exception())
    named = response.headers.get("Retry-After", "") if response is not None else ""
    wait = float(named) if named.replace(".", "", 1).isdigit() else FIRST_WAIT * 2 ** (state.attempt_number - 1)
    return min(wait, LONGEST_WAIT)
