"""Which GPUs a job gets, without a GPU and without SLURM."""

import dataclasses
from itertools import pairwise
from types import SimpleNamespace

import pytest
from edge2giant import dag, grid, paths, records
from edge2giant.cluster import placement, resources
from edge2giant.cluster.resources import Job
from edge2giant.engine import plan
from edge2giant.errors import UserError
from edge2giant.plan import quantize
from edge2giant.specs.variant import Variant
from hypothesis import given
from hypothesis import strategies as st

CONFIG = {"study": "paper", "batch": "suite", "results": "results", "figures": "paper_figures"}


@pytest.fixture(scope="module")
def house():
    return grid.load()


@pytest.fixture(scope="module")
def paper(house):
    return house.clusters["paper"]


SERVING = plan.Serving(max_model_len=16_384)


def job(phase, model, scheme, device="cuda"):
    return Job(phase, grid.Row(model, *scheme.split("/")), device, serving=SERVING if phase == "evaluate" else None)


def jobs(house, row, study="paper"):
    """Both jobs of a row, as the rules ask for them."""
    found = house.study(study)
    making = resources.making(house, row, paths.checkpoint_spec(house, found, row))
    return making, resources.evaluation(house, found, row)


@pytest.mark.parametrize(
    ("model", "scheme", "partition", "nodes", "gpus"),
    [
        ("llama-3.2-1b-it", "fp16/w16a16", "a6000", 1, 1),
        ("llama-3.2-1b-it", "fp8/w8a8", "rtx6000", 1, 1),
        ("llama-3.1-8b-it", "fp8/w8a8", "rtx6000", 1, 1),
        ("llama-3.1-8b-it", "awq/w4a16", "a6000", 1, 1),
        ("llama-3.1-70b-it", "fp8/w8a8", "rtx6000", 1, 2),
        ("llama-3.1-70b-it", "gptq-autogptq/w4a16", "a100", 1, 1),
        ("llama-3.1-405b-it", "fp8/w8a8", "h100", 1, 8),
        ("llama-3.1-405b-it", "awq/w4a16", "a100", 1, 4),
        ("llama-3.1-405b-it", "fp16/w16a16", "h100", 2, 8),
    ],
)
def test_evaluation_goes_to_the_smallest_gpus_that_run_it_natively(house, paper, model, scheme, partition, nodes, gpus):
    placed = resources.place(house, paper, job("evaluate", model, scheme))
    assert (placed.partition, placed.nodes, placed.gpus_per_node) == (partition, nodes, gpus)


def test_every_row_of_the_paper_fits(house, paper):
    for row in house.study("paper").rows:
        for asked in jobs(house, row):
            placed = resources.place(house, paper, asked)
            assert asked.links == (row.method == "fp16" and asked.phase == "quantize") == (placed is None)
            if placed is None:
                continue
            partition = paper["partitions"][placed.partition]
            assert placed.gpus_per_node <= partition["gpus_per_node"] and placed.nodes <= partition["nodes"]
            assert resources.memory_mb(house, paper, asked, 3) <= partition["host_memory_gib"] * 1024
            assert resources.minutes(house, paper, asked, 3) <= partition["max_hours"] * 60


def test_fp8_never_runs_where_it_is_emulated(house, paper):
    rows = [row for row in house.study("paper").rows if row.method == "fp8"]
    kinds = {kind.name: kind.compute_capability for kind in plan.gpus_of(paper)}
    capabilities = {kinds[resources.place(house, paper, jobs(house, row)[1]).partition] for row in rows}
    assert rows and min(capabilities) >= (8, 9)


def test_two_nodes_ask_by_gres_for_each_node(house, paper):
    asked = resources.site(house, paper, job("evaluate", "llama-3.1-405b-it", "fp16/w16a16"))
    assert asked["gres"] == "gpu:h100:8" and asked["nodes"] == asked["tasks"] == 2 and asked["mpi"] == "srun"
    assert asked["parallel"] == "8x2" and asked["cpus_per_task"] == 48
    assert "gpu_model" not in asked, "sbatch refuses typed and untyped requests together"
    assert resources.gpus(house, paper, job("evaluate", "llama-3.1-405b-it", "fp16/w16a16")) == 0


def test_cpu_stack_asks_for_no_gpu(house, paper):
    asked = job("evaluate", "llama-3.1-8b-it", "fp16/w16a16", device="cpu")
    assert resources.gpus(house, paper, asked) == 0
    assert set(resources.site(house, paper, asked).values()) == {None, "1x1", "-"}


def test_checkpoint_that_is_linked_asks_for_no_gpu_and_for_the_memory_of_its_proof(house, paper):
    making, _ = jobs(house, grid.Row("llama-3.1-8b-it", "fp16", "w16a16"))
    ordered = paper | {"cpu": {"partition": "cpu"}, "overrides": [{"rows": "*", "partition": "a100"}]}
    asked = resources.site(house, ordered, making)
    assert resources.gpus(house, ordered, making) == 0 and asked["slurm_partition"] == "cpu" and "gpu_model" not in asked
    weights = 2 * house.models["llama-3.1-8b-it"]["parameters"] / 2**20
    assert resources.memory_mb(house, ordered, making) > 4 * weights, "two models in float32"
    large, _ = jobs(house, grid.Row("llama-3.1-405b-it", "fp16", "w16a16"))
    assert resources.memory_mb(house, ordered, large) < 100_000, "of a large model the first layers are proven"
    assert resources.minutes(house, ordered, large) > 60, "its files are read all the same"


def test_published_checkpoint_is_linked_too(house):
    study = house.config.study("paper").model_copy(update={"checkpoints": {"fp8/w8a8": "published"}})
    row = grid.Row("llama-3.1-8b-it", "fp8", "w8a8")
    assert resources.making(house, row, quantize.checkpoint_spec(house.config, study, Variant(*grid.astuple(row)))).links


def test_the_engine_is_told_the_memory_that_the_plan_counted(house, paper):
    row = grid.Row("llama-3.1-70b-it", "fp8", "w8a8")
    making, asked = jobs(house, row)
    told = resources.site(house, paper, asked)["engine"]
    placed = plan.place(house.models[row.model]["architecture"], *row.scheme.split("/"), plan.gpus_of(paper), asked.serving)
    assert told == ",".join(f"{name}={value}" for name, value in placed.settings.items())
    assert resources.site(house, paper, making)["engine"] == "-"
    forced = paper | {"overrides": [{"rows": row.path, "partition": "h100", "gpus": 4}]}
    assert "gpu_memory_utilization=" in resources.site(house, forced, asked)["engine"]
    tight = paper | {"overrides": [{"rows": row.path, "partition": "rtx6000", "gpus": 1}]}
    assert resources.site(house, tight, asked)["engine"] == "-", "an order that the plan finds no room for is the user's"


def test_what_a_study_asks_of_the_engine_reaches_the_plan(house):
    study = dataclasses.replace(house.study("paper"), engine_settings={"max_num_batched_tokens": 2048, "kv_cache_dtype": "fp8"})
    asked = resources.evaluation(house, study, study.rows[0])
    assert asked.serving == plan.Serving(house.protocols[study.protocol]["max_model_len"], "fp8", 2048)
    old = dataclasses.replace(house.study("paper"), stack="paper2024")
    assert resources.evaluation(house, old, study.rows[0]).serving.whole_prompts


def test_everything_that_is_asked_reaches_the_rules(house, paper):
    for row in house.study("paper").rows:
        for asked in jobs(house, row):
            assert set(resources.site(house, paper, asked)) <= set(resources.SITE)


def test_attempts_double_memory_and_time(house, paper):
    asked = job("evaluate", "llama-3.1-8b-it", "fp16/w16a16")
    for grows in (resources.memory_mb, resources.minutes):
        assert all(2 * a == b for a, b in pairwise(grows(house, paper, asked, attempt) for attempt in (1, 2, 3)))


def test_override_wins_and_the_last_match_counts(house, paper):
    cluster = paper | {
        "overrides": [
            {"rows": "llama-3.1-8b-it/*", "partition": "a100", "gpus": 2},
            {"rows": "llama-3.1-8b-it/fp8/w8a8", "partition": "h100", "gpus": 1, "phase": "evaluate"},
        ]
    }
    placed = resources.place(house, cluster, job("evaluate", "llama-3.1-8b-it", "awq/w4a16"))
    assert (placed.partition, placed.gpu, placed.nodes, placed.gpus_per_node) == ("a100", "a100", 1, 2)
    assert resources.place(house, cluster, job("evaluate", "llama-3.1-8b-it", "fp8/w8a8")).partition == "h100"
    assert resources.place(house, cluster, job("quantize", "llama-3.1-8b-it", "fp8/w8a8")).partition == "a100"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"partition": "b200"}, "unknown partition 'b200'"),
        (
            {"partition": "a100", "gpus": 8},
            "asks for 1 nodes of 8 GPUs, partition a100 has 1 nodes of 4 GPUs",
        ),
        ({"partition": "a100", "nodes": 2}, "asks for 2 nodes of 1 GPUs"),
    ],
)
def test_impossible_override_is_named(house, paper, wanted, message):
    cluster = paper | {"overrides": [{"rows": "*"} | wanted]}
    with pytest.raises(UserError, match=message):
        resources.place(house, cluster, job("evaluate", "llama-3.1-8b-it", "fp8/w8a8"))


def test_row_that_fits_nowhere_is_named(house, paper):
    small = {"partitions": {"a6000": paper["partitions"]["a6000"]}}
    with pytest.raises(
        UserError,
        match=r"llama-3.1-8b-it/fp8/w8a8: no partition can hold evaluating fp8/w8a8.*compute capability 8.9",
    ):
        resources.place(house, small, job("evaluate", "llama-3.1-8b-it", "fp8/w8a8"))


@given(
    memory=st.sampled_from([24, 48, 80, 141]),
    more=st.sampled_from([0, 24, 80]),
    count=st.sampled_from([1, 4, 8]),
)
def test_a_larger_gpu_never_needs_more_of_them(house, memory, more, count):
    shape = house.models["llama-3.1-70b-it"]["architecture"]

    def gpus(size):
        entry = {
            "gpu": "x",
            "gpus_per_node": count,
            "nodes": 4,
            "gpu_memory_gib": size,
            "compute_capability": "9.0",
        }
        try:
            return placement.place_evaluation(shape, "fp16", "w16a16", SERVING, {"partitions": {"x": entry}}).gpus
        except UserError:
            return 10**6

    assert gpus(memory + more) <= gpus(memory)


def test_estimates_match_the_published_sizes(house):
    shape = house.models["llama-3.1-405b-it"]["architecture"]
    assert placement.checkpoint_bytes(shape, "w16a16") == pytest.approx(
        2 * house.models["llama-3.1-405b-it"]["parameters"], rel=1e-3
    )


def test_cluster_is_chosen_by_the_config():
    opened = dag.open_jobs(CONFIG | {"cluster": "rehearsal"})
    assert opened.cluster["rehearse"]
    with pytest.raises(UserError, match="unknown cluster 'nowhere'"):
        _ = dag.open_jobs(CONFIG | {"cluster": "nowhere"}).cluster


def test_rehearsal_asks_as_the_paper_does(house, paper):
    rehearsal = house.clusters["rehearsal"]
    for stand_in, model in rehearsal["rehearse"].items():
        asked = job("evaluate", stand_in, "fp16/w16a16", device="cpu")
        assert resources.place(house, rehearsal, asked) == resources.place(house, paper, job("evaluate", model, "fp16/w16a16"))


def test_rules_get_callables_for_what_slurm_reads():
    opened = dag.open_jobs(CONFIG)
    wildcards = SimpleNamespace(study="paper", model="llama-3.1-8b-it", method="fp8", bits="w8a8", batch="leaderboard_v1")
    asked = {name: value(wildcards) for name, value in opened.site("evaluate").items()}
    assert (asked["slurm_partition"], asked["gpu_model"], asked["nodes"], asked["gres"]) == (
        "rtx6000",
        "rtx6000",
        1,
        None,
    )
    assert opened.evaluate_gpus(wildcards) == 1
    assert opened.evaluate_memory(wildcards, attempt=2) == 2 * opened.evaluate_memory(wildcards, attempt=1)


def test_clusters_file_refuses_what_it_does_not_know(house):
    wrong = {"mine": {"title": "x", "partitions": {"p": {"gpu": "h100", "gpu_count": 8}}}}
    assert records.problem(wrong, "clusters")


def test_job_is_a_value():
    changed = dataclasses.replace(job("evaluate", "m", "fp16/w16a16"), phase="quantize", serving=None)
    assert changed == job("quantize", "m", "fp16/w16a16")
