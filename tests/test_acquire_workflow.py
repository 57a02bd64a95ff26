"""`snakemake acquire` and `snakemake verify` as a user runs them, against a hub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from acquire_cli import MODEL
from edge2giant import grid
from edge2giant.acquisition import needs
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
    mt_bench: [fp16/w16a16]
"""
TOKEN = "hf_thetestsownsecret"
pytestmark = pytest.mark.e2e


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def house(tmp_path) -> Path:
    """A working copy with one study and nothing acquired."""
    for name in ("config", "workflow", "envs", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / "house" / name, ignore=shutil.ignore_patterns("__pycache__", "lock"))
    shutil.copy(ROOT / "Snakefile", tmp_path / "house")
    for path in (tmp_path / "house/config/studies").glob("*.yaml"):
        path.unlink()
    (tmp_path / "house/config/studies/fetching.yaml").write_text(STUDY)
    return tmp_path / "house"


def offer(server, house: Path) -> list[needs.Need]:
    """Put all that the study needs onto the hub."""
    loaded = grid.load(house)
    wanted = needs.of_study(loaded, loaded.study("fetching"))
    for need in wanted:
        if need.kind == "model":
            server.add("model", need.repo, MODEL, gated=True)
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


def snakemake(house: Path, server, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "HF_ENDPOINT": server.url,
        "EDGE2GIANT_RAW_URL": f"{server.url}/raw",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(house.parent / "home"),
        "XDG_CACHE_HOME": str(house.parent / "cache"),
    }
    environment.pop("CONDA_PREFIX", None)
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--retries", "0", *arguments, "--config", "study=fetching",
         f"token_file={house.parent / 'hub.token'}"],
        cwd=house, env=environment, capture_output=True, text=True,
    )  # fmt: skip


def test_acquire_plans_fetches_locks_and_verifies(house, server):
    wanted = offer(server, house)
    token = house.parent / "hub.token"
    token.write_text("")
    run = snakemake(house, server, "acquire")
    assert run.returncode and "holds 0 words instead of one token" in run.stdout + run.stderr
    token.write_text(TOKEN)
    token.chmod(0o600)
    run = snakemake(house, server, "acquire")  # the hub does not know this token
    assert run.returncode and "refuses this token" in run.stdout + run.stderr
    assert not server.requests("/resolve/") and not server.requests("/raw/", "GET"), "nothing is fetched before all can be had"

    server.tokens.add(TOKEN)
    server.faults.append(Fault("/storage/", "truncate", times=1, method="GET"))
    run = snakemake(house, server, "acquire")
    assert not run.returncode, run.stderr[-3000:]
    assert f"{len(wanted)} to fetch" in run.stdout
    locks = sorted(p.relative_to(house / "config/lock/hub").as_posix() for p in (house / "config/lock/hub").rglob("*.json"))
    assert locks == sorted(need.lock for need in wanted)
    for lock in locks:
        assert (house / "results/store/hub" / lock).read_bytes() == (house / "config/lock/hub" / lock).read_bytes()

    server.log.clear()
    run = snakemake(house, server, "acquire")
    assert not run.returncode and not server.log, "a second run asks nobody"

    run = snakemake(house, server, "verify")
    assert not run.returncode and run.stdout.count("as locked and committed") == len(wanted), run.stdout
    (house / "results/store/hub/mt_bench/question.jsonl").write_text("{ }")
    (house / "results/store/hub/nltk.lock.json").unlink()
    run = snakemake(house, server, "verify")
    output = run.stdout + run.stderr
    assert run.returncode and "question.jsonl: differs" in output and "nltk.lock.json: is missing" in output
    assert not server.log, "verify fetches nothing"

    written = [path for path in house.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()], "the token is in a file of the run"
    assert TOKEN not in run.stdout + run.stderr
