"""Layers of different schemes in one checkpoint: what the plan says of it, and that it is made, valid and loaded."""

import pytest
import yaml
from edge2giant import schemes
from edge2giant.engine import plan as serving
from edge2giant.quantize import names, preflight, sizes, tensors, toolkits
from edge2giant.schemes.mixed import Mixed
from quantize_model import calibration_set, run, spec, write_model, write_text, write_tokenizer
from shared import ROOT
from tiny_models import MATRIX, write

RECIPES = yaml.safe_load((ROOT / "config/recipes.yaml").read_text(encoding="utf-8"))["methods"]
PLAIN = RECIPES["mixed-llmcompressor"]["bits"]["w4a16"]["recipe"]


@pytest.fixture
def planned():
    from edge2giant import config
    from edge2giant.plan import quantize
    from edge2giant.specs.variant import Variant

    loaded = config.load(ROOT)

    def of(model: str):
        variant = Variant(model, "mixed-llmcompressor", "w4a16")
        made = quantize.made_spec(loaded, loaded.study("paper"), variant, None)
        return quantize.scheme(loaded, loaded.study("paper"), variant), made, loaded.models[model].facts

    return of


def test_bits_and_bytes_follow_from_the_layers(planned):
    scheme, made, facts = planned("llama-3.1-8b-it")
    narrow = sum(one.weights for one in facts.linear_layers if one.name != "mlp.down_proj") * 30 / 32
    share = narrow / facts.linear_weights
    assert scheme.effective_bits == pytest.approx(4 * share + 8 * (1 - share), abs=0.01)
    assert scheme.label.endswith(f"{scheme.effective_bits:.1f} bits a weight")
    assert (scheme.bits, scheme.activation_bits) == (4, 16)
    four, eight = (sizes.planned_bytes(facts, part.scheme)["weights"] for part in reversed(scheme.parts))
    assert sizes.planned_bytes(facts, scheme)["weights"] == pytest.approx(share * four + (1 - share) * eight, rel=1e-3)
    assert four < sizes.planned_bytes(facts, scheme)["weights"] < eight
    assert serving.weight_bytes(facts, scheme.parts[1].scheme) < serving.weight_bytes(facts, scheme)
    toolkits.check(made.toolkit, made.recipe)


def test_first_and_last_blocks_are_those_of_the_model(planned):
    scheme, made, _ = planned("llama-3.1-70b-it")
    assert "(0|79)" in str(made.recipe) and "{last}" not in str(made.recipe)
    wide = {0: 8, 1: 4, 10: 4, 78: 4, 79: 8}
    assert {block: scheme.at(f"model.layers.{block}.self_attn.q_proj").bits for block in wide} == wide
    assert scheme.at("model.layers.7.mlp.experts.0.gate_proj").bits == 4
    assert scheme.at("model.layers.7.mlp.experts.0.down_proj").bits == 8


@pytest.mark.parametrize(("block", "name", "bits"), [(7, "down_proj", 8), (7, "up_proj", 4), (0, "gate_proj", 8)])
def test_mixtral_has_the_same_schemes_under_both_names_of_its_layers(planned, block, name, bits):
    """transformers has other names than Mixtral's files."""
    scheme, *_ = planned("llama-3.1-8b-it")
    module = f"model.layers.{block}.mlp.experts.3.{name}"
    assert scheme.at(module).bits == scheme.at(names.in_files("mixtral", module)).bits == bits
    assert names.in_files("mixtral", module) != module


def test_a_limit_of_a_part_is_one_of_the_whole(planned):
    scheme, *_ = planned("llama-3.1-8b-it")
    assert [one.name for one in preflight.check(scheme, "vllm", "0.33", "cpu")] == ["cpu-w8a16"]
    assert preflight.check(scheme, "vllm", "0.33", "cuda:8.0") == preflight.check(scheme, "hf", "5.0", "cpu") == []


@pytest.mark.toolkit("main")
def test_it_is_made_valid_and_loaded(tmp_path):
    write_tokenizer(write_model(tmp_path / "model"))
    write_text(tmp_path / "calibration", 1)
    write_text(tmp_path / "heldout", 2, letters="0123456789,.-ABCDEF")
    recipe = yaml.safe_load(yaml.safe_dump(PLAIN).replace("({first}|{last})", "(1)"))
    record = run(tmp_path, tmp_path / "out", spec("llmcompressor", recipe, calibration=calibration_set()))
    made, scheme = tensors.Tensors(tmp_path / "out"), schemes.of_checkpoint(tmp_path / "out")
    assert isinstance(scheme, Mixed) and len(made.quantized_layers) == 14
    bits = {name: scheme.at(name).bits for name in made.quantized_layers}
    assert sum(found == 8 for found in bits.values()) == 8 and bits["model.layers.0.self_attn.q_proj"] == 4
    assert all(scheme.at(name).read(made, name).bits == found for name, found in bits.items())
    assert record["validation"]["engine"]["logprob_difference_mean"] < 1e-4
    assert record["size"]["nominal_bytes"] < record["size"]["weights_bytes"] < 1.2 * record["size"]["nominal_bytes"]


@pytest.mark.slow
@pytest.mark.toolkit("main")
def test_mixtral_whose_blocks_are_the_first_and_the_last_is_valid(tmp_path):
    """So all its experts have one scheme, without which transformers misreads them."""
    write(tmp_path / "model", *MATRIX["tiny-mixtral"])
    write_text(tmp_path / "calibration", 1)
    write_text(tmp_path / "heldout", 2, letters="0123456789,.-ABCDEF")
    recipe = yaml.safe_load(yaml.safe_dump(PLAIN).replace("{first}", "0").replace("{last}", "1"))
    run(tmp_path, tmp_path / "out", spec("llmcompressor", recipe, calibration=calibration_set()))
    made, scheme = tensors.Tensors(tmp_path / "out"), schemes.of_checkpoint(tmp_path / "out")
    assert {scheme.at(name).bits for name in made.quantized_layers} == {8} and len(made.quantized_layers) == 2 * (4 + 4 * 3)
