"""A folder of this machine that holds one model."""

import hashlib
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.specs.acquire import FetchSpec
from edge2giant.store.mirror import Mirror
from edge2giant.store.selection import Listing, wanted


class LocalModel(Mirror):
    """The files at the top of a folder that a user names; its links are followed. Its revision is a digest of these files."""

    name = "folder"

    def listing(self, piece: FetchSpec, revision: str | None) -> Listing:
        """Files that are wanted, as they are now.

        Raises
        ------
        UserError
            If they are not those of the revision.
        """
        found = self.digest(piece)
        if revision and revision != found:
            raise UserError("has other files than when the model was added", self.root, "add it again: make try MODEL=FOLDER")
        listing = super().listing(piece, None)
        return Listing(listing.repo, found, listing.files)

    def digest(self, piece: FetchSpec) -> str:
        """40 hexadecimal digits of the names and contents of the wanted files."""
        made, folder = hashlib.sha256(), self._folder(piece.repo)
        for name in wanted(piece, [path.name for path in folder.iterdir() if path.is_file()]):
            made.update(f"{name}\0{records.file_sha256(folder / name)}\n".encode())
        return made.hexdigest()[:40]

    def _folder(self, repo: str) -> Path:
        return self.root

    def _inside(self, path: Path) -> Path:
        if not path.resolve().is_file():
            raise UserError("is a link to nothing", path, "put the file there")
        return path.resolve()
