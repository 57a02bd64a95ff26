"""Divergence from the unquantized model: windows as llama.cpp cuts them, KL against the whole vocabulary, numbers of a cell."""

import json

import numpy as np
import pytest
from edge2giant import divergence
from edge2giant.engine.distributions import Asked, Places
from edge2giant.errors import UserError


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
