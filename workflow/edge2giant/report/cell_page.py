"""What the page of one cell shows: scores, parts, answers beside those of FP16, settings, versions, and how to make it again."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from edge2giant import rerun
from edge2giant.errors import UserError
from edge2giant.report import grids
from edge2giant.report.gather import Key, ReportMaterial, base_of, page_of
from edge2giant.report.grids import Column, Grid, Value
from edge2giant.stats import samples

LONGEST = 600
PARTS = [
    Column("Task"),
    Column("Metric"),
    Column("raw", "number", "share of right answers, or mean rating"),
    Column("± error", "number"),
    Column("chance", "number", "level that is subtracted where the benchmark is normalised"),
    Column("Score", "number"),
    Column("n", "count"),
    Column("FP16", "number"),
    Column("against FP16", "number"),
]
CONFIDENTIAL = (
    "The authors of this benchmark ask not to publish its questions and answers. This page therefore shows neither, nor the"
    " choices of the model: only which questions turned right or wrong."
)


@dataclass(frozen=True)
class Answers:
    """Samples of a cell.

    Parameters
    ----------
    grid : Grid or None
        One line for each question and metric that is shown.
    total, changed : int
        Questions in the table, and those whose outcome differs from FP16.
    lost, gained : int
        Right under FP16 and wrong here, and the other way round.
    missing : str
        Why there are none, or why those of FP16 are not beside them.
    """

    grid: Grid | None
    total: int = 0
    changed: int = 0
    lost: int = 0
    gained: int = 0
    missing: str = ""


def facts(material: ReportMaterial, key: Key) -> list[tuple[str, Value]]:
    """The few numbers on top of the page."""
    cell = material.cells[key]
    unit = "rating, 1 to 10" if cell["unit"] == "rating" else "0 to 100"
    printed = cell["published"]
    found = [("Score", grids.number(cell["score"], sub=unit)), ("Standard error", grids.number(cell["stderr"]))]
    found.append(("Questions" if unit != "rating, 1 to 10" else "Ratings", grids.number(cell["n"], 0)))
    if key != base_of(key):
        base = material.fp16(key)
        href = "" if base is None else "../../../../" + page_of(base_of(key))
        sub = "FP16 not made" if base is None else f"FP16: {grids.number(base['score']).text}"
        found.append(("Against FP16", grids.number(material.against_fp16(key), signed=True, sub=sub, href=href)))
    sub = f"{printed['place']}: {printed['value']}" if printed else "not in the paper"
    found.append(("Against the paper", grids.number((printed or {}).get("difference"), signed=True, sub=sub)))
    found.append(
        ("Checkpoint", Value(f"{grids.size(cell['checkpoint']['bytes']).text} GB", sub=cell["checkpoint"]["digest"][:12]))
    )
    return found


def parts(material: ReportMaterial, key: Key) -> Grid:
    """Subtasks, or categories and turns, beside those of FP16."""
    base = material.fp16(key) or {"parts": []}
    other = {(part["task"], part["metric"]): part for part in base["parts"]}
    grid = Grid("parts", "Parts", PARTS)
    for part in material.cells[key]["parts"]:
        match = other.get((part["task"], part["metric"]))
        mine, theirs = _shown(part), None if match is None or key == base_of(key) else _shown(match)
        difference = None if mine is None or theirs is None else mine - theirs
        raw = [grids.number(part["raw"], 4), grids.number(part["stderr"], 4), grids.number(part["chance"], 3)]
        heat = grids.heat(difference, 10 if part["normalised"] is None else 1)
        against = grids.number(difference, signed=True, mark=heat)
        names = [Value(part["task"]), Value(part["metric"])]
        grid.rows.append([*names, *raw, grids.number(mine), grids.number(part["n"], 0), grids.number(theirs), against])
    return grid


def _shown(part: dict) -> float | None:
    return part["raw"] if part["normalised"] is None else part["normalised"]


def answers(material: ReportMaterial, key: Key, limit: int) -> Answers:
    """Samples of a cell: changed ones first, then by size of the change, up to a limit.

    Parameters
    ----------
    material : ReportMaterial
    key : tuple
    limit : int
        Lines to show at most.
    """
    one = samples.Evaluation(material.cells[key], material.paths[key])
    try:
        table, missing = _joined(material, key, one)
    except UserError as error:
        return Answers(None, missing=_plain(error))
    table = _of_parts(table, material.cells[key])
    lost = (table["was"] == True) & (table["correct"] == False)  # noqa: E712  (nullable: None is neither)
    gained = (table["was"] == False) & (table["correct"] == True)  # noqa: E712
    table["change"] = (table["value"] - table["value_fp16"]).fillna(0.0)
    moved = lost | gained | (table["change"] != 0)
    table["flip"] = [_flip(*flags) for flags in zip(lost, gained, table["change"], strict=True)]
    table["rank"] = [(2 if one or two else 0) + abs(by) for one, two, by in zip(lost, gained, table["change"], strict=True)]
    chosen = table.sort_values("rank", ascending=False, kind="stable").head(limit)
    grid = _answer_grid(chosen, key == base_of(key) or bool(missing), material.confidential(key[3]))
    return Answers(grid, len(table), int(moved.sum()), int(lost.sum()), int(gained.sum()), missing)


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


def _of_parts(table: pd.DataFrame, cell: dict) -> pd.DataFrame:
    """Rows of the metrics that make the score, where the parts name them."""
    scored = {part["metric"].split(",")[0] for part in cell["parts"]}
    chosen = table[table["metric"].isin(scored)]
    return (chosen if len(chosen) else table).reset_index(drop=True).copy()


def _flip(lost: bool, gained: bool, change: float) -> str:
    if lost or gained:
        return "lost" if lost else "gained"
    return "" if not change else "higher" if change > 0 else "lower"


def _answer_grid(table: pd.DataFrame, alone: bool, confidential: bool) -> Grid:
    heads = [Column("Task", "choice"), Column("Question", "count"), Column("Metric", "choice")]
    heads += (
        [Column("Value", "number")]
        if alone
        else [Column("Change", "choice"), Column("FP16", "number"), Column("Value", "number")]
    )
    with_texts = not confidential and table["prediction"].astype(bool).any()
    if with_texts:
        heads += [Column("Answer", "long")] if alone else [Column("Answer of FP16", "long"), Column("Answer", "long")]
    grid = Grid("answers", "Answers", heads)
    for row in table.itertuples():
        line = [Value(row.task), grids.number(row.doc_id, 0), Value(row.metric)]
        line += (
            [] if alone else [grids.marked(row.flip) if row.flip else Value("same", mark="soft"), grids.number(row.value_fp16)]
        )
        line.append(grids.number(row.value))
        if with_texts:
            line += [_answer(row.prediction)] if alone else [_answer(row.prediction_fp16), _answer(row.prediction)]
        grid.rows.append(line)
    return grid


def _answer(text: str | None) -> Value:
    if not text:
        return grids.text(None)
    return Value(
        text if len(text) <= LONGEST else f"{text[:LONGEST]} \N{HORIZONTAL ELLIPSIS} ({len(text) - LONGEST} more characters)"
    )


def settings(material: ReportMaterial, key: Key) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of names and values: what the cell was made with."""
    cell = material.cells[key]
    engine, made = cell["engine"], cell["provenance"]
    plain = {name: value for name, value in engine.items() if name not in ("settings", "self_check")}
    run = {
        name: made[name] for name in ("git_commit", "git_dirty", "environment_sha256", "chat_template_sha256", "host", "started")
    }
    run |= {name: made[name] for name in ("finished", "fingerprint")} | {"installer": made.get("installer")}
    groups = [
        ("Cell", cell["cell"]),
        ("Engine", plain),
        ("Engine settings", engine["settings"]),
        ("Engine self-check", engine["self_check"] or {}),
        ("Cost", cell["cost"]),
        ("Run", run),
        ("Seeds", made["seeds"]),
        ("Packages", made["packages"]),
        ("Task versions", made["task_versions"]),
        ("Task hashes", made["task_hashes"]),
        ("Data sets", made["datasets"]),
        ("Samples", cell["samples"] | {"path": Path(cell["samples"]["path"]).name}),
    ]
    return [(title, [(name, _setting(value)) for name, value in sorted(group.items())]) for title, group in groups if group]


def _setting(value: object) -> str:
    if value is None:
        return grids.NONE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def recipe(material: ReportMaterial, key: Key) -> str:
    """The checkpoint's recipe, as requested and as executed, as JSON."""
    return json.dumps(material.cells[key]["checkpoint"]["recipe"], indent=1, sort_keys=True, ensure_ascii=False)


def commands(material: ReportMaterial, key: Key) -> str:
    """Shell commands that make this cell alone again."""
    path = f"results/{material.study}/cells/{'/'.join(key)}.json"
    return "\n".join(rerun.script(material.cells[key], path))


def title(material: ReportMaterial, key: Key) -> tuple[str, str]:
    """Heading and the line under it."""
    names = material.names
    return f"{names.model(key[0])} · {names.method_bits(*key[1:3])} · {names.benchmark(key[3])}", "/".join(key)
