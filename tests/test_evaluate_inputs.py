"""What an evaluation reads is what was fetched and made: a changed byte is refused before an engine starts."""

import contextlib
import dataclasses
import errno
import shutil
from types import SimpleNamespace

import pytest
from edge2giant import records, specs, store
from edge2giant.errors import UserError
from edge2giant.evaluate import batch
from edge2giant.evaluate.answer_cache import AnswerCache
from edge2giant.quantize import core
from edge2giant.specs.evaluate import BenchmarkSpec, DivergenceSpec, EngineSpec, EvaluateSpec, GenerationSpec, TasksSpec
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
    size = SimpleNamespace(weights_bytes=1, nominal_bytes=None)
    made = SimpleNamespace(files=core.checksums(checkpoint), digest="d" * 64, size=size, recipe={"spec": "e" * 64})
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


def test_a_benchmark_that_fails_does_not_keep_the_next_from_running(job, monkeypatch):
    """Its error is raised at the end, and what is finished is listed; a second run asks for the failed one alone."""
    spec = dataclasses.replace(SPEC, benchmarks=tuple(dataclasses.replace(ARC, name=name) for name in "abc"))
    discarded, asked, listed = [], [], []
    left = iter([True, True, False])  # prompts of the failed one are still in the engine for two steps
    running = SimpleNamespace(has_unfinished_requests=lambda: next(left), step=lambda: discarded.append(asked[-1]))
    lm = SimpleNamespace(model=SimpleNamespace(llm_engine=running))
    monkeypatch.setattr(batch.engine, "open_engine", lambda *_: contextlib.nullcontext(lm))

    def ask(answered, lm):
        asked.append(answered.benchmark.name)
        if answered.benchmark.name == "a" and len(asked) < 4:
            raise UserError("is not finite")
        answered.batch.answer_cache.folder(records.digest(answered.identity)).mkdir(parents=True)

    monkeypatch.setattr(batch.Answered, "ask", ask)
    monkeypatch.setattr(AnswerCache, "entry", lambda cache, fingerprint: cache.folder(fingerprint).exists() or None)
    with pytest.raises(UserError, match="tiny/rtn/w4a16, a: is not finite"):
        batch.run(dataclasses.replace(job, spec=spec), listed.append)
    assert (asked, discarded) == (["a", "b", "c"], ["a", "a"])
    assert [list(one.entries) for one in listed] == [["b"], ["b", "c"]]
    whole = batch.run(dataclasses.replace(job, spec=spec), listed.append)
    assert asked[3:] == ["a"] and list(whole.entries) == ["a", "b", "c"] and whole.spec == specs.digest(spec)


def test_a_full_disk_ends_the_batch(job, monkeypatch):
    """What the next benchmarks compute could not be kept either."""
    spec = dataclasses.replace(SPEC, benchmarks=tuple(dataclasses.replace(ARC, name=name) for name in "ab"))
    asked = []

    def full(*_):
        asked.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    lm = SimpleNamespace(meter=None, take_usage=dict)
    monkeypatch.setattr(batch.engine, "open_engine", lambda *_: contextlib.nullcontext(lm))
    monkeypatch.setattr(batch, "_answers", full)
    with pytest.raises(UserError, match="No space left on device"):
        batch.run(dataclasses.replace(job, spec=spec))
    assert len(asked) == 1


def test_a_checkpoint_is_not_made_of_a_model_with_a_changed_byte(job):
    model = job.checkpoint
    lock = store.make_lock(model.parent, [model / "model.safetensors"], ["org/tiny"], "hub")
    core.refuse_changed(model, core.checksums(model), lock)
    change_a_byte(model / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors: differs from what was fetched"):
        core.refuse_changed(model, core.checksums(model), lock)


SETTINGS = {
    "dtype": "bfloat16", "batch_size": 16, "add_bos_token": True, "max_model_len": 4096, "date": "2024-07-26",
    "chat_template": "{{ messages }}", "chat_template_kwargs": {"enable_thinking": True}, "think_end_token": "</think>",
}  # fmt: skip
SEEDS = {"python": 0, "numpy": 1, "torch": 2, "fewshot": 3}
WHOLE = {
    "tasks": TasksSpec(("a", "b"), "arc", 25, True, True, 10, SEEDS, "stable"),
    "generation": GenerationSpec("fastchat", 1024, 0),
    "divergence": DivergenceSpec("org/text", "raw", "test", "page", " ", "|", 512, 256, 10, True),
}


def others(value):
    """The same record, mapping or value with one leaf changed, for each leaf."""
    if dataclasses.is_dataclass(value):
        pairs = [(one.name, getattr(value, one.name)) for one in dataclasses.fields(value)]
        yield from (dataclasses.replace(value, **{name: other}) for name, leaf in pairs for other in others(leaf))
    elif isinstance(value, dict):
        yield from (value | {name: other} for name, leaf in value.items() for other in others(leaf))
    elif isinstance(value, tuple):
        yield (*value, "another")
    elif isinstance(value, bool):
        yield not value
    elif value is not None:
        yield value + (1 if isinstance(value, int) else "x")


@pytest.mark.parametrize("kind", WHOLE)
def test_each_part_of_what_decides_an_answer_gives_another_fingerprint(job, kind, monkeypatch):
    benchmark = BenchmarkSpec("arc", ARC.locks, **{kind: WHOLE[kind]})
    spec = dataclasses.replace(SPEC, engine=EngineSpec("hf", SETTINGS), benchmarks=(benchmark,))
    job = dataclasses.replace(job, references={"arc": SimpleNamespace(sha256="r" * 64)})

    def fingerprint(spec=spec, checkpoint="d" * 64):
        return records.digest(batch.identity(dataclasses.replace(job, spec=spec), spec.benchmarks[0], checkpoint))

    found = [fingerprint()]
    found += [fingerprint(dataclasses.replace(spec, engine=other)) for other in others(spec.engine)]
    kinds = [dataclasses.replace(benchmark, **{kind: other}) for other in others(WHOLE[kind])]
    found += [fingerprint(dataclasses.replace(spec, benchmarks=(other,))) for other in kinds]
    found += [fingerprint(dataclasses.replace(spec, result_version=2)), fingerprint(checkpoint="e" * 64)]
    monkeypatch.setattr(batch, "engine_versions", lambda name: {"hf": "2"})
    found.append(fingerprint())
    rows = job.store / "datasets/org/arc/rows.parquet"
    change_a_byte(rows)
    records.write(job.store / "datasets/arc.lock.json", store.make_lock(job.store / "datasets", [rows], ["org/arc"], "hub"))
    found.append(fingerprint())
    assert len(set(found)) == len(found) > len(SETTINGS) + len(dataclasses.fields(WHOLE[kind]))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"]
)
def test_each_file_of_a_checkpoint_is_in_its_digest(job, name):
    path = job.checkpoint / name
    path.write_bytes(b"first")
    before = core.digest_of(core.checksums(job.checkpoint))
    change_a_byte(path)
    assert core.digest_of(core.checksums(job.checkpoint)) != before
