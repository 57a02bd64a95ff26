"""What the page of one cell shows: scores, parts, answers beside those of FP16, settings, versions, and how to make it again."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from edge2giant import rerun, typed
from edge2giant.errors import UserError
from edge2giant.pages import grids
from edge2giant.pages.grids import Column, Grid, Section, Value
from edge2giant.records.cell import CellRecord, Part
from edge2giant.records.units import UNBOUNDED, UNITS
from edge2giant.report.gather import Key, ReportMaterial, base_of, page_of
from edge2giant.report.sections import size
from edge2giant.stats import samples

PARTS = [
    Column("Task"),
    Column("Metric"),
    Column("Score", "number"),
    Column("FP16", "number"),
    Column("against FP16", "signed"),
    Column("n", "count"),
    Column("raw", "number", "share of right answers, or mean rating", digits=4),
    Column("± error", "number", digits=4),
    Column("chance", "number", "level that is subtracted where the benchmark is normalised", digits=3),
]
ANSWERS = {
    "task": Column("Task", "choice"),
    "doc_id": Column("Question", "count"),
    "metric": Column("Metric", "choice"),
    "change": Column("Change", "choice"),
    "value_fp16": Column("FP16", "number"),
    "value": Column("Value", "number"),
    "prediction_fp16": Column("Answer of FP16", "long"),
    "prediction": Column("Answer", "long"),
}
CONFIDENTIAL = (
    "The authors of this benchmark ask not to publish its questions and answers. This page therefore shows neither, nor the"
    " choices of the model: only which questions turned right or wrong."
)


def title(material: ReportMaterial, key: Key) -> str:
    """Heading of the page."""
    names = material.names
    return f"{names.model(key[0])} · {names.method_bits(*key[1:3])} · {names.benchmark(key[3])}"


def tiles(material: ReportMaterial, key: Key) -> list[tuple[str, Value]]:
    """The few numbers on top of the page."""
    cell = material.cells[key]
    unit = UNITS[cell.unit]
    printed, weights = cell.published, cell.checkpoint
    found = [("Score", grids.number(cell.score, unit.digits, sub=unit.scale))]
    found += [
        ("Standard error", grids.number(cell.stderr, unit.digits)),
        ("Ratings" if cell.unit == "rating" else "Questions", grids.number(cell.n, 0)),
    ]
    if key != base_of(key):
        base = material.fp16(key)
        href = "" if base is None else "../../../../" + page_of(base_of(key))
        sub = "FP16 not made" if base is None else f"FP16: {grids.number(base.score, unit.digits).text}"
        found.append(("Against FP16", grids.number(material.against_fp16(key), unit.digits, signed=True, sub=sub, href=href)))
    if material.spec.paper:
        sub = f"{printed.place}: {printed.value}" if printed else "not in the paper"
        against = grids.number(printed and printed.difference, signed=True)
        found.append(("Against the paper", replace(against, sub=sub)))
    stored = f"{size(weights.bytes).text} GB" if weights.bytes >= 1e8 else f"{weights.bytes / 1e6:.1f} MB"
    return [*found, ("Checkpoint", Value(stored, sub=weights.digest[:12]))]


def sections(material: ReportMaterial, key: Key, limit: int) -> list[Section]:
    """What stands below: warnings, how to make the cell again, its parts, its answers, and its settings."""
    warnings = material.cells[key].warnings
    found = [Section("warnings", "Warnings", points=warnings)] if warnings else []
    found += [Section("again", "Make this cell again"), Section("parts", "Parts", grids=[_parts(material, key)])]
    found += [_answers(material, key, limit)] if limit else []
    return [*found, Section("settings", "Settings and versions")]


def _parts(material: ReportMaterial, key: Key) -> Grid:
    """Subtasks, or categories and turns, beside those of FP16."""
    base = None if key == base_of(key) else material.fp16(key)
    other = {(part.task, part.metric): _shown(part) for part in (base.parts if base else ())}
    grid, unit = Grid("parts", "Parts", PARTS), material.cells[key].unit
    for part in material.cells[key].parts:
        mine, theirs = _shown(part), other.get((part.task, part.metric))
        difference = None if mine is None or theirs is None else mine - theirs
        heat = grids.heat(difference, 10 if part.normalised is None else 1)
        # beside a perplexity or a divergence, parts are in units and directions of their own
        mark, digits = (heat, 2) if unit not in UNBOUNDED else ("", 4)
        against = grids.number(difference, digits, signed=True, mark=mark)
        raw = [part.n, part.raw, part.stderr, part.chance]
        shown = [grids.number(value, digits) for value in (mine, theirs)]
        grid.rows.append([part.task, part.metric, *shown, against, *raw])
    return grid


def _shown(part: Part) -> float | None:
    return part.raw if part.normalised is None else part.normalised


def _answers(material: ReportMaterial, key: Key, limit: int) -> Section:
    """Samples of a cell: changed ones first, then by size of the change, up to a limit."""
    section = Section("answers", "Answers")
    try:
        table, section.notice = _joined(material, key, samples.Evaluation(material.cells[key], material.paths[key]))
    except UserError as error:
        section.notice = _plain(error)
        return section
    table = _of_parts(table, material.cells[key])
    lost = (table["was"] == True) & (table["correct"] == False)  # noqa: E712  (nullable: None is neither)
    gained = (table["was"] == False) & (table["correct"] == True)  # noqa: E712
    by = (table["value"] - table["value_fp16"]).fillna(0.0)
    table["change"] = [_change(*flags) for flags in zip(lost, gained, by, strict=True)]
    table["rank"] = 2 * (lost | gained) + by.abs()
    chosen = table.sort_values("rank", ascending=False, kind="stable").head(limit)
    alone = key == base_of(key) or bool(section.notice)
    section.grids = [_answer_grid(chosen, alone, material.confidential(key[3]))]
    changed, flipped = int((table["change"] != "same").sum()), int((lost | gained).sum())
    if changed:
        section.text = f"{changed} of {len(table)} outcomes differ from FP16: {lost.sum()} lost, {gained.sum()} gained,"
        section.text += f" {changed - flipped} with another value. "
    all_of_them = f"Shown are {len(chosen)} of {len(table)}, the changed ones first; the samples file has all of them."
    section.text += all_of_them if len(chosen) < len(table) else f"All {len(table)} are shown."
    return section


def _plain(error: UserError) -> str:
    """What a reader of the page can use of an error: no path of this machine."""
    return " ".join(f"{error.what}; {error.hint}".split())


def _joined(material: ReportMaterial, key: Key, one: samples.Evaluation) -> tuple[pd.DataFrame, str]:
    if key == base_of(key):
        return _alone(one.samples()), ""
    base = material.fp16(key)
    if base is None:
        return _alone(one.samples()), "The FP16 cell of this model was not made, so there is no answer to compare with."
    try:
        both = samples.join(samples.Evaluation(base, material.paths[base_of(key)]), one)
    except UserError as error:
        return _alone(one.samples()), f"The answers of FP16 cannot be shown beside these: {_plain(error)}."
    names = {"value_b": "value", "correct_b": "correct", "prediction_b": "prediction"}
    return both.rename(columns=names | {"value_a": "value_fp16", "correct_a": "was", "prediction_a": "prediction_fp16"}), ""


def _alone(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(value_fp16=float("nan"), was=None, prediction_fp16="")


def _of_parts(table: pd.DataFrame, cell: CellRecord) -> pd.DataFrame:
    """Rows of the metrics that make the score, where the parts name them."""
    scored = {part.metric.split(",")[0] for part in cell.parts}
    chosen = table[table["metric"].isin(scored)]
    return (chosen if len(chosen) else table).reset_index(drop=True).copy()


def _change(lost: bool, gained: bool, by: float) -> str:
    if lost or gained:
        return "lost" if lost else "gained"
    return "same" if not by else "higher" if by > 0 else "lower"


def _answer_grid(table: pd.DataFrame, alone: bool, confidential: bool) -> Grid:
    left_out = {"change", "value_fp16", "prediction_fp16"} if alone else set()
    if confidential or not table["prediction"].astype(bool).any():
        left_out |= {"prediction", "prediction_fp16"}
    columns = {name: column for name, column in ANSWERS.items() if name not in left_out}
    return grids.of_records("answers", "Answers", table.to_dict("records"), columns)


def settings(material: ReportMaterial, key: Key) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of names and values: what the cell was made with."""
    cell = material.cells[key]
    engine, made = cell.engine, cell.provenance
    plain = {name: value for name, value in vars(engine).items() if name not in ("settings", "self_check")}
    apart = ("seeds", "packages", "task_versions", "task_hashes", "datasets")
    run = {name: value for name, value in vars(made).items() if name not in apart}
    groups = [
        ("Cell", vars(cell.cell)),
        ("Engine", plain),
        ("Engine settings", engine.settings),
        ("Engine self-check", typed.as_json(engine.self_check) if engine.self_check else {}),
        ("Cost", vars(cell.cost)),
        ("Run", run),
        ("Seeds", made.seeds),
        ("Packages", made.packages),
        ("Task versions", made.task_versions),
        ("Task hashes", made.task_hashes),
        ("Data sets", made.datasets),
        ("Samples", vars(cell.samples) | {"path": Path(cell.samples.path).name}),
    ]
    return [(title, [(name, _setting(value)) for name, value in sorted(group.items())]) for title, group in groups if group]


def _setting(value: object) -> str:
    if value is None:
        return grids.NONE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def recipe(material: ReportMaterial, key: Key) -> str:
    """The checkpoint's recipe, as requested and as executed, as JSON."""
    return json.dumps(material.cells[key].checkpoint.recipe, indent=1, sort_keys=True, ensure_ascii=False)


def commands(material: ReportMaterial, key: Key) -> str:
    """Shell commands that make this cell alone again."""
    path = f"results/{material.spec.study}/cells/{'/'.join(key)}.json"
    return "\n".join(rerun.script(material.cells[key], path))
