"""Reading one config file: YAML without repeated keys, then its model; every problem is one line."""

import difflib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from edge2giant.errors import UserError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML 1.1 loader that refuses a key given twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    found = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = f"line {key_node.start_mark.line + 1}"
        if isinstance(key, list | dict | set):
            raise UserError("a key is no text", line, "put it in quotes")
        if key in found:
            raise UserError(f"'{key}' stands there twice", line, "keep one of them")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(root: Path, name: str) -> object:
    """Content of a YAML file below `root`.

    Raises
    ------
    UserError
        If the file is missing, empty, no YAML or repeats a key.
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
        raise UserError("is empty", name, "restore it from git")
    return document


@cache
def adapter(kind: object) -> TypeAdapter:
    """Pydantic's validator of a file's model."""
    return TypeAdapter(kind)


def check(document: object, kind: object, where: str):
    """Return the content of a file as its model.

    Raises
    ------
    UserError
        If it does not fit: the file, the place in it, what is wrong, and what is allowed.
    """
    try:
        return adapter(kind).validate_python(document)
    except ValidationError as error:
        raise problem(error, document, kind, where) from None


def problem(error: ValidationError, document: object, kind: object, where: str) -> UserError:
    """One line for pydantic's first complaint; an unknown key first, for a misspelt one also lacks."""
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    location = tuple(part for part in first["loc"] if part != "[key]")
    schema = _schema_at(adapter(kind).json_schema(), location)
    kept = location
    if first["type"] == "extra_forbidden":
        *kept, key = location
        known = _resolved(adapter(kind).json_schema(), _schema_at(adapter(kind).json_schema(), kept)).get("properties", {})
        what, hint = f"unknown key '{key}'", _known(str(key), known)
    elif first["type"] == "missing":
        *kept, key = location
        what, hint = f"'{key}' is missing", schema.get("description")
    elif first["type"] == "value_error":
        what, hint = str(first["ctx"]["error"]), schema.get("description") if "properties" not in schema else None
    else:
        what = f"{_shown(_value_at(document, location, first['loc'][-1:] == ('[key]',)))} {_expected(first['msg'])}"
        hint = schema.get("description")
        if first["loc"][-1:] == ("[key]",):
            kept = location[:-1]
            what = f"the key {what}"
    place = dotted(kept)
    return UserError(what, f"{where}, {place}" if place else where, hint)


def dotted(location: Iterable) -> str:
    """Place in a file, such as `sets.bbh.parts[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


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
        (r"be a valid (integer|number)", r"be a \1"),
        (r"be a valid string", "be a text"),
        (r"match pattern '(.*)'", r"match \1"),
        (r"have at least 1 (character|item).*", "not be empty"),
    ):
        text = re.sub(theirs, ours, text)
    return text.replace("be a integer", "be an integer")


def _shown(value: object) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _value_at(document: object, location: tuple, key: bool) -> object:
    if key:
        return location[-1]
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return document
    return document


def _resolved(whole: dict, schema: dict) -> dict:
    """A schema without references; of several alternatives the one that is not null."""
    while True:
        if "$ref" in schema:
            found = whole["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
            schema = found | {key: value for key, value in schema.items() if key == "description"}
        elif "properties" not in schema and (
            alternatives := [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        ):
            rest = {key: value for key, value in schema.items() if key == "description"}
            schema = alternatives[0] | rest
        else:
            return schema


def _schema_at(whole: dict, location: Iterable) -> dict:
    """The part of a JSON schema that describes a place; a place without a description has that of what holds it."""
    schema = _resolved(whole, whole)
    for part in location:
        inner = schema.get("properties", {}).get(part)
        if inner is None and isinstance(part, int):
            inner = schema.get("items", {})
        if inner is None:
            inner = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), {})
        inner = inner if isinstance(inner, dict) else {}
        named = "properties" in schema
        schema = _resolved(whole, inner)
        if named and "description" not in inner and "properties" in schema:
            schema = {key: value for key, value in schema.items() if key != "description"}
    return schema
