"""Facts read from a model's small files and headers: an unknown architecture, buffers, what is refused."""

import json

import pytest
from acquire_cli import header
from edge2giant.errors import UserError
from edge2giant.models import read
from edge2giant.models.facts import LinearLayer, ModelFacts
from shared import ROOT, real_model

CONFIG = {
    "model_type": "newcomer", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "vocab_size": 10, "max_position_embeddings": 64,
}  # fmt: skip
LAYER = {
    "self_attn.q_proj.weight": (8, 8),
    "self_attn.rotary_emb.inv_freq": (2,),
    "input_layernorm.weight": (8,),
    "mlp.gate.weight": (4, 8),
    "mlp.experts.0.up_proj.weight": (16, 8),
    "mlp.experts.1.up_proj.weight": (16, 8),
    "mlp.experts.1.up_proj.bias": (16,),
}
TENSORS = {"model.embed_tokens.weight": (10, 8)} | {f"model.layers.{n}.{name}": LAYER[name] for n in (0, 1) for name in LAYER}
PARAMETERS = 80 + 2 * (64 + 8 + 32 + 2 * 128 + 16)


def model(folder, config=CONFIG, tensors=TENSORS):
    (folder / "config.json").write_text(json.dumps(config))
    if tensors:
        (folder / "model.safetensors").write_bytes(header(tensors))
    return folder


def facts(folder) -> ModelFacts:
    return read.read(folder, "org/new", read.tensors_of(folder, "org/new"))


def test_an_unknown_architecture_is_counted_from_its_headers(tmp_path):
    found = facts(model(tmp_path))
    assert found.parameters == PARAMETERS, "without buffers"
    assert found.linear_layers == (
        LinearLayer("mlp.experts.up_proj", 16, 8, 4, bias=True),
        LinearLayer("self_attn.q_proj", 8, 8, 2),
    )
    assert (found.tie_word_embeddings, found.dtype, found.head_dim, found.num_key_value_heads) == (True, "bfloat16", 4, 2)


@pytest.mark.parametrize(
    ("model_type", "keys", "kind", "positions"),
    [
        ("llama", {}, None, 64),
        ("llama", {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "llama3", 64),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}, "linear", 256),
        ("qwen2", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}, "yarn", 128),
        ("qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, None, 64),
        ("phi3", {"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}}, "longrope", 64),
        ("gemma3_text", {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0}}}, "linear", 64),
    ],
)
def test_positions_with_rope_scaling(tmp_path, model_type, keys, kind, positions):
    found = facts(model(tmp_path, CONFIG | {"model_type": model_type} | keys))
    assert (found.rope_type, found.positions) == (kind, positions)


def test_an_output_layer_counts_once_where_it_is_tied(tmp_path):
    tensors = TENSORS | {"lm_head.weight": (10, 8)}
    assert facts(model(tmp_path, tensors=tensors)).parameters == PARAMETERS + 80
    assert facts(model(tmp_path, CONFIG | {"tie_word_embeddings": True}, tensors)).parameters == PARAMETERS


def test_shards_are_those_of_the_index(tmp_path):
    model(tmp_path).joinpath("model.safetensors").rename(tmp_path / "model-00001-of-00001.safetensors")
    (tmp_path / "consolidated.safetensors").write_bytes(header({"tok_embeddings.weight": (10, 8)}))
    index = {"weight_map": dict.fromkeys(TENSORS, "model-00001-of-00001.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert facts(tmp_path).parameters == PARAMETERS


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("chat_template.jinja", "{{ messages }}", True),
        ("tokenizer_config.json", '{"chat_template": "{{ messages }}"}', True),
        ("tokenizer_config.json", '{"chat_template": null}', False),
    ],
)
def test_a_chat_template_is_found(tmp_path, file, content, found):
    (model(tmp_path) / file).write_text(content)
    assert facts(tmp_path).chat_template is found


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "org/new: has no config.json"),
        ("{", "org/new/config.json: is not valid JSON"),
        ("[]", "org/new/config.json: is not a JSON object"),
        (json.dumps({"hidden_size": 8}), "says no model_type"),
        (json.dumps(CONFIG | {"hidden_size": "8"}), "hidden_size is '8', not a positive number"),
        (json.dumps({key: CONFIG[key] for key in CONFIG if key != "vocab_size"}), "vocab_size is None, not a positive number"),
        (json.dumps(CONFIG | {"num_experts": "four"}), "num_experts is 'four', not a positive number"),
        (json.dumps(CONFIG | {"num_experts": 4, "num_experts_per_tok": 1, "mlp_only_layers": 3}), "value of the wrong type"),
        (json.dumps(CONFIG | {"sliding_window": 8, "layer_types": 3}), "value of the wrong type"),
        (json.dumps(CONFIG | {"quantization_config": {"bits": 4}}), "is that of a quantized checkpoint"),
        (json.dumps(CONFIG | {"auto_map": {"AutoConfig": "own.Config"}}), "needs code of its repository (auto_map)"),
        (json.dumps(CONFIG), "model type 'newcomer' is not known here, so that its weights' headers are needed"),
        (json.dumps(CONFIG | {"model_type": "llama", "vision_config": {}}), "has parts beside its decoder"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, config, says):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError) as caught:
        facts(tmp_path)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [4, 40])
def test_a_cut_header_is_named(tmp_path, cut):
    path = model(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"model\.safetensors: has no readable header"):
        facts(tmp_path)


def test_a_real_model_is_read():
    """SmolLM2-135M-Instruct, whose numbers are published."""
    found = facts(real_model())
    assert found.parameters == 134_515_008
    assert (found.num_attention_heads, found.num_key_value_heads, found.tie_word_embeddings) == (9, 3, True)


@pytest.mark.parametrize("name", ["tiny-0.4m", "tiny-2m"])
def test_the_miniatures_entries_are_what_their_files_say(name):
    from edge2giant import config

    assert facts(ROOT / "workflow/demo/models" / name) == config.load().models[name].facts


def test_a_cache_holds_at_most_the_window():
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 6, "num_attention_heads": 1, "num_key_value_heads": 1}
    rest = {"head_dim": 8, "vocab_size": 8, "max_position_embeddings": 100, "tie_word_embeddings": True, "parameters": 1}
    found = ModelFacts(**size, **rest, sliding_window=10, sliding_layers=5)
    assert [found.cached_tokens(length) for length in (5, 10, 100)] == [30, 60, 150]


def test_code_of_a_repository_is_no_matter_where_transformers_has_the_type(tmp_path):
    own = {"AutoModelForCausalLM": "own.Model"}
    model(tmp_path, CONFIG | {"model_type": "llama", "auto_map": own})
    assert facts(tmp_path).model_type == "llama"


@pytest.mark.toolkit("main")
def test_types_are_those_of_transformers():
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) == read.OF_TRANSFORMERS
