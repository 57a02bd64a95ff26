"""Outputs that a job left behind as finished and that are not whole: cut short by a full disk or a failing file system.

Snakemake sees that a file is there, not that it can be read. What cannot be read is taken away, so that the same command makes it
again. What it was made from (cached answers, checkpoints) is checked by hash or size where it is read, and stays.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


def readable(path: Path) -> bool:
    """Whether a JSON or JSON Lines file ends where it should."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            json.loads(text)
            return True
        for line in text.splitlines():
            json.loads(line)
        return text.endswith("\n")
    except (OSError, ValueError):
        return False


def whole(checkpoint: Path) -> bool:
    """Whether a checkpoint's weights have the size that its record states."""
    record = checkpoint / "checkpoint.json"
    if not readable(record):
        return False
    stated = json.loads(record.read_text(encoding="utf-8"))["size"]["weights_bytes"]
    return stated == sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))


def outputs(results: Path, study: str) -> Iterator[Path]:
    """The JSON outputs of a study's jobs."""
    for folder in ("evaluations", "answers", "judgments", "cells"):
        for suffix in ("json", "jsonl"):
            yield from sorted((results / study / folder).glob(f"**/*.{suffix}"))


def sweep(files: Iterable[Path], checkpoints: Iterable[Path] = ()) -> list[Path]:
    """Take away what is not whole and return its paths."""
    taken = []
    for path in files:
        if not readable(path):
            path.unlink(missing_ok=True)
            taken.append(path)
    for path in checkpoints:
        if not whole(path):
            shutil.rmtree(path)
            taken.append(path)
    return taken


def sweep_results(results: Path, study: str) -> list[Path]:
    """`sweep` over a study's outputs and all checkpoints."""
    found = sorted((results / "checkpoints").glob("*/*/*/*"))
    # A hidden folder is one that a quantizer still works in.
    return sweep(outputs(results, study), [path for path in found if path.is_dir() and not path.name.startswith(".")])
