"""Say what a study will fetch before anything is fetched: repositories, access, bytes, and whether the disk holds them."""

from dataclasses import dataclass
from pathlib import Path

from edge2giant import grid, records
from edge2giant.acquisition import needs
from edge2giant.errors import UserError
from edge2giant.store import acquire


@dataclass(frozen=True)
class Item:
    """One piece of material that is not in the store yet, with what its source offers."""

    need: needs.Need
    commit: str | None
    bytes: int
    files: int


def pending(house: grid.House, study: grid.Study, store_root: Path) -> list[needs.Need]:
    """What a study needs and the store does not hold; a study whose material is made here needs nothing."""
    if study.source != "hub":
        return []
    return [need for need in needs.of_study(house, study) if not (store_root / need.lock).exists()]


def survey(wanted: list[needs.Need], source_of, pins: Path | None = None) -> tuple[list[Item], list[str]]:
    """Ask the sources for every piece: what is offered, and in words what cannot be had (access first)."""
    refused, items = [], []
    for need in wanted:
        reason = source_of(need).allowed(need.repo_type, need.repo)
        if reason:
            refused.append(reason)
    for need in wanted:
        if any(reason.startswith(f"{need.repo}:") for reason in refused):
            continue
        try:
            listing = source_of(need).listing(need.repo_type, need.repo, pinned_revision(need, pins), need.patterns)
        except UserError as error:
            refused.append(str(error))
        else:
            items.append(Item(need, listing.commit, listing.bytes, len(listing.files)))
    return items, list(dict.fromkeys(refused))


def pinned_revision(need: needs.Need, pins: Path | None) -> str | None:
    """The revision that the committed lock names, else the config's."""
    path = pins / need.lock if pins else None
    if path and path.exists():
        return acquire.agreed_revision(
            acquire.Order(need.repo_type, need.repo, need.revision, path, path, path),
            records.read_json(path, "lock"),
        )
    return need.revision


def text(study: str, items: list[Item], store_root: Path) -> str:
    """The plan as lines for a terminal."""
    total = sum(item.bytes for item in items)
    lines = [f"{item.need.kind:<12}{item.need.name:<34}{acquire.human(item.bytes):>10}  {item.need.repo}" for item in items]
    free = acquire.human(acquire.free_bytes(store_root.absolute()))
    return "\n".join(
        [
            *lines,
            f"study {study}: {len(items)} to fetch, {acquire.human(total)}; free on the disk of {store_root}: {free}",
        ]
    )


def refuse(study: str, refused: list[str], items: list[Item], store_root: Path) -> None:
    """Stop before the first download if something cannot be had, or the disk is too small for all of it.

    Raises
    ------
    UserError
        Naming every repository that cannot be had.
    """
    if refused:
        raise UserError(
            f"{len(refused)} of its sources cannot be had: {' | '.join(refused)}",
            f"study {study}",
            "nothing was fetched",
        )
    acquire.require_space(store_root / "plan.json", sum(item.bytes for item in items))


def record(study: str, items: list[Item]) -> dict:
    """The plan as data."""
    return {
        "study": study,
        "bytes": sum(item.bytes for item in items),
        "materials": [
            {
                "kind": i.need.kind,
                "name": i.need.name,
                "repo": i.need.repo,
                "revision": i.commit,
                "bytes": i.bytes,
                "files": i.files,
            }
            for i in items
        ],
    }
