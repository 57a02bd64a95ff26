"""Which batch a cell is in: as few loads of a checkpoint as what is asked for allows, and none for what is there."""

import dataclasses
from collections import defaultdict
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace

import pytest
from edge2giant import plan, records, specs
from edge2giant.errors import UserError
from edge2giant.plan import batches, evaluate, quantize
from edge2giant.records.cell import CheckpointSummary, Manifest
from edge2giant.specs.variant import Variant

AWQ = Variant("llama-3.1-8b-it", "awq", "w4a16")
TABLES = [f"paper_figures/paper/table{number}.csv" for number in (1, 2, 4, 5, 6, 7)]


@pytest.fixture(scope="module")
def config():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE2GIANT_RUN", "")
        yield plan.open_plan({"study": "paper", "results": "results", "figures": "paper_figures"}).config


@pytest.fixture
def opened(config, tmp_path, monkeypatch):
    """Opens the plan of a run with some targets; results lie in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def open_with(*targets, changed=config, **run):
        settings = {"study": "paper", "results": "results", "figures": "paper_figures"} | run
        made = plan.Plan(changed, plan.configuration.check_run(settings, changed))
        made.asks(lambda: targets, lambda name: None)
        return made

    return open_with


def loads(made, study="paper"):
    """Batches by variant that the cells asked for are in."""
    found = defaultdict(set)
    for (name, variant), benchmarks in batches.asked(made).items():
        for benchmark in benchmarks if name == study else ():
            path = batches.manifest(made, SimpleNamespace(study=study, **vars(variant), benchmark=benchmark))
            found[variant].add(path.rsplit("/")[-1].removesuffix(".json"))
    return dict(found)


def finish(made, variant, batch, study="paper", **changes):
    """Leave the manifest of a batch as its job would."""
    spec = evaluate.spec(made, SimpleNamespace(study=study, **vars(variant), batch=batch))
    checkpoint = quantize.checkpoints(made, study)[variant]
    summary = CheckpointSummary("0" * 64, 1, 1, {"spec": specs.digest(checkpoint)})
    entries = {one.name: "f" * 64 for one in spec.benchmarks}
    manifest = Manifest(1, study, *astuple(variant), batch, summary, entries, specs.digest(spec))
    records.write(Path("results", study, batches.path(variant, batch)), dataclasses.replace(manifest, **changes))


def test_all_tables_load_each_checkpoint_once(opened):
    found = loads(opened(*TABLES))
    assert len(found) == 50
    split = {variant for variant, names in found.items() if len(names) > 1}
    assert {variant.model for variant in split} == {"llama-3.1-405b-it"}, "more hours than a job may take"
    assert found[AWQ] == {"all"}
    assert loads(opened("./paper_figures/paper/claims.html"))[AWQ] == {"all"}


@pytest.mark.parametrize(
    ("target", "batch"),
    [
        ("paper_figures/paper/table1.html", "leaderboard_v1"),
        ("paper_figures/paper/table2.csv", "leaderboard_v2"),
        ("paper_figures/paper/figure2_all.svg", "mt_bench"),
        (f"results/paper/cells/{AWQ.path}/gsm8k.json", "gsm8k"),
        (f"results/paper/answers/{AWQ.path}.jsonl", "mt_bench"),
    ],
)
def test_a_lone_target_loads_its_suite_alone(opened, target, batch):
    assert loads(opened(target))[AWQ] == {batch}


def test_cells_of_two_suites_share_a_load(opened):
    cells = [f"results/paper/cells/{AWQ.path}/{name}.json" for name in ("gsm8k", "mmlu")]
    assert loads(opened(*cells)) == {AWQ: {"leaderboard_v1"}}
    assert loads(opened(*cells, f"results/paper/cells/{AWQ.path}/gpqa.samples.parquet")) == {AWQ: {"all"}}


def test_what_needs_no_cell_asks_for_none(opened):
    for target in ("plan", "results/paper/overlap.json", "paper_figures/published/audit.html", "paper_figures/paper/table99.csv"):
        assert not batches.asked(opened(target))


def test_the_unquantized_model_is_asked_for_its_distributions(opened):
    found = loads(opened("results/miniature/cells/tiny-2m/smoothquant/w8a8/divergence.json"), "miniature")
    assert found == {
        Variant("tiny-2m", name, bits): {"divergence"} for name, bits in (("smoothquant", "w8a8"), ("fp16", "w16a16"))
    }


def test_a_manifest_that_is_there_serves_every_target(opened):
    made = opened(*TABLES)
    for variant in loads(made):
        finish(made, variant, "all")
    for targets in (TABLES, TABLES[:1], [f"results/paper/cells/{AWQ.path}/gsm8k.json"]):
        assert loads(opened(*targets))[AWQ] == {"all"}
    assert loads(opened(TABLES[0], batch="suite"))[AWQ] == {"leaderboard_v1"}


def test_suites_that_are_there_serve_all_of_them(opened):
    made = opened(*TABLES)
    finish(made, AWQ, "leaderboard_v1")
    assert loads(opened(TABLES[0]))[AWQ] == {"leaderboard_v1"}
    assert loads(opened(*TABLES))[AWQ] == {"all"}, "its answers to the first suite come from the cache"
    for batch in ("leaderboard_v2", "mt_bench"):
        finish(made, AWQ, batch)
    assert loads(opened(*TABLES))[AWQ] == {"leaderboard_v1", "leaderboard_v2", "mt_bench"}
    finish(made, AWQ, "all")
    assert loads(opened(*TABLES))[AWQ] == {"all"}


def test_a_manifest_of_another_configuration_is_not_used(opened, config):
    finish(opened(), AWQ, "leaderboard_v1")
    entry = config.benchmarks["gsm8k"].model_copy(update={"num_fewshot": 2})
    changed = dataclasses.replace(config, benchmarks=config.benchmarks | {"gsm8k": entry})
    assert loads(opened(*TABLES[:2], changed=changed))[AWQ] == {"all"}
    finish(opened(), AWQ, "leaderboard_v2", checkpoint=CheckpointSummary("0" * 64, 1, 1, {"spec": "a" * 64}))
    assert loads(opened(*TABLES[:2]))[AWQ] == {"all"}, "the checkpoint was made by another recipe"
    Path("results/paper", batches.path(AWQ, "leaderboard_v2")).write_text("{")
    assert loads(opened(*TABLES[:2]))[AWQ] == {"all"}


def test_batches_of_one_run_share_no_benchmark(opened):
    """Two jobs that evaluate the same would be refused by the answer cache's locks."""
    made = opened(f"results/paper/cells/{AWQ.path}/gsm8k.json")
    of = made.config.study("paper")
    for batch in ("gsm8k", "leaderboard_v2", "bbh"):
        finish(made, AWQ, batch)
        again = opened(f"results/paper/cells/{AWQ.path}/gsm8k.json")
        wildcards = [SimpleNamespace(study="paper", **vars(AWQ), benchmark=name) for name in of.benchmarks_of(AWQ)]
        names = {batches.manifest(again, one).rsplit("/")[-1].removesuffix(".json") for one in wildcards}
        held = [name for one in names for name in evaluate.in_batch(made.config, of, AWQ, one)]
        assert len(held) == len(set(held)) == len(of.benchmarks_of(AWQ))


def test_a_cells_manifest_is_that_of_the_batch_that_the_configuration_sets(opened):
    cell = SimpleNamespace(study="paper", **vars(AWQ), benchmark="gpqa")
    for size, name in (("suite", "leaderboard_v2"), ("checkpoint", "all"), ("benchmark", "gpqa")):
        assert batches.manifest(opened(batch=size), cell) == f"<results>/paper/evaluations/{AWQ.path}/{name}.json"
    cell.benchmark = "mmlu_redux"
    with pytest.raises(UserError, match="unknown benchmark"):
        batches.manifest(opened(), cell)


def test_a_job_may_take_as_long_as_its_suites_together(opened):
    from edge2giant.plan import resources

    made = opened()
    requests = resources.Requests(made.config, made.config.clusters["paper"])

    def minutes(batch):
        return requests.minutes(resources.evaluate(made, SimpleNamespace(study="paper", **vars(AWQ), batch=batch)))

    each = [minutes(batch) - resources.SETUP_MINUTES for batch in ("leaderboard_v1", "leaderboard_v2", "mt_bench")]
    assert minutes("all") - resources.SETUP_MINUTES == pytest.approx(sum(each), abs=3)
