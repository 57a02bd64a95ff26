"""profiles/slurm and profiles/workstation, without SLURM and without a GPU."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROFILES = ROOT / "profiles"
SHOW = """
configfile: "config.yaml"
rule all:
    resources:
        mem_mb=1000, gpu=1
    shell: "echo {config[study]} {config[batch]}"
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a Snakefile that shows its config."""
    (tmp_path / "Snakefile").write_text(SHOW)
    (tmp_path / "config.yaml").write_text("study: miniature\nbatch: suite\n")
    return tmp_path


def dry_run(folder, profile, *more, tools=(), **environment):
    """Run `snakemake -n` on a machine that has Python, a shell and the given fake tools."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    for name, text in dict(tools).items():
        (binaries / name).write_text(f"#!/bin/sh\n{text}\n")
        (binaries / name).chmod(0o755)
    for name in ("bash", "sh", "id", "which", "uname"):
        if not (binaries / name).exists():
            (binaries / name).symlink_to(shutil.which(name))
    command = [sys.executable, "-m", "snakemake", "-n", "-p", "--profile", str(profile), *more]
    clean = {"PATH": str(binaries), "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(command, cwd=folder, env=clean | environment, capture_output=True, text=True, timeout=120)


def test_no_profile_sets_what_the_default_sets():
    default = yaml.safe_load((PROFILES / "default/profile.yaml").read_text())
    assert list(default) == ["cores"], "it wins over every other profile, key by key"
    for path in PROFILES.glob("*/profile.yaml"):
        if path.parent.name != "default":
            assert "cores" not in yaml.safe_load(path.read_text())


def test_no_profile_sets_a_deployment_method():
    assert not [path for path in PROFILES.glob("*/*.yaml") if "software-deployment-method" in path.read_text()]


def test_every_profile_key_is_an_option():
    shown = subprocess.run([sys.executable, "-m", "snakemake", "--help"], capture_output=True, text=True, check=True).stdout
    for path in PROFILES.glob("*/profile.yaml"):
        keys = [key for key in yaml.safe_load(path.read_text()) if not key.startswith("__")]
        assert [key for key in keys if f"--{key}" not in shown] == [], path


def test_link_at_the_top_makes_the_literal_command_work():
    assert (ROOT / "slurm").resolve() == (PROFILES / "slurm").resolve()


def test_dry_run_needs_no_slurm(folder):
    done = dry_run(folder, PROFILES / "slurm")
    assert done.returncode == 0, done.stderr
    assert "echo paper suite" in done.stdout + done.stderr, "the profile's study counts"


def test_users_config_changes_one_key_alone(folder):
    done = dry_run(folder, PROFILES / "slurm", "--config", "batch=benchmark")
    assert "echo paper benchmark" in done.stdout + done.stderr
    done = dry_run(folder, PROFILES / "slurm", "--config", "study=miniature")
    assert "echo miniature suite" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["HF_TOKEN", "OPENAI_API_KEY", "MY_SECRET", "DB_PASSWORD"])
def test_exported_secret_is_refused_without_showing_it(folder, name):
    done = dry_run(folder, PROFILES / "slurm", **{name: "hunter2"})
    assert done.returncode != 0
    assert f"{name} is exported and would reach every node" in done.stderr and "hunter2" not in done.stderr


def test_words_that_only_look_like_secrets_pass(folder):
    done = dry_run(folder, PROFILES / "slurm", TOKENIZERS_PARALLELISM="false", HF_TOKEN="", SSH_KEYPATH="x")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("tools", "chosen"),
    [
        ({"sacct": "exit 0", "scontrol": "echo 'AccountingStorageType   = accounting_storage/slurmdbd'"}, "sacct"),
        ({"sacct": "exit 1", "scontrol": "echo 'AccountingStorageType   = accounting_storage/none'"}, "squeue"),
        ({"sacct": "exit 1", "scontrol": "exit 1"}, "squeue"),
        ({}, "squeue"),
    ],
)
def test_status_is_asked_of_what_the_site_has(tmp_path, monkeypatch, tools, chosen):
    yte = pytest.importorskip("yte")
    for name, text in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    for name in [name for name in os.environ if name.endswith(("TOKEN", "KEY", "SECRET", "PASSWORD"))]:
        monkeypatch.delenv(name)
    Path(tmp_path / "sh").symlink_to("/bin/sh")
    with (PROFILES / "slurm/profile.yaml").open() as stream:
        assert yte.process_yaml(stream, require_use_yte=True)["slurm-status-command"] == chosen


@pytest.mark.parametrize(
    ("tools", "environment", "count"),
    [
        ({"nvidia-smi": "printf '0\\n1\\n'"}, {}, 2),
        ({"nvidia-smi": "printf '0\\n1\\n'"}, {"CUDA_VISIBLE_DEVICES": "1"}, 1),
        ({}, {"EDGE2GIANT_GPUS": "0,1,2,3", "CUDA_VISIBLE_DEVICES": "1"}, 4),
        ({}, {}, 0),
    ],
)
def test_workstation_counts_its_gpus(folder, tools, environment, count):
    (folder / "Snakefile").write_text(SHOW + "print('resources', workflow.global_resources['node_gpus'].value)\n")
    done = dry_run(folder, PROFILES / "workstation", tools=tools, **environment)
    assert done.returncode == 0, done.stderr
    assert f"resources {count}" in done.stdout
