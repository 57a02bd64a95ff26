"""Memory plan and placement: known sizes, known needs, and monotonicity."""

import json
from pathlib import Path

import pytest
import yaml
from edge2giant import config
from edge2giant.engine import plan
from edge2giant.errors import UserError
from edge2giant.schemes.fp8 import FP8
from edge2giant.schemes.int8_activations import Int8Activations
from edge2giant.schemes.integers import Integers
from edge2giant.schemes.nvfp4 import NVFP4
from edge2giant.schemes.unquantized import SixteenBits
from edge2giant.specs import engine as engine_settings
from hypothesis import given
from hypothesis import strategies as st

CONFIG = Path(__file__).parent.parent / "config"
FACTS = {name: model.facts for name, model in config.load().models.items()}
H100 = plan.Gpus("h100", 80, 8, 2, (9, 0))
A6000 = plan.Gpus("a6000", 48, 4, 1, (8, 6))
CT = "compressed-tensors"
SIXTEEN, INT4, INT8 = SixteenBits(), Integers(CT, 4, 128), Int8Activations(CT, 8, -1)
STATIC_FP8, DYNAMIC_FP8 = FP8(CT, 8, 0, activation_bits=8, static_activations=True), FP8(CT, 8, -1, activation_bits=8)
LONGEST = 16_384


@pytest.mark.parametrize("name", sorted(FACTS))
def test_weights_in_16_bits_are_the_models_parameters(name):
    assert plan.weight_bytes(FACTS[name], SIXTEEN) == pytest.approx(2 * FACTS[name].parameters, rel=0.002)


def place(name, scheme, gpus, max_model_len=LONGEST, **settings):
    return plan.place(FACTS[name], plan.Serving(scheme, max_model_len, **settings), gpus)


def test_405b_in_16_bits_needs_two_nodes_of_eight_80_gb():
    placed = place("llama-3.1-405b-it", SIXTEEN, [H100])
    assert (placed.nodes, placed.tensor_parallel_size) == (2, 8)
    one_node = plan.Gpus("h100", 80, 8, 1, (9, 0))
    with pytest.raises(UserError, match="do not fit"):
        place("llama-3.1-405b-it", SIXTEEN, [one_node])


def test_405b_in_4_bits_fits_one_node():
    placed = place("llama-3.1-405b-it", INT4, [H100])
    assert placed.nodes == 1


def test_small_models_take_one_small_gpu():
    placed = place("llama-3.1-8b-it", SIXTEEN, [H100, A6000])
    assert (placed.gpu, placed.tensor_parallel_size) == ("a6000", 1)
    assert placed.max_model_len == LONGEST


@pytest.mark.parametrize("scheme", [STATIC_FP8, DYNAMIC_FP8], ids=lambda scheme: scheme.label)
def test_fp8_goes_where_it_is_native_and_nowhere_else(scheme):
    assert place("llama-3.1-8b-it", scheme, [H100, A6000]).gpu == "h100"
    assert place("llama-3.1-8b-it", INT8, [H100, A6000]).gpu == "a6000"
    with pytest.raises(UserError, match="do not fit"):
        place("llama-3.1-8b-it", scheme, [A6000])


def test_fp4_goes_to_blackwell_and_where_there_is_none_runs_weight_only():
    nvfp4, b200 = NVFP4(CT, 4, 16, activation_bits=4), plan.Gpus("b200", 180, 8, 1, (10, 0))
    assert place("llama-3.1-8b-it", nvfp4, [A6000, b200]).gpu == "b200"
    assert place("llama-3.1-8b-it", nvfp4, [A6000, H100]).gpu == "a6000"
    assert place("llama-3.1-8b-it", NVFP4(CT, 4, 16), [A6000, b200]).gpu == "a6000", "weights alone are native on all"


def test_the_least_capable_of_equals_is_taken():
    better = plan.Gpus("b", 48, 4, 1, (9, 0))
    assert place("llama-3.1-8b-it", SIXTEEN, [better, A6000]).gpu == "a6000"


def test_a_model_is_never_asked_for_more_than_it_was_trained_on():
    assert place("llama-2-7b-chat", SIXTEEN, [H100]).max_model_len == 4096


@pytest.mark.parametrize(
    ("name", "scheme", "gpus", "why"),
    [
        ("llama-2-7b-chat", INT4, 2, None),  # 11008 / 2 = 43 groups of 128
        ("llama-2-7b-chat", INT4, 4, "11008 input channels of mlp.down_proj in groups of 128"),
        ("llama-2-7b-chat", SIXTEEN, 4, None),
        ("llama-2-7b-chat", INT8, 8, None),
        ("llama-2-13b-chat", INT4, 8, "13824 input channels of mlp.down_proj in groups of 128"),
        ("llama-2-13b-chat", INT4, 4, None),
        ("llama-2-13b-chat", SIXTEEN, 16, "40 attention heads and 40 of keys and values"),
        ("llama-3.1-8b-it", INT4, 8, None),
        ("llama-3.1-8b-it", INT4, 16, None),  # 8 heads of keys and values, each on two GPUs
        ("llama-3.1-8b-it", INT4, 3, "32 attention heads and 8 of keys and values"),
        ("gemma-2b-it", INT4, 8, None),  # one head of keys and values, on every GPU
    ],
)
def test_gpus_share_heads_and_groups_evenly(name, scheme, gpus, why):
    assert plan.indivisible(FACTS[name], scheme, gpus) == why


def test_a_checkpoint_is_placed_only_where_its_layers_divide():
    small = plan.Gpus("small", 16, 8, 1, (8, 6))
    placed = place("llama-2-7b-chat", INT4, [small])
    assert placed.tensor_parallel_size == 2
    smaller = plan.Gpus("smaller", 14, 8, 1, (8, 6))
    with pytest.raises(UserError, match="do not fit"):
        place("llama-2-7b-chat", INT4, [smaller])


def test_settings_are_the_engines():
    placed = place("llama-3.1-70b-it", SIXTEEN, [H100])
    assert engine_settings.check("vllm", placed.settings) == placed.settings
    assert 0.5 < placed.settings["gpu_memory_utilization"] <= 0.9


def test_what_the_config_fixes_is_not_chosen():
    fixed = {"max_num_batched_tokens": 1024, "gpu_memory_utilization": 0.8}
    assert place("llama-3.1-70b-it", INT4, [H100], **fixed).settings == fixed
    assert place("llama-3.1-8b-it", SIXTEEN, [H100], 131_072).memory.kv_tokens >= 131_072


def test_an_engine_that_does_not_cut_prompts_computes_the_longest_in_one_step():
    placed = place("llama-3.1-8b-it", SIXTEEN, [H100], whole_prompts=True)
    assert placed.max_num_batched_tokens == placed.max_model_len == 16_384
    assert placed.memory.logprobs == plan.logprob_bytes(FACTS["llama-3.1-8b-it"], 16_384)


@pytest.mark.parametrize("name", sorted(FACTS))
@pytest.mark.parametrize("scheme", [SIXTEEN, INT4, INT8, STATIC_FP8], ids=lambda scheme: scheme.label)
def test_bytes_on_a_gpu_are_those_on_disk(name, scheme):
    from edge2giant.quantize.sizes import planned_bytes

    assert plan.weight_bytes(FACTS[name], scheme) == pytest.approx(planned_bytes(FACTS[name], scheme)["total"], rel=0.01)


def test_clusters_of_the_repository_can_be_read():
    for cluster in yaml.safe_load((CONFIG / "clusters.yaml").read_text()).values():
        assert all(one.memory_gib > 0 and one.compute_capability >= (7, 0) for one in plan.gpus_of(cluster["partitions"]))


@pytest.mark.parametrize("name", sorted(FACTS))
@pytest.mark.parametrize("scheme", [SIXTEEN, INT8, INT4], ids=lambda scheme: scheme.label)
def test_what_is_placed_fits(name, scheme):
    placed = place(name, scheme, [H100, A6000])
    total = {"h100": 80, "a6000": 48}[placed.gpu] * plan.GIB
    held = placed.memory
    assert held.needed + held.kv_cache <= total
    assert held.kv_tokens >= placed.max_model_len


@given(st.sampled_from(sorted(FACTS)), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]))
def test_more_gpus_or_fewer_bits_never_hold_more(name, tp, pp):
    facts = FACTS[name]
    held = plan.weight_bytes(facts, SIXTEEN, tp, pp)
    assert plan.weight_bytes(facts, SIXTEEN, 2 * tp, pp) <= held
    assert plan.weight_bytes(facts, SIXTEEN, tp, 2 * pp) <= held
    assert plan.weight_bytes(facts, INT4, tp, pp) < plan.weight_bytes(facts, INT8, tp, pp)
    assert plan.kv_bytes(facts, 100, tp, pp, "fp8") * 2 == plan.kv_bytes(facts, 100, tp, pp)


H200_BYTES = 150_754_820_096  # 143,771 MiB


@pytest.mark.parametrize(
    "file", sorted((CONFIG.parent / "docs/measurements").glob("scoring-h200-*.json")), ids=lambda file: file.stem
)
def test_measured_loads_are_within_a_tenth(file):
    """Bytes of weights and of key-value cache that vLLM held on one H200."""
    record = json.loads(file.read_text())
    planned = plan.memory(FACTS[record["architecture"]], SIXTEEN, H200_BYTES)
    (held,) = record["memory"][:1]
    assert planned.weights == pytest.approx(held["weights"], rel=0.1)
    assert planned.kv_cache == pytest.approx(held["kv_cache"], rel=0.1)
