"""Which batch answers a cell: what is asked for decides, so that each checkpoint is loaded once.

The only module of the plan that looks at results: a manifest that is there and is of the present configuration is used again,
whatever targets it was made for, so that a finished study has nothing to do under any of them.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from edge2giant import records
from edge2giant.config import Config, Study
from edge2giant.errors import UserError, unknown
from edge2giant.plan import Plan, evaluate, quantize, repeats, resources, study, vars_of
from edge2giant.plan.evaluate import WHOLE
from edge2giant.records.cell import Manifest
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Cell, Variant

AUTO, SUITE, CHECKPOINT, BENCHMARK = SIZES = ("auto", "suite", "checkpoint", "benchmark")


def manifest(plan: Plan, wildcards) -> str:
    """Manifest of the batch that has a cell's answers; of the judged benchmark where the wildcards name none."""
    of, variant = plan.member(wildcards)
    name = getattr(wildcards, "benchmark", of.judged_benchmark)
    known = of.benchmarks_of(variant)
    if name not in known:
        raise unknown(f"benchmark of {variant.path}", name, known, f"study {of.name}")
    batch = (
        _of_variant(plan, of.name, variant).get(name, name)
        if plan.run.batch == AUTO
        else by_size(plan.config, name, plan.run.batch)
    )
    return f"<results>/{of.name}/{path(variant, batch)}"


def reference_manifest(plan: Plan, wildcards) -> str:
    """Manifest of the unquantized model's batch, which computes its distributions."""
    unquantized = SimpleNamespace(**vars_of(wildcards), **dict(zip(("method", "bits"), FP16, strict=True)))
    return manifest(plan, unquantized)


def path(variant: Variant, batch: str) -> str:
    """Where the manifest of a batch lies below the folder of its study."""
    return f"evaluations/{variant.path}/{batch}.json"


def by_size(config: Config, benchmark: str, size: str) -> str:
    """The batch that a benchmark is in where one job evaluates a `suite`, a whole `checkpoint` or one `benchmark`."""
    return {SUITE: config.benchmarks[benchmark].suite, CHECKPOINT: WHOLE, BENCHMARK: benchmark}[size]


def of_all(config: Config, requests: resources.Requests, of: Study, variant: Variant, size: str) -> dict[str, str]:
    """The batch of each benchmark of a variant where all of them are asked for and no manifest is there."""
    names = of.benchmarks_of(variant)
    if size != AUTO:
        return {name: by_size(config, name, size) for name in names}
    groups = _groups(config, requests, of, variant, names)
    return {name: smallest(config, of, variant, group) for group in groups for name in group}


def smallest(config: Config, of: Study, variant: Variant, names: list[str]) -> str:
    """The smallest batch of a variant that holds all of these benchmarks: one of them, a suite, or `all`."""
    suite, *more = {config.benchmarks[name].suite for name in names}
    if more:
        return WHOLE
    return names[0] if len(names) == 1 < len(evaluate.in_batch(config, of, variant, suite)) else suite


@cache
def _of_variant(plan: Plan, name: str, variant: Variant) -> Mapping[str, str]:
    """The batch of each benchmark that this run asks of a variant.

    Batches that are there are used where they hold all that is asked for, the largest first. Else one batch makes all of it, and
    reads the answers that are there from the cache.
    """
    of = plan.config.study(name)
    there = list(_usable(plan, of, variant))
    held = {one: batch for batch, names in reversed(there) for one in names}
    found = dict(held)
    for group in _groups(plan.config, _requests(plan), of, variant, asked(plan).get((name, variant), [])):
        if not held.keys() >= set(group):
            found |= dict.fromkeys(
                evaluate.in_batch(plan.config, of, variant, batch := smallest(plan.config, of, variant, group)), batch
            )
    return found


@cache
def _requests(plan: Plan) -> resources.Requests:
    return resources.Requests(plan.config, plan.config.cluster(plan.run.cluster))


def _groups(config: Config, requests: resources.Requests, of: Study, variant: Variant, names: list[str]) -> list[list[str]]:
    """Benchmarks that one job evaluates together: all of them, or those of a suite where all would take longer than a job may."""
    suites: dict[str, list[str]] = {}
    for name in names:
        suites.setdefault(config.benchmarks[name].suite, []).append(name)
    together = resources.evaluate_job(config, of, variant, suites=len(suites))
    if len(suites) > 1 and not requests.within_limit(together):
        return list(suites.values())
    return [names] if names else []


def _usable(plan: Plan, of: Study, variant: Variant) -> Iterator[tuple[str, list[str]]]:
    """Batches whose manifest is there and is of the present configuration, with their benchmarks; the largest first."""
    folder = Path(plan.results, of.name, path(variant, WHOLE)).parent
    names = of.benchmarks_of(variant)
    suites = dict.fromkeys(plan.config.benchmarks[name].suite for name in names)
    checkpoint = quantize.checkpoints(plan, of.name)[variant].folder
    for batch in (WHOLE, *suites, *names):
        file = folder / f"{batch}.json"
        if not file.is_file():
            continue
        with suppress(UserError):  # one that cannot be read is made again
            found = records.read(file, Manifest)
            job = SimpleNamespace(study=of.name, **vars(variant), batch=batch)
            if found.spec == plan.planned(evaluate.spec, job) and found.checkpoint.recipe["spec"].startswith(checkpoint):
                yield batch, evaluate.in_batch(plan.config, of, variant, batch)


# --- what is asked for -------------------------------------------------------------------------------------------------


@cache
def asked(plan: Plan) -> Mapping[tuple[str, Variant], list[str]]:
    """Benchmarks that the targets of this run need, by study and variant, in the order of the study."""
    cells = {cell for target in plan.targets for cell in _cells(plan, target)}
    wanted = {(one.study, one.variant, one.benchmark) for one in cells}
    for one in cells:  # a divergence also needs the unquantized model's
        if plan.config.benchmarks[one.benchmark].divergence:
            wanted.add((one.study, Variant(one.variant.model, *FP16), one.benchmark))
    found: dict[tuple[str, Variant], list[str]] = {}
    for name in dict.fromkeys(name for name, _, _ in wanted):
        for cell in plan.config.study(name).cells:
            if (name, cell.variant, cell.benchmark) in wanted:
                found.setdefault((name, cell.variant), []).append(cell.benchmark)
    return found


def _cells(plan: Plan, target: str) -> Iterator[Cell]:
    """Cells that a file is made from: of the whole study, where it is none of those that are made from some alone."""
    for folder, name in (("<results>", plan.results), ("<figures>", plan.figures)):
        target = re.sub(rf"^(?:\./)?{re.escape(name)}/", f"{folder}/", target)
    for pattern, paths_of in MADE_FROM:
        found = re.fullmatch(pattern, target)
        if found and (of := plan.config.studies.get(found["study"])):
            studies = (of, *repeats.of(plan.config, of).values())
            by_path = {f"<results>/{cell.path}": cell for one in studies for cell in one.cells}
            with suppress(UserError):  # the rule itself refuses a file that the study does not have
                yield from (by_path[one] for one in paths_of(plan, SimpleNamespace(**found.groupdict())) if one in by_path)
            return


def _nothing(plan: Plan, wildcards) -> list[str]:
    return []


def _whole(plan: Plan, wildcards) -> list[str]:
    """Cells of a study and of what repeats them: its statistics compare both."""
    return study.cells(plan, wildcards) + repeats.cells(plan, wildcards)


def _one_cell(plan: Plan, wildcards) -> list[str]:
    return [f"<results>/{wildcards.study}/cells/{wildcards.cell}.json"]


STUDY = "(?P<study>[^/]+)"
MADE_FROM = (
    (rf"<figures>/{STUDY}/table(?P<number>\d+)\.\w+", study.cells_of_table),
    (rf"<figures>/{STUDY}/figure2\w*\.\w+", study.judged_cells),
    (rf"<figures>/{STUDY}/fidelity\.\w+", study.cells_of_fidelity),
    (rf"<figures>/{STUDY}/inspection/.+", study.judged_cells),
    (rf"<results>/{STUDY}/(?:answers|judgments|noise)/.+", study.judged_cells),
    (rf"<results>/{STUDY}/cells/(?P<cell>[^.]+(?:\.[^.]+)*?)(?:\.samples\.parquet|\.json)", _one_cell),
    (rf"<results>/{STUDY}/(?:acquisition|overlap)\.json", _nothing),
    (rf"<results>/{STUDY}/evaluations/.+", _nothing),
    (rf"<(?:figures|results)>/{STUDY}/.+", _whole),
)
"""Files by their path, and the cells that they are made from; the first that fits counts."""
