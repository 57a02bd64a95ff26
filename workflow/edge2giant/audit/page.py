"""One self-contained HTML page of tables, light and dark, for printed or regenerated numbers alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge2giant import records

TEMPLATE = Path(__file__).parent / "page.html.jinja"


@dataclass
class Section:
    """A heading, some text and a table.

    Attributes
    ----------
    title, text : str
    columns : list of str
    rows : list of list
        Cells as text; escaped when the page is written.
    marks : list of str
        One word per row that colours it (``error``, ``doubtful``, ``note``, ``good``), or nothing.
    folded : bool
        Whether the table starts folded.
    """

    title: str
    text: str = ""
    columns: list[str] = field(default_factory=list)
    rows: list[list] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    folded: bool = False


def render(title: str, lead: str, tiles: list[tuple[str, object, str]], sections: list[Section]) -> str:
    """Return the page as text.

    Parameters
    ----------
    title, lead : str
    tiles : list of (label, number, mark)
        The few numbers that stand on top.
    sections : list of Section
    """
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(title=title, lead=lead, tiles=tiles, sections=sections)


def write(path: Path, text: str) -> None:
    """Write a page, whole or not at all."""
    with records.atomic(path) as stream:
        stream.write(text)


def write_csv(path: Path, columns: list[str], rows: list[dict]) -> None:
    """Write records as CSV, whole or not at all."""
    import csv

    with records.atomic(path) as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
