"""All of `config/`, with `my/` over it, read and checked."""

from dataclasses import dataclass, field
from pathlib import Path

from edge2giant import ROOT
from edge2giant.config import checks, files, overlay, repeats
from edge2giant.config.benchmarks import Benchmark, BenchmarksFile, Suite
from edge2giant.config.calibration import CalibrationFile, CalibrationSet
from edge2giant.config.claims import Claims
from edge2giant.config.clusters import Cluster, Clusters
from edge2giant.config.facts import Facts
from edge2giant.config.grids import Candidates, Grids
from edge2giant.config.judges import Judge, Judges
from edge2giant.config.models import Model, Models
from edge2giant.config.policies import Policies, Policy
from edge2giant.config.protocols import Protocol, Protocols
from edge2giant.config.recipes import Method, Recipes
from edge2giant.config.run import RunSettings
from edge2giant.config.stacks import Stack, Stacks
from edge2giant.config.studies import Study, StudyFile
from edge2giant.config.workload import Workload
from edge2giant.errors import UserError, unknown
from edge2giant.specs.variant import Variant

RUN = "config/config.yaml"
FILES = {
    "models": Models,
    "benchmarks": BenchmarksFile,
    "protocols": Protocols,
    "stacks": Stacks,
    "clusters": Clusters,
    "calibration": CalibrationFile,
    "recipes": Recipes,
    "judges": Judges,
    "workload": Workload,
    "policies": Policies,
    "published/claims": Claims,
    "published/grids": Grids,
    "published/facts": Facts,
}
"""Model of each file of `config/` but studies/*.yaml and config.yaml. A file names only what one before it has."""


ENTRIES = {"benchmarks": "benchmarks", "calibration": "sets", "recipes": "methods"}
"""Where a file has its named entries, if it is more than these."""


@dataclass(frozen=True)
class Config:
    """All of `config/`, checked; entries are typed and named by the keys of the files."""

    root: Path
    models: dict[str, Model]
    suites: dict[str, Suite]
    benchmarks: dict[str, Benchmark]
    protocols: dict[str, Protocol]
    stacks: dict[str, Stack]
    clusters: dict[str, Cluster]
    calibration: dict[str, CalibrationSet]
    recipes: Recipes
    judges: dict[str, Judge]
    workload: Workload
    policies: dict[str, Policy]
    claims: Claims
    grids: dict[str, Candidates]
    facts: Facts
    studies: dict[str, Study]
    read: dict[str, overlay.OverlaidFile] = field(default_factory=dict)

    @property
    def methods(self) -> dict[str, Method]:
        return self.recipes.methods

    def where(self, name: str, *place: str) -> str:
        """The file that has an entry of `<name>.yaml`: of `config/`, or of `my/`."""
        return self.read[name].where(*place)

    def study(self, name: str) -> Study:
        """Return a study by its name, or raise `UserError` with those there are."""
        if name not in self.studies:
            raise unknown("study", name, self.studies, RUN)
        return self.studies[name]

    def cluster(self, name: str | None) -> Cluster:
        """Return a cluster by its name, without one the first; or raise `UserError` with those there are."""
        if name is not None and name not in self.clusters:
            raise unknown("cluster", name, self.clusters, RUN)
        return self.clusters[name or next(iter(self.clusters))]

    def benchmark(self, study: Study, name: str) -> Benchmark:
        """The entry of benchmarks.yaml as the study's protocol changes it."""
        override = self.protocols[study.protocol].benchmarks.get(name)
        return override.applied(self.benchmarks[name]) if override else self.benchmarks[name]

    def chats(self, study: Study, name: str) -> bool:
        """Whether the prompts of a benchmark are chats."""
        suite = self.benchmarks[name].suite
        return self.suites[suite].judged or self.protocols[study.protocol].of_suite(suite, "chat_template")

    def first_chat(self, study: Study, model: str) -> str | None:
        """The first benchmark of a study whose prompts for a model are chats."""
        asked = (name for one in study.variants if one.model == model for name in study.benchmarks_of(one))
        return next((name for name in asked if self.chats(study, name)), None)

    def chat_template(self, model: str) -> str | None:
        """Text of the chat template that a model's entry gives it."""
        file = self.template_file(model)
        return file and (self.root / file).read_text(encoding="utf-8")

    def template_file(self, model: str) -> str | None:
        """The file of that text, beside the file that has the entry."""
        file = self.models[model].chat_template
        return file and f"{self.where('models', model).partition('/')[0]}/{file}"

    def toolkit(self, variant: Variant) -> str:
        """The toolkit that makes a variant's checkpoint; `none` for the unquantized model."""
        return self.methods[variant.method].toolkit

    def environment(self, stack: str, toolkit: str) -> str:
        """`<stack>/<environment>` that holds a toolkit: the stem of a file in `envs/`; a stack may name another's."""
        return self.stacks[stack].environment(stack, toolkit)


def load(root: str | Path = ROOT) -> Config:
    """Read and check every file of `config/` and `my/` below `root`, by default of the repository.

    Raises
    ------
    UserError
        If a file does not fit its model or names what does not exist.
    """
    root = Path(root)
    overlay.check_names(root, ["config", *(name for name in FILES if "/" not in name)])
    read = {"config": overlay.read(root, "config")} if (root / RUN).is_file() else {}
    found, toolkits = {}, checks.toolkits()
    known = {"toolkits": toolkits, "served": [*checks.SERVICES, *toolkits]}
    for name, kind in FILES.items():
        key = name.rsplit("/", 1)[-1]
        read[key] = document = overlay.read(root, name)
        found[key] = file = files.check(document.content, kind, document.where, known)
        known[key] = getattr(file, ENTRIES[key]) if key in ENTRIES else file
        if key == "benchmarks":
            known["suites"] = file.suites
    file = found["benchmarks"]
    known |= {"tables": file.table_numbers, "judged": file.judged}
    found |= {"suites": file.suites, "benchmarks": file.benchmarks, "calibration": found["calibration"].sets}
    config = Config(root=root, studies=read_studies(root, known, file.benchmarks), read=read, **found)
    checks.check(config)
    return config


def read_studies(root: Path, known: dict, benchmarks: dict[str, Benchmark]) -> dict[str, Study]:
    """Read all studies; what one repeats is a study, too."""
    places = overlay.studies(root)
    found = {name: read_study(root, name, places, known) for name in places}
    for study in list(found.values()):
        for repeat in repeats.studies(study, benchmarks):
            if repeat.name in found:
                raise UserError(f"there is a study {repeat.name} already", repeat.file, "choose another name")
            found[repeat.name] = repeat
    return found


def read_study(root: Path, name: str, places: dict[str, str], known: dict) -> Study:
    """Read one file of `studies/`, over the keys of the study that it extends."""
    where = places[name]
    entry = files.read_yaml(root, where)
    if isinstance(entry, dict) and isinstance(base := entry.get("extends"), str):
        others = [other for other in places if other != name]
        if base not in others:
            raise unknown("study to extend", base, others, where)
        below = places[base]
        extended = files.read_yaml(root, below)
        files.check(extended, StudyFile, below, known)
        entry = {key: value for key, value in extended.items() if key != "repeats"} | entry
    file = files.check(entry, StudyFile, where, known)
    judged = next((benchmark for benchmark in file.benchmarks if benchmark in known["judged"]), None)
    return Study(name=name, file=where, judged_benchmark=judged, **dict(file))


def check_run(merged: dict, config: Config) -> RunSettings:
    """Check `config/config.yaml` as Snakemake merged it with a profile and `--config`.

    Raises
    ------
    UserError
        If a key or value is not allowed, or the study or cluster does not exist.
    """

    def where(*place: str) -> str:
        return f"{config.where('config', *place) if 'config' in config.read else RUN} or --config"

    return files.check(
        merged, RunSettings, where, {"studies": config.studies, "clusters": config.clusters, "policies": config.policies}
    )
