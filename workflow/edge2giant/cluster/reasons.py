"""Why cells are missing: failure records of the phases; for jobs that could write none, the logs of SLURM and of the steps."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edge2giant import errors, failures, records
from edge2giant.errors import UserError
from edge2giant.records.failure import Failure
from edge2giant.specs.variant import Variant

LOG_TAIL = 20_000
# What slurmstepd and slurmctld write into a job's log, and how that reads in a table.
SLURM_SAYS = (
    (re.compile(r"DUE TO TIME LIMIT"), "time limit reached"),
    (re.compile(r"exceeded (?:job )?memory limit|oom[-_ ]kill|Out Of Memory", re.IGNORECASE), "out of memory"),
    (re.compile(r"DUE TO NODE FAILURE"), "node failed"),
    (re.compile(r"CANCELLED AT"), "job cancelled"),
)
STEP_SAYS = re.compile(r"^(?:error: .+|\w*(?:Error|Exception|Interrupt)\b.*|Killed.*)$", re.MULTILINE)


def tail(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - LOG_TAIL))
        return stream.read().decode(errors="replace")


def slurm_reason(text: str) -> str | None:
    """What SLURM did to a job, from the job's log."""
    return next((says for pattern, says in SLURM_SAYS if pattern.search(text)), None)


def step_reason(text: str) -> str | None:
    """The last line of a step's log that names an error."""
    found = STEP_SAYS.findall(text)
    return found[-1].removeprefix("error: ")[:500] if found else None


@dataclass(frozen=True)
class Tried:
    """A variant of a study, with the digest in its checkpoint's path: the making of another recipe's is not its failure."""

    study: str
    variant: Variant
    digest: str


def step_logs(logs: Path, tried: Tried) -> Iterator[tuple[str, Path]]:
    """(phase, log) of a variant's steps."""
    paths = [("quantize", logs / "quantize" / tried.variant.path / f"{tried.digest}.log")]
    for phase in ("evaluate", "answers", "judge", "cells"):
        folder = logs / tried.study / phase
        paths += [(phase, path) for path in [folder / f"{tried.variant.path}.log", *(folder / tried.variant.path).glob("*.log")]]
    yield from ((phase, path) for phase, path in paths if path.is_file())


def slurm_logs(logs: Path, tried: Tried) -> Iterator[tuple[str, Path]]:
    """(phase, log) of a variant's SLURM jobs, in the folders that the executor names after rule and wildcards."""
    joined = "_".join((tried.variant.model, tried.variant.method, tried.variant.bits))
    for phase, folder in [("quantize", f"{joined}_{tried.digest}"), ("evaluate", f"{tried.study}_{joined}_*")]:
        for path in logs.glob(f"slurm/rule_{phase}/{folder}/*.log"):
            yield phase, path


def traces(results: Path, logs: Path, tried: Tried) -> Iterator[tuple[float, Failure]]:
    """(time, record) of each failure of a variant: records that its phases left, and reasons in logs.

    Steps that ended well leave no such line, but a success may have followed a failure: use it for variants with missing cells.
    """
    for of in (tried.study, failures.of_checkpoint(tried.digest)):
        for path in (results / "failures" / of / tried.variant.path).glob("*.json"):
            with contextlib.suppress(UserError):  # a record cut short by a full disk says nothing that the log does not
                record = replace(records.read(path, Failure), study=tried.study)
                # The log of the same failure ends up to a second later.
                yield datetime.fromisoformat(record.time).timestamp() + 1, record
    for read, listed in [(step_reason, step_logs), (slurm_reason, slurm_logs)]:
        for phase, path in listed(logs, tried):
            if reason := read(tail(path)):
                ended = path.stat().st_mtime
                time = datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds")
                yield ended, Failure.of(tried.study, tried.variant, phase, errors.one_line(reason), path.as_posix(), time)


def failure(results: Path, logs: Path, tried: Tried) -> Failure | None:
    """The newest reason why a variant with missing cells failed; None when there is no trace that it was tried."""
    return max(traces(results, logs, tried), key=lambda trace: trace[0], default=(0, None))[1]
