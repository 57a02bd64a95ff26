"""Bring one repository into the store: look what is offered, see that the disk holds it, fetch, check, put in place, lock.

A download goes to a hidden folder beside its place and moves there when it is whole, so a broken one is continued and never
used.
"""

import re
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge2giant import records, store
from edge2giant.errors import UserError
from edge2giant.records.lock import Lock
from edge2giant.specs.acquire import ExpectedModel, FetchSpec
from edge2giant.store import expectations, mt_bench, punkt, selection, texts

SPARE = 64 * 2**20


def acquire(piece: FetchSpec, source, folder: Path, pins: Path | None = None, expected: ExpectedModel | None = None) -> Lock:
    """Fetch one piece into the store and return its lock, which is written.

    Parameters
    ----------
    source : Hub, Mirror or Web
    folder : path
        The store.
    pins : path or None
        The committed locks. That of the piece decides revision and hashes; where there is none, it is written.
    expected : ExpectedModel or None
        What a model is compared with: its config.json before its weights are fetched, then their headers.

    Raises
    ------
    UserError
        If the repository, its revision or access to it is missing, it cannot serve, the disk is too small, or what came is not
        what was locked or expected.
    """
    into = folder / piece.folder
    listing = source.listing(piece, agreed_revision(piece, pins))
    partial = into.with_name(f".{into.name}.partial")
    require_space(partial, missing_bytes(listing, partial))
    at = f"at {listing.commit[:12]}" if listing.commit else "as mirrored"
    print(f"{piece.repo} {at}: {len(listing.files)} files, {human(listing.bytes)}", file=sys.stderr, flush=True)
    partial.mkdir(parents=True, exist_ok=True)
    if expected:
        expectations.require_config(expected, piece, source, listing)
    source.fetch(piece, listing, partial)
    drop_unlisted(partial, listing)
    if piece.kind == "model":
        selection.refuse_missing_shards(partial, piece.repo)
    if expected:
        expectations.require_weights(expected, piece, partial)
    made = arranged(piece, partial)
    checked = {name: entry.sha256 for name, entry in listing.files.items() if entry.sha256 and made == partial}
    lock = describe(made, piece, listing.commit, pins, source.name, checked)
    place(made, into)
    if made != partial:
        shutil.rmtree(partial)
    records.write(folder / piece.lock, lock)
    if pins and not (pins / piece.lock).exists():
        records.write(pins / piece.lock, lock)
    return lock


def committed(piece: FetchSpec, pins: Path | None) -> Lock | None:
    """The committed lock of a piece, if there is one."""
    return records.read(pins / piece.lock, Lock) if pins and (pins / piece.lock).exists() else None


def agreed_revision(piece: FetchSpec, pins: Path | None) -> str | None:
    """The revision to fetch: the committed lock's, if there is one, and it must not contradict the config."""
    pin = committed(piece, pins)
    if pin is None or not _is_commit(pin.revision):
        return piece.revision
    if piece.revision and _is_commit(piece.revision) and piece.revision != pin.revision:
        path = pins / piece.lock
        what = f"the config wants revision {piece.revision}, {path} locks {pin.revision}"
        raise UserError(what, piece.repo, f"delete {path} if the config is right, else correct the config")
    return pin.revision


def _is_commit(revision: str) -> bool:
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


def missing_bytes(listing: selection.Listing, folder: Path) -> int:
    """Bytes of a listing that a folder does not hold yet, by size."""
    return sum(
        entry.bytes
        for name, entry in listing.files.items()
        if not ((folder / name).is_file() and (folder / name).stat().st_size == entry.bytes)
    )


def free_bytes(folder: Path) -> int:
    """Free space of the disk that a folder lies on, or will lie on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(folder: Path, wanted: int) -> None:
    """Refuse a fetch that the disk does not hold, with a little to spare.

    Raises
    ------
    UserError
        Naming both sizes.
    """
    free = free_bytes(folder.absolute())
    if wanted + SPARE > free:
        raise UserError(
            f"needs {human(wanted)}, the disk has {human(free)} free",
            folder.parent,
            "free space, or set `results` to another disk",
        )


def drop_unlisted(folder: Path, listing: selection.Listing) -> None:
    """Delete files that an earlier, other download left behind; only what is listed may be locked."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink() or (path.is_file() and path.relative_to(folder).as_posix() not in listing.files):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def arranged(piece: FetchSpec, fetched: Path) -> Path:
    """The folder to keep: the fetched one, or one that is made from it."""
    makers = {"calibration": partial(texts.arrange, field=piece.field), "mt-bench": mt_bench.arrange, "nltk": punkt.arrange}
    if piece.kind not in makers:
        return fetched
    made = fetched.with_suffix(".made")
    shutil.rmtree(made, ignore_errors=True)
    makers[piece.kind](fetched, made)
    return made


def describe(made: Path, piece: FetchSpec, commit: str | None, pins: Path | None, source: str, checked: dict[str, str]) -> Lock:
    """The lock of a folder that is about to be put in place, compared with the committed one.

    A mirror knows no commit: the committed lock lends its revision when the files are the same, so that a mirror and the hub
    lead to the same results.
    """
    files = [path for path in made.rglob("*") if path.is_file()]
    lock = store.make_lock(made, files, [piece.repo], source, commit, checked)
    prefix = Path(piece.folder).relative_to(Path(piece.lock).parent).as_posix()
    lock = replace(lock, files={f"{prefix}/{name}": entry for name, entry in lock.files.items()})
    if pin := committed(piece, pins):
        store.compare(pins / piece.lock, lock)
        return replace(lock, revision=pin.revision)
    return lock


def place(made: Path, into: Path) -> None:
    """Put a finished folder in its place."""
    try:
        if into.exists():
            shutil.rmtree(into)
        made.rename(into)
    except OSError as error:
        raise UserError(f"cannot be put in place ({error.strerror})", into, "give yourself write access to its folder") from None


def human(size: int) -> str:
    """A number of bytes in the largest decimal unit that leaves at least one."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
