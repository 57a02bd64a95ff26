"""Write an audit: findings, evidence, storage and rounding as CSV, and everything on one HTML page."""

from dataclasses import asdict
from pathlib import Path

from edge2giant import pages, records
from edge2giant.audit.exact import EXACT, OFF, ROUNDING, TRUNCATED
from edge2giant.audit.results import DOUBTFUL, ERROR, NOTE, SEVERITIES, Audit
from edge2giant.pages import grids
from edge2giant.pages.grids import Column, Section, Value

LEAD = (
    "Every printed number of the paper's Tables 1, 2, 4, 5, 6 and 7, compared with the other printed "
    "numbers and with the values that its benchmark can give. Exact arithmetic. The numbers were "
    "read from a text copy of the paper, so a finding may be a misprint of the paper or of that copy;"
    " nothing is corrected."
)
TITLES = {ERROR: "Errors", DOUBTFUL: "Doubtful", NOTE: "Notes"}
TEXTS = {
    ERROR: "No rounding or truncation of the printed digits explains these.",
    DOUBTFUL: "These rest on an assumption about the question set or the tool, or stand out against their neighbours.",
    NOTE: "Explained by rounding, or a matter of form.",
}
FINDING = {
    "severity": Column("Severity", "choice"),
    "check": Column("Check", "choice"),
    "where": Column("Where", "long"),
    "printed": Column("Printed"),
    "recomputed": Column("Recomputed"),
    "correction": Column("The one change that corrects it", "long"),
    "comment": Column("Comment", "long"),
}
QUESTION_SETS = (
    "A score over n questions is k/n. 'Chance' is the share of all printable values in the column's "
    "range that lie on the grid; near 1 the test has no power. The p-value is that of an exact "
    "binomial test of the share on the grid against chance."
)
STORAGE = (
    "In 10^9 bytes: as printed; nominal size in the name x bits / 8; parameters x bits / 8; measured,"
    " where a checkpoint was given."
)
CUTS = "How the cells with a known grid were cut to two decimals: as only rounding gives, only truncation, or either."
PAGE = 100
MARK = ["table", "model", "method", "bits", "column", "what", "kind", "printed", "corrected"]


def write(audit: Audit, prefix: Path) -> list[Path]:
    """Write ``<prefix>.csv`` and ``.html``, and more CSVs named for what they hold; return their paths."""
    tables = {
        "": [asdict(finding) for finding in audit.findings],
        "_grids": grid_rows(audit),
        "_storage": storage_rows(audit),
        "_rounding": audit.modes,
        "_checks": check_rows(audit),
        "_marks": mark_rows(audit),
    }
    columns = {"": ["id", *FINDING, "alternatives"], "_marks": MARK}
    paths = []
    for suffix, rows in tables.items():
        paths.append(prefix.with_name(f"{prefix.name}{suffix}.csv"))
        records.write_csv(paths[-1], rows, columns.get(suffix))
    paths.append(prefix.with_name(f"{prefix.name}.html"))
    records.write_text(paths[-1], html(audit))
    return paths


def grid_rows(audit: Audit) -> list[dict]:
    """One record per (column, candidate set)."""
    return [
        {
            "benchmark": found.column,
            "set": found.candidate.label,
            "questions": found.candidate.questions,
            "spacing": f"{float(found.candidate.spacing):.4f}",
            "cells": found.cells,
            "on_grid_rounded": found.rounded,
            "on_grid_only_truncated": found.truncated,
            "share": f"{found.share:.2f}",
            "chance": f"{found.chance:.3f}",
            "p_value": f"{found.p_value:.1e}",
            "verdict": found.verdict,
        }
        for found in audit.evidence
    ]


def storage_rows(audit: Audit) -> list[dict]:
    """One record per variant with its printed, nominal, exact and measured size."""
    rows = []
    for size in audit.sizes:
        known = {"printed": size.printed, "nominal": size.nominal, "parameters": size.parameters, "measured": size.measured}
        texts = {f"{name}_gb": "" if value is None else f"{float(value):.4g}" for name, value in known.items()}
        rows.append(asdict(size.row.variant) | texts)
    return rows


def check_rows(audit: Audit) -> list[dict]:
    """One record per kind of rule: how many there are and how they come out."""
    levels = {"hold": EXACT, "hold_truncated": TRUNCATED, "hold_within_rounding": ROUNDING, "broken": OFF}
    rows = []
    for kind in sorted({kind for kind, _ in audit.outcomes}):
        found = {name: audit.outcomes[(kind, level)] for name, level in levels.items()}
        rows.append({"check": kind, "rules": sum(found.values()), **found})
    return rows


def mark_rows(audit: Audit) -> list[dict]:
    """One record per mark, as `config/published/marks.csv` holds it."""
    rows = [asdict(mark) for mark in audit.marks]
    return [{"table": row.pop("table"), **row.pop("variant"), **row} for row in rows]


def _findings(audit: Audit, severity: str) -> Section:
    columns = {name: column for name, column in FINDING.items() if name != "severity"}
    found = [asdict(finding) for finding in audit.findings if finding.severity == severity]
    grid = grids.of_records(severity, TITLES[severity], found, columns, page=PAGE, folded=severity == NOTE or None)
    return Section(severity, TITLES[severity], TEXTS[severity], [grid], nav=TITLES[severity])


def _evidence(name: str, title: str, text: str, rows: list[dict], folded: bool | None = None) -> Section:
    keys = sorted(rows[0], key="verdict".__ne__) if rows else []
    columns = {key: Column(key.replace("_", " "), _kind([row[key] for row in rows]), digits=None) for key in keys}
    return Section(name, title, text, [grids.of_records(name, title, rows, columns, page=PAGE, folded=folded)], nav=title)


def _kind(values: list) -> str:
    if all(value == "" or grids.number(value).order != "" for value in values):
        return "number"
    return "long" if max(map(len, values)) > 60 else "choice"


def html(audit: Audit) -> str:
    checks = check_rows(audit)
    tiles = [(TITLES[severity].lower(), grids.count(number, severity)) for severity, number in audit.counts().items()]
    settled = f"{audit.corrected()} of {audit.counts()[ERROR]}"
    tiles.append((f"errors settled by {len(audit.changes())} changes", Value(settled, float(audit.corrected()), "holds")))
    tiles.append(("rules checked", grids.count(sum(row["rules"] for row in checks), "")))
    untestable = [{"benchmark": column, "why": why} for column, why in audit.untestable.items()]
    sections = [
        *(_findings(audit, severity) for severity in SEVERITIES),
        _evidence("rules", "Rules", "How many rules there are, and how they come out.", checks),
        _evidence("question-sets", "Which question set fits", QUESTION_SETS, grid_rows(audit)),
        _evidence("untestable", "Columns that cannot be tested", "", untestable),
        _evidence("storage", "Storage", STORAGE, storage_rows(audit), folded=True),
        _evidence("rounding", "Rounding by row", CUTS, audit.modes, folded=True),
    ]
    shown = {"title": "Audit of the printed tables", "lead": LEAD, "tiles": tiles, "sections": sections}
    return pages.render("page.html.j2", source="the printed numbers in config/published", **shown)
