"""Which layers a toolkit rounds: never routers and output layers; and how one that cannot be rounded is named."""

import numpy as np
import pytest
from edge2giant.errors import UserError
from edge2giant.quantize import changes, compat, faults, sizes, tensors, toolkits
from quantize_model import calibration_set, run, spec, weights, write_model, write_text, write_tokenizer
from tiny_models import MATRIX, write

LAYER = "model.layers.1.mlp.down_proj"


@pytest.fixture
def place(tmp_path):
    write_text(tmp_path / "calibration", 1)
    write_text(tmp_path / "heldout", 2, letters="0123456789,.-ABCDEF")
    return tmp_path


def modifiers(*first, **arguments):
    numbers = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "dynamic": False, "symmetric": True}
    group = {"targets": ["Linear"], "weights": numbers}
    rounding = {"ignore": ["lm_head"], "config_groups": {"group_0": group}} | arguments
    return {"modifiers": [*first, {"QuantizationModifier": rounding}]}


OWN = {
    "gptqmodel": {"bits": 4, "group_size": 128, "desc_act": False, "sym": True, "damp_percent": 0.1},
    "autoawq": {"w_bit": 4, "q_group_size": 128, "zero_point": True, "version": "GEMM", "apply_clip": False, "duo_scaling": True},
}
RTN = {"bits": 4, "group_size": 32, "ignore": ["lm_head"]}


@pytest.mark.toolkit("main")
@pytest.mark.parametrize(("toolkit", "recipe"), [("rtn", RTN), ("llmcompressor", modifiers())], ids=["rtn", "llmcompressor"])
@pytest.mark.parametrize("architecture", ["tiny-qwen3-moe", "tiny-gpt-neox"])
def test_routers_and_output_layers_stay_as_they_are(place, toolkit, recipe, architecture):
    source, out = tensors.Tensors(write(place / "model", *MATRIX[architecture])), place / "out"
    out.mkdir()
    toolkits.module(toolkit).quantize(place / "model", recipe, None, out)
    compat.restore_unquantized(place / "model", out, ())
    made = tensors.Tensors(out)
    kept = [name for name in source.names if name.endswith((".gate.weight", "embed_out.weight", "lm_head.weight"))]
    assert kept and all(np.array_equal(made.float32(name), source.float32(name)) for name in kept)
    assert set(made.quantized_layers) == set(sizes.linear_layers(source))


@pytest.mark.toolkit("main")
@pytest.mark.parametrize("toolkit", ["rtn", "llmcompressor"])
def test_a_pattern_leaves_out_what_it_matches_from_the_start(place, toolkit):
    write_tokenizer(write_model(place / "model"))
    ignore = ["lm_head", r"re:.*layers\.0\..*down_proj", "re:mlp.up_proj"]
    run(place, place / "out", spec(toolkit, RTN | {"ignore": ignore} if toolkit == "rtn" else modifiers(ignore=ignore)))
    made = tensors.Tensors(place / "out").quantized_layers
    assert len(made) == 13 and "model.layers.0.mlp.down_proj" not in made and "model.layers.0.mlp.up_proj" in made


def broken(place, name, value):
    named = weights()
    named[f"{name}.weight"].reshape(-1)[3] = value
    write_tokenizer(write_model(place / "model", named))


NORM = "model.layers.1.post_attention_layernorm"


@pytest.mark.toolkit("main")
@pytest.mark.parametrize(
    ("where", "recipe", "said"),
    [
        (LAYER, RTN, f"{LAYER}: the weight has NaN or infinite values in float16; activations beyond 65,504 overflow"),
        (NORM, modifiers({"AWQModifier": {}}), "mlp.gate_proj: AWQ's loss has NaN or infinite values in float32; look"),
        (NORM, modifiers({"SmoothQuantModifier": {"smoothing_strength": 0.5}}), f"{NORM}: the range of its outputs has NaN"),
        (LAYER, modifiers(), f"{LAYER}: its stored weight_scale has NaN or infinite values in float32"),
    ],
    ids=["rtn", "awq", "smoothquant", "llmcompressor"],
)  # fmt: skip
def test_what_is_not_finite_names_layer_and_remedy(place, where, recipe, said, capfd):
    broken(place, where, np.inf)
    toolkit, drawn = ("rtn", None) if recipe is RTN else ("llmcompressor", calibration_set())
    with pytest.raises(UserError, match=said):
        run(place, place / "out", spec(toolkit, recipe, calibration=drawn))
    assert "raise an issue" not in "".join(capfd.readouterr())


@pytest.mark.toolkit("autoawq")
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_autoawq_names_the_layer(place, value):
    broken(place, NORM, value)
    with pytest.raises(UserError, match=r"model\.layers\.1\.mlp\.gate_proj: the input or weight has NaN"):
        run(place, place / "out", spec("autoawq", OWN["autoawq"], calibration=calibration_set()))


def test_the_remedy_follows_from_the_type():
    told = str(faults.not_finite(LAYER, "AWQ's loss", "torch.float16"))
    assert told == (
        f"{LAYER}: AWQ's loss has NaN or infinite values in float16; activations beyond 65,504 overflow: quantize in bfloat16"
        " (`dtype: bfloat16` in the model's config.json)"
    )
    assert "the calibration set" in str(faults.not_finite(LAYER, "AWQ's loss", "bfloat16"))


@pytest.mark.parametrize(
    ("toolkit", "ignore"),
    [
        pytest.param("gptqmodel", [r"re:.*layers\.0\.mlp\.down_proj"], marks=pytest.mark.toolkit("gptqmodel")),
        pytest.param("autoawq", ["down_proj"], marks=pytest.mark.toolkit("autoawq")),
    ],
    ids=["gptqmodel", "autoawq"],
)  # fmt: skip
def test_plain_keys_reach_the_toolkit(place, toolkit, ignore):
    write_tokenizer(write_model(place / "model"))
    recipe, _ = changes.applied(toolkit, OWN[toolkit], {"ignore": ignore, "group_size": 64}, True, "test")
    run(place, place / "out", spec(toolkit, recipe, calibration=calibration_set()))
    made, scheme = tensors.Tensors(place / "out"), toolkits.module(toolkit).scheme(recipe)
    assert len(made.quantized_layers) == (13 if toolkit == "gptqmodel" else 12) and scheme.group_size == 64
    assert "model.layers.0.mlp.down_proj.weight" in made
