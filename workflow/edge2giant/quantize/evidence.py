"""Gather the proof of one checkpoint: tensor checks, then log-probabilities, then `proof.json` for the serving engine."""

from pathlib import Path

from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.quantize import compat, likelihood, proof, sizes
from edge2giant.quantize.tensors import Tensors

DTYPE = "float32"


def gather(
    model_dir: Path,
    folder: Path,
    heldout_dir: Path,
    traits: dict,
    executed: dict,
    engine: str,
    unit,
    where: object,
) -> dict:
    """Prove a checkpoint folder.

    Parameters
    ----------
    model_dir, folder, heldout_dir : Path
        Source model, checkpoint, held-out text.
    traits, executed : dict
        What the scheme promises and what the toolkit did.
    engine : {'hf', 'toolkit', 'none'}
    unit : module
        The toolkit's unit; its `load` is used for `engine='toolkit'`.
    where : object
        Named in the error.

    Returns
    -------
    dict
        For `checkpoint.json`.

    Raises
    ------
    UserError
        If a check fails.
    """
    quantized = traits["form"] != "none"
    checks, summary = proof.prove_tensors(model_dir, folder, traits, executed) if quantized else (proof.Checks(), None)
    proof.demand(checks, where)
    depth = sizes.DEPTH_OF_LARGE_MODELS if sizes.weight_bytes(model_dir) > sizes.WHOLE_MODEL_BYTES else None
    samples = likelihood.heldout_tokens(heldout_dir, tokenizer_of(model_dir))
    if not samples:
        raise UserError("has no usable text", heldout_dir, "acquire the held-out set")
    model, layers = likelihood.reference(model_dir, folder, depth)
    own = likelihood.log_probabilities(model, samples)
    rounded = None
    if traits["activations"]:
        with likelihood.RoundedInputs(model, Tensors(folder), layers, traits["activations"]):
            rounded = likelihood.log_probabilities(model, samples)
    del model
    result = {"tensors": summary, "heldout": heldout(samples, depth)}
    result["damage"] = damage(model_dir, samples, own, depth) if quantized else None
    result["engine"] = compare(folder, samples, own, rounded, depth, engine, unit, checks) if quantized else None
    proof.demand(checks, where)
    write_reference(folder, samples, own, rounded, depth)
    return result | {"checks": list(checks)}


def tokenizer_of(model_dir: Path):
    from edge2giant.quantize import calibration

    return calibration.model_tokenizer(model_dir)


def heldout(samples: list[list[int]], depth: int | None) -> dict:
    """Describe the held-out text."""
    return {
        "samples": len(samples),
        "tokens": sum(map(len, samples)),
        "sha256": records.digest(samples),
        "decoder_layers": depth,
    }


def damage(model_dir: Path, samples: list[list[int]], own: list[list[float]], depth: int | None) -> dict:
    """Compare the checkpoint's log-probabilities with the source model's (no limit: this is what quantization costs)."""
    source, _ = likelihood.reference(model_dir, model_dir, depth)
    mean, largest = likelihood.difference(own, likelihood.log_probabilities(source, samples))
    return {
        "logprob_difference_mean": proof.rounded(mean),
        "logprob_difference_largest": proof.rounded(largest),
    }


def compare(folder, samples, own, rounded, depth, engine, unit, checks) -> dict | None:
    """Let an engine load the checkpoint and compare its log-probabilities with those of the independent weights."""
    if engine == "none":
        return None
    if engine == "toolkit" and not hasattr(unit, "load"):
        raise UserError("this toolkit has no loader of its own", "--proof-engine", "use hf or none")
    model = opened(folder, engine, unit, depth)
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    found = likelihood.log_probabilities(model, samples)
    mean, largest = likelihood.difference(found, own)
    inputs_rounded = False
    if rounded is not None:
        other, other_largest = likelihood.difference(found, rounded)
        if other < mean:
            mean, largest, inputs_rounded = other, other_largest, True
    limit = proof.LOGPROB_ERROR[dtype]
    checks.below(
        f"mean difference of log-probability, {engine} engine in {dtype} against independent weights",
        mean,
        limit,
    )
    return {
        "name": engine,
        "dtype": dtype,
        "activations_rounded": inputs_rounded,
        "logprob_difference_mean": proof.rounded(mean),
        "logprob_difference_largest": proof.rounded(largest),
        "limit": limit,
    }


def opened(folder: Path, engine: str, unit, depth: int | None):
    """Load the checkpoint with its engine."""
    with compat.readable(folder) as view:
        return unit.load(view) if engine == "toolkit" else likelihood.served(view, DTYPE, depth)


def write_reference(folder: Path, samples, own, rounded, depth: int | None) -> None:
    """Write held-out token ids and their reference log-probabilities into the checkpoint."""
    record = {
        "token_ids": samples,
        "logprobs": [[round(value, 6) for value in row] for row in own],
        "logprobs_activations_rounded": rounded and [[round(value, 6) for value in row] for row in rounded],
        "decoder_layers": depth,
        "limits": proof.LOGPROB_ERROR,
    }
    records.write_json(folder / "proof.json", record)
