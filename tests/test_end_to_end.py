"""The DAG really run: the smoke study with its faults, and the miniature study to its tables, figure and report."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import miniature_scores
import pyarrow.parquet
import pytest
from edge2giant import records, typed
from edge2giant.records.cell import CellRecord
from edge2giant.records.checkpoint import CheckpointRecord
from edge2giant.records.failure import Failure
from shared import ROOT

pytestmark = pytest.mark.e2e
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--profile", "profiles/miniature"]
ROW = "tiny-0.4m/gptq-llmcompressor/w4a16"
LEFT_OUT = (".venv", ".venvs", ".git", ".snakemake", "results", "paper_figures", "logs", ".gpu")


def copy_tree(target: Path) -> Path:
    """A copy of the tree without results and environments."""
    return Path(shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True))


def make_clone(target: Path) -> Path:
    """A copy of the tree without results, with the environments of this one."""
    copy_tree(target)
    for name in (".venv", ".venvs"):
        (target / name).symlink_to(ROOT / name)
    return target


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*SNAKEMAKE, *arguments], cwd=cwd, capture_output=True, text=True)


def smoke_run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(cwd, *arguments, "--config", "study=smoke")


def succeeded(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout + done.stderr


def cells(root: Path, study: str) -> dict[str, dict]:
    folder = root / f"results/{study}/cells"
    return {p.relative_to(folder).as_posix(): typed.as_json(records.read(p, CellRecord)) for p in sorted(folder.rglob("*.json"))}


def results(found: dict[str, dict]) -> dict[str, tuple]:
    """What two runs of the same study must agree on."""
    return {name: (cell["score"], cell["stderr"], cell["samples"]["sha256"]) for name, cell in found.items()}


def engine_starts(root: Path) -> int:
    return sum(path.read_text().count(" ready after ") for path in (root / "logs").rglob("evaluate/**/*.log"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    clone = make_clone(tmp_path_factory.mktemp("smoke") / "edge2giant")
    succeeded(smoke_run(clone, "all"))
    return clone


@pytest.mark.smoke
def test_the_smoke_study_makes_its_cells_tables_and_figure(smoke):
    found = cells(smoke, "smoke")
    assert len(found) == 6
    figures = {p.name for p in (smoke / "paper_figures/smoke").iterdir()}
    assert {
        "table1.csv",
        "table1.tex",
        "table1.html",
        "table1.md",
        "table2.csv",
        "figure2.pdf",
        "figure2.svg",
    } <= figures
    for name, cell in found.items():
        table = smoke / cell["samples"]["path"]
        assert records.file_sha256(table) == cell["samples"]["sha256"]
        assert pyarrow.parquet.read_table(table).num_rows == cell["samples"]["rows"]
        assert cell["engine"]["name"] == "hf", name
        assert "/" not in cell["provenance"]["host"]
    assert str(smoke) not in json.dumps(found)


@pytest.mark.smoke
def test_one_engine_start_a_checkpoint(smoke):
    assert engine_starts(smoke) == 2


@pytest.mark.smoke
def test_a_second_run_has_nothing_to_do(smoke):
    assert "Nothing to be done" in succeeded(smoke_run(smoke, "all"))


@pytest.mark.smoke
@pytest.mark.parametrize("target", ["table1", "table2", "figure2", "cells", f"results/smoke/cells/{ROW}/gpqa.json"])
def test_a_finished_study_has_nothing_to_do_under_another_target(smoke, target):
    assert "Nothing to be done" in succeeded(smoke_run(smoke, target, "-n"))


def test_a_lone_table_loads_its_suite_and_all_loads_the_rest_once(smoke, tmp_path):
    clone = tmp_path / "edge2giant"
    shutil.copytree(smoke, clone, symlinks=True)
    for name in ("results/smoke", "results/answer_cache", "paper_figures", "logs"):
        shutil.rmtree(clone / name)
    succeeded(smoke_run(clone, "table1"))
    assert {path.name for path in (clone / "results/smoke/evaluations").rglob("*.json")} == {"leaderboard_v1.json"}
    assert engine_starts(clone) == 2
    assert "Nothing to be done" in succeeded(smoke_run(clone, "table1", "-n"))
    succeeded(smoke_run(clone, "all"))
    assert engine_starts(clone) == 4
    assert results(cells(clone, "smoke")) == results(cells(smoke, "smoke"))
    for target in ("table1", "table2", "all"):
        assert "Nothing to be done" in succeeded(smoke_run(clone, target, "-n"))


@pytest.mark.smoke
def test_partial_shows_what_a_batch_finished_before_it_failed(smoke, tmp_path):
    clone = tmp_path / "edge2giant"
    shutil.copytree(smoke, clone, symlinks=True)
    whole = clone / f"results/smoke/evaluations/{ROW}/all.json"
    manifest = records.read_json(whole)
    left = {name: found for name, found in manifest["entries"].items() if name != "gpqa"}
    records.write_json(whole.with_suffix(".unfinished.json"), manifest | {"entries": left})
    whole.unlink()
    shutil.rmtree(clone / f"results/smoke/cells/{ROW}")
    succeeded(smoke_run(clone, "partial"))
    table = (clone / "paper_figures/smoke/partial/table1.csv").read_text()
    assert table == (smoke / "paper_figures/smoke/table1.csv").read_text()
    assert not (clone / f"results/smoke/cells/{ROW}").exists()


@pytest.mark.smoke
def test_the_time_of_a_study_is_read_from_its_records(smoke):
    command = ["workflow/in-env", "workflow", "python", "bench/study.py", "--study", "smoke", "--out", "results/bench/study"]
    said = succeeded(subprocess.run(command, cwd=smoke, capture_output=True, text=True))
    assert "6 of 6 cells, 2 checkpoints made, 2 engine starts" in said
    lines = (smoke / "results/bench/study.csv").read_text().splitlines()[1:]
    seconds = {name: float(value) for name, value in (line.split(",") for line in lines)}
    assert min(seconds[name] for name in ("plan", "fetch", "make", "validate", "load", "score", "cells", "show")) > 0
    assert min(seconds.values()) >= 0
    assert (smoke / "results/bench/study.svg").is_file()


@pytest.mark.smoke
def test_a_quantized_checkpoint_is_smaller_and_validated(smoke):
    checkpoints = smoke / "results/checkpoints"
    (made,), (fp16,) = (list(checkpoints.glob(f"{row}/*/checkpoint.json")) for row in (ROW, "tiny-0.4m/fp16/w16a16"))
    record = typed.as_json(records.read(made, CheckpointRecord))
    assert record["size"]["weights_bytes"] < records.read_json(fp16)["size"]["weights_bytes"]
    assert record["validation"]["checks"]
    assert all(check["passed"] for check in record["validation"]["checks"])


@pytest.mark.smoke
def test_another_batch_size_starts_no_engine(smoke):
    before = engine_starts(smoke)
    succeeded(
        run(
            smoke,
            f"results/smoke/cells/{ROW}/gpqa.json",
            "--forcerun",
            "score_cell",
            "--config",
            "batch=benchmark",
        )
    )
    assert (smoke / f"results/smoke/evaluations/{ROW}/gpqa.json").is_file()
    assert engine_starts(smoke) == before


@pytest.mark.smoke
def test_a_cell_that_is_gone_is_made_again_when_asked_for(smoke):
    path = f"results/smoke/cells/{ROW}/arc_challenge.json"
    before, starts = records.read_json(smoke / path), engine_starts(smoke)
    (smoke / path).unlink()
    succeeded(smoke_run(smoke, path))
    after = records.read_json(smoke / path)
    assert (after["score"], after["samples"]["sha256"]) == (before["score"], before["samples"]["sha256"])
    assert engine_starts(smoke) == starts


@pytest.mark.smoke
def test_a_corrupt_cell_is_one_line_with_file_and_hint(smoke):
    path = smoke / f"results/smoke/cells/{ROW}/arc_challenge.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    done = smoke_run(smoke, "table1")
    path.write_text(whole)
    assert done.returncode != 0
    said = [
        line for line in (done.stdout + done.stderr).splitlines() if "arc_challenge.json" in line and "cannot be read" in line
    ]
    assert said
    assert "delete it" in said[0]


@pytest.mark.smoke
def test_a_missing_data_file_is_named(smoke):
    parquet = next((smoke / "results/store/miniature/datasets/allenai/ai2_arc").rglob("test*.parquet"))
    hidden = parquet.with_suffix(".hidden")
    parquet.rename(hidden)
    index = smoke / f"results/smoke/evaluations/{ROW}/arc_challenge.json"
    done = run(smoke, index.relative_to(smoke).as_posix(), "--config", "study=smoke", "batch=benchmark")
    hidden.rename(parquet)
    assert done.returncode != 0
    assert f"{parquet.name}: is missing from the store" in done.stdout + done.stderr


@pytest.mark.smoke
def test_repeats_give_the_noise_floor_from_answers_of_their_own(smoke):
    """FP16 in other batches and GPTQ calibrated with another draw, against the first of each."""
    starts, before = engine_starts(smoke), results(cells(smoke, "smoke"))
    succeeded(smoke_run(smoke, "paper_figures/smoke/statistics.csv"))
    assert engine_starts(smoke) == starts + 2 and results(cells(smoke, "smoke")) == before
    rows = records.read_json(smoke / "paper_figures/smoke/statistics.json")["noise_floor"]
    assert {(row["repeat"], row["benchmark"]) for row in rows} == {
        (repeat, benchmark) for repeat in ("other-batches", "other-draw") for benchmark in ("arc_challenge", "gpqa", "all")
    }
    assert all(row["method_a"] == row["method_b"] and "p_holm" not in row for row in rows)
    (one, other) = (path.parent for path in (smoke / f"results/checkpoints/{ROW}").glob("*/checkpoint.json"))
    weights = [records.file_sha256(next(folder.glob("*.safetensors"))) for folder in (one, other)]
    assert weights[0] != weights[1]


@pytest.mark.smoke
def test_the_gate_ends_with_an_error_where_its_policy_says(smoke):
    settings = ("--config", "study=smoke", "batch=checkpoint")
    row = f"{ROW}  inconclusive  arc_challenge: loss"
    assert row in succeeded(run(smoke, "gate", *settings))
    strict = run(smoke, "gate", *settings, "policy=strict")
    assert strict.returncode != 0 and row in strict.stdout + strict.stderr
    assert f"error: policy strict: 1 of 1 variants fail: {ROW}" in strict.stdout + strict.stderr
    assert records.read_json(smoke / "paper_figures/smoke/gate/strict.json")["variants"][0]["verdict"] == "inconclusive"


def test_a_killed_run_resumes_and_every_cell_is_as_undisturbed(smoke, tmp_path):
    clone = make_clone(tmp_path / "edge2giant")
    command = [*SNAKEMAKE, "all", "--config", "study=smoke"]
    process = subprocess.Popen(command, cwd=clone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 300
    while not list((clone / "results").glob("answer_cache/*/entry.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = len(list((clone / "results").glob("answer_cache/*/entry.json")))
    succeeded(smoke_run(clone, "--unlock"))
    succeeded(smoke_run(clone, "all"))
    assert finished >= 1
    assert results(cells(clone, "smoke")) == results(cells(smoke, "smoke"))


def quantizations(root: Path) -> int:
    """Checkpoints that Snakemake has had made in a clone."""
    runs = (root / ".snakemake/log").glob("*.log")
    return sum(path.read_text().count("Quantizing tiny-0.4m by ") for path in runs)


def test_checkpoints_that_are_not_kept_leave_their_records_and_come_back(smoke, tmp_path):
    """`keep_checkpoints: false`: weights go after their last cell and come back for a new one; the same command does nothing."""
    clone = tmp_path / "edge2giant"
    shutil.copytree(smoke, clone, symlinks=True)
    shutil.rmtree(clone / "results/checkpoints")  # to be made anew: the answers are cached, so no engine starts
    before, starts = results(cells(clone, "smoke")), engine_starts(clone)
    store = {path: path.stat().st_size for path in (clone / "results/store").rglob("*") if path.is_file()}

    def release(*arguments: str) -> str:
        return succeeded(run(clone, *arguments, "--config", "study=smoke", "batch=suite", "keep_checkpoints=false"))

    def weights() -> list[Path]:
        return list((clone / "results/checkpoints").rglob("*.safetensors"))

    assert "Removing temporary output" in release("all")
    assert not weights()
    assert {path.suffix for path in (clone / f"results/checkpoints/{ROW}").iterdir()} == {".json", ".md"}
    record = typed.as_json(records.read(next((clone / f"results/checkpoints/{ROW}").glob("*.json")), CheckpointRecord))
    assert {cell["checkpoint"]["digest"] for name, cell in cells(clone, "smoke").items() if ROW in name} == {record["digest"]}
    assert (results(cells(clone, "smoke")), engine_starts(clone)) == (before, starts)
    assert {path: path.stat().st_size for path in store} == store  # 16-bit rows are links into the store
    made = quantizations(clone)
    assert "Nothing to be done" in release("all")
    assert quantizations(clone) == made

    # a new benchmark whose data are gone: the weights are made again, and wait for the run that repairs it
    study = clone / "config/studies/smoke.yaml"
    study.write_text(study.read_text().replace("[arc_challenge, gpqa,", "[arc_challenge, winogrande, gpqa,"))
    cell = f"results/smoke/cells/{ROW}/winogrande.json"
    parquet = next((clone / "results/store/miniature/datasets/allenai/winogrande").rglob("validation*.parquet"))
    parquet.rename(parquet.with_suffix(".hidden"))
    settings = ("--config", "study=smoke", "batch=benchmark", "keep_checkpoints=false")
    assert run(clone, cell, *settings).returncode != 0
    assert quantizations(clone) == made + 1
    assert weights()
    parquet.with_suffix(".hidden").rename(parquet)
    succeeded(run(clone, cell, *settings))
    assert quantizations(clone) == made + 1
    assert not weights()
    assert typed.as_json(records.read(clone / cell, CellRecord))["checkpoint"]["digest"] == record["digest"]


FIDELITY = """extends: smoke
title: perplexity and divergence
benchmarks: [wikitext, divergence]
tables: [10]
models: {tiny-0.4m: {variants: [fp16/w16a16, rtn/w4a16]}}
"""


def test_fidelity_is_measured_against_the_distributions_of_the_unquantized_model(smoke, tmp_path):
    clone = make_clone(tmp_path / "edge2giant")
    shutil.copytree(smoke / "results/store", clone / "results/store", symlinks=True)
    (clone / "config/studies/fidelity.yaml").write_text(FIDELITY)
    succeeded(run(clone, "fidelity", "paper_figures/fidelity/report/index.html", "--config", "study=fidelity"))
    found = cells(clone, "fidelity")
    floor, variant = (found[f"tiny-0.4m/{one}/divergence.json"] for one in ("fp16/w16a16", "rtn/w4a16"))
    assert abs(floor["score"]) < 1e-5 < variant["score"] and variant["unit"] == "nats" and variant["lower_is_better"]
    assert found["tiny-0.4m/fp16/w16a16/wikitext.json"]["score"] > 1
    # one engine for each checkpoint; the unquantized model's wrote the distributions, which the other reads
    assert engine_starts(clone) == 2
    reference = json.loads((clone / "results/fidelity/references/tiny-0.4m/divergence.json").read_text())
    assert floor["provenance"]["fingerprint"] == reference["fingerprint"]
    table = (clone / "paper_figures/fidelity/table10.csv").read_text()
    assert "divergence_kl_q99" in table and "wikitext_token_perplexity" in table
    assert "Nothing to be done" in succeeded(run(clone, "fidelity", "--config", "study=fidelity"))


def test_a_row_whose_recipe_fails_is_shown_with_its_reason(smoke, tmp_path):
    clone = make_clone(tmp_path / "edge2giant")
    shutil.copytree(smoke / "results/store", clone / "results/store", symlinks=True)
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 96, "dynamic": False, "symmetric": True}
    modifier = {"ignore": ["lm_head"], "dampening_frac": 0.01, "actorder": None}
    modifier["config_groups"] = {"group_0": {"targets": ["Linear"], "weights": weights}}
    with (clone / "config/studies/smoke.yaml").open("a") as study:
        study.write(
            json.dumps({"recipe_settings": {"gptq-llmcompressor/w4a16": {"modifiers": [{"GPTQModifier": modifier}]}}})[1:-1]
        )
    done = smoke_run(clone, f"results/smoke/cells/{ROW}/arc_challenge.json")
    assert done.returncode != 0
    (record,) = (clone / "results/failures/checkpoints").glob(f"*/{ROW}/quantize.json")
    reason = records.read(record, Failure).reason
    assert "do not split into groups of 96" in reason
    succeeded(smoke_run(clone, "partial"))
    table = (clone / "paper_figures/smoke/partial/table1.md").read_text()
    assert f"quantize: {reason}" in table.replace("\\_", "_")


def test_the_demo_makes_the_papers_artefacts_the_analysis_and_reports(tmp_path):
    """Two models by four schemes, all 13 benchmarks; `make demo` runs these commands."""
    clone = make_clone(tmp_path / "edge2giant")
    began = time.monotonic()
    demo = subprocess.run(["make", "demo"], cwd=clone, capture_output=True, text=True)
    print(succeeded(demo)[-1500:])
    print(f"demo: {time.monotonic() - began:.0f} s")
    made = {p.name for p in (clone / "paper_figures/miniature").iterdir()}
    assert {f"table{n}.{form}" for n in (1, 2) for form in ("csv", "tex", "html", "md")} <= made
    assert {"figure2.pdf", "figure2.svg", "figure2.png", "report.html"} <= made
    expected = json.loads(miniature_scores.EXPECTED.read_text())
    assert miniature_scores.differences(expected, miniature_scores.read_cells(clone / "results/miniature/cells")) == []
    beside_the_paper = [f"paper_figures/miniature/{name}" for name in ("claims.html", "comparison.csv")]
    succeeded(run(clone, "analysis", "audit", "report_site", "exports", *beside_the_paper))
    figures = clone / "paper_figures/miniature"
    assert (figures / "report/index.html").stat().st_size < 5_000_000
    assert len(list((figures / "report/cells").rglob("*.html"))) == 8 * 14 + 6
    assert len(list((figures / "inspection").rglob("*.html"))) == 4
    began = time.monotonic()
    again = subprocess.run(["make", "demo"], cwd=clone, capture_output=True, text=True)
    assert "Nothing to be done" in succeeded(again)
    print(f"second demo: {time.monotonic() - began:.0f} s")
