"""Write an audit: findings, evidence, storage and rounding as CSV, and everything on one HTML page."""

from dataclasses import asdict
from pathlib import Path

from edge2giant import pages
from edge2giant.audit.exact import EXACT, OFF, ROUNDING, TRUNCATED
from edge2giant.audit.findings import DOUBTFUL, ERROR, NOTE, SEVERITIES, Audit, Finding

LEAD = (
    "Every printed number of the paper's Tables 1, 2, 4, 5, 6 and 7, compared with the other printed "
    "numbers and with the values that its benchmark can give. Exact arithmetic. The numbers were "
    "read from a text copy of the paper, so a finding may be a misprint of the paper or of that copy;"
    " nothing is corrected."
)
CLASSES = {ERROR: "bad", DOUBTFUL: "fair", NOTE: "soft"}
TEXTS = {
    ERROR: "No rounding or truncation of the printed digits explains these.",
    DOUBTFUL: "These rest on an assumption about the question set or the tool.",
    NOTE: "Explained by rounding, or a matter of form.",
}
FINDING_COLUMNS = ["severity", "check", "where", "printed", "recomputed", "correction", "comment"]
HEADINGS = ["Check", "Where", "Printed", "Recomputed", "The one change that corrects it", "Comment"]


def write(audit: Audit, prefix: Path) -> list[Path]:
    """Write ``<prefix>.html``, ``.csv`` and ``_grids``, ``_storage``, ``_rounding``, ``_checks`` CSVs.

    Returns
    -------
    list of Path
        What was written.
    """
    tables = {
        "": (["id", *FINDING_COLUMNS, "alternatives"], [asdict(finding) for finding in audit.findings]),
        "_grids": (GRID_COLUMNS, grid_rows(audit)),
        "_storage": (STORAGE_COLUMNS, storage_rows(audit)),
        "_rounding": (list(audit.modes[0]), audit.modes),
        "_checks": (CHECK_COLUMNS, check_rows(audit)),
    }
    paths = []
    for suffix, (columns, rows) in tables.items():
        paths.append(prefix.with_name(f"{prefix.name}{suffix}.csv"))
        pages.write_csv(paths[-1], columns, rows)
    paths.append(prefix.with_name(f"{prefix.name}.html"))
    pages.write(paths[-1], html(audit))
    return paths


GRID_COLUMNS = [
    "benchmark",
    "set",
    "questions",
    "spacing",
    "cells",
    "on_grid_rounded",
    "on_grid_only_truncated",
    "share",
    "chance",
    "p_value",
    "verdict",
]


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


STORAGE_COLUMNS = ["model", "method", "bits", "printed_gb", "nominal_gb", "parameters_gb", "measured_gb"]


def storage_rows(audit: Audit) -> list[dict]:
    """One record per variant with its printed, nominal, exact and measured size."""
    rows = []
    for size in audit.sizes:
        values = (size.printed, size.nominal, size.parameters, size.measured)
        texts = ["" if value is None else f"{float(value):.4g}" for value in values]
        rows.append(asdict(size.row.variant) | dict(zip(STORAGE_COLUMNS[3:], texts, strict=True)))
    return rows


CHECK_COLUMNS = ["check", "rules", "hold", "hold_truncated", "hold_within_rounding", "broken"]


def check_rows(audit: Audit) -> list[dict]:
    """One record per kind of rule: how many there are and how they come out."""
    rows = []
    for kind in sorted({kind for kind, _ in audit.outcomes}):
        levels = [audit.outcomes[(kind, level)] for level in (EXACT, TRUNCATED, ROUNDING, OFF)]
        rows.append(dict(zip(CHECK_COLUMNS, [kind, sum(levels), *levels], strict=True)))
    return rows


def _row(finding: Finding) -> list[str]:
    return [getattr(finding, column) for column in FINDING_COLUMNS[1:]]


def _table(title: str, text: str, columns: list[str], rows: list[dict], folded: bool = False) -> pages.Section:
    headings = [column.replace("_", " ") for column in columns]
    return pages.Section(title, text, headings, [[row[c] for c in columns] for row in rows], [], folded)


def html(audit: Audit) -> str:
    """Return the page of an audit."""
    checks = check_rows(audit)
    tiles = [(label, audit.counts()[label], CLASSES[label]) for label in SEVERITIES]
    tiles.append(("changes would correct them", len(audit.changes()), "good"))
    tiles.append(("rules checked", sum(row["rules"] for row in checks), ""))
    sections = []
    for severity in SEVERITIES:
        rows = [finding for finding in audit.findings if finding.severity == severity]
        marks = [CLASSES[severity]] * len(rows)
        title = {ERROR: "Errors", DOUBTFUL: "Doubtful", NOTE: "Notes"}[severity]
        sections.append(pages.Section(title, TEXTS[severity], HEADINGS, [_row(f) for f in rows], marks, severity == NOTE))
    sections.append(_table("Rules", "How many rules there are, and how they come out.", CHECK_COLUMNS, checks))
    sections.append(_table("Which question set fits", GRID_TEXT, GRID_COLUMNS, grid_rows(audit)))
    open_columns = [{"benchmark": column, "why": why} for column, why in audit.untestable.items()]
    sections.append(_table("Columns that cannot be tested", "", ["benchmark", "why"], open_columns))
    sections.append(_table("Storage", STORAGE_TEXT, STORAGE_COLUMNS, storage_rows(audit), folded=True))
    sections.append(_table("Rounding by row", ROUNDING_TEXT, list(audit.modes[0]), audit.modes, folded=True))
    return pages.render("Audit of the printed tables", LEAD, tiles, sections)


GRID_TEXT = (
    "A score over n questions is k/n. 'Chance' is the share of all printable values in the column's "
    "range that lie on the grid; near 1 the test has no power. The p-value is that of an exact "
    "binomial test of the share on the grid against chance."
)
STORAGE_TEXT = (
    "In 10^9 bytes: as printed; nominal size in the name x bits / 8; parameters x bits / 8; measured,"
    " where a checkpoint was given."
)
ROUNDING_TEXT = "How the cells with a known grid were cut to two decimals: as only rounding gives, only truncation, or either."
