"""llmcompressor on tiny models of other types than Llama: what it smooths is recorded, what it should not touch is as before."""

import numpy as np
import pytest
from edge2giant.errors import UserError
from edge2giant.quantize import compat, tensors
from edge2giant.records.checkpoint import SmoothedMapping
from quantize_model import CONFIG, calibration_set, run, spec, write_text, write_tokenizer

pytestmark = pytest.mark.toolkit("main")
SHAPE = {
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "head_dim": 64, "vocab_size": 300, "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
INT8 = {"num_bits": 8, "type": "int", "strategy": "channel", "dynamic": False, "symmetric": True}
INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "dynamic": False, "symmetric": True}
BY_TOKEN = {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True, "symmetric": True}


def write_random(folder, model_type, dtype="bfloat16", **changes):
    """A random model of a type that transformers knows, with norms that are no ones."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SHAPE | changes))
    for name, values in model.named_parameters():
        if "norm" in name and values.dim() == 1:
            values.data += 0.3 * torch.rand_like(values)
        elif name.endswith("bias"):
            values.data += 0.1 * torch.randn_like(values)
        elif "norm" not in name:
            values.data *= 3
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture
def place(tmp_path):
    write_text(tmp_path / "calibration", 1)
    write_text(tmp_path / "heldout", 2, letters="0123456789,.-ABCDEF")
    return tmp_path


def gptq(weights, bits, activations=None, smoothing=None):
    group = {"targets": ["Linear"], "weights": weights} | ({"input_activations": activations} if activations else {})
    arguments = {"ignore": ["lm_head"], "dampening_frac": 0.01, "actorder": None, "config_groups": {"group_0": group}}
    first = [{"SmoothQuantModifier": smoothing}] if smoothing else []
    return spec("llmcompressor", {"modifiers": [*first, {"GPTQModifier": arguments}]}, bits, calibration_set())


@pytest.mark.parametrize(("model_type", "dtype"), [("gemma", "bfloat16"), ("gemma2", "float32"), ("gemma3_text", "float32")])
def test_norms_that_add_one_come_back_to_the_last_bit(place, model_type, dtype):
    source = tensors.Tensors(write_random(place / "model", model_type, dtype))
    record = run(place, place / "out", gptq(INT4, "w4a16"))
    made = tensors.Tensors(place / "out")
    norms = [name for name in source.names if "norm" in name]
    assert norms and all(np.array_equal(made.float32(name), source.float32(name)) for name in norms)
    assert record["recipe"]["executed"]["smoothed"] == []


def test_what_is_smoothed_is_recorded_by_its_full_names(place):
    write_random(place / "model", "llama")
    done = run(place, place / "out", gptq(INT8, "w8a8", BY_TOKEN, {"smoothing_strength": 0.8}))["recipe"]["executed"]
    assert done["transform"] == "smoothing" and len(done["smoothed"]) == 4
    attention = [f"model.layers.1.self_attn.{one}_proj" for one in "qkv"]
    assert {"smooth_layer": "model.layers.1.input_layernorm", "balance_layers": attention} in done["smoothed"]


def test_smoothing_that_finds_nothing_is_no_checkpoint(place):
    write_random(place / "model", "gpt_neox", head_dim=None)
    with pytest.raises(UserError, match="SmoothQuantModifier finds no layers to smooth in a model of type gpt_neox; give"):
        run(place, place / "out", gptq(INT8, "w8a8", BY_TOKEN, {"smoothing_strength": 0.8}))
    assert not (place / "out").exists()


def test_smoothed_layers_keep_what_the_toolkit_stored(tmp_path):
    import torch

    source = {"a.norm.weight": torch.full((4,), 0.3), "b.norm.weight": torch.full((4,), 0.7)}
    stored = {name: (1 + values) - 1 for name, values in source.items()}
    for folder, values in (("source", source), ("made", stored)):
        (tmp_path / folder).mkdir()
        tensors.write(tmp_path / folder / "model.safetensors", values)
        compat.write_config(tmp_path / folder, CONFIG | {"dtype": "float32"})
    changed = compat.restore_unquantized(tmp_path / "source", tmp_path / "made", (SmoothedMapping("b.norm", ("c",)),))
    made = tensors.Tensors(tmp_path / "made")
    assert changed == ["a.norm.weight"] and torch.equal(made.read("a.norm.weight"), source["a.norm.weight"])
    assert not torch.equal(made.read("b.norm.weight"), source["b.norm.weight"])


GEMMA = [
    [["re:.*q_proj$", "re:.*k_proj$", "re:.*v_proj$"], "re:.*input_layernorm$"],
    [["re:.*gate_proj$", "re:.*up_proj$"], "re:.*pre_feedforward_layernorm$"],
]


def smoothquant(mappings=None):
    return gptq(INT8, "w8a8", BY_TOKEN, {"smoothing_strength": 0.8} | ({"mappings": mappings} if mappings else {}))


@pytest.mark.parametrize("model_type", ["gemma2", "gemma3_text"])
def test_gemma_is_smoothed_where_the_norm_feeds_the_layers(place, model_type):
    write_random(place / "model", model_type)
    assert len(run(place, place / "out", smoothquant(GEMMA))["recipe"]["executed"]["smoothed"]) == 4
    with pytest.raises(UserError, match="failed its validation"):
        run(place, place / "wrong", smoothquant())
    assert not (place / "wrong").exists()


def test_fused_layers_are_smoothed_and_accepted(place):
    write_random(place / "model", "phi3")
    done = run(place, place / "out", smoothquant())["recipe"]["executed"]["smoothed"]
    attention = {"smooth_layer": "model.layers.0.input_layernorm", "balance_layers": ["model.layers.0.self_attn.qkv_proj"]}
    assert attention in done and len(done) == 4


def test_awq_scales_biases_too_and_is_accepted(place):
    """The values' outputs take up scales that o_proj undoes: with them their biases, which differ from the source's."""
    source = tensors.Tensors(write_random(place / "model", "qwen2"))
    assert float(np.abs(source.float32("model.layers.0.self_attn.v_proj.bias")).max()) > 0
    rounding = {"ignore": ["lm_head"], "config_groups": {"group_0": {"targets": ["Linear"], "weights": INT4}}}
    recipe = {"modifiers": [{"AWQModifier": {"duo_scaling": True, "n_grid": 4}}, {"QuantizationModifier": rounding}]}
    given = spec("llmcompressor", recipe, "w4a16", calibration_set())
    done = run(place, place / "out", given)["recipe"]["executed"]["smoothed"]
    made = tensors.Tensors(place / "out")
    changed = [one["smooth_layer"] for one in done if f"{one['smooth_layer']}.bias" in source]
    assert changed
    for name in changed:
        assert not np.array_equal(made.float32(f"{name}.bias"), source.float32(f"{name}.bias"))
