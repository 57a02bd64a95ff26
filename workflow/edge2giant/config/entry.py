"""What all models of config files share: no unknown keys, no silent conversion of types, nothing changed after loading."""

from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, Strict, WrapValidator, create_model


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


def _as_written(value, check):
    check(value)
    return value


# A number keeps the form it has in the file, so that 80 is not recorded as 80.0.
Number = Annotated[float, WrapValidator(_as_written)]
Positive = Annotated[float, Field(gt=0), WrapValidator(_as_written)]
NotNegative = Annotated[float, Field(ge=0), WrapValidator(_as_written)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
MethodBits = Annotated[str, Field(pattern=r"^[a-z0-9-]+/w[0-9]+a[0-9]+$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
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
            raise ValueError(f"'{value}' stands there twice")
    return values
