"""Say what a study will fetch before anything is fetched: repositories, access, bytes, and whether the disk holds them."""

from dataclasses import dataclass
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.specs.acquire import AcquireSpec, FetchSpec
from edge2giant.store import acquire


@dataclass(frozen=True)
class Item:
    """One piece that is not in the store yet, with what its source offers."""

    piece: FetchSpec
    commit: str | None
    bytes: int
    files: int


def pending(spec: AcquireSpec, store_root: Path) -> list[FetchSpec]:
    """What a study needs and the store does not hold."""
    return [one for one in spec.pieces if not (store_root / one.lock).exists()]


def survey(wanted: list[FetchSpec], source_of, pins: Path | None = None) -> tuple[list[Item], list[str]]:
    """Ask the sources for every piece: what is offered, and in words what cannot be fetched (access first)."""
    reasons = {one: source_of(one).allowed(one) for one in wanted}
    refused, items = [reason for reason in reasons.values() if reason], []
    for one in (one for one in wanted if not reasons[one]):
        try:
            listing = source_of(one).listing(one, acquire.agreed_revision(one, pins))
        except UserError as error:
            refused.append(str(error))
        else:
            items.append(Item(one, listing.commit, listing.bytes, len(listing.files)))
    return items, list(dict.fromkeys(refused))


def text(study: str, items: list[Item], store_root: Path) -> str:
    """The survey as lines for a terminal."""
    total = sum(item.bytes for item in items)
    lines = [f"{item.piece.kind:<12}{item.piece.name:<34}{acquire.human(item.bytes):>10}  {item.piece.repo}" for item in items]
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
    materials = [
        {"revision": item.commit, "bytes": item.bytes, "files": item.files}
        | {key: getattr(item.piece, key) for key in ("kind", "name", "repo")}
        for item in items
    ]
    return {"study": study, "bytes": sum(item.bytes for item in items), "materials": materials}
