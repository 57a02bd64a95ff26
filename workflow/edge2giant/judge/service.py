"""Where a judge listens, and with which key: at a given address, or in a server that is started for the time of a run."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import tenacity

from edge2giant.errors import UserError
from edge2giant.specs.judge import JudgeService

STOP_S = 30.0


def api_key(service: JudgeService) -> str:
    """The judge's API key, or a placeholder for an endpoint that needs none.

    Raises
    ------
    UserError
        If the service names a place for the key and none is there. The message never holds a key.
    """
    file, variable = service.key_file, service.key_env
    if file and (path := Path(file).expanduser()).is_file():
        try:
            key = path.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, ValueError) as error:
            raise UserError(f"cannot be read ({type(error).__name__})", path, "repair its permissions") from None
        if not key:
            raise UserError("holds no key on its first line", file, "write the key there")
        return key
    if variable and (key := os.environ.get(variable, "").strip()):
        return key
    if not file and not variable:
        return "no-key-needed"
    places = [place for place in (file, variable and f"${variable}") if place]
    raise UserError(f"no API key in {' or '.join(places)}", f"judge {service.judge}", "put it there")


@contextlib.contextmanager
def address(service: JudgeService, model: str):
    """Yield the judge's base URL; the server that its `serve` command starts ends with the block."""
    if service.base_url != "auto":
        yield service.base_url
        return
    port = _free_port()
    command = [
        part.replace("{model}", model).replace("{port}", str(port)).replace("{python}", sys.executable) for part in service.serve
    ]
    print(f"judge {service.judge}: starting {command[0]} on port {port}", file=sys.stderr, flush=True)
    try:
        process = subprocess.Popen(
            command, stdout=2, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent
        )
    except OSError as error:
        raise UserError(f"cannot be started ({error.strerror})", command[0], "run it in the engine's environment") from None
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _await_ready(process, url, service)
        yield url
    finally:
        _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG = 1: a killed judge must not leave a server on the GPUs
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _await_ready(process: subprocess.Popen, url: str, service: JudgeService) -> None:
    """Wait until the server lists its models."""

    @tenacity.retry(
        stop=tenacity.stop_after_delay(service.ready_timeout_s),
        wait=tenacity.wait_fixed(0.2),
        retry=tenacity.retry_if_exception_type(httpx2.HTTPError),
    )
    def list_models() -> None:
        if process.poll() is not None:
            raise UserError(f"ended with code {process.returncode} before it was ready", service.serve[0], "see its output")
        # no proxy of the environment stands between this process and its own child
        httpx2.get(f"{url}/models", timeout=5, trust_env=False).raise_for_status()

    try:
        list_models()
    except tenacity.RetryError:
        what = f"was not ready after {service.ready_timeout_s:g} s"
        raise UserError(what, service.serve[0], "raise ready_timeout_s") from None


def _end(process: subprocess.Popen) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, sign)
            process.wait(STOP_S)
            return
    process.wait()
