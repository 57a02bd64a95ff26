"""A fetched model is the one that its entry describes."""

import tempfile
from pathlib import Path
from typing import Any

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.models import read
from edge2giant.models.facts import differences, flat
from edge2giant.specs.acquire import ExpectedModel, FetchSpec
from edge2giant.specs.engine import NO_TEMPLATE
from edge2giant.store.selection import Listing


def require_config(expected: ExpectedModel, piece: FetchSpec, source, listing: Listing) -> None:
    """Fetch config.json and the chat template alone and refuse what is not as expected, before gigabytes are fetched.

    Raises
    ------
    UserError
        Naming the first key with both values.
    """
    with tempfile.TemporaryDirectory() as folder:
        source.fetch(piece, listing.only([read.CONFIG, *read.TEMPLATES]), Path(folder))
        templated = read.has_template(Path(folder), piece.repo)
        found = read.numbers(Path(folder), piece.repo)
        sha256 = records.file_sha256(Path(folder) / read.CONFIG)
    _refuse(expected, found, piece, "config.json")
    _refuse(expected, {"config_sha256": sha256}, piece, "config.json")
    if expected.chats and not templated:
        what = f"{expected.chats} asks in chats, and {piece.repo} has no chat template"
        raise UserError(what, f"{expected.file}, {piece.name}", NO_TEMPLATE)


def require_weights(expected: ExpectedModel, piece: FetchSpec, folder: Path) -> None:
    """Refuse weights of other shapes or another number of parameters.

    Raises
    ------
    UserError
        Naming the first fact with both values.
    """
    found = read.read(folder, piece.repo, read.tensors_of(folder, piece.repo))
    _refuse(expected, flat(found), piece, "the model")


def _refuse(expected: ExpectedModel, found: dict[str, Any], piece: FetchSpec, what: str) -> None:
    wanted = flat(expected.facts) | {"config_sha256": expected.config_sha256}
    for name, value, own in differences(wanted, found):
        entry = f"{expected.file}, {piece.name}"
        if expected.config_sha256:
            hint = "fetch the revision that the entry was made from, or delete the entry and add the model again"
        else:
            hint = f"check its repo, or take the model's own facts: python -m edge2giant.add_model {piece.repo}"
        raise UserError(f"{name} is {value}, but {what} of {piece.repo} says {own}", entry, hint)
