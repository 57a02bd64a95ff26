"""Evaluation jobs as planned: what decides their answers, and nothing else, is in the spec."""

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import pytest
from edge2giant import plan, specs
from edge2giant.errors import UserError
from edge2giant.plan import evaluate
from edge2giant.specs import engine
from edge2giant.specs.evaluate import EvaluateSpec
from shared import ROOT

RUN = {"study": "paper", "batch": "suite", "results": "results", "figures": "paper_figures"}


@pytest.fixture(scope="module")
def opened():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE2GIANT_RUN", "")
        yield plan.open_plan(RUN)


def job(batch, model="llama-3.1-8b-it", method="awq", bits="w4a16", study="paper"):
    return SimpleNamespace(study=study, model=model, method=method, bits=bits, batch=batch)


def engines(opened):
    paper = opened.config.study("paper")
    return {model: evaluate.engine_spec(opened.config, paper, model).settings for model in paper.models}


def changed(opened, **changes):
    """The plan with another content of one file of config/."""
    return plan.Plan(dataclasses.replace(opened.config, **changes), opened.run)


def test_a_spec_is_read_back_as_it_was_planned(opened, tmp_path):
    for batch in ("leaderboard_v1", "leaderboard_v2", "all"):
        planned = evaluate.spec(opened, job(batch))
        digest = specs.write(planned, tmp_path)
        assert specs.read(specs.path(tmp_path, digest), digest, EvaluateSpec) == planned


def test_batches_divide_the_benchmarks_of_a_variant(opened):
    whole = evaluate.benchmarks(opened, job("all"))
    suites = [evaluate.benchmarks(opened, job(suite)) for suite in ("leaderboard_v1", "leaderboard_v2")]
    assert [name for suite in suites for name in suite] == [name for name in whole if name != "mt_bench"]
    assert evaluate.benchmarks(opened, job("gsm8k")) == ["gsm8k"]
    with pytest.raises(UserError, match="no batch 'leaderboard_v3'"):
        evaluate.benchmarks(opened, job("leaderboard_v3"))


def test_data_sets_of_a_batch(opened):
    locks = evaluate.datasets(opened, job("ifeval"))
    assert locks == ["<results>/store/hub/datasets/ifeval.lock.json", "<results>/store/hub/nltk.lock.json"]


def test_a_bos_goes_before_the_prompts_of_models_whose_type_is_gemma(opened):
    assert {model for model, engine in engines(opened).items() if engine["add_bos_token"]} == {"gemma-2b-it", "gemma-7b-it"}
    llama = opened.config.models["llama-3.1-8b-it"]
    renamed = llama.model_copy(update={"repo": "mylab/Gemma-like-tune"})
    tuned = llama.model_copy(update={"facts": dataclasses.replace(llama.facts, model_type="gemma3_text")})
    for entry, needs in ((renamed, False), (tuned, True)):
        other = changed(opened, models=opened.config.models | {"llama-3.1-8b-it": entry})
        assert engines(other)["llama-3.1-8b-it"]["add_bos_token"] is needs


def test_everything_of_a_protocol_that_decides_a_prompt_is_in_the_fingerprint(opened):
    protocol = opened.config.protocols["paper"]

    def part(**update):
        changes = {"protocols": opened.config.protocols | {"paper": protocol.model_copy(update=update)}}
        planned = evaluate.spec(changed(opened, **changes), job("ifeval"))
        return specs.digest(planned.of(planned.benchmarks[0]))

    changes = (
        {"date": "2024-07-27"}, {"chat_template_kwargs": {"enable_thinking": False}}, {"bos": "always"}, {"chat_template": True},
        {"think_end_token": "</think>"}, {"max_model_len": 512}, {"seeds": protocol.seeds.model_copy(update={"numpy": 1})},
    )  # fmt: skip
    assert len({part(), *(part(**one) for one in changes)}) == 1 + len(changes)


def test_a_models_own_chat_template_file_is_in_the_spec(opened, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/mine.jinja").write_text("{{ messages[0].content }}")
    llama = opened.config.models["llama-3.1-8b-it"].model_copy(update={"chat_template": "mine.jinja"})
    other = changed(opened, models=opened.config.models | {"llama-3.1-8b-it": llama}, root=tmp_path)
    assert engines(other)["llama-3.1-8b-it"]["chat_template"] == "{{ messages[0].content }}"


def test_prompts_are_as_long_as_protocol_and_model_allow(opened):
    limits = {model: engine["max_model_len"] for model, engine in engines(opened).items()}
    assert (limits["llama-2-7b-chat"], limits["gemma-7b-it"], limits["llama-3.1-8b-it"]) == (4096, 8192, 16384)


def test_every_engine_knows_its_settings(opened):
    for study in opened.config.studies.values():
        for model in study.models:
            found = evaluate.engine_spec(opened.config, study, model)
            assert engine.check(found.name, found.settings) == found.settings


def test_what_decides_scores_and_labels_alone_is_not_in_the_spec(opened):
    before = specs.digest(evaluate.spec(opened, job("leaderboard_v2")))
    entry = opened.config.benchmarks["math_lvl5"]
    for update in ({"aggregation": "mean", "normalise": True}, {"label": "MATH"}, {"documents": 7}):
        other = changed(opened, benchmarks=opened.config.benchmarks | {"math_lvl5": entry.model_copy(update=update)})
        assert specs.digest(evaluate.spec(other, job("leaderboard_v2"))) == before
    other = changed(opened, benchmarks=opened.config.benchmarks | {"math_lvl5": entry.model_copy(update={"num_fewshot": 3})})
    assert specs.digest(evaluate.spec(other, job("leaderboard_v2"))) != before


def test_a_change_of_one_benchmark_keeps_the_cached_answers_of_the_others(opened):
    entry = opened.config.benchmarks["math_lvl5"]
    other = changed(opened, benchmarks=opened.config.benchmarks | {"math_lvl5": entry.model_copy(update={"num_fewshot": 3})})
    pairs = [evaluate.spec(one, job("leaderboard_v2")) for one in (opened, other)]
    parts = [{one.name: spec.of(one) for one in spec.benchmarks} for spec in pairs]
    assert [name for name in parts[0] if parts[0][name] != parts[1][name]] == ["math_lvl5"]


def test_the_job_imports_no_configuration():
    code = (
        "import sys; sys.path.insert(0, 'workflow');"
        "sys.modules |= dict.fromkeys(['pydantic', 'yaml', 'edge2giant.config', 'edge2giant.plan', 'edge2giant.grid']);"
        "import edge2giant.evaluate.__main__, edge2giant.evaluate.answer_cache, edge2giant.evaluate.batch,"
        " edge2giant.evaluate.mt_bench, edge2giant.engine.scoring, edge2giant.engine.self_check"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
