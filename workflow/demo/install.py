"""Copy shipped weights into a store, after checking every file against its recorded digest."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from edge2giant.errors import UserError

from .lock import write_lock

SHIPPED = Path(__file__).with_name("models")


def run(model: str, store: Path, shipped: Path | None = None) -> Path:
    """Copy ``model`` to ``store/models/<model>`` and write ``<model>.lock.json`` beside it.

    Parameters
    ----------
    shipped
        Folder that holds one folder per shipped model; None takes ``workflow/demo/models``.

    Returns
    -------
    Path
        The installed folder.

    Raises
    ------
    UserError
        When the model is not shipped, a file is missing, or one differs from its digest in ``trained.json``.
    """
    source = (shipped or SHIPPED) / model
    expected = _digests(source)
    for name, digest in expected.items():
        _check(source / name, digest)
    target = store / "models" / model
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in (*expected, "trained.json"):
        shutil.copyfile(source / name, target / name)
    write_lock(target.parent / f"{model}.lock.json", [model], target.iterdir())
    return target


def _digests(source: Path) -> dict[str, str]:
    record = source / "trained.json"
    hint = f"train it: python -m demo train --model {source.name} --out {source}"
    if not record.is_file():
        raise UserError("no shipped weights", record, hint)
    try:
        return json.loads(record.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError) as error:
        raise UserError("not a training record", record, hint) from error


def _check(path: Path, digest: str) -> None:
    hint = "restore the file from the repository, or train the model again"
    if not path.is_file():
        raise UserError("shipped file is missing", path, hint)
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise UserError("differs from the digest in trained.json", path, hint)
