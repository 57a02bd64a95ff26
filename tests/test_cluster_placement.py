"""Which GPUs a job gets, without a GPU and without SLURM."""

import dataclasses
from itertools import pairwise
from types import SimpleNamespace

import pytest
from edge2giant import dag, grid, records
from edge2giant.cluster import placement, resources
from edge2giant.cluster.resources import Job
from edge2giant.errors import UserError
from hypothesis import given
from hypothesis import strategies as st

CONFIG = {"study": "paper", "batch": "suite", "results": "results", "figures": "paper_figures"}


@pytest.fixture(scope="module")
def house():
    return grid.load()


@pytest.fixture(scope="module")
def paper(house):
    return house.clusters["paper"]


def job(phase, model, scheme, device="cuda"):
    return Job(phase, grid.Row(model, *scheme.split("/")), device)


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
        for phase in ("evaluate", "quantize"):
            asked = Job(phase, row, "cuda")
            placed = resources.place(house, paper, asked)
            partition = paper["partitions"][placed.partition]
            assert placed.gpus_per_node <= partition["gpus_per_node"] and placed.nodes <= partition["nodes"]
            assert resources.memory_mb(house, paper, asked, 3) <= partition["host_memory_gib"] * 1024
            assert resources.minutes(house, paper, asked, 3) <= partition["max_hours"] * 60


def test_fp8_never_runs_where_it_is_emulated(house, paper):
    rows = [row for row in house.study("paper").rows if row.method == "fp8"]
    capabilities = {
        placement.capability(paper["partitions"][resources.place(house, paper, Job("evaluate", row, "cuda")).partition])
        for row in rows
    }
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


def test_everything_that_is_asked_reaches_the_rules(house, paper):
    for row in house.study("paper").rows:
        for phase in ("evaluate", "quantize"):
            assert set(resources.site(house, paper, Job(phase, row, "cuda"))) <= set(resources.SITE)


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
    assert resources.place(house, cluster, job("evaluate", "llama-3.1-8b-it", "awq/w4a16")) == placement.Placement(
        "a100", "a100", 1, 2
    )
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
            return placement.place_evaluation(shape, "fp16", "w16a16", {"partitions": {"x": entry}}).gpus
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
    assert dataclasses.replace(job("evaluate", "m", "fp16/w16a16"), phase="quantize") == job("quantize", "m", "fp16/w16a16")


def test_engine_is_told_its_share_of_gpus_and_nodes():
    from edge2giant.engine.settings import BY_ENGINE
    from edge2giant.evaluate.batch import parallel_settings

    assert parallel_settings("1x1") == {}
    assert parallel_settings("4x1") == {"tensor_parallel_size": 4, "pipeline_parallel_size": 1}
    two = parallel_settings("8x2")
    assert two == {"tensor_parallel_size": 8, "pipeline_parallel_size": 2, "distributed_executor_backend": "ray"}
    assert set(two) <= set(BY_ENGINE["vllm"]) and set(two) <= set(BY_ENGINE["vllm-stock"])
    for wrong in ("8", "0x1", "8x", "ax2"):
        with pytest.raises(UserError, match="is no GPUSxNODES"):
            parallel_settings(wrong)
