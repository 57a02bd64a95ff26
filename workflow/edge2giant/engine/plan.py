"""GPU memory of a served checkpoint, computed from its architecture, and the GPUs that it takes. Standard library only.

Sizes are in bytes unless a name says otherwise. They are those of the fullest GPU:

- weights: linear layers as their scheme stores them, embeddings and output layer in 16 bits, shared as tensor
  parallelism shares them (key-value heads are repeated when there are fewer than GPUs);
- activations of one prefill step of ``max_num_batched_tokens``;
- log-probabilities: a row of the vocabulary in 16 and twice in 32 bits for every token of a step whose
  log-probability is wanted;
- key-value cache: what is left of the share of the GPU that the engine may take.

The engine gets the settings that are assumed here: `EnginePlacement.settings` goes to it by the evaluation's command line.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.schemes.scheme import Scheme

GIB = 2**30
# CUDA context, NCCL buffers and what torch does not give back, on each GPU.
RUNTIME_BYTES = int(1.5 * GIB)
# CUDA graphs and their pools.
GRAPH_BYTES = 1 * GIB
# A cache below this many tokens keeps too few prompts in flight.
LEAST_CACHE_TOKENS = 32_768
SHARE_OF_GPU = 0.9
# Prompt tokens of one step, best first.
STEPS = (8192, 4096, 2048, 1024)


@dataclass(frozen=True)
class Memory:
    """Bytes on the fullest GPU, and the tokens that its cache holds."""

    weights: int
    activations: int
    logprobs: int
    runtime: int
    kv_cache: int
    kv_tokens: int

    @property
    def needed(self) -> int:
        """Everything but the cache."""
        return self.weights + self.activations + self.logprobs + self.runtime


@dataclass(frozen=True)
class Gpus:
    """One kind of GPU at a site, by the name of its partition."""

    name: str
    memory_gib: float
    per_node: int
    nodes: int = 1
    compute_capability: tuple[int, int] = Scheme.native

    @property
    def bytes(self) -> int:
        """Memory of one GPU."""
        return int(self.memory_gib * GIB)


@dataclass(frozen=True)
class Serving:
    """What an engine has to serve, wherever it is placed.

    Parameters
    ----------
    scheme : Scheme
        Of the checkpoint.
    max_model_len : int
        Longest prompt plus answer of the protocol, in tokens.
    max_num_batched_tokens, gpu_memory_utilization : optional
        Where the config fixes them, the plan does not choose.
    whole_prompts : bool
        The engine computes a prompt in one step however long it is, as vLLM did before it cut them into chunks.
    """

    scheme: Scheme
    max_model_len: int
    kv_cache_dtype: str = "auto"
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    whole_prompts: bool = False

    def steps(self, longest: int) -> tuple[int, ...]:
        """Numbers of prompt tokens that one step may compute, best first."""
        if self.max_num_batched_tokens:
            return (self.max_num_batched_tokens,)
        return (longest,) if self.whole_prompts else STEPS


@dataclass(frozen=True)
class EnginePlacement:
    """Where and how a checkpoint is served."""

    gpu: str
    nodes: int
    tensor_parallel_size: int
    max_model_len: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    memory: Memory

    @property
    def settings(self) -> dict[str, Any]:
        """The engine's settings, beside its GPUs, with which it takes the memory that was counted."""
        return {name: getattr(self, name) for name in ("max_num_batched_tokens", "gpu_memory_utilization")}


def gpus_of(partitions: Mapping[str, Mapping[str, Any]]) -> list[Gpus]:
    """The GPUs of the partitions of an entry of config/clusters.yaml."""
    return [
        Gpus(
            name,
            partition["gpu_memory_gib"],
            partition["gpus_per_node"],
            partition["nodes"],
            tuple(map(int, partition["compute_capability"].split("."))),
        )
        for name, partition in partitions.items()
    ]


def layer_parameters(facts: ModelFacts, tp: int = 1) -> int:
    """Count the weights of a decoder layer's matrices on one of ``tp`` GPUs, on average over the layers."""
    head = 2 * facts.hidden_size * facts.head_dim
    keys_and_values = head * facts.num_key_value_heads
    layer = facts.linear_weights // facts.num_hidden_layers
    return (layer - keys_and_values) // tp + head * max(1, facts.num_key_value_heads // tp)


def weight_bytes(facts: ModelFacts, scheme: Scheme, tp: int = 1, pp: int = 1) -> int:
    """Bytes of weights on the GPU that holds most."""
    layers = -(-facts.num_hidden_layers // pp)
    matrices = scheme.bytes(layers * layer_parameters(facts, tp) // facts.hidden_size, facts.hidden_size)
    tables = 2 * (facts.vocab_size * facts.hidden_size if pp > 1 else facts.table_weights) // tp
    rest = facts.parameters - facts.linear_weights - facts.table_weights
    return matrices + tables + 2 * layers * (rest // facts.num_hidden_layers)


def kv_bytes(facts: ModelFacts, length: int, tp: int = 1, pp: int = 1, kv_cache_dtype: str = "auto") -> int:
    """Bytes of keys and values of a sequence on one GPU; the layers of a kind are spread evenly over pipeline stages."""
    size = 1 if kv_cache_dtype.startswith("fp8") else 2
    heads = max(1, facts.num_key_value_heads // tp)
    layers = -(-facts.num_hidden_layers // pp)
    cached = -(-facts.cached_tokens(length) * layers // facts.num_hidden_layers)
    return 2 * size * heads * facts.head_dim * cached


def activation_bytes(facts: ModelFacts, tokens: int, tp: int = 1) -> int:
    """Bytes alive at the widest place of a layer for a step of ``tokens``: residual, input and gated MLP."""
    wide = 3 * facts.mlp_width // tp + facts.hidden_size * facts.num_experts_per_tok
    heads = 4 * facts.num_attention_heads * facts.head_dim // tp
    return 2 * tokens * (3 * facts.hidden_size + max(wide, heads))


def logprob_bytes(facts: ModelFacts, rows: int) -> int:
    """Bytes for the log-probabilities of ``rows`` tokens: 16-bit logits, and two 32-bit copies."""
    return rows * facts.vocab_size * (2 + 4 + 4)


def memory(
    facts: ModelFacts,
    scheme: Scheme,
    gpu_bytes: int,
    tp: int = 1,
    pp: int = 1,
    max_num_batched_tokens: int = 8192,
    kv_cache_dtype: str = "auto",
    utilization: float = SHARE_OF_GPU,
    length: int | None = None,
) -> Memory:
    """Compute what the fullest GPU holds.

    Parameters
    ----------
    gpu_bytes : int
        Memory of a GPU.
    length : int, optional
        Tokens of the sequences in the cache; as many as the model takes if left out.
    """
    weights = weight_bytes(facts, scheme, tp, pp)
    activations = activation_bytes(facts, max_num_batched_tokens, tp)
    logprobs = logprob_bytes(facts, max_num_batched_tokens)
    length = length or facts.positions
    per_token = -(-kv_bytes(facts, length, tp, pp, kv_cache_dtype) // length)
    left = int(gpu_bytes * utilization) - weights - activations - GRAPH_BYTES - RUNTIME_BYTES
    cache = max(0, left)
    return Memory(weights, activations, logprobs, RUNTIME_BYTES + GRAPH_BYTES, cache, cache // per_token)


def place(facts: ModelFacts, serving: Serving, gpus: Iterable[Gpus]) -> EnginePlacement:
    """Choose the fewest nodes, then the least GPU memory in all, on which a checkpoint can be scored natively.

    Of equals the least capable, which spares the best GPUs for those in need. A scheme that falls back goes to other GPUs where
    the site has none that compute it natively.

    Parameters
    ----------
    gpus : iterable of Gpus
        What the site has; see `gpus_of`.

    Raises
    ------
    UserError
        No GPUs of the site that have the kernels hold it, over all their nodes.
    """
    scheme, gpus = serving.scheme, tuple(gpus)
    found = [(kind, placed) for kind in gpus for placed in _on(kind, facts, serving)]
    native = [one for one in found if one[0].compute_capability >= scheme.native]
    able = [one for one in found if one[0].compute_capability >= Scheme.native] if scheme.falls_back else []
    if not (native or able):
        least = weight_bytes(facts, scheme) / GIB
        more = _with_more_nodes(facts, serving, gpus)
        raise UserError(f"{least:.0f} GiB of weights ({scheme.label}) do not fit any GPUs of this site{more}")

    def cost(one: tuple[Gpus, EnginePlacement]) -> tuple:
        kind, placed = one
        count = placed.tensor_parallel_size * placed.nodes
        return placed.nodes, count * kind.memory_gib, count, kind.compute_capability, kind.name

    return min(native or able, key=cost)[1]


def fit(kind: Gpus, facts: ModelFacts, serving: Serving, nodes: int, tp: int) -> EnginePlacement | None:
    """The placement on ``nodes`` nodes with ``tp`` GPUs each, or None if the checkpoint and its cache do not fit there."""
    longest = min(facts.positions, serving.max_model_len)
    for step in serving.steps(longest):
        held = memory(facts, serving.scheme, kind.bytes, tp, nodes, step, serving.kv_cache_dtype, length=longest)
        # the engine does not reserve memory for log-probabilities: its share of the GPU leaves room for them
        share = serving.gpu_memory_utilization or min(SHARE_OF_GPU, 1.0 - (held.logprobs + RUNTIME_BYTES) / kind.bytes)
        if share <= 0.5:
            continue
        share = int(share * 100) / 100
        held = memory(facts, serving.scheme, kind.bytes, tp, nodes, step, serving.kv_cache_dtype, share, longest)
        if held.kv_tokens >= max(LEAST_CACHE_TOKENS, longest):
            return EnginePlacement(kind.name, nodes, tp, longest, step, share, held)
    return None


def _on(kind: Gpus, facts: ModelFacts, serving: Serving) -> Iterator[EnginePlacement]:
    """Placements on the numbers of these GPUs that hold the checkpoint, fewest first."""
    for nodes, tp in _shapes(kind, facts, serving.scheme):
        if placed := fit(kind, facts, serving, nodes, tp):
            yield placed


def _with_more_nodes(facts: ModelFacts, serving: Serving, gpus: Iterable[Gpus]) -> str:
    """The fewest nodes of a kind that the site has which would hold a checkpoint, in words; nothing where none would."""
    least = serving.scheme.native if not serving.scheme.falls_back else Scheme.native
    able = [replace(kind, nodes=facts.num_hidden_layers) for kind in gpus if kind.compute_capability >= least]
    found = [placed for kind in able for placed in islice(_on(kind, facts, serving), 1)]
    if not found:
        return ""
    one = min(found, key=lambda placed: placed.nodes)
    return f"; {one.nodes} nodes of {one.tensor_parallel_size} GPUs as in {one.gpu} would hold them"


def indivisible(facts: ModelFacts, scheme: Scheme, tp: int) -> str | None:
    """Why ``tp`` GPUs cannot share each layer, in words; None where they can.

    A layer that gives the hidden size is divided by its inputs, any other by its outputs (Megatron-LM, arXiv 1909.08053), and no
    GPU gets a part of a head or of the channels that a scheme keeps together. Keys and values are repeated on further GPUs.
    """
    heads, shared = facts.num_attention_heads, facts.num_key_value_heads
    if heads % tp or (shared % tp and tp % shared):
        return f"{heads} attention heads and {shared} of keys and values"
    outputs, inputs = scheme.block
    for layer in facts.linear_layers:
        if layer.outputs == facts.hidden_size:
            channels, block, kind = layer.inputs, inputs, "input"
        else:
            channels, block, kind = _outputs_with_repeated_heads(facts, layer.outputs, tp), outputs, "output"
        if channels % (tp * block):
            return f"{channels} {kind} channels of {layer.name}" + (f" in groups of {block}" if block > 1 else "")
    return None


def _outputs_with_repeated_heads(facts: ModelFacts, outputs: int, tp: int) -> int:
    """Outputs of a layer over all GPUs; of keys and values alone, or of a fused layer with them, more where heads repeat."""
    heads, shared, size = facts.num_attention_heads, facts.num_key_value_heads, facts.head_dim
    repeated = max(shared, tp)
    return {shared * size: repeated * size, (heads + 2 * shared) * size: (heads + 2 * repeated) * size}.get(outputs, outputs)


def _shapes(kind: Gpus, facts: ModelFacts, scheme: Scheme) -> Iterator[tuple[int, int]]:
    """Yield (nodes, tensor parallel size): within a node first, then whole nodes as pipeline stages."""
    sizes = [tp for tp in range(1, kind.per_node + 1) if tp == 1 or not indivisible(facts, scheme, tp)]
    yield from ((1, tp) for tp in sizes)
    yield from ((nodes, sizes[-1]) for nodes in range(2, min(kind.nodes, facts.num_hidden_layers) + 1))
