"""Both engines on the same tiny models in float32: the same log-likelihoods, answers and stop rules; and the same refusals."""

import pytest

pytestmark = [pytest.mark.toolkit("vllm"), pytest.mark.slow]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3"])
def test_both_engines_give_the_same_answers(tmp_path, model_type):
    from engine_agreement import compared

    found = compared(model_type, tmp_path / "model")
    assert found["largest difference"] <= 1e-4
    assert found["same greedy flags"] and found["same stop tokens"]
    assert set(found["equal to hf, batch 1"].values()) == {found["answers"]}
    assert found["ended before the limit"] < found["answers"]
    if not model_type.startswith("gemma"):  # which wrote none of its end tokens
        assert found["ended before the limit"] > 0


def test_vllm_refuses_what_is_no_number_and_requests_without_text(tmp_path):
    from edge2giant.engine import open_engine
    from edge2giant.engine.checks import NotFiniteError
    from edge2giant.errors import UserError
    from engine_agreement import SETTINGS, VLLM, requests
    from tiny_answers import broken, tiny_model

    model = broken(tiny_model(tmp_path / "model"), tmp_path / "infinite", float("inf"))
    how = {"until": [], "max_gen_toks": 4, "do_sample": False}
    with open_engine("vllm", model, SETTINGS | VLLM) as lm:
        for texts in ([("one two", " A"), ("one two", " B")], [("one two", " a long continuation of it"), ("", "c d")]):
            with pytest.raises(NotFiniteError, match="2 of 2 log-likelihoods are not finite; set dtype to bfloat16"):
                lm.loglikelihood(requests("loglikelihood", texts))
        with pytest.raises(NotFiniteError, match="1 of 1 log-likelihoods"):
            lm.loglikelihood_rolling(requests("loglikelihood_rolling", [("one two three",)]))
        with pytest.raises(NotFiniteError, match="the logits of 8 tokens in 2 answers are not finite"):
            lm.generate_until(requests("generate_until", [("one", dict(how)), ("two", dict(how))]))
        for pair, says in ((("one", ""), "continuation is empty"), (("a", " word" * 80), "has .* tokens, the model takes 198")):
            with pytest.raises(UserError, match=f"task agreement, document 0: its .*{says}"):
                lm.loglikelihood(requests("loglikelihood", [pair]))
