"""The table library of the pages: DataTables as the package `itables` ships it, turned into one inline script.

`itables` carries a bundle of DataTables, its extensions and jQuery as an ECMAScript module. A page that is opened from a disk
cannot import a module from another file, so its export clause is replaced by a global and all of it is wrapped in a function.
"""

import base64
import hashlib
import re
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from edge2giant.errors import UserError

PACKAGE, NAME = "itables", "tableLibrary"
TEMPLATES = Path(__file__).parent / "templates"
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
EXPORT = re.compile(r"export\s*\{([^{}]*)\}\s*;?")


def version() -> str:
    """Version of the package that the bundle comes from."""
    return metadata.version(PACKAGE)


def _bundle(name: str) -> str:
    try:
        text = resources.files(PACKAGE).joinpath("html", name).read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        raise UserError(f"does not ship {name}", f"package {PACKAGE}", "install the pins of envs/workflow.yaml") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def classic(module: str) -> str:
    """Turn a bundled module without imports into a script that leaves its exports in a global.

    Raises
    ------
    UserError
        If the module does not end in one export clause.
    """
    clauses = list(EXPORT.finditer(module))
    if not clauses or COMMENT.sub("", module[clauses[-1].end() :]).strip():
        raise UserError("does not end in an export clause", f"bundle of {PACKAGE}", "install the pins of envs/workflow.yaml")
    last = clauses[-1]
    pairs = [pair.split(" as ") for pair in last[1].split(",")]
    exported = ",".join(f'"{pair[-1].strip()}":{pair[0].strip()}' for pair in pairs)
    return f"(()=>{{{module[: last.start()]}\nglobalThis.{NAME}={{{exported}}};\n{module[last.end() :]}\n}})();\n"


def harmless(script: str) -> str:
    """Keep a script from closing its own element: both forms mean the same inside a text or an expression."""
    return re.sub(r"</(script)", r"<\\/\1", script, flags=re.IGNORECASE).replace("<!--", "<\\!--")


@cache
def script() -> str:
    """Library and the few lines that put it to use."""
    return harmless(classic(_bundle("dt_bundle.js")) + (TEMPLATES / "tables.js.j2").read_text(encoding="utf-8"))


@cache
def style() -> str:
    """The library's style sheet, then the pages' own."""
    return (_bundle("dt_bundle.css") + (TEMPLATES / "style.css.j2").read_text(encoding="utf-8")).replace("</", "<\\/")


def fingerprint(text: str) -> str:
    """Source expression of an inline script or style sheet for a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(scripts: str, styles: str) -> str:
    """Content security policy of a page: nothing but what it holds itself may run, look or load."""
    return f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'"
