"""Specs of studies for tests: of the configuration as it stands, and of a study with variants of the test's own."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from edge2giant import config, specs
from edge2giant.plan.study import study_spec
from edge2giant.specs.study import Labels, StudySpec, StudyVariant
from edge2giant.specs.variant import Variant
from factories import SUITES
from shared import ROOT

PUBLISHED = ROOT / "config/published"
ALL = tuple(name for members in SUITES.values() for name in members)


@cache
def spec_of(study: str) -> StudySpec:
    """Spec of a study in `config/studies`."""
    return study_spec(config.load(ROOT), study)


def spec_with(rows, study="miniature", benchmarks=ALL, storage_gb=0.004, labels: Labels | None = None) -> StudySpec:
    """Spec of a study with the given (model, method, bits); all of them stand in the main tables."""
    paper, variants = spec_of("paper"), tuple(Variant(*row) for row in rows)
    return replace(
        paper,
        study=study,
        title=study,
        variants=tuple(StudyVariant(variant, storage_gb, tuple(benchmarks)) for variant in variants),
        labels=labels or paper.labels,
        tables=tuple(replace(one, variants=() if one.number in (4, 5) else variants) for one in paper.tables),
        figure2_models=tuple(dict.fromkeys(variant.model for variant in variants)),
    )


def arguments_of(spec: object, folder: Path) -> list[str]:
    """Write a spec below a folder and return the options that name it, and the published numbers."""
    return [*options_of(spec, folder), "--published", str(PUBLISHED)]


def options_of(spec: object, folder: Path) -> list[str]:
    """Write a spec below a folder and return the options that name it."""
    digest = specs.write(spec, folder)
    return ["--spec", str(specs.path(folder, digest)), "--spec-digest", digest]
