"""The settings of each engine; any other is refused before a model is loaded."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from edge2giant.errors import UserError

# Settings of every engine.
COMMON = {
    "dtype": "float16, bfloat16, float32 or auto (as the checkpoint says)",
    "max_model_len": "longest prompt plus answer, in tokens",
    "batch_size": "prompts at a time (hf) or 'auto'",
    "seed": "random seed of the engine",
    "max_gen_toks": "new tokens where a task does not say",
    "add_bos_token": "put BOS before every text: true, false, or null for the tokenizer's own rule",
    "trust_remote_code": "run code that comes with the checkpoint",
}
HF = {
    "device": "cuda, cuda:0, cpu",
    "parallelize": "spread the layers over all visible GPUs",
    "softmax_dtype": "dtype of the log-softmax",
}
VLLM = {
    "tensor_parallel_size": "GPUs that share each layer",
    "pipeline_parallel_size": "groups of GPUs that share the layers",
    "gpu_memory_utilization": "share of a GPU's memory that the engine takes, 0 to 1",
    "kv_cache_dtype": "auto, or fp8 for an 8-bit key-value cache",
    "enforce_eager": "no compilation and no CUDA graphs: starts sooner, generates slower",
    "max_num_seqs": "prompts in flight",
    "max_num_batched_tokens": "prompt tokens computed in one step",
    "quantization": "quantization method, where the checkpoint does not say",
    "distributed_executor_backend": "mp, ray or uni",
    "block_size": "tokens of a block of the prefix cache",
    "load_format": "how weights are read",
}
FAST = {
    "self_check": "share of log-likelihood requests scored both ways, 0 to 1",
    "self_check_limit": "at most so many requests both ways in one call",
}
BY_ENGINE = {"hf": COMMON | HF, "vllm-stock": COMMON | VLLM, "vllm": COMMON | VLLM | FAST}


def check(name: str, settings: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return the settings as a dict.

    Raises
    ------
    UserError
        The engine or one of the settings does not exist.
    """
    if name not in known:
        raise UserError(f"no engine {name!r}", hint=f"use one of {', '.join(sorted(known))}")
    allowed = BY_ENGINE[name]
    if unknown := sorted(set(settings) - set(allowed)):
        raise UserError(f"engine {name} has no setting {', '.join(unknown)}", hint=f"use {', '.join(sorted(allowed))}")
    return dict(settings)


def planned(name: str, text: str) -> dict[str, Any]:
    """Settings with which an engine takes the memory that the plan assumes; those of the configuration go before them.

    The Hugging Face engine reserves no memory and has no such settings. Like the GPUs, they are not part of a fingerprint: they
    are in the cell's `engine.settings`.

    Raises
    ------
    UserError
        If the text is neither `-` nor settings with their values.
    """
    try:
        pairs = [part.split("=") for part in text.split(",")] if text != "-" else []
        settings = {key: json.loads(value) for key, value in pairs}
    except ValueError:
        hint = "write for example max_num_batched_tokens=8192,gpu_memory_utilization=0.8"
        raise UserError(f"'{text}' is not a list of settings", "--planned", hint) from None
    return {key: value for key, value in settings.items() if key in BY_ENGINE[name]}


def on_gpus(text: str) -> dict[str, Any]:
    """Settings for a number of GPUs: `8x2` is 8 that share each layer, on each of 2 nodes. They are not part of a fingerprint.

    Raises
    ------
    UserError
        If the text is not two positive numbers joined by an x.
    """
    sizes = text.split("x")
    if len(sizes) != 2 or not all(size.isdecimal() and int(size) for size in sizes):
        raise UserError(f"'{text}' is not of the form GPUSxNODES", "--parallel", "write for example 8x2")
    tensor, pipeline = map(int, sizes)
    if tensor == pipeline == 1:
        return {}
    found = {"tensor_parallel_size": tensor, "pipeline_parallel_size": pipeline}
    return found if pipeline == 1 else found | {"distributed_executor_backend": "ray"}
