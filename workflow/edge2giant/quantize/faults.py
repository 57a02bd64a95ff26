"""Errors of toolkits as one line: the layer or the amount, and a hint."""

from edge2giant.errors import UserError
from edge2giant.records.checkpoint import Fallback

GIB = 2**30
NOT_DEFINITE = "Hessian not positive definite"


def not_finite(layer: str) -> UserError:
    """A Hessian with NaN or infinity: the activations overflowed, which no dampening repairs."""
    return UserError(
        "the Hessian has NaN or infinite values, so the inputs of this layer overflowed or the calibration text is broken",
        layer,
        "quantize the model in bfloat16 or float32 (dtype in its config.json), or look at the calibration set",
    )


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
