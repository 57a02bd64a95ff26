"""Say what a study will fetch before anything is fetched: repositories, access, bytes, and whether the disk holds them."""

from dataclasses import dataclass
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.specs.acquire import AcquireSpec, Material
from edge2giant.store import acquire


@dataclass(frozen=True)
class Item:
    """One piece that is not in the store yet, with what its source offers."""

    material: Material
    commit: str | None
    bytes: int
    files: int


def pending(spec: AcquireSpec, store_root: Path) -> list[Material]:
    """What a study needs and the store does not hold."""
    return [one for one in spec.materials if not (store_root / one.lock).exists()]


def survey(wanted: list[Material], source_of, pins: Path | None = None) -> tuple[list[Item], list[str]]:
    """Ask the sources for every piece: what is offered, and in words what cannot be fetched (access first)."""
    refused, items = [], []
    for one in wanted:
        reason = source_of(one).allowed(one.repo_type, one.repo)
        if reason:
            refused.append(reason)
    for one in wanted:
        if any(reason.startswith(f"{one.repo}:") for reason in refused):
            continue
        try:
            listing = source_of(one).listing(one.repo_type, one.repo, pinned_revision(one, pins), one.patterns)
        except UserError as error:
            refused.append(str(error))
        else:
            items.append(Item(one, listing.commit, listing.bytes, len(listing.files)))
    return items, list(dict.fromkeys(refused))


def pinned_revision(one: Material, pins: Path | None) -> str | None:
    """The revision that the committed lock names, else the configuration's."""
    path = pins / one.lock if pins else None
    if path and path.exists():
        fetch = acquire.Fetch(one.repo_type, one.repo, one.revision, path, path, path)
        return acquire.agreed_revision(fetch, records.read_json(path, "lock"))
    return one.revision


def text(study: str, items: list[Item], store_root: Path) -> str:
    """The survey as lines for a terminal."""
    total = sum(item.bytes for item in items)
    lines = [
        f"{item.material.kind:<12}{item.material.name:<34}{acquire.human(item.bytes):>10}  {item.material.repo}" for item in items
    ]
    free = acquire.human(acquire.free_bytes(store_root.absolute()))
    ending = f"study {study}: {len(items)} to fetch, {acquire.human(total)}; free on the disk of {store_root}: {free}"
    return "\n".join([*lines, ending])


def refuse(study: str, refused: list[str], items: list[Item], store_root: Path) -> None:
    """Stop before the first download if something cannot be fetched, or the disk is too small for all of it.

    Raises
    ------
    UserError
        Naming every repository that cannot be fetched.
    """
    if refused:
        what = f"{len(refused)} of its sources cannot be fetched: {' | '.join(refused)}"
        raise UserError(what, f"study {study}", "nothing was fetched")
    acquire.require_space(store_root / "plan.json", sum(item.bytes for item in items))


def record(study: str, items: list[Item]) -> dict:
    """The survey as data."""
    return {
        "study": study,
        "bytes": sum(item.bytes for item in items),
        "materials": [
            {
                "kind": item.material.kind,
                "name": item.material.name,
                "repo": item.material.repo,
                "revision": item.commit,
                "bytes": item.bytes,
                "files": item.files,
            }
            for item in items
        ],
    }
