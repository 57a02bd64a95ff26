"""What all pages share: templates, policy, and a plain page of tables for the audit and the claims."""

import base64
import csv
import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import jinja2

from edge2giant import records

HERE = Path(__file__).parent


@dataclass
class Section:
    """A heading, some text and a table.

    Parameters
    ----------
    title, text : str
    columns : list of str
    rows : list of list
        Cells as text; escaped when the page is written.
    marks : list of str
        Class of each row's first cell (`bad`, `fair`, `soft`, `good`), or nothing.
    folded : bool
        Whether the table starts folded.
    """

    title: str
    text: str = ""
    columns: list[str] = field(default_factory=list)
    rows: list[list] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    folded: bool = False


@cache
def environment(*folders: Path) -> jinja2.Environment:
    """Templates of some folders and of this one, with every value escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, HERE]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


@cache
def style() -> str:
    """The pages' own style sheet."""
    return (HERE / "style.css").read_text(encoding="utf-8")


def fingerprint(text: str) -> str:
    """Source expression of an inline script or style sheet for a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(styles: str, scripts: str = "'none'") -> str:
    """Content security policy of a page: only what it holds may run or be shown."""
    return f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'"


def render(title: str, lead: str, tiles: list[tuple[str, object, str]], sections: list[Section]) -> str:
    """Return a self-contained page without scripts.

    Parameters
    ----------
    title, lead : str
    tiles : list of (label, number, class)
        The few numbers on top.
    sections : list of Section
    """
    shown = {"title": title, "lead": lead, "tiles": tiles, "sections": sections}
    return environment().get_template("page.html.j2").render(style=style(), policy=policy(fingerprint(style())), **shown)


def write(path: Path, text: str) -> None:
    """Write a page, whole or not at all."""
    with records.atomic(path) as stream:
        stream.write(text)


def write_csv(path: Path, columns: list[str], rows: list[dict]) -> None:
    """Write records as CSV, whole or not at all."""
    with records.atomic(path) as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
