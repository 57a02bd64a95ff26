"""What a study fetches: one spec for each model, data set, calibration set and table."""

from functools import cache

from edge2giant.config import Config, overlay
from edge2giant.errors import UserError, unknown
from edge2giant.plan import Plan, paths, quantize
from edge2giant.specs.acquire import AcquireSpec, ExpectedModel, FetchSpec, SourceService
from edge2giant.store import mt_bench, punkt, texts

# --- functions of a plan and wildcards ---------------------------------------------------------------------------------


def spec(plan: Plan, wildcards) -> AcquireSpec:
    """All that the study in the path fetches; nothing where its material is made here."""
    study = plan.config.study(wildcards.study)
    return AcquireSpec(study.name, pieces(plan, study.name) if study.source == "hub" else ())


def model(plan: Plan, wildcards) -> FetchSpec:
    return model_of(plan.config, wildcards.model)


def published(plan: Plan, wildcards) -> FetchSpec:
    """The repository that a study takes a published checkpoint from."""
    folder = f"published/{wildcards.owner}/{wildcards.repository}"
    for study in plan.config.studies:
        for one in pieces(plan, study):
            if one.folder == folder:
                return one
    raise UserError("no study takes a checkpoint from there", f"store/hub/{folder}", "see `checkpoints` in config/studies/")


def dataset(plan: Plan, wildcards) -> FetchSpec:
    return _data_at(plan.config, f"datasets/{wildcards.data}.lock.json")


def calibration(plan: Plan, wildcards) -> FetchSpec:
    return calibration_of(plan.config, wildcards.name)


def nltk(plan: Plan, wildcards) -> FetchSpec:
    return _data_at(plan.config, paths.NLTK_LOCK)


def store(plan: Plan, wildcards) -> str:
    """The folder that holds what the hub has."""
    return f"{plan.results}/store/hub"


def source(plan: Plan, wildcards) -> str:
    """Path of the file that says where everything is fetched from, and what models are expected to be."""
    return _source(plan)


@cache
def _source(plan: Plan) -> str:
    models = {name: expected(plan, name) for name in plan.config.models}
    # What a study of one's own fetches is locked beside it: config/lock/ is committed.
    own = plan.study.file.startswith(f"{overlay.OVERLAY}/")
    locks = f"{overlay.OVERLAY}/{overlay.LOCKS}/hub" if own else None
    return plan.service("acquire", SourceService(plan.run.mirror, plan.run.token_file, models, locks))


def expected(plan: Plan, name: str) -> ExpectedModel:
    """What a model must be like when it is fetched for the study."""
    entry = plan.config.models[name]
    chats = name in plan.study.models and not entry.chat_template and plan.config.first_chat(plan.study, name)
    return ExpectedModel(entry.facts, entry.config_sha256, chats or None, plan.config.where("models", name), entry.folder)


def locks(plan: Plan, study: str) -> list[str]:
    """Locks of all that a study reads from its source."""
    folder = plan.config.study(study).source
    return [f"<results>/store/{folder}/{one.lock}" for one in pieces(plan, study)]


# --- specs -------------------------------------------------------------------------------------------------------------


@cache
def pieces(plan: Plan, name: str) -> tuple[FetchSpec, ...]:
    """Everything that a study reads from its source, models first; nothing twice."""
    config, study = plan.config, plan.config.study(name)
    checkpoints = quantize.checkpoints(plan, name).values()
    sets = [one.calibration.name for one in checkpoints if one.calibration and one.calibration.reads_text]
    found = [
        *(piece for one in checkpoints if not one.published for piece in models_of(config, one.variant.model)),
        *(_whole_model(one.published.repo, "published", one.published) for one in checkpoints if one.published),
        *(one for benchmark in study.benchmarks for one in data_of(config, benchmark)),
        *(calibration_of(config, one) for one in sets),
    ]
    return tuple(dict.fromkeys(found))


def models_of(config: Config, name: str) -> list[FetchSpec]:
    """A model; of one that is tuned its source and the text that it is tuned on."""
    tuned = config.models[name].tuned if name in config.models else None
    if not tuned:
        return [model_of(config, name)]
    return [model_of(config, tuned.source), *(calibration_of(config, text) for text in tuned.texts)]


def model_of(config: Config, name: str) -> FetchSpec:
    entry = _entry("model", name, config.models, "config/models.yaml")
    return _whole_model(name, "models", entry)


def _whole_model(name: str, folder: str, entry) -> FetchSpec:
    return FetchSpec("model", name, entry.repo, entry.revision, f"{folder}/{name}", f"{folder}/{name}.lock.json")


def data_of(config: Config, name: str) -> list[FetchSpec]:
    """Every data set of a benchmark, and nltk's tables where it needs them."""
    entry = config.benchmarks[name]
    locks, found = paths.data_locks(name, entry), []
    for lock, (repo, revision) in zip(locks, entry.datasets.items(), strict=False):
        if config.suites[entry.suite].judged:
            found.append(FetchSpec("mt-bench", name, repo, revision, f"datasets/{name}", lock, tuple(mt_bench.FILES)))
        else:
            found.append(FetchSpec("dataset", name, repo, revision, f"datasets/{repo}", lock))
    if entry.nltk:
        found.append(FetchSpec("nltk", "nltk", punkt.REPOSITORY, entry.nltk, "nltk", paths.NLTK_LOCK, (punkt.ARCHIVE,)))
    return found


def _data_at(config: Config, lock: str) -> FetchSpec:
    return _entry("data set", lock, {one.lock: one for name in config.benchmarks for one in data_of(config, name)}, "store/hub")


def calibration_of(config: Config, name: str) -> FetchSpec:
    entry = _entry("calibration set", name, config.calibration, "config/calibration.yaml")
    patterns = (entry.files,) if entry.files else texts.patterns(entry.config, entry.split or "train")
    folder, field = f"calibration/{name}", entry.field or "text"
    return FetchSpec("calibration", name, entry.repo, entry.revision, folder, f"{folder}.lock.json", patterns, field)


def _entry(kind: str, name: str, known: dict, where: str):
    if name not in known:
        raise unknown(kind, name, known, where)
    return known[name]
