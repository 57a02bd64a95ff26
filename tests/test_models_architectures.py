"""Facts of models of many architectures against what transformers builds: parameters, shapes, caches, class defaults."""

import json
from collections import Counter

import pytest
from edge2giant.models import families, read
from edge2giant.models.facts import ModelFacts

pytestmark = pytest.mark.toolkit("main")

SMALL = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "vocab_size": 90, "max_position_embeddings": 64,
}  # fmt: skip
OWN_HEAD = {key: value for key, value in SMALL.items() if key != "head_dim"}
EQUAL_HEADS = {key: value for key, value in OWN_HEAD.items() if key != "num_key_value_heads"}
FALCON = {key: value for key, value in EQUAL_HEADS.items() if key != "intermediate_size"}
WINDOW = {"sliding_window": 8}
SPARSE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
CASES = {
    "llama": ("llama", SMALL),
    "llama, tied, with biases": ("llama", SMALL | {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", SMALL | {"sliding_window": None}),
    "mistral with a window": ("mistral", SMALL | WINDOW),
    "qwen2": ("qwen2", OWN_HEAD),
    "qwen2 with windows": ("qwen2", OWN_HEAD | WINDOW | {"use_sliding_window": True, "max_window_layers": 1}),
    "qwen2_moe": ("qwen2_moe", OWN_HEAD | SPARSE | {"shared_expert_intermediate_size": 56}),
    "qwen3": ("qwen3", SMALL | {"tie_word_embeddings": True}),
    "qwen3_moe": ("qwen3_moe", SMALL | SPARSE),
    "qwen3_moe, partly dense": ("qwen3_moe", SMALL | SPARSE | {"mlp_only_layers": [1]}),
    "mixtral": ("mixtral", SMALL | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "gemma": ("gemma", SMALL | {"num_key_value_heads": 1}),
    "gemma2": ("gemma2", SMALL | WINDOW),
    "gemma3_text": ("gemma3_text", SMALL | WINDOW | {"num_hidden_layers": 7}),
    "phi3": ("phi3", OWN_HEAD | {"pad_token_id": 0}),
    "phi3 with a window": ("phi3", OWN_HEAD | WINDOW | {"pad_token_id": 0}),
    "olmo2": ("olmo2", OWN_HEAD),
    "gpt_neox": ("gpt_neox", EQUAL_HEADS),
    "falcon, one key for all heads": ("falcon", FALCON),
    "falcon, a key for each head": ("falcon", FALCON | {"multi_query": False, "parallel_attn": False, "bias": True}),
    "falcon, grouped keys": ("falcon", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "ffn_hidden_size": 100}),
}


def configured(model_type: str, settings: dict):
    from transformers import CONFIG_MAPPING

    return CONFIG_MAPPING[model_type](**settings)


def built(config, device: str = "meta"):
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device(device):
        return AutoModelForCausalLM.from_config(config)


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


WRITTEN = {"max_position_embeddings", "num_key_value_heads", *SPARSE, "shared_expert_intermediate_size", "num_local_experts"}
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
