"""A folder that mirrors a hub: `<mirror>/<hub id>/...`, for nodes without network and for tests."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.models import headers
from edge2giant.models.headers import Header
from edge2giant.specs.acquire import FetchSpec
from edge2giant.store.selection import Entry, Listing, wanted


class Mirror:
    """Repositories below one folder; symbolic links that lead out of it are refused."""

    name = "mirror"

    def __init__(self, root: Path):
        if not root.is_dir():
            hint = "give `mirror` a folder that holds hub ids, or take it out of config.yaml"
            raise UserError("is not a folder", root, hint)
        self.root = root.resolve()

    def listing(self, piece: FetchSpec, revision: str | None) -> Listing:
        """Files of a repository that are wanted. A mirror knows no commits, so the revision is not used."""
        folder = self._folder(piece.repo)
        every = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if not path.is_dir()}
        sizes = {name: self._inside(every[name]).stat().st_size for name in wanted(piece, every)}
        return Listing(piece.repo, None, {name: Entry(size) for name, size in sizes.items()})

    def tensors(self, listing: Listing, names: Iterable[str]) -> list[Header]:
        """Headers of safetensors files."""
        folder = self._folder(listing.repo)
        return [one for name in names for one in headers.read(self._inside(folder / name))]

    def allowed(self, piece: FetchSpec) -> str | None:
        """Say why a repository cannot be copied, or None."""
        try:
            self._folder(piece.repo)
        except UserError as error:
            return str(error)
        return None

    def fetch(self, piece: FetchSpec, listing: Listing, into: Path) -> None:
        """Copy the files of a listing; contents are copied, never links."""
        folder = self._folder(listing.repo)
        for name in listing.files:
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(self._inside(folder / name), target)
            except OSError as error:
                raise UserError(f"cannot be copied ({error.strerror})", folder / name, "make it readable or free space") from None

    def _folder(self, repo: str) -> Path:
        folder = self.root / repo
        if not folder.resolve().is_relative_to(self.root):
            raise UserError(f"'{repo}' leads out of the mirror", self.root, "copy the material into the mirror")
        if not folder.is_dir():
            raise UserError(f"'{repo}' is not in the mirror", self.root, f"put it at {folder}")
        return folder

    def _inside(self, path: Path) -> Path:
        real = path.resolve()
        if not real.is_relative_to(self.root):
            raise UserError("is a link that leads out of the mirror", path, "copy the file into the mirror")
        if not real.is_file():
            raise UserError("is a link to nothing", path, "copy the file into the mirror")
        return real
