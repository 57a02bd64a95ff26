"""The judge's pure parts: prompts, ratings, the server that a run starts, scores."""

import dataclasses
import math
import socket
import subprocess
import sys
from pathlib import Path

import judge_material as material
import numpy as np
import pandas as pd
import pytest
from edge2giant import errors, jsonl
from edge2giant.errors import UserError
from edge2giant.judge import __main__ as cli
from edge2giant.judge import rating, score
from edge2giant.judge.endpoint import retry_after
from edge2giant.judge.material import load_answers, load_bench
from edge2giant.judge.requests import requests_of
from edge2giant.mt_bench import CATEGORIES
from edge2giant.records.mt_bench import Judgment
from edge2giant.scoring.aggregation import Estimate
from edge2giant.scoring.samples import SCHEMA
from hypothesis import given
from hypothesis import strategies as st
from shared import ROOT

NAN = math.nan


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


@given(st.text(alphabet="[]0123456789. a"))
def test_no_text_gives_a_rating_off_the_scale(text):
    for value in (rating.parse(text)[0], rating.last(text)):
        assert value is None or 1 <= value <= 10


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("array [[3]] ... Rating: [[8]]", 8.0),
        ("Rating: [[7]]", 7.0),
        ("see [9], Rating: [[5]]", 5.0),
        ("[[8]] of [[10]] points, as in [[2023]]", 10.0),
        ("[4] or [6]", 6.0),
        ("[[2023]] then [[8]]", 8.0),
        ("none", None),
    ],
)
def test_the_last_rating_is_of_the_brackets_that_count(text, last):
    assert rating.last(text) == last


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


def test_answers_to_no_question_are_refused(tmp_path, capsys):
    material.bench(tmp_path / "data", 1)
    material.answers(tmp_path / "answers.jsonl", 2)
    assert rate(tmp_path, **material.RULE_JUDGE) == 2
    assert "8 answers are to no question: 89, 90" in capsys.readouterr().err


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


def test_the_rule_judge_is_served_for_the_time_of_a_run(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # never stands between a run and its own server
    material.bench(tmp_path / "data", 2)
    material.answers(tmp_path / "answers.jsonl", 2)
    assert rate(tmp_path, **material.RULE_JUDGE) == 0
    port = capfd.readouterr().err.split("http://127.0.0.1:")[1].split("/")[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))
    first = list(jsonl.read(tmp_path / "judgments.jsonl", Judgment))
    assert len(first) == 32 and {row["judge"] for row in first} == {"miniature"}
    assert rate(tmp_path, "--judgment-cache", str(tmp_path / "again"), **material.RULE_JUDGE) == 0
    again = list(jsonl.read(tmp_path / "judgments.jsonl", Judgment))
    assert [row["judgment"] for row in first] == [row["judgment"] for row in again]


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


def turns(pairs, repeats=1, **more):
    """Turns of questions with these pairs of ratings, each repeated."""
    return score.ratings(material.judgments([[[value] * repeats for value in pair] for pair in pairs], **more))


def test_scores_are_fastchats_means():
    values = [(8, 6), (10, 9), (4, NAN), (7, 7), (1, 2), (9, 9), (5, 5), (6, 10)] * 2
    rows = turns(values)
    overall = score.mean(rows)
    assert overall.value == pytest.approx(np.nanmean(values)) and overall.n == 30 and overall.stderr > 0
    by_task = {part.task: part for part in score.parts(rows)}
    assert list(by_task) == [*CATEGORIES, "turn 1", "turn 2"]
    assert by_task["writing"].raw == 7.0 and by_task["writing"].n == 4
    assert by_task["reasoning"].raw == 4.0 and by_task["reasoning"].n == 2
    assert by_task["turn 1"].raw == pytest.approx(np.mean([p[0] for p in values]))
    samples = score.samples(rows, {81: material.answer({"question_id": 81})})
    assert set(samples[0]) == set(SCHEMA.names) and len(samples) == 32
    assert [row["prediction"][:11] for row in samples[:3]] == ["answer 81 1", "answer 81 2", ""]
    assert [row["metric"] for row in samples[:3]] == ["turn 1", "turn 2", "turn 1"]
    assert sum(row["value"] is None for row in samples) == 2


def test_repeats_count_as_one_turn_and_missing_ones_are_told():
    rows = material.judgments([[[5, NAN, 8], [6] * 3], [[10] * 3, [9] * 3]], category="math")
    assert score.mean(score.ratings(rows)).value == pytest.approx((6.5 + 6 + 10 + 9) / 4)
    assert score.missing(rows) == {"judgments": 12, "unparsed": 1, "failed": 0, "two_readings": 0, "turns_without_rating": []}
    assert score.warnings(rows) == ["1 of 12 judgments hold no rating: left out"]
    assert [part.task for part in score.parts(score.ratings(rows))] == ["math", "turn 1", "turn 2"]


def test_judgments_that_end_with_another_rating_are_told_with_what_they_would_give():
    rows = material.judgments([[[3], [6]], [[9], [6]]], category="math")
    rows[0]["last_rating"] = 8.0
    assert score.mean(score.ratings(rows)).value == 6.0
    assert score.missing(rows)["two_readings"] == 1
    (told,) = score.warnings(rows)
    assert told.startswith("1 of 4 judgments end with another rating") and "question 81 turn 1" in told and told.endswith("7.25")


def test_without_any_rating_there_is_no_score_and_no_number_is_made_up():
    rows = turns([(NAN, NAN)] * 8)
    assert score.mean(rows) == Estimate(None, None, 0) and all(part.raw is None for part in score.parts(rows))
    assert all(row["value"] is None for row in score.samples(rows, {}))
    with pytest.raises(UserError, match="no judgments"):
        score.ratings([])
    with pytest.raises(UserError, match="mixed"):
        score.ratings(material.judgments([[[1], [2]]]) * 2)


def test_the_standard_error_is_that_of_cluster_robust_regression():
    statsmodels = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(0)
    questions = np.repeat(np.arange(40), 2)
    values = rng.normal(6, 1, 80) + np.repeat(rng.normal(0, 2, 40), 2)
    found = score.mean(pd.DataFrame({"rating": values, "question_id": questions}))
    fit = statsmodels.OLS(values, np.ones(80)).fit(cov_type="cluster", cov_kwds={"groups": questions, "use_correction": False})
    assert found.value == pytest.approx(fit.params[0]) and found.n == 80
    assert found.stderr == pytest.approx(fit.bse[0] * math.sqrt(40 / 39))


def test_rating_imports_nothing_heavy():
    code = (
        "import sys, edge2giant.judge.__main__\n"
        "heavy = {'pandas', 'scipy', 'torch', 'numpy', 'lm_eval', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {"PYTHONPATH": str(Path(ROOT) / "workflow")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
