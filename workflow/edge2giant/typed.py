"""JSON into frozen dataclasses, checked by their type hints. Standard library only; errors are one line."""

import math
import re
import types
import typing
from collections.abc import Mapping, Sized
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from edge2giant.errors import UserError

Kind = TypeVar("Kind")
OMITTED = {"omitted": True}
"""Metadata of a field whose key is left out of JSON while it is None."""
MAKE_AGAIN = "delete it and run the same command again to make it anew"


class MismatchError(Exception):
    """A value that its type hint does not allow: the place and what is wrong there."""

    def __init__(self, place: str, what: str):
        self.place, self.what = place, what
        super().__init__(f"{place or 'top level'}: {what}")


@dataclass(frozen=True)
class Pattern:
    """Text that a regular expression matches as a whole; `form` says in words what is right."""

    regex: str
    form: str

    def wrong(self, value: str) -> str | None:
        return None if re.fullmatch(self.regex, value) else f"{value!r:.80} is not {self.form}"


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`, both allowed."""

    least: float
    most: float = math.inf

    def wrong(self, value: float) -> str | None:
        if value < self.least:
            return f"{value!r} is less than {self.least}"
        return f"{value!r} is more than {self.most}" if value > self.most else None


class NotEmpty:
    """Text, lists and mappings that hold something."""

    def wrong(self, value: Sized) -> str | None:
        return None if value else "is empty"


Text = Annotated[str, NotEmpty()]
Sha256 = Annotated[str, Pattern("[0-9a-f]{64}", "a SHA-256 digest of 64 hexadecimal digits")]
Natural = Annotated[int, Range(0)]
Positive = Annotated[int, Range(1)]
Share = Annotated[float, Range(0, 1)]


def build(kind: type[Kind], value: object, where: object, hint: str = MAKE_AGAIN) -> Kind:
    """Return `value` as the dataclass `kind`.

    Parameters
    ----------
    kind : dataclass type
        Fields may be str, int, float (finite), bool, None, Literal, Any, unions of these, `tuple[X, ...]`, `dict[str, X]` and
        dataclasses, each narrowed by `Annotated` with `Pattern`, `Range` or `NotEmpty`. Keys that are no field are refused,
        unless the dataclass has `OPEN = True`: then they are left out.
    value : object
        Content of a JSON file.
    where, hint : object, str
        Of the error.

    Raises
    ------
    UserError
        If a key is missing or unknown, or a value is not of the field's type.
    """
    try:
        return _value(kind, value, "")
    except MismatchError as error:
        raise UserError(f"is not a valid {kind.__name__}: {error}", where, hint) from None


def problem(kind: type, value: object) -> str | None:
    """What is wrong with a value that should be a `kind`, in one line; None when it is one."""
    try:
        _value(kind, value, "")
    except MismatchError as error:
        return f"no valid {kind.__name__}: {error}"
    return None


def as_json(value: object) -> Any:
    """What `build` makes a dataclass from."""
    if is_dataclass(value):
        items = ((one, getattr(value, one.name)) for one in fields(value))
        return {one.name: as_json(item) for one, item in items if item is not None or one.metadata != OMITTED}
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _value(hint: Any, value: object, place: str) -> Any:
    if is_dataclass(hint):
        return _dataclass(hint, value, place)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _narrowed(inner, value, place)
    if origin in (Union, types.UnionType):
        return _one_of(inner, value, place)
    if origin is Literal:
        if (type(value), value) not in [(type(one), one) for one in inner]:
            raise MismatchError(place, f"{value!r:.80} is not one of {', '.join(map(repr, inner))}")
        return value
    if origin is tuple:
        return _tuple(inner, value, place)
    if origin in (dict, Mapping) or hint is dict:
        return _mapping(*(inner or (str, Any)), value, place)
    if hint is Any and isinstance(value, Mapping):
        return _mapping(str, Any, value, place)
    if hint is Any and isinstance(value, list):
        return list(_tuple((Any, ...), value, place))
    return _plain(hint, value, place)


def _narrowed(inner: tuple, value: object, place: str) -> Any:
    kind, *limits = inner
    made = _value(kind, value, place)
    for limit in limits:
        if wrong := limit.wrong(made):
            raise MismatchError(place, wrong)
    return made


def _tuple(kinds: tuple, value: object, place: str) -> tuple:
    if not isinstance(value, list | tuple):
        raise MismatchError(place, "is not a list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise MismatchError(place, f"has {len(value)} items, expected {len(kinds)}")
    return tuple(_value(kind, item, f"{place}[{n}]") for n, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _mapping(key_kind: Any, kind: Any, value: object, place: str) -> dict:
    if not isinstance(value, Mapping):
        raise MismatchError(place, "is not a mapping")
    return {_value(key_kind, key, place): _value(kind, item, f"{place}.{key}".lstrip(".")) for key, item in value.items()}


def _plain(hint: Any, value: object, place: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise MismatchError(place, f"{value!r} is not a number that JSON allows")
    if hint is Any or hint is object or (hint is float and type(value) is int):
        return value
    wanted = type(None) if hint is None else hint
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
    known = {one.name: one for one in fields(kind) if one.init}
    unknown = sorted(value.keys() - known.keys())
    if unknown and not getattr(kind, "OPEN", False):
        raise MismatchError(place, f"unknown key {unknown[0]!r}, known are: {', '.join(known)}")
    needed = [name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in needed if name not in value]:
        raise MismatchError(place, f"{missing[0]!r} is missing")
    hints = _hints(kind)
    given = {name: value[name] for name in known if name in value}
    return kind(**{name: _value(hints[name], item, f"{place}.{name}".lstrip(".")) for name, item in given.items()})
