"""What an audit finds: findings, how the rules came out, and marks for the tables."""

from collections import Counter
from dataclasses import dataclass, field

from edge2giant.audit import printed, question_sets, storage
from edge2giant.audit.corrections import Correction
from edge2giant.published import PrintedMark
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant

ERROR, DOUBTFUL, NOTE = "error", "doubtful", "note"
SEVERITIES = (ERROR, DOUBTFUL, NOTE)


@dataclass(frozen=True)
class Finding:
    """One thing that a reader of the tables should know.

    Parameters
    ----------
    id : str
        Check, row and column; the same in every run.
    correction : str
        The one change that would correct it, or empty.
    alternatives : int
        How many changes of the smallest kind would correct it equally well (1 where `correction` is given).
    severity : str
        ``error``: no rounding explains it. ``doubtful``: it rests on an assumption about sets or tools.
        ``note``: explained by rounding, or a matter of form.
    """

    id: str
    check: str
    where: str
    printed: str
    recomputed: str
    correction: str = ""
    alternatives: int = 0
    severity: str = ERROR
    comment: str = ""


@dataclass
class Audit:
    """All results of one run.

    Parameters
    ----------
    outcomes : Counter
        Number of rules by (kind, level).
    evidence : list of Evidence
        Every column against every candidate set.
    untestable : dict of str to str
        Columns that no set can be identified by, and why.
    modes : list of dict
        How the on-grid cells of each row were cut to two digits.
    marks : list of PrintedMark
        What tables and comparisons say of single printed numbers.
    """

    findings: list[Finding] = field(default_factory=list)
    outcomes: Counter = field(default_factory=Counter)
    evidence: list[question_sets.Evidence] = field(default_factory=list)
    untestable: dict[str, str] = field(default_factory=dict)
    modes: list[dict] = field(default_factory=list)
    sizes: list[storage.PrintedSize] = field(default_factory=list)
    marks: list[PrintedMark] = field(default_factory=list)

    def corrected(self) -> int:
        """How many errors the changes settle."""
        return sum(bool(finding.correction) for finding in self.findings if finding.severity == ERROR)

    def changes(self) -> set[str]:
        """The different corrections of the findings."""
        return {finding.correction for finding in self.findings if finding.correction}

    def counts(self) -> dict[str, int]:
        """Number of findings of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}


def place(key: printed.Key) -> str:
    """Say in words where a printed number stands."""
    row, column, what = key
    table, model, method, bits = row.split("/")
    shown = method if method == FP16[0] else f"{method} {bits}"
    return f"Table {table[1:]}, {model}, {shown}, {column}{' (difference)' if what == 'delta' else ''}"


def mark(key: printed.Key, kind: str, text: str, corrected: str = "") -> PrintedMark:
    """A mark of the printed number that stands at `key`."""
    row, column, what = key
    table, *variant = row.split("/")
    return PrintedMark(int(table[1:]), Variant(*variant), column, what, kind, text, corrected)


def in_words(change: Correction) -> str:
    """Say what a correction changes."""
    return f"{place(change.key)}: {change.before} to {change.after} ({change.step})"
