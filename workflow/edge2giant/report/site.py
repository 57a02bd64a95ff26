"""Lay out the pages of a report and write them: `index.html`, a page for each cell, and what the cells' pages share."""

import shutil
from pathlib import Path

from edge2giant import pages, records
from edge2giant.pages.grids import Section
from edge2giant.report import cell_page, drawn, overview, sections
from edge2giant.report.gather import Key, ReportMaterial, page_of

ASSETS = "assets"
UP = "../../../.."
PAPER = "; the paper is Lee et al., IJCAI 2025, arXiv 2409.11055"


def index(material: ReportMaterial) -> str:
    spec = material.spec
    protocols = sorted({cell.cell.protocol for cell in material.cells.values()})
    titles = {spec.protocol: f" ({spec.protocol_title})" if spec.protocol_title else ""}
    said = [spec.title, *(f"Protocol {name}{titles.get(name, '')}" for name in protocols)]
    said += [f"Stack {name}" for name in sorted({cell.cell.stack for cell in material.cells.values()})]
    return pages.render(
        "report/templates/index.html.j2",
        title=f"Study {spec.study}",
        lead=" ".join(f"{text[0].upper()}{text[1:]}." for text in said if text),
        notes=material.notes,
        tiles=overview.tiles(material),
        sections=[Section("map", "All cells on one map", nav="Map"), *sections.of_study(material)],
        source=f"{len(material.cells)} cell records of study {spec.study}" + PAPER * spec.paper,
        paper=spec.paper,
        rated=material.judged,
        map=overview.score_map(material),
        heads=[(material.names.benchmark(name), material.confidential(name)) for name in material.benchmarks],
        figures=drawn.figures(material),
    )


def cell(material: ReportMaterial, key: Key, limit: int) -> str:
    path = "/".join(key)
    return pages.render(
        "report/templates/cell.html.j2",
        assets=f"{UP}/{ASSETS}",
        title=cell_page.title(material, key),
        notes=material.notes,
        tiles=cell_page.tiles(material, key),
        sections=cell_page.sections(material, key, limit),
        source=f"results/{material.spec.study}/cells/{path}.json",
        home=f"{UP}/index.html",
        study=material.spec.study,
        path=path,
        siblings=_siblings(material, key),
        commands=cell_page.commands(material, key),
        settings=cell_page.settings(material, key),
        recipe=cell_page.recipe(material, key),
        confidential=cell_page.CONFIDENTIAL if material.confidential(key[3]) else "",
    )


def _siblings(material: ReportMaterial, key: Key) -> list[tuple[str, str, bool]]:
    """The same benchmark of the same model with other methods: name, page, whether it is this one."""
    keys = [other for other in material.cells if (other[0], other[3]) == (key[0], key[3])]
    return [(material.names.method_bits(*other[1:3]), f"{UP}/{page_of(other)}", other == key) for other in keys]


def write(material: ReportMaterial, out: Path, limit: int) -> list[Path]:
    """Write the report into a folder and return its pages, `index.html` first; pages of cells that are no longer there go.

    Parameters
    ----------
    limit : int
        Answers to show on the page of a cell; 0: none.
    """
    for stale in ("cells", ASSETS):
        shutil.rmtree(out / stale, ignore_errors=True)
    pages.write_assets(out / ASSETS)
    written = [out / page_of(key) for key in material.cells]
    for key, path in zip(material.cells, written, strict=True):
        records.write_text(path, cell(material, key, limit))
    records.write_text(out / "index.html", index(material))
    return [out / "index.html", *written]
