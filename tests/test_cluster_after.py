"""What comes after a run: who owns the folder, what is damaged, why rows failed, what it cost. No SLURM needed."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from edge2giant import config, failures, records, typed
from edge2giant.cluster import cost, forecast, owner, partial, reasons, resume, sweep
from edge2giant.errors import UserError
from edge2giant.records.failure import Failure
from edge2giant.specs.variant import Variant
from factories import make_cell
from shared import ROOT

ROW = Variant("tiny-0.4m", "gptq-llmcompressor", "w4a16")
TRIED = reasons.Tried("smoke", ROW, "0123456789ab")


@pytest.fixture(scope="module")
def loaded():
    return config.load()


# --- owner and resume ------------------------------------------------------------------------------------------------


@pytest.fixture
def without_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


def lock(folder):
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.input.lock").write_text("x\n")


def test_dead_owner_is_unlocked(tmp_path, without_slurm):
    lock(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    records.write_json(
        tmp_path / owner.CLAIM, {"host": socket.gethostname(), "pid": process.pid, "started": owner.started(process.pid)}
    )
    with pytest.raises(UserError, match=f"process {process.pid}\\) is at work"):
        resume.resume(tmp_path)
    process.kill()
    process.wait()
    said = []
    resume.resume(tmp_path, say=said.append)
    assert said == ["took the lock of a dead snakemake away"] and not resume.locked(tmp_path)


def test_owner_on_another_host_is_not_guessed(tmp_path, without_slurm):
    lock(tmp_path)
    records.write_json(tmp_path / owner.CLAIM, {"host": "login2", "pid": 7, "started": 1})
    with pytest.raises(UserError, match="process 7 on login2, which cannot be seen from here"):
        resume.resume(tmp_path)
    resume.resume(tmp_path, elsewhere_is_gone=True, say=lambda line: None)
    assert not resume.locked(tmp_path)


def test_pid_that_was_given_to_another_process_is_no_owner(tmp_path):
    claimed = {"host": socket.gethostname(), "pid": os.getpid(), "started": owner.started(os.getpid()) - 1}
    assert owner.alive(claimed) is False


def test_owner_of_this_folder_is_found_without_a_claim(tmp_path, without_slurm):
    (tmp_path / "Snakefile").write_text("")
    fake = tmp_path / "snakemake"
    fake.write_text("import time; time.sleep(60)")
    process = subprocess.Popen([sys.executable, str(fake)], cwd=tmp_path)
    try:
        with pytest.raises(UserError, match=f"process {process.pid}"):
            resume.resume(tmp_path)
    finally:
        process.kill()
        process.wait()


def test_local_orphan_is_adopted_or_cancelled(tmp_path, without_slurm):
    command = [sys.executable, "-c", "import sys, time; time.sleep(float(sys.argv[1]))", "1.5", "edge2giant.evaluate"]
    process = subprocess.Popen(command, cwd=tmp_path)
    watcher = subprocess.Popen(
        [sys.executable, "-m", "edge2giant.cluster", "resume"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    process.wait()
    told, _ = watcher.communicate(timeout=60)
    assert f"waiting for process {process.pid}" in told
    process = subprocess.Popen([*command[:3], "60", "edge2giant.evaluate"], cwd=tmp_path)
    cancelling = subprocess.Popen(
        [sys.executable, "-m", "edge2giant.cluster", "resume", "--cancel"], cwd=tmp_path, env=_environment()
    )
    assert process.wait(30) == -15
    assert cancelling.wait(30) == 0


def _environment():
    return os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/nowhere"}


@pytest.fixture
def squeue(monkeypatch, tmp_path):
    """Put a squeue with this script on the PATH."""

    def put(script):
        tool = tmp_path / "bin/squeue"
        tool.parent.mkdir()
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")

    return put


def run_ended_badly(executor, folder):
    """A run that was killed on a host whose claim is gone."""
    lock(folder)
    owner.claim(executor, folder)
    (folder / owner.CLAIM).unlink()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "squeue failed .*Unable to contact"),
        ("exec sleep 60", "squeue gave no answer in 0.5 s; wait until SLURM answers"),
    ],
)
def test_slurm_that_does_not_answer_stops_the_resume(tmp_path, squeue, monkeypatch, script, message):
    monkeypatch.setattr(resume, "QUERY_SECONDS", 0.5)
    squeue(script)
    run_ended_badly("slurm", tmp_path)
    with pytest.raises(UserError, match=message):
        resume.resume(tmp_path)
    assert resume.locked(tmp_path)


@pytest.mark.parametrize(("executor", "script"), [("local", "exit 1"), ("slurm", "")])
def test_a_run_is_resumed_and_a_local_one_without_asking_slurm(tmp_path, squeue, executor, script):
    squeue(script)
    run_ended_badly(executor, tmp_path)
    resume.resume(tmp_path, say=lambda line: None)
    assert not resume.locked(tmp_path) and not owner.submitted_to_slurm(tmp_path)


def test_slurm_is_not_asked_after_a_run_that_ended_well(tmp_path, squeue):
    squeue("exit 1")
    owner.claim("slurm", tmp_path)
    owner.release(tmp_path)
    assert resume.slurm_orphans(tmp_path) == []


def test_jobs_of_slurm_are_not_forgotten_on_a_machine_without_it(tmp_path, without_slurm):
    lock(tmp_path)
    (tmp_path / owner.SUBMITTED).touch()
    with pytest.raises(UserError, match="resume on the login node"):
        resume.resume(tmp_path)


def test_parts_of_a_snakemake_inside_a_job_are_no_owner():
    assert owner.is_snakemake(["python", "/x/bin/snakemake", "all"]) and owner.is_snakemake(["python", "-m", "snakemake"])
    assert not owner.is_snakemake(["python", "-m", "snakemake", "--mode", "remote"])
    assert not owner.is_snakemake(["less", "docs/snakemake"])


# --- damaged outputs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "whole"),
    [
        ("cells/m/x.json", '{"a": 1}', True),
        ("cells/m/x.json", '{"a": 1', False),
        ("cells/m/x.json", "", False),
        ("cells/m/x.json", '{"a": 1}{', False),
        ("answers/a.jsonl", '{"a": 1}\n{"b": 2}\n', True),
        ("judgments/a.jsonl", '{"a": 1}\n{"b": 2', False),
        ("judgments/a.jsonl", '{"a": 1}\n{"b": 2}', False),  # cut at the end of a line, before its newline
    ],
)
def test_outputs_that_are_cut_are_taken_away(tmp_path, name, text, whole):
    path = tmp_path / "s" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert sweep.sweep_results(tmp_path, "s") == ([] if whole else [path]) and path.exists() == whole


def test_checkpoint_with_weights_cut_short_is_taken_away(tmp_path):
    folder = tmp_path / "checkpoints/m/fp16/w16a16/abc"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    records.write_json(folder / "checkpoint.json", {"size": {"weights_bytes": 100}})
    making = folder.parent / ".abc.making-7"
    making.mkdir()
    assert sweep.sweep_results(tmp_path, "s") == [], "what a quantizer works in is not swept"
    (folder / "model.safetensors").write_bytes(b"x" * 99)
    assert sweep.sweep_results(tmp_path, "s") == [folder] and not folder.exists()


# --- why a variant failed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("slurmstepd: error: *** JOB 2 ON h100 CANCELLED AT 2026-11-21T19:54:36 DUE TO TIME LIMIT ***", "time limit reached"),
        ("slurmstepd-a6000: error: StepId=2.batch exceeded memory limit (123 > 104), being killed", "out of memory"),
        ("slurmstepd: error: *** JOB 9 ON h100 CANCELLED AT 2026 DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***", "node failed"),
        ("slurmstepd: error: *** JOB 2 ON a6000 CANCELLED AT 2026-11-21T19:54:36 ***", "job cancelled"),
        ("all went well", None),
    ],
)
def test_slurms_word_is_understood(text, says):
    assert reasons.slurm_reason(text) == says


def write_log(path, text, at):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))


def test_the_newest_word_counts(tmp_path):
    results, logs, now = tmp_path / "results", tmp_path / "logs", time.time()
    assert reasons.failure(results, logs, TRIED) is None
    with pytest.raises(ValueError), failures.recorded(results / "failures", "smoke", ROW, "evaluate"):
        raise ValueError("header too large")
    assert reasons.failure(results, logs, TRIED).reason == "ValueError: header too large"
    name = "_".join(["smoke", ROW.model, ROW.method, ROW.bits, "leaderboard_v1"])
    write_log(logs / "slurm/rule_evaluate" / name / "7.log", "error: *** JOB 7 CANCELLED AT now DUE TO TIME LIMIT ***", now + 60)
    found = reasons.failure(results, logs, TRIED)
    assert (found.phase, found.reason) == ("evaluate", "time limit reached")
    assert typed.problem(Failure, typed.as_json(found)) is None


def test_step_without_a_record_is_found_by_its_log(tmp_path):
    log = tmp_path / "logs/quantize" / ROW.path / "0123456789ab.log"
    write_log(log, "loading\nerror: layers.0: 100 input channels do not split into groups of 128; choose another\n", time.time())
    found = reasons.failure(tmp_path / "results", tmp_path / "logs", TRIED)
    assert found.phase == "quantize" and found.reason.startswith("layers.0: 100 input channels")
    assert found.log == log.as_posix()


def test_failed_making_is_the_failure_of_rows_that_take_that_checkpoint_alone(tmp_path):
    folder = tmp_path / "results/failures"
    with pytest.raises(UserError), failures.recorded(folder, failures.of_checkpoint(TRIED.digest), ROW, "quantize"):
        raise UserError("100 input channels do not split", "layers.0")
    write_log(tmp_path / "logs/quantize" / ROW.path / "another.log", "error: of another recipe\n", time.time() + 60)
    found = reasons.failure(tmp_path / "results", tmp_path / "logs", TRIED)
    assert (found.study, found.phase) == ("smoke", "quantize") and "do not split" in found.reason
    other = reasons.Tried("smoke", ROW, "ba9876543210")
    assert reasons.failure(tmp_path / "results", tmp_path / "logs", other) is None


def write_cells(loaded, study, results, but=()):
    for cell in loaded.study(study).cells:
        if cell.variant not in but and cell.benchmark != "mt_bench":
            record = make_cell(study=study, **asdict(cell.variant), benchmark=cell.benchmark)
            records.write_json(results / study / "cells" / cell.variant.path / f"{cell.benchmark}.json", record)


def test_partial_shows_a_failed_row_with_its_reason(loaded, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow"))
    results, study = tmp_path / "results", loaded.study("smoke")
    write_cells(loaded, "smoke", results, but=[ROW])
    with pytest.raises(UserError), failures.recorded(results / "failures", "smoke", ROW, "evaluate"):
        raise UserError("cannot be loaded", "checkpoint")
    told = partial.render(loaded, study, results, tmp_path / "logs", tmp_path / "out")
    assert "1 variants failed" in told
    shown = (tmp_path / "out/table1.md").read_text()
    assert "checkpoint: cannot be loaded" in shown


def test_partial_has_every_table_of_the_study(loaded, tmp_path):
    results, study = tmp_path / "results", loaded.study("paper")
    with pytest.raises(UserError), failures.recorded(results / "failures", "paper", study.variants[0], "evaluate"):
        raise UserError("cannot be loaded", "checkpoint")
    partial.render(loaded, study, results, tmp_path / "logs", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("table*.csv")} == {f"table{number}.csv" for number in study.tables}


def test_partial_of_nothing_says_so(loaded, tmp_path):
    with pytest.raises(UserError, match="no cell exists"):
        partial.render(loaded, loaded.study("smoke"), tmp_path, tmp_path / "logs", tmp_path / "out")


# --- cost ------------------------------------------------------------------------------------------------------------


def paper_lines(loaded):
    return forecast.Forecast(loaded, loaded.study("paper"), loaded.clusters["paper-two-h100"], "suite").lines()


def test_every_cell_of_the_paper_has_a_forecast(loaded):
    lines = paper_lines(loaded)
    cells = [line for line in lines if line.step == "cell"]
    assert len(cells) == len(loaded.study("paper").cells)
    linked = [line for line in lines if line.step == "quantize" and line.method == "fp16"]
    assert linked and all(line.forecast_gpu_seconds == 0 < line.forecast_seconds and not line.gpu for line in linked)
    assert all(line.forecast_gpu_seconds > 0 for line in lines if line not in linked)


def test_sums_are_those_of_their_lines(loaded):
    lines = paper_lines(loaded)
    groups = cost.groups(lines)
    assert list(groups) == ["quantize", "load", "Table 1", "Table 2", "Figure 2"]
    sums = [cost.total(members, "forecast_gpu_seconds") for members in groups.values()]
    assert sum(sums) == pytest.approx(sum(line.forecast_gpu_seconds for line in lines))
    assert cost.total(lines, "seconds") is None
    lines[-1].place = "Table 8"
    assert cost.groups(lines)["Table 8"] == lines[-1:], "a suite of the user's own has its sum"


def test_forecast_follows_its_formula():
    workload = SimpleNamespace(shares=SimpleNamespace(prefill=0.5, bandwidth=0.5), concurrency=10)
    partition = SimpleNamespace(tflops=100, bandwidth_gb_s=1000)
    # 2 x 1e9 x 1e6 operations at 2 x 50 Tflop/s, and 100 steps of 1 GB at 2 x 500 GB/s
    assert forecast.cell_seconds(10**9, 10**9, 1, (1e6, 1e3), partition, 2, workload) == pytest.approx(20 + 0.1)
    assert forecast.cell_seconds(10**9, 10**9, 2, (1e6, 0), partition, 2, workload) == pytest.approx(10)


def test_what_cells_have_counted_goes_before_the_estimate(loaded):
    study, variant = loaded.study("paper"), loaded.study("paper").variants[0]
    few = SimpleNamespace(cost=SimpleNamespace(tokens_in=3000, tokens_cached=1000, tokens_out=10))
    more = SimpleNamespace(cost=SimpleNamespace(tokens_in=6000, tokens_cached=0, tokens_out=30))
    tokens = cost.counted({variant: {"gsm8k": few}, study.variants[1]: {"gsm8k": more}})
    assert tokens == {"gsm8k": (4000, 20)}
    estimated = {line.benchmark: line.forecast_seconds for line in paper_lines(loaded) if line.step == "cell"}
    for line in forecast.Forecast(loaded, study, loaded.clusters["paper-two-h100"], "suite", tokens).lines():
        if line.step == "cell" and line.model == study.variants[-1].model:
            assert (line.forecast_seconds < estimated[line.benchmark] / 10) == (line.benchmark == "gsm8k")


def test_measured_cost_stands_beside_the_forecast(loaded, tmp_path):
    write_cells(loaded, "smoke", tmp_path)
    told = cost.report(loaded, loaded.study("smoke"), "rehearsal", "suite", tmp_path, tmp_path / "figures/cost")
    lines = list(csv.DictReader((tmp_path / "figures/cost.csv").open()))
    measured = [line for line in lines if line["step"] == "cell" and line["seconds"]]
    record = json.loads(next(tmp_path.glob("smoke/cells/**/*.json")).read_text())
    assert len(measured) == 4 and {float(line["seconds"]) for line in measured} == {record["cost"]["seconds"]}
    assert all(float(line["forecast_seconds"]) > 0 and float(line["forecast_gpu_seconds"]) == 0 for line in measured)
    assert any("hours forecast, without GPU; measured" in line for line in told)
    assert all((tmp_path / f"figures/cost.{suffix}").stat().st_size > 1000 for suffix in ("svg", "png", "pdf"))


def test_sentence_names_the_table_and_the_gpus(loaded):
    sentence = next(line for line in cost.sentences(paper_lines(loaded)) if line.startswith("Table 1"))
    assert "GPU-hours forecast" in sentence and "h100" in sentence
