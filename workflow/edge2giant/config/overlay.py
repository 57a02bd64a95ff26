"""Files of `my/`, which git ignores, over those of the same names in `config/`.

An entry there (a model, a method, a benchmark, a cluster ...) is added, or stands in the place of the one of that name; so does a
study. What the paper prints (`config/published/`) has no files there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge2giant.config import files
from edge2giant.errors import UserError, unknown

BASE, OVERLAY = "config", "my"
STUDIES, LOCKS = "studies", "lock"
DEEPER = ("benchmarks", "calibration", "recipes", "workload")
"""Files whose entries stand below one of a few keys."""


@dataclass(frozen=True)
class OverlaidFile:
    """A file of `config/` with that of `my/` over it.

    Parameters
    ----------
    name : str
        Without the folder and `.yaml`.
    depth : int
        At how many keys an entry stands.
    own : frozenset of tuple
        Keys of the entries that are of `my/`.
    """

    name: str
    content: object
    depth: int = 1
    own: frozenset[tuple[str, ...]] = frozenset()

    def where(self, *place: str | int) -> str:
        """The file that has a place: of `my/` if it has that entry."""
        return path_of(OVERLAY if place[: self.depth] in self.own else BASE, self.name)


def path_of(folder: str, name: str) -> str:
    return f"{folder}/{name}.yaml"


def read(root: Path, name: str) -> OverlaidFile:
    """Read a file of `config/`, and over it that of `my/` if there is one.

    Raises
    ------
    UserError
        If either cannot be read, or the one of `my/` holds no mapping.
    """
    content, depth, above = files.read_yaml(root, path_of(BASE, name)), 2 if name in DEEPER else 1, path_of(OVERLAY, name)
    if not (root / above).is_file():
        return OverlaidFile(name, content, depth)
    mine = files.read_yaml(root, above)
    merged, own = _merged(content, mine, depth, above)
    return OverlaidFile(name, merged, depth, frozenset(own))


def _merged(content: object, mine: object, depth: int, where: str) -> tuple[dict, set[tuple]]:
    if not isinstance(mine, dict):
        raise UserError("should be a mapping", where, f"write entries as in {BASE}/")
    whole = dict(content) if isinstance(content, dict) else {}
    if depth == 1:
        return whole | mine, {(key,) for key in mine}
    own = set()
    for key, entries in mine.items():
        if isinstance(whole.get(key), dict) and isinstance(entries, dict):
            whole[key] = whole[key] | entries
            own |= {(key, name) for name in entries}
        else:
            whole[key] = entries
            own.add((key,))
    return whole, own


def studies(root: Path) -> dict[str, str]:
    """Every study with its file, by name; one of `my/` stands in the place of that of `config/`."""
    found = {}
    for folder in (BASE, OVERLAY):
        for path in (root / folder / STUDIES).glob("*.yaml"):
            found[path.stem] = path.relative_to(root).as_posix()
    return dict(sorted(found.items()))


def check_names(root: Path, known: Mapping[str, object]) -> None:
    """Refuse a YAML file of `my/` that nothing reads.

    Raises
    ------
    UserError
        Naming the first one.
    """
    for path in sorted((root / OVERLAY).rglob("*.yaml")):
        name = path.relative_to(root / OVERLAY).with_suffix("").as_posix()
        if name not in known and path.parent != root / OVERLAY / STUDIES:
            raise unknown("file of my/", f"{name}.yaml", [f"{one}.yaml" for one in [*known, f"{STUDIES}/<name>"]], OVERLAY)
