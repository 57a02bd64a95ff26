"""llmcompressor for real on a tiny model: every recipe of the paper is made and validated, and failures are reported."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml
from edge2giant import schemes, specs, typed
from edge2giant.errors import UserError
from edge2giant.quantize import core, toolkits
from edge2giant.quantize.validation import likelihood
from edge2giant.schemes import integers
from edge2giant.specs.quantize import PublishedSpec
from edge2giant.specs.variant import Variant
from quantize_model import calibration_set, run, spec, weights, write_model, write_text, write_tokenizer
from shared import ROOT

pytestmark = pytest.mark.toolkit("main")
RECIPES = yaml.safe_load((ROOT / "config/recipes.yaml").read_text(encoding="utf-8"))
OTHER = "0123456789,.-ABCDEF"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, calibration text and held-out text unlike it."""
    root = tmp_path_factory.mktemp("quantize")
    write_tokenizer(write_model(root / "model"))
    (root / "model/README.md").write_text("---\nlicense: other\nlicense_name: llama3.1\n---\n# Tiny\n")
    (root / "model/LICENSE").write_text("the licence")
    write_text(root / "calibration", 1)
    write_text(root / "heldout", 2, letters=OTHER)
    return root


def of_config(method, bits, settings=None):
    """The recipe of config/recipes.yaml with the tests' calibration set."""
    entry = RECIPES["methods"][method]
    width = entry["bits"][bits]
    drawn = calibration_set() if width["calibration"] else None
    variant = Variant("tiny", method, bits)
    return spec(entry["toolkit"], width["recipe"] | (settings or {}), bits, drawn, variant=variant)


ROWS = [
    ("fp16", "w16a16"), ("rtn", "w4a16"), ("rtn", "w8a16"), ("gptq-llmcompressor", "w4a16"),
    ("gptq-llmcompressor", "w8a16"), ("smoothquant", "w8a8"), ("fp8", "w8a8"), ("awq-llmcompressor", "w4a16"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids="/".join)
def test_a_checkpoint_is_made_and_validated(place, tmp_path, row):
    out = tmp_path / "checkpoint"
    record = run(place, out, of_config(*row))
    assert json.loads((out / "checkpoint.json").read_text()) == record == typed.as_json(core.verify(out))
    card = (out / "README.md").read_text()
    assert record["model"]["licence"] == "llama3.1" and "license: llama3.1" in card and "BASE_MODEL.md, LICENSE." in card
    assert "# Tiny" in (out / "BASE_MODEL.md").read_text() and (out / "LICENSE").read_text() == "the licence"
    if row[0] == "fp16":
        return
    assert record["validation"]["engine"]["logprob_difference_mean"] < 1e-4
    assert record["validation"]["divergence"]["divergence"] > 1e-7
    assert record["size"]["nominal_bytes"] < record["size"]["weights_bytes"] < 1.2 * record["size"]["nominal_bytes"]
    given = of_config(*row)
    assert schemes.of_checkpoint(out) == toolkits.module(given.toolkit).scheme(given.recipe)


def gptq(dampening, **extra):
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "dynamic": False, "symmetric": True}
    arguments = {
        "ignore": ["lm_head"], "dampening_frac": dampening, "actorder": None,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }  # fmt: skip
    few = calibration_set(samples=1, length=8)
    return spec("llmcompressor", {"modifiers": [{"GPTQModifier": arguments}], **extra}, calibration=few)


def test_a_singular_hessian_names_its_layer_and_leaves_nothing(place, tmp_path):
    with pytest.raises(UserError, match=r"layers\.0.*not positive definite \(dampening tried: 0\).*fallback_dampening"):
        run(place, tmp_path / "out", gptq(0))
    assert list(tmp_path.iterdir()) == []


def test_a_singular_hessian_is_retried_only_as_the_recipe_allows(place, tmp_path):
    record = run(place, tmp_path / "out", gptq(0, fallback_dampening=[0.1]))
    (tried,) = record["recipe"]["executed"]["fallbacks"]
    assert tried["dampening_frac"] == 0 and "model.layers.0.mlp.down_proj" in tried["layers"]
    used = record["recipe"]["executed"]["parameters"]["modifiers"][0]["GPTQModifier"]
    assert used["dampening_frac"] == 0.1


def test_overflowing_activations_are_reported_and_not_retried(place, tmp_path):
    broken = weights()
    broken["model.layers.1.input_layernorm.weight"][:] = np.inf
    if not (place / "broken").exists():
        write_tokenizer(write_model(place / "broken", broken))
    given = gptq(0.01, fallback_dampening=[0.1])
    with pytest.raises(UserError, match=r"layers\.1\.self_attn.*NaN or infinite.*float32"):
        run(place, tmp_path / "out", given, model="broken")


def test_lack_of_memory_says_what_to_give(place, tmp_path, monkeypatch):
    def quantize(*arguments):
        raise MemoryError

    monkeypatch.setattr(toolkits.module("rtn"), "quantize", quantize)
    with pytest.raises(UserError, match=r"give it at least 4\.0 GiB"):
        run(place, tmp_path / "out", of_config("rtn", "w4a16"))


def test_a_wrong_reader_would_be_found(place, tmp_path, monkeypatch):
    """Independent weights that are off by one code are not the source's."""
    honest = integers.unpack
    monkeypatch.setattr(integers, "unpack", lambda words, bits, count: honest(words, bits, count) ^ 1)
    with pytest.raises(UserError, match=r"error of the outputs of .*round-to-nearest"):
        run(place, tmp_path / "out", of_config("rtn", "w8a16"))


def test_an_engine_that_reads_wrongly_is_found(place, tmp_path, monkeypatch):
    honest = likelihood.served

    def served(*arguments):
        model, dtype = honest(*arguments)
        model.get_submodule("model.layers.1.mlp.down_proj").weight_scale.data *= 1.1
        return model, dtype

    monkeypatch.setattr(likelihood, "served", served)
    with pytest.raises(UserError, match="mean difference of log-probability, hf engine in float32"):
        run(place, tmp_path / "out", of_config("rtn", "w8a16"))


def test_batches_want_samples_of_one_length(place, tmp_path):
    given = of_config("gptq-llmcompressor", "w4a16", {"batch_size": 4})
    run(place, tmp_path / "out", given)
    given = dataclasses.replace(given, calibration=calibration_set(packing="truncate", length=400, samples=4))
    text = place / "uneven"
    if not text.exists():
        text.mkdir()
        (text / "text.jsonl").write_text("\n".join(json.dumps({"text": "ab" * n}) for n in (10, 20, 30, 40)) + "\n")
    with pytest.raises(UserError, match="batch_size 4 with samples of unequal length"):
        run(place, tmp_path / "other", given, calibration="uneven")


def test_a_published_checkpoint_is_linked_and_validated(place, tmp_path):
    made = tmp_path / "made"
    run(place, made, of_config("rtn", "w4a16"))
    given = spec("published", {}, source="published", published=PublishedSpec("someone/tiny-w4a16", None))
    record = run(place, tmp_path / "taken", given, published=made)
    assert record["recipe"]["planned"]["source"] == "published" and (tmp_path / "taken/model.safetensors").is_symlink()
    assert str(tmp_path) not in (tmp_path / "taken/checkpoint.json").read_text()
    with pytest.raises(UserError, match="--published"):
        run(place, tmp_path / "none", given)


@pytest.mark.parametrize("value", [None, np.inf], ids=["valid", "fails"])
def test_what_a_toolkit_prints_is_in_the_log_alone(place, tmp_path, value):
    """The command says one line: where the checkpoint is, or what is wrong."""
    named = weights()
    if value is not None:
        named["model.layers.1.mlp.down_proj.weight"][0, 0] = value
    write_tokenizer(write_model(tmp_path / "model", named))
    digest = specs.write(of_config("smoothquant", "w8a8"), tmp_path)
    folders = {"model": tmp_path / "model", "heldout": place / "heldout", "calibration": place / "calibration"}
    words = [f"--{name}={path}" for name, path in (folders | {"out": tmp_path / "out"}).items()]
    command = [sys.executable, "-m", "edge2giant.quantize", "run", *words]
    command += [f"--spec={specs.path(tmp_path, digest)}", f"--spec-digest={digest}"]
    given = {name: text for name, text in os.environ.items() if name != "EDGE2GIANT_LOG"}
    done = subprocess.run(command, capture_output=True, text=True, env=given | {"PYTHONPATH": str(ROOT / "workflow")})
    said, other = (done.stdout, done.stderr) if value is None else (done.stderr, done.stdout)
    assert (other, said.count("\n"), done.returncode) == ("", 1, 0 if value is None else 2), done.stderr
    assert said.startswith(f"{tmp_path / 'out'}: " if value is None else "error: ")
    assert "Dispatching model" in (tmp_path / "out.log").read_text()
