"""Make the whole data part of the miniature's store."""

from __future__ import annotations

from pathlib import Path

from . import hub, punkt
from .lock import write_lock


def write(store: Path, seed: int = 0) -> None:
    """Write data sets, calibration sets, MT-Bench and the nltk stand-in, each with its lock.

    Parameters
    ----------
    store
        Folder of the store (``results/store/miniature``); existing data sets of the same ids are replaced.
    seed
        Draws other rows from the same disjoint pools.
    """
    hub.write_store(store, seed)
    write_lock(store / "nltk.lock.json", ["punkt_tab stand-in"], punkt.install(store))
