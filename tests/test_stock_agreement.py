"""A real model, questions of the real benchmarks: stock lm-eval and this project's engines give the same scores."""

import pytest
import stock_agreement
from shared import real_model, shared

pytestmark = pytest.mark.slow
ENGINES = [pytest.param("hf", marks=pytest.mark.toolkit("main")), pytest.param("vllm", marks=pytest.mark.toolkit("vllm"))]


@pytest.fixture(scope="module")
def model():
    return real_model()


@pytest.fixture(scope="module")
def store(model, tmp_path_factory):
    data = shared("real/mirror")
    return stock_agreement.make_store(tmp_path_factory.mktemp("store") / "store", data, stock_agreement.CHOSEN)


@pytest.fixture(scope="module")
def stock(model):
    return stock_agreement.stock_model(model)


@pytest.fixture(scope="module", params=ENGINES)
def ours(request, model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        with stock_agreement.our_model(request.param, model) as lm:
            yield lm


@pytest.mark.parametrize("name", stock_agreement.CHOSEN)
def test_stock_and_our_engine_give_the_same_score(stock, ours, store, tmp_path, name):
    by_stock = stock_agreement.timed(stock_agreement.by_stock, stock, name, store)
    by_ours = stock_agreement.timed(stock_agreement.by_ours, ours, name, store, tmp_path)
    found = stock_agreement.compared(name, by_stock, by_ours)
    assert found["questions"] >= 8 and found["same prompts"]
    assert found["score"][0] == pytest.approx(found["score"][1], abs=0.005)  # points, as the tables print them
    assert (found["largest difference"] or 0) <= 1e-3
    assert found["same texts"] == found["texts"]
    assert found["log-likelihoods"] + found["texts"] > 0
