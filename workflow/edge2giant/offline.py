"""No network after acquire: a process that tries to reach a host outside ends with an error that names who tried.

The hook sees Python's own sockets. What engines open in compiled code between their processes and nodes (NCCL, gloo, ZeroMQ)
passes, as do loopback and private addresses. Standard library only.
"""

import ipaddress
import os
import socket
import sys

from edge2giant.errors import UserError

CARRIERS = {
    "_socket", "anyio", "asyncio", "concurrent", "contextlib", "edge2giant.offline", "functools", "http", "httpcore", "httpx",
    "requests", "selectors", "socket", "ssl", "threading", "urllib", "urllib3",
}  # fmt: skip
_guarded = False


def guard() -> None:
    """Refuse, from here on and in this process, every connection to a public address and every look-up of a foreign host name."""
    global _guarded
    if not _guarded:
        sys.addaudithook(_watch)
        _guarded = True


def guard_toolkit() -> None:
    """The same for a process that runs a toolkit; call it before libraries are imported, which read their settings then."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # a grid search of AWQ draws thousands of bars
    guard()


def _watch(event: str, arguments: tuple) -> None:
    if event == "socket.connect":
        _check_connection(*arguments)
    elif event == "socket.getaddrinfo":
        _check_name(arguments[0])


def _check_connection(connection: socket.socket, address: object) -> None:
    # a datagram socket sends nothing when it is connected; that is how programs ask for their own address
    if connection.type == socket.SOCK_DGRAM or not isinstance(address, tuple):
        return
    if is_public(str(address[0])):
        raise refusal(f"{address[0]} port {address[1]}")


def _check_name(host: object) -> None:
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    if name and (is_public(name) or is_foreign(name)):
        raise refusal(name)


def is_public(address: str) -> bool:
    """Whether a text is an address that the whole world can reach."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return False


def is_foreign(name: str) -> bool:
    """Whether a host name has a domain, and not that of this machine."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
        return False
    except ValueError:
        domain = name.rstrip(".").partition(".")[2]
    own = socket.gethostname().partition(".")[2]
    return bool(domain) and domain not in (own, "localdomain", "local", "internal")


def refusal(host: str) -> UserError:
    """The error for an attempt, with the module that made it."""
    hint = "this phase works offline: fetch what it wants with `snakemake acquire`"
    return UserError(f"tried to reach {host}", culprit(), hint)


def culprit() -> str:
    """The innermost module on the stack that is not merely carrying the request."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "?")
        if module not in CARRIERS and module.partition(".")[0] not in CARRIERS:
            return module
        frame = frame.f_back
    return "this program"
