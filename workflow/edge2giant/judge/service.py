"""Where a judge listens, and with which key: at a given address, or in a server that is started for the time of a run."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

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
        if key := _first_line(path):
            return key
        raise UserError("holds no key on its first line", file, "write the key there")
    if variable and (key := os.environ.get(variable, "").strip()):
        return key
    if not file and not variable:
        return "no-key-needed"
    places = [place for place in (file, variable and f"${variable}") if place]
    raise UserError(f"no API key in {' or '.join(places)}", f"judge {service.judge}", "put it there")


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({type(error).__name__})", path, "repair its permissions") from None
    return lines[0].strip() if lines else ""


@contextmanager
def address(service: JudgeService, model: str):
    """Yield the judge's base URL; the server that its `serve` command starts ends with the block."""
    if service.base_url != "auto":
        yield service.base_url
        return
    port = _free_port()
    command = [_filled(part, {"{model}": model, "{port}": str(port), "{python}": sys.executable}) for part in service.serve]
    print(f"judge {service.judge}: starting {command[0]} on port {port}", file=sys.stderr, flush=True)
    try:
        process = subprocess.Popen(
            command,
            stdout=2,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    except OSError as error:
        hint = "run it in the engine's environment"
        raise UserError(f"cannot be started ({error.strerror})", command[0], hint) from None
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _await_ready(process, url, service)
        yield url
    finally:
        _end(process)


def _filled(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text


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
    # no proxy of the environment stands between this process and its own child
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @tenacity.retry(
        stop=tenacity.stop_after_delay(service.ready_timeout_s),
        wait=tenacity.wait_fixed(0.2),
        retry=tenacity.retry_if_exception_type(OSError),
    )
    def list_models() -> None:
        if process.poll() is not None:
            raise UserError(f"ended with code {process.returncode} before it was ready", service.serve[0], "see its output")
        opener.open(f"{url}/models", timeout=5).close()

    try:
        list_models()
    except tenacity.RetryError:
        what = f"was not ready after {service.ready_timeout_s:g} s"
        raise UserError(what, service.serve[0], "raise ready_timeout_s") from None


def _end(process: subprocess.Popen) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_S)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
