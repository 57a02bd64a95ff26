"""One kit for every HTML page: a base template, components, a style sheet, and tables that sort and filter.

A page extends `page.html.j2` and gets the components as `show`. It needs no network, and its policy lets nothing run or load but
its own style and script.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2

from edge2giant import records
from edge2giant.pages import datatables

HERE = Path(__file__).parent


@cache
def _environment() -> jinja2.Environment:
    """Templates of the kit by their names, those of other packages by their paths below `edge2giant`; every value is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([HERE, HERE.parent]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["show"] = environment.get_template("components.html.j2").module
    return environment


@cache
def style(tables: bool) -> str:
    """The style sheet of all pages, after that of the table library where a page uses it."""
    return (datatables.style() if tables else "") + (HERE / "style.css").read_text(encoding="utf-8")


@cache
def fingerprint(text: str) -> str:
    """Source expression of an inline script or style sheet for a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(styles: str, scripts: str = "'none'") -> str:
    """Content security policy of a page: only what it holds may run or be shown."""
    return f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'"


def render(template: str, *, tables: bool = True, assets: str = "", special: Path | None = None, **shown: object) -> str:
    """Return a page as text.

    Parameters
    ----------
    template : str
        Path below `edge2giant`, or `page.html.j2`.
    tables : bool
        Whether it has tables that sort and filter.
    assets : str
        Folder, seen from the page, where `write_assets` wrote style and script; the page holds them itself otherwise.
    special : Path, optional
        A `.css` file with a `.js` file beside it that this page alone needs.
    **shown
        What the template shows; `page.html.j2` lists what has a default.
    """
    look, script = style(tables), datatables.script() if tables else ""
    if special:
        look += special.read_text(encoding="utf-8")
        script += special.with_suffix(".js").read_text(encoding="utf-8")
    allowed = ["'self'", "'self'"] if assets else [fingerprint(look), fingerprint(script) if script else "'none'"]
    if tables:
        allowed[1] += " blob:"  # holds the library that the page's own script put there
    library = datatables.name() if tables else ""
    kit = {"policy": policy(*allowed), "assets": assets, "style": look, "script": script, "library": library}
    return _environment().get_template(template).render(kit | shown)


def write_assets(folder: Path) -> None:
    """Write style and script of tables for pages that share them."""
    records.write_text(folder / "style.css", style(tables=True))
    records.write_text(folder / "tables.js", datatables.script())
