"""Lay out the pages of a report and write them: `index.html`, a page for each cell, and what the cells' pages share."""

import base64
import io
import shutil
from pathlib import Path

from edge2giant import pages
from edge2giant.paper import figure2
from edge2giant.report import cell_page, library, overview, sections
from edge2giant.report.gather import Key, ReportMaterial, page_of

ASSETS = "assets"
DEPTH = "../../../../"


def _figure2(material: ReportMaterial) -> dict | None:
    """Figure 2 as an image inside the page, with a text for readers who do not see it."""
    frame = sections.mt_bench(material)
    if frame.empty:
        return None
    models = tuple(dict.fromkeys(frame["model"]))
    panels = figure2.Panels(frame, models, ((material.study, "regenerated"),))
    drawn, stream = figure2.draw(panels, material.names, intervals=False), io.BytesIO()
    drawn.savefig(stream, format="svg", metadata={"Date": None})
    source = base64.b64encode(stream.getvalue()).decode()
    names = ", ".join(material.names.model(model) for model in models)
    return {"source": f"data:image/svg+xml;base64,{source}", "text": f"MT-Bench by category for {names}: one radar a model."}


def _analyses(material: ReportMaterial) -> list[dict]:
    shown = (
        (
            "comparison",
            "Against the paper",
            "Against the paper",
            sections.COMPARISON,
            "Regenerated less printed, cell by cell; verdicts by Holm over a table.",
        ),
        (
            "statistics",
            "Statistics",
            "Paired statistics",
            sections.STATISTICS,
            "Every quantized variant against FP16 on the same questions.",
        ),
        (
            "audit",
            "Audit",
            "Audit of the printed tables",
            sections.AUDIT,
            "The printed numbers against each other; no run is needed for this.",
        ),
        (
            "claims",
            "Claims",
            "Claims on these cells",
            sections.CLAIMS,
            "The findings of the paper, judged by the regenerated numbers.",
        ),
        (
            "printed claims",
            "Claims as printed",
            "Claims on the printed numbers",
            sections.CLAIMS,
            "The same findings, judged by the numbers that the paper prints.",
        ),
    )
    found = []
    for name, short, heading, columns, lead in shown:
        grid = sections.analysis(material, name, heading, columns)
        counts = sections.counts(grid) if grid and columns is not sections.STATISTICS else []
        found.append(
            {"name": name.replace(" ", "-"), "short": short, "title": heading, "grid": grid, "lead": lead, "counts": counts}
        )
    return found


def index(material: ReportMaterial) -> str:
    """The report's first page as text."""
    script, style = library.script(), library.style()
    protocols = sorted({cell["cell"]["protocol"] for cell in material.cells.values()})
    return (
        pages.environment(library.TEMPLATES)
        .get_template("index.html.j2")
        .render(
            material=material,
            policy=library.policy(pages.fingerprint(style), pages.fingerprint(script)),
            script=script,
            style=style,
            notes=material.notes,
            tiles=overview.tiles(material),
            map=overview.score_map(material),
            heads=[(name, material.names.benchmark(name), material.confidential(name)) for name in material.benchmarks],
            protocols=[(name, material.spec.protocol_title if name == material.spec.protocol else "") for name in protocols],
            stacks=sorted({cell["cell"]["stack"] for cell in material.cells.values()}),
            tables=sections.paper_tables(material),
            scores=sections.scores(material),
            scores_note=sections.storage_note(material),
            figure=_figure2(material),
            analyses=_analyses(material),
            cost=sections.cost(material),
            provenance=sections.provenance(material),
            failures=sections.failures(material),
            library=f"{library.PACKAGE} {library.version()}",
        )
    )


def cell(material: ReportMaterial, key: Key, limit: int) -> str:
    """The page of one cell as text."""
    heading, path = cell_page.title(material, key)
    return (
        pages.environment(library.TEMPLATES)
        .get_template("cell.html.j2")
        .render(
            study=material.study,
            policy=library.policy("'self'", "'self'"),
            root=DEPTH,
            notes=material.notes,
            heading=heading,
            path=path,
            confidential=cell_page.CONFIDENTIAL if material.confidential(key[3]) else "",
            warnings=material.cells[key]["warnings"],
            facts=cell_page.facts(material, key),
            parts=cell_page.parts(material, key),
            answers=cell_page.answers(material, key, limit) if limit else None,
            settings=cell_page.settings(material, key),
            recipe=cell_page.recipe(material, key),
            commands=cell_page.commands(material, key),
            siblings=_siblings(material, key),
        )
    )


def _siblings(material: ReportMaterial, key: Key) -> list[tuple[str, str, bool]]:
    """The same benchmark of the same model with other methods: name, page, whether it is this one."""
    keys = [other for other in material.cells if (other[0], other[3]) == (key[0], key[3])]
    return [(cell_page.title(material, other)[0].split(" · ")[1], DEPTH + page_of(other), other == key) for other in keys]


def write(material: ReportMaterial, out: Path, limit: int) -> list[Path]:
    """Write the report into a folder; pages of cells that are no longer there go.

    Parameters
    ----------
    material : ReportMaterial
    out : Path
    limit : int
        Answers to show on the page of a cell; 0: none.

    Returns
    -------
    list of Path
        `index.html` first, then the cells' pages.
    """
    for stale in ("cells", ASSETS):
        shutil.rmtree(out / stale, ignore_errors=True)
    written = []
    for name, content in (("tables.js", library.script()), ("style.css", library.style())):
        pages.write(out / ASSETS / name, content)
    for key in material.cells:
        path = out / page_of(key)
        pages.write(path, cell(material, key, limit))
        written.append(path)
    pages.write(out / "index.html", index(material))
    return [out / "index.html", *written]
