"""The Hugging Face hub through its own client: what a repository holds, who may read it, and its files, checked.

The client checks sizes alone. Here each file's content is compared with the hash that the hub announces for it: SHA-256 for large
files, git's object id for the others.
"""

import glob
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.models.headers import Header
from edge2giant.specs.acquire import FetchSpec
from edge2giant.store.retries import refusal, retried
from edge2giant.store.selection import Entry, Listing, wanted

TIMEOUT = 30.0


class Hub:
    """A hub, read with a token or anonymously.

    Parameters
    ----------
    token : str or None
        Access token. Tokens that the environment or a login of the user would offer are not used.
    endpoint : str or None
        Its address; `HF_ENDPOINT` if left out, else the public hub.
    """

    name = "hub"

    def __init__(self, token: str | None = None, endpoint: str | None = None):
        # read by the client when it is imported
        os.environ.pop("HF_HUB_OFFLINE", None)
        os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_IMPLICIT_TOKEN="1")
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
        self.api = HfApi(token=token or False, endpoint=endpoint or os.environ.get("HF_ENDPOINT") or None)

    def listing(self, piece: FetchSpec, revision: str | None) -> Listing:
        """Files of a repository that are wanted, at the commit that the revision (default: the newest) stands for.

        Raises
        ------
        UserError
            If the repository or revision does not exist, or its files cannot serve.
        """
        info = self._ask(
            piece.repo,
            lambda: self.api.repo_info(
                piece.repo, repo_type=piece.repo_type, revision=revision, files_metadata=True, timeout=TIMEOUT
            ),
            revision,
        )
        every = {file.rfilename: file for file in info.siblings or []}
        files = {name: announced(every[name]) for name in wanted(piece, every)}
        return Listing(piece.repo, info.sha, files, bool(getattr(info, "gated", False)))

    def tensors(self, listing: Listing, names: Iterable[str]) -> list[Header]:
        """Headers of safetensors files, without their weights.

        Raises
        ------
        UserError
            If a file cannot be had or has no valid header.
        """
        from huggingface_hub.errors import SafetensorsParsingError

        found = []
        for name in names:
            try:
                parsed = self._ask(
                    listing.repo,
                    lambda name=name: self.api.parse_safetensors_file_metadata(listing.repo, name, revision=listing.commit),
                )
            except SafetensorsParsingError:
                raise UserError("has no readable header of tensors", f"{listing.repo}/{name}", "name another revision") from None
            found += [Header(tensor, one.dtype, tuple(one.shape)) for tensor, one in parsed.tensors.items()]
        return found

    def allowed(self, piece: FetchSpec) -> str | None:
        """Say why a repository's files cannot be fetched with this token, or None."""
        try:
            self._ask(piece.repo, lambda: self.api.auth_check(piece.repo, repo_type=piece.repo_type))
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
        discard_wrong(listing, into)
        kept = {"local_dir": into, "allow_patterns": [glob.escape(name) for name in listing.files], "max_workers": 4}
        self._ask(
            listing.repo,
            lambda: self.api.snapshot_download(listing.repo, repo_type=piece.repo_type, revision=listing.commit, **kept),
        )
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
            hint = f"accept its terms at {self.api.endpoint}/{repo} and name a `token_file` in config/config.yaml"
            raise UserError("is gated, and this token has no access", repo, hint) from None
        except errors.RevisionNotFoundError:
            hint = "name one that exists, or null for the newest"
            raise UserError(f"has no revision {revision or '(as locked)'}", repo, hint) from None
        except errors.RepositoryNotFoundError:
            raise UserError("is not on the hub, or private", repo, "check its id; a private one needs a `token_file`") from None
        except errors.HFValidationError as error:
            raise UserError(f"is not a valid hub id ({error})", repo, "write OWNER/NAME") from None
        except (httpx.HTTPError, OSError) as error:
            raise refusal(error, repo) from None


def announced(file) -> Entry:
    """What the hub says of a file: SHA-256 of large ones, git's object id of the others."""
    return Entry(file.size or 0, file.lfs and file.lfs.sha256, None if file.lfs else file.blob_id)


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
    return not entry.blob or git_blob(path.read_bytes()) == entry.blob


def git_blob(content: bytes) -> str:
    """Git's object id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
