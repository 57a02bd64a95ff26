"""Checks of a checkpoint's tensors: the right layers are quantized, codes and scales are legal, all else is the source's."""

import numpy as np

from edge2giant.quantize import compat
from edge2giant.quantize.validation import layers
from edge2giant.quantize.validation.checks import Checks, rounded
from edge2giant.quantize.validation.stored import Weights
from edge2giant.schemes.scheme import Layer, Scheme

COPY_ERROR = {"F16": 1e-3, "BF16": 8e-3, "F32": 1e-6}
"""Relative, by the type of a tensor that is not stored in the source's own."""


def check(weights: Weights, scheme: Scheme, checks: Checks) -> dict:
    """Check the tensors of a checkpoint, which the recipe promises to be of a scheme; return `TensorSummary`'s content."""
    found, called = set(weights.stored.quantized_layers), set(weights.called)
    left = (called | layers.linear(weights.model_dir, weights.executed.ignore)) - found
    checks.none("linear layers not quantized", left)
    checks.none("layers quantized although the checkpoint's config leaves them out", found - called)
    checks.add("quantized layers, at least", len(found), 1, bool(found))
    summary = check_codes(weights, scheme, sorted(found & called), checks)
    check_unquantized(weights, found, checks)
    return summary


def check_codes(weights: Weights, scheme: Scheme, names: list[str], checks: Checks) -> dict:
    """Codes within their grid and using it, scales and zero points legal, shapes and groups as promised."""
    levels, wrong = [], []
    for name in names:
        made = weights.scheme(name)
        layer, promised = weights.layer(name), scheme.at(name)
        if fault := flaw(layer, promised, weights.source.shape(f"{name}.weight")):
            wrong.append(f"{name}: {fault}")
        else:
            levels.append((*distinct_levels(layer), made.least_levels))
    checks.none("layers with wrong codes, scales or shapes", wrong)
    used = float(np.mean([mean for _, mean, _ in levels])) if levels else 0.0
    least = min((least for *_, least in levels), default=scheme.least_levels)
    checks.above("mean number of distinct levels in a group", used, least)
    return {"layers": len(names), "levels_mean": rounded(used), "levels_fewest": min((few for few, *_ in levels), default=0)}


def flaw(layer: Layer, promised: Scheme, shape: tuple[int, ...]) -> str | None:
    """What is wrong with a stored layer of a weight of that shape, or None."""
    expected = promised.group_size if promised.group_size > 0 else shape[1]
    if layer.codes.shape != tuple(shape):
        return f"shape {layer.codes.shape}, source {tuple(shape)}"
    if layer.bits != promised.bits:
        return f"{layer.bits} bits, recipe {promised.bits}"
    if layer.group_size != expected:
        return f"group size {layer.group_size}, recipe {expected}"
    return promised.wrong_numbers(layer)


def distinct_levels(layer: Layer, rows: int = 64) -> tuple[int, float]:
    """Distinct codes in the groups of up to `rows` output channels: (fewest, mean)."""
    step = max(1, layer.codes.shape[0] // rows)
    codes = layer.codes[::step][:, np.argsort(layer.group, kind="stable")]
    grouped = np.sort(codes.reshape(codes.shape[0], layer.scale.shape[1], -1), axis=2)
    levels = 1 + (np.diff(grouped, axis=2) != 0).sum(axis=2)
    return int(levels.min()), float(levels.mean())


def check_unquantized(weights: Weights, quantized: set[str], checks: Checks) -> None:
    """The tensors that stay in 16 bits: all there, finite, and the source's, but where a scale was moved."""
    source, stored = weights.source, weights.stored
    names = [name for name in source.names if name.removesuffix(".weight") not in quantized]
    tied = compat.read_config(stored.folder).get("tie_word_embeddings", False)
    checks.none("tensors missing", [name for name in names if name not in stored and not (tied and name == "lm_head.weight")])
    shapes, infinite, worst = [], [], (0.0, 0.0, "an unquantized tensor")
    for name in (name for name in names if name in stored):
        kept = stored.read(name).float()
        if tuple(kept.shape) != source.shape(name):
            shapes.append(name)
        elif not kept.isfinite().all():
            infinite.append(name)
        elif not weights.may_change(name):
            original = source.read(name).float()
            change = float((kept - original).norm() / original.norm().clamp_min(1e-30))
            limit = 0.0 if stored.dtype(name) == source.dtype(name) else COPY_ERROR.get(stored.dtype(name), 0.0)
            worst = max(worst, (change - limit, limit, name))
    checks.none("tensors of another shape than the source's", shapes)
    checks.none("tensors that are not finite", infinite)
    beyond, limit, name = worst
    checks.below(f"relative change of {name}", beyond + limit, limit)
