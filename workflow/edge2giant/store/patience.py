"""Ask a server again when it is busy or the line breaks, and no more often than that."""

import sys
from collections.abc import Callable
from time import sleep
from typing import TypeVar

Answer = TypeVar("Answer")

BUSY = (408, 425, 429, 500, 502, 503, 504)
ATTEMPTS = 6
LONGEST_WAIT = 60.0
FIRST_WAIT = 1.0


def patiently(ask: Callable[[], Answer], what: str) -> Answer:
    """Return what `ask` returns, asking up to six times.

    A status of `BUSY` or a broken connection is asked again after the seconds that `Retry-After` names, else after 1, 2, 4 ... s.
    Any other error is raised at once, and the last one after the last attempt.
    """
    import httpx

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return ask()
        except httpx.HTTPError as error:
            if attempt == ATTEMPTS or not _passing(error):
                raise
            wait = _wait(error, attempt)
            print(f"{what}: {_name(error)}, asking again in {wait:g} s", file=sys.stderr, flush=True)
            sleep(wait)
    raise AssertionError("unreachable")


def _passing(error) -> bool:
    import httpx

    response = getattr(error, "response", None)
    return isinstance(error, httpx.TransportError) if response is None else response.status_code in BUSY


def _name(error) -> str:
    response = getattr(error, "response", None)
    return f"HTTP {response.status_code}" if response is not None else type(error).__name__


def _wait(error, attempt: int) -> float:
    response = getattr(error, "response", None)
    named = response.headers.get("Retry-After", "") if response is not None else ""
    wait = float(named) if named.replace(".", "", 1).isdigit() else FIRST_WAIT * 2 ** (attempt - 1)
    return min(wait, LONGEST_WAIT)
