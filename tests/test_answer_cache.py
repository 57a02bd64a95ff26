"""The answer cache loses nothing that was finished and admits one writer."""

import multiprocessing
import os
import signal
import time

import pytest
from edge2giant.errors import UserError
from edge2giant.evaluate.answer_cache import AnswerCache
from edge2giant.records.cell import CacheEntry
from factories import cell_record

FINGERPRINT = "ab" * 32


def write(folder):
    (folder / "results.json").write_text("{}")
    made = cell_record()
    return CacheEntry(1, "gsm8k", FINGERPRINT, {}, {}, made.cost, made.engine, made.provenance, made.warnings)


def test_an_entry_is_found_again(tmp_path):
    assert AnswerCache(tmp_path).entry(FINGERPRINT) is None
    AnswerCache(tmp_path).add(FINGERPRINT, write)
    assert AnswerCache(tmp_path).entry(FINGERPRINT).benchmark == "gsm8k"


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (OSError(28, "No space left on device"), UserError, r"cannot be written \(No space left on device\)"),
        # libraries derive errors of the network and of data sets from OSError; freeing space helps none of them
        (ConnectionError("no hub"), ConnectionError, "no hub"),
        (RuntimeError("no memory"), RuntimeError, "no memory"),
    ],
)
def test_a_failure_leaves_no_entry_and_only_the_disks_is_called_so(tmp_path, error, raised, message):
    def fail(folder):
        (folder / "results.json").write_text("half")
        raise error

    with pytest.raises(raised, match=message):
        AnswerCache(tmp_path).add(FINGERPRINT, fail)
    assert AnswerCache(tmp_path).entry(FINGERPRINT) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["results.json", "entry.json"])
def test_a_damaged_entry_is_no_entry(tmp_path, name):
    cache = AnswerCache(tmp_path)
    cache.add(FINGERPRINT, write)
    (cache.folder(FINGERPRINT) / name).write_text("{ half")
    assert cache.entry(FINGERPRINT) is None
    cache.add(FINGERPRINT, write)
    assert cache.entry(FINGERPRINT)


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
