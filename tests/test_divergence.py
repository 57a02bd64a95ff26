"""Divergence from the unquantized model: windows as llama.cpp cuts them, KL against the whole vocabulary, numbers of a cell."""

import json

import numpy as np
import pytest
from edge2giant import divergence
from edge2giant.config import load
from edge2giant.engine.distributions import Asked, Places
from edge2giant.errors import UserError
from edge2giant.scoring import cell, samples
from edge2giant.scoring import divergence as scoring
from edge2giant.scoring.aggregation import Aggregation
from edge2giant.specs.score import LmEvalMetric, ScoreSpec
from edge2giant.specs.variant import Variant
from edge2giant.stats import paired
from shared import ROOT


def test_windows_follow_each_other_and_begin_with_bos():
    # llama.cpp: BOS before the text, then whole windows whose first token BOS replaces; what is left over is dropped.
    assert divergence.cut(list(range(10, 20)), 4, bos=1) == [[1, 10, 11, 12], [1, 14, 15, 16]]
    assert divergence.cut(list(range(10, 20)), 4, bos=None) == [[10, 11, 12, 13], [14, 15, 16, 17]]
    assert len(divergence.cut(list(range(40)), 4, None, limit=3)) == 3


def test_of_512_tokens_the_last_255_are_scored():
    assert 512 - divergence.first_scored(512) == 255


def test_a_text_of_one_window_is_refused():
    with pytest.raises(UserError, match="the text has 7 tokens, fewer than 2 windows of 4"):
        divergence.cut(range(7), 4, None)


def logits(seed: int, rows=6, vocabulary=40, scale=2.0):
    return np.random.default_rng(seed).normal(size=(rows, vocabulary)) * scale


def logprobs(values):
    return values - np.log(np.exp(values).sum(axis=-1, keepdims=True))


def places(values, own, asked: Asked) -> Places:
    """What an engine gives, in float64."""
    found = logprobs(values)
    ids = np.argsort(-found, axis=1)[:, : asked.most] if asked.ids is None else asked.ids
    others = np.exp(found)
    np.put_along_axis(others, ids, 0.0, axis=1)
    with np.errstate(divide="ignore"):
        rest = np.log(others.sum(axis=1)) if ids.shape[1] < found.shape[1] else np.full(len(found), -np.inf)
    chosen = np.take_along_axis(found, ids, axis=1)
    return Places(found[np.arange(len(own)), own], found.argmax(axis=1), ids, chosen, rest)


def compared(base, other, kept):
    own = np.arange(len(base)) % base.shape[1]
    reference = divergence.reference_of([[0] * 12], [places(base, own, Asked(kept))])
    return divergence.compare(reference, [places(other, own, Asked(0, reference.ids[0]))])


@pytest.mark.parametrize("kept", [1, 5, 39, 40, 64])
def test_kl_is_a_lower_bound_and_whole_where_every_token_is_kept(kept):
    base, other = logits(0), logits(0) + logits(1, scale=0.3)
    whole = np.sum(np.exp(logprobs(base)) * (logprobs(base) - logprobs(other)), axis=1)
    found = compared(base, other, kept).kl[0]
    if kept >= 39:  # one token alone is a rest that hides nothing
        assert found == pytest.approx(whole, abs=1e-6)
    else:
        assert (found < whole).all() and (found > 0).all()


def test_halved_and_same_top():
    base = np.log(np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]]))
    other = np.log(np.array([[0.2, 0.5, 0.3], [0.1, 0.6, 0.3]]))
    found = compared(base, other, 3)  # the tokens that follow are 0 and 1
    assert found.halved.tolist() == [[True, False]]
    assert found.same_top.tolist() == [[False, True]]


def test_a_number_that_is_not_finite_is_refused():
    broken = logits(1)
    broken[2, 3] = np.nan
    with pytest.raises(UserError, match=r"\d+ of \d+ log-probabilities are not finite"):
        compared(logits(0), broken, 5)


def test_files_keep_their_bytes_and_a_damaged_one_is_named(tmp_path):
    found = compared(logits(0), logits(1), 5)
    found.save(tmp_path / "a.npz")
    found.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (divergence.Compared.load(tmp_path / "a.npz").kl == found.kl).all()
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="cannot be read"):
        divergence.Compared.load(tmp_path / "a.npz")


def test_what_travels_to_a_worker_is_what_was_asked():
    ids = np.arange(12).reshape(4, 3)
    found = Asked.of_json(Asked(0, ids).as_json())
    assert (found.ids == ids).all() and Asked.of_json(json.loads(json.dumps(Asked(7).as_json()))) == Asked(7)


def windows_of(kl):
    """Places of a model whose divergence is given, shape (windows, places)."""
    kl = np.asarray(kl, dtype=float)
    base = np.full(kl.shape, -2.0, dtype=np.float32)
    own = (base - np.where(kl > 0.5, 0.7, 0.0)).astype(np.float32)
    tokens = np.arange(4 * len(kl), dtype=np.int32).reshape(len(kl), 4)
    return divergence.Compared(tokens, kl, own, base, kl < 0.5)


def test_a_cell_has_the_mean_with_its_error_by_window_and_the_numbers_beside_it(tmp_path):
    kl = [[0.1, 0.3], [0.2, 0.2], [0.6, 1.0]]
    windows_of(kl).save(tmp_path / divergence.PLACES)
    found = scoring.score(tmp_path, "divergence")
    means = np.mean(kl, axis=1)
    assert found.estimate.value == pytest.approx(0.4) and found.estimate.n == 3
    assert found.estimate.stderr == pytest.approx(means.std(ddof=1) / 3**0.5)
    parts = {part.metric: part for part in found.parts}
    assert parts["kl_largest"].raw == 1.0
    assert parts["kl_q99"].raw == pytest.approx(np.quantile(kl, 0.99))
    assert (parts["same_top"].raw, parts["halved"].normalised) == (pytest.approx(2 / 3), pytest.approx(100 / 3))
    assert parts["perplexity_unquantized"].raw == pytest.approx(np.exp(2.0))
    assert parts["perplexity"].raw == pytest.approx(np.exp(2.0 + 0.7 / 3), rel=1e-6)
    assert [row["value"] for row in found.rows] == pytest.approx(means.tolist())


def entry(folder, loglikelihoods, words):
    """An answer cache entry of lm-eval's wikitext, with the perplexity that lm-eval reports."""
    hashes = {name: "0" for name in ("doc_hash", "target_hash", "prompt_hash")}
    lines = [
        {"doc_id": at, "doc": {}, "filter": "none", "word_perplexity": [ll, count], "token_perplexity": [ll, 2 * count], **hashes}
        for at, (ll, count) in enumerate(zip(loglikelihoods, words, strict=True))
    ]
    folder.mkdir(exist_ok=True)
    (folder / "samples_wikitext.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    mean = -sum(loglikelihoods) / sum(words)
    reported = {"word_perplexity,none": np.exp(mean), "token_perplexity,none": np.exp(mean / 2)}
    (folder / "results.json").write_text(json.dumps({"results": {"wikitext": reported}}))


PERPLEXITY = ScoreSpec(
    "s", Variant("m", "fp16", "w16a16"), "wikitext", "fidelity", False, "none", "paper", "cpu",
    {"wikitext": None}, (LmEvalMetric("word_perplexity", "none"),), "single", False, True, None,
    also=(LmEvalMetric("token_perplexity", "none"),), unit="perplexity", lower_is_better=True,
)  # fmt: skip


def test_a_perplexity_is_of_the_whole_text_and_its_parts_are_in_no_score(tmp_path):
    entry(tmp_path, [-20.0, -60.0, -45.0], [10, 20, 15])
    found = cell.score_tasks(tmp_path, PERPLEXITY)
    assert found.estimate.value == pytest.approx(np.exp(125 / 45))
    assert {part.metric: part.raw for part in found.parts}["token_perplexity"] == pytest.approx(np.exp(125 / 90))
    assert {row["metric"] for row in found.rows} == {"word_perplexity"}
    # the error of a ratio, on the scale of the perplexity
    influence = np.array([20 - 125 / 45 * 10, 60 - 125 / 45 * 20, 45 - 125 / 45 * 15]) / 45
    assert found.estimate.stderr == pytest.approx(np.exp(125 / 45) * np.sqrt(1.5 * np.sum(influence**2)))
    assert samples.SCHEMA.names == list(found.rows[0])


def test_a_perplexity_that_is_not_lm_evals_own_is_refused(tmp_path):
    entry(tmp_path, [-20.0, -60.0], [10, 20])
    results = (tmp_path / "results.json").read_text()
    (tmp_path / "results.json").write_text(results.replace("word_perplexity,none", "word_perplexity,x", 1))
    (tmp_path / "results.json").write_text(json.dumps({"results": {"wikitext": {"word_perplexity,none": 3.0}}}))
    with pytest.raises(UserError, match="samples give word_perplexity"):
        cell.score_tasks(tmp_path, PERPLEXITY)


def test_paired_statistics_of_perplexities_are_on_their_scale(tmp_path):
    import pandas as pd

    rng = np.random.default_rng(0)
    count, base = rng.integers(50, 200, 80).astype(float), rng.normal(2.0, 0.2, 80)
    joined = pd.DataFrame({"task": "wikitext", "metric": "word_perplexity", "doc_id": range(80), "weight": count})
    joined = joined.assign(cluster=[str(one) for one in range(80)], value_a=base, value_b=base + rng.normal(0.1, 0.02, 80))
    for name in ("prediction", "correct", "prompt_hash"):
        joined = joined.assign(**{f"{name}_a": None, f"{name}_b": None})
    how = Aggregation(False, {"wikitext": 0.0}, scale=1.0, exponential=True)
    found = paired.compare(joined, how)
    a, b = (float(np.exp(np.average(joined[f"value_{side}"], weights=count))) for side in "ab")
    assert (found.score_a, found.score_b, found.difference) == (pytest.approx(a), pytest.approx(b), pytest.approx(b - a))
    assert found.low < b - a < found.high and found.high - found.low < 0.5 and found.p_value < 1e-6
    assert found.agreement is None


def test_a_study_with_divergence_needs_the_unquantized_model(tmp_path):
    import shutil

    shutil.copytree(ROOT / "config", tmp_path / "config")
    study = tmp_path / "config/studies/more.yaml"
    models = "{tiny-0.4m: {variants: [rtn/w4a16], judged: [rtn/w4a16]}}"
    text = f"extends: miniature\ntitle: m\nfigure2_models: [tiny-0.4m]\nmodels: {models}\n"
    study.write_text(text)
    with pytest.raises(UserError, match="divergence compares with fp16/w16a16, which is not there"):
        load(tmp_path)
    study.write_text("extends: paper\ntitle: m\nstack: paper2024\nbenchmarks: [divergence]\nfigure2_models: [llama-3.2-3b-it]\n")
    with pytest.raises(UserError, match="engine vllm-stock cannot compute divergence"):
        load(tmp_path)
