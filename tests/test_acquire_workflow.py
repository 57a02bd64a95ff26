"""`snakemake acquire` and `snakemake verify` as a user runs them, against a hub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from acquire_cli import files_of
from edge2giant.plan import acquire as fetching
from edge2giant.plan import open_plan
from edge2giant.specs.acquire import FetchSpec
from edge2giant.store import punkt
from hub_server import Fault, serving
from shared import ROOT
from test_acquire_sources import tables, zipped

STUDY = """
title: what a test fetches
source: hub
protocol: paper
stack: cpu
judge: miniature
benchmarks: [arc_challenge, gpqa, ifeval, mt_bench]
tables: [1, 2]
figure2_models: [llama-3.2-1b-it]
models:
  llama-3.2-1b-it:
    variants: [fp16/w16a16, awq/w4a16]
    judged: [fp16/w16a16]
"""
TOKEN = "hf_thetestsownsecret"
pytestmark = pytest.mark.e2e


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def clone(tmp_path) -> Path:
    """A working copy with one study and nothing acquired."""
    for name in ("config", "workflow", "envs", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("__pycache__", "lock"))
    shutil.copy(ROOT / "Snakefile", tmp_path / "clone")
    for path in (tmp_path / "clone/config/studies").glob("*.yaml"):
        path.unlink()
    (tmp_path / "clone/config/studies/fetching.yaml").write_text(STUDY)
    return tmp_path / "clone"


def offer(server, clone: Path) -> list[FetchSpec]:
    """Put all that the study needs onto the hub."""
    run = {"study": "fetching", "batch": "suite", "results": "results", "figures": "paper_figures"}
    opened = open_plan(run, root=clone)
    facts = opened.config.models["llama-3.2-1b-it"].facts
    wanted = list(fetching.pieces(opened, "fetching"))
    for need in wanted:
        if need.kind == "model":
            server.add("model", need.repo, files_of(facts), gated=True)
        elif need.kind == "dataset":
            repo = server.add("dataset", need.repo, {"data/test-00000-of-00001.parquet": b"PAR1" * 400, "README.md": b"---"})
            repo.commits[need.revision] = repo.commits[repo.main]
        elif need.kind == "calibration":
            lines = "".join(json.dumps({"text": f"document {number}"}) + "\n" for number in range(3)).encode()
            names = {"pile-val-128x512": "val.jsonl"}
            server.add("dataset", need.repo, {names.get(need.name, "data/train-00000.jsonl"): lines})
        else:
            contents = {name: zipped(tables()) if name == punkt.ARCHIVE else b"{}\n" for name in need.patterns}
            server.raw |= {f"{need.repo}/{need.revision}/{name}": data for name, data in contents.items()}
    return wanted


def snakemake(clone: Path, server, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "HF_ENDPOINT": server.url,
        "EDGE2GIANT_RAW_URL": f"{server.url}/raw",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(clone.parent / "home"),
        "XDG_CACHE_HOME": str(clone.parent / "cache"),
    }
    environment.pop("CONDA_PREFIX", None)
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--retries", "0", *arguments, "--config", "study=fetching",
         f"token_file={clone.parent / 'hub.token'}"],
        cwd=clone, env=environment, capture_output=True, text=True,
    )  # fmt: skip


def test_acquire_plans_fetches_locks_and_verifies(clone, server):
    wanted = offer(server, clone)
    token = clone.parent / "hub.token"
    token.write_text("")
    run = snakemake(clone, server, "acquire")
    assert run.returncode and "holds 0 words instead of one token" in run.stdout + run.stderr
    token.write_text(TOKEN)
    token.chmod(0o600)
    run = snakemake(clone, server, "acquire")  # the hub does not know this token
    assert run.returncode and "refuses this token" in run.stdout + run.stderr
    assert not server.requests("/resolve/") and not server.requests("/raw/", "GET"), "nothing is fetched before all can be had"

    server.tokens.add(TOKEN)
    server.faults.append(Fault("/storage/", "truncate", times=1, method="GET"))
    run = snakemake(clone, server, "acquire")
    assert not run.returncode, run.stderr[-3000:]
    assert f"{len(wanted)} to fetch" in run.stdout
    locks = sorted(p.relative_to(clone / "config/lock/hub").as_posix() for p in (clone / "config/lock/hub").rglob("*.json"))
    assert locks == sorted(need.lock for need in wanted)
    for lock in locks:
        assert (clone / "results/store/hub" / lock).read_bytes() == (clone / "config/lock/hub" / lock).read_bytes()

    server.log.clear()
    run = snakemake(clone, server, "acquire")
    assert not run.returncode and not server.log, "a second run asks nobody"

    run = snakemake(clone, server, "verify")
    assert not run.returncode and run.stdout.count("as locked and committed") == len(wanted), run.stdout
    (clone / "results/store/hub/datasets/mt_bench/question.jsonl").write_text("{ }")
    (clone / "results/store/hub/nltk.lock.json").unlink()
    run = snakemake(clone, server, "verify")
    output = run.stdout + run.stderr
    assert run.returncode and "question.jsonl: differs" in output and "nltk.lock.json: is missing" in output
    assert not server.log, "verify fetches nothing"

    written = [path for path in clone.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()], "the token is in a file of the run"
    assert TOKEN not in run.stdout + run.stderr
