"""What the tables and figures call a model, a method and a benchmark: the names in `config/`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from edge2giant.errors import UserError

BITS = {"w16a16": "16/16", "w8a8": "8/8", "w8a16": "8/16", "w4a16": "4/16"}
CATEGORY_LABELS = {"stem": "STEM"}


@dataclass(frozen=True)
class Labels:
    """Names of slugs; a slug without an entry is its own name.

    Parameters
    ----------
    models, methods, benchmarks, protocols : mapping of str to mapping
        Entries of `models.yaml`, of `methods` in `recipes.yaml`, of `benchmarks.yaml` and of `protocols.yaml`.
    """

    models: Mapping[str, Mapping] = field(default_factory=dict)
    methods: Mapping[str, Mapping] = field(default_factory=dict)
    benchmarks: Mapping[str, Mapping] = field(default_factory=dict)
    protocols: Mapping[str, Mapping] = field(default_factory=dict)

    def model(self, slug: str) -> str:
        """Printed name of a model."""
        return str(self.models.get(slug, {}).get("name", slug))

    def method(self, slug: str) -> str:
        """Printed name of a method, with its toolkit mark (`GPTQ*`)."""
        return str(self.methods.get(slug, {}).get("label", slug))

    def toolkit(self, slug: str) -> str:
        """Name of the toolkit behind a method, or an empty text."""
        return str(self.methods.get(slug, {}).get("toolkit") or "")

    def benchmark(self, slug: str) -> str:
        """Column heading of a benchmark."""
        return str(self.benchmarks.get(slug, {}).get("label", "Average" if slug == "average" else slug))

    def documents(self, slug: str, protocol: str) -> int | None:
        """Questions of a whole benchmark under a protocol, or None when config does not say."""
        changed = (self.protocols.get(protocol, {}).get("benchmarks") or {}).get(slug) or {}
        return changed.get("documents", self.benchmarks.get(slug, {}).get("documents"))


def category(name: str) -> str:
    """Heading of an MT-Bench category or turn."""
    return CATEGORY_LABELS.get(name, name[:1].upper() + name[1:])


def bits(slug: str) -> str:
    """Weight and activation width as the paper prints it (`4/16`)."""
    return BITS.get(slug, slug)


def scheme(labels: Labels, method: str, width: str) -> str:
    """Method and width in one short text (`GPTQ** 4/16`)."""
    return labels.method(method) if method == "fp16" else f"{labels.method(method)} {bits(width)}"


def _entries(path: Path, key: str | None = None) -> dict:
    if not path.is_file():
        return {}
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read as YAML ({error})", path, "mend the file") from None
    entries = entries.get(key, {}) if key and isinstance(entries, dict) else entries
    if not isinstance(entries, dict):
        raise UserError("does not hold one entry per name", path, "write `<slug>: {...}` entries")
    return {str(slug): entry for slug, entry in entries.items() if isinstance(entry, dict)}


def load(config_dir: str | Path) -> Labels:
    """Read the names from a config folder; a file that is absent leaves its slugs as they are.

    Raises
    ------
    UserError
        If the folder is missing or a file in it is not a YAML mapping.
    """
    folder = Path(config_dir)
    if not folder.is_dir():
        raise UserError("is not a folder", folder, "give --config the project's config folder")
    methods = _entries(folder / "recipes.yaml", "methods")
    benchmarks, protocols = _entries(folder / "benchmarks.yaml"), _entries(folder / "protocols.yaml")
    return Labels(_entries(folder / "models.yaml"), methods, benchmarks, protocols)
