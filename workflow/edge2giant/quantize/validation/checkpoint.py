"""Validate one checkpoint: its tensors, then log-probabilities; write `validation.json` for the serving engine."""

from pathlib import Path

from edge2giant import records
from edge2giant.quantize import compat, sizes
from edge2giant.quantize.tensors import Tensors
from edge2giant.quantize.validation import agreement, likelihood, rounding, weights
from edge2giant.quantize.validation.checks import Checks, require, rounded
from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes.scheme import Scheme


def validate(
    model_dir: Path,
    folder: Path,
    samples: list[list[int]],
    scheme: Scheme,
    executed: ExecutedRecipe,
    engine: str,
    toolkit,
    where: object,
) -> dict:
    """Check a checkpoint folder, write `validation.json` into it, and return what `checkpoint.json` says.

    Parameters
    ----------
    samples : list of list of int
        Token ids of the held-out text.
    scheme : Scheme
        That the recipe promises.
    engine : {'hf', 'toolkit', 'none'}
    toolkit : module
        The toolkit module; its `load` is used for `engine='toolkit'`.
    where : object
        Named in the error.

    Raises
    ------
    UserError
        If a check fails.
    """
    quantized = scheme.bits < 16
    checks, summary = weights.validate_tensors(model_dir, folder, scheme, executed) if quantized else (Checks(), None)
    require(checks, where)
    depth = sizes.DEPTH_OF_LARGE_MODELS if sizes.weight_bytes(model_dir) > sizes.WHOLE_MODEL_BYTES else None
    model, layers = likelihood.reference(model_dir, folder, depth)
    own = likelihood.log_probabilities(model, samples)
    exact, drawn = {rounding.WEIGHTS: own}, None
    if scheme.rounds_activations:
        exact, drawn = rounding.study(model, Tensors(folder), layers, scheme, samples, own)
    del model
    heldout = {"samples": len(samples), "tokens": sum(map(len, samples)), "sha256": records.digest(samples)}
    result = {"tensors": summary, "heldout": heldout | {"decoder_layers": depth}}
    result["divergence"] = divergence(model_dir, samples, own, depth) if quantized else None
    result["rounding"] = drawn and tidy(agreement.summary(drawn))
    reference = {"exact": exact, "rounding": drawn}
    result["engine"] = (
        compare(folder, samples, reference, depth, engine, toolkit, scheme.loads_in or "float32", checks) if quantized else None
    )
    require(checks, where)
    write_reference(folder, samples, reference, depth)
    return result | {"checks": list(checks)}


def divergence(model_dir: Path, samples: list[list[int]], own: list[list[float]], depth: int | None) -> dict:
    """Compare the checkpoint's log-probabilities with the source model's (no limit: this is the effect of quantization)."""
    source, _ = likelihood.reference(model_dir, model_dir, depth)
    found = likelihood.log_probabilities(source, samples)
    mean, largest = agreement.difference(agreement.flat(own), agreement.flat(found))
    return {
        "logprob_difference_mean": rounded(mean),
        "logprob_difference_largest": rounded(largest),
    }


def compare(folder, samples, reference, depth, engine, toolkit, dtype, checks) -> dict | None:
    """Let an engine load the checkpoint and compare its log-probabilities with the reference."""
    if engine == "none":
        return None
    with compat.readable(folder) as view:
        model = toolkit.load(view) if engine == "toolkit" else likelihood.served(view, dtype, depth)
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    found = agreement.judge(likelihood.log_probabilities(model, samples), reference, dtype)
    name = f"mean difference of log-probability, {engine} engine in {dtype} against independent weights"
    checks.below(name, found["logprob_difference_mean"], found["limit"])
    missed = [line["name"] for line in found["misreadings"] if agreement.wrong(line)]
    if found["misreadings"]:
        checks.add(f"misreadings that the {engine} engine is nearer to", missed or 0, 0, not missed)
    del found["passed"]
    return {"name": engine, "dtype": dtype} | tidy(found)


def tidy(value, shorten=rounded):
    """The same with shorter numbers, whatever holds them."""
    if isinstance(value, dict):
        return {key: tidy(inner, shorten) for key, inner in value.items()}
    if isinstance(value, list):
        return [tidy(inner, shorten) for inner in value]
    return shorten(value) if isinstance(value, float) else value


def write_reference(folder: Path, samples: list[list[int]], reference: dict, depth: int | None) -> None:
    """Write held-out token ids and their reference into the checkpoint, to five decimals."""
    short = tidy(reference, lambda value: round(value, 5))
    record = {"token_ids": samples, **short, "decoder_layers": depth, "limits": agreement.LIMITS}
    records.write_json(folder / "validation.json", record)
