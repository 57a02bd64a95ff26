"""Validation refuses every break of a checkpoint in the first, middle and last block, and accepts what it was made from."""

import shutil

import checkpoint_breaks as breaks
import pytest
from shared import real_model

pytestmark = pytest.mark.toolkit("main")
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


@pytest.fixture(scope="module", params=[4, 8])
def real(request, tmp_path_factory):
    """A real model rounded to nearest and accepted: (model, folder, executed, inputs of its layers, bits)."""
    model, place = real_model(), tmp_path_factory.mktemp("real")
    executed, scheme = breaks.rounded(model, place / "right", request.param)
    assert not failed(breaks.checks_of(model, place / "right", scheme, executed, breaks.SAMPLES[:3], place / "cache"))
    yield model, place, executed, breaks.inputs(model, place / "right"), request.param
    shutil.rmtree(place)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 15, 29])
def test_every_break_of_a_real_model_is_refused(real, tmp_path, number):
    model, place, executed, inputs, bits = real
    for change in breaks.BREAKS:
        wrong = breaks.changed(place / "right", tmp_path / "wrong", lambda stored, f=change: f(stored, f"model.layers.{number}."))
        assert failed(breaks.checks_of_block(model, wrong, executed, number, inputs)), change.__name__
    for spoil in breaks.SPOILS:
        pairs, block = breaks.mappings(False), range(number, number + 1)
        wrong, moved, _ = breaks.smoothed(model, tmp_path, bits, pairs, block, spoil)
        assert failed(breaks.checks_of_block(model, wrong, moved, number, inputs)), spoil.__name__


def test_an_exchanged_row_counts_by_its_weights_though_its_outputs_are_alike():
    """As in a real model, whose inputs have a large common part."""
    import torch
    from edge2giant.quantize.validation import likeness

    weight = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    swapped = weight[[1, 0, *range(2, 8)]]
    low = torch.tensor([True, True, True, *[False] * 5])
    assert likeness.most_like_own(swapped, weight, low).tolist() == [False, False, *[True] * 6]
    assert likeness.most_like_own(weight, weight, ~low & False).all()
