"""Why a job failed: one record for each variant and phase, kept outside Snakemake's outputs, removed once the job succeeds."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edge2giant import provenance, records
from edge2giant.errors import UserError
from edge2giant.records.failure import Failure
from edge2giant.specs.variant import Variant


def path(folder: str | Path, study: str, variant: Variant, phase: str) -> Path:
    """Where the record of a failure lies below `results/failures`."""
    return Path(folder) / study / variant.path / f"{phase}.json"


def of_checkpoint(digest: str) -> str:
    """What stands in place of the study for the making of a checkpoint, which several studies may share."""
    return f"checkpoints/{digest}"


@contextlib.contextmanager
def recorded(folder: str | Path, study: str, variant: Variant, phase: str) -> Iterator[None]:
    """Write a failure record if the block raises, remove an older one if it succeeds."""
    target = path(folder, study, variant, phase)
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        told = " ".join(reason.split())[:2000] or type(error).__name__
        with contextlib.suppress(UserError):
            log = os.environ.get("EDGE2GIANT_LOG")
            records.write(target, Failure.of(study, variant, phase, told, log, provenance.now()))
        raise
    target.unlink(missing_ok=True)
