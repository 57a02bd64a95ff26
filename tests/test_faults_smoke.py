"""The worst faults, done to the smoke study on a real SLURM.

Every cell afterwards equals the undisturbed run's in score and samples.

`EDGE2GIANT_SMOKE` may name a clone in which that undisturbed run has been made.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import rehearsal
from edge2giant import records, typed
from edge2giant.records.cell import CellRecord
from rehearsal import ROOT, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(rehearsal.missing() is not None, reason=f"no SLURM here: {rehearsal.missing()}"),
    pytest.mark.skipif(not (ROOT / ".venvs/cpu/main/bin/python").exists(), reason="no .venvs/cpu/main (make setup)"),
]
COMMAND = ["snakemake", "--profile", "slurm", "--config", "study=smoke", "cluster=rehearsal", "batch=checkpoint"]
POISONED = "tiny-0.4m/gptq-llmcompressor/w4a16"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with rehearsal.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


class Clone:
    """A clone of the repository in which the smoke study runs."""

    def __init__(self, on, folder):
        self.on, self.folder = on, folder
        self.started = []

    def fill(self, source=None):
        """Copy the code, and the store and checkpoints of a finished run."""
        for name in ("Snakefile", "workflow", "config", "profiles", "envs", "slurm", ".git", ".venv", ".venvs"):
            path = ROOT / name
            if name in (".venv", ".venvs"):
                (self.folder / name).symlink_to(path.resolve())
            elif path.is_symlink():
                (self.folder / name).symlink_to(path.readlink())
            elif path.is_dir():
                shutil.copytree(path, self.folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            elif path.exists():
                shutil.copy(path, self.folder / name)
        for name in ("store", "checkpoints") if source else ():
            shutil.copytree(source / "results" / name, self.folder / "results" / name, symlinks=True)
        return self

    def start(self, *targets):
        environment = {name: value for name, value in self.on.environment.items() if name != "PYTHONPATH"}
        with (self.folder / "run.log").open("a") as log:
            command = [*COMMAND, "--", *(targets or ["all"])]
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.started.append(process)
        return process

    def run(self, *targets):
        return self.start(*targets).wait(800)

    def log(self):
        return (self.folder / "run.log").read_text()

    def cells(self):
        found = {}
        for path in (self.folder / "results/smoke/cells").glob("**/*.json"):
            record = typed.as_json(records.read(path, CellRecord))
            found[path.relative_to(self.folder / "results/smoke/cells").as_posix()] = record["score"], record["samples"]["sha256"]
        return found

    def worker(self, row):
        """The pid of a row's evaluation, once its engine is at work."""
        found = []

        def at_work():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = path.read_bytes().decode(errors="replace").split("\0")
                    if (
                        "edge2giant.evaluate" in words
                        and row in "/".join(words)
                        and (path.parent / "cwd").resolve() == self.folder
                    ):
                        found[:] = [int(path.parent.name)]
                        return True
                except OSError:
                    continue
            return False

        wait_for(at_work, f"the evaluation of {row}", 400)
        return found[0]

    def engine_starts(self):
        return sum(
            "ready after" in line
            for path in self.folder.glob("logs/smoke/evaluate/**/*.log")
            for line in path.read_text().splitlines()
        )

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        for job in self.on.jobs(self.folder):
            self.on("scancel", job, check=False)


@pytest.fixture(scope="module")
def undisturbed(cluster, tmp_path_factory):
    if given := os.environ.get("EDGE2GIANT_SMOKE"):
        return Clone(cluster, Path(given))
    made = Clone(cluster, tmp_path_factory.mktemp("undisturbed")).fill()
    assert made.run() == 0, made.log()
    return made


@pytest.fixture
def clone(cluster, undisturbed, tmp_path):
    made = Clone(cluster, tmp_path.resolve()).fill(undisturbed.folder)
    yield made
    made.end()


def test_jobs_ask_for_the_gpus_of_the_models_they_stand_for(cluster, undisturbed):
    shown = cluster("squeue", "--noheader", "--states=all", "--format=%Z|%P|%i|%k")
    jobs = [line.split("|") for line in shown.splitlines() if Path(line.split("|")[0]).resolve() == undisturbed.folder.resolve()]
    assert len(jobs) >= 4
    for _, partition, number, comment in jobs:
        asked = cluster("scontrol", "show", "job", number)
        if comment.startswith("rule_quantize_wildcards_tiny-0.4m_fp16"):
            assert "gres:gpu" not in asked, "a checkpoint that is linked needs no GPU"
        else:
            assert partition == "a6000" and "TresPerJob=gres:gpu:a6000:1" in asked


def test_worker_killed(clone, undisturbed):
    process = clone.start()
    os.kill(clone.worker("gptq-llmcompressor"), signal.SIGKILL)
    assert process.wait(800) == 0, clone.log()
    assert clone.cells() == undisturbed.cells()


def test_snakemake_killed_and_resumed(clone, undisturbed):
    process = clone.start()
    for method in ("fp16", "gptq-llmcompressor"):
        clone.worker(method)
    process.kill()
    process.wait()
    assert clone.run() == 1 and "cannot be locked" in clone.log()
    resuming = ["workflow/in-env", "workflow", "python", "-m", "edge2giant.cluster", "resume"]
    done = subprocess.run(resuming, cwd=clone.folder, env=clone.on.environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "took the lock of a dead snakemake away" in done.stdout, done.stderr
    assert clone.run() == 0, clone.log()
    assert clone.cells() == undisturbed.cells()
    assert clone.engine_starts() == 2, "no evaluation was made twice"


def test_poisoned_checkpoint_is_shown_with_its_reason(clone, undisturbed):
    (weights,) = (clone.folder / "results/checkpoints" / POISONED).glob("*/model.safetensors")
    kept = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(b"\xff" * len(kept))
    assert clone.run() == 1
    healthy = {name: cell for name, cell in undisturbed.cells().items() if not name.startswith(POISONED)}
    assert clone.cells() == healthy, "all other rows finish"
    table = (clone.folder / "paper_figures/smoke/partial/table1.md").read_text()
    assert "evaluate: " in table, table
    weights.write_bytes(kept)
    assert clone.run() == 0, clone.log()
    assert clone.cells() == undisturbed.cells()
