"""AutoRound, AutoAWQ and GPTQModel for real on a tiny model, each in its own environment."""

import json

import pytest
from edge2giant import schemes
from edge2giant.errors import UserError
from edge2giant.quantize import tensors, toolkits
from quantize_model import calibration_set, run, spec, write_model, write_text, write_tokenizer
from shared import ROOT


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("others")
    write_tokenizer(write_model(root / "model"))
    write_text(root / "calibration", 1)
    write_text(root / "heldout", 2, letters="0123456789,.-ABCDEF")
    return root


def made(place, out, toolkit, recipe, bits="w4a16", **calibration):
    record = run(place, out, spec(toolkit, recipe, bits, calibration_set(**calibration)))
    assert schemes.of_checkpoint(out) == toolkits.module(toolkit).scheme(recipe)
    assert record["validation"]["divergence"]["divergence"] > 1e-7
    assert record["recipe"]["executed"]["parameters"]["calibrated_in"] in ("float32", "float16", "bfloat16")
    return record["validation"]["engine"]


AUTOROUND = {"bits": 4, "group_size": 128, "sym": True, "iters": 2, "batch_size": 4, "seed": 42, "export": "auto_gptq"}


@pytest.mark.toolkit("main")
@pytest.mark.slow
@pytest.mark.parametrize("change", [{"export": "auto_awq", "sym": False}, {"export": "auto_round"}], ids=["awq", "native"])
def test_autoround_other_exports(place, tmp_path, change):
    engine = made(place, tmp_path / "out", "autoround", AUTOROUND | change)
    assert (engine is None) == (change["export"] == "auto_awq"), "AutoRound has no CPU layers for the format of AWQ"


@pytest.mark.toolkit("main")
def test_autoround_in_the_format_of_gptq(place, tmp_path):
    made(place, tmp_path / "out", "autoround", AUTOROUND)


@pytest.mark.toolkit("main")
@pytest.mark.parametrize("export", ["auto_gptq", "auto_awq", "auto_round"])
def test_autoround_leaves_layers_out(place, tmp_path, export):
    """An expression with a comma too, which AutoRound takes for the end of a name."""
    ignored = ("re:.*layers\\.\\d{1,2}\\.mlp\\.down_proj", "model.layers.0.self_attn.q_proj")
    record = run(
        place, tmp_path / "out", spec("autoround", AUTOROUND | {"export": export, "ignore": ignored}, "w4a16", calibration_set())
    )
    made = tensors.Tensors(tmp_path / "out")
    assert len(made.quantized_layers) == 14 - 3 and not any("down_proj" in name for name in made.quantized_layers)
    assert "model.layers.0.self_attn.q_proj.weight" in made and record["recipe"]["executed"]["ignore"] == ["lm_head", *ignored]
    nominal = record["size"]["nominal_bytes"]
    assert nominal < record["size"]["weights_bytes"] < 1.2 * nominal


@pytest.mark.toolkit("main")
@pytest.mark.parametrize("export", ["auto_gptq", pytest.param("auto_round", marks=pytest.mark.slow)])
def test_the_hf_engine_reads_it_without_gptqmodel(place, tmp_path, export):
    from edge2giant.engine import open_engine
    from edge2giant.quantize.validation import agreement, likelihood

    made(place, tmp_path / "out", "autoround", AUTOROUND | {"export": export})
    reference = json.loads((tmp_path / "out/validation.json").read_text())
    with open_engine("hf", tmp_path / "out", {"dtype": "float32"}) as lm:
        found = likelihood.log_probabilities(lm.model, reference["token_ids"])
        assert "QuantLinear" in lm.describe()["kernel"]
    assert agreement.judge(found, reference, "float16")["passed"]


@pytest.mark.toolkit("main")
def test_autoround_refuses_samples_that_it_would_drop(place, tmp_path):
    with pytest.raises(UserError, match="takes samples of one length, these have"):
        made(place, tmp_path / "out", "autoround", AUTOROUND, packing="truncate", length=400, samples=9)


@pytest.mark.toolkit("autoawq")
@pytest.mark.parametrize("group", [128, 64])
def test_autoawq(place, tmp_path, group):
    recipe = {
        "w_bit": 4, "q_group_size": group, "zero_point": True, "version": "GEMM", "apply_clip": True, "duo_scaling": True,
    }  # fmt: skip
    made(place, tmp_path / "out", "autoawq", recipe)


@pytest.mark.toolkit("autoawq")
def test_autoawq_scales_no_layer_twice_on_a_cpu(place, tmp_path):
    """On the shipped model, whose channels differ; without a copy of its weights AutoAWQ left 0.53 here."""
    recipe = {
        "w_bit": 4, "q_group_size": 128, "zero_point": True, "version": "GEMM", "apply_clip": False, "duo_scaling": True,
    }  # fmt: skip
    given = spec("autoawq", recipe, "w4a16", calibration_set(samples=8))
    model = ROOT / "workflow/demo/models/tiny-0.4m"
    record = run(place, tmp_path / "out", given, model)
    assert record["validation"]["layers"]["output"]["value"] < 1.5


@pytest.mark.toolkit("autoawq")
def test_model_types_are_those_of_the_installed_autoawq():
    from awq.models.auto import AWQ_CAUSAL_LM_MODEL_MAP

    assert set(toolkits.module("autoawq").MODEL_TYPES) == set(AWQ_CAUSAL_LM_MODEL_MAP)


@pytest.mark.toolkit("gptqmodel")
@pytest.mark.parametrize(("bits", "desc_act"), [(4, False), (4, True), (8, False)])
def test_gptqmodel(place, tmp_path, bits, desc_act):
    recipe = {"bits": bits, "group_size": 128, "desc_act": desc_act, "sym": True, "damp_percent": 0.1}
    made(place, tmp_path / "out", "gptqmodel", recipe, f"w{bits}a16")
    config = json.loads((tmp_path / "out/config.json").read_text())["quantization_config"]
    assert "meta" not in config, "GPTQModel notes a folder of the machine there"
