"""Opening an engine: names, settings and counts, without loading one."""

from types import SimpleNamespace

import pytest
from edge2giant import engine
from edge2giant.engine import checks, settings
from edge2giant.engine.counters import Meter
from edge2giant.errors import UserError
from edge2giant.specs import engine as engine_settings


def test_unknown_engine_setting_or_checkpoint_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="no engine 'vlm'"), engine.open_engine("vlm", tmp_path):
        pass
    with pytest.raises(UserError, match="no setting block_size"), engine.open_engine("hf", tmp_path, {"block_size": 1}):
        pass
    with pytest.raises(UserError, match="not a checkpoint"), engine.open_engine("hf", tmp_path):
        pass


def test_missing_packages_are_named(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")

    def missing(name):
        raise ModuleNotFoundError(f"No module named 'vllm' ({name})", name="vllm")

    monkeypatch.setattr(engine, "import_module", missing)
    with pytest.raises(UserError, match="needs the package vllm"), engine.open_engine("vllm", tmp_path):
        pass


def test_usage_counts_intervals():
    meter = Meter()
    with meter.call(3) as usage:
        usage.tokens_in += 7
    assert meter.usage.requests == 3
    closed = meter.close(11)
    assert (closed["requests"], closed["tokens_in"], closed["peak_gpu_bytes"]) == (3, 7, 11)
    assert meter.interval == 0
    assert meter.close(0)["requests"] == 0
    with meter.call(1):
        pass
    assert (meter.usage.requests, meter.usage.tokens_in, meter.interval) == (1, 0, 1)


def test_gpus_and_nodes_become_settings_of_vllm():
    assert settings.on_gpus("1x1") == {}
    assert settings.on_gpus("4x1") == {"tensor_parallel_size": 4, "pipeline_parallel_size": 1}
    two = settings.on_gpus("8x2")
    assert two == {"tensor_parallel_size": 8, "pipeline_parallel_size": 2, "distributed_executor_backend": "ray"}
    assert engine_settings.check("vllm", two) == engine_settings.check("vllm-stock", two) == two
    for wrong in ("8", "0x1", "8x", "ax2"):
        with pytest.raises(UserError, match="not of the form GPUSxNODES"):
            settings.on_gpus(wrong)


def test_planned_memory_becomes_settings_of_the_engines_that_have_them():
    text = "max_num_batched_tokens=8192,gpu_memory_utilization=0.86"
    assert settings.planned("vllm", text) == {"max_num_batched_tokens": 8192, "gpu_memory_utilization": 0.86}
    assert settings.planned("hf", text) == settings.planned("vllm", "-") == {}
    for wrong in ("8192", "a=b=c", "gpu_memory_utilization=much"):
        with pytest.raises(UserError, match="not a list of settings"):
            settings.planned("vllm", wrong)


def test_an_answer_as_long_as_the_model_is_refused_in_one_line():
    asked = [SimpleNamespace(args=("Write.", {"max_gen_toks": length}), task_name="ifeval", doc_id=7) for length in (20, 1280)]
    checks.refuse_long_answers(asked[:1], 1024, default=256)
    message = "task ifeval, document 7: its answer may have 1280 tokens, the model takes 1024 with the prompt"
    with pytest.raises(UserError, match=message):
        checks.refuse_long_answers(asked, 1024, default=256)
    with pytest.raises(UserError, match="256 tokens"):
        checks.refuse_long_answers([SimpleNamespace(args=("Write.", {}), task_name="a", doc_id=0)], 256, default=256)
