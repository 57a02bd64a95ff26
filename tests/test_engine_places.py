"""Distributions at places of a text: the Hugging Face engine against torch over the whole vocabulary."""

import shutil

import pytest
from shared import ROOT

pytestmark = pytest.mark.toolkit("main")
torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from edge2giant import divergence, engine  # noqa: E402
from edge2giant.engine.distributions import Asked  # noqa: E402
from edge2giant.errors import UserError  # noqa: E402

WINDOW, VOCABULARY = 32, 768
START = divergence.first_scored(WINDOW)
WINDOWS = np.random.default_rng(0).integers(3, VOCABULARY, size=(5, WINDOW)).tolist()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A tiny model, and the same with noise in its weights, as folders."""
    from safetensors.torch import load_file, save_file

    source = ROOT / "workflow/demo/models/tiny-0.4m"
    folders = [tmp_path_factory.mktemp(name) / "model" for name in ("base", "other")]
    for folder in folders:
        shutil.copytree(source, folder)
    weights = load_file(folders[1] / "model.safetensors")
    noise = torch.Generator().manual_seed(0)
    changed = {name: one + 0.02 * torch.randn(one.shape, generator=noise) for name, one in weights.items()}
    save_file({name: one.to(weights[name].dtype) for name, one in changed.items()}, folders[1] / "model.safetensors")
    return folders


def computed(folder, ask):
    with engine.open_engine("hf", folder, {"dtype": "float32", "batch_size": 2, "device": "cpu"}) as lm:
        found = list(engine.places(lm, WINDOWS, START, ask))
        with torch.no_grad():
            whole = torch.log_softmax(lm.model(torch.tensor(WINDOWS)).logits.double(), -1)[:, START - 1 : -1]
        return found, whole, engine.usage(lm)


@pytest.mark.parametrize("kept", [16, VOCABULARY])
def test_kl_is_that_of_the_whole_vocabulary_or_below(models, kept):
    first, base, usage = computed(models[0], [Asked(kept)] * len(WINDOWS))
    assert usage["requests"] == len(WINDOWS) and usage["tokens_in"] == len(WINDOWS) * WINDOW
    reference = divergence.reference_of(WINDOWS, first)
    second, other, _ = computed(models[1], [Asked(0, ids) for ids in reference.ids])
    found = divergence.compare(reference, second)
    exact = (base.exp() * (base - other)).sum(-1).numpy()
    assert exact.mean() > 0.01
    if kept == VOCABULARY:
        assert found.kl == pytest.approx(exact, abs=1e-5)
    else:
        assert (found.kl < exact + 1e-6).all() and found.kl.mean() > 0.3 * exact.mean()
    own = torch.tensor(WINDOWS)[:, START:, None]
    assert found.own == pytest.approx(other.gather(2, own)[..., 0].numpy(), abs=1e-5)
    assert (found.same_top == (base.argmax(-1) == other.argmax(-1)).numpy()).all()


def test_a_window_that_does_not_fit_the_model_is_refused(models):
    short = engine.open_engine("hf", models[0], {"dtype": "float32", "max_model_len": 16, "device": "cpu"})
    with short as lm, pytest.raises(UserError, match="windows of 32 tokens do not fit a model of 16"):
        engine.places(lm, WINDOWS, START, [Asked(1)] * len(WINDOWS))
