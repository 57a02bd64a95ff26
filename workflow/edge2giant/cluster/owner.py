"""Whose Snakemake works in a folder: a claim written when a run starts, and the processes of this host."""

import os
import socket
from pathlib import Path

import psutil

from edge2giant import records

CLAIM = ".snakemake/edge2giant-owner.json"
SUBMITTED = ".snakemake/edge2giant-submitted-to-slurm"


def started(pid: int) -> float | None:
    """When a process started, in seconds since the epoch; None if it has ended. Tells processes of one number apart."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def claim(executor: str | None, folder: str | Path = ".") -> None:
    """Record that this process runs Snakemake in `folder`, and whether it submits jobs to SLURM. Called when a run starts."""
    record = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}
    records.write_json(Path(folder) / CLAIM, record)
    if executor == "slurm":
        (Path(folder) / SUBMITTED).touch()


def release(folder: str | Path = ".") -> None:
    """Record that no SLURM job of this folder is left. Called when a run has ended well, and after `resume`."""
    (Path(folder) / SUBMITTED).unlink(missing_ok=True)


def submitted_to_slurm(folder: str | Path) -> bool:
    """Whether SLURM jobs of this folder may be left: a run that submitted some has not ended well."""
    return (Path(folder) / SUBMITTED).exists()


def claimant(folder: str | Path) -> dict | None:
    """The claim of the last run in a folder, if it can be read."""
    path = Path(folder) / CLAIM
    return records.read_json(path) if path.exists() else None


def alive(claimed: dict) -> bool | None:
    """Whether a claim's process lives; None if it ran on another host, which cannot be seen from here."""
    if claimed["host"] != socket.gethostname():
        return None
    return claimed["started"] is not None and started(claimed["pid"]) == claimed["started"]


def processes_in(folder: str | Path) -> dict[int, list[str]]:
    """Command lines of this user's processes on this host that work in `folder`, without this one and its ancestors."""
    own = psutil.Process()
    without = {own.pid, *(process.pid for process in own.parents())}
    found = {}
    for process in psutil.process_iter(["cwd", "cmdline", "uids"]):
        info = process.info
        if process.pid in without or not info["cwd"] or not info["cmdline"] or not info["uids"]:
            continue  # it ended meanwhile, or is another user's
        if info["uids"].real == os.getuid() and Path(info["cwd"]) == Path(folder).resolve():
            found[process.pid] = info["cmdline"]
    return found


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
