"""Right checkpoints of tiny models, and what can go wrong with one: functions on its tensors.

A break takes the stored tensors by name and the number of a decoder block, and changes them in place.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import tiny_models
from edge2giant.quantize import tensors, toolkits
from edge2giant.quantize.validation import blocks, checkpoint, layers, likelihood, single_layers
from edge2giant.quantize.validation.checks import Checks
from edge2giant.quantize.validation.stored import Weights
from edge2giant.records.checkpoint import ExecutedRecipe, SmoothedMapping

MODELS = ("llama", "gemma3", "qwen2")
"""On which the limits of validation were set."""
SAMPLES = np.random.default_rng(5).integers(3, 700, (6, 64)).tolist()
THREE = {"num_hidden_layers": 3}
KINDS = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
ATTENTION, MLP = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("mlp.gate_proj", "mlp.up_proj")


def write_model(folder: Path, name: str, seed: int = 0) -> Path:
    """A random model of three decoder blocks, of the architecture `tiny-<name>`."""
    kind, settings, dtype = tiny_models.MATRIX[f"tiny-{name}"]
    return tiny_models.write(folder / name, kind, settings | THREE | (KINDS if "layer_types" in settings else {}), dtype, seed)


def rounded(model: Path, out: Path, bits: int):
    """Round a model to nearest: 4 bits in groups of 64, 8 bits by channel. Returns what was executed and the scheme."""
    recipe = {"bits": bits, "group_size": 64 if bits == 4 else -1, "ignore": ["lm_head"]}
    toolkit = toolkits.module("rtn")
    out.mkdir(parents=True)
    return toolkit.quantize(model, recipe, None, out), toolkit.scheme(recipe)


def changed(folder: Path, out: Path, change) -> Path:
    """A copy of a folder whose tensors `change` has changed."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder, out)
    made = tensors.Tensors(folder)
    stored = {name: made.read(name).clone() for name in made.names}
    change(stored)
    for path in made.paths:
        tensors.write(out / path.name, {name: stored[name] for name in made.names_in(path)})
    return out


def checks_of(model: Path, folder: Path, scheme, executed: ExecutedRecipe, samples=SAMPLES, cache: Path | None = None) -> Checks:
    """All checks but the engine's."""
    checks = Checks()
    checkpoint.measure(checkpoint.Given(model, folder, samples, scheme, executed, str(model), cache), checks)
    return checks


class OneBlock(Weights):
    """A checkpoint of which one decoder block is looked at."""

    number = 0

    def within(self, name: str) -> bool:
        return layers.block_number(name, self.blocks) == self.number


def inputs(model: Path, folder: Path) -> dict:
    """Inputs of a model's layers on some of the text."""
    read = Weights(model, folder)
    return blocks.inputs_of(likelihood.build(model, read.source, {}), read, SAMPLES[:3])


def checks_of_block(model: Path, folder: Path, executed: ExecutedRecipe, number: int, inputs: dict) -> Checks:
    """Checks of the layers of one decoder block: as the worst layer is held to a limit, what fails here fails in a validation."""
    read, checks = OneBlock(model, folder, executed), Checks()
    read.number = number
    single_layers.check(single_layers.measure(read, inputs), checks)
    return checks


def scaled(stored: dict, layer: str, factor: float) -> None:
    values = stored[f"{layer}.weight_scale"]
    stored[f"{layer}.weight_scale"] = (values.float() * factor).to(values.dtype)


def one_layer(kind: str, factor: float):
    def change(stored: dict, block: str) -> None:
        scaled(stored, block + kind, factor)

    change.__name__ = f"{kind.rpartition('.')[2]} times {factor}"
    return change


def one_block(stored: dict, block: str) -> None:
    for name in [name for name in stored if name.startswith(block) and name.endswith(".weight_scale")]:
        scaled(stored, name.removesuffix(".weight_scale"), 1.1)


def shifted_group(stored: dict, block: str) -> None:
    """The codes of the first 64 input channels, eight or four channels to a word, one word further."""
    words = stored[f"{block}mlp.gate_proj.weight_packed"]
    count = 64 * words.shape[1] // int(stored[f"{block}mlp.gate_proj.weight_shape"][1])
    words[:, :count] = words[:, :count].roll(1, 1)


def swapped_halves(stored: dict, block: str) -> None:
    for end in ("weight_packed", "weight_scale"):
        values = stored[f"{block}mlp.up_proj.{end}"]
        stored[f"{block}mlp.up_proj.{end}"] = values.roll(len(values) // 2, 0)


def gate_and_up(stored: dict, block: str) -> None:
    for end in ("weight_packed", "weight_scale"):
        gate, up = (f"{block}{name}.{end}" for name in MLP)
        stored[gate], stored[up] = stored[up], stored[gate]


def two_rows(stored: dict, block: str) -> None:
    for end in ("weight_packed", "weight_scale"):
        values = stored[f"{block}self_attn.o_proj.{end}"]
        values[[3, 40]] = values[[40, 3]]


def zeroed(stored: dict, block: str) -> None:
    """Codes that mean zero: half of the range in every place of a word."""
    words = stored[f"{block}self_attn.v_proj.weight_packed"]
    columns = int(stored[f"{block}self_attn.v_proj.weight_shape"][1])
    words[:] = {4: -0x77777778, 8: -0x7F7F7F80}[32 * words.shape[1] // columns]


BREAKS = [
    one_layer("mlp.down_proj", 1.1), one_layer("self_attn.q_proj", 1.03), one_layer("self_attn.k_proj", 0.97), one_block,
    shifted_group, swapped_halves, gate_and_up, two_rows, zeroed,
]  # fmt: skip


def mappings(gemma: bool) -> list[tuple[str, tuple[str, ...]]]:
    """What is smoothed in each block: the norms that feed attention and MLP."""
    return [("input_layernorm", ATTENTION), ("pre_feedforward_layernorm" if gemma else "post_attention_layernorm", MLP)]


def wrong_norm(pairs: list) -> list:
    """The MLP's scales taken out of another norm than the one that feeds it."""
    other = "post_attention_layernorm" if "feedforward" in pairs[1][0] else "input_layernorm"
    return [pairs[0], (other, MLP)]


def smoothed(model: Path, place: Path, bits: int, pairs: list, numbers: range, spoil=None, gemma=False, spread=0.25):
    """Scale some blocks of a model as SmoothQuant does, round the result, and say what was scaled.

    Parameters
    ----------
    spoil : callable or None
        Gets the scaled weights by name (torch, float32), the prefix of the block, and the scales of its MLP's inputs.
    """
    import torch

    generator, moved = torch.Generator().manual_seed(3), []

    def change(stored: dict) -> None:
        for number in numbers:
            block, kept = f"model.layers.{number}.", {}
            for norm, balance in pairs:
                given = stored[f"{block}{norm}.weight"]
                scale = torch.exp(spread * torch.randn(len(given), generator=generator))
                one = 1.0 if gemma else 0.0
                stored[f"{block}{norm}.weight"] = ((given.float() + one) / scale - one).to(given.dtype)
                for name in balance:
                    weight = stored[f"{block}{name}.weight"]
                    stored[f"{block}{name}.weight"] = (weight.float() * scale).to(weight.dtype)
                moved.append(SmoothedMapping(block + norm, tuple(block + name for name in balance)))
                kept[norm] = scale
            if spoil:
                spoil(stored, block, kept[pairs[1][0]])

    source = changed(model, place / "moved", change)
    shutil.rmtree(place / "made", ignore_errors=True)
    executed, scheme = rounded(source, place / "made", bits)
    return place / "made", dataclasses.replace(executed, transform="smoothing", smoothed=tuple(moved)), scheme


def times(kind: str, factor: float):
    def spoil(stored: dict, block: str, scale) -> None:
        stored[f"{block}{kind}.weight"] *= factor

    spoil.__name__ = f"smoothed {kind.rpartition('.')[2]} times {factor}"
    return spoil


def scaled_twice(stored: dict, block: str, scale) -> None:
    weight = stored[f"{block}mlp.up_proj.weight"]
    stored[f"{block}mlp.up_proj.weight"] = (weight.float() * scale).to(weight.dtype)


def both_inputs(stored: dict, block: str, scale) -> None:
    """Gate and up 3% too large: their norm's scales, fitted, would take that up."""
    for name in MLP:
        stored[f"{block}{name}.weight"] *= 1.03


SPOILS = [times("mlp.gate_proj", 1.1), times("self_attn.o_proj", 1.03), scaled_twice, both_inputs]
