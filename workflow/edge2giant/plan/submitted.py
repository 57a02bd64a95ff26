"""The specs that a run planned, so that a job stops when the configuration was edited between its submission and its start.

Snakemake reads the workflow again inside each SLURM job. The process that plans writes the digest of every spec to
`.snakemake/edge2giant/<run>.jsonl` and names the run in the environment, which sbatch hands to the job; the job compares.
"""

import json
import os
import time
import uuid
from pathlib import Path

from edge2giant.errors import UserError

VARIABLE = "EDGE2GIANT_RUN"
FOLDER = Path(".snakemake/edge2giant")
KEEP_SECONDS = 60 * 24 * 3600


def open_ledger(main_process: bool) -> "PlannedSpecs | None":
    """A new ledger in the process that plans; in a job the one of the process that submitted it.

    Raises
    ------
    UserError
        If a job cannot know what was planned.
    """
    if main_process:
        os.environ[VARIABLE] = uuid.uuid4().hex
        return PlannedSpecs(FOLDER / f"{os.environ[VARIABLE]}.jsonl", writes=True)
    run = os.environ.get(VARIABLE)
    if not run:
        raise UserError(f"{VARIABLE} is not set in this job", hint="let sbatch export the environment, as the slurm profile does")
    return PlannedSpecs(FOLDER / f"{run}.jsonl", writes=False)


class PlannedSpecs:
    """Digest of each spec of one run, by the function that builds it and the job's wildcards."""

    def __init__(self, file: Path, writes: bool):
        self.file, self.writes = file, writes
        self._planned: dict[str, str] | None = None

    def enter(self, builder: str, wildcards: dict[str, str], digest: str) -> None:
        """Note a digest; in a job compare it with the one that was planned.

        Raises
        ------
        UserError
            If they differ.
        """
        job = json.dumps([builder, sorted(wildcards.items())])
        if self.writes:
            self._append(job, digest)
        elif self._read().get(job, digest) != digest:
            named = "/".join(wildcards.values())
            raise UserError(
                f"the configuration was changed after this job was submitted ({named})", "config", "run snakemake again"
            )

    def _append(self, job: str, digest: str) -> None:
        if self._planned is None:
            self._planned = {}
            self.file.parent.mkdir(parents=True, exist_ok=True)
            for old in self.file.parent.glob("*.jsonl"):
                if time.time() - old.stat().st_mtime > KEEP_SECONDS:
                    old.unlink(missing_ok=True)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([job, digest]) + "\n")

    def _read(self) -> dict[str, str]:
        if self._planned is None:
            lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
            self._planned = dict(json.loads(line) for line in lines)
        return self._planned
