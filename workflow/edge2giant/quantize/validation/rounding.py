"""What an engine gives that rounds activations to 8 bits, how far rounding alone scatters it, which misreadings would show.

Rounding has steps: an input that moves by less than the engine's own precision may fall on the next code, and the layers behind
amplify that. So one right engine differs from another, and from any reference, by much more than 16-bit arithmetic alone would
move them. The reference is therefore not one run but several *draws*: the same weights with the same rounding, the inputs of the
quantized layers moved beforehand by normal noise as large as the precision of the engine's type. A right engine is one more draw.
What is kept of them (`agreement` compares an engine with it):

- the mean of each half of the draws, the *spread* (mean distance of a draw from the mean of the others) by type;
- the values with the inputs left alone;
- for each *misreading* the move of the values that it causes where nothing is rounded, so that noise does not hide it.

Engines round in two manners, which the scheme knows (`Scheme.round_inputs`, `Scheme.fused`):

- *transformers* (by compressed-tensors): each layer by itself. Its arithmetic is that of the reference, so here one run in
  float32 is exact on a CPU, and one more draw on a GPU;
- *vllm*: layers that it fuses share the largest of their input scales, and in some schemes their weights are rounded anew. The
  draws are of this manner.
"""

import contextlib

from edge2giant.quantize.tensors import Tensors
from edge2giant.quantize.validation import agreement, likelihood
from edge2giant.quantize.validation.blocks import hooked
from edge2giant.quantize.validation.stored import Weights
from edge2giant.schemes.scheme import Scheme

DRAWS = 8
TOKENS = 256
"""Of the held-out text that are drawn."""
POOL = 2**20
PRECISION = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
OTHER_DRAWS = {"float32": 1, "bfloat16": 2}
WRONG_SCALE = 1.1
UNFUSED = "fused layers keep their own weight scales"
WEIGHTS = "weights"
AS_TRANSFORMERS = agreement.ROUNDED
ANEW = "weights of fused layers rounded anew"

Rows = list[list[float]]


def study(model, stored: Tensors, layers: list[str], scheme: Scheme, samples: list[list[int]], own: Rows) -> tuple[dict, dict]:
    """Draw the reference of a recipe that rounds activations. It runs the model some 20 times over the samples.

    Parameters
    ----------
    model : torch.nn.Module
        As `likelihood.reference` makes it; its fused layers are changed here.
    layers : list of str
        The quantized ones.
    own : list of list of float
        Log-probabilities by the stored weights, nothing rounded.

    Returns
    -------
    exact : dict
        Exact references by name, besides those of the weights with and without rounded inputs.
    drawn : dict
        draws, means (two), spread by type, unrounded, moves by misreading.
    """
    exact, layers = {}, [name for name in layers if name in dict(model.named_modules())]
    samples = likelihood.first(samples, TOKENS)
    changed = fuse(model, stored, layers, scheme)
    unrounded = likelihood.log_probabilities(model, samples)
    moves = {name: minus(values, unrounded) for name, values in misread(model, layers, samples)}
    if changed:
        exact[ANEW] = unrounded
        moves[UNFUSED] = minus(own[: len(samples)], unrounded)

    def drawn(dtype: str, seed: int) -> Rows:
        with rounded_inputs(model, stored, layers, scheme, "vllm", PRECISION[dtype], seed):
            return likelihood.log_probabilities(model, samples)

    draws = [drawn("float16", seed) for seed in range(DRAWS)]
    everything = mean(draws)
    others = [mean(draws[:at] + draws[at + 1 :]) for at in range(DRAWS)]
    spread = {"float16": sum(map(apart, draws, others)) / DRAWS}
    for dtype, count in OTHER_DRAWS.items():
        spread[dtype] = sum(apart(drawn(dtype, DRAWS + seed), everything) for seed in range(count)) / count
    means = [mean(draws[0::2]), mean(draws[1::2])]
    return exact, {"draws": DRAWS, "means": means, "spread": spread, "unrounded": unrounded, "moves": moves}


def mean(runs: list[Rows]) -> Rows:
    """Mean of several runs, token by token."""
    return [[sum(values) / len(runs) for values in zip(*rows, strict=True)] for rows in zip(*runs, strict=True)]


def minus(a: Rows, b: Rows) -> Rows:
    return [[one - other for one, other in zip(x, y, strict=True)] for x, y in zip(a, b, strict=True)]


def apart(a: Rows, b: Rows) -> float:
    return agreement.difference(agreement.flat(a), agreement.flat(b))[0]


def fuse(model, stored: Tensors, layers: list[str], scheme: Scheme) -> bool:
    """Give layers that vLLM fuses the weights that they have there; say if any changed."""
    import torch

    modules, changed = dict(model.named_modules()), False
    for names in groups(model, layers):
        for name, weight in (scheme.fused(stored, names) or {}).items():
            weight = weight.to(modules[name].weight.device)
            changed |= not torch.equal(weight, modules[name].weight.data)
            modules[name].weight.data = weight
    return changed


def groups(model, layers: list[str]) -> list[list[str]]:
    """The layers that engines fuse into one, each group whole: those of one module that get the same input."""
    modules, seen = dict(model.named_modules()), {}

    def keep(name: str):
        def hook(module, inputs):
            seen[name] = inputs[0]

        return hook

    with hooked([modules[name].register_forward_pre_hook(keep(name)) for name in layers]):
        likelihood.logits(model, [0, 1])
    found = {}
    for name in layers:
        if name in seen:
            found.setdefault((name.rpartition(".")[0], id(seen[name])), []).append(name)
    return [names for names in found.values() if len(names) > 1]


def misread(model, layers: list[str], samples: list[list[int]]):
    """Yield (misreading, log-probabilities): the weights of one kind of layer scaled wrongly throughout, one kind at a time."""
    modules = dict(model.named_modules())
    for kind in sorted({name.rpartition(".")[2] for name in layers}):
        with scaled([modules[name] for name in layers if name.endswith(f".{kind}")], WRONG_SCALE):
            yield f"{kind} scaled by {WRONG_SCALE}", likelihood.log_probabilities(model, samples)


@contextlib.contextmanager
def scaled(modules: list, factor: float):
    """Multiply weights while the block runs."""
    original = [module.weight.data for module in modules]
    for module in modules:
        module.weight.data = module.weight.data * factor
    try:
        yield
    finally:
        for module, weight in zip(modules, original, strict=True):
            module.weight.data = weight


@contextlib.contextmanager
def rounded_inputs(model, stored: Tensors, layers: list[str], scheme: Scheme, manner: str, noise: float = 0.0, seed: int = 0):
    """Round the inputs of quantized layers while the block runs.

    Parameters
    ----------
    manner : {'transformers', 'vllm'}
    noise : float
        Size, relative to each value, of the normal noise added before rounding.
    """
    import torch

    scales = {name: scheme.input_scale(stored, name) for name in layers}
    static = manner == "vllm" and any(scale is not None for scale in scales.values())
    for names in groups(model, layers) if static else ():
        scales |= dict.fromkeys(names, max(scales[name] for name in names))
    generator = torch.Generator().manual_seed(seed)
    pool = 1 + noise * torch.randn(POOL, generator=generator) if noise else None

    def noisy(values):
        """Noise from another place of the pool each time: to draw it anew would take most of the time."""
        start = int(torch.randint(POOL, (1,), generator=generator))
        count = values.numel()
        drawn = torch.cat([pool[start:], pool.repeat(count // POOL + 1)])[:count]
        return values * drawn.reshape(values.shape).to(values)

    def rounder(scale: float | None):
        def hook(module, inputs):
            values = noisy(inputs[0]) if noise else inputs[0]
            return (scheme.round_inputs(values, scale, manner), *inputs[1:])

        return hook

    modules = dict(model.named_modules())
    with hooked([modules[name].register_forward_pre_hook(rounder(scales[name])) for name in layers]):
        yield


@contextlib.contextmanager
def inputs_rounded(model, weights: Weights, nearest: bool):
    """Round the inputs of quantized layers as transformers does, where their schemes round them, while the block runs.

    Parameters
    ----------
    nearest : bool
        Whether scales are taken from the inputs as they come, where the checkpoint would store them.
    """

    def rounder(name: str):
        scheme = weights.scheme(name)
        stored = None if nearest else scheme.input_scale(weights.stored, name)

        def hook(module, inputs):
            return (scheme.round_inputs(inputs[0], stored, "transformers"), *inputs[1:])

        return hook

    modules = dict(model.named_modules())
    names = [name for name in weights.quantized if name in modules and weights.scheme(name).rounds_activations]
    with hooked([modules[name].register_forward_pre_hook(rounder(name)) for name in names]):
        yield
