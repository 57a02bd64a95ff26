"""Facts of models of many architectures against what transformers builds: parameters, shapes, caches, class defaults."""

import json
from collections import Counter

import pytest
import tiny_models
from edge2giant.models import families, read
from edge2giant.models.facts import ModelFacts
from tiny_models import WINDOW, built, configured

pytestmark = pytest.mark.toolkit("main")

SMALL = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "vocab_size": 90, "max_position_embeddings": 64,
}  # fmt: skip
CASES = tiny_models.cases(SMALL, ffn=100, expert=40, shared=56)


def facts_of(config, folder) -> ModelFacts:
    config.save_pretrained(folder)
    return read.read(folder, "org/model")


def matrices(model) -> Counter:
    """(outputs, inputs) of a decoder's linear layers; experts, which transformers joins, each by itself."""
    found: Counter = Counter()
    for name, weight in model.named_parameters():
        *_, kind, last = name.split(".")
        if kind == "experts":
            number, outputs, inputs = weight.shape
            found[(outputs // 2, inputs) if "gate_up" in last else (outputs, inputs)] += number * (2 if "gate_up" in last else 1)
        elif weight.ndim == 2 and kind not in ("gate", "shared_expert_gate") and any(part.isdigit() for part in name.split(".")):
            found[tuple(weight.shape)] += 1
    return found


def shapes(facts: ModelFacts) -> Counter:
    found: Counter = Counter()
    for one in facts.linear_layers:
        found[one.outputs, one.inputs] += one.count
    return found


@pytest.mark.parametrize(("model_type", "settings"), CASES.values(), ids=CASES)
def test_counts_and_shapes_are_those_of_transformers(tmp_path, model_type, settings):
    config = configured(model_type, settings)
    model, facts = built(config), facts_of(config, tmp_path)
    assert facts.parameters == sum(weight.numel() for weight in model.parameters())
    assert shapes(facts) == matrices(model)


WRITTEN = {
    "max_position_embeddings", "num_key_value_heads", "num_experts", "num_experts_per_tok", "moe_intermediate_size",
    "shared_expert_intermediate_size", "num_local_experts",
}  # fmt: skip
"""Keys that published models of most types have."""


@pytest.mark.parametrize("model_type", families.FAMILIES)
def test_a_config_that_leaves_out_its_class_defaults_gives_the_same(tmp_path, model_type):
    """The published Gemma-3 leaves out heads, vocabulary and more."""
    config = configured(model_type, {})
    whole = facts_of(config, tmp_path)
    needed = {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "model_type", "vocab_size"}
    if model_type not in ("gemma3_text", "falcon"):
        needed |= WRITTEN
    written = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({key: value for key, value in written.items() if key in needed}))
    assert facts_but_dtype(read.read(tmp_path, "org/model")) == facts_but_dtype(whole)
    assert whole.parameters == sum(weight.numel() for weight in built(config).parameters())


def facts_but_dtype(facts: ModelFacts) -> dict:
    return {key: value for key, value in vars(facts).items() if key != "dtype"}


@pytest.mark.parametrize(("model_type", "settings"), CASES.values(), ids=CASES)
def test_headers_of_saved_weights_say_the_same(tmp_path, model_type, settings):
    config = configured(model_type, settings)
    built(config, "cpu").save_pretrained(tmp_path)
    tensors = read.tensors_of(tmp_path, "org/model")
    assert read.read(tmp_path, "org/model", tensors) == read.read(tmp_path, "org/model")


@pytest.mark.parametrize(("model_type", "settings"), CASES.values(), ids=CASES)
def test_a_cache_holds_what_transformers_caches(tmp_path, model_type, settings):
    """A sliding layer keeps one token less than its window, which the next fills; Falcon caches grouped keys for each head."""
    import torch

    config = configured(model_type, settings)
    facts, length = facts_of(config, tmp_path), 20
    with torch.no_grad():
        cache = built(config, "cpu")(torch.ones((1, length), dtype=torch.long), use_cache=True).past_key_values
    held = sum(one.keys.numel() + one.values.numel() for one in cache.layers)
    sliding = sum(one.is_sliding for one in cache.layers)
    assert sliding == facts.sliding_layers
    heads = facts.num_attention_heads if config.to_dict().get("new_decoder_architecture") else facts.num_key_value_heads
    per_token = 2 * heads * facts.head_dim
    assert held == per_token * (facts.cached_tokens(length) - sliding)


def test_a_decoder_beside_an_image_encoder_is_read_from_headers(tmp_path):
    """As the larger Gemma-3: its decoder is `text_config`, and the parameters are those of both parts."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForImageTextToText

    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28}
    text = SMALL | WINDOW | {"model_type": "gemma3_text"}
    config = CONFIG_MAPPING["gemma3"](text_config=text, vision_config=vision | {"patch_size": 14}, mm_tokens_per_image=4)
    with torch.device("cpu"):
        model = AutoModelForImageTextToText.from_config(config)
    model.save_pretrained(tmp_path)
    found = read.read(tmp_path, "org/model", read.tensors_of(tmp_path, "org/model"))
    text = facts_of(config.text_config, tmp_path / "text")
    assert found.parameters == sum(weight.numel() for weight in model.parameters()) > text.parameters
    assert found.linear_layers == text.linear_layers
    assert (found.sliding_layers, found.sliding_window, found.tie_word_embeddings) == (3, 8, True)
