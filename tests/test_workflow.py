"""The DAG of both studies, without running it: targets resolve, profiles fit together, bad config is one line."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from edge2giant import config
from shared import ROOT

SNAKEMAKE = [sys.executable, "-m", "snakemake"]
TARGETS = ["all", "table1", "table2", "figure2", "cells", "published"]
FILES = ["paper_figures/{study}/table2.tex", "paper_figures/{study}/figure2.pdf"]
GSM8K = "results/paper/cells/llama-3.1-8b-it/gptq-llmcompressor/w8a16/gsm8k.json"


def plan(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run([*SNAKEMAKE, *arguments, "-n", "--quiet", "all"], cwd=cwd, capture_output=True, text=True)


def jobs(run: subprocess.CompletedProcess) -> Counter:
    """Jobs by rule, as the dry run counts them."""
    assert run.returncode == 0, run.stdout + run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    return Counter({line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()})


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The tree without results, so that every job is to be done."""
    target = tmp_path_factory.mktemp("clone") / "edge2giant"
    left_out = shutil.ignore_patterns(".venv", ".venvs", ".git", ".snakemake", "results", "paper_figures", "logs", ".gpu")
    shutil.copytree(ROOT, target, ignore=left_out, symlinks=True)
    return target


@pytest.mark.parametrize("study", ["paper", "miniature", "smoke"])
@pytest.mark.parametrize("target", TARGETS)
def test_every_named_target_of_every_study_resolves(clone, study, target):
    assert jobs(plan(target, "--config", f"study={study}", cwd=clone))["total"] > 0


@pytest.mark.parametrize("path", FILES)
def test_a_file_of_any_study_can_be_asked_for_whatever_the_config_selects(clone, path):
    assert jobs(plan(path.format(study="paper"), cwd=clone))["render_table"] <= 1


def test_the_paper_study_is_the_papers_grid(clone):
    planned = jobs(plan("all", "--config", "study=paper", cwd=clone))
    assert planned["score_cell"] == 50 * 12 + 36
    assert planned["quantize"] == 50
    assert planned["judge"] == 36


def test_a_table_asks_for_its_own_suite_alone(clone):
    planned = jobs(plan("table1", "--config", "study=paper", cwd=clone))
    assert (planned["evaluate"], planned["score_cell"], planned["judge"]) == (41, 41 * 6, 0)


@pytest.mark.parametrize(
    ("targets", "batches"),
    [
        (["table1"], {"leaderboard_v1"}),
        (["table1", "table2"], {"all"}),
        (["all"], {"all"}),
        ([], {"all"}),
        (["results/smoke/cells/tiny-0.4m/fp16/w16a16/gpqa.json"], {"leaderboard_v2"}),
    ],
)
def test_what_is_asked_for_decides_which_benchmarks_share_a_load(clone, targets, batches):
    command = [*SNAKEMAKE, "-n", *targets, "--config", "study=smoke"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"evaluations/\S+/(\w+)\.json", done.stdout + done.stderr)) == batches


@pytest.mark.parametrize(("batch", "evaluations"), [("auto", 54), ("suite", 136), ("checkpoint", 50), ("benchmark", 636)])
def test_the_batch_size_is_a_choice_of_the_config(clone, batch, evaluations):
    planned = jobs(plan("all", "--config", "study=paper", f"batch={batch}", cwd=clone))
    assert planned["evaluate"] == evaluations


def test_the_appendix_tables_hold_the_other_models(clone):
    planned = jobs(plan("paper_figures/paper/table5.csv", cwd=clone))
    assert (planned["acquire_model"], planned["score_cell"]) == (3, 9 * 6)


def test_one_cell_by_its_path(clone):
    planned = jobs(plan(GSM8K, "--config", "batch=benchmark", cwd=clone))
    assert (planned["quantize"], planned["evaluate"], planned["score_cell"]) == (1, 1, 1)


def test_both_entry_points_plan_the_same(clone):
    root, inner = plan(cwd=clone), plan("-s", "workflow/Snakefile", cwd=clone)
    assert jobs(root) == jobs(inner)


def test_the_slurm_profile_works_by_its_literal_name_and_selects_the_paper(clone):
    planned = jobs(plan("--profile", "slurm", "all", cwd=clone))
    assert planned["score_cell"] == 636


def test_the_default_profile_sets_nothing_that_another_profile_sets():
    profiles = {p.parent.name: set(yaml.safe_load(p.read_text())) for p in ROOT.glob("profiles/*/profile.yaml")}
    default = profiles.pop("default")
    assert default == {"cores"}
    assert profiles
    assert all(not default & keys for keys in profiles.values())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ["--config", "study=papier"],
            [
                "unknown study 'papier'",
                "choose one of: edge, edge-ci, edge-open, ",
            ],
        ),
        (["--config", "batch=all"], ["batch: 'all' should be 'auto', 'suite', 'checkpoint' or 'benchmark'"]),
        (["--config", "studdy=paper"], ["unknown key 'studdy'", "did you mean 'study'?"]),
    ],
)
def test_a_wrong_config_is_refused_in_one_line_that_names_what_is_allowed(clone, change, expected):
    run = plan(*change, cwd=clone)
    assert run.returncode != 0
    output = run.stdout + run.stderr
    assert all(text in output for text in expected), output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("results/paper/cells/llama-9/awq/w4a16/mmlu.json", "unknown variant 'llama-9/awq/w4a16'"),
        ("results/paper/cells/llama-3.2-1b-it/awq/w4a16/arc.json", "unknown benchmark"),
        ("results/paper/evaluations/llama-3.2-1b-it/awq/w4a16/everything.json", "no batch 'everything'"),
    ],
)
def test_a_path_that_no_study_has_is_refused_with_what_there_is(clone, path, expected):
    run = plan(path, cwd=clone)
    assert run.returncode != 0
    assert expected in run.stdout + run.stderr


def test_rows_are_those_of_the_printed_tables():
    import csv

    with (ROOT / "config/published/scores.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    printed = {
        (
            line["model"],
            line["method"] + (f"-{line['toolkit']}" if line["method"] == "gptq" else ""),
            f"w{line['w_bits']}a{line['a_bits']}",
        )
        for line in lines
    }
    paper = config.load().study("paper")
    assert {(one.model, one.method, one.bits) for one in paper.variants} == printed
    assert len(paper.cells) == 636
    order = list(dict.fromkeys(line["model"] for line in lines))
    assert list(dict.fromkeys(one.model for one in paper.variants)) == order


def test_a_study_may_take_published_checkpoints(clone):
    text = (ROOT / "config/studies/paper.yaml").read_text()
    text = text.replace("benchmarks: [arc", "checkpoints: {fp8/w8a8: published}\nbenchmarks: [arc", 1)
    path = clone / "config/studies/downloaded.yaml"
    path.write_text(text)
    planned = jobs(plan("results/downloaded/cells/llama-3.1-8b-it/fp8/w8a8/mmlu.json", cwd=clone))
    path.unlink()
    assert planned["acquire_published"] == 1
    assert planned["acquire_calibration"] == 0


MANIFEST = "results/smoke/evaluations/tiny-0.4m/fp16/w16a16/leaderboard_v1.json"


def step(clone: Path, run: str) -> subprocess.CompletedProcess:
    """What SLURM starts: Snakemake inside a job, which reads the workflow again."""
    command = [*SNAKEMAKE, "-n", "--mode", "remote", MANIFEST]
    environment = os.environ | {"EDGE2GIANT_RUN": run}
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)


def test_a_job_stops_when_its_configuration_was_edited_after_its_submission(clone):
    assert plan(MANIFEST, cwd=clone).returncode == 0
    (planned,) = sorted((clone / ".snakemake/edge2giant").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)[-1:]
    study = clone / "config/studies/smoke.yaml"
    before = study.read_text()
    unchanged = step(clone, planned.stem)
    study.write_text(before.replace("title: the smallest", "title: still the smallest"))
    decides_nothing = step(clone, planned.stem)
    study.write_text(before + "limit: 1\n")
    decides_answers = step(clone, planned.stem)
    study.write_text(before)
    assert unchanged.returncode == decides_nothing.returncode == 0, unchanged.stdout + unchanged.stderr
    assert decides_answers.returncode != 0
    assert "the configuration was changed after this job was submitted" in decides_answers.stdout + decides_answers.stderr


def test_a_job_that_cannot_know_what_was_planned_stops(clone):
    environment = {name: value for name, value in os.environ.items() if name != "EDGE2GIANT_RUN"}
    command = [*SNAKEMAKE, "-n", "--mode", "remote", MANIFEST]
    run = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert run.returncode != 0
    assert "EDGE2GIANT_RUN is not set in this job" in run.stdout + run.stderr


def test_a_change_that_decides_nothing_plans_nothing(clone):
    """The title of a study changes its tables' spec, and no evaluation, checkpoint or score."""
    from edge2giant.plan import evaluate, open_plan, quantize, score

    wildcards = SimpleNamespace(study="smoke", model="tiny-0.4m", method="fp16", bits="w16a16", batch="all", benchmark="gpqa")
    run = {"study": "smoke", "batch": "suite", "results": "results", "figures": "paper_figures"}

    def specs() -> list:
        opened = open_plan(run, root=clone)
        return [evaluate.spec(opened, wildcards), score.spec(opened, wildcards), *quantize.checkpoints(opened, "smoke").values()]

    before, study = specs(), clone / "config/studies/smoke.yaml"
    text = study.read_text()
    study.write_text(text.replace("title: the smallest", "title: still the smallest"))
    same = specs()
    study.write_text(text + "limit: 1\n")
    other = specs()
    study.write_text(text)
    assert same == before
    assert [a == b for a, b in zip(before, other, strict=True)] == [False, True, True, True]
