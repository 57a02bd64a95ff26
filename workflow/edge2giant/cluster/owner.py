"""Whose Snakemake works in a folder: a claim written when a run starts, and the processes of this host. Reads /proc (Linux)."""

import os
import socket
from pathlib import Path

from edge2giant import records

CLAIM = ".snakemake/edge2giant-owner.json"


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it is gone. A later process of the same number differs in it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else int(fields[19])


def claim(folder: str | Path = ".") -> None:
    """Say that this process runs Snakemake in `folder`. Called by the workflow when a run starts."""
    record = {"host": socket.gethostname(), "pid": os.getpid(), "started": start_ticks(os.getpid())}
    records.write_json(Path(folder) / CLAIM, record)


def claimant(folder: str | Path) -> dict | None:
    """The claim of the last run in a folder, if it can be read."""
    path = Path(folder) / CLAIM
    return records.read_json(path) if path.exists() else None


def alive(claimed: dict) -> bool | None:
    """Whether a claim's process lives; None if it ran on another host, which cannot be asked from here."""
    if claimed["host"] != socket.gethostname():
        return None
    return claimed["started"] is not None and start_ticks(claimed["pid"]) == claimed["started"]


def processes_in(folder: str | Path) -> dict[int, list[str]]:
    """Command lines of this user's processes on this host that work in `folder`, without this one and its ancestors."""
    folder, found = Path(folder).resolve(), {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cwd").resolve() != folder or entry.stat().st_uid != os.getuid():
                continue
            command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue  # it ended meanwhile, or is another user's
        if command:
            found[int(entry.name)] = command
    for pid in ancestors():
        found.pop(pid, None)
    return found


def ancestors() -> list[int]:
    """This process and those that started it."""
    chain, pid = [], os.getpid()
    while pid > 1:
        chain.append(pid)
        text = Path(f"/proc/{pid}/stat").read_text()
        pid = int(text.rsplit(")", 1)[1].split()[1])
    return chain


def is_snakemake(command: list[str]) -> bool:
    """Whether a command line is a user's Snakemake, not the part of one that runs inside a job."""
    if "--mode" in command and command[command.index("--mode") + 1] in ("remote", "subprocess"):
        return False
    if Path(command[0]).name == "snakemake":
        return True
    called = [Path(word).name for word in command[1:3]]
    return "python" in Path(command[0]).name and (called[:1] == ["snakemake"] or called == ["-m", "snakemake"])


def is_work(command: list[str]) -> bool:
    """Whether a command line is a step of this project."""
    return any(word.startswith("edge2giant.") for word in command)
