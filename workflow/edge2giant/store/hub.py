"""The Hugging Face hub through its own client: what a repository holds, who may read it, and its files, checked.

The client checks sizes alone. Here each file's content is compared with the hash that the hub announces for it: SHA-256 for large
files, git's object id for the others.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.specs.acquire import FetchSpec
from edge2giant.store.retries import retried
from edge2giant.store.selection import Entry, Listing, wanted

TIMEOUT = 30.0
COPY_BLOCK = 1 << 20


class Hub:
    """A hub at an address (`HF_ENDPOINT`, else the public one), read with a token or anonymously.

    Parameters
    ----------
    token : str or None
        Access token. Tokens that the environment or a login of the user would offer are not used.
    """

    name = "hub"

    def __init__(self, token: str | None = None):
        # read by the client when it is imported
        os.environ.pop("HF_HUB_OFFLINE", None)
        os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_IMPLICIT_TOKEN="1")
        self.endpoint = os.environ.get("HF_ENDPOINT") or None
        self.token = token or False

    def _api(self):
        from huggingface_hub import HfApi

        return HfApi(token=self.token, endpoint=self.endpoint)

    def listing(self, piece: FetchSpec, revision: str | None) -> Listing:
        """Files of a repository that are wanted, at the commit that the revision (default: the newest) stands for.

        Raises
        ------
        UserError
            If the repository or revision does not exist, or its files cannot serve.
        """
        info = self._ask(
            piece.repo,
            lambda: self._api().repo_info(
                piece.repo, repo_type=piece.repo_type, revision=revision, files_metadata=True, timeout=TIMEOUT
            ),
            revision,
        )
        every = {file.rfilename: file for file in info.siblings or []}
        return Listing(piece.repo, info.sha, {name: _entry(every[name]) for name in wanted(piece, every)})

    def allowed(self, piece: FetchSpec) -> str | None:
        """Say why a repository's files cannot be fetched with this token, or None."""
        try:
            self._ask(piece.repo, lambda: self._api().auth_check(piece.repo, repo_type=piece.repo_type))
        except UserError as error:
            return str(error)
        return None

    def fetch(self, piece: FetchSpec, listing: Listing, into: Path) -> None:
        """Download the files of a listing into a folder; files that are there and whole stay.

        Raises
        ------
        UserError
            If the hub does not give a file, or gives other bytes than it announced.
        """
        from huggingface_hub import snapshot_download

        discard_wrong(listing, into)
        names = [_literal(name) for name in listing.files]
        self._ask(
            listing.repo,
            lambda: snapshot_download(
                listing.repo, repo_type=piece.repo_type, revision=listing.commit, local_dir=into, allow_patterns=names,
                token=self.token, endpoint=self.endpoint, max_workers=4,
            ),
        )  # fmt: skip
        wrong = discard_wrong(listing, into)
        if wrong:
            what = f"came with other bytes than the hub announces: {', '.join(wrong[:3])}"
            raise UserError(what, listing.repo, "run the same command again; the rest is kept")
        shutil.rmtree(into / ".cache", ignore_errors=True)

    def _ask(self, repo: str, ask: Callable, revision: str | None = None):
        import httpx
        from huggingface_hub import errors

        try:
            return retried(ask, repo)
        except errors.GatedRepoError:
            page = f"{self.endpoint or 'https://huggingface.co'}/{repo}"
            hint = f"accept its terms at {page} and name a `token_file` in config/config.yaml"
            raise UserError("is gated, and this token has no access", repo, hint) from None
        except errors.RevisionNotFoundError:
            raise UserError(
                f"has no revision {revision or '(as locked)'}",
                repo,
                "name one that exists, or null for the newest",
            ) from None
        except errors.RepositoryNotFoundError:
            raise UserError("is not on the hub, or private", repo, "check its id; a private one needs a `token_file`") from None
        except errors.HFValidationError as error:
            raise UserError(f"is not a valid hub id ({error})", repo, "write OWNER/NAME") from None
        except errors.HfHubHTTPError as error:
            raise UserError(*_refusal(error.response.status_code, repo)) from None
        except (httpx.HTTPError, OSError) as error:
            raise UserError(f"could not be fetched ({_first_line(error)})", repo, "run the same command again to go on") from None


def _refusal(status: int, repo: str) -> tuple[str, str, str]:
    if status in (401, 403):
        return "the hub refuses this token", repo, "put a valid one into the `token_file`"
    if status == 429:
        return (
            "the hub limits the number of requests (HTTP 429)",
            repo,
            "wait some minutes, then run the same command again to go on",
        )
    return f"the hub answers HTTP {status}", repo, "run the same command again to go on"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _entry(file) -> Entry:
    large = file.lfs
    return Entry(file.size or 0, large.sha256 if large else None, None if large else file.blob_id)


def _literal(name: str) -> str:
    """A pattern that matches one name alone."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def discard_wrong(listing: Listing, folder: Path) -> list[str]:
    """Delete the files of a listing that are there with other bytes than announced; return their names."""
    wrong = [name for name, entry in listing.files.items() if (folder / name).is_file() and not matches(folder / name, entry)]
    for name in wrong:
        (folder / name).unlink()
        (folder / ".cache/huggingface/download" / f"{name}.metadata").unlink(missing_ok=True)
    return wrong


def matches(path: Path, entry: Entry) -> bool:
    """Whether a file has the size and the hash that were announced for it."""
    if path.stat().st_size != entry.bytes:
        return False
    if entry.sha256:
        return records.file_sha256(path) == entry.sha256
    return not entry.blob or git_blob(path) == entry.blob


def git_blob(path: Path) -> str:
    """Git's object id of a file's content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(COPY_BLOCK):
            digest.update(block)
    return digest.hexdigest()
