"""Signs of printed numbers that the audit finds fault with, and the notes that explain them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge2giant.published import CATEGORIES_TABLE, MISPRINT, TURNS_TABLE, PrintedMark
from edge2giant.specs.study import AVERAGE, Labels
from edge2giant.specs.variant import Variant

RATINGS_PER_CATEGORY = 20

Place = tuple[Variant, str, str]
"""Variant, column, and `value` or `delta`."""
Marks = Mapping[Place, tuple[PrintedMark, ...]]


@dataclass(frozen=True)
class Fault:
    """A kind of mark: its footnote sign, and its meaning in few words and as a note."""

    sign: str
    meaning: str
    note: str


FAULTS = {
    "ratings": Fault(
        "\N{DAGGER}",
        "off grid",
        f"Cannot be the mean of {RATINGS_PER_CATEGORY} whole ratings: a half point, or a rating dropped.",
    ),
    "difference": Fault(
        "\N{SECTION SIGN}",
        "difference does not add up",
        "As printed, but not the printed score minus the printed FP16 score.",
    ),
    "average": Fault(
        "\N{PILCROW SIGN}", "average does not add up", "As printed, but not the mean of the printed numbers of its row."
    ),
    "turns": Fault("\N{PILCROW SIGN}", "average does not add up", "As printed, but not the mean of both printed turns."),
    "tables": Fault("\N{WHITE CIRCLE}", "other table differs", "As printed, but Tables 6 and 7 print different averages."),
    "grid": Fault("#", "no possible score", "As printed, but no number of right answers gives it."),
    MISPRINT: Fault("\N{DOUBLE VERTICAL LINE}", "probable misprint", "Probable misprint, by the audit:"),
    "storage": Fault(
        "\N{LOZENGE}",
        "other size",
        "As printed, but not the billions of parameters in the model's name times weight bits over 8.",
    ),
    "toolkit": Fault(
        "\N{WHITE UP-POINTING TRIANGLE}",
        "other toolkit",
        "Toolkit as marked in this table; the tables of scores have no such row of the model.",
    ),
}
MEANINGS = {fault.sign: fault.meaning for fault in FAULTS.values()}


def by_place(marks: Iterable[PrintedMark]) -> Marks:
    """Marks by the number that they speak of. Of a probable misprint it is not said again that no questions give it."""
    found: dict[Place, tuple[PrintedMark, ...]] = {}
    for mark in marks:
        place = (mark.variant, mark.column, mark.what)
        found[place] = (*found.get(place, ()), mark)
    misprints = {place for place, those in found.items() if any(mark.kind == MISPRINT for mark in those)}
    return {
        place: tuple(mark for mark in those if not (mark.kind == "grid" and place in misprints)) for place, those in found.items()
    }


def signs(marks: Iterable[PrintedMark]) -> str:
    """The footnote signs of one number."""
    return "".join(FAULTS[mark.kind].sign for mark in marks)


def notes(marks: Iterable[PrintedMark], labels: Labels, heading: Mapping[str, str]) -> list[str]:
    """A note for each kind of mark, with what each misprint stands for; `heading` names columns."""
    marks, found = list(marks), []
    for kind, fault in FAULTS.items():
        those = dict.fromkeys(mark for mark in marks if mark.kind == kind)
        if those:
            each = "; ".join(_correction(mark, labels, heading) for mark in those) if kind == MISPRINT else ""
            found.append(f"{fault.sign} {fault.note}{f' {each}.' if each else ''}")
    return found


def _correction(mark: PrintedMark, labels: Labels, heading: Mapping[str, str]) -> str:
    variant = mark.variant
    row = f"{labels.model(variant.model)} {labels.method_bits(variant.method, variant.bits)}"
    what = " difference" if mark.what == "delta" else ""
    return f"{row}, {heading[mark.column]}{what}: {mark.printed} for {mark.corrected}"


def in_scores(marks: Iterable[PrintedMark], labels: Labels) -> str:
    """What a figure of printed scores and sizes says of those that the audit finds wrong; empty where it finds none."""
    kinds = (MISPRINT, "average", "storage")
    found = []
    for mark in marks:
        if mark.kind in kinds and mark.what == "value" and mark.table not in (CATEGORIES_TABLE, TURNS_TABLE):
            variant = mark.variant
            column = {"storage": "storage", AVERAGE: "average"}.get(mark.column) or labels.benchmark(mark.column)
            right = f" for {mark.corrected}" if mark.corrected else ""
            row = f"{labels.model(variant.model)} {labels.method_bits(variant.method, variant.bits)}"
            found.append(f"{row}, Table {mark.table}, {column}: {mark.printed}{right}")
    return f"Drawn as printed, with numbers that the audit finds wrong: {'; '.join(dict.fromkeys(found))}." if found else ""
