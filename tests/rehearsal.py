"""A private SLURM for tests, and runs of Snakemake on it that a test can disturb."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge2giant.cluster import owner

HERE = Path(__file__).resolve().parent / "slurm"
ROOT = HERE.parent.parent
DAEMONS = ("slurmctld", "slurmd", "munged", "sbatch")


def missing() -> str | None:
    """Why this machine cannot play the cluster, or None."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    lacking = [name for name in DAEMONS if not shutil.which(name, path=path)]
    if lacking:
        return f"{', '.join(lacking)} not installed (apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "a private SLURM with four servers on one machine needs root"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1] // 20 * 20


@contextlib.contextmanager
def cluster(folder: Path, clusters: Path | None = None) -> Iterator["Cluster"]:
    """A running cluster: that of `SLURM_REHEARSAL` if it is up, else one of its own in `folder`.

    With `clusters`, always one of its own: the entry `rehearsal` of that file.
    """
    given = os.environ.get("SLURM_REHEARSAL")
    if given and not clusters and (Path(given) / "env.sh").exists():
        yield Cluster(Path(given))
        return
    environment = os.environ | {"PYTHON": sys.executable, "SLURM_PORT": str(free_port())}
    environment |= {"REHEARSED_CLUSTERS": str(clusters)} if clusters else {}
    try:
        subprocess.run(["bash", HERE / "start.sh", folder], check=True, env=environment, timeout=120)
        yield Cluster(folder)
    finally:
        subprocess.run(["bash", HERE / "stop.sh", folder], check=False, timeout=120)


class Cluster:
    """The cluster's commands."""

    def __init__(self, folder: Path):
        self.folder, self.errors = folder, []
        binaries = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "CUDA"))}
        secrets = ("TOKEN", "API_KEY", "APIKEY", "SECRET", "PASSWORD")
        kept = {k: v for k, v in kept.items() if not k.endswith(secrets)}
        self.environment = kept | {
            "PATH": binaries, "SLURM_CONF": f"{folder}/slurm.conf", "EDGE2GIANT_SLURM_POLL": "2",
            "PYTHONPATH": str(ROOT / "workflow"),
        }  # fmt: skip

    def __call__(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        self.errors.append(done.stderr)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def jobs(self, folder: Path, states: str = "PENDING,RUNNING,COMPLETING") -> dict[str, str]:
        """Job id -> state of the jobs of a folder."""
        shown = self("squeue", "--noheader", f"--states={states}", "--format=%i|%T|%Z")
        found = [line.split("|") for line in shown.splitlines()]
        return {number: state for number, state, where in found if Path(where).resolve() == folder.resolve()}

    def node_of(self, job: str) -> str:
        return self("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()

    def state(self, node: str) -> str:
        return self("sinfo", "--noheader", f"--nodes={node}", "--partition=anywhere", "--format=%T").strip()


class Toy:
    """A folder in which the toy workflow runs."""

    def __init__(self, on: Cluster, folder: Path):
        self.on, self.folder, self.faults = on, folder, folder / "faults"
        self.faults.mkdir(parents=True)
        self.running: list[subprocess.Popen] = []

    def start(self, *more: str, name: str = "run") -> subprocess.Popen:
        """Start `snakemake --profile slurm all`."""
        command = [
            "snakemake",
            "--snakefile",
            str(HERE / "toy/Snakefile"),
            "--profile",
            str(ROOT / "profiles/slurm"),
            *more,
            "--",
            "all",
        ]
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.on.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip
        self.running.append(process)
        return process

    def run(self, *more: str, seconds: float = 300) -> int:
        return self.start(*more).wait(seconds)

    def log(self, name: str = "run") -> str:
        return (self.folder / f"{name}.log").read_text()

    def lay(self, kind: str, row: str, text: str = "x") -> Path:
        """Lay a fault out for the evaluation of a row."""
        path = self.faults / f"{kind}-evaluate-{row}"
        path.write_text(text)
        return path

    def begun(self, row: str, times: int = 1) -> int:
        """Wait until a row's evaluation has begun for the n-th time and return the step's pid."""
        path = self.faults / f"began-evaluate-{row}"
        wait_for(lambda: path.exists() and len(path.read_text().split()) >= times, f"{row} to begin")
        return int(path.read_text().split()[times - 1])

    def cells(self) -> dict[str, dict]:
        return {path.stem: json.loads(path.read_text()) for path in sorted((self.folder / "results/cells").glob("*.json"))}

    def starts(self, row: str) -> int:
        """How often a row's evaluation worked (not: read cached answers)."""
        path = self.faults / f"began-evaluate-{row}"
        return len(path.read_text().split()) if path.exists() else 0

    def end(self) -> None:
        """End what a failed test left: its Snakemakes by pid, then its jobs."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
        for job in self.on.jobs(self.folder):
            self.on("scancel", job, check=False)
        # SLURM follows no process of a job whose node was said to be down.
        for pid in owner.processes_in(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def wait_for(true: Callable[[], object], what: str, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)
