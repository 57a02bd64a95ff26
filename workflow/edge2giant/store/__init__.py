"""The store: models and data sets under the ids that they have on a hub, each with a lock that says what was fetched.

Reads and checks `<name>.lock.json`; the `acquire` phase writes them. This module touches no network. Layout under
`results/store/<source>/`: `models/<model>/`, `datasets/<hub id>/`, `calibration/<name>/`, `nltk/`, each with its lock beside it.
The lock of a benchmark's data has the benchmark's name: `datasets/<benchmark>.lock.json`, of a second data set
`<benchmark>-2.lock.json`. A copy of each lock in `config/lock/<source>/` is what a repository commits: later fetches must bring
the same bytes.
"""

from pathlib import Path, PurePosixPath

from edge2giant import records, typed
from edge2giant.errors import UserError
from edge2giant.records.lock import FileDigest, Lock


def make_lock(
    root: str | Path,
    files: list[Path],
    ids: list[str],
    source: str,
    revision: str | None = None,
    known: dict[str, str] | None = None,
) -> Lock:
    """Describe files below `root`: ids they belong to, where they came from, bytes and SHA-256 of each.

    The revision defaults to the digest of the files, for material without a commit of its own. `known` holds the SHA-256 of files
    that have just been checked, by name, so that hundreds of gigabytes need not be read twice.
    """
    root, known = Path(root), known or {}
    names = {path.relative_to(root).as_posix(): path for path in sorted(files)}
    listing = {name: FileDigest.of(path, known.get(name)) for name, path in names.items()}
    return Lock(tuple(ids), source, revision or records.digest(typed.as_json(listing)), listing)


def check(lock_path: str | Path, root: str | Path, hashes: bool = False) -> Lock:
    """Return a lock whose files are all there with their sizes (and, with `hashes`, their SHA-256).

    Raises
    ------
    UserError
        Naming the first file that is missing or differs.
    """
    lock = records.read(lock_path, Lock)
    hint = f"delete {lock_path} and run the same command again to fetch it anew"
    compare_files(lock.files, Path(root), "is missing from the store", "differs from what was fetched", hint, hashes)
    return lock


def compare_files(files: dict[str, FileDigest], root: Path, missing: str, differs: str, hint: str, hashes: bool) -> None:
    """Hold files below `root` to their recorded sizes and, with `hashes`, to their SHA-256.

    Raises
    ------
    UserError
        Naming the first file that is missing or differs, in the given words.
    """
    for name, expected in files.items():
        path = root / plain_name(name, root)
        if not path.is_file():
            raise UserError(missing, path, hint)
        if path.stat().st_size != expected.bytes or (hashes and records.file_sha256(path) != expected.sha256):
            raise UserError(differs, path, hint)


def plain_name(name: str, where: object) -> str:
    """Return a relative file name that stays below its folder, or refuse it.

    Raises
    ------
    UserError
        If the name is absolute, climbs out by `..` or holds what no file name should.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise UserError(f"names a file outside its folder ({name!r})", where, "do not use this source")
    return name


def differences(expected: Lock, found: Lock) -> list[str]:
    """Say in which files two locks differ, one line each, at most five."""
    before, after = expected.files, found.files
    lines = [f"{name} is new" for name in sorted(after.keys() - before.keys())]
    lines += [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
    lines += [f"{name} differs" for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    return lines if len(lines) <= 5 else [*lines[:5], f"and {len(lines) - 5} more"]


def compare(pin_path: str | Path, lock: Lock) -> None:
    """Compare a lock with the committed one.

    Raises
    ------
    UserError
        If the files are not those that were locked.
    """
    pin = records.read(pin_path, Lock)
    if lines := differences(pin, lock):
        hint = f"fetch again; if the change is wanted, delete {pin_path} and commit the new one"
        raise UserError(f"is not what {pin_path} locks: {', '.join(lines)}", pin.id[0], hint)
