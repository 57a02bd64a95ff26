"""Validate one checkpoint: its tensors, layers, blocks and the whole model; write `validation.json` for serving engines."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from edge2giant import records
from edge2giant.quantize import compat, sizes
from edge2giant.quantize.tensors import Tensors
from edge2giant.quantize.validation import agreement, blocks, divergence, likelihood, rounding, single_layers, weights
from edge2giant.quantize.validation.checks import Checks, require, rounded
from edge2giant.quantize.validation.stored import Weights
from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes.scheme import Scheme

ENGINE_TOKENS = 512
"""Of the held-out text that an engine computes whose inputs are rounded, which takes several times as long."""


@dataclass(frozen=True)
class Given:
    """What is validated, and against what.

    Parameters
    ----------
    samples : list of list of int
        Token ids of the held-out text.
    scheme : Scheme
        That the recipe promises.
    digest : str
        Of the source model's files.
    cache : Path or None
        Folder that keeps the source's distributions for its other variants.
    """

    model: Path
    folder: Path
    samples: list[list[int]]
    scheme: Scheme
    executed: ExecutedRecipe
    digest: str = ""
    cache: Path | None = None

    @property
    def depth(self) -> int | None:
        """Decoder blocks that are run; None for all."""
        return sizes.DEPTH_OF_LARGE_MODELS if sizes.weight_bytes(self.model) > sizes.WHOLE_MODEL_BYTES else None


def validate(given: Given, engine: str, toolkit, where: object) -> dict:
    """Check a checkpoint folder, write `validation.json` into it, and return what `checkpoint.json` says.

    Parameters
    ----------
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
    samples, depth, checks = given.samples, given.depth, Checks()
    quantized = given.scheme.bits < 16
    found = measure(given, checks) if quantized else {"tensors": None, "layers": None, "divergence": None}
    require(checks, where)
    model, layers = likelihood.reference(given.model, given.folder, depth)
    own = found.pop("own", None) or likelihood.log_probabilities(model, samples)
    exact, drawn, as_transformers = {rounding.WEIGHTS: own}, None, found.pop("rounded", None)
    asked = samples
    if given.scheme.rounds_activations:
        asked = likelihood.first(samples, ENGINE_TOKENS)
        exact[rounding.AS_TRANSFORMERS] = likelihood.of_first(as_transformers, asked)
        more, drawn = rounding.study(model, Tensors(given.folder), layers, given.scheme, samples, own)
        exact |= more
    place = next(model.parameters()).device
    del model
    heldout = {"samples": len(samples), "tokens": sum(map(len, samples)), "sha256": records.digest(samples)}
    result = found | {"heldout": heldout | {"decoder_layers": depth}, "rounding": drawn and tidy(agreement.summary(drawn))}
    reference, dtype = {"exact": exact, "rounding": drawn}, given.scheme.loads_in or "float32"
    result["engine"] = (
        compare(given.folder, asked, reference, depth, engine, toolkit, dtype, place, checks) if quantized else None
    )
    require(checks, where)
    write_reference(given.folder, samples, reference, depth)
    return result | {"checks": list(checks)}


def measure(given: Given, checks: Checks) -> dict:
    """Check everything but the engine.

    `own` in the result are the log-probabilities by the stored weights, nothing rounded; where inputs are rounded, of the first
    tokens alone, and those with inputs rounded are in `rounded`.
    """
    read = Weights(given.model, given.folder, given.executed, given.depth)
    result = {"tensors": weights.check(read, given.scheme, checks), "layers": None, "divergence": None}
    if not all(check["passed"] for check in checks):
        return result
    model = likelihood.build(given.model, read.source, {}, given.depth)
    source = divergence.Source(model, given.samples, {"model": given.digest, "depth": given.depth}, given.cache)
    worst = single_layers.check(single_layers.measure(read, blocks.inputs_of(model, read, given.samples)), checks)
    walk = blocks.Blocks(read, given.samples) if given.executed.transform == "smoothing" else None
    wanted = walk and walk.run(model)
    model = likelihood.nearest(model, read)
    nearest = source.nearest(read.key, lambda: diverged(source, model, read, True)[0]["divergence"])
    errors = walk and blocks.distances(walk.run(model), wanted)
    del model
    model, _ = likelihood.reference(given.model, given.folder, given.depth)
    if walk:
        worst |= blocks.check(blocks.distances(walk.run(model), wanted), errors, read, checks)
    found, own = diverged(source, model, read, False)
    rounded_own = None
    if given.scheme.rounds_activations:
        own, rounded_own = likelihood.log_probabilities(model, likelihood.first(given.samples, rounding.TOKENS)), own
    result["divergence"] = divergence.check(found, nearest, checks)
    return {
        **result,
        "layers": {name: dataclasses.asdict(one) for name, one in worst.items()},
        "own": own,
        "rounded": rounded_own,
    }


def diverged(source: divergence.Source, model, read: Weights, nearest: bool) -> tuple[dict, rounding.Rows]:
    """Compare a model with its source while it rounds the inputs of its layers, where the scheme does so."""
    with rounding.inputs_rounded(model, read, nearest):
        return divergence.compare(source, model)


def compare(folder, samples, reference, depth, engine, toolkit, dtype, place, checks) -> dict | None:
    """Let an engine load the checkpoint and compare its log-probabilities with the reference.

    transformers computes at `place`, where the reference did: another processor rounds some inputs otherwise.
    """
    if engine == "none":
        return None
    with compat.readable(folder) as view:
        if engine == "toolkit":
            model = toolkit.load(view)
            dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        else:
            model, dtype = likelihood.served(view, dtype, depth, place)
    on_cpu = next(model.parameters()).device.type == "cpu"
    found = agreement.judge(likelihood.log_probabilities(model, samples), reference, dtype, same_arithmetic=on_cpu)
    name = f"mean difference of log-probability, {engine} engine in {dtype} against independent weights"
    checks.below(name, found["logprob_difference_mean"], found["limit"])
    missed = [line["name"] for line in found["misreadings"] if agreement.wrong(line)]
    if found["misreadings"]:
        checks.none(f"misreadings that the {engine} engine is nearer to", missed)
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
