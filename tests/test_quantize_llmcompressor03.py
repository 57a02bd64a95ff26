"""The paper's llmcompressor 0.3.1 for real on a tiny model: its recipes run with the versions of Appendix D.1."""

import json
from importlib import metadata

import pytest
from edge2giant import schemes, typed
from edge2giant.errors import UserError
from edge2giant.quantize import core, toolkits
from quantize_model import run, write_model, write_text, write_tokenizer
from test_quantize_llmcompressor import OTHER, gptq, of_config

pytestmark = [pytest.mark.toolkit("cpu2024"), pytest.mark.slow]
ROWS = [("gptq-llmcompressor", "w4a16"), ("gptq-llmcompressor", "w8a16"), ("smoothquant", "w8a8"), ("fp8", "w8a8")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("quantize")
    write_tokenizer(write_model(root / "model"))
    write_text(root / "calibration", 1)
    write_text(root / "heldout", 2, letters=OTHER)
    return root


@pytest.mark.parametrize("row", ROWS, ids="/".join)
def test_the_papers_schemes_are_made_and_validated(place, tmp_path, row, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "checkpoint"
    record = run(place, out, of_config(*row))
    assert json.loads((out / "checkpoint.json").read_text()) == record == typed.as_json(core.verify(out))
    assert record["toolkit"]["packages"]["llmcompressor"] == metadata.version("llmcompressor") == "0.3.1"
    assert record["toolkit"]["packages"]["compressed-tensors"] == "0.8.1"
    assert (record["validation"]["engine"] is None) == (row[0] == "smoothquant")  # see _llmcompressor03
    assert record["validation"]["divergence"]["divergence"] > 1e-7
    assert schemes.of_checkpoint(out) == toolkits.module("llmcompressor").scheme(of_config(*row).recipe)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint"}  # no folder of the trainer's


def test_a_singular_hessian_names_its_layer_or_retried_as_the_recipe_allows(place, tmp_path):
    with pytest.raises(UserError, match=r"layers\.0.*not positive definite \(dampening tried: 0\).*fallback_dampening"):
        run(place, tmp_path / "out", gptq(0))
    record = run(place, tmp_path / "out", gptq(0, fallback_dampening=[0.1]))
    (tried,) = record["recipe"]["executed"]["fallbacks"]
    assert tried["dampening_frac"] == 0 and len(tried["layers"]) == 1


def test_what_the_release_does_not_have_is_refused(place, tmp_path):
    with pytest.raises(UserError, match=r"llmcompressor 0\.3 has no AWQModifier.*stack `current`"):
        run(place, tmp_path / "out", of_config("awq-llmcompressor", "w4a16"))
