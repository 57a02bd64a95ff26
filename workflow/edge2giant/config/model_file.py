"""Writing an entry of config/models.yaml or my/models.yaml; the other lines of the file stay as they are."""

from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import yaml

from edge2giant import records
from edge2giant.config import files, overlay
from edge2giant.config.models import Model, Models
from edge2giant.models.facts import ModelFacts

FILE = "config/models.yaml"
OWN = "my/models.yaml"


def read(root: Path) -> dict[str, Model]:
    found = overlay.read(root, "models")
    return files.check(found.content, Models, found.where)


def write(root: Path, name: str, entry: dict[str, Any], facts: ModelFacts, file: str = FILE) -> None:
    """Append an entry, or replace the one of that name where it stands; comments inside that one are kept.

    Raises
    ------
    UserError
        If the entry is not valid; the file is then as before.
    """
    content = entry | {"facts": _shortest(facts)}
    files.check({name: content}, Models, file)
    put(root, file, "models", name, content)


def put(root: Path, file: str, schema: str, name: str, content: dict[str, Any]) -> None:
    """Append an entry to a file, which is made if it is not there, or replace the one of that name where it stands."""
    path, head = root / file, f"# yaml-language-server: $schema=../workflow/schemas/{schema}.schema.json"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else [head]
    begin = next((number for number, line in enumerate(lines) if line.startswith(f"{name}:")), len(lines))
    end = begin + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    comments = [line for line in lines[begin:end] if line.lstrip().startswith("#")]
    text = yaml.safe_dump({name: content}, sort_keys=False, default_flow_style=None, width=10**6, allow_unicode=True)
    title, *rest = text.splitlines()
    records.write_text(path, "\n".join([*lines[:begin], title, *comments, *rest, *lines[end:]]) + "\n")


def _shortest(facts: ModelFacts) -> dict[str, Any]:
    """Facts without those that are as their defaults, and without linear layers that follow from the rest."""
    whole = asdict(facts)
    plain = ModelFacts(**{key: value for key, value in whole.items() if key != "linear_layers"})
    defaults = {one.name: one.default for one in fields(ModelFacts) if one.default is not MISSING}
    found = {key: value for key, value in whole.items() if key not in defaults or value != defaults[key]}
    if plain == facts:
        del found["linear_layers"]
    else:
        found["linear_layers"] = [_without(one, "bias", False) for one in found["linear_layers"]]
    return found


def _without(entry: dict, key: str, value: Any) -> dict:
    return {name: one for name, one in entry.items() if (name, one) != (key, value)}
