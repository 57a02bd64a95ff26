"""Files of one JSON object a line: read with file and line for error messages, written whole or not at all."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge2giant import records, typed
from edge2giant.errors import UserError


def read(path: str | Path, kind: type | None = None, hint: str = "delete it and make it again") -> Iterator[dict]:
    """Yield the rows of a JSONL file; blank lines are skipped.

    Parameters
    ----------
    path : str or Path
        The file, UTF-8.
    kind : dataclass, optional
        What each row must be.
    hint : str
        What a user can do about a bad file; part of the error.

    Raises
    ------
    UserError
        If the file cannot be read, or a line is not a JSON object or does not fit.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("is missing", path, hint) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", path, hint) from None
    # not splitlines(): model output may hold U+2028 and its like inside a JSON string
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield parse(line, f"{path}:{number}", kind, hint)


def parse(line: str, place: str, kind: type | None = None, hint: str | None = None) -> dict:
    """Return the object of one line; a `UserError` names the place."""
    try:
        row = json.loads(line)
        if "\\ud" in line.lower():
            # half of a surrogate pair, as cut-off text may hold, could not be written as UTF-8 again
            row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
    except ValueError as error:
        raise UserError(f"is not JSON ({error})", place, hint) from None
    if not isinstance(row, dict):
        raise UserError("is not a JSON object", place, hint)
    if kind:
        typed.build(kind, row, place, hint)
    return row


def line(row: dict) -> str:
    """Return a row's one line, keys sorted, with its newline."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write(path: str | Path, rows: Iterable[dict], kind: type | None = None) -> None:
    """Write rows atomically; a row that is no valid `kind` stops all of them with a `UserError`."""
    rows = list(rows)
    for number, row in enumerate(rows, 1):
        if kind and (wrong := typed.problem(kind, row)):
            raise UserError(f"is not written: row {number} is {wrong}", path)
    with records.atomic(path) as stream:
        stream.writelines(map(line, rows))


def texts_in(value: object) -> Iterator[str]:
    """Every text in nested lists and mappings, without keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner)
