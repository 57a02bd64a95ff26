"""The transformers engine on compressed checkpoints of architectures whose tensors transformers renames or joins."""

import math

import pytest
from edge2giant.engine import open_engine
from quantize_model import run, write_text
from test_quantize_llmcompressor import of_config
from test_quantize_smoothing import write_random

pytestmark = pytest.mark.toolkit("main")


@pytest.mark.parametrize(
    ("model_type", "changes"), [("gpt_neox", {"head_dim": None}), ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2})]
)
def test_a_compressed_checkpoint_is_evaluated_in_float32(tmp_path, model_type, changes):
    from lm_eval.api.instance import Instance

    write_random(tmp_path / "model", model_type, **changes)
    write_text(tmp_path / "heldout", 2)
    run(tmp_path, tmp_path / "out", of_config("rtn", "w4a16"))
    with open_engine("hf", tmp_path / "out", {"dtype": "float32"}) as lm:
        found = lm.loglikelihood([Instance("loglikelihood", {}, ("ab", letter), at) for at, letter in enumerate("cd")])
    assert all(math.isfinite(one) for one, _ in found) and found[0] != found[1]
