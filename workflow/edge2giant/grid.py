"""The grid as data: reads `config/`, refuses what cannot be, and names every row and cell.

Reads the YAML files of `config/` and their JSON Schemas. Writes nothing, imports no phase, needs only PyYAML and jsonschema.
"""

import copy
import csv
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from edge2giant import records
from edge2giant.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
TABLES = ("models", "benchmarks", "protocols", "stacks", "clusters", "calibration", "recipes", "judges")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML 1.1 loader that refuses a key given twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"'{key}' stands there twice", f"line {node.start_mark.line + 1}", "keep one of them")
    return dict(zip(keys, (loader.construct_object(value, deep=True) for _, value in node.value), strict=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path, schema: str) -> dict:
    """Read a config file and check it against its schema.

    Raises
    ------
    UserError
        If the file is missing, is no YAML, repeats a key or does not fit the schema.
    """
    document = load_yaml(path)
    check_schema(document, path, schema)
    return document


def load_yaml(path: Path) -> object:
    """Content of a YAML file; raises `UserError` if it is missing, empty, no YAML or repeats a key."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError("is missing", path, "restore it from git") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "mend its rights") from None
    except UserError as error:
        raise UserError(error.what, f"{path}, {error.where}", error.hint) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"is not valid YAML ({error})", path, "mend it there") from None
    if document is None:
        raise UserError("is empty", path, "restore it from git")
    return document


def check_schema(document: object, path: Path, schema: str) -> None:
    """Raise `UserError` if the content of a file does not fit its schema."""
    if wrong := records.problem(document, schema):
        raise UserError(wrong, path, f"workflow/schemas/{schema}.schema.json says what is allowed")


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
    studies: dict[str, Study]

    def study(self, name: str) -> Study:
        """Return a study by its name, or raise `UserError` naming those there are."""
        if name not in self.studies:
            raise unknown("study", name, self.studies, "config/config.yaml")
        return self.studies[name]

    def benchmark(self, study: Study, name: str) -> dict:
        """The entry of benchmarks.yaml as the study's protocol changes it."""
        return self.benchmarks[name] | self.protocols[study.protocol]["benchmarks"].get(name, {})

    def evaluation(self, study: Study, row: Row, name: str) -> dict:
        """Everything in the config that decides a row's answers on a benchmark; its digest stands in the rule's params."""
        benchmark, protocol, stack = (
            self.benchmark(study, name),
            self.protocols[study.protocol],
            self.stacks[study.stack],
        )
        # only a model's own entry can allow its code to run
        code = {"trust_remote_code": True} if self.models[row.model].get("trust_remote_code") else {}
        settings = {
            "benchmark": name,
            "engine": stack["engine"],
            "engine_settings": stack["engine_settings"] | study.engine_settings | code,
            "dtype": protocol["dtype"],
            "max_model_len": min(protocol["max_model_len"], self.models[row.model]["architecture"]["max_position_embeddings"]),
            "seeds": protocol["seeds"],
            "bos": needs_bos(protocol["bos"], self.models[row.model]["repo"]),
            "limit": study.limit,
        }
        if name == "mt_bench":
            return settings | {"mt_bench": protocol["mt_bench"]}
        keys = ("folder", "num_fewshot")
        chat = {key: protocol[key] for key in ("chat_template", "fewshot_as_multiturn")}
        order = {"gpqa_order": protocol["gpqa_order"]} if name == "gpqa" else {}
        return settings | chat | order | {key: benchmark[key] for key in keys} | {"tasks": sorted(benchmark["tasks"])}

    def scoring(self, study: Study, name: str) -> dict:
        """Everything in the config that turns answers into the score of a benchmark."""
        benchmark, protocol = self.benchmark(study, name), self.protocols[study.protocol]
        keys = ("suite", "tasks", "metrics", "aggregation", "normalise", "documents")
        return {key: benchmark[key] for key in keys} | {"clip": protocol["clip_normalised_at_zero"]}

    def suite(self, study: Study, row: Row, suite: str) -> list[str]:
        """The benchmarks of a suite that a row is evaluated on."""
        return [b for b in study.benchmarks_of(row) if self.benchmarks[b]["suite"] == suite]

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


def needs_bos(rule: str, repo: str) -> bool | None:
    """Whether a BOS token goes before each prompt; None leaves it to the tokenizer."""
    return {"always": True, "never": False, "tokenizer": None, "gemma_only": "gemma" in repo}[rule]


def unknown(kind: str, name: str, known, where: object) -> UserError:
    """The error for a name that is not in the config."""
    return UserError(f"unknown {kind} '{name}'", where, f"choose one of: {', '.join(sorted(known))}")


def load(root: str | Path = ROOT) -> House:
    """Read and check every file of `config/`.

    Parameters
    ----------
    root : path, optional
        The folder that holds `config/`; the repository by default.

    Raises
    ------
    UserError
        If a file does not fit its schema or names what does not exist.
    """
    root = Path(root)
    tables = {name: read_yaml(root / "config" / f"{name}.yaml", name) for name in TABLES}
    studies = {p.stem: read_study(p) for p in sorted((root / "config/studies").glob("*.yaml"))}
    house = House(root=root, studies=studies, **tables)
    for study in sorted(studies.values(), key=lambda study: study.extends is not None):  # a mistake is named where it stands
        check_study(house, study)
    check_benchmarks(house)
    check_protocols(house)
    return house


def read_study(path: Path) -> Study:
    """Read one file of `config/studies/`, over the keys of the study that it extends."""
    entry = load_yaml(path)
    if isinstance(entry, dict) and isinstance(base := entry.get("extends"), str):
        others = [other.stem for other in path.parent.glob("*.yaml") if other != path]
        if base not in others:
            raise unknown("study to extend", base, others, path)
        entry = read_yaml(path.with_name(f"{base}.yaml"), "study") | entry
    check_schema(entry, path, "study")
    entry = copy.deepcopy(entry)
    return Study(name=path.stem, rows_by_model=entry.pop("rows"), **entry)


def check_study(house: House, study: Study) -> None:
    """Refuse a study that names what the config does not have, or a scheme that cannot be."""
    where = f"config/studies/{study.name}.yaml"
    for kind, name, known in [
        ("protocol", study.protocol, house.protocols),
        ("stack", study.stack, house.stacks),
        ("judge", study.judge, house.judges),
        *[("benchmark", name, house.benchmarks) for name in study.benchmarks],
        *[("model", name, house.models) for name in [*study.rows_by_model, *study.figure2_models]],
        *([("calibration set", study.calibration, house.calibration["sets"])] if study.calibration else []),
    ]:
        if name not in known:
            raise unknown(kind, name, known, where)
    for model in study.figure2_models:
        if "mt_bench" in study.benchmarks and not study.rows_by_model.get(model, {}).get("mt_bench"):
            answered = [name for name, entry in study.rows_by_model.items() if entry.get("mt_bench")]
            raise unknown("model with MT-Bench rows in figure2_models", model, answered, where)
    environments = house.stacks[study.stack]["environments"]
    for row in study.rows:
        if row.method not in house.methods:
            raise unknown("method", row.method, house.methods, f"{where}, {row.path}")
        if row.bits not in house.methods[row.method]["bits"]:
            raise unknown(f"width of {row.method}", row.bits, house.methods[row.method]["bits"], f"{where}, {row.path}")
        if house.toolkit(row) not in environments:
            raise unknown(f"toolkit on stack {study.stack}", house.toolkit(row), environments, f"{where}, {row.path}")


def check_benchmarks(house: House) -> None:
    """Refuse a benchmark that could not be asked: no data, or a leaderboard's without its lm-eval tasks."""
    for name, entry in house.benchmarks.items():
        tasks = () if entry["suite"] == "mt_bench" else ("folder", "tasks", "metrics")
        for key in ("datasets", *tasks):
            if not entry.get(key):
                raise UserError(f"{name} lacks its {key}", "config/benchmarks.yaml", "see the entries beside it")
        if (name == "mt_bench") != (entry["suite"] == "mt_bench"):
            hint = "suite mt_bench holds mt_bench alone"
            raise UserError(f"{name} is in suite {entry['suite']}", "config/benchmarks.yaml", hint)


def check_protocols(house: House) -> None:
    """Refuse an override of a benchmark that does not exist."""
    for name, protocol in house.protocols.items():
        for benchmark in protocol["benchmarks"]:
            if benchmark not in house.benchmarks:
                raise unknown("benchmark", benchmark, house.benchmarks, f"config/protocols.yaml, {name}")
