"""The table library of the pages: DataTables as the package `itables` ships it.

`itables` ships DataTables, its extensions and jQuery as one ECMAScript module. A page on a disk cannot import a module from
another file, so the script of the pages contains the module's text and imports it from a blob.
"""

import json
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from edge2giant.errors import UserError

PACKAGE = "itables"


def name() -> str:
    """The package that ships the library, with its version."""
    return f"{PACKAGE} {metadata.version(PACKAGE)}"


def _shipped(name: str) -> str:
    try:
        return resources.files(PACKAGE).joinpath("html", name).read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        raise UserError(f"does not ship {name}", f"package {PACKAGE}", "install the pins of envs/workflow.yaml") from None


@cache
def script() -> str:
    """The library's text and the few lines that use it."""
    module = json.dumps(_shipped("dt_bundle.js")).replace("<", "\\u003c")
    return f"const LIBRARY = {module};\n" + Path(__file__).with_name("tables.js").read_text(encoding="utf-8")


def style() -> str:
    """The library's style sheet."""
    return _shipped("dt_bundle.css")
