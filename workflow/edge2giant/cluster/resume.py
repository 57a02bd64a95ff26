"""After Snakemake was killed: make sure that no Snakemake works in the folder, deal with jobs that are left, and remove its lock.

An orphan is a SLURM job of this folder, or a step of this project on this host, whose Snakemake is gone. One that runs is
adopted: waited for, since its outputs count as soon as it ends well (the Snakemake inside a SLURM job takes their mark
'incomplete' away). One that still waits in the queue is cancelled: it has done nothing, and Snakemake would submit it again
beside it.
"""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge2giant.cluster import owner
from edge2giant.errors import UserError

RUNNING = ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STAGE_OUT")
QUERY_SECONDS = 60
WAIT = "wait until SLURM answers; orphans can be found and ended only then"


@dataclass(frozen=True)
class Orphan:
    """A job whose Snakemake is gone."""

    kind: str
    id: str
    running: bool
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.what}, {'running' if self.running else 'waiting'})"


def refuse_if_owned(folder: Path, elsewhere_is_gone: bool = False) -> None:
    """`UserError` if a Snakemake works in `folder`, here or perhaps on another host."""
    at_work = {pid: words for pid, words in owner.processes_in(folder).items() if owner.is_snakemake(words)}
    claimed = owner.claimant(folder)
    lives = owner.alive(claimed) if claimed else False
    if at_work or lives:
        pid = next(iter(at_work), claimed and claimed["pid"])
        raise UserError(f"snakemake (process {pid}) is at work in this folder", folder, "wait for it, or end it by Ctrl-C")
    if lives is None and locked(folder) and not elsewhere_is_gone:
        raise UserError(
            f"snakemake ran as process {claimed['pid']} on {claimed['host']}, which cannot be seen from here", folder,
            "run this there, or add --elsewhere-is-gone when you know that it has ended",
        )  # fmt: skip


def locked(folder: Path) -> bool:
    """Whether Snakemake's lock lies on a folder."""
    return any((folder / ".snakemake/locks").glob("*.lock"))


def _slurm(*command: str) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=QUERY_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]} gave no answer in {QUERY_SECONDS} s", hint=WAIT) from None


def slurm_orphans(folder: Path) -> list[Orphan]:
    """This user's SLURM jobs that Snakemake submitted from `folder`. squeue runs only where a run may have left some."""
    if not owner.submitted_to_slurm(folder):
        return []
    if not shutil.which("squeue"):
        raise UserError("jobs were submitted to SLURM, and squeue is not on this machine", folder, "resume on the login node")
    done = _slurm("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%T|%k|%Z")
    if done.returncode:
        raise UserError(f"squeue failed ({done.stderr.strip()})", hint=WAIT)
    jobs = [line.split("|", 3) for line in done.stdout.splitlines()]
    return [
        Orphan("SLURM job", number, state in RUNNING, comment.removeprefix("rule_"))
        for number, state, comment, where in jobs
        if comment.startswith("rule_") and Path(where).resolve() == folder
    ]


def local_orphans(folder: Path) -> list[Orphan]:
    """Steps of this project that run on this host in `folder`."""
    found = owner.processes_in(folder)
    return [Orphan("process", str(pid), True, " ".join(words[:6])) for pid, words in found.items() if owner.is_work(words)]


def orphans(folder: Path) -> list[Orphan]:
    return [*slurm_orphans(folder), *local_orphans(folder)]


def end(orphan: Orphan) -> None:
    """Cancel a SLURM job or terminate a process."""
    if orphan.kind == "SLURM job":
        _slurm("scancel", orphan.id)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(orphan.id), signal.SIGTERM)


def settle(folder: Path, cancel: bool, say: Callable[[str], None] = print, poll: float = 5) -> None:
    """Cancel the orphans that wait (all of them if `cancel`), then wait until the others have ended."""
    for orphan in orphans(folder):
        if cancel or not orphan.running:
            say(f"cancelling {orphan}")
            end(orphan)
    waited = False
    while left := orphans(folder):
        if not waited:
            say(f"waiting for {', '.join(map(str, left))}; Ctrl-C leaves them running")
            waited = True
        time.sleep(poll)


def unlock(folder: Path) -> bool:
    """Take Snakemake's lock away and say whether there was one. Only after `refuse_if_owned` and `settle`."""
    if not locked(folder):
        return False
    shutil.rmtree(folder / ".snakemake/locks")
    return True


def resume(folder: Path, cancel: bool = False, elsewhere_is_gone: bool = False, say: Callable[[str], None] = print) -> None:
    """All of it, in the order that is safe; `UserError` if a Snakemake may be at work, or SLURM does not answer."""
    folder = folder.resolve()
    refuse_if_owned(folder, elsewhere_is_gone)
    settle(folder, cancel, say)
    refuse_if_owned(folder, elsewhere_is_gone)
    owner.release(folder)
    say("took the lock of a dead snakemake away" if unlock(folder) else "no lock was left behind")
