"""Compare a checkpoint's tensors with those of its source model.

Every check has a value and a limit and is recorded in `checkpoint.json`; a checkpoint that fails one is not written. Checks:

- every linear layer of the source is stored quantized, with the recipe's bits and group size, and nothing else is;
- codes within their grid and using it, scales finite and positive, weights finite, zero points in range;
- relative weight error of every layer as its scheme reads it, above zero and below the scheme's limit (where a method moves
  scales between layers: against the source with the same scales moved);
- all other tensors are present and equal to the source.
"""

from pathlib import Path

import numpy as np

from edge2giant import schemes
from edge2giant.quantize import compat, sizes
from edge2giant.quantize.tensors import Tensors
from edge2giant.quantize.validation.checks import Checks, rounded
from edge2giant.records.checkpoint import ExecutedRecipe
from edge2giant.schemes.scheme import Layer, Scheme

LEAST_WEIGHT_ERROR = 1e-4
COPY_ERROR = {"same": 0.0, "F16": 1e-3, "BF16": 8e-3, "F32": 1e-6}
SMOOTHED = (
    (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "input_layernorm"),
    (("mlp.gate_proj", "mlp.up_proj"), "post_attention_layernorm"),
)
PAIRED = (("mlp.up_proj", "mlp.down_proj"), ("self_attn.v_proj", "self_attn.o_proj"))


def validate_tensors(model_dir: Path, checkpoint_dir: Path, scheme: Scheme, executed: ExecutedRecipe) -> tuple[Checks, dict]:
    """Compare a quantized checkpoint's tensors with the source model's; return the checks and `TensorSummary`'s content.

    The checkpoint is read as its own config says, and held to the scheme that the recipe promises.
    """
    source, stored, checks = Tensors(model_dir), Tensors(checkpoint_dir), Checks()
    config = compat.read_config(checkpoint_dir)
    wanted = set(sizes.linear_layers(source, executed.ignore))
    found = set(stored.quantized_layers)
    checks.add("linear layers not quantized", len(wanted - found), 0, not wanted - found)
    checks.add("layers quantized although the recipe leaves them out", len(found - wanted), 0, not found - wanted)
    scales = Scales(source, stored, executed.transform == "smoothing", config.get("model_type", ""))
    summary = check_layers(source, stored, sorted(wanted & found), scheme, scales, checks)
    check_unquantized(source, stored, wanted, scales, config, checks)
    return checks, summary


class Scales:
    """Move scales from activations into the source's weights as SmoothQuant and AWQ did, so that it compares with the checkpoint.

    A norm's weight divided by s makes the following layers' input channels s times larger; an output channel of `up_proj` or
    `v_proj` divided by s makes the input channels of the layer after it s times larger. The first s is read from the norms, the
    second is the least-squares ratio of the rows; s = 1 up to rounding is left alone.

    The source is moved forward, not the checkpoint back: the model computes the same either way, but rounding happened to the
    moved weights, and an error taken back is divided by s, so that input channels that hardly carry anything (small s) would
    decide the number.
    """

    def __init__(self, source: Tensors, stored: Tensors, moved: bool, model_type: str):
        self.source, self.stored, self.moved = source, stored, moved
        self.offset = 1.0 if model_type.startswith("gemma") else 0.0
        self.rows: dict[str, np.ndarray] = {}

    def norm(self, name: str) -> np.ndarray:
        """Ratio of a norm's weights, checkpoint over source."""
        return (self.stored.float32(name) + self.offset) / (self.source.float32(name) + self.offset)

    def expected(self, layer: str, stored: np.ndarray) -> np.ndarray:
        """Return the source's weight of a layer with the scales moved as in the checkpoint; layers in the order of `order`."""
        weight = self.source.float32(f"{layer}.weight")
        if not self.moved:
            return weight
        with np.errstate(divide="ignore", invalid="ignore"):
            for layers, norm in SMOOTHED:
                block = next((layer.removesuffix(name) for name in layers if layer.endswith(name)), None)
                if block is not None:
                    weight = weight / self.norm(f"{block}{norm}.weight")[None, :]
            for first, second in PAIRED:
                if layer.endswith(second):
                    ratio = self.rows.get(layer.removesuffix(second) + first)
                    weight = weight if ratio is None or ratio.size != weight.shape[1] else weight / ratio[None, :]
                if layer.endswith(first):
                    weight = self.out(layer, weight, stored)
        return weight

    def out(self, layer: str, weight: np.ndarray, stored: np.ndarray) -> np.ndarray:
        """Move a scale into the output channels and remember it for the layer that follows."""
        ratio = (stored * weight).sum(1) / np.maximum((weight**2).sum(1), 1e-30)
        if np.abs(np.log(np.abs(ratio) + 1e-30)).mean() < 0.03:
            return weight
        self.rows[layer] = ratio
        return weight * ratio[:, None]


def order(layer: str) -> tuple:
    """Sort key: layers that give scales before the layers that take them."""
    return (not layer.endswith(tuple(first for first, _ in PAIRED)), layer)


def check_layers(source, stored, layers, scheme, scales, checks) -> dict:
    """Check every quantized layer; the worst value of each kind becomes one check."""
    made = schemes.of_checkpoint(stored.folder)
    errors, levels, wrong = {}, [], []
    for name in sorted(layers, key=order):
        layer = made.read(stored, name)
        fault = scheme.flaw(layer, source.shape(f"{name}.weight"))
        if fault:
            wrong.append(f"{name}: {fault}")
            continue
        levels.append(distinct_levels(layer))
        stored_weight = layer.weight
        expected = scales.expected(name, stored_weight)
        finite = np.isfinite(expected).all() and np.isfinite(stored_weight).all()
        errors[name] = relative(stored_weight, expected) if finite else float("inf")
    checks.add("layers with wrong codes, scales or shapes", wrong[:3] or 0, 0, not wrong)
    worst = max(errors, key=errors.get, default="")
    largest = errors.get(worst, float("nan"))
    checks.below("largest relative weight error", largest, scheme.max_weight_error)
    mean = float(np.mean(list(errors.values()))) if errors else float("nan")
    checks.add("mean relative weight error, at least", rounded(mean), LEAST_WEIGHT_ERROR, mean >= LEAST_WEIGHT_ERROR)
    used = float(np.mean([mean_levels for _, mean_levels in levels])) if levels else 0.0
    checks.add(
        "mean number of distinct levels in a group, at least", rounded(used), scheme.least_levels, used >= scheme.least_levels
    )
    return {
        "layers": len(layers),
        "levels_mean": rounded(used),
        "levels_fewest": min((fewest for fewest, _ in levels), default=0),
        "weight_error_mean": rounded(mean),
        "weight_error_largest": rounded(largest),
        "weight_error_where": worst,
    }


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    """Relative distance in the Frobenius norm."""
    return float(np.linalg.norm(found - wanted) / max(np.linalg.norm(wanted), 1e-30))


def distinct_levels(layer: Layer, rows: int = 64) -> tuple[int, float]:
    """Distinct codes in the groups of up to `rows` output channels: (fewest, mean)."""
    step = max(1, layer.codes.shape[0] // rows)
    codes = layer.codes[::step][:, np.argsort(layer.group, kind="stable")]
    grouped = np.sort(codes.reshape(codes.shape[0], layer.scale.shape[1], -1), axis=2)
    levels = 1 + (np.diff(grouped, axis=2) != 0).sum(axis=2)
    return int(levels.min()), float(levels.mean())


def check_unquantized(source, stored, layers, scales, config, checks) -> None:
    """Check the tensors that stay in 16 bits."""
    names = [name for name in source.names if name.removesuffix(".weight") not in layers]
    tied = config.get("tie_word_embeddings", False)
    missing = [name for name in names if name not in stored and not (tied and name == "lm_head.weight")]
    checks.add("tensors missing", missing[:3] or 0, 0, not missing)
    worst, limit = 0.0, COPY_ERROR["same"]
    for name in (name for name in names if name in stored):
        original, kept = source.float32(name), stored.float32(name)
        if original.shape != kept.shape:
            checks.add(f"shape of {name}", list(kept.shape), list(original.shape), False)
            continue
        if not np.isfinite(kept).all():
            checks.add(f"values of {name}", "not finite", "finite", False)
        if scales.moved and name.endswith("norm.weight"):
            continue
        if stored.dtype(name) != source.dtype(name):
            limit = max(limit, COPY_ERROR.get(stored.dtype(name), 0.0))
        worst = max(worst, relative(kept, original))
    checks.below("largest relative change of an unquantized tensor", worst, limit)
