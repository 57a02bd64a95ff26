"""JSON records on disk: checked against their schema, and written whole or not at all."""

import contextlib
import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edge2giant.errors import UserError

if TYPE_CHECKING:
    import jsonschema

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"


@cache
def validator(schema: str) -> "jsonschema.Draft202012Validator":
    """Return the validator of `workflow/schemas/<schema>.schema.json`."""
    import jsonschema

    document = json.loads((SCHEMAS / f"{schema}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(document)


def problem(record: object, schema: str) -> str | None:
    """The most relevant problem of a record in one line, or None when it fits its schema."""
    from jsonschema.exceptions import best_match

    error = best_match(validator(schema).iter_errors(record))
    if error is None:
        return None
    place = ".".join(str(part) for part in error.absolute_path)
    return f"{place or 'top level'}: {error.message[:300]}{_hint(error)}"


def _hint(error: "jsonschema.ValidationError") -> str:
    """What would be right, where the schema can say it: the keys that are known, or the words that describe a value."""
    if error.validator == "additionalProperties" and "properties" in error.schema:
        return f", known are: {', '.join(error.schema['properties'])}"
    described = error.validator in ("type", "pattern", "enum", "const", "not") and error.schema.get("description")
    return f" ({described})" if described else ""


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


def write_json(path: str | Path, record: object, schema: str | None = None) -> None:
    """Write a record atomically.

    Raises
    ------
    UserError
        If the record does not fit its schema (nothing is written) or the disk refuses it.
    """
    if schema and (wrong := problem(record, schema)):
        raise UserError(f"is not written: the record does not fit schema {schema}: {wrong}", path)
    with atomic(path) as stream:
        json.dump(record, stream, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def _no_number(name: str):
    raise ValueError(f"{name} is not a number that JSON allows")


def read_json(path: str | Path, schema: str | None = None) -> dict:
    """Read a record.

    Raises
    ------
    UserError
        If the file is missing, is not JSON, or does not fit its schema.
    """
    hint = "delete it and run the same command again to make it"
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_number)
    except FileNotFoundError:
        raise UserError("is missing", path, "run `snakemake <this path>` to make it") from None
    except (ValueError, OSError) as error:
        raise UserError(f"cannot be read as JSON ({error})", path, hint) from None
    if schema and (wrong := problem(record, schema)):
        raise UserError(f"does not fit schema {schema}: {wrong}", path, hint)
    return record
