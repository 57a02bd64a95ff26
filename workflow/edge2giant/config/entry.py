"""What all models of config files share: no unknown keys, no silent conversion of types, nothing changed after loading."""

import datetime
import difflib
import re
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, get_args, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    Strict,
    ValidationError,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

EXPLAINED = "explained"


class ConfigEntry(BaseModel):
    """A mapping of a config file with fixed keys; descriptions of its fields are the hints of error messages."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        validate_by_name=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="wrap")
    @classmethod
    def _with_explanation(cls, value, validate):
        try:
            return validate(value)
        except ValidationError as error:
            raise explained(error, {field.alias or name: field.description for name, field in cls.model_fields.items()}) from None


def refusal(what: str, hint: str | None = None, place: Iterable[str | int] = ()) -> ValidationError:
    """The error of a model's validator: what is wrong, what to do about it, and at which place below the model."""
    said = PydanticCustomError(EXPLAINED, "{what}", {"what": what, "hint": hint})
    return ValidationError.from_exception_data("config", [InitErrorDetails(type=said, loc=tuple(place), input=None)])


def explained(error: ValidationError, described: dict[str, str | None]) -> ValidationError:
    """The first problem of an entry in the words of YAML; an unknown key first, for a misspelt one is also missing.

    Parameters
    ----------
    described : dict
        The keys of the entry with their descriptions, which are hints.
    """
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    kind, place, hint = first["type"], first["loc"], described.get(first["loc"][0]) if first["loc"] else None
    in_key = place[-1:] == ("[key]",)
    if in_key:
        place = place[:-2]
    if kind == EXPLAINED:
        return refusal(first["ctx"]["what"], first["ctx"]["hint"], place)
    if kind == "extra_forbidden":
        return refusal(f"unknown key '{place[-1]}'", _known(place[-1], described), place[:-1])
    if kind == "missing":
        return refusal(f"'{place[-1]}' is missing", hint, place[:-1])
    if kind == "value_error":
        return refusal(str(first["ctx"]["error"]), hint, place)
    return refusal(f"{'the key ' if in_key else ''}{_shown(first['input'])} {_expected(first['msg'])}", hint, place)


def _known(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.7)
    return (f"did you mean '{near[0]}'? " if near else "") + f"known keys: {', '.join(known)}"


def _expected(message: str) -> str:
    """Pydantic's message without its subject, in the words of YAML."""
    text = re.sub(r"^.*? (should|must) ", r"\1 ", message)
    for theirs, ours in (
        (r"be a valid (tuple|list)", "be a list"),
        (r"be a valid dictionary.*", "be a mapping"),
        (r"be a valid boolean", "be true or false"),
        (r"be a valid integer", "be an integer"),
        (r"be a valid number", "be a number"),
        (r"be a valid string", "be a text"),
        (r"match pattern '(.*)'", r"match \1"),
        (r"have at least 1 (character|item).*", "not be empty"),
    ):
        text = re.sub(theirs, ours, text)
    return text


def _shown(value: object) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _a_date(text: str) -> str:
    if datetime.date.fromisoformat(text).isoformat() != text:
        raise ValueError(f"{text!r} is not of the form 2024-07-26")
    return text


def _as_written(value, check):
    check(value)
    return value


# A number keeps the form it has in the file, so that 80 is not recorded as 80.0.
Positive = Annotated[float, Field(gt=0), WrapValidator(_as_written)]
NotNegative = Annotated[float, Field(ge=0), WrapValidator(_as_written)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Date = Annotated[str, AfterValidator(_a_date)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Repo = Annotated[str, Field(pattern=r"^[^/ ]+/[^/ ]+$")]
Settings = dict[str, JsonValue]


def listed(items, **limits):
    """A list in YAML, a tuple once it is loaded."""
    return Annotated[tuple[items, ...], Strict(False), Field(**limits)]


def entry_of(kind: type) -> type[ConfigEntry]:
    """The config model of a dataclass: its fields and defaults; a count is at least 1, or 0 where that is its default."""
    found, hints = {}, get_type_hints(kind)
    for one in fields(kind):
        hint, inner = hints[one.name], get_args(hints[one.name])
        if hint is int:
            hint = Natural if one.default == 0 else Count
        elif inner and is_dataclass(inner[0]):
            hint = listed(entry_of(inner[0]))
        found[one.name] = (hint, ... if one.default is MISSING else one.default)
    return create_model(f"{kind.__name__}Entry", __base__=ConfigEntry, **found)


def distinct(items):
    """A list that is not empty and repeats nothing."""
    return Annotated[listed(items, min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_without_repeats)]


def _without_repeats(values: tuple) -> tuple:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"'{value}' is given twice")
    return values
