"""The config as mappings, for what does not take `edge2giant.config` yet."""

import csv
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edge2giant.errors import UserError

if TYPE_CHECKING:
    from edge2giant.config import Config

ROOT = Path(__file__).resolve().parent.parent.parent
TABLES = ("models", "benchmarks", "protocols", "stacks", "clusters", "calibration", "recipes", "judges", "workload")


@dataclass(frozen=True, order=True)
class Row:
    """One model under one scheme: one checkpoint, one line of a table."""

    model: str
    method: str
    bits: str

    @property
    def scheme(self) -> str:
        return f"{self.method}/{self.bits}"

    @property
    def path(self) -> str:
        return f"{self.model}/{self.method}/{self.bits}"


@dataclass(frozen=True, order=True)
class Cell:
    """The score of one row on one benchmark in one study."""

    study: str
    model: str
    method: str
    bits: str
    benchmark: str

    @property
    def row(self) -> Row:
        return Row(self.model, self.method, self.bits)


@dataclass(frozen=True)
class Study:
    """A grid to run, under one protocol and one stack."""

    name: str
    title: str
    source: str
    protocol: str
    stack: str
    judge: str
    benchmarks: list[str]
    figure2_models: list[str]
    tables: list[int]
    rows_by_model: dict = field(repr=False)
    extends: str | None = None
    calibration: str | None = None
    limit: int | None = None
    engine_settings: dict = field(default_factory=dict)
    recipe_settings: dict = field(default_factory=dict)
    checkpoints: dict = field(default_factory=dict)

    @cached_property
    def rows(self) -> list[Row]:
        """Every (model, method, bits) of the study, in the order of its file."""
        return [
            Row(model, *scheme.split("/"))
            for model, entry in self.rows_by_model.items()
            for scheme in dict.fromkeys([*entry["schemes"], *entry.get("mt_bench", [])])
        ]

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell of the study: rows times leaderboard benchmarks, and the MT-Bench cells it names."""
        return [Cell(self.name, *astuple(row), name) for row in self.rows for name in self.benchmarks_of(row)]

    def benchmarks_of(self, row: Row) -> list[str]:
        """The benchmarks that a row is evaluated on, in the order of the study."""
        entry = self.rows_by_model[row.model]
        scored = row.scheme in entry["schemes"]
        chatted = row.scheme in entry.get("mt_bench", [])
        return [name for name in self.benchmarks if (chatted if name == "mt_bench" else scored)]


def astuple(row: Row) -> tuple[str, str, str]:
    return row.model, row.method, row.bits


@dataclass(frozen=True)
class House:
    """All of `config/`, checked."""

    root: Path
    models: dict
    benchmarks: dict
    protocols: dict
    stacks: dict
    clusters: dict
    calibration: dict
    recipes: dict
    judges: dict
    workload: dict
    studies: dict[str, Study]
    config: "Config" = field(repr=False, compare=False)

    def study(self, name: str) -> Study:
        """Return a study by its name, or raise `UserError` naming those there are."""
        if name not in self.studies:
            raise unknown("study", name, self.studies, "config/config.yaml")
        return self.studies[name]

    def benchmark(self, study: Study, name: str) -> dict:
        """The entry of benchmarks.yaml as the study's protocol changes it."""
        return self.benchmarks[name] | self.protocols[study.protocol]["benchmarks"].get(name, {})

    def scoring(self, study: Study, name: str) -> dict:
        """Everything in the config that turns answers into the score of a benchmark."""
        benchmark, protocol = self.benchmark(study, name), self.protocols[study.protocol]
        keys = ("suite", "tasks", "metrics", "aggregation", "normalise", "documents")
        return {key: benchmark[key] for key in keys} | {"clip": protocol["clip_normalised_at_zero"]}

    @cached_property
    def printed(self) -> dict[tuple[str, str], int]:
        """The paper's table of scores that prints a model's row, by (suite, model)."""
        with (self.root / "config/published/scores.csv").open(encoding="utf-8", newline="") as stream:
            return {(line["suite"], line["model"]): int(line["table"]) for line in csv.DictReader(stream)}

    def toolkit(self, row: Row) -> str:
        """The toolkit that makes a row's checkpoint; `none` for the unquantized model."""
        return self.methods[row.method]["toolkit"]

    @property
    def methods(self) -> dict:
        return self.recipes["methods"]

    def environment(self, stack: str, toolkit: str) -> str:
        """`<stack>/<environment>` that holds a toolkit: the stem of a file in `envs/`; a stack may name another's."""
        name = self.stacks[stack]["environments"][toolkit]
        return name if "/" in name else f"{stack}/{name}"


def unknown(kind: str, name: str, known, where: object) -> UserError:
    """The error for a name that is not in the config."""
    return UserError(f"unknown {kind} '{name}'", where, f"choose one of: {', '.join(sorted(known))}")


def load(root: str | Path = ROOT) -> House:
    """All of `config/` as mappings, for what does not take `edge2giant.config` yet."""
    from edge2giant import config as configuration

    found = configuration.load(root)
    tables = {name: _plain(getattr(found, name)) for name in TABLES}
    for cluster in tables["clusters"].values():
        for entry in cluster.get("overrides", []):
            entry["rows"] = entry.pop("variants")
    studies = {}
    for name, study in found.studies.items():
        entry = _plain(study)
        rows = {model: {"schemes": given.pop("variants")} | given for model, given in entry.pop("models").items()}
        studies[name] = Study(**entry, rows_by_model=rows)
    return House(root=found.root, studies=studies, config=found, **tables | {"calibration": {"sets": tables["calibration"]}})


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return _plain(value.model_dump(exclude_unset=True, by_alias=True)) if hasattr(value, "model_dump") else value
