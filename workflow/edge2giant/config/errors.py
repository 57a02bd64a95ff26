"""The error for a name that the config does not have."""

from collections.abc import Iterable

from edge2giant.errors import UserError


def unknown(kind: str, name: str, known: Iterable[str], where: object) -> UserError:
    """The error for a name that is not in the config."""
    return UserError(f"unknown {kind} '{name}'", where, f"choose one of: {', '.join(sorted(map(str, known)))}")
