"""Records on disk: JSON of the dataclasses of this package, checked when read and when written, and written whole or not at all.

A record that crosses jobs is a frozen dataclass; its fields are the keys of the file. Standard library only, since toolkit
environments read and write records too.
"""

import contextlib
import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from edge2giant import typed
from edge2giant.errors import UserError

Record = TypeVar("Record")


def canonical(record: object) -> str:
    """Return the one JSON text of a record: sorted keys, no spaces."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(record: object) -> str:
    """SHA-256 of a record's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(record).encode()).hexdigest()


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digest(folder: str | Path, patterns: tuple[str, ...] = ("**/*",)) -> str:
    """SHA-256 over the names and contents of the files of a folder that match the patterns."""
    folder = Path(folder)
    files = sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file()})
    return digest({p.relative_to(folder).as_posix(): file_sha256(p) for p in files})


@contextlib.contextmanager
def atomic(path: str | Path):
    """Open a temporary file beside `path` for text; it takes its place only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise UserError(f"cannot be written ({error.strerror})", path, "free space or repair the permissions") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    with atomic(path) as stream:
        stream.write(text)


def write_csv(path: str | Path, rows: Sequence[dict], columns: Sequence[str] | None = None) -> None:
    """Write rows as CSV atomically; the columns are those of the first row where none are given."""
    with atomic(path) as stream:
        writer = csv.DictWriter(stream, columns or list(rows[0]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: str | Path, hint: str) -> list[dict[str, str]]:
    """Rows of a CSV file.

    Raises
    ------
    UserError
        If it is missing or is not a CSV file of UTF-8 text; with the hint.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            return [{key or "": value or "" for key, value in row.items()} for row in csv.DictReader(stream, strict=True)]
    except FileNotFoundError:
        raise UserError("is missing", path, hint) from None
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"cannot be read as CSV ({error})", path, hint) from None


def write(path: str | Path, record: object) -> None:
    """Write a record, a dataclass, atomically.

    Raises
    ------
    UserError
        If a field holds what it must not (nothing is written), or the disk refuses the file.
    """
    content = typed.as_json(record)
    if wrong := typed.problem(type(record), content):
        raise UserError(f"is not written: {wrong}", path)
    write_json(path, content)


def read(path: str | Path, kind: type[Record]) -> Record:
    """Read a record as the dataclass `kind`.

    Raises
    ------
    UserError
        If the file is missing, is not JSON, or is no valid `kind`.
    """
    return typed.build(kind, read_json(path), path)


def write_json(path: str | Path, content: object) -> None:
    """Write JSON atomically.

    Raises
    ------
    UserError
        If the disk refuses it.
    """
    with atomic(path) as stream:
        json.dump(content, stream, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def _no_number(name: str):
    raise ValueError(f"{name} is not a number that JSON allows")


def read_json(path: str | Path) -> dict:
    """Read JSON.

    Raises
    ------
    UserError
        If the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_number)
    except FileNotFoundError:
        raise UserError("is missing", path, "run `snakemake <this path>` to make it") from None
    except (ValueError, OSError) as error:
        raise UserError(f"cannot be read as JSON ({error})", path, typed.MAKE_AGAIN) from None
