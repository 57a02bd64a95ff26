"""The steps of `make try`, each with what it says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from edge2giant import add_model, records
from edge2giant import config as configuration
from edge2giant.cluster.cost import total
from edge2giant.cluster.forecast import Forecast
from edge2giant.config import Config, Study, model_file, overlay
from edge2giant.errors import UserError
from edge2giant.paper import frames, tables
from edge2giant.plan import acquire, open_plan, overview
from edge2giant.plan.study import filled_tables, study_spec
from edge2giant.specs.acquire import FetchSpec, SourceService
from edge2giant.store import sources, survey
from edge2giant.store.acquire import human
from edge2giant.trial import choice, machine

CLUSTERS = "my/clusters.yaml"
HEAD = """# yaml-language-server: $schema=../../workflow/schemas/study.schema.json
# Written by `make try`, which writes it again: keep changes of yours under another name.
"""
START_SECONDS = {"cpu": 30}
"""Of a job on a stack without GPU: imports and loading, which the forecast does not count there."""
Say = Callable[[str], None]


@dataclass
class Wish:
    """What a user asks for; None where it is left out."""

    root: Path
    model: str
    benchmarks: str = "quick"
    methods: str | None = None
    limit: int | None = None
    mirror: str | None = None
    token_file: str | None = None
    say: Say = print


@dataclass
class Trial:
    """What was decided.

    Parameters
    ----------
    left_out : dict of str to str
        Method and bits, or benchmark, to the reason.
    """

    config: Config
    study: Study
    stack: str
    left_out: dict[str, str] = field(default_factory=dict)


def prepare(wish: Wish) -> Trial:
    """Add the model, look at the machine, write the study, and leave out of it what cannot run here or be fetched.

    Raises
    ------
    UserError
        If the model cannot be added, a name is unknown, or nothing is left to run.
    """
    name = added(wish)
    here = machine.look()
    wish.say(f"machine  {here.words}")
    config, stack = with_cluster(wish.root, here), "current" if here.gpus else "cpu"
    entry = study_entry(config, name, wish, stack)
    title = "-".join([name, *choice.words(wish.benchmarks), *([str(wish.limit)] if wish.limit else [])])
    config, left_out = fit(wish, written(wish.root, title, entry), title, entry)
    return Trial(config, config.study(title), stack, left_out)


def added(wish: Wish) -> str:
    """The model's entry, which is made where there is none or its files have changed."""
    folder = Path(wish.model).expanduser()
    if folder.is_dir():
        name, facts = add_model.add_folder(wish.root, folder)
    else:
        known = {name: one for name, one in model_file.read(wish.root).items() if one.repo == wish.model and not one.unverified}
        if known:
            name, facts = next((name, one.facts) for name, one in known.items())
        else:
            if "/" not in wish.model.strip("/"):
                raise UserError("is neither a folder nor an id on the hub", f"MODEL={wish.model}", "give ORG/NAME or a folder")
            service = SourceService(wish.mirror, wish.token_file)
            name, facts = add_model.add(wish.root, wish.model, None, None, service, model_file.OWN)
    template = "with" if facts.chat_template else "without"
    wish.say(f"model    {name}: {facts.model_type}, {facts.parameters:,} parameters, {template} a chat template")
    return name


def with_cluster(root: Path, here: machine.Machine) -> Config:
    """The configuration with this machine in it, which is written to my/clusters.yaml unless it stands there as it is."""
    config = configuration.load(root)
    if (earlier := config.clusters.get(machine.NAME)) and earlier.title == machine.title(here):
        return config
    model_file.put(root, CLUSTERS, "clusters", machine.NAME, machine.entry(here, config.clusters))
    return configuration.load(root)


def study_entry(config: Config, model: str, wish: Wish, stack: str) -> dict[str, Any]:
    """The study as it is asked for. A model without a chat template is asked without one."""
    entry, asked = config.models[model], choice.benchmarks(config, wish.benchmarks)
    templated = entry.facts.chat_template or entry.chat_template
    found = {
        "title": f"{entry.name} on this machine",
        "source": "hub",
        "protocol": "leaderboard" if templated else "paper",
        "stack": stack,
        "benchmarks": list(asked),
        "models": {model: {"variants": list(choice.methods(config, wish.methods, stack))}},
    }
    if wish.limit:
        return found | {"limit": wish.limit}
    cut = "divergence" in asked and wish.benchmarks == "quick"
    return found | ({"limits": {"divergence": choice.QUICK_WINDOWS}} if cut else {})


def written(root: Path, name: str, entry: dict[str, Any]) -> Config:
    """Write a study and load the configuration with it; a study that it refuses is taken away again."""
    path = root / overlay.path_of(overlay.OVERLAY, f"{overlay.STUDIES}/{name}")
    text = yaml.safe_dump(entry, sort_keys=False, default_flow_style=None, width=10**6, allow_unicode=True)
    records.write_text(path, HEAD + text)
    try:
        return configuration.load(root)
    except UserError:
        path.unlink()
        raise


def fit(wish: Wish, config: Config, name: str, entry: dict[str, Any]) -> tuple[Config, dict[str, str]]:
    """Leave out of a study what the plan refuses and what cannot be fetched; return the configuration then, and the reasons."""
    (model,) = entry["models"]
    seen = look_at(config, name)
    if sizes := choice.group_sizes(config, seen, model):
        entry["recipe_settings"] = sizes
        seen = look_at(config := written(wish.root, name, entry), name)
    left_out = choice.refused(seen)
    for piece, reason in missing(wish, name).items():
        if piece.kind == "model":
            raise UserError(reason, f"MODEL={wish.model}")
        if piece.kind == "calibration":
            left_out |= dict.fromkeys(choice.calibrated_by(config, seen, [piece.name]), f"its calibration text: {reason}")
        else:
            of_piece = [one for one in entry["benchmarks"] if piece in acquire.data_of(config, one)]
            left_out |= dict.fromkeys(of_piece, reason)
    if choice.FP16 in left_out:
        raise UserError(left_out[choice.FP16], f"{model}/{choice.FP16}", "take a smaller model or a larger machine")
    kept = [one for one in entry["models"][model]["variants"] if one not in left_out]
    entry["models"] = {model: {"variants": kept}}
    entry["benchmarks"] = [one for one in entry["benchmarks"] if one not in left_out]
    for key in ("recipe_settings", "limits"):
        if key in entry:
            entry[key] = {one: value for one, value in entry[key].items() if one not in left_out}
    if not entry["benchmarks"]:
        raise UserError("no benchmark can be fetched", "BENCHMARKS", next(iter(left_out.values())))
    return written(wish.root, name, entry), left_out


def look_at(config: Config, study: str) -> overview.Overview:
    return overview.Overview(config, config.study(study), config.cluster(machine.NAME))


def run_settings(wish: Wish, study: str) -> dict[str, Any]:
    """The settings of config.yaml for a run of a study."""
    own = {"study": study, "cluster": machine.NAME, "mirror": wish.mirror, "token_file": wish.token_file}
    return overlay.read(wish.root, "config").content | {key: value for key, value in own.items() if value is not None}


def asked_pieces(wish: Wish, study: str) -> tuple[list[FetchSpec], Callable, Path]:
    """What a study needs and the store does not hold, the sources, and the committed locks."""
    plan = open_plan(run_settings(wish, study), root=wish.root)
    spec = acquire.spec(plan, type("", (), {"study": study}))
    models = {name: acquire.expected(plan, name) for name in plan.study.models}
    service = SourceService(wish.mirror, wish.token_file, models)
    return survey.pending(spec, wish.root / plan.results / "store/hub"), sources.choose(service), wish.root / "config/lock/hub"


def missing(wish: Wish, study: str) -> dict[FetchSpec, str]:
    """What cannot be fetched, with the reason."""
    pieces, source_of, pins = asked_pieces(wish, study)
    return {one: refused[0] for one in pieces if (refused := survey.survey([one], source_of, pins)[1])}


def announce(wish: Wish, trial: Trial) -> None:
    """Say what runs, what is left out and why, what is fetched, and how long it takes."""
    study, seen = trial.study, look_at(trial.config, trial.study.name)
    wish.say(f"study    {study.file}: {len(study.variants)} variants on {', '.join(study.benchmarks)} (stack {trial.stack})\n")
    columns = ("variant", "gigabytes", "quantize on", "evaluate on", "verdict")
    wish.say(overview.table([{name: line[name] for name in columns} for line in seen.lines]))
    if said := study_spec(trial.config, study.name).limited(study.benchmarks):
        wish.say(f"\n{said}")
    for name, reason in trial.left_out.items():
        wish.say(f"left out {name}: {reason}")
    pieces, source_of, pins = asked_pieces(wish, study.name)
    items, _ = survey.survey(pieces, source_of, pins)
    names = ", ".join(dict.fromkeys(one.piece.repo for one in items)) or "nothing"
    wish.say(f"\nfetch    {human(sum(one.bytes for one in items))}: {names}")
    wish.say(f"time     {duration(trial)}")


def duration(trial: Trial) -> str:
    """The forecast in words."""
    cluster = trial.config.cluster(machine.NAME)
    lines = Forecast(trial.config, trial.study, cluster, "checkpoint").lines()
    seconds = total(lines, "forecast_seconds")
    if seconds is None or not any(line.forecast_seconds for line in lines if line.step == "cell"):
        return f"not known: give {cluster.title!r} tflops and bandwidth_gb_s in {CLUSTERS}"
    if trial.stack in START_SECONDS:
        seconds += START_SECONDS[trial.stack] * 2 * len(trial.study.variants)
    unknown = [line for line in lines if line.step == "quantize" and line.forecast_seconds is None]
    without = " without the time of quantizing" if unknown and trial.stack == "cpu" else ""
    return f"about {in_words(seconds)} by the forecast{without}, one job after another"


def in_words(seconds: float) -> str:
    """A time to two digits."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def shown(root: Path, trial: Trial, results: str) -> Iterable[str]:
    """The study's tables as plain text, with what is said of limits."""
    spec, study = study_spec(trial.config, trial.study.name), trial.study
    cells = frames.read_cells([path for cell in study.cells if (path := root / results / cell.path).is_file()], study.name)
    for number in filled_tables(trial.config, study):
        table = tables.regenerated(spec, number, cells, root / "config/published")
        heads = ("variant", "GB", *(one.label for one in table.columns))
        rows = []
        for row in table.rows:
            parts = (row.variant.method_bits, row.measured, *map(entry_text, row.entries))
            rows.append(dict(zip(heads, parts, strict=True)))
        yield f"\n{table.title}\n{overview.table(rows)}"
    if said := spec.limited(study.benchmarks):
        yield f"\n{said}"


def entry_text(entry) -> str:
    return entry.text if entry.score is None else f"{entry.score.shown} {entry.score.difference}".strip()
