"""workflow/staged copies a checkpoint to the node's scratch once."""

import os
import subprocess
from pathlib import Path

import pytest

STAGED = Path(__file__).resolve().parent.parent / "workflow/staged"


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoints/0123456789ab"
    folder.mkdir(parents=True)
    (tmp_path / "blob").write_bytes(b"x" * 5000)
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    (folder / "checkpoint.json").write_text("{}")
    return folder


def staged(*arguments, **environment):
    done = subprocess.run(
        [STAGED, *map(str, arguments)], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.mark.parametrize("scratch", [[], ["-"], [""]])
def test_without_scratch_it_is_read_from_where_it_lies(checkpoint, scratch):
    assert staged(checkpoint, *scratch) == checkpoint


def test_it_is_copied_whole_and_once(checkpoint, tmp_path):
    place = staged(checkpoint, "$NODE_DISK/${MY_NAME}", NODE_DISK=str(tmp_path / "disk"), MY_NAME="me")
    assert place == tmp_path / "disk/me/edge2giant/0123456789ab"
    weights = place / "model.safetensors"
    assert not weights.is_symlink() and weights.stat().st_size == 5000
    weights.write_bytes(b"kept")
    assert staged(checkpoint, tmp_path / "disk/me") == place and weights.read_bytes() == b"kept"


def test_jobs_of_one_node_share_one_copy(checkpoint, tmp_path):
    jobs = [subprocess.Popen([STAGED, checkpoint, tmp_path / "disk"], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert len({job.communicate(timeout=60)[0] for job in jobs}) == 1
    assert sorted(path.name for path in (tmp_path / "disk/edge2giant").iterdir()) == ["0123456789ab", "0123456789ab.lock"]


def test_full_scratch_is_left_alone(checkpoint, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "df").write_text("#!/bin/sh\nprintf 'Filesystem 1024-blocks Used Available\\nx 10 10 1\\n'\n")
    (tools / "df").chmod(0o755)
    assert staged(checkpoint, tmp_path / "disk", PATH=f"{tools}:{os.environ['PATH']}") == checkpoint
    assert not (tmp_path / "disk/edge2giant/0123456789ab").exists()
