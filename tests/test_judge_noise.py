"""The noise of ratings, against cases whose truth is known."""

import csv
import json
import math

import judge_material as material
import numpy as np
import pytest
from edge2giant.judge import __main__ as cli
from edge2giant.judge import noise
from judge_material import judgments

CATEGORIES = material.CATEGORIES
HOW = noise.Bootstrap(resamples=2000)


def ratings(rng, questions=80, repeats=1):
    ability = rng.normal(6.5, 1.5, (questions, 1, 1))
    return np.clip(np.rint(ability + rng.normal(0, 1, (questions, 2, 1)) + np.zeros((1, 1, repeats))), 1, 10)


def find(rows, measure, statistic, group="all"):
    (found,) = [r for r in rows if (r["measure"], r["statistic"], r["group"]) == (measure, statistic, group)]
    return found


def test_intervals_hold_the_mean_and_have_the_known_width():
    rng = np.random.default_rng(0)
    values = rng.normal(6, 1, (80, 1, 1)) * np.ones((1, 2, 1))
    rows = noise.score_intervals(judgments(np.clip(values, 1, 10)), HOW)
    overall = find(rows, "rating", "mean")
    assert overall["low"] < overall["value"] < overall["high"] and overall["n"] == 160
    # both turns of a question are the same here, so that 80 and not 160 ratings count
    assert overall["high"] - overall["low"] == pytest.approx(2 * 1.96 * values.std() / math.sqrt(80), rel=0.15)
    assert [r["group"] for r in rows] == ["all", "turn 1", "turn 2", *CATEGORIES]


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    how = noise.Bootstrap(resamples=400, confidence=0.9)
    hits = 0
    for _ in range(150):
        values = rng.normal(6, 1, (80, 1)) + rng.normal(0, 0.5, (80, 2))
        low, high = how.interval(values.sum(axis=1), np.full(80, 2.0))
        hits += low <= 6 <= high
    assert 0.82 <= hits / 150 <= 0.97


def test_pairing_removes_what_both_models_share():
    rng = np.random.default_rng(2)
    base = ratings(rng)
    model = base.copy()
    model[:10, 0] = np.clip(model[:10, 0] - 1, 1, 10)
    rows = noise.paired_differences(judgments(model), judgments(base), HOW)
    overall = find(rows, "difference to baseline", "mean")
    assert overall["value"] == pytest.approx((model - base).mean())
    assert overall["high"] <= 0 and overall["high"] - overall["low"] < 0.15
    assert find(rows, "difference to baseline", "up")["value"] == 0
    assert find(rows, "difference to baseline", "down")["value"] == (model < base).sum()


def test_missing_ratings_leave_out_their_pair_alone():
    base = np.full((8, 2, 1), 5.0)
    model = np.full((8, 2, 1), 6.0)
    model[0, 0], base[1, 1] = np.nan, np.nan
    overall = find(noise.paired_differences(judgments(model), judgments(base), HOW), "difference to baseline", "mean")
    assert (overall["value"], overall["n"]) == (1.0, 14)


def test_self_agreement_tells_a_steady_from_a_random_judge():
    rng = np.random.default_rng(3)
    steady = ratings(rng, repeats=3)
    rows = noise.self_agreement(judgments(steady))
    assert find(rows, "self-agreement", "same rating")["value"] == 1.0
    assert find(rows, "self-agreement", "Fleiss kappa")["value"] == pytest.approx(1.0)
    assert find(rows, "self-agreement", "standard deviation of a rating")["value"] == 0.0
    wild = rng.integers(1, 11, steady.shape).astype(float)
    rows = noise.self_agreement(judgments(wild))
    assert abs(find(rows, "self-agreement", "Fleiss kappa")["value"]) < 0.1
    assert find(rows, "self-agreement", "same rating")["value"] == pytest.approx(0.1, abs=0.05)
    assert find(rows, "self-agreement", "standard deviation of a rating")["value"] == pytest.approx(2.87, rel=0.1)
    assert noise.self_agreement(judgments(steady[:, :, :1])) == []


def test_two_judges_agree_or_not():
    rng = np.random.default_rng(4)
    first = ratings(rng)
    shifted = np.clip(first - 1, 1, 10)
    rows = noise.judge_agreement(judgments(first), judgments(shifted, "other"))
    name = "agreement of judges"
    assert find(rows, name, "mean difference")["value"] == pytest.approx((first - shifted).mean())
    assert find(rows, name, "Spearman")["value"] > 0.98 and find(rows, name, "same rating")["value"] < 0.05
    assert find(rows, name, "within one point")["value"] == 1.0
    same = noise.judge_agreement(judgments(first), judgments(first, "other"))
    assert find(same, name, "Cohen kappa, quadratic weights")["value"] == pytest.approx(1.0)
    strange = judgments(first, "other")
    strange[0]["answer_sha256"] = "f" * 64
    with pytest.raises(noise.UserError, match="different answers"):
        noise.judge_agreement(judgments(first), strange)


def answers(words):
    return {81 + q: {"choices": [{"turns": [" ".join(["w"] * int(n)) for n in turns]}]} for q, turns in enumerate(words)}


def test_sensitivity_to_length_is_found_where_it_is():
    rng = np.random.default_rng(5)
    words = 2.0 ** rng.integers(3, 10, (80, 2)) - 1
    follows = (5 + 0.5 * (np.log2(words + 1) - 6) + rng.normal(0, 0.2, words.shape))[..., None]
    rows = noise.length_sensitivity(judgments(follows), answers(words), HOW)
    slope = find(rows, "length", "points a doubling, within category and turn")
    assert slope["low"] < 0.5 < slope["high"] and slope["high"] - slope["low"] < 0.1
    ignores = rng.normal(5, 1, words.shape)[..., None]
    rows = noise.length_sensitivity(judgments(ignores), answers(words), HOW)
    slope = find(rows, "length", "points a doubling, within category and turn")
    assert slope["low"] < 0 < slope["high"]


def test_brevity_that_gains_shows_as_a_negative_slope_of_differences():
    rng = np.random.default_rng(6)
    base_words = np.full((80, 2), 255)
    words = 2.0 ** rng.integers(6, 9, (80, 2)) - 1
    base = np.full((80, 2, 1), 5.0)
    model = base - (np.log2(words + 1) - 8)[..., None] * 0.5 + rng.normal(0, 0.1, base.shape)
    rows = noise.length_of_differences(judgments(model), judgments(base), answers(words), answers(base_words), HOW)
    assert find(rows, "length of difference", "points a doubling")["high"] < 0
    assert find(rows, "length of difference", "median ratio of lengths")["value"] == pytest.approx(0.5)


def test_constant_ratings_give_none_and_no_warning(recwarn):
    flat = np.full((8, 2, 2), 5.0)
    rows = noise.measure(
        judgments(flat), HOW, baseline=judgments(flat), other=judgments(flat, "o"),
        answers=answers(np.full((8, 2), 9)), baseline_answers=answers(np.full((8, 2), 9)),
    )  # fmt: skip
    assert find(rows, "agreement of judges", "Spearman")["value"] is None
    assert find(rows, "length of difference", "points a doubling")["value"] is None
    assert json.dumps(rows, allow_nan=False) and not [str(w.message) for w in recwarn]


def test_the_command_writes_json_and_csv(tmp_path):
    material.bench(tmp_path / "data", 2)
    for name, words in (("a", "short"), ("b", "a somewhat longer answer with more words in it")):
        material.answers(tmp_path / "answers.jsonl", 2, model=name, words=words)
        cli.main(material.rating(tmp_path, **material.RULE_JUDGE, repeats=2))
        for kind in ("answers", "judgments"):
            (tmp_path / f"{kind}.jsonl").rename(tmp_path / f"{name}.{kind}.jsonl")
    cli.main(
        ["noise", "--judgments", str(tmp_path / "b.judgments.jsonl"), "--baseline", str(tmp_path / "a.judgments.jsonl"),
         "--other", str(tmp_path / "b.judgments.jsonl"), "--answers", str(tmp_path / "b.answers.jsonl"),
         "--baseline-answers", str(tmp_path / "a.answers.jsonl"),
         "--out-json", str(tmp_path / "noise.json"), "--out-csv", str(tmp_path / "noise.csv")]
    )  # fmt: skip
    record = json.loads((tmp_path / "noise.json").read_text())
    table = list(csv.DictReader((tmp_path / "noise.csv").open()))
    assert len(table) == len(record["rows"]) and list(table[0]) == list(noise.COLUMNS)
    measures = {r["measure"] for r in table}
    assert measures == {
        "rating", "self-agreement", "difference to baseline", "agreement of judges", "length",
        "length of difference",
    }  # fmt: skip
