"""What of config/judges.yaml makes a judging job run again, and what does not."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from edge2giant import config, plan, specs, typed
from edge2giant.errors import UserError
from edge2giant.plan import evaluate, targets
from edge2giant.plan import judge as judging
from edge2giant.plan import study as studies
from edge2giant.specs.judge import JudgeService
from shared import ROOT

JOB = SimpleNamespace(study="paper", model="llama-2-7b-chat", method="fp16", bits="w16a16")


@pytest.fixture
def planned(tmp_path):
    """Plan with an edited copy of config/; returns spec digest and service."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    file = tmp_path / "config/judges.yaml"
    shipped = file.read_text()

    def build(old: str = "", new: str = ""):
        assert old in shipped
        file.write_text(shipped.replace(old, new, 1))
        one = plan.Plan(config.load(tmp_path), SimpleNamespace(results=str(tmp_path / "results")))
        service = typed.build(JudgeService, json.loads(Path(judging.service(one, JOB)).read_text()), "service")
        return specs.digest(judging.spec(one, JOB)), service

    return build


def test_what_decides_a_rating_changes_the_spec_and_nothing_else_does(planned):
    digest, service = planned()
    assert service.judge == "gpt-4" and service.usd(1000, 1000) == pytest.approx(0.09) and not service.free
    for old, new in (
        ("model: gpt-4", "model: gpt-4-0613"),
        ("repeats: 1", "repeats: 3"),
        ("limit_usd: 250", "limit_usd: 250\n  temperature: 1"),
    ):
        assert planned(old, new)[0] != digest
    for old, new in (("limit_usd: 250", "limit_usd: 20"), ("concurrency: 4", "concurrency: 9"), ("prompt: 0.03", "prompt: 0.3")):
        assert planned(old, new)[0] == digest
    assert planned("limit_usd: 250", "limit_usd: 20")[1].limit_usd == 20


def test_a_judge_on_gpus_has_its_own_rule(planned, tmp_path):
    planned()
    study = tmp_path / "config/studies/paper.yaml"
    study.write_text(study.read_text().replace("judge: gpt-4", "judge: local-vllm"))
    one = plan.Plan(config.load(tmp_path), SimpleNamespace(results="results"))
    assert "paper" in judging.studies(one, on_gpus=True).split("|")
    assert "miniature" in judging.studies(one, on_gpus=False).split("|")


def test_without_a_judge_answers_are_wanted_and_no_ratings(planned, tmp_path):
    planned()
    study = tmp_path / "config/studies/smoke.yaml"
    study.write_text(study.read_text().replace("judge: miniature\n", ""))
    run = SimpleNamespace(results="results", study="smoke")
    one = plan.Plan(config.load(tmp_path), run)
    job = SimpleNamespace(study="smoke", model="tiny-0.4m", method="gptq-llmcompressor", bits="w4a16")
    assert targets.answers(one) == [f"<results>/smoke/answers/{variant.path}.jsonl" for variant in one.study.variants]
    assert not [path for path in targets.cells(one) if "mt_bench" in path] and targets.noise(one) == []
    assert judging.ratings(one, job) == judging.baseline_ratings(one, job) == []
    assert "smoke" not in judging.studies(one, on_gpus=False).split("|") and studies.figure2(one.study) == []
    assert "mt_bench" in evaluate.benchmarks(one, SimpleNamespace(**vars(job), batch="all"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model: gpt-4", "modle: gpt-4"),
        ("repeats: 1", "repeats: 0"),
        ("limit_usd: 250", "limit_usd: -1"),
        ("completion: 0.06", ""),
    ],
)
def test_a_wrong_entry_is_named_with_file_and_place(planned, old, new):
    with pytest.raises(UserError, match=r"judges\.yaml"):
        planned(old, new)
