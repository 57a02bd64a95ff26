"""Which GPUs a job gets, without a GPU and without SLURM."""

import dataclasses
import shutil
from itertools import pairwise
from types import SimpleNamespace

import pytest
import yaml
from edge2giant import config
from edge2giant.config.clusters import Cluster, Cpu, ResourceOverride
from edge2giant.engine import plan
from edge2giant.errors import UserError
from edge2giant.plan import open_plan, placement, quantize, resources
from edge2giant.plan.resources import Job, Requests
from edge2giant.quantize import sizes
from edge2giant.schemes.unquantized import SixteenBits
from edge2giant.specs.variant import Variant
from hypothesis import given
from hypothesis import strategies as st
from shared import ROOT

CONFIG = {"study": "paper", "batch": "suite", "results": "results", "figures": "paper_figures"}


LOADED = config.load()


@pytest.fixture(scope="module")
def loaded():
    return LOADED


@pytest.fixture(scope="module")
def paper(loaded):
    return loaded.clusters["paper-two-h100"]


def job(phase, model, pair, device="cuda"):
    variant = Variant(model, *pair.split("/"))
    serving = plan.Serving(quantize.scheme(LOADED, LOADED.study("paper"), variant), max_model_len=16_384)
    return Job(phase, variant, device, serving=serving if phase == "evaluate" else None)


def jobs(loaded, variant, study="paper"):
    """Both jobs of a variant, as the rules get them."""
    found = loaded.study(study)
    making = resources.quantize_job(loaded, quantize.checkpoint_spec(loaded, found, variant))
    return making, resources.evaluate_job(loaded, found, variant)


def with_overrides(cluster, *overrides):
    return cluster.model_copy(update={"overrides": tuple(ResourceOverride(**one) for one in overrides)})


@pytest.mark.parametrize(
    ("model", "pair", "partition", "nodes", "gpus"),
    [
        ("llama-3.2-1b-it", "fp16/w16a16", "a6000", 1, 1),
        ("llama-3.2-1b-it", "fp8/w8a8", "rtx6000", 1, 1),
        ("llama-3.1-8b-it", "fp8/w8a8", "rtx6000", 1, 1),
        ("llama-3.2-1b-it", "fp8-dynamic/w8a8", "rtx6000", 1, 1),
        ("llama-3.1-8b-it", "awq/w4a16", "a6000", 1, 1),
        ("llama-3.1-70b-it", "fp8/w8a8", "rtx6000", 1, 2),
        ("llama-3.1-70b-it", "gptq-autogptq/w4a16", "a100", 1, 1),
        ("llama-3.1-405b-it", "fp8/w8a8", "h100", 1, 8),
        ("llama-3.1-405b-it", "awq/w4a16", "a100", 1, 4),
        ("llama-3.1-405b-it", "fp16/w16a16", "h100", 2, 8),
    ],
)
def test_evaluation_goes_to_the_smallest_gpus_that_run_it_natively(loaded, paper, model, pair, partition, nodes, gpus):
    placed = Requests(loaded, paper).place(job("evaluate", model, pair))
    assert (placed.partition, placed.nodes, placed.gpus_per_node) == (partition, nodes, gpus)


def test_every_variant_of_the_paper_fits(loaded, paper):
    for variant in loaded.study("paper").variants:
        for asked in jobs(loaded, variant):
            placed = Requests(loaded, paper).place(asked)
            assert asked.links == (variant.method == "fp16" and asked.phase == "quantize") == (placed is None)
            if placed is None:
                continue
            partition = paper.partitions[placed.partition]
            assert placed.gpus_per_node <= partition.gpus_per_node and placed.nodes <= partition.nodes
            assert Requests(loaded, paper).memory_mb(asked, 3) <= partition.host_memory_gib * 1024
            assert Requests(loaded, paper).minutes(asked, 3) <= partition.max_hours * 60


def test_fp8_never_runs_where_it_is_emulated(loaded, paper):
    variants = [one for one in loaded.study("paper").variants if one.method == "fp8"]
    kinds = {kind.name: kind.compute_capability for kind in plan.gpus_of(Requests(loaded, paper).partitions)}
    capabilities = {kinds[Requests(loaded, paper).place(jobs(loaded, one)[1]).partition] for one in variants}
    assert variants and min(capabilities) >= (8, 9)


def test_two_nodes_ask_by_gres_for_each_node(loaded, paper):
    asked = Requests(loaded, paper).asked(job("evaluate", "llama-3.1-405b-it", "fp16/w16a16"))
    assert asked["gres"] == "gpu:h100:8" and asked["nodes"] == asked["tasks"] == 2 and asked["mpi"] == "srun"
    assert asked["parallel"] == "8x2" and asked["cpus_per_task"] == 48
    assert "gpu_model" not in asked, "sbatch refuses typed and untyped requests together"
    assert Requests(loaded, paper).asked(job("evaluate", "llama-3.1-405b-it", "fp16/w16a16"))["gpu"] == 0


def test_cpu_stack_asks_for_no_gpu(loaded, paper):
    asked = job("evaluate", "llama-3.1-8b-it", "fp16/w16a16", device="cpu")
    got = Requests(loaded, paper).asked(asked)
    assert {name: value for name, value in got.items() if value not in (None, "1x1", "-")} == {
        "gpu": 0,
        "node_gpus": 0,
        "mem_mb": 4000,
        "runtime": 60,
    }


def test_checkpoint_that_is_linked_asks_for_no_gpu_and_for_the_memory_of_its_validation(loaded, paper):
    making, _ = jobs(loaded, Variant("llama-3.1-8b-it", "fp16", "w16a16"))
    ordered = with_overrides(paper.model_copy(update={"cpu": Cpu(partition="cpu")}), {"variants": "*", "partition": "a100"})
    asked = Requests(loaded, ordered).asked(making)
    assert Requests(loaded, ordered).asked(making)["gpu"] == 0 and asked["slurm_partition"] == "cpu" and "gpu_model" not in asked
    weights = 2 * loaded.models["llama-3.1-8b-it"].facts.parameters / 2**20
    assert Requests(loaded, ordered).memory_mb(making) > 4 * weights, "two models in float32"
    large, _ = jobs(loaded, Variant("llama-3.1-405b-it", "fp16", "w16a16"))
    assert Requests(loaded, ordered).memory_mb(large) < 100_000, "of a large model the first layers are validated"
    assert Requests(loaded, ordered).minutes(large) > 60, "its files are read all the same"


def test_published_checkpoint_is_linked_too(loaded):
    study = loaded.study("paper").model_copy(update={"checkpoints": {"fp8/w8a8": "published"}})
    spec = quantize.checkpoint_spec(loaded, study, Variant("llama-3.1-8b-it", "fp8", "w8a8"))
    assert resources.quantize_job(loaded, spec).links


def test_the_engine_is_told_the_memory_that_the_plan_counted(loaded, paper):
    variant = Variant("llama-3.1-70b-it", "fp8", "w8a8")
    making, asked = jobs(loaded, variant)
    told = Requests(loaded, paper).asked(asked)["engine"]
    placed = plan.place(
        loaded.models[variant.model].facts,
        asked.serving,
        plan.gpus_of(Requests(loaded, paper).partitions),
    )
    assert told == ",".join(f"{name}={value}" for name, value in placed.settings.items())
    assert Requests(loaded, paper).asked(making)["engine"] == "-"
    forced = with_overrides(paper, {"variants": variant.path, "partition": "h100", "gpus": 4})
    assert "gpu_memory_utilization=" in Requests(loaded, forced).asked(asked)["engine"]
    tight = with_overrides(paper, {"variants": variant.path, "partition": "rtx6000", "gpus": 1})
    assert Requests(loaded, tight).asked(asked)["engine"] == "-", "an override is kept where the plan finds no room, too"


def test_what_a_study_asks_of_the_engine_reaches_the_plan(loaded):
    settings = {"max_num_batched_tokens": 2048, "kv_cache_dtype": "fp8"}
    study = loaded.study("paper").model_copy(update={"engine_settings": settings})
    asked = resources.evaluate_job(loaded, study, study.variants[0])
    assert asked.serving == plan.Serving(asked.serving.scheme, loaded.protocols[study.protocol].max_model_len, "fp8", 2048)
    old = loaded.study("paper").model_copy(update={"stack": "paper2024"})
    assert resources.evaluate_job(loaded, old, study.variants[0]).serving.whole_prompts


def test_everything_that_is_asked_reaches_the_rules(loaded, paper):
    for variant in loaded.study("paper").variants:
        for asked in jobs(loaded, variant):
            assert set(Requests(loaded, paper).asked(asked)) <= set(resources.ASKED)


def test_attempts_double_memory_and_time(loaded, paper):
    asked = job("evaluate", "llama-3.1-8b-it", "fp16/w16a16")
    requests = Requests(loaded, paper)
    for grows in (requests.memory_mb, requests.minutes):
        assert all(2 * a == b for a, b in pairwise(grows(asked, attempt) for attempt in (1, 2, 3)))


def test_override_wins_and_the_last_match_counts(loaded, paper):
    cluster = with_overrides(
        paper,
        {"variants": "llama-3.1-8b-it/*", "partition": "a100", "gpus": 2},
        {"variants": "llama-3.1-8b-it/fp8/w8a8", "partition": "h100", "gpus": 1, "phase": "evaluate"},
    )
    placed = Requests(loaded, cluster).place(job("evaluate", "llama-3.1-8b-it", "awq/w4a16"))
    assert (placed.partition, placed.gpu, placed.nodes, placed.gpus_per_node) == ("a100", "a100", 1, 2)
    assert Requests(loaded, cluster).place(job("evaluate", "llama-3.1-8b-it", "fp8/w8a8")).partition == "h100"
    assert Requests(loaded, cluster).place(job("quantize", "llama-3.1-8b-it", "fp8/w8a8")).partition == "a100"


def test_an_override_that_asks_for_too_much_is_named(loaded, paper):
    cluster = with_overrides(paper, {"variants": "*", "partition": "a100", "gpus": 8})
    with pytest.raises(UserError, match="want 1 nodes of 8 GPUs, partition a100 has 1 nodes of 4 GPUs"):
        Requests(loaded, cluster).place(job("evaluate", "llama-3.1-8b-it", "fp8/w8a8"))


def test_overrides_are_merged_key_by_key(loaded, paper):
    cluster = with_overrides(
        paper,
        {"variants": "llama-3.1-8b-it/*", "partition": "a100", "gpus": 2, "runtime": 100},
        {"variants": "*", "mem_mb": 5000},
        {"variants": "llama-3.1-8b-it/*", "phase": "evaluate", "runtime": 30},
    )
    evaluation, making = (job(phase, "llama-3.1-8b-it", "fp8/w8a8") for phase in ("evaluate", "quantize"))
    assert Requests(loaded, cluster).place(evaluation).gpus_per_node == 2
    assert [Requests(loaded, cluster).minutes(evaluation, attempt) for attempt in (1, 2)] == [30, 60]
    assert Requests(loaded, cluster).minutes(making) == 100
    assert [Requests(loaded, cluster).memory_mb(one, 2) for one in (evaluation, making)] == [10_000, 10_000]
    on_cpu = job("evaluate", "tiny-2m", "fp16/w16a16", device="cpu")
    assert Requests(loaded, cluster).memory_mb(on_cpu) == 5000


def test_a_served_judge_is_placed_and_can_be_set(loaded, paper):
    judge = Job("judge", Variant("llama-3.1-8b-it", "fp16", "w16a16"), "cuda", judge_gpus=4)
    placed = Requests(loaded, paper).place(judge)
    assert (placed.partition, placed.gpus, Requests(loaded, paper).minutes(judge)) == ("a6000", 4, 240)
    assert Requests(loaded, paper).asked(judge)["gpu"] == 4
    cluster = with_overrides(paper, {"variants": "*", "phase": "judge", "partition": "h100", "gpus": 2, "runtime": 60})
    assert (Requests(loaded, cluster).place(judge).partition, Requests(loaded, cluster).asked(judge)["gpu"]) == ("h100", 2)
    assert Requests(loaded, cluster).minutes(judge, 2) == 120
    with pytest.raises(UserError, match="a judge on 16 GPUs of one node"):
        Requests(loaded, paper).place(dataclasses.replace(judge, judge_gpus=16))


def test_a_job_without_gpu_goes_where_an_override_sends_it(loaded, paper):
    linked, evaluation = jobs(loaded, Variant("llama-3.1-8b-it", "fp16", "w16a16"))
    judge = Job("judge", evaluation.variant, "cuda", judge_gpus=4)
    cluster = with_overrides(paper, {"variants": "*", "partition": "h100", "gpus": 0, "runtime": 20, "mem_mb": 700})
    for one in (linked, evaluation, judge):
        got = Requests(loaded, cluster).asked(one)
        assert got["slurm_partition"] == "h100" and "gpu_model" not in got and Requests(loaded, cluster).asked(one)["gpu"] == 0
        assert (Requests(loaded, cluster).minutes(one), Requests(loaded, cluster).memory_mb(one)) == (20, 700)


def test_scratch_of_a_partition_goes_before_that_of_the_cluster(loaded, paper):
    asked = job("evaluate", "llama-3.1-8b-it", "awq/w4a16")
    cluster = paper.model_copy(update={"scratch": "/scratch"})
    assert Requests(loaded, cluster).asked(asked)["scratch"] == "/scratch"
    own = {**paper.partitions, "a6000": paper.partitions["a6000"].model_copy(update={"scratch": "/local"})}
    assert Requests(loaded, cluster.model_copy(update={"partitions": own})).asked(asked)["scratch"] == "/local"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"gpus": 2}, "`gpus` and `nodes` need a `partition`"),
        ({"partition": "a", "phase": "judge", "nodes": 2}, "only an evaluation runs on several `nodes`"),
        ({"partition": "b200"}, "unknown partition 'b200'"),
        ({"partition": "a", "gpus": 8}, "asks for 1 nodes of 8 GPUs, partition a has 1 nodes of 4 GPUs"),
        ({"phase": "score", "runtime": 3}, "phase"),
        ({"runtime": "1h"}, "runtime"),
    ],
)
def test_a_wrong_override_is_one_line(tmp_path, override, message):
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("lock"))
    node = {"gpu": "a", "gpus_per_node": 4, "nodes": 1, "gpu_memory_gib": 48, "compute_capability": "8.6"}
    node |= {"host_memory_gib": 250, "cpus": 48, "max_hours": 72}
    wrong = {"mine": {"title": "mine", "partitions": {"a": node}, "overrides": [{"variants": "*"} | override]}}
    (tmp_path / "config/clusters.yaml").write_text(yaml.safe_dump(wrong))
    with pytest.raises(UserError) as raised:
        config.load(tmp_path)
    assert message in str(raised.value) and "clusters.yaml" in str(raised.value) and "\n" not in str(raised.value)


def test_variant_that_fits_nowhere_is_named(loaded, paper):
    small = Cluster(title="small", partitions={"a6000": paper.partitions["a6000"]})
    with pytest.raises(
        UserError,
        match=r"llama-3.1-8b-it/fp8/w8a8: no partition can serve it.*FP8 by tensor.*compute capability 8.9",
    ):
        Requests(loaded, small).place(job("evaluate", "llama-3.1-8b-it", "fp8/w8a8"))


@given(
    memory=st.sampled_from([24, 48, 80, 141]),
    more=st.sampled_from([0, 24, 80]),
    count=st.sampled_from([1, 4, 8]),
)
def test_a_larger_gpu_never_needs_more_of_them(loaded, memory, more, count):
    facts = loaded.models["llama-3.1-70b-it"].facts

    def gpus(size):
        entry = {
            "gpu": "x",
            "gpus_per_node": count,
            "nodes": 4,
            "gpu_memory_gib": size,
            "compute_capability": "9.0",
        }
        try:
            return placement.place_evaluation(facts, plan.Serving(SixteenBits(), 16_384), {"x": entry}).gpus
        except UserError:
            return 10**6

    assert gpus(memory + more) <= gpus(memory)


def test_estimates_match_the_published_sizes(loaded):
    facts = loaded.models["llama-3.1-405b-it"].facts
    assert sizes.planned_bytes(facts, SixteenBits())["total"] == pytest.approx(2 * facts.parameters, rel=1e-3)


def test_cluster_is_chosen_by_the_config(loaded):
    assert loaded.cluster("rehearsal").rehearse
    with pytest.raises(UserError, match="unknown cluster 'nowhere'"):
        open_plan(CONFIG | {"cluster": "nowhere"})


def test_rehearsal_asks_as_the_paper_does(loaded, paper):
    rehearsal = loaded.clusters["rehearsal"]
    for stand_in, model in rehearsal.rehearse.items():
        asked = job("evaluate", stand_in, "fp16/w16a16", device="cpu")
        assert Requests(loaded, rehearsal).place(asked) == Requests(loaded, paper).place(job("evaluate", model, "fp16/w16a16"))


def test_rules_get_callables_for_what_slurm_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = open_plan(CONFIG)
    wildcards = SimpleNamespace(study="paper", model="llama-3.1-8b-it", method="fp8", bits="w8a8", batch="leaderboard_v1")
    got = resources.of(opened, resources.evaluate)
    names = ("slurm_partition", "gpu_model", "nodes", "gres", "gpu")
    assert tuple(got[name](wildcards, attempt=1) for name in names) == ("rtx6000", "rtx6000", 1, None, 1)
    assert got["mem_mb"](wildcards, attempt=2) == 2 * got["mem_mb"](wildcards, attempt=1)
    assert resources.threads(opened, resources.evaluate)(wildcards) == 8


def test_job_is_a_value():
    changed = dataclasses.replace(job("evaluate", "tiny-2m", "fp16/w16a16"), phase="quantize", serving=None)
    assert changed == job("quantize", "tiny-2m", "fp16/w16a16")


SITES = {
    "vendor": {"gpu": "nvidia_a100-sxm4-80gb"},
    "Untyped-GPU": {"gpu": None},
    "mig": {"gpu": "nvidia_a100_1g.10gb"},
    "gres": {"gpu": "a100", "ask_by": "gres"},
    "gres-untyped": {"gpu": None, "ask_by": "gres"},
    "listed": {"gpu": "a100", "partition": "GPU-A,gpu_B"},
}
ASKED = {
    "vendor": {"gpu": 0, "slurm_extra": "--gpus-per-node=nvidia_a100-sxm4-80gb:1"},
    "Untyped-GPU": {"gpu": 1},
    "mig": {"gpu": 1, "gpu_model": "nvidia_a100_1g.10gb"},
    "gres": {"gpu": 0, "gres": "gpu:a100:1"},
    "gres-untyped": {"gpu": 0, "gres": "gpu:1"},
    "listed": {"gpu": 1, "gpu_model": "a100", "slurm_partition": "GPU-A,gpu_B"},
}


@pytest.mark.parametrize("name", SITES)
def test_a_site_is_asked_in_its_own_way(loaded, paper, name):
    partition = paper.partitions["a100"].model_dump() | SITES[name]
    site = Cluster(title="a site", partitions={name: partition})
    got = Requests(loaded, site).asked(job("evaluate", "llama-3.1-8b-it", "awq/w4a16"))
    kinds = ("gpu", "gpu_model", "gres", "slurm_extra")
    assert {key: got[key] for key in kinds if key in got} == {key: ASKED[name][key] for key in kinds if key in ASKED[name]}
    assert got["slurm_partition"] == ASKED[name].get("slurm_partition", name)
    assert got["node_gpus"] == 1, "a machine without SLURM locks as many"


def test_nodes_of_a_vendors_gpus_are_asked_for_one_by_one(loaded, paper):
    partition = paper.partitions["h100"].model_dump() | {"gpu": "nvidia_h100-80gb"}
    got = Requests(loaded, Cluster(title="a site", partitions={"h": partition})).asked(
        job("evaluate", "llama-3.1-405b-it", "fp16/w16a16")
    )
    assert (got["gpu"], got["slurm_extra"], got["tasks"], got["mpi"]) == (0, "--gpus-per-node=nvidia_h100-80gb:8", 2, "srun")


def test_four_servers_lack_one_for_405b_and_the_plan_says_which(loaded):
    with pytest.raises(UserError, match=r"756 GiB of weights.*; 2 nodes of 8 GPUs as in h100 would hold them"):
        Requests(loaded, loaded.clusters["paper"]).place(job("evaluate", "llama-3.1-405b-it", "fp16/w16a16"))
