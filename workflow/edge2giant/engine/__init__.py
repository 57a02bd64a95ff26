"""Engines: one checkpoint in memory for many benchmarks, with lm-eval's model interface.

Reads a checkpoint directory; writes nothing; never touches a task, a score or the answer cache.

``open_engine(name, checkpoint_dir, settings)`` loads a checkpoint once and gives the lm-eval model object;
``describe(lm)`` says what really runs (for the cell's ``engine`` block); ``usage(lm)`` counts the work since
it was last called (for the cell's ``cost`` block); ``places(lm, ...)`` gives distributions over tokens. Names:

``vllm``
    vLLM with one prompt per question and a prefix cache that log-likelihoods may read (`scoring.py`).
``vllm-stock``
    vLLM as lm-eval drives it: one prompt per answer choice. The baseline of the speed measurements.
``hf``
    transformers as lm-eval drives it.

Importing this package imports neither torch nor vllm; `plan` is pure arithmetic.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge2giant.errors import UserError
from edge2giant.specs import engine as engine_settings

if TYPE_CHECKING:
    from edge2giant.engine.distributions import Asked, Places

# name -> module and class; the module brings the heavy imports
ENGINES = {
    "hf": ("edge2giant.engine.hf", "HuggingFace"),
    "vllm": ("edge2giant.engine.vllm", "FastVLLM"),
    "vllm-stock": ("edge2giant.engine.vllm", "StockVLLM"),
}

__all__ = ["ENGINES", "describe", "discard", "open_engine", "places", "usage"]


@contextmanager
def open_engine(name: str, checkpoint_dir: str | Path, settings: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Load a checkpoint and give an lm-eval model object; free its memory at the end.

    Parameters
    ----------
    name : str
        ``hf``, ``vllm`` or ``vllm-stock``.
    checkpoint_dir : path
        Directory with weights, ``config.json`` and tokenizer.
    settings : mapping, optional
        See ``edge2giant.specs.engine``; what is not given stays as the engine has it.

    Yields
    ------
    lm_eval.api.model.TemplateLM
        Ready for ``lm_eval.simple_evaluate(model=lm, ...)``, any number of times.

    Raises
    ------
    UserError
        Unknown engine or setting, no such checkpoint, or the engine's packages are not in this environment.
    """
    checked = engine_settings.check(name, settings or {}, known=ENGINES)
    path = Path(checkpoint_dir)
    if not (path / "config.json").is_file():
        raise UserError("is not a checkpoint: no config.json", where=checkpoint_dir, hint="quantize it first")
    lm = _engine_class(name).load(path, checked)
    try:
        yield lm
    finally:
        lm.close()
        gc.collect()


def describe(lm: Any) -> dict[str, Any]:
    """Say what runs: the ``engine`` block of a cell.

    Returns
    -------
    dict
        ``name``, ``version``, ``dtype``, ``tensor_parallel_size``, ``pipeline_parallel_size``,
        ``max_model_len``, ``kernel`` (quantized layers by the kernel class that holds them), ``settings``,
        ``prompting`` (BOS, stop tokens, template variables and date, as executed),
        ``self_check`` (a `SelfCheckRecord` of a sample of the interval that ``usage`` counts; None for engines with one path).
    """
    return lm.describe()


def usage(lm: Any) -> dict[str, Any]:
    """Count the work since the last call; the next request begins a new count.

    Returns
    -------
    dict
        ``requests`` (as lm-eval counts them), ``prompts`` (sent to the model), ``tokens_in`` (in those prompts),
        ``tokens_out``, ``tokens_cached`` (of ``tokens_in``, served from the prefix cache), ``too_long``
        (requests whose prompt did not fit and was cut from the left), ``seconds`` (inside the
        engine, tokenization included), ``peak_gpu_bytes`` (over all GPUs; 0 without one).
    """
    return lm.take_usage()


def discard(lm: Any) -> None:
    """Finish and drop the prompts that a failed call has left in vLLM: the next call would take them for its own."""
    running = getattr(getattr(lm, "model", None), "llm_engine", None)
    if running is None:
        return
    rows = import_module("edge2giant.engine.rows")
    with rows.array_rows():
        while running.has_unfinished_requests():
            running.step()


def places(lm: Any, windows: Sequence[Sequence[int]], start: int, asked: "Sequence[Asked]") -> "Iterator[Places]":
    """Give the distributions over the tokens ``window[start:]`` of each window, in the order of the windows.

    Parameters
    ----------
    windows : sequence of sequence of int
        Token ids, all windows of one length.
    start : int
        First token of a window that is predicted, at least 1.
    asked : sequence of Asked
        Which tokens are chosen, for each window.

    Raises
    ------
    UserError
        The engine cannot give them, or a window does not fit the model.
    """
    if not hasattr(lm, "places"):
        raise UserError("this engine gives no distributions over tokens", "engine", "use hf or vllm")
    longest = max(map(len, windows))
    if longest >= lm.max_length + (lm.describe()["name"] == "hf"):
        raise UserError(
            f"windows of {longest} tokens do not fit a model of {lm.max_length}", "divergence", "set a shorter window"
        )
    return lm.places(windows, start, asked)


def _engine_class(name: str) -> type:
    module, attribute = ENGINES[name]
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("edge2giant"):
            raise
        raise UserError(
            f"engine {name} needs the package {missing.name}",
            hint="run the step in its environment, `workflow/in-env <toolkit> python -m ...`",
        ) from None
