"""Write verdicts as CSV, Markdown and one HTML page."""

from pathlib import Path

from edge2giant import pages, records
from edge2giant.claims.cases import Case
from edge2giant.claims.verdict import OPEN, VERDICTS, ClaimVerdict, PartVerdict
from edge2giant.pages import grids
from edge2giant.pages.grids import Column, Grid, Section

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
PART = {
    "verdict": Column("Verdict", "choice"),
    "id": Column("Claim"),
    "statement": Column("Statement", "long"),
    "part": Column("Part"),
    "status": Column("Reading", "choice"),
    "finding": Column("Finding", "long"),
    "counterexamples": Column("Counterexamples", "long"),
    "missing": Column("Missing", "long"),
    "note": Column("Note", "long"),
    "place": Column("Section"),
}
NUMBERS = [
    Column("Speaks", "choice"),
    Column("Part", "choice"),
    Column("What", "long"),
    Column("Number", "number", digits=None),
    Column("Against", "number", digits=None),
]
SHOWN = 12
PAGE = 100


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
        "corrected": "; ".join(part.corrected.says) if part.corrected else "",
        "counterexamples": "; ".join(in_words(case) for case in against_it(part)),
        "missing": "; ".join(dict.fromkeys(missing)),
        "note": claim.note,
    }


def _reasons(verdict: ClaimVerdict, separator: str) -> str:
    return separator.join(_prefixed(part, _finding(part)) for part in verdict.parts)


def _prefixed(part: PartVerdict, text: str) -> str:
    return f"{part.spec.says}: {text}" if part.spec.says else text


def _finding(part: PartVerdict) -> str:
    found = part.strict.summary
    if part.lenient is not None and part.status != "strict":
        found += f"; leniently {part.lenient.summary}"
    if part.corrected and part.corrected.status != part.status:
        found += f"; {STATUS[part.corrected.status]} with the audit's corrections"
    return found


def _overview(verdicts: list[ClaimVerdict]) -> Section:
    columns = [PART["verdict"], PART["id"], PART["statement"], Column("Because", "long"), PART["place"]]
    grid = Grid("all", "All claims", columns, page=PAGE)
    for verdict in verdicts:
        claim = verdict.spec
        link = grids.Value(claim.id, href=f"#{claim.id}")
        grid.rows.append([verdict.word, link, claim.statement, _reasons(verdict, "\n"), claim.place])
    return Section("all", "All claims", "A claim leads to the numbers that decide it.", grids=[grid])


def _detail(verdict: ClaimVerdict) -> Section:
    claim = verdict.spec
    section = Section(claim.id, f"{claim.id}: {verdict.word}", f"{claim.statement} ({claim.place}). {claim.note}")
    grid = Grid(claim.id, "Numbers", NUMBERS, page=PAGE, folded=True)
    for part in verdict.parts:
        says, strict, lenient = part.spec.says, part.spec.strict.says, part.spec.lenient
        status = _prefixed(part, f"{STATUS[part.status]}. Strictly: {strict}.")
        section.points.append(status[0].upper() + status[1:] + (f" Leniently: {lenient.says}." if lenient else ""))
        if part.corrected:
            fixed = f"With the audit's corrections: {STATUS[part.corrected.status]}; {part.corrected.strict.summary}."
            section.points.append(_prefixed(part, fixed))
        for case in part.strict.cases:
            word = {True: "for", False: "against", None: ""}[case.holds]
            grid.rows.append([word, says, case.what, number(case.value), number(case.against)])
        grid.rows += [["missing", says, missing, "", ""] for missing in dict.fromkeys(part.strict.missing)]
    section.grids = [grid]
    return section


def html(verdicts: list[ClaimVerdict], source: str) -> str:
    shown = {"title": f"The paper's claims on {source} numbers", "lead": LEAD}
    shown["tiles"] = [(word, grids.count(number_of, word)) for word, number_of in counts(verdicts).items()]
    shown["sections"] = [_overview(verdicts), *(_detail(verdict) for verdict in verdicts)]
    return pages.render("page.html.j2", source=f"the {source} numbers and config/published/claims.yaml", **shown)


def markdown(verdicts: list[ClaimVerdict], source: str) -> str:
    """Return the verdicts as a Markdown table, with the first counterexamples of each."""
    total = ", ".join(f"{number_of} {word}" for word, number_of in counts(verdicts).items())
    lines = [f"# The paper's claims on {source} numbers", "", f"{len(verdicts)} claims: {total}.", ""]
    lines += ["| id | verdict | statement | because |", "| --- | --- | --- | --- |"]
    for verdict in verdicts:
        cells = (verdict.spec.id, verdict.word, verdict.spec.statement, _reasons(verdict, "<br>"))
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
    records.write_csv(paths[0], rows(verdicts))
    records.write_text(paths[1], markdown(verdicts, source))
    records.write_text(paths[2], html(verdicts, source))
    return paths
