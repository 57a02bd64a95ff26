"""Calibration text: the rows of a split, in order, as `text.jsonl`: `{"text": ...}` or `{"messages": [...]}` a line."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

from edge2giant.errors import UserError

NAME = "text.jsonl"
FORMS = (".parquet", ".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz", ".jsonl.zst")


def patterns(config: str | None, split: str) -> tuple[str, ...]:
    """Names under which hub repositories keep the files of a split."""
    folders = ([f"{config}/"] if config else []) + ["data/", ""]
    return tuple(f"{folder}{split}{end}" for folder in folders for end in [*FORMS, *(f"[-_]*{form}" for form in FORMS)])


def arrange(raw: Path, into: Path, field: str) -> None:
    """Write `text.jsonl` in `into` from the data files below `raw`, in the order of their names.

    Raises
    ------
    UserError
        If no row holds the field, or a file cannot be read.
    """
    into.mkdir(parents=True, exist_ok=True)
    key = "messages" if field == "messages" else "text"
    count = 0
    with (into / NAME).open("w", encoding="utf-8") as stream:
        for path in sorted(p for p in raw.rglob("*") if p.is_file() and p.name.endswith(FORMS)):
            for row in rows(path):
                if field not in row:
                    raise UserError(
                        f"has no field '{field}', only {', '.join(sorted(row))}",
                        path.name,
                        "correct config/calibration.yaml",
                    )
                # escaped, since readers that split at every Unicode line end would cut a text in two
                stream.write(json.dumps({key: row[field]}) + "\n")
                count += 1
    if not count:
        raise UserError("has no row", raw, "correct `split` or `files` in config/calibration.yaml")


def rows(path: Path) -> Iterator[dict]:
    """Rows of a Parquet, JSON-lines (plain, gzip, zstd) or CSV file.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    try:
        if path.name.endswith(".parquet"):
            yield from _parquet(path)
        elif path.name.endswith(".csv"):
            with path.open(encoding="utf-8", newline="") as stream:
                yield from csv.DictReader(stream)
        else:
            with _text(path) as stream:
                yield from (json.loads(line) for line in stream if line.strip())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", path, "delete it and run the same command again") from None


def _parquet(path: Path) -> Iterator[dict]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as table:
        for batch in table.iter_batches():
            yield from batch.to_pylist()


def _text(path: Path) -> io.TextIOBase:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    if path.name.endswith(".zst"):
        import pyarrow

        return io.TextIOWrapper(io.BufferedReader(pyarrow.CompressedInputStream(str(path), "zstd")), encoding="utf-8")
    return path.open(encoding="utf-8")
