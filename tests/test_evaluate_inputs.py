"""What an evaluation reads is what was fetched and made: a changed byte is refused before an engine starts."""

import dataclasses
import shutil
from types import SimpleNamespace

import pytest
from edge2giant import records, store
from edge2giant.errors import UserError
from edge2giant.evaluate import batch
from edge2giant.evaluate.answer_cache import AnswerCache
from edge2giant.quantize import core
from edge2giant.specs.evaluate import BenchmarkSpec, EngineSpec, EvaluateSpec
from edge2giant.specs.variant import Variant

SPEC = EvaluateSpec("smoke", Variant("tiny", "rtn", "w4a16"), "arc", (), EngineSpec("hf", {}), "cpu/main", 1)
ARC = BenchmarkSpec("arc", ("datasets/arc.lock.json",))


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A batch whose checkpoint and data set are as recorded."""
    checkpoint, rows = tmp_path / "checkpoint", tmp_path / "store/datasets/org/arc/rows.parquet"
    for path in (checkpoint / "model.safetensors", checkpoint / "config.json", rows):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content of " + path.name.encode())
    datasets = tmp_path / "store/datasets"
    records.write(datasets / "arc.lock.json", store.make_lock(datasets, [rows], ["org/arc"], "hub"))
    made = SimpleNamespace(files=core.checksums(checkpoint), digest="d" * 64)
    read = records.read
    monkeypatch.setattr(records, "read", lambda path, kind: made if path.name == "checkpoint.json" else read(path, kind))
    monkeypatch.setattr(batch, "engine_versions", lambda name: {"hf": "1"})
    return batch.Batch(SPEC, checkpoint, tmp_path / "store", AnswerCache(tmp_path / "cache"))


def change_a_byte(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(bytes(content))


def test_a_changed_byte_of_a_data_set_is_refused(job):
    assert batch.identity(job, ARC, "d" * 64)["dataset"]
    change_a_byte(job.store / "datasets/org/arc/rows.parquet")
    with pytest.raises(UserError, match="differs from what was fetched"):
        batch.identity(job, ARC, "d" * 64)


def run(job, **changes):
    spec = dataclasses.replace(SPEC, benchmarks=(ARC,))
    return batch.run(dataclasses.replace(job, spec=spec, **changes))


class StartedError(Exception):
    """The engine was about to start."""


@pytest.fixture
def started(monkeypatch):
    def start(*_):
        raise StartedError

    monkeypatch.setattr(batch, "_evaluate", start)


@pytest.mark.parametrize(
    ("change", "refused_by_size", "says"),
    [
        (change_a_byte, False, "was changed since the checkpoint was made"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), True, "was changed since the checkpoint was made"),
        (lambda path: path.unlink(), True, "is missing since the checkpoint was made"),
        (lambda path: path.with_name("extra.safetensors").write_bytes(b"x"), True, "was added since the checkpoint was made"),
    ],
)
def test_a_changed_checkpoint_is_refused(job, started, tmp_path, change, refused_by_size, says):
    shutil.copytree(job.checkpoint, tmp_path / "copy")
    for settings in ({}, {"hashes": True}, {"copy": tmp_path / "copy"}):
        with pytest.raises(StartedError):
            run(job, **settings)
    change(tmp_path / "copy/model.safetensors")
    with pytest.raises(StartedError):
        run(job)
    with pytest.raises(UserError, match=f"{says}.*it is a copy"):
        run(job, copy=tmp_path / "copy")
    change(job.checkpoint / "model.safetensors")
    with pytest.raises(UserError, match=f"{says}.*make it again"):
        run(job, hashes=True)
    with pytest.raises(UserError if refused_by_size else StartedError):
        run(job)


def test_a_checkpoint_is_not_made_of_a_model_with_a_changed_byte(job):
    model = job.checkpoint
    lock = store.make_lock(model.parent, [model / "model.safetensors"], ["org/tiny"], "hub")
    core.refuse_changed(model, core.checksums(model), lock)
    change_a_byte(model / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors: differs from what was fetched"):
        core.refuse_changed(model, core.checksums(model), lock)
