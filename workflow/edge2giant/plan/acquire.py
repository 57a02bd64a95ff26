"""What a study fetches: one entry for each model, data set, calibration set and table, and the options of each fetch."""

import shlex
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edge2giant import store
from edge2giant.errors import UserError
from edge2giant.plan import quantize
from edge2giant.specs.acquire import AcquireSpec, Material
from edge2giant.store import mt_bench, punkt, selection, texts

if TYPE_CHECKING:
    from edge2giant.config import Config, Study
    from edge2giant.plan import Plan

HUB = "<results>/store/hub"
PINS = "config/lock/hub"
PUNKT = "nltk/nltk_data"


# --- functions of a plan and wildcards ---------------------------------------------------------------------------------


def spec(plan: "Plan", wildcards) -> AcquireSpec:
    """All that the study in the path fetches; nothing where its material is made here."""
    study = plan.config.study(wildcards.study)
    return AcquireSpec(study.name, materials(plan, study.name) if study.source == "hub" else ())


def locks(plan: "Plan", study: str) -> list[str]:
    """Locks of all that a study reads from its source."""
    source = plan.config.study(study).source
    return [f"<results>/store/{source}/{one.lock}" for one in materials(plan, study)]


def model(plan: "Plan", wildcards) -> str:
    one = model_of(plan.config, wildcards.model)
    return fetch(plan, one) + (" --with-code" if selection.CODE in one.patterns else "")


def published(plan: "Plan", wildcards) -> str:
    repo = f"{wildcards.owner}/{wildcards.repository}"
    for study in plan.config.studies:
        for one in materials(plan, study):
            if one.lock == f"published/{repo}.lock.json":
                return fetch(plan, one)
    hint = "see `checkpoints` in config/studies/"
    raise UserError(f"no study takes a published checkpoint from {repo}", "store/hub/published", hint)


def dataset(plan: "Plan", wildcards) -> str:
    return fetch(plan, benchmark_of(plan.config, wildcards.benchmark))


def dataset_folder(plan: "Plan", wildcards) -> str:
    """Where a data set's files lie: its hub id below the folder that evaluation works in."""
    repo = benchmark_of(plan.config, wildcards.benchmark).repo
    return f"{plan.results}/store/hub/datasets/{repo}"


def calibration(plan: "Plan", wildcards) -> str:
    one = calibration_of(plan.config, wildcards.name)
    field = plan.config.calibration[wildcards.name].field or "text"
    return f"{fetch(plan, one)} --field {shlex.quote(field)} --files {shlex.join(one.patterns)}"


def mt_bench_files(plan: "Plan", wildcards) -> str:
    return fetch(plan, benchmark_of(plan.config, "mt_bench"))


def nltk(plan: "Plan", wildcards) -> str:
    return fetch(plan, nltk_of(plan.config))


def fetch(plan: "Plan", one: Material) -> str:
    """The options of the command that fetches one piece."""
    pin = PurePosixPath(PINS) / one.lock
    options = {"--repo": one.repo, "--revision": one.revision, "--pin": pin.as_posix()}
    return f"{_text(options)} {source(plan)}".strip()


def source(plan: "Plan") -> str:
    """The options that say where everything comes from."""
    return _text({"--mirror": plan.run.mirror, "--token-file": plan.run.token_file})


def _text(options: dict) -> str:
    return " ".join(f"{option} {shlex.quote(value)}" for option, value in options.items() if value)


# --- materials ---------------------------------------------------------------------------------------------------------


@cache
def materials(plan: "Plan", name: str) -> tuple[Material, ...]:
    """Everything that a study reads from its source, models first; nothing twice."""
    config, study = plan.config, plan.config.study(name)
    checkpoints = quantize.checkpoints(plan, name).values()
    models = dict.fromkeys(one.variant.model for one in checkpoints if not one.published)
    takes = [one.published for one in checkpoints if one.published]
    sets = [one.calibration.name for one in checkpoints if one.calibration and one.calibration.reads_text]
    found = [
        *(model_of(config, one) for one in models),
        *(Material("model", one.repo, one.repo, one.revision, f"published/{one.repo}.lock.json") for one in takes),
        *datasets_of(config, study),
        *(calibration_of(config, one) for one in sets),
    ]
    return tuple(dict.fromkeys(found))


def model_of(config: "Config", name: str) -> Material:
    entry = _entry("model", name, config.models, "config/models.yaml")
    patterns = (*selection.PATTERNS["model"], selection.CODE) if entry.trust_remote_code else ()
    return Material("model", name, entry.repo, entry.revision, f"models/{name}.lock.json", patterns)


def datasets_of(config: "Config", study: "Study") -> list[Material]:
    """The data of a study's benchmarks, and nltk's tables where one of them needs them."""
    found = []
    for name in study.benchmarks:
        found.append(benchmark_of(config, name))
        if PUNKT in config.benchmarks[name].datasets:
            found.append(nltk_of(config))
    return found


def benchmark_of(config: "Config", name: str) -> Material:
    entry = _entry("benchmark", name, config.benchmarks, "config/benchmarks.yaml")
    repo, revision = next(iter(entry.datasets.items()))
    lock = store.lock_of_benchmark("", name).as_posix()
    if name == "mt_bench":
        return Material("mt-bench", name, repo, revision, lock, tuple(mt_bench.FILES))
    return Material("dataset", name, repo, revision, lock)


def nltk_of(config: "Config") -> Material:
    """nltk's sentence tables, at the commit that the benchmark which needs them names."""
    for entry in config.benchmarks.values():
        if PUNKT in entry.datasets:
            return Material("nltk", "nltk", PUNKT, entry.datasets[PUNKT], "nltk.lock.json", (punkt.ARCHIVE,))
    raise UserError(f"no benchmark names the data set {PUNKT}", "config/benchmarks.yaml")


def calibration_of(config: "Config", name: str) -> Material:
    entry = _entry("calibration set", name, config.calibration, "config/calibration.yaml")
    patterns = (entry.files,) if entry.files else texts.patterns(entry.config, entry.split or "train")
    return Material("calibration", name, entry.repo, entry.revision, f"calibration/{name}.lock.json", tuple(patterns))


def _entry(kind: str, name: str, known: dict, where: str):
    if name not in known:
        from edge2giant.config import unknown

        raise unknown(kind, name, known, where)
    return known[name]
