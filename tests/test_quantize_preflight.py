"""Preflight: each known limit is found, and nothing is found against what loads."""

import json
from dataclasses import replace

import pytest
from edge2giant import config, schemes
from edge2giant.errors import UserError
from edge2giant.models.facts import LinearLayer, ModelFacts
from edge2giant.plan import quantize
from edge2giant.quantize import preflight, toolkits
from edge2giant.schemes import limits
from edge2giant.schemes.integers import Integers
from edge2giant.schemes.nvfp4 import NVFP4
from edge2giant.specs.variant import Variant
from shared import ROOT

CONFIG = config.load(ROOT)


def verdicts(method, bits, engine, version, device, settings=None):
    spec = quantize.made_spec(CONFIG, CONFIG.study("schemes"), Variant("llama-3.1-8b-it", method, bits), settings)
    scheme = toolkits.module(spec.toolkit).scheme(spec.recipe)
    return [(v.level, v.name) for v in preflight.check(scheme, engine, version, device)]


CASES = [
    ("fp16", "w16a16", "vllm", "0.33.0", "cuda:7.0", []),
    ("gptq-autogptq", "w4a16", "vllm", "0.33.0", "cuda:9.0", [("refused", "gptq-desc-act-group")]),
    ("gptq-autogptq", "w4a16", "vllm-stock", "0.6.6.post1", "cuda:9.0", []),
    ("gptq-autogptq", "w4a16", "hf", "5.17.0", "cuda:9.0", [("needs", "hf-gptq")]),
    ("gptq-autoround", "w4a16", "vllm", "0.33", "cuda:8.0", []),
    ("gptq-llmcompressor", "w4a16", "vllm", "0.33", "cpu", []),
    ("gptq-llmcompressor", "w8a16", "vllm", "0.33", "cpu", [("refused", "cpu-w8a16")]),
    ("gptq-llmcompressor", "w8a16", "vllm", "0.33", "cuda:8.0", []),
    ("gptq-llmcompressor", "w8a16", "hf", "5.17", "cpu", []),
    ("gptq-gptqmodel", "w8a16", "vllm", "0.32", "cpu", [("refused", "cpu-gptq-8")]),
    ("fp8", "w8a8", "vllm", "0.33", "cpu", [("refused", "cpu-fp8-static")]),
    ("fp8", "w8a8", "vllm", "0.33", "cuda:8.0", [("degraded", "fp8-weight-only")]),
    ("fp8", "w8a8", "vllm", "0.33", "cuda:8.9", []),
    ("fp8", "w8a8", "hf", "5.17", "cpu", []),
    ("nvfp4-llmcompressor", "w4a4", "vllm", "0.33", "cuda:10.0", []),
    ("nvfp4-llmcompressor", "w4a4", "vllm", "0.33", "cuda:9.0", [("degraded", "fp4-weight-only")]),
    ("nvfp4-llmcompressor", "w4a4", "vllm", "0.33", "cpu", [("refused", "cpu-fp4")]),
    ("nvfp4-llmcompressor", "w4a4", "hf", "5.17", "cpu", []),
    ("nvfp4-llmcompressor", "w4a16", "vllm", "0.33", "cuda:7.5", []),
    ("mxfp4-llmcompressor", "w4a4", "vllm", "0.33", "cuda:9.0", [("degraded", "fp4-weight-only")]),
    ("mxfp4-llmcompressor", "w4a16", "vllm", "0.33", "cuda:7.5", [("refused", "fp4-too-old")]),
    ("mxfp4-llmcompressor", "w4a16", "vllm", "0.33", "cuda:9.0", []),
    ("mxfp4-llmcompressor", "w4a16", "vllm", "0.33", "cuda:10.0", [("degraded", "mxfp4-rounds-activations")]),
    ("smoothquant", "w8a8", "vllm", "0.33", "cpu", []),
    ("smoothquant", "w8a8", "vllm", "0.33", "cuda:7.0", [("refused", "capability")]),
    ("awq", "w4a16", "vllm", "0.33", "cpu", []),
    ("awq", "w4a16", "vllm", "0.33", "cuda:10.0", []),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(c[:5]))
def test_rule_table(case):
    assert verdicts(*case[:5]) == case[5]


def test_what_a_study_changes_counts():
    assert verdicts("gptq-autogptq", "w4a16", "vllm", "0.33", "cuda:9.0", {"desc_act": False}) == []
    assert verdicts("gptq-gptqmodel", "w4a16", "vllm", "0.33", "cuda:9.0", {"sym": False}) == [("refused", "gptq-asymmetric")]


def test_every_verdict_has_reason_and_hint():
    known = {limit for kind in schemes.kinds() for limit in kind.limits}
    for limit in known:
        assert bool(limit.packages) == (limit.level == limits.NEEDS)
        assert limit.reason and limit.hint and limit.learnt in ("run", "source") and preflight.release_of(limit.since)
    assert len({limit.name for limit in known}) == len(known)


def test_autogptq_cannot_be_made_on_a_cpu():
    facts = {name: model.facts for name, model in CONFIG.models.items()}
    assert [v.level for v in toolkits.check_making("autogptq", facts["llama-2-7b-chat"], {}, "cpu")] == ["refused"]
    assert toolkits.check_making("autogptq", facts["llama-2-7b-chat"], {}, "cuda:9.0") == []
    assert [v.name for v in toolkits.check_making("autogptq", facts["llama-3.3-70b-it"], {}, "cuda:9.0")] == ["autogptq-rotary"]


SMOOTH = {"modifiers": [{"SmoothQuantModifier": {"smoothing_strength": 0.8}}]}
MAPPED = {"modifiers": [{"SmoothQuantModifier": {"smoothing_strength": 0.8, "mappings": [[["re:.*qkv"], "re:.*norm"]]}}]}
GPTQ = {"modifiers": [{"GPTQModifier": {}}]}
AWQ = {"apply_clip": True}


@pytest.mark.parametrize(
    ("toolkit", "model_type", "recipe", "refused"),
    [
        ("autogptq", "gemma", {}, None),
        ("autogptq", "gemma2", {}, "no model type gemma2"),
        ("autoawq", "qwen2", AWQ, None),
        ("autoawq", "gemma3_text", AWQ, "no model type gemma3_text"),
        ("autoawq", "mixtral", AWQ, "leaves the router"),
        ("autoawq", "gpt_neox", AWQ, "mlp.act.scales"),
        ("autoawq", "falcon", AWQ, "without data"),
        ("gptqmodel", "phi3", {}, "gate_up_proj"),
        ("gptqmodel", "qwen3_moe", {}, None),
        ("llmcompressor", "falcon", GPTQ, "without compressing them"),
        ("llmcompressor", "olmo2", GPTQ, None),
        ("llmcompressor", "olmo2", SMOOTH, "no norm before its linear layers"),
        ("llmcompressor", "gpt_neox", MAPPED, None),
    ],
)
def test_a_model_type_that_a_toolkit_cannot_make_is_refused_by_the_plan(toolkit, model_type, recipe, refused):
    facts = replace(CONFIG.models["llama-2-7b-chat"].facts, model_type=model_type)
    found = [v.reason for v in toolkits.check_making(toolkit, facts, recipe, "cuda:9.0")]
    assert len(found) == (refused is not None) and (not found or refused in found[0])


def test_clipping_takes_output_channels_in_blocks():
    facts = CONFIG.models["gemma-2b-it"].facts
    small = replace(facts, num_key_value_heads=1, head_dim=32, linear_layers=())
    assert "self_attn.v_proj has 32" in toolkits.check_making("autoawq", small, AWQ, "cuda:9.0")[0].reason
    assert toolkits.check_making("autoawq", small, {"apply_clip": False}, "cuda:9.0") == []
    assert toolkits.check_making("autoawq", facts, AWQ, "cuda:9.0") == []


EXPERTS = {
    "num_experts": 8,
    "linear_layers": (LinearLayer("mlp.experts.up_proj", 256, 128, 256), LinearLayer("mlp.experts.down_proj", 128, 256, 256)),
}


@pytest.mark.parametrize(
    ("method", "change", "refused"),
    [
        (("fp8", "w8a8"), EXPERTS, "inputs of experts"),
        (("rtn", "w4a16"), EXPERTS, None),
        (("nvfp4-llmcompressor", "w4a16"), EXPERTS, "experts in NVFP4"),
        (("mxfp4-llmcompressor", "w4a16"), EXPERTS, None),
        (("mixed-llmcompressor", "w4a16"), EXPERTS, "all experts of a model by one scheme"),
        (("mixed-llmcompressor", "w4a16"), {}, None),
        (("rtn", "w4a16"), {"model_type": "falcon"}, "compressed layers of falcon"),
        (("gptq-gptqmodel", "w4a16"), {"model_type": "falcon"}, None),
    ],
)
def test_layers_that_transformers_overlooks_are_refused_whatever_the_engine(method, change, refused):
    facts = replace(CONFIG.models["llama-2-7b-chat"].facts, **change)
    scheme = quantize.scheme(CONFIG, CONFIG.study("schemes"), Variant("tiny-0.4m", *method))
    found = [v.reason for v in preflight.check_layers(scheme, facts)]
    assert len(found) == (refused is not None) and (not found or refused in found[0])


SMOLLM2 = ModelFacts(
    parameters=134_515_008, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
    num_key_value_heads=3, head_dim=64, vocab_size=49_152, max_position_embeddings=8192, tie_word_embeddings=True,
    dtype="bfloat16",
)  # fmt: skip


def test_groups_that_do_not_divide_are_refused_with_those_that_do():
    int4 = Integers("gptq", 4, 128)
    (found,) = preflight.check_groups(int4, SMOLLM2)
    assert (found.level, found.reason) == (
        "refused", "576 input channels of mlp.gate_proj do not split into groups of 128"
    )  # fmt: skip
    assert "32, 64;" in found.hint
    for size in (64, 32, -1):
        assert preflight.check_groups(replace(int4, group_size=size), SMOLLM2) == []
    assert preflight.check_groups(NVFP4("compressed-tensors", 4, 16), SMOLLM2) == []


def test_a_bfloat16_model_in_float16_is_warned_of():
    assert [v.level for v in preflight.check_precision(SMOLLM2, "float16", "evaluated")] == ["degraded"]
    assert preflight.check_precision(SMOLLM2, "auto", "evaluated") == []
    assert preflight.check_precision(replace(SMOLLM2, dtype="float16"), "float16", "evaluated") == []


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:9", "cuda:x.y"])
def test_a_device_is_spelt_out(device):
    with pytest.raises(UserError, match="unknown device"):
        limits.Device.parse(device)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ("none", 16, 0)),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "sym": True}, ("gptq", 4, 128)),
        ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True}, ("awq", 4, 64)),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "packing_format": "auto_round:auto_awq"}, ("awq", 4, 128)),
        ({"quant_method": "intel/auto-round", "bits": 4, "group_size": 128}, ("auto-round-old", 4, 128)),
    ],
)
def test_a_checkpoint_is_read_by_its_config(tmp_path, config, expected):
    content = {"quantization_config": config} if config else {}
    (tmp_path / "config.json").write_text(json.dumps(content))
    scheme = schemes.of_checkpoint(tmp_path)
    assert (scheme.format, scheme.bits, scheme.group_size) == expected


def test_an_unknown_method_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "magic"}}')
    with pytest.raises(UserError, match="'magic' that no scheme describes; known: FP8"):
        schemes.of_checkpoint(tmp_path)
