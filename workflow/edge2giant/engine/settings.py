"""Settings that an engine gets of the place where it runs: memory and GPUs. They are not part of a fingerprint."""

import json
from typing import Any

from edge2giant.errors import UserError
from edge2giant.specs.engine import SETTINGS


def planned(name: str, text: str) -> dict[str, Any]:
    """Settings with which an engine takes the memory that the plan assumes; those of the configuration go before them.

    The Hugging Face engine reserves no memory and has no such settings. They are in the cell's
    `engine.settings`.

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
    return {key: value for key, value in settings.items() if key in SETTINGS[name].__dataclass_fields__}


def on_gpus(text: str) -> dict[str, Any]:
    """Settings for a number of GPUs: `8x2` is 8 that share each layer, on each of 2 nodes.

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
