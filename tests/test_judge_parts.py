"""The judge's pure parts: prompts, ratings, the server that a run starts, scores."""

import dataclasses
import math
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import judge_material as material
import numpy as np
import pytest
from edge2giant import errors, jsonl
from edge2giant.errors import UserError
from edge2giant.judge import __main__ as cli
from edge2giant.judge import rating, score
from edge2giant.judge.endpoint import retry_after
from edge2giant.judge.material import load_answers, load_bench
from edge2giant.judge.requests import requests_of
from edge2giant.mt_bench import CATEGORIES
from hypothesis import given
from hypothesis import strategies as st
from shared import ROOT


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Rating: [[7]]", 7.0),
        ("[[8.5]]", 8.5),
        ("first [[3]] then [[9]]", 3.0),
        ("[5]", 5.0),
        ("[5] and [[6]]", 6.0),
        ("Rating: [[10]].", 10.0),
        ("[[0]]", None),
        ("[[11]]", None),
        ("[2023]", None),
        ("[[rating]]", None),
        ("Rating: 7", None),
        ("[[ 7 ]]", None),
        ("[[7/10]]", None),
        ("", None),
    ],
)
def test_ratings_are_read_as_fastchat_reads_them_within_the_scale(text, value):
    assert rating.parse(text)[0] == value


@given(st.text())
def test_no_text_gives_a_rating_off_the_scale(text):
    value, _ = rating.parse(text)
    assert value is None or 1 <= value <= 10


def judge(**changed):
    return dataclasses.replace(material.SPEC, **changed)


def test_each_turn_of_each_question_is_rated_with_its_prompt(tmp_path):
    bench = load_bench(material.bench(tmp_path / "data"))
    requests = requests_of(bench, load_answers(material.answers(tmp_path / "answers.jsonl")), judge(repeats=2))
    assert len(requests) == 320 and len({r.fingerprint for r in requests}) == 320
    for request in requests:
        referenced = request.category in ("math", "reasoning", "coding")
        name = ("single-math-v1" if referenced else "single-v1") + ("-multi-turn" if request.turn == 2 else "")
        text = request.messages[1]["content"]
        assert request.prompt == name and request.messages[0]["content"] == f"system of {name}"
        assert ("reference" in text) == referenced
        assert f"answer {request.question_id} {request.turn} {{braces}} [[10]]" in text
        assert ("second?" in text) == (request.turn == 2)


def test_the_fingerprint_moves_with_all_that_decides_a_judgment(tmp_path):
    bench = load_bench(material.bench(tmp_path / "data", 1))
    answers = load_answers(material.answers(tmp_path / "answers.jsonl", 1))
    first = requests_of(bench, answers, judge())[0].fingerprint
    for change in ({"model": "x"}, {"temperature": 0.5}, {"max_tokens": 1}, {"extra_body": {"seed": 1}}):
        assert requests_of(bench, answers, judge(**change))[0].fingerprint != first
    same = judge(study="other", judge="other")
    assert requests_of(bench, answers, same)[0].fingerprint == first
    other = load_answers(material.answers(tmp_path / "b.jsonl", 1, words="other"))
    assert requests_of(bench, other, judge())[0].fingerprint != first


def test_answers_that_are_not_complete_are_refused(tmp_path, capsys):
    material.bench(tmp_path / "data")
    path = material.answers(tmp_path / "answers.jsonl")
    rows = path.read_text().splitlines(keepends=True)
    for name, content, message in (
        ("short", "".join(rows[:-3]), "3 questions are not answered: 158, 159, 160"),
        ("strange", "".join(rows).replace('"question_id": 81', '"question_id": 1'), "not answered: 81"),
        ("one turn", rows[0].replace('"answer 81 1 {braces} [[10]]", ', ""), "1 turns instead of 2"),
        ("torn", "".join(rows)[:-20], "answers.jsonl:80: is not JSON"),
    ):
        path.write_text(content)
        assert rate(tmp_path, **material.RULE_JUDGE) == 2, name
        assert message in capsys.readouterr().err


def test_a_missing_reference_is_refused(tmp_path):
    folder = material.bench(tmp_path / "data")
    rows = (folder / "reference_answer.jsonl").read_text().splitlines(keepends=True)
    (folder / "reference_answer.jsonl").write_text("".join(rows[1:]))
    with pytest.raises(UserError, match="has no reference answer"):
        load_bench(folder)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        (None, None),
        ("", None),
    ],
)
def test_retry_after_is_read_or_ignored(value, seconds):
    assert retry_after(value) == seconds


def rate(room, *more, **changed):
    return errors.run(lambda: cli.main(material.rating(room, *more, **changed)))


def test_the_rule_judge_is_served_for_the_time_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # never stands between a run and its own server
    material.bench(tmp_path / "data", 2)
    material.answers(tmp_path / "answers.jsonl", 2)
    threads = threading.active_count()
    assert rate(tmp_path, **material.RULE_JUDGE) == 0
    first = list(jsonl.read(tmp_path / "judgments.jsonl", "judgment"))
    assert len(first) == 32 and {row["judge"] for row in first} == {"miniature"}
    assert threading.active_count() == threads
    assert rate(tmp_path, "--judgment-cache", str(tmp_path / "again"), **material.RULE_JUDGE) == 0
    again = list(jsonl.read(tmp_path / "judgments.jsonl", "judgment"))
    assert [row["judgment"] for row in first] == [row["judgment"] for row in again]


def test_a_judge_may_be_started_and_ended_with_the_run(tmp_path, capfd):
    material.bench(tmp_path / "data", 1)
    material.answers(tmp_path / "answers.jsonl", 1)
    assert rate(tmp_path, **material.RULE_JUDGE) == 0
    shown = capfd.readouterr().err
    port = shown.split("http://127.0.0.1:")[1].split("/")[0]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with code 3 before it was ready"),
        (["/nowhere/vllm"], "cannot be started"),
    ],
)
def test_a_judge_that_does_not_start_is_reported(tmp_path, capsys, command, message):
    material.bench(tmp_path / "data", 1)
    material.answers(tmp_path / "answers.jsonl", 1)
    assert rate(tmp_path, base_url="auto", serve=tuple(command)) == 2
    assert message in capsys.readouterr().err


def judged(values, repeats=1, category=None):
    """Judgments of questions 81... with these (turn 1, turn 2) ratings; None is unparsed."""
    return [
        {
            "question_id": 81 + i, "category": category or CATEGORIES[i % 8], "turn": turn,
            "repeat": repeat,
            "rating": value, "status": "unparsed" if value is None else "rated", "judge": "test",
            "question_sha256": "0" * 64, "answer_sha256": "1" * 64, "fingerprint": f"{i:08x}{turn}{repeat}",
        }
        for i, pair in enumerate(values) for turn, value in enumerate(pair, 1) for repeat in range(repeats)
    ]  # fmt: skip


def test_scores_are_fastchats_means():
    values = [(8, 6), (10, 9), (4, None), (7, 7), (1, 2), (9, 9), (5, 5), (6, 10)] * 2
    mean, stderr, n, parts, samples = score.mt_bench_parts(judged(values))
    known = [v for pair in values for v in pair if v is not None]
    assert mean == pytest.approx(sum(known) / len(known)) and n == 30 and stderr > 0
    by_task = {part["task"]: part for part in parts}
    assert list(by_task) == [*CATEGORIES, "turn 1", "turn 2"]
    assert by_task["writing"]["raw"] == 7.0 and by_task["writing"]["n"] == 4
    assert by_task["reasoning"]["raw"] == 4.0 and by_task["reasoning"]["n"] == 2
    assert by_task["turn 1"]["raw"] == pytest.approx(np.mean([p[0] for p in values]))
    assert list(samples.columns) == [
        "task", "metric", "doc_id", "doc_hash", "target_hash", "prompt_hash", "prediction", "correct",
        "value", "weight",
    ]  # fmt: skip
    assert len(samples) == 32 and samples["value"].isna().sum() == 2 and samples["correct"].isna().all()
    assert set(samples["metric"]) == {"turn 1", "turn 2"}


def test_repeats_count_as_one_turn_and_missing_ones_are_told():
    rows = judged([(8, 6), (10, 9)], repeats=3, category="math")
    rows[0] = {**rows[0], "rating": 5}
    rows[1] = {**rows[1], "rating": None, "status": "unparsed"}
    mean, _, n, parts, _ = score.mt_bench_parts(rows)
    assert mean == pytest.approx((6.5 + 6 + 10 + 9) / 4) and n == 4
    assert score.missing(rows) == {"judgments": 12, "unparsed": 1, "failed": 0, "turns_without_rating": []}
    assert score.warnings(rows) == ["1 of 12 judgments hold no rating: left out"]
    assert [p["task"] for p in parts] == ["math", "turn 1", "turn 2"]


def test_without_any_rating_there_is_no_score_and_no_number_is_made_up():
    mean, stderr, n, parts, samples = score.mt_bench_parts(judged([(None, None)] * 8))
    assert (mean, stderr, n) == (None, None, 0) and all(part["raw"] is None for part in parts)
    assert samples["value"].isna().all()
    with pytest.raises(UserError, match="no judgments"):
        score.mt_bench_parts([])
    with pytest.raises(UserError, match="mixed"):
        score.mt_bench_parts(judged([(1, 2)]) * 2)


def test_the_standard_error_is_that_of_cluster_robust_regression():
    statsmodels = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(0)
    questions = np.repeat(np.arange(40), 2)
    values = rng.normal(6, 1, 80) + np.repeat(rng.normal(0, 2, 40), 2)
    mean, stderr, n = score.mean_and_stderr(values, questions)
    fit = statsmodels.OLS(values, np.ones(80)).fit(cov_type="cluster", cov_kwds={"groups": questions, "use_correction": False})
    assert mean == pytest.approx(fit.params[0]) and n == 80
    assert stderr == pytest.approx(fit.bse[0] * math.sqrt(40 / 39))


def test_the_ground_of_the_judge_imports_nothing_heavy():
    code = (
        "import sys, edge2giant.judge.__main__, edge2giant.judge.rate, edge2giant.judge.material\n"
        "heavy = {'openai', 'pandas', 'scipy', 'torch', 'numpy', 'lm_eval', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {"PYTHONPATH": str(Path(ROOT) / "workflow")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
