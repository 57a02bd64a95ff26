"""Reading one config file: YAML without repeated keys, then its model; every problem is one line."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from edge2giant.config.entry import explained
from edge2giant.errors import UserError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML 1.1 loader that refuses a key given twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    found = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = f"line {key_node.start_mark.line + 1}"
        if isinstance(key, list | dict | set):
            raise UserError("a key is not a text", line, "put it in quotes")
        if key in found:
            raise UserError(f"'{key}' is given twice", line, "keep one of them")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(root: Path, name: str) -> object:
    """Content of a YAML file below `root`.

    Raises
    ------
    UserError
        If the file is missing, empty, not YAML, or repeats a key.
    """
    try:
        document = yaml.load((root / name).read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError("is missing", name, "restore it from git") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", name, "change its permissions") from None
    except UserError as error:
        raise UserError(error.what, f"{name}, {error.where}", error.hint) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"is not valid YAML ({error})", name, "correct it there") from None
    if document is None:
        raise UserError("is empty", name, "restore it from git, or delete it if it is one of yours")
    return document


@cache
def adapter(kind: object) -> TypeAdapter:
    """Pydantic's validator of a file's model."""
    return TypeAdapter(kind)


def check(document: object, kind: object, where: str | Callable[..., str], known: dict | None = None):
    """Return the content of a file as its model.

    Parameters
    ----------
    where : str or callable
        The file; of several, a function that takes the keys of a place and returns the file that has it.
    known : dict, optional
        The files that were read before, whose names this one may use; without it they are not checked.

    Raises
    ------
    UserError
        If it does not fit: the file, the place in it, what is wrong, and what is allowed.
    """
    try:
        return adapter(kind).validate_python(document, context=known)
    except ValidationError as error:
        first = explained(error, {}).errors()[0]
        place, file = dotted(first["loc"]), where if isinstance(where, str) else where(*first["loc"])
        raise UserError(first["ctx"]["what"], f"{file}, {place}" if place else file, first["ctx"]["hint"]) from None


def dotted(location: Iterable) -> str:
    """Place in a file, such as `sets.bbh.parts[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
