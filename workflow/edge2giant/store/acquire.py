"""Bring one repository into the store: look what is offered, see that the disk holds it, fetch, check, put in place, lock.

A download goes to a hidden folder beside its place and moves there when it is whole, so a broken one is continued and never
used.
"""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge2giant import records, store
from edge2giant.errors import UserError
from edge2giant.store import selection

SPARE = 64 * 2**20


@dataclass(frozen=True)
class Fetch:
    """What to fetch and where to put it.

    Attributes
    ----------
    kind : {"model", "dataset", "web"}
    repo : str
        Hub id, or owner and name of a public git repository.
    revision : str or None
        Commit or branch; None takes the newest and locks it.
    into : path
        Folder that will hold the files.
    lock : path
        Lock to write last; its file names are relative to its folder.
    pin : path or None
        The committed copy of the lock. Where it exists, its revision is fetched and its hashes must come; else it is written.
    patterns : tuple of str
        Files to take, in place of those of the kind.
    """

    kind: str
    repo: str
    revision: str | None
    into: Path
    lock: Path
    pin: Path | None = None
    patterns: tuple[str, ...] = ()


def acquire(fetch: Fetch, source, arrange: Callable[[Path, Path], None] | None = None) -> dict:
    """Fetch one repository and write its lock.

    Parameters
    ----------
    fetch : Fetch
    source : Hub, Mirror or Web
    arrange : callable, optional
        Makes the folder to keep from the folder fetched; without it that is kept as it is.

    Returns
    -------
    dict
        The lock.

    Raises
    ------
    UserError
        If the repository, its revision or access to it is missing, it cannot serve, the disk is too small, or what came is not
        what was locked.
    """
    prefix_of(fetch)
    pin = records.read_json(fetch.pin, "lock") if fetch.pin and fetch.pin.exists() else None
    listing = source.listing(fetch.kind, fetch.repo, agreed_revision(fetch, pin), fetch.patterns)
    partial = fetch.into.with_name(f".{fetch.into.name}.partial")
    require_space(partial, missing_bytes(listing, partial))
    at = f"at {listing.commit[:12]}" if listing.commit else "as mirrored"
    say(f"{fetch.repo} {at}: {len(listing.files)} files, {human(listing.bytes)}")
    partial.mkdir(parents=True, exist_ok=True)
    source.fetch(fetch.kind, listing, partial)
    drop_unlisted(partial, listing)
    if fetch.kind == "model":
        selection.refuse_missing_shards(partial, fetch.repo)
    made = _arranged(partial, arrange)
    checked = {name: entry.sha256 for name, entry in listing.files.items() if entry.sha256 and made == partial}
    lock = describe(made, fetch, listing.commit, pin, source.name, checked)
    place(made, fetch.into)
    if made != partial:
        shutil.rmtree(partial)
    records.write_json(fetch.lock, lock, "lock")
    if fetch.pin and pin is None:
        records.write_json(fetch.pin, lock, "lock")
    return lock


def agreed_revision(fetch: Fetch, pin: dict | None) -> str | None:
    """The revision to fetch: the committed lock's, if there is one, and it must not contradict the config."""
    if pin is None:
        return fetch.revision
    if fetch.revision and _is_commit(fetch.revision) and _is_commit(pin["revision"]) and pin["revision"] != fetch.revision:
        hint = f"delete {fetch.pin} if the config is right, else correct the config"
        raise UserError(
            f"the config wants revision {fetch.revision}, {fetch.pin} locks {pin['revision']}",
            fetch.repo,
            hint,
        )
    return pin["revision"] if _is_commit(pin["revision"]) else fetch.revision


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")


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


def _arranged(partial: Path, arrange: Callable[[Path, Path], None] | None) -> Path:
    if arrange is None:
        return partial
    made = partial.with_suffix(".made")
    shutil.rmtree(made, ignore_errors=True)
    arrange(partial, made)
    return made


def describe(made: Path, fetch: Fetch, commit: str | None, pin: dict | None, source: str, checked: dict[str, str]) -> dict:
    """The lock of a folder that is about to be put in place, compared with the committed one.

    A mirror knows no commit: the committed lock lends its revision when the files are the same, so that a mirror and the hub
    lead to the same results.
    """
    files = [path for path in made.rglob("*") if path.is_file()]
    lock = store.make_lock(made, files, [fetch.repo], source, commit, checked)
    prefix = prefix_of(fetch)
    lock["files"] = {f"{prefix}/{name}": entry for name, entry in lock["files"].items()}
    if pin is not None:
        store.compare(fetch.pin, lock)
        lock["revision"] = pin["revision"]
    return lock


def prefix_of(fetch: Fetch) -> str:
    """The folder of the files, as the lock's file names begin.

    Raises
    ------
    UserError
        If it does not lie below the lock's folder.
    """
    into, folder = fetch.into.absolute(), fetch.lock.parent.absolute()
    if not into.is_relative_to(folder) or into == folder:
        raise UserError(f"does not lie below {fetch.lock.parent}, the lock's folder", fetch.into, "put the lock beside it")
    return into.relative_to(folder).as_posix()


def place(made: Path, into: Path) -> None:
    """Put a finished folder in its place."""
    try:
        if into.exists():
            shutil.rmtree(into)
        made.rename(into)
    except OSError as error:
        raise UserError(f"cannot be put in place ({error.strerror})", into, "give yourself write access to its folder") from None


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def human(size: int) -> str:
    """A number of bytes in the largest decimal unit that leaves at least one."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
