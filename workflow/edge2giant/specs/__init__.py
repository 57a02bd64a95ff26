"""What a job gets to know: one frozen record, written when Snakemake plans and read when the job runs.

A spec is a frozen dataclass, stored as canonical JSON in `<results>/specs/<sha256>.json`. The job gets path and digest and
reads nothing else of the configuration. This package needs only the standard library, since jobs run in toolkit environments.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TypeVar

from edge2giant import records, typed
from edge2giant.errors import UserError

Spec = TypeVar("Spec")


def text(spec: object) -> str:
    """The one JSON text of a spec: sorted keys, no spaces."""
    return records.canonical(typed.as_json(spec))


def digest(spec: object) -> str:
    """SHA-256 of a spec's text, in hexadecimal."""
    return records.digest(typed.as_json(spec))


def path(folder: str | Path, sha256: str) -> Path:
    """Where a spec lies below the folder of results."""
    return Path(folder) / "specs" / f"{sha256}.json"


def write(spec: object, folder: str | Path) -> str:
    """Write a spec below the folder of results unless it is there, and return its digest.

    Not synchronised with the disk, since a plan writes hundreds: a reader compares the digest.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    content = text(spec)
    found = hashlib.sha256(content.encode()).hexdigest()
    target = path(folder, found)
    if not target.exists():
        partial = target.with_name(f".{found}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(content, encoding="utf-8")
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise UserError(f"cannot be written ({error.strerror})", target, "free space or repair permissions") from error
    return found


def read(file: str | Path, sha256: str, kind: type[Spec]) -> Spec:
    """Read the spec of a job.

    Parameters
    ----------
    file : path
        `<results>/specs/<sha256>.json`.
    sha256 : str
        Digest that was planned.
    kind : type
        Dataclass to return.

    Raises
    ------
    UserError
        If the file is missing, has another digest, or is not a valid `kind`.
    """
    try:
        content = Path(file).read_bytes()
    except FileNotFoundError:
        raise UserError("is missing", file, "run snakemake again: planning writes it") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", file, "repair its permissions") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        hint = "delete it and run snakemake again: planning writes it"
        raise UserError(f"has digest {found[:12]}, this job was planned with {sha256[:12]}", file, hint)
    return typed.build(kind, json.loads(content), str(file))


def read_service(file: str | Path, kind: type[Spec]) -> Spec:
    """Read `<results>/services/<name>.json`, which says how something is reached and has no digest.

    Raises
    ------
    UserError
        If the file cannot be read or is not a valid `kind`.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", file, "run snakemake again: planning writes it") from None
    return typed.build(kind, content, str(file))


def add_arguments(parser) -> None:
    """Add the two options of every job's command line."""
    parser.add_argument("--spec", required=True, type=Path, metavar="FILE", help="results/specs/<digest>.json")
    parser.add_argument("--spec-digest", required=True, metavar="SHA256", help="digest that was planned")


def of_arguments(arguments, kind: type[Spec]) -> Spec:
    """Read the spec that the command line names."""
    return read(arguments.spec, arguments.spec_digest, kind)
