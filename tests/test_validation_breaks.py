"""Validation refuses every break of a checkpoint in the first, middle and last block, and accepts what it was made from."""

import os
from pathlib import Path

import checkpoint_breaks as breaks
import pytest

pytestmark = pytest.mark.toolkit("main")
REAL = os.environ.get("EDGE2GIANT_REAL_MODEL")
"""Folder of SmolLM2-135M-Instruct, which no registry of models that tests reach has."""
CASES = [(name, bits) for name in breaks.MODELS for bits in (4, 8)]


def failed(checks) -> list[str]:
    return [f"{one['check']}: {one['value']} (limit {one['limit']})" for one in checks if not one["passed"]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model and its checkpoint rounded to nearest, made when first asked for: (model, folder, scheme, executed, cache)."""
    root, kept = tmp_path_factory.mktemp("breaks"), {}

    def make(name: str, bits: int):
        if (name, bits) not in kept:
            model, out = breaks.write_model(root, name), root / f"{name}-{bits}"
            executed, scheme = breaks.rounded(model, out, bits)
            kept[name, bits] = model, out, scheme, executed, root / "cache"
        return kept[name, bits]

    return make


@pytest.mark.parametrize(("name", "bits"), CASES)
def test_what_is_right_passes(made, tmp_path, name, bits):
    model, out, scheme, executed, cache = made(name, bits)
    assert not failed(breaks.checks_of(model, out, scheme, executed, cache=cache))
    gemma = name == "gemma3"
    pairs = breaks.mappings(gemma)
    smooth, executed, scheme = breaks.smoothed(model, tmp_path, bits, pairs, range(3), gemma=gemma)
    assert not failed(breaks.checks_of(model, smooth, scheme, executed, cache=cache))


@pytest.mark.parametrize("change", breaks.BREAKS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("name", "bits"), CASES)
def test_a_break_is_refused_in_every_block(made, tmp_path, name, bits, change):
    model, out, scheme, executed, cache = made(name, bits)
    for number in range(3):
        wrong = breaks.changed(out, tmp_path / "wrong", lambda stored, at=number: change(stored, f"model.layers.{at}."))
        assert failed(breaks.checks_of(model, wrong, scheme, executed, cache=cache)), f"block {number}"


@pytest.mark.parametrize("spoil", breaks.SPOILS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("name", "bits"), CASES)
def test_a_break_of_a_smoothed_checkpoint_is_refused_in_every_block(made, tmp_path, name, bits, spoil):
    model, *_, cache = made(name, bits)
    gemma = name == "gemma3"
    for number in range(3):
        pairs, block = breaks.mappings(gemma), range(number, number + 1)
        wrong, executed, scheme = breaks.smoothed(model, tmp_path, bits, pairs, block, spoil, gemma)
        assert failed(breaks.checks_of(model, wrong, scheme, executed, cache=cache)), f"block {number}"


@pytest.mark.parametrize(("name", "bits"), CASES)
def test_a_wrong_norm_smoothed_is_refused_in_every_block(made, tmp_path, name, bits):
    model, *_, cache = made(name, bits)
    gemma = name == "gemma3"
    for number in range(3):
        pairs = breaks.wrong_norm(breaks.mappings(gemma))
        wrong, executed, scheme = breaks.smoothed(
            model, tmp_path, bits, pairs, range(number, number + 1), gemma=gemma, spread=0.5
        )
        assert failed(breaks.checks_of(model, wrong, scheme, executed, cache=cache)), f"block {number}"


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="EDGE2GIANT_REAL_MODEL does not name a folder with SmolLM2-135M-Instruct")
@pytest.mark.parametrize("bits", [4, 8])
def test_every_break_of_a_real_model_is_refused(tmp_path, bits):
    """It takes some fifteen minutes on one core: 27 validations of 135 million parameters at each width."""
    model, out = Path(REAL), tmp_path / "right"
    executed, scheme = breaks.rounded(model, out, bits)
    samples = breaks.SAMPLES[:3]
    assert not failed(breaks.checks_of(model, out, scheme, executed, samples, tmp_path / "cache"))
    for change in breaks.BREAKS:
        for number in (0, 15, 29):
            wrong = breaks.changed(
                out, tmp_path / "wrong", lambda stored, change=change, at=number: change(stored, f"model.layers.{at}.")
            )
            assert failed(breaks.checks_of(model, wrong, scheme, executed, samples, tmp_path / "cache")), (change, number)
