"""workflow/on-nodes: a real Ray cluster over two nodes of a real SLURM job, and nothing of it left behind.

vLLM's CPU build refuses Ray (its platform names no Ray device), so Ray's own workers report ranks, addresses and environment.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
import rehearsal
from rehearsal import ROOT, wait_for

RAY = Path(os.environ.get("EDGE2GIANT_RAY_ENV", ROOT / ".venvs/cpu/ray"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.ci,
    pytest.mark.timeout(400),
    pytest.mark.skipif(rehearsal.missing() is not None, reason=f"no SLURM here: {rehearsal.missing()}"),
]
needs_ray = pytest.mark.skipif(
    not (RAY / "bin/ray").exists(), reason=f"no Ray in {RAY} (make envs STACK=cpu, or set EDGE2GIANT_RAY_ENV)"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with rehearsal.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def submit(cluster, folder, command, nodes=2, **more):
    """Submit as the executor does: the rule's shell sees nothing of SLURM but the job's number."""
    script = folder / "job.sh"
    exports = "\n".join(f"export {name}={value}" for name, value in more.items())
    script.write_text(
        "#!/bin/bash\n"
        "unset $(env | grep -oE '^(SLURM|SRUN|SBATCH)_[A-Z_]+' | grep -v SLURM_JOB_ID)\n"
        f"export PATH={RAY}/bin:$PATH EDGE2GIANT_MARK=carried\n{exports}\n{ROOT}/workflow/on-nodes {command}\necho status $?\n"
    )
    options = [f"--nodes={nodes}", f"--ntasks={nodes}", "--partition=h100", "--gres=gpu:h100:8", "--mem=4000", "--time=10"]
    return cluster("sbatch", "--parsable", f"--output={folder}/log", f"--chdir={folder}", *options, str(script)).strip()


def ended(cluster, job):
    return cluster("squeue", "--noheader", f"--jobs={job}", "--states=all", "--format=%T").strip() in (
        "COMPLETED",
        "FAILED",
        "CANCELLED",
    )


def of_job(job):
    """Processes on this machine that carry a SLURM job's number."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"SLURM_JOB_ID={job}\0".encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return [command for command in found if command]


@needs_ray
def test_workers_run_on_both_nodes_and_leave_nothing_behind(cluster, tmp_path):
    job = submit(cluster, tmp_path, f"python {rehearsal.HERE}/ranks.py")
    wait_for(lambda: ended(cluster, job), "the job to end", 300)
    log = (tmp_path / "log").read_text()
    answers = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert "status 0" in log, log
    assert [answer["rank"] for answer in answers] == [0, 1]
    assert sorted(answer["SLURMD_NODENAME"] for answer in answers) == ["h100-1", "h100-2"]
    assert {answer["CUDA_VISIBLE_DEVICES"] for answer in answers} == {"0,1,2,3,4,5,6,7"}
    assert {answer["EDGE2GIANT_MARK"] for answer in answers} == {"carried"}
    assert {answer["job"] for answer in answers} == {job} and all(answer["address"] for answer in answers)
    wait_for(lambda: not of_job(job), "the last process of the job to go", 60)


@needs_ray
def test_failing_command_fails_the_job_step(cluster, tmp_path):
    job = submit(cluster, tmp_path, "bash -c 'exit 7'")
    wait_for(lambda: ended(cluster, job), "the job to end", 300)
    assert "status 7" in (tmp_path / "log").read_text()
    wait_for(lambda: not of_job(job), "the last process of the job to go", 60)


def test_a_step_that_ends_first_ends_the_command(cluster, tmp_path):
    """The site's own starter, which here gives up."""
    starter = tmp_path / "starter"
    starter.write_text(f'#!/bin/sh\necho "$1 $2 $3" >>{tmp_path}/asked\nsleep 1\nexit 3\n')
    starter.chmod(0o755)
    job = submit(cluster, tmp_path, "sleep 300", EDGE2GIANT_RAY_START=starter)
    wait_for(lambda: ended(cluster, job), "the job to end", 120)
    log = (tmp_path / "log").read_text()
    assert "error: Ray ended on a node (exit 3)" in log and "status 1" in log
    assert (tmp_path / "asked").read_text().startswith("head ")
    wait_for(lambda: not of_job(job), "the last process of the job to go", 60)


def test_one_node_runs_the_command_as_it_is(cluster, tmp_path):
    job = submit(cluster, tmp_path, "echo alone", nodes=1)
    wait_for(lambda: ended(cluster, job), "the job to end")
    assert (tmp_path / "log").read_text().split() == ["alone", "status", "0"]


def test_outside_slurm_the_command_runs_as_it_is():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    done = subprocess.run(
        [ROOT / "workflow/on-nodes", "echo", "alone"], env=environment, capture_output=True, text=True, timeout=10
    )
    assert (done.returncode, done.stdout) == (0, "alone\n")
