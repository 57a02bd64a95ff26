"""JSON schemas of the config files for editors, made from the models: `make schemas`."""

import sys

from pydantic.json_schema import GenerateJsonSchema

from edge2giant import ROOT, errors, records
from edge2giant.config import files
from edge2giant.config.loading import FILES
from edge2giant.config.run import RunSettings
from edge2giant.config.studies import StudyFile

FOLDER = ROOT / "workflow/schemas"
MODELS = {file.rsplit("/", 1)[-1]: (f"config/{file}.yaml", kind) for file, kind in FILES.items()} | {
    "study": ("config/studies/<study>.yaml", StudyFile),
    "config": ("config/config.yaml", RunSettings),
}
"""File and model by the name of the schema."""


class _Schema(GenerateJsonSchema):
    """Without titles and defaults that say nothing, and closed where the names of keys have a pattern."""

    def field_title_should_be_set(self, schema) -> bool:
        return False

    def default_schema(self, schema):
        found = super().default_schema(schema)
        return found if found.get("default") else {key: value for key, value in found.items() if key != "default"}

    def dict_schema(self, schema):
        found = super().dict_schema(schema)
        return found | {"additionalProperties": False} if "patternProperties" in found else found


def documents() -> dict[str, dict]:
    """Schema of each config file by its name."""
    found = {}
    for name, (file, kind) in MODELS.items():
        schema = files.adapter(kind).json_schema(schema_generator=_Schema)
        for part in schema.get("$defs", {}).values():
            part.pop("title", None)
        about = {"title": file, "$comment": "Made by `make schemas`; edit workflow/edge2giant/config instead."}
        found[name] = {"$schema": _Schema.schema_dialect} | schema | about
    return found


def main() -> None:
    for name, schema in documents().items():
        path = FOLDER / f"{name}.schema.json"
        records.write_json(path, schema)
        print(path)


if __name__ == "__main__":
    sys.exit(errors.run(main))
