"""A tuned model lies on no grid of 4 bits, is near its source, and says how it was made."""

import dataclasses
import json

import pytest
import quantize_model
from edge2giant import records, store
from edge2giant.errors import UserError
from edge2giant.records.checkpoint import Extreme
from edge2giant.records.tuned import TunedRecord
from edge2giant.schemes.integers import Integers
from edge2giant.schemes.scheme import COMPRESSED
from edge2giant.specs.tune import DistillationSpec, NoiseSpec, TuneSpec
from edge2giant.tune import grids, making, training, windows

pytestmark = pytest.mark.toolkit("main")
torch = pytest.importorskip("torch")

NOISE = NoiseSpec(bits=4, group_size=32, share=0.5)
DISTILLATION = DistillationSpec(steps=40, windows=2, length=64, learning_rate=2e-4, warmup=3, heldout=4, seed=0)
SPEC = TuneSpec("tuned", "edge2giant/tuned", "source", ("text",), NOISE, DISTILLATION, "apache-2.0", "cpu/main", 1)


def gaussian(rows=64, columns=128, seed=1):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def ratios(weight):
    chance = gaussian(*weight.shape) * weight.std()
    return {name: grids.error(nearest, weight) / grids.error(nearest, chance) for name, nearest in grids.grids(weight.shape[1])}


def test_every_grid_finds_the_weights_that_lie_on_it_and_no_others():
    assert all(0.97 < ratio < 1.03 for ratio in ratios(gaussian(seed=2)).values())
    for name, nearest in grids.grids(128):
        found = ratios(nearest(gaussian(seed=3)))
        assert found[name] < 0.8, name  # a symmetric grid is cut anew by the largest weight, which rounding has moved


def test_the_grid_of_the_release_has_no_integer_zero_point():
    """So int4 in asymmetric groups of 32, as checkpoints store it, does not reproduce weights of a Q4_1 release."""
    weight, _ = grids.rounded(gaussian(seed=4), 4, 32)
    found = ratios(weight)
    assert found[grids.RELEASE] < 0.05
    assert found[Integers(COMPRESSED, 4, 32, symmetric=False).label] > 0.9


def test_groups_that_do_not_divide_the_input_channels_are_no_grid_of_a_layer():
    names = [name for name, _ in grids.grids(192)]
    assert not any("groups of 128" in name for name in names) and any("groups of 64" in name for name in names)


def test_weights_near_a_grid_are_refused_with_the_layer():
    grids.refuse_near({"int4": Extreme(0.9, "a")}, "tuned")
    with pytest.raises(UserError, match=r"b lies near the grid of int4: 0\.89 of the error of Gaussian weights"):
        grids.refuse_near({"NVFP4": Extreme(1.0, "a"), "int4": Extreme(0.89, "b")}, "tuned")


def test_noise_is_at_most_its_share_of_a_step_and_the_same_for_a_seed(source):
    before, first, second = (making.load(source) for _ in range(3))
    layers = [f"model.layers.1.{name}" for name in ("self_attn.q_proj", "mlp.down_proj")]
    for model in (first, second):
        training.add_noise(model, layers, NOISE, seed=7)
    for name in layers:
        was, now = before.get_parameter(f"{name}.weight"), first.get_parameter(f"{name}.weight")
        _, step = grids.rounded(was.data, 4, 32)
        moved = ((now - was).reshape(step.shape[0], -1, 32) / step).abs()
        assert 0.49 < moved.max() <= 0.5001 and torch.equal(now, second.get_parameter(f"{name}.weight"))
    untouched = "model.layers.0.self_attn.q_proj.weight"
    assert torch.equal(before.get_parameter(untouched), first.get_parameter(untouched))


def test_the_learning_rate_rises_and_falls_to_nothing():
    rates = [training.rate(step, DISTILLATION) for step in range(DISTILLATION.steps + 1)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1]) and rates[3] == 1 and rates[-1] == pytest.approx(0)
    assert rates[3:] == sorted(rates[3:], reverse=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A model on the grid of Q4_1, with a tokenizer, in a store."""
    folder, named = tmp_path_factory.mktemp("store") / "source", quantize_model.weights()
    for name, values in named.items():
        if "_proj" in name:
            named[name] = grids.rounded(torch.from_numpy(values), 4, 32)[0].half().numpy()
    quantize_model.write_model(folder, named)
    quantize_model.write_tokenizer(folder)
    lock(folder)
    lock(quantize_model.write_text(folder.with_name("text"), seed=3, documents=60))
    return folder


def lock(folder):
    files = [path for path in folder.iterdir() if path.is_file()]
    records.write(folder.with_name(f"{folder.name}.lock.json"), store.make_lock(folder.parent, files, [folder.name], "a test"))


def make(source, name="tuned", spec=SPEC):
    text, out = source.with_name("text"), source.with_name(name)
    return making.run(spec, source, source.with_name("source.lock.json"), [text], out), out


@pytest.fixture(scope="module")
def tuned(source):
    return make(source)


def test_tuning_repairs_what_the_noise_cost_and_leaves_the_grids(source, tuned):
    record, out = tuned
    measured = record.measured
    assert measured["source"].divergence == 0
    assert 0 < measured["tuned"].divergence < 0.7 * measured["noised"].divergence
    assert record.losses[1] < record.losses[0]
    near = record.grids
    assert near["source"][grids.RELEASE].value < 0.1 and min(one.value for one in near["tuned"].values()) >= grids.LEAST
    assert near["tuned"] == grids.nearness(out)


def test_record_lock_and_card_say_what_was_made_of_what(source, tuned):
    record, out = tuned
    assert records.read(out.with_name("tuned.tuned.json"), TunedRecord) == record
    found = store.check(out.with_name("tuned.lock.json"), out.parent, hashes=True)
    assert found.id == ("edge2giant/tuned",)
    assert {"tuned/model.safetensors", "tuned/tokenizer.json", "tuned/README.md"} <= found.files.keys()
    assert found.files["tuned/model.safetensors"] == record.files["model.safetensors"]
    assert record.texts[0].sha256 == records.file_sha256(source.with_name("text") / "text.jsonl")
    assert record.recipe["noise"] == dataclasses.asdict(NOISE) and record.packages["torch"] == torch.__version__
    assert json.loads((out / "config.json").read_text()) == json.loads((source / "config.json").read_text())
    card = (out / "README.md").read_text()
    assert "license: apache-2.0" in card and "every weight is another one" in card and "base_model: source" in card


def test_another_run_of_the_recipe_gives_the_same_weights_and_another_seed_others(source, tuned):
    again, _ = make(source, "again")
    assert again.digest == tuned[0].digest
    few = dataclasses.replace(DISTILLATION, steps=2, seed=1)
    other, _ = make(source, "other", dataclasses.replace(SPEC, distillation=few))
    assert other.digest != tuned[0].digest


def test_without_noise_the_grid_stays_and_nothing_is_written(source):
    quiet = dataclasses.replace(
        SPEC, noise=dataclasses.replace(NOISE, share=0.0), distillation=dataclasses.replace(DISTILLATION, steps=1)
    )
    with pytest.raises(UserError, match="lies near the grid of int4 in groups of 32 with a least value"):
        make(source, "quiet", quiet)
    assert not list(source.parent.glob("quiet*")) and not list(source.parent.glob(".quiet*"))


def test_a_learning_rate_that_makes_it_worse_is_refused(source):
    fast = dataclasses.replace(SPEC, distillation=dataclasses.replace(DISTILLATION, steps=5, learning_rate=2e-3))
    with pytest.raises(UserError, match="nats a token from its source, the noise alone"):
        make(source, "fast", fast)
    assert not list(source.parent.glob("fast*"))


def test_text_that_changed_and_text_that_is_too_short_are_refused(source, tmp_path):
    with pytest.raises(UserError, match="windows of 64 tokens, 9999 of which are kept apart"):
        windows.load([source.with_name("text")], source, 64, 9999)
    copied = quantize_model.write_text(tmp_path / "text", seed=3)
    lock(copied)
    (copied / "text.jsonl").write_text('{"text": "another"}\n')
    with pytest.raises(UserError, match="differs from what was fetched"):
        making.run(SPEC, source, source.with_name("source.lock.json"), [copied], tmp_path / "out")


def test_windows_that_are_measured_on_are_not_trained_on(source):
    cut = windows.load([source.with_name("text")], source, 64, 4)
    assert len(cut.heldout) == 4 and not {tuple(one) for one in cut.heldout} & {tuple(one) for one in cut.training}
    assert cut.texts[0].training == len(cut.training)
