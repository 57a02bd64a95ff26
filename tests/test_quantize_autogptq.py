"""The toolkit module of AutoGPTQ 0.7.1, run on a CPU by a patch of this test.

AutoGPTQ refuses to quantize without CUDA. The fixture `cuda_on_paper` makes it believe in a device that is the CPU. This shows
that the toolkit module's calls, its file names and its reading of the recipe are right; making a checkpoint so is not supported.
"""

import numpy as np
import pytest
import tiny_models
from edge2giant import schemes
from edge2giant.errors import UserError
from quantize_model import calibration_set, run, spec, weights, write_model, write_text, write_tokenizer

pytestmark = pytest.mark.toolkit("autogptq")
RECIPE = {
    "bits": 4, "group_size": 128, "desc_act": True, "sym": True, "damp_percent": 0.1, "true_sequential": True,
    "static_groups": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("autogptq")
    write_tokenizer(write_model(root / "model"))
    write_text(root / "calibration", 1)
    write_text(root / "heldout", 2, letters="0123456789,.-ABCDEF")
    return root


@pytest.fixture(autouse=True)
def initialisers(monkeypatch):
    """AutoGPTQ replaces torch's initialisers by nothing, for good; a model that a later test makes needs them."""
    import torch
    from transformers import modeling_utils

    for name in ("kaiming_uniform_", "uniform_", "normal_"):
        monkeypatch.setattr(torch.nn.init, name, getattr(torch.nn.init, name))
    monkeypatch.setattr(modeling_utils, "_init_weights", True)


@pytest.fixture
def cuda_on_paper(monkeypatch):
    """Tell AutoGPTQ that the CPU is its first CUDA device, and let it compute in float32."""
    import torch
    from auto_gptq.modeling import _base, _const, _utils

    for module in (_base, _const, _utils):
        monkeypatch.setattr(module, "CUDA_0", torch.device("cpu"))
    original = _base.BaseGPTQForCausalLM.from_pretrained.__func__

    def from_pretrained(cls, *arguments, **options):
        with monkeypatch.context() as inside:
            inside.setattr(torch.cuda, "is_available", lambda: True)
            inside.setattr(torch.cuda, "init", lambda: None)
            inside.setattr(_base.accelerate, "infer_auto_device_map", lambda *a, **k: {"": "cpu"}, raising=False)
            return original(cls, *arguments, torch_dtype=torch.float32, **options)

    monkeypatch.setattr(_base.BaseGPTQForCausalLM, "from_pretrained", classmethod(from_pretrained))
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *a, **k: None)


def made(place, out, recipe, **calibration):
    return run(place, out, spec("autogptq", recipe, calibration=calibration_set(**calibration)))


@pytest.mark.parametrize("change", [{}, {"desc_act": False}, {"bits": 8}], ids=["figure-3", "no-desc-act", "8-bit"])
def test_a_checkpoint_is_made_and_validated(place, tmp_path, cuda_on_paper, change):
    record = made(place, tmp_path / "out", RECIPE | change)
    assert record["validation"]["engine"]["name"] == "toolkit"
    assert record["validation"]["tensors"]["layers"] == 14
    scheme = schemes.of_checkpoint(tmp_path / "out")
    assert (scheme.format, scheme.desc_act) == ("gptq", change.get("desc_act", True))


def test_gemma_in_bfloat16_is_made_and_validated(place, tmp_path, cuda_on_paper):
    """Its norms add one to their weights, as those of the paper's Gemma-2B and Gemma-7B do."""
    tiny_models.write(place / "gemma", *tiny_models.MATRIX["tiny-gemma"])
    record = run(place, tmp_path / "out", spec("autogptq", RECIPE, calibration=calibration_set()), "gemma")
    assert record["validation"]["tensors"]["layers"] == 14


def test_model_types_are_those_of_the_installed_autogptq():
    from auto_gptq.modeling.auto import GPTQ_CAUSAL_LM_MODEL_MAP
    from edge2giant.quantize.toolkits import autogptq

    assert set(autogptq.MODEL_TYPES) == set(GPTQ_CAUSAL_LM_MODEL_MAP)


def test_without_the_patch_it_says_what_it_needs(place, tmp_path):
    with pytest.raises(UserError, match=r"refuses to quantize without CUDA.*gptq-gptqmodel"):
        made(place, tmp_path / "out", RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_a_singular_hessian_is_retried_only_as_the_recipe_allows(place, tmp_path, cuda_on_paper):
    weak = RECIPE | {"damp_percent": 1e-12}
    few = {"samples": 1, "length": 8}
    with pytest.raises(UserError, match="not positive definite"):
        made(place, tmp_path / "out", weak, **few)
    record = made(place, tmp_path / "out", weak | {"fallback_dampening": [0.1]}, **few)
    (tried,) = record["recipe"]["executed"]["fallbacks"]
    assert tried["dampening_frac"] == 1e-12 and record["recipe"]["executed"]["parameters"]["damp_percent"] == 0.1


def test_a_hessian_with_nan_names_its_layer(tmp_path, cuda_on_paper):
    """AutoGPTQ would call it not positive definite; no dampening repairs it."""
    named = weights()
    named["model.layers.0.mlp.up_proj.weight"][0, 0] = np.nan
    write_tokenizer(write_model(tmp_path / "model", named))
    write_text(tmp_path / "calibration", 1)
    write_text(tmp_path / "heldout", 2, letters="0123456789,.-ABCDEF")
    with pytest.raises(
        UserError, match=r"mlp\.down_proj in layer 1/2.*: the Hessian has NaN or infinite values in float32; look for NaN"
    ):
        made(tmp_path, tmp_path / "out", RECIPE | {"fallback_dampening": [0.2]})
    assert not (tmp_path / "out").exists()
