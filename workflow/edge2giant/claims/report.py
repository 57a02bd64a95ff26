"""Write verdicts as CSV, Markdown and one HTML page."""

from pathlib import Path

from edge2giant import pages, records
from edge2giant.claims.cases import Case
from edge2giant.claims.verdict import FAILS, HOLDS, IN_PART, OPEN, VERDICTS, ClaimVerdict, PartVerdict

MARKS = {HOLDS: "good", IN_PART: "fair", FAILS: "bad", OPEN: "soft"}
STATUS = {
    "strict": "true as stated",
    "lenient": "true only read leniently",
    "fails": "not true",
    "undecided": OPEN,
}
LEAD = (
    "Each sentence of the paper's findings, paraphrased, with the numbers that decide it. A vague "
    "word is read twice: strictly and leniently. Holds: every part is true read strictly. Fails: no "
    "part is true in any reading. One missing score leaves a claim undecided."
)
COLUMNS = [
    "id",
    "place",
    "statement",
    "verdict",
    "part",
    "status",
    "strictly",
    "leniently",
    "finding",
    "finding_lenient",
    "counterexamples",
    "missing",
    "note",
]
SHOWN = 12


def counts(verdicts: list[ClaimVerdict]) -> dict[str, int]:
    """Number of claims by verdict."""
    return {word: sum(verdict.word == word for verdict in verdicts) for word in VERDICTS}


def number(value: object) -> str:
    """Write a number of a case with two decimals, a count without."""
    return f"{value:.2f}" if isinstance(value, float) else "" if value is None else str(value)


def in_words(case: Case) -> str:
    """Write a case on one line."""
    against = "" if case.against is None else f" against {number(case.against)}"
    return f"{case.what}: {number(case.value)}{against}"


def against_it(part: PartVerdict) -> list[Case]:
    """Counterexamples to the strict reading of a part, the farthest off first."""

    def distance(case: Case) -> float:
        numbers = isinstance(case.value, (int, float)) and isinstance(case.against, (int, float))
        return abs(case.value - case.against) if numbers else 0.0

    return sorted(part.strict.counterexamples, key=distance, reverse=True)


def rows(verdicts: list[ClaimVerdict]) -> list[dict]:
    """One record per part of a claim."""
    return [_row(verdict, place, part) for verdict in verdicts for place, part in enumerate(verdict.parts, 1)]


def _row(verdict: ClaimVerdict, place: int, part: PartVerdict) -> dict:
    claim, says, lenient = verdict.spec, part.spec, part.lenient
    missing = [*part.strict.missing, *(lenient.missing if lenient else ())]
    return {
        "id": claim.id,
        "place": claim.place,
        "statement": claim.statement,
        "verdict": verdict.word,
        "part": says.says or str(place),
        "status": part.status,
        "strictly": says.strict.says,
        "leniently": says.lenient.says if says.lenient else "",
        "finding": part.strict.summary,
        "finding_lenient": lenient.summary if lenient else "",
        "counterexamples": "; ".join(in_words(case) for case in against_it(part)),
        "missing": "; ".join(dict.fromkeys(missing)),
        "note": claim.note,
    }


def _overview(verdicts: list[ClaimVerdict]) -> pages.Section:
    lines = [[v.word, v.spec.id, v.spec.place, v.spec.statement, _reasons(v)] for v in verdicts]
    marks = [MARKS[verdict.word] for verdict in verdicts]
    return pages.Section("All claims", "", ["Verdict", "Claim", "Place", "Statement", "Because"], lines, marks)


def _reasons(verdict: ClaimVerdict) -> str:
    return " | ".join(f"{part.spec.says}: {_finding(part)}" if part.spec.says else _finding(part) for part in verdict.parts)


def _finding(part: PartVerdict) -> str:
    if part.lenient is None or part.status == "strict":
        return part.strict.summary
    return f"{part.strict.summary}; leniently {part.lenient.summary}"


def _detail(verdict: ClaimVerdict) -> pages.Section:
    claim, lines, marks = verdict.spec, [], []
    text = [f"{claim.statement} ({claim.place})."]
    for part in verdict.parts:
        says, strict, other = part.spec.says, part.spec.strict, part.spec.lenient
        lenient = f" Leniently: {other.says}." if other else ""
        status = f"{says}: {STATUS[part.status]}" if says else STATUS[part.status]
        text.append(f"{status[0].upper()}{status[1:]}. Strictly: {strict.says}.{lenient}")
        for case in part.strict.cases:
            word = {True: "for", False: "against", None: ""}[case.holds]
            lines.append([word, says, case.what, number(case.value), number(case.against)])
            marks.append({True: "good", False: "bad", None: ""}[case.holds])
        for missing in dict.fromkeys(part.strict.missing):
            lines.append(["missing", says, missing, "", ""])
            marks.append("soft")
    text += [claim.note] if claim.note else []
    columns = ["Speaks", "Part", "What", "Number", "Against"]
    return pages.Section(f"{claim.id}: {verdict.word}", " ".join(text), columns, lines, marks, folded=True)


def html(verdicts: list[ClaimVerdict], source: str) -> str:
    """Return the page of all verdicts."""
    tiles = [(word, number_of, MARKS[word]) for word, number_of in counts(verdicts).items()]
    sections = [_overview(verdicts), *(_detail(verdict) for verdict in verdicts)]
    return pages.render(f"The paper's claims on {source} numbers", LEAD, tiles, sections)


def markdown(verdicts: list[ClaimVerdict], source: str) -> str:
    """Return the verdicts as a Markdown table, with the first counterexamples of each."""
    total = ", ".join(f"{number_of} {word}" for word, number_of in counts(verdicts).items())
    lines = [f"# The paper's claims on {source} numbers", "", f"{len(verdicts)} claims: {total}.", ""]
    lines += ["| id | verdict | statement | because |", "| --- | --- | --- | --- |"]
    for verdict in verdicts:
        cells = (verdict.spec.id, verdict.word, verdict.spec.statement, _reasons(verdict).replace(" | ", "<br>"))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "## Counterexamples", ""]
    for verdict in verdicts:
        examples = [case for part in verdict.parts for case in against_it(part)]
        if examples and verdict.word != OPEN:
            lines.append(f"- **{verdict.spec.id}**: " + "; ".join(in_words(case) for case in examples[:SHOWN]))
            lines[-1] += f"; and {len(examples) - SHOWN} more" if len(examples) > SHOWN else ""
    return "\n".join(lines) + "\n"


def write(verdicts: list[ClaimVerdict], source: str, prefix: Path) -> list[Path]:
    """Write ``<prefix>.csv``, ``.md`` and ``.html``; return their paths."""
    paths = [prefix.with_name(f"{prefix.name}.{ending}") for ending in ("csv", "md", "html")]
    pages.write_csv(paths[0], COLUMNS, rows(verdicts))
    for path, text in zip(paths[1:], (markdown(verdicts, source), html(verdicts, source)), strict=True):
        with records.atomic(path) as stream:
            stream.write(text)
    return paths
