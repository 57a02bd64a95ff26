"""Errors of toolkits as one line: the layer or the amount, and a hint."""

from pathlib import Path

from edge2giant.errors import UserError
from edge2giant.records.checkpoint import Fallback

GIB = 2**30
NOT_DEFINITE = "Hessian not positive definite"
FLOATS = ("F32", "F16", "BF16")


def not_finite(layer: str, what: str, dtype: str) -> UserError:
    """NaN or infinity in what a toolkit computes at a layer: in float16 activations overflow, else weights or text are broken.

    Parameters
    ----------
    what : str
        What is not finite, such as 'the Hessian'.
    dtype : str
        Type that the layer computed in.
    """
    kind = dtype.removeprefix("torch.")
    hint = "look for NaN or infinite values in the model's weights, and at the calibration set"
    if kind == "float16":
        hint = "activations beyond 65,504 overflow: quantize in bfloat16 (`dtype: bfloat16` in the model's config.json)"
    return UserError(f"{what} has NaN or infinite values in {kind}", layer, hint)


def refuse_not_finite(folder: Path, dtype: str) -> None:
    """Refuse a checkpoint in which a scale that the toolkit stored is not finite.

    Raises
    ------
    UserError
        Naming the first such layer.
    """
    from edge2giant.quantize.tensors import Tensors

    made = Tensors(folder)
    for name in (name for name in made.names if "scale" in name.rpartition(".")[2] and made.dtype(name) in FLOATS):
        if not made.read(name).isfinite().all():
            raise not_finite(name.rpartition(".")[0], f"its stored {name.rpartition('.')[2]}", dtype)


def singular(tried: list[Fallback], allowed: list[float]) -> UserError:
    """A Hessian that stayed without Cholesky factors at every dampening tried."""
    layers = sorted({layer for attempt in tried for layer in attempt.layers})
    shown = ", ".join(layers[:5]) + (f" and {len(layers) - 5} more" if len(layers) > 5 else "")
    values = ", ".join(str(attempt.dampening_frac) for attempt in tried)
    hint = "take more calibration samples or a larger dampening_frac"
    if not allowed:
        hint += ", or allow the recipe a list `fallback_dampening`"
    return UserError(f"the Hessian is not positive definite (dampening tried: {values})", shown, hint)


def out_of_memory(error: BaseException, weights: int, gpu: int | None) -> UserError | None:
    """Translate an exception that means lack of memory; None for any other.

    Parameters
    ----------
    weights : int
        Bytes of the model's weights.
    gpu : int or None
        Memory in bytes of the GPU that was used, if one was.
    """
    text = str(error).lower()
    if type(error).__name__ == "OutOfMemoryError" or "cuda out of memory" in text:
        what, more = "out of GPU memory" + (f" (this one has {gpu / GIB:.0f} GiB)" if gpu else ""), "a GPU with more memory"
    elif isinstance(error, MemoryError) or "can't allocate memory" in text or "cannot allocate memory" in text:
        # two copies of the weights beside programs and activations
        need = 2 * weights + 4 * GIB
        what = "out of memory"
        more = f"at least {need / GIB:.1f} GiB (Snakemake: --set-resources quantize:mem_mb={need // 2**20})"
    else:
        return None
    return UserError(what, "quantize", f"give it {more}, or a calibration set with shorter `length` or fewer `samples`")
