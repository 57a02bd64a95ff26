"""Figures inside the page of a report, each with a text for readers who do not see it."""

import base64
import io
from collections import Counter

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from edge2giant.paper import differences, figure2, frames
from edge2giant.report.gather import ReportMaterial


def figures(material: ReportMaterial) -> dict[str, dict[str, str] | None]:
    """Figures by the section that shows them; None where there is nothing to draw."""
    return {"figure2": _figure2(material), "statistics": _differences(material)}


def _figure2(material: ReportMaterial) -> dict[str, str] | None:
    ratings = frames.ratings_of(material.cells.values())
    if ratings.empty:
        return None
    models = tuple(dict.fromkeys(ratings["model"]))
    panels = figure2.panels_of(material.spec, ratings, models, (material.spec.study, "regenerated"))
    names = ", ".join(material.names.model(model) for model in models)
    text = f"MT-Bench by category for {names}: one radar a model."
    return _embedded(figure2.draw(panels, material.names, intervals=False), text)


def _differences(material: ReportMaterial) -> dict[str, str] | None:
    rows = material.analyses.get("statistics")
    if not rows:
        return None
    counts = Counter(map(differences.verdict, rows))
    said = ", ".join(f"{counts[name]} {name}" for name in differences.LOOKS if counts[name])
    return _embedded(differences.draw(rows, material.spec), f"{differences.TITLE}: {said}.")


def _embedded(drawn: Figure, text: str) -> dict[str, str]:
    stream = io.BytesIO()
    drawn.savefig(stream, format="svg", metadata={"Date": None})
    plt.close(drawn)
    source = base64.b64encode(stream.getvalue()).decode()
    return {"source": f"data:image/svg+xml;base64,{source}", "text": text}
