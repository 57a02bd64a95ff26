"""What single layers and decoder blocks compute on the source's own hidden states: checks (b) and (c)."""

import contextlib
import math

from edge2giant.quantize.validation import layers, likelihood
from edge2giant.quantize.validation.checks import Checks, rounded
from edge2giant.quantize.validation.stored import Weights
from edge2giant.records.checkpoint import Extreme

TOKENS, BLOCK_TOKENS = 512, 256
GAIN = {4: 0.1, 8: 0.02}
"""How far the gain of outputs may be from 1 or from that of round-to-nearest, whichever is nearer, by the bits of a weight.

For layers that take the scales of a norm; those of others show in their weights."""
MOST_TIMES_NEAREST = 3.0
LEAST_ERROR = 1e-4
"""Relative error of outputs below which no ratio is taken."""


@contextlib.contextmanager
def hooked(hooks: list):
    """Remove hooks when the block ends."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def inputs_of(model, weights: Weights, samples: list[list[int]]) -> dict:
    """Inputs (torch, tokens x channels) of the quantized layers on some of the text, on the CPU.

    A matrix that has no module, as that of an expert, gets those of the nearest module around it where their width fits.
    """
    import torch

    modules, seen = dict(model.named_modules()), {}

    def around(name: str) -> str:
        while name not in modules:
            name = name.rpartition(".")[0]
        return name

    def keep(name: str):
        def hook(module, args, kwargs):
            values = next((one for one in (*args, *kwargs.values()) if torch.is_tensor(one) and one.is_floating_point()), None)
            if values is not None:
                seen.setdefault(name, []).append(values)

        return hook

    place = {name: around(name) for name in weights.quantized}
    hooks = [modules[name].register_forward_pre_hook(keep(name), with_kwargs=True) for name in set(place.values()) - {""}]
    with hooked(hooks):
        likelihood.log_probabilities(model, likelihood.first(samples, TOKENS))
    found = {}
    for name, where in place.items():
        width = weights.source.shape(f"{name}.weight")[1]
        kept = [one.reshape(-1, one.shape[-1]) for one in seen.get(where, ()) if one.shape[-1] == width]
        found[name] = torch.cat(kept).cpu() if kept else None
    return found


class Blocks:
    """A model's decoder blocks on the source's hidden states.

    The outputs of linear layers are compared but for those whose output channels were scaled, which the layers that take them up
    show; where nobody knows which those are, the outputs of blocks alone.
    """

    def __init__(self, weights: Weights, samples: list[list[int]]):
        smooth = weights.smooth_layers
        self.names = [name for name in weights.quantized if name not in smooth] if weights.known else []
        self.samples, self.entering = likelihood.first(samples, BLOCK_TOKENS), None

    def run(self, model) -> dict:
        """Outputs (torch) by layer and block. The first model is the source; later ones get its hidden states in every block."""
        modules, outputs, entering = dict(model.named_modules()), {}, []
        blocks = dict(model.get_submodule(layers.block_list(model)).named_children())

        def enter(module, args, kwargs):
            named = "hidden_states" in kwargs and not args
            own = kwargs["hidden_states"] if named else args[0]
            given = own if self.entering is None else self.entering[len(entering)].to(own)
            entering.append(given)
            return ((), kwargs | {"hidden_states": given}) if named else ((given, *args[1:]), kwargs)

        def keep(name: str, block: bool):
            def hook(module, args, found):
                found = found[0] if isinstance(found, tuple) else found
                value = found - entering[-1] if block else found
                outputs.setdefault(name, []).append(value.reshape(-1, value.shape[-1]).cpu())

            return hook

        hooks = [module.register_forward_pre_hook(enter, with_kwargs=True) for module in blocks.values()]
        hooks += [module.register_forward_hook(keep(f"block {number}", True)) for number, module in blocks.items()]
        hooks += [modules[name].register_forward_hook(keep(name, False)) for name in self.names if name in modules]
        with hooked(hooks):
            likelihood.log_probabilities(model, self.samples)
        self.entering = self.entering or entering
        return outputs


def distances(found: dict, wanted: dict) -> dict[str, tuple[float, float]]:
    """Least-squares gain and relative distance of outputs, by layer and block."""
    import torch

    result = {}
    for name, theirs in wanted.items():
        a, b = torch.cat(found[name]).double(), torch.cat(theirs).double()
        square = (b * b).sum().clamp_min(1e-300)
        result[name] = (float((a * b).sum() / square), float(((a - b) ** 2).sum().div(square).sqrt()))
    return result


def check(found: dict, nearest: dict, weights: Weights, checks: Checks) -> dict[str, Extreme]:
    """Hold the outputs of layers and blocks to the source's; what the record says of the worst."""
    bits = min(weights.scheme(name).bits for name in weights.quantized)
    compared = [name for name in found if name in weights.fed_by_norms] or list(found)
    gains = {name: min(abs(found[name][0] - one) for one in (1, nearest[name][0])) for name in compared}
    errors = {name: error / max(nearest[name][1], LEAST_ERROR) for name, (_, error) in found.items()}
    far, wrong = (
        max(values, key=lambda name: values[name] if math.isfinite(values[name]) else math.inf) for values in (gains, errors)
    )
    checks.below(f"error of the gain of the outputs of {far} in its block", gains[far], GAIN[4 if bits < 8 else 8])
    checks.below(
        f"error of the outputs of {wrong} in its block, times that of round-to-nearest", errors[wrong], MOST_TIMES_NEAREST
    )
    return {
        "block_gain": Extreme(rounded(found[far][0]) or 0.0, far),
        "block_output": Extreme(rounded(errors[wrong]) or 0.0, wrong),
    }
