"""Where material comes from, by the type of its repository: a hub and the web, or one mirror folder for all."""

import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.specs.acquire import FetchSpec, SourceService
from edge2giant.store.hub import Hub
from edge2giant.store.local import LocalModel
from edge2giant.store.mirror import Mirror
from edge2giant.store.web import Web


def choose(service: SourceService) -> Callable[[FetchSpec], Hub | Mirror | Web]:
    """Return a function from a piece to its source."""
    folders = {f"models/{name}": entry.folder for name, entry in service.models.items() if entry.folder}
    elsewhere = _choose(service)
    return lambda piece: LocalModel(Path(folders[piece.folder])) if piece.folder in folders else elsewhere(piece)


def _choose(service: SourceService) -> Callable[[FetchSpec], Hub | Mirror | Web]:
    address = service.mirror if re.match("https?://", service.mirror or "") else None
    if service.mirror and not address:
        mirror = Mirror(Path(service.mirror).expanduser())
        return lambda piece: mirror
    hub, web = Hub(read_token(service.token_file), address), Web()
    return lambda piece: web if piece.repo_type == "web" else hub


def read_token(name: str | None) -> str | None:
    """Read the hub token. It stays in this process: no environment, no log, no command line.

    Raises
    ------
    UserError
        If the file is missing, empty, or holds more than one word. The message never holds its content.
    """
    if name is None:
        return None
    path = Path(name).expanduser()
    try:
        words = path.read_text(encoding="utf-8").split()
        shared = path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
    except FileNotFoundError:
        hint = "write the hub token there, or take `token_file` out of config.yaml"
        raise UserError("is missing", path, hint) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({type(error).__name__})", path, "make it readable for you") from None
    if len(words) != 1:
        raise UserError(f"holds {len(words)} words instead of one token", path, "write the hub token there, alone")
    if shared:
        print(f"warning: {path}: other users can read the token; run: chmod 600 {path}", file=sys.stderr)
    return words[0]
