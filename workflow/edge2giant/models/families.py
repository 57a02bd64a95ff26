"""How model types differ from Llama: names and shapes of linear layers, norms, and what a config.json leaves out.

Each is as transformers builds it; tests compare with its models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge2giant.models.facts import LinearLayer

LLAMA_ATTENTION = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "out": "self_attn.o_proj"}
LLAMA_MLP = {"gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
FUSED_ATTENTION = {"qkv": "self_attn.qkv_proj", "out": "self_attn.o_proj"}
FUSED_MLP = {"gate_up": "mlp.gate_up_proj", "down": "mlp.down_proj"}
PLAIN_MLP = {"up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h"}


@dataclass(frozen=True)
class Family:
    """Models of one type.

    Parameters
    ----------
    attention, mlp : mapping
        Names of the linear layers of a decoder layer by what they compute.
    experts, shared_expert : mapping or None
        Names of those of each expert.
    biased : tuple of str
        Roles in `attention` and `mlp` that have a bias whatever config.json says.
    norms, norm_vectors : int
        Norms of a decoder layer as wide as the hidden state, and the weight vectors of each: 2 with a bias.
    query_norm : {'head', 'all'} or None
        Whether queries and keys are normalised, for each head or over all.
    sliding : callable
        Says by its number whether a layer has a sliding window, in a config.json with a window and without `layer_types`.
    defaults : mapping
        Values of keys that a config.json may leave out.
    """

    attention: Mapping[str, str] = field(default_factory=lambda: LLAMA_ATTENTION)
    mlp: Mapping[str, str] = field(default_factory=lambda: LLAMA_MLP)
    experts: Mapping[str, str] | None = None
    shared_expert: Mapping[str, str] | None = None
    biased: tuple[str, ...] = ()
    norms: int = 2
    norm_vectors: int = 1
    query_norm: str | None = None
    sliding: Callable[[Mapping, int], bool] = lambda config, layer: False
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gated(self) -> bool:
        """Whether the MLP is gated, as Llama's; its width is then always in config.json."""
        return self.mlp is not PLAIN_MLP


def _all_layers(config: Mapping, layer: int) -> bool:
    return True


def _upper_layers(config: Mapping, layer: int) -> bool:
    return config.get("use_sliding_window", False) and layer >= config.get("max_window_layers", 0)


def _pattern(default: int) -> Callable[[Mapping, int], bool]:
    return lambda config, layer: (layer + 1) % config.get("sliding_window_pattern", default) != 0


GEMMA = {"head_dim": 256, "vocab_size": 256000, "max_position_embeddings": 8192, "tie_word_embeddings": True}
GEMMA2 = {"num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 4096} | GEMMA
MOE = {f"{role}": f"mlp.experts.{role}_proj" for role in ("gate", "up", "down")}
FAMILIES = {
    "llama": Family(),
    "mistral": Family(sliding=_all_layers, defaults={"num_key_value_heads": 8, "sliding_window": 4096}),
    "mixtral": Family(
        experts={role: f"block_sparse_moe.experts.{name}" for role, name in (("gate", "w1"), ("up", "w3"), ("down", "w2"))},
        sliding=_all_layers,
        defaults={"num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2},
    ),
    "qwen2": Family(biased=("q", "k", "v"), sliding=_upper_layers),
    "qwen2_moe": Family(
        experts=MOE,
        shared_expert={role: f"mlp.shared_expert.{role}_proj" for role in MOE},
        biased=("q", "k", "v"),
        sliding=_upper_layers,
    ),
    "qwen3": Family(query_norm="head", sliding=_upper_layers, defaults={"head_dim": 128}),
    "qwen3_moe": Family(experts=MOE, query_norm="head", sliding=_upper_layers),
    "gemma": Family(defaults=GEMMA),
    "gemma2": Family(norms=4, sliding=_pattern(2), defaults=GEMMA2),
    "gemma3_text": Family(
        norms=4,
        query_norm="head",
        sliding=_pattern(6),
        defaults=GEMMA2 | {"vocab_size": 262208, "max_position_embeddings": 131072},
    ),
    "phi3": Family(attention=FUSED_ATTENTION, mlp=FUSED_MLP, sliding=_all_layers),
    "olmo2": Family(query_norm="all"),
    "gpt_neox": Family(
        attention={"qkv": "attention.query_key_value", "out": "attention.dense"},
        mlp=PLAIN_MLP,
        biased=("up", "down"),
        norm_vectors=2,
        defaults={"attention_bias": True},
    ),
    "falcon": Family(
        attention={"qkv": "self_attention.query_key_value", "out": "self_attention.dense"},
        mlp=PLAIN_MLP,
        norm_vectors=2,
        defaults={"max_position_embeddings": 2048, "tie_word_embeddings": True},
    ),
}
"""By `model_type` of the decoder."""


def linear_layers(family: Family, config: Mapping[str, Any]) -> tuple[LinearLayer, ...]:
    """Linear layers of a decoder; `config` as `edge2giant.models.read.numbers` makes it."""
    layers, sparse, hidden = config["num_hidden_layers"], config["sparse_layers"], config["hidden_size"]
    heads, shared = (config[key] * config["head_dim"] for key in ("num_attention_heads", "num_key_value_heads"))
    shapes = {"q": (heads, hidden), "k": (shared, hidden), "v": (shared, hidden), "qkv": (heads + 2 * shared, hidden)}
    shapes["out"] = (hidden, heads)
    biased = (*family.biased, *config["biased"])
    found = _of(family.attention, shapes, layers, biased)
    found += _of(family.mlp, _mlp(config["dense_size"], hidden), layers - sparse, biased)
    if family.experts:
        found += _of(family.experts, _mlp(config["intermediate_size"], hidden), sparse * config["num_experts"])
    if family.shared_expert:
        found += _of(family.shared_expert, _mlp(config["shared_expert_size"], hidden), sparse)
    return tuple(found)


def _mlp(width: int, hidden: int) -> dict[str, tuple[int, int]]:
    return {"gate": (width, hidden), "up": (width, hidden), "gate_up": (2 * width, hidden), "down": (hidden, width)}


def _of(names: Mapping[str, str], shapes: Mapping, count: int, biased: tuple[str, ...] = ()) -> list[LinearLayer]:
    return [LinearLayer(name, *shapes[role], count, role in biased) for role, name in names.items() if count]


def parameters(family: Family, config: Mapping[str, Any], linear: tuple[LinearLayer, ...]) -> int:
    """Parameters of a decoder: linear layers with biases, embeddings, norms and routers."""
    hidden, layers, sparse = config["hidden_size"], config["num_hidden_layers"], config["sparse_layers"]
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    tables = config["vocab_size"] * hidden * (1 if config["tie_word_embeddings"] else 2)
    norms = family.norm_vectors * hidden * (layers * config["norms"] + 1)
    query_norms = {None: 0, "head": 2, "all": heads + shared}[family.query_norm] * config["head_dim"] * layers
    routers = sparse * hidden * (config["num_experts"] + (1 if family.shared_expert else 0))
    weights = sum(one.weights + (one.count * one.outputs if one.bias else 0) for one in linear)
    return weights + tables + norms + query_norms + routers
