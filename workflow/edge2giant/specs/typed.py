"""JSON into frozen dataclasses, checked by their type hints. Standard library only; errors are one line."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from edge2giant.errors import UserError

Kind = TypeVar("Kind")


class MismatchError(Exception):
    """A value that its type hint does not allow: the place and what is wrong there."""

    def __init__(self, place: str, what: str):
        self.place, self.what = place, what
        super().__init__(f"{place or 'top level'}: {what}")


def build(kind: type[Kind], value: object, where: object) -> Kind:
    """Return `value` as the dataclass `kind`.

    Parameters
    ----------
    kind : dataclass type
        Fields may be str, int, float, bool, None, Literal, Any, unions of these, `tuple[X, ...]`, `dict[str, X]` and dataclasses.
    value : object
        Content of a JSON file.
    where : object
        Named in the error.

    Raises
    ------
    UserError
        If a key is missing or unknown, or a value has another type.
    """
    try:
        return _value(kind, value, "")
    except MismatchError as error:
        hint = "delete it and run the same command again to make it anew"
        raise UserError(f"is not a valid {kind.__name__}: {error}", where, hint) from None


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, value: object, place: str) -> Any:
    if hint is Any or hint is object:
        return value
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), value, place)
    if origin is Literal:
        if value not in get_args(hint):
            raise MismatchError(place, f"{value!r} is not one of {', '.join(map(repr, get_args(hint)))}")
        return value
    if is_dataclass(hint):
        return _dataclass(hint, value, place)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise MismatchError(place, "is not a list")
        kinds = get_args(hint)
        if kinds[-1] is not Ellipsis:
            if len(value) != len(kinds):
                raise MismatchError(place, f"has {len(value)} items, expected {len(kinds)}")
            return tuple(_value(kind, item, f"{place}[{n}]") for n, (kind, item) in enumerate(zip(kinds, value, strict=True)))
        return tuple(_value(kinds[0], item, f"{place}[{n}]") for n, item in enumerate(value))
    if origin in (dict, Mapping) or hint is dict:
        if not isinstance(value, Mapping):
            raise MismatchError(place, "is not a mapping")
        kind = get_args(hint)[1] if origin else Any
        return {key: _value(kind, item, f"{place}.{key}".lstrip(".")) for key, item in value.items()}
    return _plain(hint, value, place)


def _plain(hint: Any, value: object, place: str) -> Any:
    wanted = type(None) if hint is None else hint
    if wanted is float and type(value) is int:
        return value
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise MismatchError(place, f"{value!r:.80} is not of type {getattr(wanted, '__name__', wanted)}")
    return value


def _one_of(hints: tuple, value: object, place: str) -> Any:
    errors = []
    for hint in hints:
        try:
            return _value(hint, value, place)
        except MismatchError as error:
            errors.append(error)
    raise max(errors, key=lambda error: len(error.place))


def _dataclass(kind: type, value: object, place: str) -> Any:
    if not isinstance(value, Mapping):
        raise MismatchError(place, "is not a mapping")
    known = {field.name: field for field in fields(kind) if field.init}
    if unknown := sorted(value.keys() - known.keys()):
        raise MismatchError(place, f"unknown key {unknown[0]!r}, known are: {', '.join(known)}")
    needed = [name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING]
    if missing := [name for name in needed if name not in value]:
        raise MismatchError(place, f"{missing[0]!r} is missing")
    hints = _hints(kind)
    return kind(**{name: _value(hints[name], item, f"{place}.{name}".lstrip(".")) for name, item in value.items()})
