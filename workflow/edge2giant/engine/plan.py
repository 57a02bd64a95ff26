"""Memory of a resident checkpoint, from its architecture alone, and the GPUs that it takes. Pure, standard library.

Bytes everywhere unless a name says otherwise. What is counted, on the GPU that has most to hold:

- weights: linear layers at their bits with scales, embeddings and output layer in 16 bits, shared as tensor
  parallelism shares them (key-value heads are repeated when there are fewer than GPUs);
- activations of one prefill step of ``max_num_batched_tokens``;
- log-probabilities: a row of the vocabulary in 16 and twice in 32 bits for every token of a step whose
  log-probability is asked;
- key-value cache: what is left of the share of the GPU that the engine may take.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge2giant.errors import UserError

GIB = 2**30
# CUDA context, NCCL buffers and what torch does not give back, on each GPU.
RUNTIME_BYTES = int(1.5 * GIB)
# CUDA graphs and their pools.
GRAPH_BYTES = 1 * GIB
# Longest prompt that lm-eval renders for the paper's benchmarks, in tokens (12,314), and its answer.
LONGEST_REQUEST = 16_384
# A cache below this many tokens keeps too few prompts in flight.
LEAST_CACHE_TOKENS = 32_768
SHARE_OF_GPU = 0.9
# Scale, in 16 bits, for each group of 128 weights; zero points at the weights' own bits.
GROUP = 128


@dataclass(frozen=True)
class Memory:
    """Bytes on the fullest GPU, and the tokens that its cache holds."""

    weights: int
    activations: int
    logprobs: int
    runtime: int
    kv_bytes_per_token: int
    kv_cache: int
    kv_tokens: int

    @property
    def needed(self) -> int:
        """Everything but the cache."""
        return self.weights + self.activations + self.logprobs + self.runtime


@dataclass(frozen=True)
class Gpus:
    """One kind of GPU at a site."""

    name: str
    memory_gib: float
    per_node: int
    nodes: int = 1
    compute_capability: tuple[int, int] = (8, 0)


@dataclass(frozen=True)
class Placement:
    """Where and how a checkpoint is served."""

    gpu: str
    nodes: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    max_model_len: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    memory: Memory
    warnings: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Give what `edge2giant.engine.open_engine` takes."""
        names = (
            "tensor_parallel_size", "pipeline_parallel_size", "max_model_len", "max_num_batched_tokens",
            "gpu_memory_utilization",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def record(self) -> dict[str, Any]:
        """Give everything as plain data."""
        return asdict(self)


def gpus_of(cluster: Mapping[str, Any]) -> list[Gpus]:
    """Read the GPUs of an entry of config/clusters.yaml."""
    return [
        Gpus(
            name,
            partition["gpu_memory_gib"],
            partition["gpus_per_node"],
            partition.get("nodes", 1),
            tuple(map(int, str(partition["compute_capability"]).split("."))),
        )
        for name, partition in cluster["partitions"].items()
    ]


def weight_bits(bits: str) -> int:
    """``w4a16`` -> 4.

    Raises
    ------
    UserError
        Not of the form w<bits>a<bits>.
    """
    head, _, tail = bits.partition("a")
    if not (head[:1] == "w" and head[1:].isdigit() and tail.isdigit()):
        raise UserError(f"no bit-width {bits!r}", cure="write it as w4a16")
    return int(head[1:])


def layer_parameters(architecture: Mapping[str, Any], tp: int = 1) -> int:
    """Count the weights of a decoder layer's matrices on one of ``tp`` GPUs."""
    hidden, heads = architecture["hidden_size"], architecture["num_attention_heads"]
    width = architecture["head_dim"]
    kv_heads = max(1, architecture["num_key_value_heads"] // tp)
    attention = hidden * width * (2 * heads // tp + 2 * kv_heads)
    return attention + 3 * hidden * architecture["intermediate_size"] // tp


def parameters(architecture: Mapping[str, Any]) -> int:
    """Count all parameters of a Llama- or Gemma-shaped model."""
    hidden, layers = architecture["hidden_size"], architecture["num_hidden_layers"]
    embeddings = architecture["vocab_size"] * hidden * (1 if architecture["tie_word_embeddings"] else 2)
    return layers * (layer_parameters(architecture) + 2 * hidden) + embeddings + hidden


def weight_bytes(architecture: Mapping[str, Any], bits: str, tp: int = 1, pp: int = 1) -> int:
    """Bytes of weights on the GPU that holds most."""
    wide = weight_bits(bits)
    layers = -(-architecture["num_hidden_layers"] // pp)
    matrices = layers * layer_parameters(architecture, tp)
    quantized = matrices * wide // 8 + (matrices // GROUP * 2 if wide < 16 else 0)
    table = 2 * architecture["vocab_size"] * architecture["hidden_size"] // tp
    tables = table if pp > 1 or architecture["tie_word_embeddings"] else 2 * table
    return quantized + tables + 2 * layers * 2 * architecture["hidden_size"]


def kv_bytes_per_token(architecture: Mapping[str, Any], tp: int = 1, pp: int = 1, kv_cache_dtype: str = "auto") -> int:
    """Bytes of keys and values of a token on one GPU."""
    size = 1 if kv_cache_dtype.startswith("fp8") else 2
    layers = -(-architecture["num_hidden_layers"] // pp)
    return 2 * size * layers * max(1, architecture["num_key_value_heads"] // tp) * architecture["head_dim"]


def activation_bytes(architecture: Mapping[str, Any], tokens: int, tp: int = 1) -> int:
    """Bytes alive at the widest place of a layer for a step of ``tokens``: residual, input and gated MLP."""
    wide = 3 * architecture["intermediate_size"] // tp
    heads = 4 * architecture["num_attention_heads"] * architecture["head_dim"] // tp
    return 2 * tokens * (3 * architecture["hidden_size"] + max(wide, heads))


def logprob_bytes(architecture: Mapping[str, Any], rows: int) -> int:
    """Bytes for the log-probabilities of ``rows`` tokens: 16-bit logits, and two 32-bit copies."""
    return rows * architecture["vocab_size"] * (2 + 4 + 4)


def memory(
    architecture: Mapping[str, Any],
    bits: str,
    gpu_bytes: int,
    tp: int = 1,
    pp: int = 1,
    max_num_batched_tokens: int = 8192,
    kv_cache_dtype: str = "auto",
    utilization: float = SHARE_OF_GPU,
) -> Memory:
    """Say what stands on the fullest GPU.

    Parameters
    ----------
    architecture : mapping
        Keys of ``architecture`` in config/models.yaml.
    bits : str
        Such as ``w4a16``.
    gpu_bytes : int
        Memory of a GPU.
    """
    weights = weight_bytes(architecture, bits, tp, pp)
    activations = activation_bytes(architecture, max_num_batched_tokens, tp)
    logprobs = logprob_bytes(architecture, max_num_batched_tokens)
    per_token = kv_bytes_per_token(architecture, tp, pp, kv_cache_dtype)
    left = int(gpu_bytes * utilization) - weights - activations - GRAPH_BYTES - RUNTIME_BYTES
    cache = max(0, left)
    return Memory(weights, activations, logprobs, RUNTIME_BYTES + GRAPH_BYTES, per_token, cache, cache // per_token)


def place(
    architecture: Mapping[str, Any],
    bits: str,
    gpus: Iterable[Gpus],
    method: str | None = None,
    kv_cache_dtype: str = "auto",
    longest_request: int = LONGEST_REQUEST,
) -> Placement:
    """Choose the fewest, then the smallest GPUs on which a checkpoint can be scored.

    Parameters
    ----------
    architecture : mapping
        Keys of ``architecture`` in config/models.yaml.
    bits : str
        Such as ``w4a16``.
    gpus : iterable of Gpus
        What the site has; see `gpus_of`.
    method : str, optional
        ``fp8`` prefers GPUs that multiply in 8-bit floating point (compute capability 8.9).

    Raises
    ------
    UserError
        No GPUs of the site, over all their nodes, hold it.
    """
    site = list(gpus)
    longest = min(architecture["max_position_embeddings"], longest_request)
    found = [one for kind in site for one in _on(kind, architecture, bits, longest, kv_cache_dtype)]
    native = [one for kind, one in found if method != "fp8" or kind.compute_capability >= (8, 9)]
    if not found:
        least = weight_bytes(architecture, bits) / GIB
        raise UserError(
            f"{least:.0f} GiB of weights ({bits}) do not fit any GPUs of this site",
            cure="add nodes to config/clusters.yaml, or take fewer bits",
        )
    size = {kind.name: kind.memory_gib for kind in site}
    chosen = native or [one for _, one in found]

    def cost(one: Placement) -> tuple[float, ...]:
        count = one.tensor_parallel_size * one.pipeline_parallel_size
        return one.nodes, count * size[one.gpu], count

    best = min(chosen, key=cost)
    if native:
        return best
    warning = "fp8 runs as weight-only 8-bit: no GPU of this site multiplies in fp8 (compute capability 8.9)"
    return Placement(**{**vars(best), "warnings": (*best.warnings, warning)})


def _on(kind: Gpus, architecture: Mapping[str, Any], bits: str, longest: int, kv_cache_dtype: str):
    """Yield (kind, placement) for the numbers of these GPUs that hold the checkpoint, fewest first."""
    gpu_bytes = int(kind.memory_gib * GIB)
    for nodes, tp in _shapes(kind, architecture["num_attention_heads"]):
        for step in (8192, 4096, 2048, 1024):
            held = memory(architecture, bits, gpu_bytes, tp, nodes, step, kv_cache_dtype)
            # the engine's share leaves the rest of the GPU to log-probabilities, which it does not reserve
            share = min(SHARE_OF_GPU, 1.0 - (held.logprobs + RUNTIME_BYTES) / gpu_bytes)
            if share <= 0.5:
                continue
            held = memory(architecture, bits, gpu_bytes, tp, nodes, step, kv_cache_dtype, share)
            if held.kv_tokens >= max(LEAST_CACHE_TOKENS, longest):
                share = int(share * 100) / 100
                yield kind, Placement(kind.name, nodes, tp, nodes, longest, step, share, held)
                break


def _shapes(kind: Gpus, heads: int):
    """Yield (nodes, tensor parallel size): within a node first, then whole nodes as pipeline stages."""
    tp = 1
    while tp <= kind.per_node:
        if heads % tp == 0:
            yield 1, tp
            widest = tp
        tp *= 2
    for nodes in range(2, kind.nodes + 1):
        yield nodes, widest
