"""Where material comes from, by the type of its repository: a hub and the web, or one mirror folder for all."""

import stat
import sys
from collections.abc import Callable
from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.store.hub import Hub
from edge2giant.store.mirror import Mirror
from edge2giant.store.web import Web


def choose(mirror: Path | None, token_file: Path | None) -> Callable:
    """Return a function from the type of a repository ("model", "dataset", "web") to its source."""
    if mirror:
        folder = Mirror(mirror.expanduser())
        return lambda repo_type: folder
    hub, web = Hub(read_token(token_file)), Web()
    return lambda repo_type: web if repo_type == "web" else hub


def read_token(path: Path | None) -> str | None:
    """Read the hub token. It stays in this process: no environment, no log, no command line.

    Raises
    ------
    UserError
        If the file is missing, empty, or holds more than one word. The message never holds its content.
    """
    if path is None:
        return None
    path = path.expanduser()
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


def add_arguments(command) -> None:
    """Add `--mirror` and `--token-file` to a parser."""
    command.add_argument("--mirror", type=Path, help="copy from this folder of hub ids, not from the network")
    command.add_argument("--token-file", type=Path, help="file that holds the hub token")
