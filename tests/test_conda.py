"""`--sdm conda` really taken: Snakemake builds envs/<stack>/<name>.yaml, runs post-deploy scripts and activates what it built.

conda itself is stood in for by uv (tests/stand_in_conda), so no solve against a conda channel is shown here.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from edge2giant import config, records, typed
from edge2giant.plan import quantize
from edge2giant.records.cell import CellRecord
from edge2giant.records.checkpoint import CheckpointRecord
from edge2giant.specs.variant import Variant
from shared import ROOT
from test_end_to_end import copy_tree

STAND_IN = ROOT / "tests/stand_in_conda/bin"
MODEL = "tiny-0.4m"
MADE, SCORED = Variant(MODEL, "gptq-gptqmodel", "w4a16"), Variant(MODEL, "gptq-llmcompressor", "w4a16")
CELL = f"results/conda/cells/{SCORED.path}/arc_challenge.json"
STUDY = f"""
title: a slice through every step
source: miniature
protocol: paper
stack: cpu
judge: miniature
calibration: miniature
benchmarks: [arc_challenge]
tables: [1]
figure2_models: [{MODEL}]
models: {{{MODEL}: {{variants: [{MADE.method_bits}, {SCORED.method_bits}]}}}}
"""


def with_stand_in() -> dict[str, str]:
    """The environment of a user who has conda, and no virtual environment of this project."""
    return os.environ | {"PATH": f"{STAND_IN}:{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(clone: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/miniature", "--sdm", "conda", *arguments]
    done = subprocess.run(command, cwd=clone, env=with_stand_in(), capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    return said


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone without .venv and .venvs: nothing but what conda makes can run a job."""
    target = copy_tree(tmp_path_factory.mktemp("conda") / "edge2giant")
    (target / "config/studies/conda.yaml").write_text(STUDY)
    return target


@pytest.mark.e2e
def test_a_slice_of_the_dag_runs_in_environments_that_snakemake_made(clone):
    loaded = config.load(clone)
    checkpoint = f"results/{quantize.checkpoint_spec(loaded, loaded.study('conda'), MADE).path}"
    said = run(clone, "--config", "study=conda", "batch=checkpoint", "--", checkpoint, CELL)

    made = {path.stem: path for path in (clone / ".snakemake/conda").glob("*.yaml")}
    built = {path.read_bytes(): path.with_suffix("") for path in made.values()}
    expected = {name: (clone / f"envs/{name}.yaml").read_bytes() for name in ("workflow", "cpu/main", "cpu/gptqmodel")}
    assert set(built) == set(expected.values())
    assert all((folder / "conda-meta/history").is_file() for folder in built.values())
    assert "Running post-deploy script" in said  # GPTQModel has no wheel: nothing else installs it

    record = typed.as_json(records.read(clone / checkpoint / "checkpoint.json", CheckpointRecord))
    assert record["environment"]["installer"] == "conda"
    assert record["toolkit"]["packages"]["gptqmodel"] == "7.6.0"
    cell = typed.as_json(records.read(clone / CELL, CellRecord))
    assert cell["provenance"]["installer"] == "conda"
    again = run(clone, "--config", "study=conda", "batch=checkpoint", "--", checkpoint, CELL)
    assert "Nothing to be done" in again
    assert "--sdm conda" in rerun_script(clone)


def rerun_script(clone: Path) -> str:
    command = [sys.executable, "-m", "edge2giant.rerun", CELL]
    environment = os.environ | {"PYTHONPATH": str(clone / "workflow")}
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_job_runs_in_the_environment_that_conda_activated(clone, tmp_path):
    """workflow/in-env takes an activated environment that Snakemake made, and no other one that happens to be active."""
    environments = {name: tmp_path / name for name in ("of-snakemake", "of-the-user")}
    for folder in environments.values():
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/python").symlink_to("/bin/echo")
    (tmp_path / "of-snakemake.yaml").touch()  # as Snakemake keeps it beside

    def in_env(prefix: Path) -> subprocess.CompletedProcess:
        command = [str(clone / "workflow/in-env"), "cpu/main", "bash", "-c", "echo $VIRTUAL_ENV"]
        return subprocess.run(command, env=os.environ | {"CONDA_PREFIX": str(prefix)}, capture_output=True, text=True)

    assert in_env(environments["of-snakemake"]).stdout.strip() == str(environments["of-snakemake"])
    refused = in_env(environments["of-the-user"])
    assert refused.returncode == 2
    assert "environment cpu/main is not there; run: make envs STACK=cpu (or use --sdm conda)" in refused.stderr


def test_the_stand_in_refuses_what_only_conda_could_bring(tmp_path):
    (tmp_path / "env.yaml").write_text("dependencies: [python=3.11, pip, cudatoolkit=12, {pip: [numpy==2.4.6]}]")
    command = ["conda", "env", "create", "--quiet", "--file", str(tmp_path / "env.yaml"), "--prefix", str(tmp_path / "env")]
    done = subprocess.run(command, env=with_stand_in(), capture_output=True, text=True)
    assert done.returncode != 0
    assert "cudatoolkit=12" in done.stderr
    assert not (tmp_path / "env").exists()


def test_snakemake_names_what_is_missing_where_there_is_no_conda(clone):
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    command = [sys.executable, "-m", "snakemake", "-n", "--sdm", "conda", "--cores", "1", "--", CELL]
    done = subprocess.run(command, cwd=clone, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Is conda installed and accessible?" in done.stdout + done.stderr
