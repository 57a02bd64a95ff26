"""The settings that each engine takes; checked when Snakemake starts, and again before a model is loaded."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from edge2giant import typed
from edge2giant.errors import UserError
from edge2giant.typed import Natural, Positive, Share, Text

NO_TEMPLATE = (
    "give the model's entry of config/models.yaml a `chat_template` file, or choose a protocol and benchmarks without one"
)
"""What a user can do about a model without a chat template."""


@dataclass(frozen=True)
class EngineSettings:
    """Settings of every engine; one that is left out stays as the engine has it.

    Parameters
    ----------
    dtype : str
        `auto`: as the checkpoint says.
    max_model_len : int
        Longest prompt plus answer, in tokens.
    batch_size : int or 'auto'
        Prompts at a time; vLLM batches by itself.
    seed : int
    max_gen_toks : int
        New tokens where a task does not say.
    add_bos_token : bool or None
        Put BOS before every text; None for the tokenizer's own rule.
    chat_template : str
        Jinja text in place of the tokenizer's own template.
    chat_template_kwargs : dict
        Variables of the template, such as `enable_thinking`.
    date : str
        What the template takes for today, as `2024-07-26`.
    think_end_token : str
        Ends an answer's thinking, which is dropped with it.
    """

    dtype: Literal["auto", "float16", "bfloat16", "float32"] | None = None
    max_model_len: Positive | None = None
    batch_size: Positive | Literal["auto"] | None = None
    seed: Natural | None = None
    max_gen_toks: Positive | None = None
    add_bos_token: bool | None = None
    chat_template: Text | None = None
    chat_template_kwargs: dict | None = None
    date: Annotated[str, typed.Pattern(r"\d{4}-\d{2}-\d{2}", "a date as 2024-07-26")] | None = None
    think_end_token: Text | None = None


@dataclass(frozen=True)
class HuggingFaceSettings(EngineSettings):
    """Settings of transformers.

    Parameters
    ----------
    device : str
        Such as `cuda`, `cuda:0`, `cpu`.
    parallelize : bool
        Spread the layers over all visible GPUs.
    softmax_dtype : str
        Type of the log-softmax.
    """

    device: Annotated[str, typed.Pattern(r"cpu|cuda(:\d+)?|mps", "cpu, cuda, cuda:<number> or mps")] | None = None
    parallelize: bool | None = None
    softmax_dtype: Literal["float16", "bfloat16", "float32"] | None = None


@dataclass(frozen=True)
class StockVLLMSettings(EngineSettings):
    """Settings of vLLM, by its own names.

    Parameters
    ----------
    tensor_parallel_size, pipeline_parallel_size : int
        GPUs that share each layer; groups of GPUs that share the layers.
    gpu_memory_utilization : float
        Share of a GPU's memory that the engine takes. It measures what is left for the key-value cache, so engines that start
        at the same time on one GPU disturb each other.
    kv_cache_memory_bytes : int
        Key-value cache of a GPU; nothing is measured, and engines may share the GPU.
    enforce_eager : bool
        No compilation and no CUDA graphs: starts sooner, generates slower.
    max_cudagraph_capture_size : int
        CUDA graphs are captured for at most so many tokens of a step: with fewer the engine starts sooner. It may change the last
        bits of an answer, and is in its fingerprint.
    max_num_seqs, max_num_batched_tokens : int
        Prompts in flight; prompt tokens that one step computes.
    quantization : str
        Where the checkpoint does not say.
    block_size : int
        Tokens of a block of the prefix cache.
    load_format : str
        How weights are read.
    """

    tensor_parallel_size: Positive | None = None
    pipeline_parallel_size: Positive | None = None
    gpu_memory_utilization: Share | None = None
    kv_cache_memory_bytes: Positive | None = None
    kv_cache_dtype: Literal["auto", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "fp8_ds_mla"] | None = None
    enforce_eager: bool | None = None
    max_cudagraph_capture_size: Positive | None = None
    max_num_seqs: Positive | None = None
    max_num_batched_tokens: Positive | None = None
    quantization: Text | None = None
    distributed_executor_backend: Literal["mp", "ray", "uni"] | None = None
    block_size: Positive | None = None
    load_format: Text | None = None


@dataclass(frozen=True)
class VLLMSettings(StockVLLMSettings):
    """Settings of vLLM with the scoring of this project.

    Parameters
    ----------
    self_check : float
        Share of log-likelihood requests that are scored both ways.
    self_check_limit : int
        At most so many of them in one call.
    """

    self_check: Share | None = None
    self_check_limit: Natural | None = None


SETTINGS = {"hf": HuggingFaceSettings, "vllm-stock": StockVLLMSettings, "vllm": VLLMSettings}


def check(
    name: str, settings: Mapping[str, Any], known: Collection[str] = tuple(SETTINGS), where: object = None
) -> dict[str, Any]:
    """Return the settings of an engine as a dict.

    Raises
    ------
    UserError
        The engine or a setting does not exist, or a value is not allowed.
    """
    if name not in known:
        raise UserError(f"no engine {name!r}", where, f"use one of {', '.join(sorted(known))}")
    kind = SETTINGS[name]
    if unknown := sorted(set(settings) - set(kind.__dataclass_fields__)):
        allowed = ", ".join(sorted(kind.__dataclass_fields__))
        raise UserError(f"engine {name} has no setting {', '.join(unknown)}", where, f"use {allowed}")
    if wrong := typed.problem(kind, settings):
        raise UserError(wrong, where, f"correct the setting of engine {name}")
    return dict(settings)
