"""NVFP4 and MXFP4, with and without activations: made on a CPU of a bfloat16 model, validated, and scored."""

import itertools
import json

import numpy as np
import pytest
from edge2giant import schemes
from edge2giant.engine import open_engine
from edge2giant.quantize import compat, tensors, toolkits
from edge2giant.quantize.validation import agreement, likelihood
from edge2giant.schemes.e2m1 import NUMBERS, e2m1
from edge2giant.schemes.mxfp4 import MXFP4
from edge2giant.schemes.nvfp4 import NVFP4
from quantize_model import run, write_model, write_text, write_tokenizer
from test_quantize_llmcompressor import OTHER, of_config

pytestmark = pytest.mark.toolkit("main")
CT = "compressed-tensors"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("fp4")
    model = write_model(root / "model", torch_dtype="bfloat16")
    source = tensors.Tensors(model)
    tensors.write(model / "beside", {name: source.read(name).bfloat16() for name in source.names})
    (model / "beside").replace(model / "model.safetensors")
    write_tokenizer(model)
    write_text(root / "calibration", 1)
    write_text(root / "heldout", 2, letters=OTHER)
    return root


@pytest.mark.parametrize(
    "row", list(itertools.product(("nvfp4-llmcompressor", "mxfp4-llmcompressor"), ("w4a16", "w4a4"))), ids="/".join
)
def test_fp4_is_made_validated_and_scored(place, tmp_path, row):
    out, given = tmp_path / "checkpoint", of_config(*row)
    validation = run(place, out, given)["validation"]
    scheme = schemes.of_checkpoint(out)
    assert scheme == toolkits.module("llmcompressor").scheme(given.recipe)
    assert validation["engine"]["dtype"] == "bfloat16", "the one type in which transformers computes it"
    assert validation["engine"]["logprob_difference_mean"] < validation["engine"]["limit"]
    assert (validation["rounding"] is not None) == scheme.rounds_activations
    stored, source = tensors.Tensors(out), tensors.Tensors(place / "model")
    for name in stored.quantized_layers:
        shape = source.shape(f"{name}.weight")
        held = [one for one in stored.names if one.startswith(f"{name}.")]
        assert scheme.bytes(*shape) == sum(stored.read(one).nbytes for one in held)
        if name.endswith(("o_proj", "down_proj")):  # the others share a global scale with the layers they are fused with
            wanted = scheme.nearest(source.read(f"{name}.weight")).numpy()
            np.testing.assert_allclose(scheme.read(stored, name).weight, wanted, rtol=1e-6)
    scored(out)


def scored(checkpoint):
    """The engine of the CPU stack reads it in its own type, as validated, and answers lm-eval."""
    from lm_eval.api.instance import Instance

    reference = json.loads((checkpoint / "validation.json").read_text())
    with open_engine("hf", checkpoint, {"dtype": "float32"}) as lm:
        assert lm.describe()["dtype"] == "bfloat16"
        found = likelihood.log_probabilities(lm.model, reference["token_ids"])
        requests = [Instance("loglikelihood", {}, ("ab", letter), at) for at, letter in enumerate("cd")]
        (one, _), (other, _) = lm.loglikelihood(requests)
    assert agreement.judge(found, reference, "bfloat16")["passed"]
    assert one < 0 and other < 0 and one != other


def test_e2m1_rounds_ties_to_even_codes():
    import torch

    middles = [(a + b) / 2 for a, b in itertools.pairwise(NUMBERS)]
    assert e2m1(torch.tensor([*middles, 5.1, 7.0, -0.3])).tolist() == [0, 1, 1, 2, 2, 4, 4, 6, 6, -0.5]


def test_scales_are_those_of_the_formats():
    import torch

    largest = torch.tensor([1.0, 1.74, 1.75, 6.0, 7.0])
    assert MXFP4(CT, 4, 32).scales(largest, None).tolist() == [0.25, 0.25, 0.5, 1.0, 2.0]
    whole = 448 * 6 / 6.0
    assert NVFP4(CT, 4, 16).scales(torch.tensor([6.0, 3.0, 0.0]), whole).tolist() == pytest.approx([1.0, 0.5, 0.125 / 448])


def test_a_layer_reads_back(tmp_path):
    import torch

    scale, codes = np.array([[1.0, 2.0], [0.5, 4.0]], np.float32), np.random.default_rng(1).integers(0, 16, (2, 32))
    numbers = np.array([*NUMBERS, *(-one for one in NUMBERS)], np.float32)[codes] * scale.repeat(16, 1)
    packed = torch.from_numpy((codes[:, 0::2] | codes[:, 1::2] << 4).astype(np.uint8))
    stored = {"layer.weight_packed": packed, "layer.weight_scale": torch.from_numpy(scale * 4).to(torch.float8_e4m3fn)}
    tensors.write(tmp_path / "model.safetensors", stored | {"layer.weight_global_scale": torch.tensor([4.0])})
    np.testing.assert_array_equal(NVFP4(CT, 4, 16).read(tensors.Tensors(tmp_path), "layer").weight, numbers)
    stored["layer.weight_scale"] = torch.from_numpy(np.log2(scale) + 127).to(torch.uint8)
    tensors.write(tmp_path / "model.safetensors", stored)
    np.testing.assert_array_equal(MXFP4(CT, 4, 16).read(tensors.Tensors(tmp_path), "layer").weight, numbers)


@pytest.mark.parametrize(
    ("stored", "computed", "least"), [("float16", "bfloat16", "bfloat16"), ("float16", "float32", "float16")]
)
def test_an_engine_is_as_precise_as_the_coarsest_type_of_its_weights(stored, computed, least):
    """float16, in which transformers leaves an output layer, is finer than bfloat16."""
    import torch

    model = torch.nn.Sequential(
        torch.nn.Linear(2, 2).to(getattr(torch, computed)), torch.nn.Linear(2, 2).to(getattr(torch, stored))
    )
    assert compat.widen(model, computed) == least
    assert {str(one.dtype) for one in model.parameters()} == {f"torch.{computed}"}
