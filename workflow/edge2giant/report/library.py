"""The table library of the pages: DataTables as the package `itables` ships it.

`itables` ships DataTables, its extensions and jQuery as one ECMAScript module. A page on a disk cannot import a module from
another file, so the script of the pages holds the module's text and imports it from a blob.
"""

import base64
import hashlib
import json
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from edge2giant.errors import UserError

PACKAGE = "itables"
TEMPLATES = Path(__file__).parent / "templates"


def version() -> str:
    """Version of the package that ships the library."""
    return metadata.version(PACKAGE)


def _shipped(name: str) -> str:
    try:
        return resources.files(PACKAGE).joinpath("html", name).read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        raise UserError(f"does not ship {name}", f"package {PACKAGE}", "install the pins of envs/workflow.yaml") from None


@cache
def script() -> str:
    """The library's text and the few lines that use it."""
    module = json.dumps(_shipped("dt_bundle.js")).replace("<", "\\u003c")
    return f"const LIBRARY = {module};\n" + (TEMPLATES / "tables.js").read_text(encoding="utf-8")


@cache
def style() -> str:
    """The library's style sheet, then the pages' own."""
    return _shipped("dt_bundle.css") + (TEMPLATES / "style.css").read_text(encoding="utf-8")


def fingerprint(text: str) -> str:
    """Source expression of an inline script or style sheet for a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(scripts: str, styles: str) -> str:
    """Content security policy of a page: only what it holds may run or be shown; a blob is made by its own script alone."""
    return (
        f"default-src 'none'; script-src {scripts} blob:; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'"
    )
