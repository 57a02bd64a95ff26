"""Turn the arguments of the command line into frames and row lists."""

import json
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import yaml

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.mt_bench import CATEGORIES
from edge2giant.paper import frames, labels, tables
from edge2giant.paper.figure2 import Panels

PRINTED = "As printed in arXiv 2409.11055v6."


def expected_rows(path: str | Path | None) -> list[dict] | None:
    """Read the row list of a study, or None when there is no file.

    Raises
    ------
    UserError
        If the file is not a list of rows with model, method and bits.
    """
    if path is None:
        return None
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("is missing", path, "give --expected an existing file") from None
    except ValueError as error:
        raise UserError(f"cannot be read as JSON ({error})", path) from None
    for number, row in enumerate(rows if isinstance(rows, list) else [None]):
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in frames.ROW):
            raise UserError(f"entry {number} does not name model, method and bits", path, "write a list of rows")
    return rows


def _found_rows(cells: list[dict], config_dir: str) -> list[dict]:
    """Rows of the cells: first those that the paper prints, in its order, then the others by name."""
    scores = frames.scores_of(cells)
    printed = tables.rows_of(frames.published_scores(config_dir))
    order = {tuple(row[name] for name in frames.ROW): number for number, row in enumerate(printed)}
    models = {row["model"]: number for number, row in reversed(list(enumerate(printed)))}
    found = [row | {"storage_gb": None} for row in tables.rows_of(scores)]

    def place(row: dict) -> tuple:
        key = tuple(row[name] for name in frames.ROW)
        known = order.get(key, len(order))
        return models.get(row["model"], len(order)), row["model"], known, row["method"] != "fp16", key

    return sorted(found, key=place)


def _study_title(cells: list[dict], rows: list[dict] | None) -> str:
    studies = sorted({cell["cell"]["study"] for cell in cells})
    if len(studies) > 1:
        raise UserError(f"cells of several studies are mixed: {', '.join(studies)}", hint="give one study's cells")
    return f"Regenerated (study {studies[0]})." if studies else "Regenerated: no cell yet."


def _published(spec: tables.Spec, arguments: Namespace) -> tables.Source:
    frame = tables.published_frame(spec, arguments.config)
    rows = expected_rows(arguments.expected) or tables.rows_of(frame)
    return tables.Source(PRINTED, frame, rows)


def _regenerated(spec: tables.Spec, arguments: Namespace) -> tables.Source:
    cells = frames.read_cells(arguments.cells)
    expected = expected_rows(arguments.expected)
    rows = tables.choose_rows(spec, expected or _found_rows(cells, arguments.config), arguments.config)
    failures = tables.failure_reasons(records.read_json(path, "failure") for path in arguments.failures)
    source = tables.Source(_study_title(cells, expected), tables.cells_frame(spec, cells, arguments.config), rows, failures)
    if arguments.beside_published:
        both = None if spec.is_mt_bench else (spec.number, spec.sister)
        source.beside = tables.published_frame(spec, arguments.config, both)
    return source


def table_source(spec: tables.Spec, arguments: Namespace) -> tuple[labels.Labels, tables.Source]:
    """Names and filling of one table, as the command line asks."""
    names = labels.load(arguments.config)
    build = _published if arguments.source == "published" else _regenerated
    return names, build(spec, arguments)


def _categories(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["category"].isin(CATEGORIES)]


def _paper_models(config_dir: str) -> list[str]:
    """Models of the printed Figure 2: `figure2_models` of the paper's study."""
    path = Path(config_dir) / "studies" / "paper.yaml"
    try:
        return list(yaml.safe_load(path.read_text(encoding="utf-8"))["figure2_models"])
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        raise UserError("does not name figure2_models", path, "name the models with --models m1,m2") from None


def _models(asked: str, known: Iterable[str], config_dir: str) -> tuple[str, ...]:
    known = list(dict.fromkeys(known))
    if asked == "all":
        return tuple(known)
    models = _paper_models(config_dir) if asked == "paper" else [name for name in asked.split(",") if name]
    unknown = [name for name in models if name not in known]
    if unknown:
        text = f"no MT-Bench score or row of {', '.join(unknown)}"
        raise UserError(text, "--models", f"choose from {', '.join(known) or 'none'}, or 'all'")
    return tuple(models)


def figure2_panels(arguments: Namespace) -> tuple[labels.Labels, Panels]:
    """Names and panels of Figure 2, as the command line asks.

    Raises
    ------
    UserError
        If a model is asked for that has neither scores nor a row.
    """
    names = labels.load(arguments.config)
    printed = _categories(frames.published_mt_bench(arguments.config))
    if arguments.source == "published":
        models = _models(arguments.models, printed["model"], arguments.config)
        return names, Panels(printed, models, (("published", "as printed"),))
    cells = frames.read_cells(arguments.cells)
    _study_title(cells, None)
    found = _categories(frames.mt_bench_of(cells))
    rows = [row for row in expected_rows(arguments.expected) or [] if "mt_bench" in row.get("benchmarks", ["mt_bench"])]
    models = _models(arguments.models, [row["model"] for row in rows] + list(found["model"]), arguments.config)
    study = found["source"].iloc[0] if len(found) else "regenerated"
    sources = ((study, f"regenerated ({study})"),)
    if not arguments.beside_published:
        return names, Panels(found, models, sources)
    both = pd.concat([found, printed[printed["model"].isin(models)]], ignore_index=True)
    return names, Panels(both, models, (*sources, ("published", "as printed")))


def all_scores(arguments: Namespace) -> tuple[labels.Labels, pd.DataFrame]:
    """Names and every leaderboard score with averages, published or regenerated."""
    names = labels.load(arguments.config)
    if arguments.source == "published":
        return names, frames.published_scores(arguments.config)
    cells = frames.read_cells(arguments.cells)
    _study_title(cells, None)
    return names, frames.with_average(frames.scores_of(cells), tables.members(arguments.config))
