"""Everything that a report reads, read once and checked."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from functools import cached_property
from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.paper import frames
from edge2giant.paper.tables import ALL, failure_reasons
from edge2giant.records.cell import CellRecord
from edge2giant.records.failure import Failure
from edge2giant.specs.study import FP16, Labels, StudySpec, StudyVariant
from edge2giant.specs.variant import Variant

Key = tuple[str, str, str, str]
MADE_UP = (
    "The questions of this study are made up, and its models are tiny: it shows that every step works. Its scores say"
    " nothing about real models, and where a benchmark bears a known name, these are not that benchmark's questions."
)


@dataclass
class ReportMaterial:
    """What there is to report of a study.

    Parameters
    ----------
    variants : tuple of StudyVariant
        What the study evaluates, and what cells show beyond it.
    analyses : dict
        `comparison`, `statistics`, `audit`, `claims` and `printed claims` to the rows of their CSV files; absent when not given.
    notes : list of str
        Shown on top of every page.
    """

    spec: StudySpec
    published: Path
    cells: dict[Key, CellRecord] = field(default_factory=dict)
    paths: dict[Key, Path] = field(default_factory=dict)
    variants: tuple[StudyVariant, ...] = ()
    failures: list[Failure] = field(default_factory=list)
    analyses: dict[str, list[dict]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> Labels:
        return self.spec.labels

    @property
    def benchmarks(self) -> list[str]:
        """Benchmarks of any variant, in the order of the study."""
        return list(dict.fromkeys(name for entry in self.variants for name in entry.benchmarks))

    @property
    def judged(self) -> bool:
        """Whether any variant has ratings."""
        return any(
            self.spec.benchmarks[name].measure.unit == "rating" for name in self.benchmarks if name in self.spec.benchmarks
        )

    @cached_property
    def planned(self) -> set[Key]:
        """Cells that the study has, made or not."""
        return set(_keys(self.variants))

    @cached_property
    def reasons(self) -> dict[tuple[Variant, str], str]:
        """Why cells failed, by variant and benchmark; `*` stands for all benchmarks."""
        return failure_reasons(self.failures)

    def state(self, key: Key) -> str:
        """`made`, `failed`, `not run` or `not planned`."""
        if key in self.cells:
            return "made"
        if key not in self.planned:
            return "not planned"
        return "failed" if self.reason(key) else "not run"

    def reason(self, key: Key) -> str:
        """Why a cell is missing, or an empty text."""
        variant, benchmark = Variant(*key[:3]), self.spec.benchmarks.get(key[3])
        places = ((variant, name) for name in (key[3], benchmark and benchmark.suite, ALL))
        return next((self.reasons[place] for place in places if place in self.reasons), "")

    def confidential(self, benchmark: str) -> bool:
        """Whether a benchmark's questions and answers must not be shown."""
        return benchmark in self.spec.benchmarks and self.spec.benchmarks[benchmark].confidential

    def fp16(self, key: Key) -> CellRecord | None:
        """The unquantized cell that a cell is compared with."""
        return self.cells.get(base_of(key))

    def against_fp16(self, key: Key) -> float | None:
        """Score less the FP16 score of the same model, None for FP16 itself or where either is missing."""
        cell, base = self.cells.get(key), self.fp16(key)
        return None if cell is None or base is None or key == base_of(key) else cell.score - base.score


def _keys(variants: Iterable[StudyVariant]) -> list[Key]:
    """Cells of some variants, in their order."""
    return [(*astuple(entry.variant), name) for entry in variants for name in entry.benchmarks]


def base_of(key: Key) -> Key:
    """The unquantized cell of the same model and benchmark."""
    return key[0], *FP16, key[3]


def page_of(key: Key) -> str:
    """Where the page of a cell lies, relative to the report; a name that could lead out of it is refused."""
    for part in key:
        if not part or part.startswith(".") or not all(c.isalnum() or c in "._-" for c in part):
            raise UserError(f"{part!r} cannot be a file name", "cell " + " ".join(key), "rename it in config/")
    return "cells/" + "/".join(key) + ".html"


def files(paths: Iterable[str | Path]) -> list[Path]:
    """Records as named; a folder stands for every JSON file in it."""
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise UserError("is missing", path, "give records, or a folder of records")
        found += [path] if path.is_file() else sorted(path.rglob("*.json"))
    return found


def _variants(spec: StudySpec, cells: Iterable[Key]) -> tuple[StudyVariant, ...]:
    """Variants of the study with the benchmarks to expect; variants and benchmarks of other cells come after them."""
    found = {entry.variant: list(entry.benchmarks) for entry in spec.variants}
    for key in cells:
        found.setdefault(Variant(*key[:3]), []).append(key[3])
    sizes = {entry.variant: entry.storage_gb for entry in spec.variants}
    return tuple(StudyVariant(one, sizes.get(one, 0.0), tuple(dict.fromkeys(names))) for one, names in found.items())


def _analyses(options: dict[str, str | None], printed: str | None) -> dict[str, list[dict]]:
    beside = {"audit": Path(printed) / "audit.csv", "printed claims": Path(printed) / "claims.csv"} if printed else {}
    given = {name: Path(path) for name, path in options.items() if path}
    hint = "make it first, or leave the option out"
    return {name: records.read_csv(path, hint) for name, path in (beside | given).items()}


def read(
    spec: StudySpec,
    published: Path,
    cells: Iterable[str],
    failures: Iterable[str] = (),
    printed: str | None = None,
    note: str | None = None,
    **analyses: str | None,
) -> ReportMaterial:
    """Read what a report needs; `cells` and `failures` name records or folders of them, `printed` is a folder of two analyses."""
    paths = files(cells)
    given = {
        (*astuple(record.cell.variant), record.cell.benchmark): (record, path)
        for record, path in zip(frames.read_cells(paths, spec.study), paths, strict=True)
    }
    variants = _variants(spec, given)
    made = {key: given[key] for key in _keys(variants) if key in given}
    limited = spec.limited(name for name in spec.benchmarks if any(name in one.benchmarks for one in variants))
    return ReportMaterial(
        spec,
        published,
        {key: record for key, (record, _) in made.items()},
        {key: path for key, (_, path) in made.items()},
        variants,
        [records.read(path, Failure) for path in files(failures)],
        _analyses(analyses, printed),
        [text for text in (note, MADE_UP if spec.source != "hub" else "", limited) if text],
    )
