"""Files of a public git repository over plain HTTPS, at a commit: MT-Bench's data and nltk's tables are on no hub."""

import os
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.specs.acquire import FetchSpec
from edge2giant.store.retries import refusal, retried
from edge2giant.store.selection import Entry, Listing

ADDRESS = "https://raw.githubusercontent.com"
VARIABLE = "EDGE2GIANT_RAW_URL"
TIMEOUT = 60.0


class Web:
    """Raw files at `<address>/<owner>/<name>/<commit>/<path>`; `EDGE2GIANT_RAW_URL` names another address."""

    name = "web"

    def __init__(self):
        self.address = os.environ.get(VARIABLE, ADDRESS).rstrip("/")

    def listing(self, piece: FetchSpec, revision: str | None) -> Listing:
        """The named files with the sizes that the server tells."""
        if not revision:
            raise UserError("needs a commit", piece.repo, "name it in config/benchmarks.yaml")
        sizes = {name: self._size(self._url(piece.repo, revision, name)) for name in piece.patterns}
        return Listing(piece.repo, revision, {name: Entry(size) for name, size in sizes.items()})

    def allowed(self, piece: FetchSpec) -> str | None:
        return None

    def fetch(self, piece: FetchSpec, listing: Listing, into: Path) -> None:
        """Download the files of a listing, each going on where a broken download left off."""
        for name, entry in listing.files.items():
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not (target.is_file() and target.stat().st_size == entry.bytes):
                self._fetch_file(self._url(listing.repo, listing.commit, name), target, entry.bytes)

    def _url(self, repo: str, revision: str, name: str) -> str:
        return f"{self.address}/{repo}/{revision}/{name}"

    def _size(self, url: str) -> int:
        import httpx

        def ask() -> int:
            answer = httpx.head(url, timeout=TIMEOUT, follow_redirects=True, headers={"Accept-Encoding": "identity"})
            answer.raise_for_status()
            return int(answer.headers.get("Content-Length", 0))

        return self._ask(ask, url)

    def _fetch_file(self, url: str, target: Path, size: int) -> None:
        import httpx

        partial = target.with_name(f"{target.name}.incomplete")

        def ask() -> None:
            have = partial.stat().st_size if partial.exists() else 0
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            with httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=True, headers=headers) as answer:
                answer.raise_for_status()
                # a server that ignores the range sends all of it again
                with partial.open("ab" if answer.status_code == 206 else "wb") as stream:
                    for block in answer.iter_bytes():
                        stream.write(block)
            if size and partial.stat().st_size < size:
                raise httpx.ReadError(f"ended after {partial.stat().st_size} of {size} bytes")

        self._ask(ask, url)
        if size and partial.stat().st_size != size:
            partial.unlink()
            raise UserError(f"is not of the {size} bytes announced", url, "run the same command again")
        partial.replace(target)

    def _ask(self, ask, url: str):
        import httpx

        try:
            return retried(ask, url)
        except (httpx.HTTPError, OSError) as error:
            raise refusal(error, url) from None
