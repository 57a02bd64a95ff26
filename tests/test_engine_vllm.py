"""The vLLM engine against lm-eval's own back end on one engine: in 32 bits the same answers and log-likelihoods.

Needs the environment cpu/vllm (vLLM's CPU build) or a GPU with vLLM; see docs/performance.md.
"""

import gzip
import json
import random

import pytest

pytestmark = [pytest.mark.toolkit("vllm"), pytest.mark.slow]

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "red",
    "mat",
    "while",
    "rain",
    "fell",
    "over",
    "old",
    "stone",
    "walls",
    "near",
    "quiet",
    "green",
    "water",
]


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    pytest.importorskip("vllm")
    import sys
    from pathlib import Path

    import torch

    root = Path(__file__).resolve().parent.parent
    sys.path.insert(0, str(root / "bench"))
    import random_model
    from edge2giant.engine import open_engine

    folder = tmp_path_factory.mktemp("model")
    texts = [" ".join(WORDS), "A B C D (A) (B) (C) (D) Question: Answer:\n\n"] * 20
    size = random_model.make_tokenizer(texts, 600, folder)
    architecture = {**random_model.TINY, "vocab_size": size, "max_position_embeddings": 1024}
    random_model.make_weights(architecture, "float32", folder)
    torch.set_default_dtype(torch.float32)
    settings = {
        "dtype": "float32", "enforce_eager": True, "max_model_len": 512, "gpu_memory_utilization": 0.2,
        "block_size": 32, "self_check": 0.2, "max_num_batched_tokens": 96,  # so that prompts take several steps
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        with open_engine("vllm", folder, settings) as one:
            yield one


def batch():
    """Letters, bracketed letters, shared beginnings, long contexts, none at all, duplicates, one too long."""
    draw = random.Random(0)

    def text(count):
        return " ".join(draw.choice(WORDS) for _ in range(count))

    examples = "\n".join(f"Question: {text(8)}\nAnswer: {letter}" for letter in "ABCD")
    pairs = []
    for _ in range(8):
        context = f"{examples}\nQuestion: {text(10)}\nAnswer:"
        pairs += [(context, f" {letter}") for letter in "ABCD"]
        context = f"{examples}\nWhich: {text(10)}\nAnswer: "
        pairs += [(context, f"({letter})") for letter in "ABCD"]
    for size in (5, 40, 150):
        context, shared = text(size), text(20)
        pairs += [(context, f" {shared} {text(12)}") for _ in range(4)]
    pairs += [("", text(5)), ("the cat", " sat"), ("the cat", " sat"), (text(700), " mat"), ("a\n\n ", "red")]
    return pairs


def instances(kind, arguments):
    from lm_eval.api.instance import Instance

    return [Instance(request_type=kind, doc={}, arguments=one, idx=at) for at, one in enumerate(arguments)]


def test_same_log_likelihoods_as_lm_eval(lm):
    import scoring
    from edge2giant.engine import describe, usage

    requests = instances("loglikelihood", batch())
    usage(lm)
    fast, used = lm.loglikelihood(requests), usage(lm)
    described = describe(lm)
    check = described["self_check"]
    assert described["settings"]["model_runner"] in {"v1", "v2"}  # rows are computed by `step_rows`
    slow = scoring.stock_of(lm).loglikelihood(requests, disable_tqdm=True)
    assert max(abs(one[0] - other[0]) for one, other in zip(fast, slow, strict=True)) <= 1e-4
    assert [one[1] for one in fast] == [other[1] for other in slow]
    assert used["requests"] == len(requests)
    assert used["too_long"] == 1
    assert used["tokens_cached"] > 0
    assert check.requests > 0
    assert check.engine.largest <= 1e-4 and check.floor.largest <= 1e-4
    assert check.best_changed == 0 and check.outside == ()


def test_same_answers_when_all_is_cached_already(lm):
    requests = instances("loglikelihood", batch())
    first, again = lm.loglikelihood(requests), lm.loglikelihood(requests)
    assert max(abs(one[0] - other[0]) for one, other in zip(first, again, strict=True)) <= 1e-4


@pytest.mark.parametrize("way", ["_fast", "_own"])
def test_a_call_that_fails_leaves_nothing_to_the_next(lm, monkeypatch, way):
    """Its first prompts are already computed when a later text is refused."""
    from edge2giant.engine import discard
    from edge2giant.errors import UserError

    monkeypatch.setattr(lm, "_fast", getattr(lm, way))
    requests = instances("loglikelihood", batch())
    answers = instances("generate_until", [("the cat", {"until": ["\n"], "max_gen_toks": 5})])
    before = lm.loglikelihood(requests), lm.generate_until(answers)
    with pytest.raises(UserError, match="the model takes"):
        lm.loglikelihood(instances("loglikelihood", [*batch(), ("zz", " mat" * 5000)]))
    discard(lm)
    after = lm.loglikelihood(requests), lm.generate_until(answers)
    assert max(abs(one[0] - other[0]) for one, other in zip(before[0], after[0], strict=True)) <= 1e-4
    assert [one[1] for one in before[0]] == [one[1] for one in after[0]] and before[1] == after[1]


def test_packs_give_what_single_prompts_give_to_the_last_bit(lm, monkeypatch):
    requests = instances("loglikelihood", batch())
    lm.model.reset_prefix_cache()
    packs = lm.loglikelihood(requests)
    assert type(lm._fast).__name__ == "Packs"
    monkeypatch.setattr(lm, "_fast", lm._own)
    lm.model.reset_prefix_cache()
    assert lm.loglikelihood(requests) == packs


def test_flat_lists_read_like_arrays(lm, monkeypatch):
    import contextlib

    from edge2giant.engine import front

    requests = instances("loglikelihood", batch())
    arrays = lm.loglikelihood(requests)
    monkeypatch.setattr(lm, "_fast", lm._own)
    monkeypatch.setattr(front, "array_rows", lambda: contextlib.nullcontext(False))
    flat = lm.loglikelihood(requests)
    assert max(abs(one[0] - other[0]) for one, other in zip(arrays, flat, strict=True)) <= 1e-4


def test_rolling_and_generation_are_lm_evals(lm):
    import scoring
    from edge2giant.engine import usage

    stock = scoring.stock_of(lm)
    rolling = instances("loglikelihood_rolling", [(pair[0],) for pair in batch()[:3]])
    assert lm.loglikelihood_rolling(rolling) == pytest.approx(stock.loglikelihood_rolling(rolling), abs=1e-3)
    usage(lm)
    how = {"until": ["\n"], "max_gen_toks": 8, "do_sample": False}
    written = instances("generate_until", [("the cat", how), (" ".join(WORDS * 60), how)])
    assert lm.generate_until(written) == stock.generate_until(written)
    used = usage(lm)
    assert used["too_long"] == 2  # the long one, asked twice
    assert used["tokens_out"] > 0


def test_the_benchmark_script_runs(lm, tmp_path):
    import scoring

    documents = [[["loglikelihood", list(pair)] for pair in batch()[at : at + 4]] for at in (0, 4, 8)]
    file = tmp_path / "requests.json.gz"
    file.write_bytes(gzip.compress(json.dumps(documents).encode()))
    found = scoring.compare(lm, json.loads(gzip.decompress(file.read_bytes())), 0.5)
    assert found["fast_against_stock"]["flips"] == 0
    assert found["fast"]["requests"] == found["stock"]["requests"] == found["prefill"]["requests"] == 12
    assert found["fast"]["tokens_cached"] > found["stock"]["tokens_cached"] == 0


def test_rolling_log_likelihoods_are_those_of_lm_eval(lm):
    import scoring

    draw = random.Random(1)
    # one text is longer than the model and is cut into windows
    requests = instances("loglikelihood_rolling", [(" ".join(draw.choice(WORDS) for _ in range(n)),) for n in (3, 90, 700)])
    fast = lm.loglikelihood_rolling(requests, disable_tqdm=True)
    slow = scoring.stock_of(lm).loglikelihood_rolling(requests, disable_tqdm=True)
    assert fast == pytest.approx(slow, rel=1e-5)


def test_distributions_are_those_of_transformers(lm):
    """Windows go through several steps of 96 tokens; the engines choose the same tokens and give them the same numbers."""
    import numpy as np
    from edge2giant.engine import open_engine, places
    from edge2giant.engine.distributions import Asked

    windows = np.random.default_rng(0).integers(3, len(lm.tokenizer), size=(3, 128)).tolist()
    with open_engine("hf", lm.model.llm_engine.vllm_config.model_config.model, {"dtype": "float32", "device": "cpu"}) as other:
        theirs = list(places(other, windows, 65, [Asked(20)] * 3))
    ours = list(places(lm, windows, 65, [Asked(20)] * 3))
    again = list(places(lm, windows[::-1], 65, [Asked(0, one.ids) for one in theirs[::-1]]))[::-1]
    for one, first, second in zip(theirs, ours, again, strict=True):
        for found in (first, second):
            assert found.own == pytest.approx(one.own, abs=1e-4)
            assert found.logprobs == pytest.approx(one.logprobs, abs=1e-4)
            assert found.rest == pytest.approx(one.rest, abs=1e-4)
            assert (found.best == one.best).all()
