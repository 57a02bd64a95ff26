"""Opening an engine: names, settings and counts, without loading one."""

import pytest
from edge2giant import engine
from edge2giant.engine.counters import Meter
from edge2giant.errors import UserError


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
