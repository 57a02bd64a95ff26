"""What a study needs from outside: one entry for each model, data set, calibration set and table. Reads `config/` alone."""

from dataclasses import dataclass

from edge2giant import grid, paths, store
from edge2giant.specs.quantize import QuantizeSpec
from edge2giant.store import mt_bench, punkt, selection, texts

PUNKT = "nltk/nltk_data"


@dataclass(frozen=True)
class Need:
    """One piece of material.

    Attributes
    ----------
    kind : {"model", "dataset", "calibration", "mt-bench", "nltk"}
    name : str
        Model, benchmark or calibration set; `mt_bench`; `nltk`.
    repo : str
    revision : str or None
    lock : str
        Path of its lock below the store and below `config/lock/<source>`.
    patterns : tuple of str
        Files to take, where the kind does not say.
    """

    kind: str
    name: str
    repo: str
    revision: str | None
    lock: str
    patterns: tuple[str, ...] = ()

    @property
    def repo_type(self) -> str:
        """What the source calls this kind of repository."""
        return {"model": "model", "dataset": "dataset", "calibration": "dataset"}.get(self.kind, "web")


def of_study(house: grid.House, study: grid.Study) -> list[Need]:
    """Everything that a study reads from its source, models first; nothing twice."""
    found = [
        *models(house, study),
        *published(house, study),
        *datasets(house, study),
        *calibration(house, study),
    ]
    return list(dict.fromkeys(found))


def models(house: grid.House, study: grid.Study) -> list[Need]:
    """The models that a study quantizes or evaluates as they are."""
    names = dict.fromkeys(row.model for row in study.rows if study.checkpoints.get(row.scheme, "make") == "make")
    return [model(house, name) for name in names]


def model(house: grid.House, name: str) -> Need:
    if name not in house.models:
        raise grid.unknown("model", name, house.models, "config/models.yaml")
    entry = house.models[name]
    patterns = (*selection.PATTERNS["model"], selection.CODE) if entry.get("trust_remote_code") else ()
    return Need("model", name, entry["repo"], entry["revision"], f"models/{name}.lock.json", patterns)


def published(house: grid.House, study: grid.Study) -> list[Need]:
    """The checkpoints that a study takes from the hub instead of making them."""
    found = []
    for spec in _checkpoints(house, study):
        if spec.published:
            repo, revision = spec.published.repo, spec.published.revision
            found.append(Need("model", repo, repo, revision, f"published/{repo}.lock.json"))
    return found


def datasets(house: grid.House, study: grid.Study) -> list[Need]:
    """The data of a study's benchmarks, and nltk's tables where one of them needs them."""
    found = []
    for name in study.benchmarks:
        found.append(benchmark(house, name))
        if PUNKT in house.benchmarks[name]["datasets"]:
            found.append(nltk(house))
    return found


def benchmark(house: grid.House, name: str) -> Need:
    if name not in house.benchmarks:
        raise grid.unknown("benchmark", name, house.benchmarks, "config/benchmarks.yaml")
    repo, revision = next(iter(house.benchmarks[name]["datasets"].items()))
    lock = store.lock_of_benchmark("", name).as_posix()
    if name == "mt_bench":
        return Need("mt-bench", name, repo, revision, lock, tuple(mt_bench.FILES))
    return Need("dataset", name, repo, revision, lock)


def nltk(house: grid.House) -> Need:
    """nltk's sentence tables, at the commit that the benchmark which needs them names."""
    for entry in house.benchmarks.values():
        if PUNKT in entry["datasets"]:
            return Need("nltk", "nltk", PUNKT, entry["datasets"][PUNKT], "nltk.lock.json", (punkt.ARCHIVE,))
    raise grid.unknown("data set", PUNKT, [], "config/benchmarks.yaml")


def calibration(house: grid.House, study: grid.Study) -> list[Need]:
    """The calibration text that a study's checkpoints need; random tokens need none."""
    wanted = [spec.calibration for spec in _checkpoints(house, study) if spec.calibration]
    return [calibration_set(house, one.name) for one in wanted if one.reads_text]


def calibration_set(house: grid.House, name: str) -> Need:
    sets = house.calibration["sets"]
    if name not in sets:
        raise grid.unknown("calibration set", name, sets, "config/calibration.yaml")
    entry = sets[name]
    patterns = (entry["files"],) if entry.get("files") else texts.patterns(entry.get("config"), entry.get("split") or "train")
    return Need("calibration", name, entry["repo"], entry.get("revision"), f"calibration/{name}.lock.json", patterns)


def _checkpoints(house: grid.House, study: grid.Study) -> list[QuantizeSpec]:
    return [paths.checkpoint_spec(house, study, row) for row in study.rows]
