"""The software of Appendix D.1, as far as it runs without CUDA: llmcompressor 0.3.1 quantizes, lm-eval 0.4.4 scores.

Not run here: vLLM 0.6.6.post1 and torch 2.5.1, which the stack paper2024 pins beside them.
"""

import pytest
import yaml
from edge2giant import config, records, typed
from edge2giant.records.cell import CellRecord
from edge2giant.records.checkpoint import CheckpointRecord
from shared import ROOT
from test_end_to_end import make_clone, run, succeeded

ROW = "tiny-0.4m/gptq-llmcompressor/w4a16"
VERSIONS = {"lm_eval": "0.4.4", "transformers": "4.47.1", "accelerate": "1.2.1"}
STUDY = """
extends: miniature
title: the miniature by the versions of Appendix D.1
stack: cpu2024
figure2_models: [tiny-0.4m]
limit: 4
models:
  tiny-0.4m:
    variants: [gptq-llmcompressor/w4a16]
    judged: [gptq-llmcompressor/w4a16]
"""


@pytest.mark.e2e
@pytest.mark.slow
def test_every_benchmark_is_scored_by_the_papers_harness(tmp_path):
    clone = make_clone(tmp_path / "edge2giant")
    (clone / "config/studies/appendix.yaml").write_text(STUDY)
    succeeded(run(clone, "cells", "--config", "study=appendix", "batch=checkpoint"))
    cells = {p.stem: typed.as_json(records.read(p, CellRecord)) for p in (clone / f"results/appendix/cells/{ROW}").glob("*.json")}
    assert set(cells) == set(config.load().study("miniature").benchmarks)
    for name, cell in cells.items():
        packages = cell["provenance"]["packages"]
        assert {key: packages[key] for key in VERSIONS} == VERSIONS, name
        assert cell["n"] > 0
    (checkpoint,) = (clone / f"results/checkpoints/{ROW}").glob("*.json")
    made = typed.as_json(records.read(checkpoint, CheckpointRecord))["toolkit"]["packages"]
    assert (made["llmcompressor"], made["compressed-tensors"]) == ("0.3.1", "0.8.1")


def test_the_stack_differs_from_the_papers_pins_in_torch_and_vllm_alone():
    """What decides answers and weights is pinned in cpu2024 as in paper2024."""
    pins = {
        stack: dict(
            pin.split("==") for pin in yaml.safe_load((ROOT / f"envs/{path}.yaml").read_text())["dependencies"][-1]["pip"]
        )
        for stack, path in {"paper2024": "paper2024/vllm", "cpu2024": "cpu2024/main"}.items()
    }
    shared = pins["paper2024"].keys() & pins["cpu2024"].keys()
    assert {"lm-eval", "transformers", "llmcompressor", "compressed-tensors", "accelerate", "datasets", "numpy"} <= shared
    assert {name for name in shared if pins["paper2024"][name] != pins["cpu2024"][name]} == {"torch", "sympy"}
