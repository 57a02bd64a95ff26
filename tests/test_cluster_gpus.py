"""workflow/with-gpus hands out distinct GPUs on one machine and takes them back however a job ends."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

WITH_GPUS = Path(__file__).resolve().parent.parent / "workflow/with-gpus"


@pytest.fixture
def start(tmp_path):
    """Start a command on so many GPUs of a machine that declares four."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "CUDA"))}
    environment |= {
        "EDGE2GIANT_GPUS": "0,1,2,3",
        "EDGE2GIANT_GPU_LOCKS": str(tmp_path / "locks"),
        "EDGE2GIANT_GPU_POLL": "0.05",
    }
    started = []

    def run(count, command, **more):
        process = subprocess.Popen(
            [WITH_GPUS, str(count), "bash", "-c", command],
            env=environment | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(path, seconds=10):
    until = time.monotonic() + seconds
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text().strip()


def test_concurrent_jobs_get_distinct_gpus(start, tmp_path):
    for number, count in enumerate([1, 2, 1]):
        start(count, f"echo $CUDA_VISIBLE_DEVICES >{tmp_path}/{number}; sleep 30")
    given = [wait_for(tmp_path / str(number)).split(",") for number in range(3)]
    assert [len(gpus) for gpus in given] == [1, 2, 1]
    assert sorted(gpu for gpus in given for gpu in gpus) == ["0", "1", "2", "3"]


def test_a_killed_job_frees_its_own_gpus_only(start, tmp_path):
    first = start(3, f"echo $CUDA_VISIBLE_DEVICES >{tmp_path}/first; sleep 30")
    taken = wait_for(tmp_path / "first")
    start(1, f"echo $CUDA_VISIBLE_DEVICES >{tmp_path}/second; sleep 30")
    kept = wait_for(tmp_path / "second")
    third = start(3, f"echo $CUDA_VISIBLE_DEVICES >{tmp_path}/third")
    time.sleep(0.5)
    assert third.poll() is None and not (tmp_path / "third").exists()
    os.killpg(first.pid, signal.SIGKILL)
    assert wait_for(tmp_path / "third") == taken
    assert kept not in taken.split(",")


def test_a_gpu_stays_taken_while_a_worker_of_a_killed_job_lives(start, tmp_path):
    job = start(4, f"sleep 30 & echo $! >{tmp_path}/worker; wait")
    worker = int(wait_for(tmp_path / "worker"))
    os.kill(job.pid, signal.SIGKILL)
    waiting = start(1, f"echo $CUDA_VISIBLE_DEVICES >{tmp_path}/next")
    time.sleep(0.5)
    assert waiting.poll() is None
    os.kill(worker, signal.SIGKILL)
    assert wait_for(tmp_path / "next") in {"0", "1", "2", "3"}, "freed one by one when the worker ends"


def test_a_job_for_several_gpus_is_not_starved(start, tmp_path):
    start(1, f"echo x >{tmp_path}/small; sleep 1.5")
    wait_for(tmp_path / "small")
    start(4, f"date +%s%N >{tmp_path}/large")
    time.sleep(0.3)
    later = [start(1, f"date +%s%N >{tmp_path}/later{number}") for number in range(3)]
    assert all(process.wait(20) == 0 for process in later)
    assert all(int(wait_for(tmp_path / f"later{n}")) > int(wait_for(tmp_path / "large")) for n in range(3))


def test_more_gpus_than_the_machine_has_is_refused(start):
    process = start(5, "true")
    _, message = process.communicate(timeout=10)
    assert process.returncode == 2
    assert message.startswith("error: this job asks for 5 GPUs, this machine has 4 (0,1,2,3)")


def test_slurm_chooses_inside_a_job(start):
    out, _ = start(9, "echo ${CUDA_VISIBLE_DEVICES:-unset}", SLURM_JOB_ID="1", CUDA_VISIBLE_DEVICES="6").communicate(timeout=10)
    assert out.strip() == "6"


@pytest.mark.slow
def test_snakemake_with_the_workstation_profile_shares_two_gpus(tmp_path):
    """Four jobs on two declared GPUs: never two on one, never more than two at once; the job for two has both."""
    (tmp_path / "Snakefile").write_text(
        f"""
rule all:
    input: expand("out/{{job}}", job=["a", "b", "c", "both"])
rule work:
    output: "out/{{job}}"
    resources: node_gpus=lambda wildcards: 2 if wildcards.job == "both" else 1
    shell: "{WITH_GPUS} {{resources.node_gpus}} bash job {{output}}"
"""
    )
    (tmp_path / "job").write_text("b=$(date +%s.%N)\nsleep 1\necho $CUDA_VISIBLE_DEVICES $b $(date +%s.%N) >$1\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "CUDA"))}
    environment |= {"EDGE2GIANT_GPUS": "4,5", "EDGE2GIANT_GPU_LOCKS": str(tmp_path / "locks")}
    profile = WITH_GPUS.parent.parent / "profiles/workstation"
    command = [sys.executable, "-m", "snakemake", "--profile", str(profile), "--cores", "8"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    jobs = [path.read_text().split() for path in (tmp_path / "out").iterdir()]
    held = [(gpu, float(began), float(ended)) for gpus, began, ended in jobs for gpu in gpus.split(",")]
    assert len(held) == 5 and {gpu for gpu, _, _ in held} == {"4", "5"}
    for gpu in "45":
        turns = sorted((began, ended) for each, began, ended in held if each == gpu)
        assert all(before[1] <= after[0] for before, after in pairwise(turns))
