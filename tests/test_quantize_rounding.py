"""Recipes that round activations, on the shipped tiny-2m: right readings pass, wrong ones are refused."""

import json

import pytest
from edge2giant import schemes
from edge2giant.quantize import tensors
from edge2giant.quantize.validation import agreement, likelihood, rounding
from edge2giant.schemes.fp8 import FP8
from edge2giant.schemes.int8_activations import Int8Activations
from quantize_model import run, write_text
from shared import ROOT
from test_quantize_llmcompressor import of_config

pytestmark = pytest.mark.toolkit("main")
MODEL = ROOT / "workflow/demo/models/tiny-2m"
SCHEMES = ("smoothquant", "fp8", pytest.param("fp8-dynamic", marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One checkpoint of each method, made when first asked for: (folder, record, validation.json)."""
    place, kept = tmp_path_factory.mktemp("rounding"), {}
    write_text(place / "calibration", 1)
    write_text(place / "heldout", 2, letters="0123456789,.-ABCDEF")

    def make(method: str):
        if method not in kept:
            out = place / method
            given = of_config(method, "w8a8")
            record = run(place, out, given, MODEL)
            kept[method] = out, record, json.loads((out / "validation.json").read_text())
        return kept[method]

    return make


def engine(folder, reference, change=None, keep_scales=False, half=False, seed=1000):
    """Log-probabilities as an engine in float16 gives them that rounds as vLLM does; `change` spoils its weights."""
    model, layers = likelihood.reference(MODEL, folder)
    stored, scheme = tensors.Tensors(folder), schemes.of_checkpoint(folder)
    if not keep_scales:
        rounding.fuse(model, stored, layers, scheme)
    if change:
        change(dict(model.named_modules()))
    noise = 0.0 if half else rounding.PRECISION["float16"]
    if half:
        model.half()
    with rounding.rounded_inputs(model, stored, layers, scheme, "vllm", noise, seed):
        return likelihood.log_probabilities(model, reference["token_ids"])


@pytest.mark.parametrize("method", SCHEMES)
def test_what_makes_the_checkpoint_is_exact_and_what_serves_it_is_one_more_draw(made, method):
    folder, record, reference = made(method)
    assert record["validation"]["engine"]["reference"] == rounding.AS_TRANSFORMERS
    assert record["validation"]["engine"]["logprob_difference_mean"] < 1e-4
    for half in (False, True):
        found = agreement.judge(engine(folder, reference, half=half), reference, "float16")
        assert found["passed"], found
        assert found["reference"] == agreement.DRAWN and found["logprob_difference_mean"] > agreement.LIMITS["float16"]


@pytest.mark.parametrize("method", SCHEMES)
def test_every_misreading_that_is_looked_for_would_show(made, method):
    record = made(method)[1]["validation"]["rounding"]
    assert all(line["decided"] for line in record["misreadings"])
    assert (rounding.UNFUSED in [line["name"] for line in record["misreadings"]]) == (method == "fp8")


def every(modules, kind):
    return [module for name, module in modules.items() if name.endswith(kind)]


def wrong_scale(kind):
    def change(modules):
        for module in every(modules, kind):
            module.weight.data *= 1.1

    change.__name__ = f"{kind}-scaled"
    return change


def small_scale(modules):
    for module in every(modules, "v_proj"):
        module.weight.data *= 0.9


def swapped_rows(modules):
    """The two halves of every gate in the wrong order, as a reader of fused shards might put them."""
    for module in every(modules, "gate_proj"):
        module.weight.data = module.weight.data.roll(module.weight.shape[0] // 2, 0)


def zeroed_layer(modules):
    modules["model.layers.1.self_attn.o_proj"].weight.data *= 0


def exchanged(modules):
    for q, k in zip(every(modules, "q_proj"), every(modules, "k_proj"), strict=True):
        if q.weight.shape == k.weight.shape:
            q.weight.data, k.weight.data = k.weight.data, q.weight.data
        else:
            q.weight.data = q.weight.data.roll(64, 0)


WRONG = [
    wrong_scale("q_proj"),
    wrong_scale("o_proj"),
    wrong_scale("down_proj"),
    small_scale,
    swapped_rows,
    zeroed_layer,
    exchanged,
]


@pytest.mark.parametrize("method", SCHEMES)
@pytest.mark.parametrize("change", WRONG, ids=lambda change: change.__name__)
def test_a_wrong_reading_is_refused(made, method, change):
    folder, _, reference = made(method)
    found = agreement.judge(engine(folder, reference, change), reference, "float16")
    assert not found["passed"], found


def test_scales_that_are_not_fused_are_refused(made):
    """In FP8 per tensor, an engine that keeps each layer's own scale computes other weights than vLLM does."""
    folder, _, reference = made("fp8")
    found = agreement.judge(engine(folder, reference, keep_scales=True), reference, "float16")
    assert [line["name"] for line in found["misreadings"] if agreement.wrong(line)] == [rounding.UNFUSED]


def test_an_engine_that_rounds_no_inputs_is_held_to_the_weights(made):
    folder, _, reference = made("smoothquant")
    model, _ = likelihood.reference(MODEL, folder)
    found = agreement.judge(likelihood.log_probabilities(model, reference["token_ids"]), reference, "float16")
    assert found["reference"] == rounding.WEIGHTS and found["passed"]


def test_rounding_is_that_of_the_engines():
    import torch

    def rounded(scheme, values, manner="vllm"):
        return scheme.round_inputs(torch.tensor([values]), None, manner).tolist()[0]

    int8, fp8 = Int8Activations("compressed-tensors", 8, -1), FP8("compressed-tensors", 8, -1, activation_bits=8)
    assert rounded(int8, [127.0, 2.5, 3.5, -127.0]) == [127, 2, 4, -127], "ties go to even, the largest to 127"
    assert rounded(int8, [127.5, 1.4, 0.0, -127.5], "transformers") == [127, 1, 0, -128]
    assert rounded(fp8, [448.0, 17.0, 1.1, 0.0]) == [448, 16, 1.125, 0]
