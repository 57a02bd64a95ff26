"""What a cluster does to a run, done on a real SLURM to the toy workflow.

Afterwards the same command finishes, and every cell is as undisturbed. `make faults` runs these; the worst strike the smoke study
too, in test_faults_smoke.py.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import rehearsal
from rehearsal import Toy, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.ci,
    pytest.mark.skipif(rehearsal.missing() is not None, reason=f"no SLURM here: {rehearsal.missing()}"),
    pytest.mark.timeout(400),
]
NODES = ("h100-1", "h100-2")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with rehearsal.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(cluster, tmp_path_factory):
    toy = Toy(cluster, tmp_path_factory.mktemp("undisturbed"))
    assert toy.run() == 0, toy.log()
    return toy.cells()


@pytest.fixture
def toy(cluster, tmp_path):
    made = Toy(cluster, tmp_path)
    yield made
    made.end()
    for node in NODES:
        if cluster.state(node) not in ("idle", "mixed", "allocated", "completing"):
            cluster("scontrol", "update", f"nodename={node}", "state=resume", check=False)
            wait_for(lambda node=node: cluster.state(node) == "idle", f"{node} to come back")


def finish(toy, undisturbed, *more):
    """The same command again, until nothing is missing; then every cell is the undisturbed one."""
    assert toy.run(*more) == 0, toy.log()
    assert toy.cells() == undisturbed
    return toy


def test_job_cancelled(cluster, toy, undisturbed):
    hold = toy.lay("hold", "a")
    process = toy.start("--retries", "0")
    toy.begun("a")
    (job,) = [job for job, state in cluster.jobs(toy.folder).items() if "a" in comment(cluster, job)]
    cluster("scancel", job)
    hold.unlink()
    assert process.wait(200) == 1
    assert list(toy.cells()) == ["b"], "the other row finishes"
    finish(toy, undisturbed)


def comment(cluster, job):
    return cluster("squeue", "--noheader", f"--jobs={job}", "--format=%k").strip().rsplit("_", 1)[-1]


def test_worker_killed_is_tried_again(toy, undisturbed):
    hold = toy.lay("hold", "a")
    process = toy.start()
    os.kill(toy.begun("a"), signal.SIGKILL)
    hold.unlink()
    assert process.wait(200) == 0, toy.log()
    assert toy.cells() == undisturbed


def test_node_drained_in_mid_job(cluster, toy, undisturbed):
    hold = toy.lay("hold", "a")
    process = toy.start("--config", "rows=a")
    toy.begun("a")
    (job,) = cluster.jobs(toy.folder)
    node = cluster.node_of(job)
    cluster("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    assert cluster.state(node) == "draining"
    hold.unlink()
    assert process.wait(200) == 0, toy.log()
    assert cluster.state(node) == "drained"
    finish(toy, undisturbed)


def test_node_down_in_mid_job(cluster, toy, undisturbed):
    hold = toy.lay("hold", "a")
    process = toy.start("--config", "rows=a")
    pid = toy.begun("a")
    (job,) = cluster.jobs(toy.folder)
    node = cluster.node_of(job)
    cluster("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    os.kill(pid, signal.SIGKILL)  # a dead node computes nothing; this one only plays dead
    hold.unlink()
    assert process.wait(300) == 0, toy.log()
    assert "node failure" in toy.log() and toy.starts("a") == 2, "tried again on the other node"
    cluster("scontrol", "update", f"nodename={node}", "state=resume")
    finish(toy, undisturbed)


def test_time_limit_hit_is_doubled(cluster, toy, undisturbed):
    hold = toy.lay("hold", "a")
    process = toy.start("--config", "rows=a", "minutes=1")
    toy.begun("a")
    (job,) = cluster.jobs(toy.folder)
    toy.begun("a", times=2)
    hold.unlink()
    assert process.wait(200) == 0, toy.log()
    (log,) = toy.folder.glob(f"logs/slurm/*/*/{job}.log")
    assert "DUE TO TIME LIMIT" in log.read_text()
    limits = cluster(
        "squeue", "--noheader", "--states=all", f"--name={run_name(cluster, job)}", "--sort=i", "--format=%l"
    ).split()
    assert limits == ["1:00", "2:00"]
    finish(toy, undisturbed)


def run_name(cluster, job):
    return cluster("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%j").strip()


def test_out_of_memory_is_doubled(cluster, toy, undisturbed):
    toy.lay("memory", "a", "700")
    process = toy.start("--config", "rows=a")
    toy.begun("a")
    (job,) = cluster.jobs(toy.folder)
    assert process.wait(200) == 0, toy.log()
    (log,) = toy.folder.glob(f"logs/slurm/*/*/{job}.log")
    assert "exceeded memory limit" in log.read_text()
    asked = cluster("squeue", "--noheader", "--states=all", f"--name={run_name(cluster, job)}", "--sort=i", "--format=%m").split()
    assert asked[:2] == ["500M", "1000M"]
    finish(toy, undisturbed)


def test_controller_stopped_and_started(cluster, toy, undisturbed):
    hold = toy.lay("hold", "a")
    process = toy.start()
    toy.begun("a")
    pid = int((cluster.folder / "pid/slurmctld.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "slurmctld to end")
    hold.unlink()
    wait_for(
        lambda: "a" in {path.stem for path in (toy.folder / "results/evaluations").glob("*.json")},
        "the job to end without it",
    )
    subprocess.run(["slurmctld"], env=cluster.environment, check=True, timeout=30)
    assert process.wait(300) == 0, toy.log()
    assert toy.starts("a") == 1 and toy.cells() == undisturbed


@pytest.mark.parametrize("how", ["adopt", "cancel"])
def test_snakemake_killed_and_resumed(cluster, toy, undisturbed, how):
    holds = [toy.lay("hold", row) for row in "abc"]
    process = toy.start("--config", "rows=a,b,c")
    wait_for(lambda: sorted(toy.starts(row) for row in "abc") == [0, 1, 1], "two jobs to begin")
    wait_for(lambda: sorted(cluster.jobs(toy.folder).values()) == ["PENDING", "RUNNING", "RUNNING"], "one job in the queue")
    assert resume(toy).returncode == 2, "an owner lives"
    process.kill()
    process.wait()
    assert toy.run("--config", "rows=a,b,c") == 1 and "cannot be locked" in toy.log()
    options = ["--cancel"] if how == "cancel" else []
    resuming = subprocess.Popen(
        resume_command(*options), cwd=toy.folder, env=cluster.environment, stdout=subprocess.PIPE, text=True
    )
    told = resuming.stdout.readline()
    assert "cancelling" in told
    if how == "adopt":
        for hold in holds:
            hold.unlink()
    told = resuming.communicate(timeout=120)[0]
    for hold in holds:
        hold.unlink(missing_ok=True)
    assert resuming.returncode == 0 and "took the lock of a dead snakemake away" in told
    assert not cluster.jobs(toy.folder)
    assert toy.run("--config", "rows=a,b,c") == 0, toy.log()
    assert {row: cell for row, cell in toy.cells().items() if row in undisturbed} == undisturbed
    assert sorted(toy.starts(row) for row in "abc") == ([1, 1, 1] if how == "adopt" else [1, 2, 2])


def resume_command(*options):
    return [sys.executable, "-m", "edge2giant.cluster", "resume", *options]


def resume(toy):
    return subprocess.run(resume_command(), cwd=toy.folder, env=toy.on.environment, capture_output=True, text=True, timeout=120)


def test_second_snakemake_in_the_folder_is_refused(cluster, toy, undisturbed):
    hold = toy.lay("hold", "a")
    process = toy.start()
    toy.begun("a")
    second = toy.start(name="second")
    assert second.wait(60) == 1 and "cannot be locked" in toy.log("second")
    hold.unlink()
    assert process.wait(200) == 0
    assert toy.starts("a") == 1 and toy.cells() == undisturbed


def test_second_writer_of_a_cached_answer_is_refused(cluster, toy, undisturbed):
    """Two folders with one answer cache: Snakemake's own lock does not see that."""
    hold = toy.lay("hold", "a")
    process = toy.start("--config", "rows=a")
    toy.begun("a")
    other = Toy(cluster, toy.folder / "other")
    (other.folder / "results").mkdir()
    (other.folder / "results/answer_cache").symlink_to(toy.folder / "results/answer_cache")
    assert other.run("--retries", "0", "--config", "rows=a") == 1
    logs = "".join(path.read_text() for path in other.folder.glob("logs/slurm/*/*/*.log"))
    assert "is being written by process" in logs
    hold.unlink()
    assert process.wait(200) == 0
    assert other.run("--config", "rows=a") == 0
    assert other.starts("a") == 0, "it reads what the first has written"
    finish(toy, undisturbed)


def test_output_cut_short_is_made_again(toy, undisturbed):
    toy.lay("truncate", "a")
    assert toy.run("--retries", "0") == 1
    assert list(toy.cells()) == ["b"]
    finish(toy, undisturbed)
    assert toy.starts("a") == 1, "the answers were cached"


def test_results_full(toy, undisturbed):
    results = toy.folder / "results"
    results.mkdir()
    with tmpfs(results, "64k"):
        assert toy.run("--retries", "0") == 1
        logs = "".join(path.read_text() for path in toy.folder.glob("logs/slurm/*/*/*.log"))
        assert "No space left on device" in logs
        subprocess.run(["mount", "-o", "remount,size=64m", results], check=True)
        finish(toy, undisturbed)


@contextlib.contextmanager
def tmpfs(folder, size):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_poisoned_row_leaves_the_others(toy, undisturbed):
    poison = toy.lay("poison", "a")
    assert toy.run("--config", "rows=a,b") == 1
    assert toy.cells() == {"b": undisturbed["b"]}
    assert toy.starts("a") == 3, "each attempt fails"
    poison.unlink()
    finish(toy, undisturbed)
