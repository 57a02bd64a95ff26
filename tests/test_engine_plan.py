"""Memory plan and placement: known sizes, known needs, and monotonicity."""

from pathlib import Path

import pytest
import yaml
from edge2giant.engine import plan
from edge2giant.errors import UserError
from hypothesis import given
from hypothesis import strategies as st

CONFIG = Path(__file__).parent.parent / "config"
MODELS = yaml.safe_load((CONFIG / "models.yaml").read_text())
REAL = sorted(name for name, model in MODELS.items() if "parameters" in model)
H100 = plan.Gpus("h100", 80, 8, 2, (9, 0))
A6000 = plan.Gpus("a6000", 48, 4, 1, (8, 6))


def shape(name):
    return MODELS[name]["architecture"]


@pytest.mark.parametrize("name", REAL)
def test_parameters_are_those_of_the_model(name):
    assert plan.parameters(shape(name)) == pytest.approx(MODELS[name]["parameters"], rel=0.002)


def test_405b_in_16_bits_needs_two_nodes_of_eight_80_gb():
    placed = plan.place(shape("llama-3.1-405b-it"), "w16a16", [H100])
    assert (placed.nodes, placed.tensor_parallel_size, placed.pipeline_parallel_size) == (2, 8, 2)
    one_node = plan.Gpus("h100", 80, 8, 1, (9, 0))
    with pytest.raises(UserError, match="do not fit"):
        plan.place(shape("llama-3.1-405b-it"), "w16a16", [one_node])


def test_405b_in_4_bits_fits_one_node():
    placed = plan.place(shape("llama-3.1-405b-it"), "w4a16", [H100])
    assert placed.nodes == 1


def test_small_models_take_one_small_gpu():
    placed = plan.place(shape("llama-3.1-8b-it"), "w16a16", [H100, A6000])
    assert (placed.gpu, placed.tensor_parallel_size) == ("a6000", 1)
    assert placed.max_model_len == plan.LONGEST_REQUEST


def test_fp8_goes_where_it_is_native_or_says_so():
    architecture = shape("llama-3.1-8b-it")
    assert plan.place(architecture, "w8a8", [H100, A6000], method="fp8").gpu == "h100"
    placed = plan.place(architecture, "w8a8", [A6000], method="fp8")
    assert "weight-only" in placed.warnings[0]


def test_a_model_is_never_asked_for_more_than_it_was_trained_on():
    assert plan.place(shape("llama-2-7b-chat"), "w16a16", [H100]).max_model_len == 4096


def test_settings_are_the_engines():
    from edge2giant.engine.settings import COMMON, VLLM

    placed = plan.place(shape("llama-3.1-70b-it"), "w16a16", [H100])
    assert set(placed.settings()) <= set(COMMON | VLLM)
    assert 0.5 < placed.settings()["gpu_memory_utilization"] <= 0.9


def test_clusters_of_the_repository_can_be_read():
    for cluster in yaml.safe_load((CONFIG / "clusters.yaml").read_text()).values():
        assert all(one.memory_gib > 0 and one.compute_capability >= (7, 0) for one in plan.gpus_of(cluster))


def test_bits_are_checked():
    with pytest.raises(UserError, match="bit-width"):
        plan.weight_bits("int4")


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("bits", ["w16a16", "w8a8", "w4a16"])
def test_what_is_placed_fits(name, bits):
    placed = plan.place(shape(name), bits, [H100, A6000])
    total = {"h100": 80, "a6000": 48}[placed.gpu] * plan.GIB
    held = placed.memory
    assert held.needed + held.kv_cache <= total
    assert held.kv_tokens >= placed.max_model_len


@given(st.sampled_from(REAL), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]))
def test_more_gpus_or_fewer_bits_never_hold_more(name, tp, pp):
    architecture = shape(name)
    held = plan.weight_bytes(architecture, "w16a16", tp, pp)
    assert plan.weight_bytes(architecture, "w16a16", 2 * tp, pp) <= held
    assert plan.weight_bytes(architecture, "w16a16", tp, 2 * pp) <= held
    assert plan.weight_bytes(architecture, "w4a16", tp, pp) < plan.weight_bytes(architecture, "w8a8", tp, pp)
    assert plan.kv_bytes_per_token(architecture, tp, pp, "fp8") * 2 == plan.kv_bytes_per_token(architecture, tp, pp)


def test_measured_loads_are_within_a_tenth():
    """Bytes of weights that vLLM held on one GPU; see docs/measurements."""
    import json

    files = sorted((CONFIG.parent / "docs/measurements").glob("scoring-*.json"))
    for file in files:
        record = json.loads(file.read_text())
        architecture = shape(record["architecture"])
        predicted = plan.weight_bytes(architecture, "w16a16")
        assert predicted == pytest.approx(record["memory"][0]["weights"], rel=0.1), file.name
