"""Where a judge listens: at a given address, or in a server that is started for the time of a run."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

from edge2giant.errors import UserError
from edge2giant.judge.config import Judge

STOP_S = 30.0


@contextmanager
def address(judge: Judge, base_url: str | None = None, model_path: str | None = None):
    """Yield the judge's base URL; what has to run for it runs inside the block and ends with it.

    Parameters
    ----------
    judge : Judge
        With `base_url: auto` its `serve` command is started on a free loopback port and waited for until it lists its models.
    base_url : str, optional
        An address that goes before the entry's; nothing is started.
    model_path : str, optional
        What `{model}` in the `serve` command stands for (else the entry's model).
    """
    chosen = base_url or judge.base_url
    if chosen != "auto":
        yield chosen
    else:
        with _started(judge, model_path or judge.model) as url:
            yield url


@contextmanager
def _started(judge: Judge, model_path: str):
    port = _free_port()
    command = [part.format(model=model_path, name=judge.model, port=port, python=sys.executable) for part in judge.serve]
    print(f"judge {judge.name}: starting {command[0]} on port {port}", file=sys.stderr, flush=True)
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
        _await_ready(process, url, judge)
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


def _await_ready(process: subprocess.Popen, url: str, judge: Judge) -> None:
    until = time.monotonic() + judge.ready_timeout_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise UserError(f"ended with code {process.returncode} before it was ready", judge.serve[0], "see its output")
        try:
            # no proxy of the environment stands between this process and its own child
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"{url}/models", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    what = f"was not ready after {judge.ready_timeout_s:g} s"
    raise UserError(what, judge.serve[0], "raise ready_timeout_s")


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
