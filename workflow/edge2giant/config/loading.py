"""All of `config/`, read and checked."""

from dataclasses import dataclass
from pathlib import Path

from edge2giant.config import checks, files
from edge2giant.config.benchmarks import Benchmark, Benchmarks
from edge2giant.config.calibration import CalibrationFile, CalibrationSet
from edge2giant.config.claims import Claims
from edge2giant.config.clusters import Cluster, Clusters
from edge2giant.config.errors import unknown
from edge2giant.config.grids import Candidates, Grids
from edge2giant.config.judges import Judge, Judges
from edge2giant.config.models import Model, Models
from edge2giant.config.protocols import Protocol, Protocols
from edge2giant.config.recipes import Method, Recipes
from edge2giant.config.stacks import Stack, Stacks
from edge2giant.config.studies import Study, StudyFile
from edge2giant.config.workload import Workload
from edge2giant.errors import UserError
from edge2giant.specs.variant import Variant

ROOT = Path(__file__).resolve().parent.parent.parent.parent
FILES = {
    "models": Models,
    "benchmarks": Benchmarks,
    "protocols": Protocols,
    "stacks": Stacks,
    "clusters": Clusters,
    "calibration": CalibrationFile,
    "recipes": Recipes,
    "judges": Judges,
    "workload": Workload,
    "published/claims": Claims,
    "published/grids": Grids,
}
"""Model of each file of `config/` but studies/*.yaml (`StudyFile`) and config.yaml (`run.RunSettings`)."""


@dataclass(frozen=True)
class Config:
    """All of `config/`, checked; entries are typed and named by the keys of the files."""

    root: Path
    models: dict[str, Model]
    benchmarks: dict[str, Benchmark]
    protocols: dict[str, Protocol]
    stacks: dict[str, Stack]
    clusters: dict[str, Cluster]
    calibration: dict[str, CalibrationSet]
    recipes: Recipes
    judges: dict[str, Judge]
    workload: Workload
    claims: Claims
    grids: dict[str, Candidates]
    studies: dict[str, Study]

    @property
    def methods(self) -> dict[str, Method]:
        return self.recipes.methods

    def study(self, name: str) -> Study:
        """Return a study by its name, or raise `UserError` with those there are."""
        if name not in self.studies:
            raise unknown("study", name, self.studies, "config/config.yaml")
        return self.studies[name]

    def benchmark(self, study: Study, name: str) -> Benchmark:
        """The entry of benchmarks.yaml as the study's protocol changes it."""
        override = self.protocols[study.protocol].benchmarks.get(name)
        return override.applied(self.benchmarks[name]) if override else self.benchmarks[name]

    def suite(self, study: Study, variant: Variant, suite: str) -> list[str]:
        """The benchmarks of a suite that a variant is evaluated on."""
        return [name for name in study.benchmarks_of(variant) if self.benchmarks[name].suite == suite]

    def toolkit(self, variant: Variant) -> str:
        """The toolkit that makes a variant's checkpoint; `none` for the unquantized model."""
        return self.methods[variant.method].toolkit

    def environment(self, stack: str, toolkit: str) -> str:
        """`<stack>/<environment>` that holds a toolkit: the stem of a file in `envs/`; a stack may name another's."""
        return self.stacks[stack].environment(stack, toolkit)


def load(root: str | Path = ROOT) -> Config:
    """Read and check every file of `config/`.

    Parameters
    ----------
    root : path, optional
        The folder that holds `config/`; the repository by default.

    Raises
    ------
    UserError
        If a file does not fit its model or names what does not exist.
    """
    root = Path(root)
    _refuse_repeated_keys(root)
    found = {}
    for name, kind in FILES.items():
        where = f"config/{name}.yaml"
        found[name.rsplit("/", 1)[-1]] = files.check(files.read_yaml(root, where), kind, where)
    studies = {path.stem: read_study(root, path.stem) for path in sorted((root / "config/studies").glob("*.yaml"))}
    found["calibration"] = found["calibration"].sets
    config = Config(root=root, studies=studies, **found)
    checks.check(config)
    return config


def read_study(root: Path, name: str) -> Study:
    """Read one file of `config/studies/`, over the keys of the study that it extends."""
    where = f"config/studies/{name}.yaml"
    entry = files.read_yaml(root, where)
    if isinstance(entry, dict) and isinstance(base := entry.get("extends"), str):
        others = [path.stem for path in (root / "config/studies").glob("*.yaml") if path.stem != name]
        if base not in others:
            raise unknown("study to extend", base, others, where)
        below = f"config/studies/{base}.yaml"
        extended = files.read_yaml(root, below)
        files.check(extended, StudyFile, below)
        entry = extended | entry
    study = files.check(entry, StudyFile, where)
    return Study.model_construct(study.model_fields_set | {"name"}, name=name, **dict(study))


def _refuse_repeated_keys(root: Path) -> None:
    """Snakemake reads config.yaml by itself and takes the last of two keys."""
    name = "config/config.yaml"
    if (root / name).is_file() and not isinstance(files.read_yaml(root, name), dict):
        raise UserError("should be a mapping", name, "restore it from git")
