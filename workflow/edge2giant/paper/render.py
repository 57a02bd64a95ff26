"""Write a table as CSV, TeX, HTML and Markdown through the templates beside this module."""

import re
from functools import cache
from pathlib import Path

import jinja2
import pandas as pd

from edge2giant import pages, records
from edge2giant.pages.grids import Value
from edge2giant.paper import marks, numerals, tables
from edge2giant.paper.values import ScoreText, Table, TableEntry

OPTIONAL = ("scores_are", "storage_measured_gb", "api_cost_usd", "remark")
TEMPLATES = Path(__file__).parent / "templates"
TEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "]": "{]}",
    numerals.UP: r"$\uparrow$",
    numerals.DOWN: r"$\downarrow$",
    tables.COMPUTED: r"$^\ddagger$",
    "\N{DAGGER}": r"$^\dagger$",
    "\N{SECTION SIGN}": r"$^{\S}$",
    "\N{PILCROW SIGN}": r"$^{\P}$",
    "\N{WHITE CIRCLE}": r"$^\circ$",
    "\N{DOUBLE VERTICAL LINE}": r"$^{\|}$",
    "\N{LOZENGE}": r"$^\diamond$",
    "\N{WHITE UP-POINTING TRIANGLE}": r"$^\triangle$",
    "\N{EN DASH}": "--",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
}


def tex_text(value: object) -> str:
    """Make a text harmless in TeX: every special character is printed, none is obeyed; one line."""
    text = "".join(TEX.get(char, char if char.isprintable() else " ") for char in str(value))
    return " ".join(text.split())


def markdown_text(value: object) -> str:
    """Make a text harmless in a Markdown table: no markup, no HTML, no column break; one line."""
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(re.sub(r"([\\`*_{}\[\]|~])", r"\\\1", text).split())


@cache
def _environment(kind: str) -> jinja2.Environment:
    common = {
        "loader": jinja2.FileSystemLoader(TEMPLATES),
        "trim_blocks": True,
        "lstrip_blocks": True,
        "keep_trailing_newline": True,
        "undefined": jinja2.StrictUndefined,
    }
    if kind == "md":
        return jinja2.Environment(finalize=markdown_text, **common)
    delimiters = {"block_start_string": "<%", "block_end_string": "%>", "variable_start_string": "<<"}
    delimiters |= {"variable_end_string": ">>", "comment_start_string": "<#", "comment_end_string": "#>"}
    return jinja2.Environment(finalize=tex_text, **delimiters, **common)


def text(table: Table, kind: str) -> str:
    """A table as `csv`, `tex`, `html` or `md`."""
    if kind == "csv":
        return tidy(table).to_csv(index=False, lineterminator="\n")
    if kind == "html":
        return pages.render("paper/templates/table.html.j2", tables=False, **_page(table))
    return _environment(kind).get_template(f"table.{kind}.j2").render(table=table)


def _page(table: Table) -> dict[str, object]:
    return {"title": table.caption, "sections": [], "source": table.source, "table": table, "value": value}


def value(entry: TableEntry, table: str) -> Value:
    """An entry as a page shows it; `table` is where its notes stand."""
    published = entry.published
    beside = {"sub": published.shown, "subdelta": published.difference, "hidden": "printed: "} if published else {}
    if entry.score is None:
        href = f"#{table}-note-{entry.note}" if entry.note else ""
        return Value(entry.text, "", "bad" if entry.state == "failed" else "soft", href, **beside)
    score = entry.score
    return Value(score.shown, float(score.text), score.direction, delta=score.difference, **beside)


def write(table: Table, prefix: str | Path) -> list[Path]:
    """Write `<prefix>.csv`, `.tex`, `.html` and `.md`, each whole or not at all."""
    paths = []
    for kind in ("csv", "tex", "html", "md"):
        path = Path(f"{prefix}.{kind}")
        records.write_text(path, text(table, kind))
        paths.append(path)
    return paths


def tidy(table: Table) -> pd.DataFrame:
    """One line per row, numbers as printed; what is not a number says so in the column's `_state`."""
    lines = []
    for row in table.rows:
        line = {"model": row.model_label, "method": row.method_label}
        if table.sizes:
            line |= {"w/a": row.bits_label, "storage_gb": row.storage.rstrip(SIGNS), "storage_measured_gb": row.measured}
        line |= {"scores_are": "computed" if tables.COMPUTED in row.mark else "", "api_cost_usd": row.cost}
        line["remark"] = meaning(row.storage + row.mark)
        for column, entry in zip(table.columns, row.entries, strict=True):
            line |= _tidy_entry(re.sub(r"[ /]", "_", column.name), entry, table.beside)
        lines.append(line)
    known = pd.DataFrame(lines)
    optional = [name for name in known.columns if name.endswith(("_stderr", "_remark")) or name in OPTIONAL]
    return known.drop(columns=[name for name in optional if not known[name].any()])


SIGNS = "".join(marks.MEANINGS)


def meaning(text: str) -> str:
    """What the footnote signs in a text stand for."""
    return "; ".join(dict.fromkeys(marks.MEANINGS[sign] for sign in text if sign in marks.MEANINGS))


def _tidy_entry(column: str, entry: TableEntry, beside: bool) -> dict[str, str]:
    score = entry.score or ScoreText("")
    state = f"failed: {entry.reason}" if entry.state == "failed" else entry.state
    line = {
        column: score.text,
        f"{column}_difference": score.delta or "",
        f"{column}_stderr": "" if entry.stderr is None else f"{entry.stderr:.4g}",
        f"{column}_state": meaning(score.marks + score.delta_marks) or state,
    }
    if beside:
        published = entry.published or ScoreText("")
        line |= {f"{column}_published": published.text, f"{column}_published_difference": published.delta or ""}
        line[f"{column}_published_remark"] = meaning(published.marks + published.delta_marks)
    return line
