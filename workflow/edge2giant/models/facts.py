"""The record of a model's facts, and what follows from it: counts of weights and the tokens that its cache holds."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

BLOCKS = {"gpt_neox": "gpt_neox.layers", "falcon": "transformer.h"}
"""What holds the decoder blocks, by model type; `model.layers` in all others."""


@dataclass(frozen=True)
class LinearLayer:
    """A kind of linear layer in the decoder: `count` matrices of one shape in the whole model.

    Parameters
    ----------
    name : str
        Name below a decoder layer, without the numbers of experts, such as `self_attn.q_proj` or `mlp.experts.up_proj`.
    """

    name: str
    outputs: int
    inputs: int
    count: int
    bias: bool = False

    @property
    def weights(self) -> int:
        return self.count * self.outputs * self.inputs


@dataclass(frozen=True)
class ModelFacts:
    """What a model's own files say of it; names as in a Llama's config.json.

    Parameters
    ----------
    parameters : int
        Each counted once; without buffers and a second copy of tied embeddings.
    intermediate_size : int
        Width of a dense MLP, or of one expert.
    num_experts, num_experts_per_tok : int
        Routed experts of a layer and those that compute a token; 0 for a dense model.
    shared_expert_size : int
        Width of the experts of a layer that compute every token.
    sliding_window : int or None
        Tokens back that `sliding_layers` of the layers see; the others see all.
    rope_type : str or None
        Kind of rope scaling, such as `llama3` or `yarn`; None without one.
    scaled_positions : int or None
        Positions that the scaling gives, where they are not `max_position_embeddings`.
    dtype : str or None
        Data type of the weights as published, such as `bfloat16`.
    chat_template : bool or None
        None where it is not known.
    linear_layers : tuple of LinearLayer
        Those that recipes quantize, sorted by name. Left out, they are Llama's seven.
    """

    parameters: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    tie_word_embeddings: bool
    model_type: str = "llama"
    dtype: str | None = None
    chat_template: bool | None = None
    num_experts: int = 0
    num_experts_per_tok: int = 0
    shared_expert_size: int = 0
    sliding_window: int | None = None
    sliding_layers: int = 0
    rope_type: str | None = None
    scaled_positions: int | None = None
    linear_layers: tuple[LinearLayer, ...] = ()

    def __post_init__(self):
        layers = self.linear_layers or self._llama()
        object.__setattr__(self, "linear_layers", tuple(sorted(layers, key=lambda one: one.name)))

    def _llama(self) -> tuple[LinearLayer, ...]:
        heads, shared = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        hidden, middle = self.hidden_size, self.intermediate_size
        shapes = {"q": (heads, hidden), "k": (shared, hidden), "v": (shared, hidden), "o": (hidden, heads)}
        attention = {f"self_attn.{name}_proj": shape for name, shape in shapes.items()}
        mlp = {"mlp.gate_proj": (middle, hidden), "mlp.up_proj": (middle, hidden), "mlp.down_proj": (hidden, middle)}
        return tuple(LinearLayer(name, *shape, self.num_hidden_layers) for name, shape in (attention | mlp).items())

    @property
    def positions(self) -> int:
        """Tokens of the longest sequence."""
        return self.scaled_positions or self.max_position_embeddings

    @property
    def linear_weights(self) -> int:
        """Weights of all linear layers."""
        return sum(layer.weights for layer in self.linear_layers)

    @property
    def table_weights(self) -> int:
        """Weights of the embedding, and of the output layer where it has its own."""
        return self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)

    def layer_names(self) -> Iterator[tuple[LinearLayer, str]]:
        """Each linear layer's kind, and its name in the model."""
        blocks = BLOCKS.get(self.model_type, "model.layers")
        for kind in self.linear_layers:
            expert = re.search(r"\bexperts\.", kind.name)
            below = [kind.name]
            if expert:
                below = [f"{kind.name[: expert.end()]}{n}.{kind.name[expert.end() :]}" for n in range(self.num_experts)]
            for block in range(self.num_hidden_layers):
                yield from ((kind, f"{blocks}.{block}.{name}") for name in below)

    def modules(self) -> list[str]:
        """Names that a recipe may leave out: linear layers, routers and the output layer."""
        blocks = BLOCKS.get(self.model_type, "model.layers")
        beside = ("mlp.gate", "mlp.shared_expert_gate", "block_sparse_moe.gate") if self.num_experts else ()
        routers = [f"{blocks}.{block}.{name}" for block in range(self.num_hidden_layers) for name in beside]
        return [*(name for _, name in self.layer_names()), *routers, "lm_head", "embed_out"]

    @property
    def widest_input(self) -> int:
        """Most inputs of a linear layer."""
        return max(layer.inputs for layer in self.linear_layers)

    @property
    def mlp_width(self) -> int:
        """Width of the MLPs that compute one token."""
        return self.intermediate_size * max(1, self.num_experts_per_tok) + self.shared_expert_size

    def cached_tokens(self, length: int) -> int:
        """Tokens that the caches of all layers hold for a sequence: a sliding layer holds at most its window."""
        sliding = self.sliding_layers * min(length, self.sliding_window or length)
        return (self.num_hidden_layers - self.sliding_layers) * length + sliding


def flat(facts: ModelFacts) -> dict[str, Any]:
    """The facts by name; each linear layer by its own, such as `self_attn.q_proj`: 32 x [4096, 4096]."""
    found = {one.name: getattr(facts, one.name) for one in fields(ModelFacts) if one.name != "linear_layers"}
    for one in facts.linear_layers:
        found[one.name] = f"{one.count} x [{one.outputs}, {one.inputs}]{' with bias' if one.bias else ''}"
    return found


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Facts that are not as expected: name, value expected, value found. What is not known on either side is left out."""
    known = {name: value for name, value in expected.items() if value is not None and name in found}
    return [(name, value, found[name]) for name, value in known.items() if value != found[name] is not None]
