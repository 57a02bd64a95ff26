"""The answer cache loses nothing that was finished and admits one writer."""

import multiprocessing
import os
import signal
import time

import pytest
from edge2giant.errors import UserError
from edge2giant.evaluate.answer_cache import AnswerCache

FINGERPRINT = "ab" * 32


def entry() -> dict:
    cost = dict(seconds=1.0, gpu_count=0, gpu_name=None, gpu_seconds=0.0, requests=1, tokens_in=1, tokens_out=0)
    cost |= dict(tokens_cached=0, load_seconds=0.0, peak_gpu_bytes=None)
    engine = dict(name="hf", version="1", dtype="float32", tensor_parallel_size=1, pipeline_parallel_size=1)
    engine |= dict(max_model_len=8, kernel="none", settings={}, self_check=None)
    provenance = dict(git_commit=None, git_dirty=None, environment_sha256="0" * 64, packages={}, task_versions={})
    provenance |= dict(task_hashes={}, datasets={}, chat_template_sha256=None, seeds={}, host="h", started="t")
    provenance |= dict(finished="t", fingerprint=FINGERPRINT)
    return dict(
        schema=1, benchmark="gsm8k", fingerprint=FINGERPRINT, identity={}, cost=cost, engine=engine,
        provenance=provenance, warnings=[],
    )  # fmt: skip


def write(folder):
    (folder / "results.json").write_text("{}")
    return entry()


def test_an_entry_is_found_again(tmp_path):
    AnswerCache(tmp_path).add(FINGERPRINT, write)
    assert AnswerCache(tmp_path).entry(FINGERPRINT)["benchmark"] == "gsm8k"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "cannot be written (No space left on device)"),
        (ConnectionError("no hub"), "no hub"),
    ],
)
def test_only_the_disks_errors_are_called_so(tmp_path, error, told):
    """Libraries derive errors of the network and of data sets from OSError; freeing space hints none of them."""

    def failing(folder):
        raise error

    with pytest.raises((UserError, ConnectionError)) as raised:
        AnswerCache(tmp_path).add(FINGERPRINT, failing)
    assert told in str(raised.value)
    assert isinstance(raised.value, UserError) == (error.errno is not None)
    assert not list(tmp_path.glob(".*.partial"))


def test_nothing_is_found_before(tmp_path):
    assert AnswerCache(tmp_path).entry(FINGERPRINT) is None


@pytest.mark.parametrize("name", ["results.json", "entry.json"])
def test_a_damaged_entry_is_no_entry(tmp_path, name):
    cache = AnswerCache(tmp_path)
    cache.add(FINGERPRINT, write)
    (cache.folder(FINGERPRINT) / name).write_text("{ half")
    assert cache.entry(FINGERPRINT) is None
    cache.add(FINGERPRINT, write)
    assert cache.entry(FINGERPRINT)


def test_a_failure_in_the_work_leaves_no_entry(tmp_path):
    def fail(folder):
        (folder / "results.json").write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        AnswerCache(tmp_path).add(FINGERPRINT, fail)
    assert AnswerCache(tmp_path).entry(FINGERPRINT) is None
    assert list(tmp_path.iterdir()) == []


def _hold(root, ready):
    with AnswerCache(root).locked([FINGERPRINT]):
        ready.set()
        time.sleep(60)


def test_a_second_writer_is_refused_and_a_killed_one_frees_its_lock(tmp_path):
    ready = multiprocessing.Event()
    holder = multiprocessing.Process(target=_hold, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(20)
    with (
        pytest.raises(UserError, match=f"is being written by process {holder.pid} on"),
        AnswerCache(tmp_path).locked([FINGERPRINT]),
    ):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with AnswerCache(tmp_path).locked([FINGERPRINT]):
        pass
