"""The independent reader against packers written here by the formats' descriptions; spoilt checkpoints fail their validation."""

import dataclasses
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from edge2giant import schemes
from edge2giant.errors import UserError
from edge2giant.models.facts import ModelFacts
from edge2giant.quantize import sizes, tensors, toolkits
from edge2giant.quantize.validation import checkpoint
from edge2giant.quantize.validation import checks as validation
from edge2giant.records.checkpoint import SmoothedMapping
from edge2giant.schemes.integers import Integers
from edge2giant.schemes.unquantized import SixteenBits
from quantize_model import weights, write_model
from shared import ROOT

pytestmark = pytest.mark.toolkit("main")
ROWS, COLUMNS, GROUP = 16, 64, 32


def words(codes: np.ndarray, bits: int) -> np.ndarray:
    """Pack unsigned codes along the last axis, lowest bits first, in plain Python."""
    per_word = 32 // bits
    flat = codes.reshape(-1, codes.shape[-1])
    rows = []
    for row in flat:
        packed = []
        for start in range(0, len(row), per_word):
            packed.append(sum(int(code) << (bits * place) for place, code in enumerate(row[start : start + per_word])))
        rows.append(packed)
    return np.array(rows, np.uint64).astype(np.uint32).view(np.int32).reshape(*codes.shape[:-1], -1)


def drawn(bits: int, seed: int):
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 2**bits, (ROWS, COLUMNS))
    scale = (0.01 + generator.random((ROWS, COLUMNS // GROUP))).astype(np.float16)
    zero = generator.integers(1, 2**bits, (ROWS, COLUMNS // GROUP))
    expected = (codes - np.repeat(zero, GROUP, 1)) * np.repeat(scale.astype(np.float32), GROUP, 1)
    return codes, scale, zero, expected


def read_back(tmp_path, scheme, stored):
    import torch

    given = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in stored.items()}
    tensors.write(tmp_path / "model.safetensors", given)
    return scheme.read(tensors.Tensors(tmp_path), "layer")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bits", [4, 8])
def test_pack_quantized_reads_back(tmp_path, bits, seed):
    codes, scale, zero, expected = drawn(bits, seed)
    layer = read_back(
        tmp_path,
        Integers("compressed-tensors", bits, GROUP, symmetric=False),
        {
            "layer.weight_packed": words(codes, bits),
            "layer.weight_scale": scale,
            "layer.weight_zero_point": words(zero.T, bits).T,
            "layer.weight_shape": np.array([ROWS, COLUMNS]),
        },
    )
    assert (layer.bits, layer.group_size) == (bits, GROUP)
    np.testing.assert_allclose(layer.weight, expected, rtol=1e-6)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gptq_reads_back_in_both_versions_and_any_order(tmp_path, bits, seed, version):
    codes, scale, zero, _ = drawn(bits, seed)
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(COLUMNS // GROUP), GROUP))
    expected = (codes - zero[:, order]) * scale.astype(np.float32)[:, order]
    stored_zero = zero - 1 if version == 1 else zero
    layer = read_back(
        tmp_path,
        Integers("gptq", bits, GROUP, desc_act=True, zero_offset=2 - version),
        {
            "layer.qweight": words(codes, bits).T,
            "layer.qzeros": words(stored_zero.T, bits),
            "layer.scales": scale.T,
            "layer.g_idx": order,
        },
    )
    assert layer.bits == bits
    np.testing.assert_allclose(layer.weight, expected, rtol=1e-6)


def test_awq_reads_back(tmp_path):
    codes, scale, zero, expected = drawn(4, 3)

    def interleave(values):  # (n, out) -> out channels in the order 0 2 4 6 1 3 5 7 of each eight
        blocks = values.reshape(values.shape[0], -1, 8)
        return words(blocks[:, :, [0, 2, 4, 6, 1, 3, 5, 7]].reshape(values.shape), 4)

    layer = read_back(
        tmp_path,
        Integers("awq", 4, GROUP, symmetric=False),
        {
            "layer.qweight": interleave(codes.T),
            "layer.qzeros": interleave(zero.T),
            "layer.scales": scale.T,
        },
    )
    np.testing.assert_allclose(layer.weight, expected, rtol=1e-6)


SAMPLES = np.random.default_rng(5).integers(2, 300, (4, 64)).tolist()


def checked(model, out, scheme, executed):
    """All checks but the engine's, and what the record says."""
    checks = validation.Checks()
    return checks, checkpoint.measure(checkpoint.Given(model, out, SAMPLES, scheme, executed), checks)


@pytest.mark.parametrize(("bits", "group"), [(4, 128), (4, 64), (8, -1)])
def test_rtn_is_valid_and_its_scheme_is_read_back(tmp_path, bits, group):
    model, out, executed, scheme = rtn(tmp_path, bits, group)
    checks, found = checked(model, out, scheme, executed)
    validation.require(checks, "test")
    assert found["tensors"]["layers"] == 14
    assert found["divergence"]["divergence"] == pytest.approx(found["divergence"]["nearest_divergence"], rel=0.1)
    assert schemes.of_checkpoint(out) == scheme


def rtn(tmp_path, bits=4, group=128):
    model, out = write_model(tmp_path / "model"), tmp_path / "out"
    out.mkdir()
    recipe = {"bits": bits, "group_size": group, "ignore": ["lm_head"]}
    toolkit = toolkits.module("rtn")
    return model, out, toolkit.quantize(model, recipe, None, out), toolkit.scheme(recipe)


def damaged(out, change):
    """Rewrite a checkpoint's tensors after `change`."""
    made = tensors.Tensors(out)
    stored = {name: made.read(name).clone() for name in made.names}
    change(stored)
    tensors.write(out / "beside", stored)
    (out / "beside").replace(out / "model.safetensors")


LAYER = "model.layers.0.mlp.up_proj"


def zero_scale(stored):
    stored[f"{LAYER}.weight_scale"][0, 0] = 0


def nan_scale(stored):
    stored[f"{LAYER}.weight_scale"][0, 0] = np.nan


def swapped(stored):
    q, k = (f"model.layers.0.self_attn.{name}_proj.weight_packed" for name in "qk")
    stored[q], stored[k] = stored[k], stored[q]


def no_codes(stored):
    stored[f"{LAYER}.weight_packed"][:] = 0


def lost_norm(stored):
    del stored["model.norm.weight"]


def other_head(stored):
    stored["lm_head.weight"][0, 0] += 1


def unquantized(stored):
    for end in ("weight_packed", "weight_scale", "weight_shape"):
        del stored[f"{LAYER}.{end}"]
    import torch

    stored[f"{LAYER}.weight"] = torch.from_numpy(weights()[f"{LAYER}.weight"])


@pytest.mark.parametrize(
    "change", [zero_scale, nan_scale, swapped, no_codes, lost_norm, other_head, unquantized], ids=lambda f: f.__name__
)
def test_a_damaged_checkpoint_is_refused(tmp_path, change):
    model, out, executed, scheme = rtn(tmp_path)
    damaged(out, change)
    checks, _ = checked(model, out, scheme, executed)
    with pytest.raises(UserError, match="failed its validation"):
        validation.require(checks, "test")


MOVED = [
    ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ("mlp.up_proj", ("mlp.down_proj",)),
    ("self_attn.v_proj", ("self_attn.o_proj",)),
]


def smoothed(tmp_path, bits, spoil=None):
    """A checkpoint whose layers gave their output channels' scales, exp(0.3 * normal), to the next ones."""
    model, _, executed, scheme = rtn(tmp_path, bits)
    moved, mappings = {name: values.astype(np.float32) for name, values in weights().items()}, []
    generator = np.random.default_rng(1)
    for block, (smooth, balance) in itertools.product(("model.layers.0.", "model.layers.1."), MOVED):
        given = moved[f"{block}{smooth}.weight"]
        factor = np.exp(generator.standard_normal(len(given)) * 0.3).astype(np.float32)
        moved[f"{block}{smooth}.weight"] = given / factor.reshape(-1, *[1] * (given.ndim - 1))
        for name in balance:
            moved[f"{block}{name}.weight"] *= factor
        mappings.append(SmoothedMapping(block + smooth, tuple(block + name for name in balance)))
    if spoil:
        spoil(moved)
    source = write_model(tmp_path / "moved", {name: values.astype(np.float16) for name, values in moved.items()})
    (tmp_path / "again").mkdir()
    recipe = {"bits": bits, "group_size": 128, "ignore": ["lm_head"]}
    toolkits.module("rtn").quantize(source, recipe, None, tmp_path / "again")
    executed = dataclasses.replace(executed, transform="smoothing", smoothed=tuple(mappings))
    return model, tmp_path / "again", scheme, executed


@pytest.mark.parametrize("bits", [4, 8])
def test_moved_scales_are_found(tmp_path, bits):
    model, out, scheme, executed = smoothed(tmp_path, bits)
    checks, found = checked(model, out, scheme, executed)
    validation.require(checks, "test")
    assert abs(found["layers"]["block_gain"]["value"] - 1) < 0.05


@pytest.mark.parametrize("bits", [4, 8])
def test_moved_scales_that_nobody_recorded_are_accepted_by_what_blocks_compute(tmp_path, bits):
    model, out, scheme, executed = smoothed(tmp_path, bits)
    checks, _ = checked(model, out, scheme, dataclasses.replace(executed, smoothed=()))
    validation.require(checks, "test")
    checks, _ = checked(model, out, scheme, dataclasses.replace(executed, smoothed=(), transform="none"))
    assert not all(check["passed"] for check in checks)


def not_taken_up(moved):
    moved["model.layers.0.mlp.down_proj.weight"] = weights()["model.layers.0.mlp.down_proj.weight"].astype(np.float32)


def one_channel_lost(moved):
    moved["model.layers.0.mlp.up_proj.weight"][7] = 0


def ten_percent(moved):
    moved["model.layers.1.mlp.up_proj.weight"] *= 1.1


def three_percent(moved):
    moved["model.layers.1.self_attn.o_proj.weight"] *= 0.97


def other_norm(moved):
    moved["model.layers.0.post_attention_layernorm.weight"] *= np.linspace(0.5, 2, 128, dtype=np.float32)
    moved["model.layers.0.self_attn.q_proj.weight"] /= np.linspace(0.5, 2, 128, dtype=np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(
    "spoil", [not_taken_up, one_channel_lost, ten_percent, three_percent, other_norm], ids=lambda f: f.__name__
)
def test_scales_that_do_not_cancel_are_refused(tmp_path, spoil, bits):
    checks, _ = checked(*smoothed(tmp_path, bits, spoil))
    with pytest.raises(UserError, match="failed its validation"):
        validation.require(checks, "test")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_fails_and_is_called_so(value):
    checks = validation.Checks()
    checks.below("error of the outputs of model.layers.0.mlp.down_proj", value, 2)
    with pytest.raises(UserError, match=r"down_proj is not finite \(limit 2\)"):
        validation.require(checks, "test")


def test_sizes_agree_with_what_is_written(tmp_path):
    model, out, _, scheme = rtn(tmp_path)
    source = tensors.Tensors(model)
    linear = 2 * (4 * 128 * 128 + 3 * 128 * 256)
    rest = 2 * (2 * 300 * 128 + 5 * 128)
    assert sizes.nominal_bytes(source, scheme) == linear // 2 + rest
    assert sizes.nominal_bytes(source, SixteenBits()) == 2 * linear + rest
    assert sizes.nominal_bytes(source, scheme) < sizes.weight_bytes(out) < 1.2 * sizes.nominal_bytes(source, scheme)
    config = json.loads((model / "config.json").read_text())
    known = {key: value for key, value in config.items() if key in ModelFacts.__dataclass_fields__}
    scheme = Integers("compressed-tensors", 4, 128, symmetric=False)
    planned = sizes.planned_bytes(ModelFacts(parameters=linear + rest // 2, **known), scheme)
    assert planned["rest"] == rest and planned["weights"] == linear // 2 + linear // 128 * 20 // 8


@pytest.mark.parametrize("cut", [4, 200, -1])
def test_a_cut_file_is_named(tmp_path, cut):
    model = write_model(tmp_path / "model")
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"model\.safetensors: is not a complete"):
        tensors.Tensors(model).names  # noqa: B018


def test_no_weights_at_all(tmp_path):
    with pytest.raises(UserError, match="no safetensors file"):
        tensors.Tensors(tmp_path)


def test_every_module_of_the_phase_imports_without_pydantic():
    code = (
        "import importlib, pkgutil, sys; sys.modules['pydantic'] = sys.modules['edge2giant.config'] = None;"
        "import edge2giant.quantize as phase;"
        "found = pkgutil.walk_packages(phase.__path__, 'edge2giant.quantize.');"
        "print(len([importlib.import_module(one.name) for one in found]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "workflow")}
    )
    assert int(done.stdout) > 20, done.stderr
