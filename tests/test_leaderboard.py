"""Aggregation and normalisation against hand-worked examples and lm-eval's formulas."""

import math

import numpy as np
import pytest
from edge2giant.score import leaderboard
from edge2giant.score.leaderboard import Estimate
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=40).map(np.array)


def ones(values):
    return np.ones(len(values))


@given(VALUES)
def test_equal_weights_give_the_plain_mean_and_its_standard_error(values):
    estimate = leaderboard.weighted_mean(values, ones(values))
    assert estimate.value == pytest.approx(values.mean(), abs=1e-12)
    assert estimate.stderr == pytest.approx(values.std(ddof=1) / math.sqrt(len(values)), abs=1e-9)


def test_weights_count_instructions():
    estimate = leaderboard.weighted_mean(np.array([1.0, 0.5]), np.array([1.0, 2.0]))
    assert estimate.value == pytest.approx(2 / 3)


def test_one_document_has_no_error():
    assert leaderboard.weighted_mean(np.array([1.0]), np.array([1.0])).stderr is None


def test_ifeval_is_the_mean_of_prompt_and_instruction_level():
    prompt, instruction = np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.5, 0.0])
    weights = np.array([1.0, 2.0, 1.0])
    estimate = leaderboard.mean_of_metrics([(prompt, ones(prompt)), (instruction, weights)])
    assert estimate.value == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert estimate.n == 3


@given(VALUES)
def test_two_equal_metrics_have_the_error_of_one(values):
    one = leaderboard.weighted_mean(values, ones(values))
    both = leaderboard.mean_of_metrics([(values, ones(values))] * 2)
    assert (both.value, both.stderr) == pytest.approx((one.value, one.stderr))


@pytest.mark.parametrize(
    ("raw", "choices", "expected"),
    [(0.25, 4, 0.0), (1.0, 4, 100.0), (0.5, 4, 100 / 3), (0.1, 4, 0.0), (0.1, 10, 0.0), (0.55, 10, 50.0)],
)
def test_normalisation_puts_chance_at_0_and_clips(raw, choices, expected):
    assert leaderboard.normalise(Estimate(raw, 0.01, 5), 1 / choices, clip=True).value == pytest.approx(expected)


def test_without_clipping_a_score_under_chance_is_negative():
    assert leaderboard.normalise(Estimate(0.1, None, 5), 0.25, clip=False).value == pytest.approx(-20)


def test_the_error_is_stretched_like_the_score():
    assert leaderboard.normalise(Estimate(0.5, 0.03, 9), 0.25, clip=True).stderr == pytest.approx(4.0)


def test_mean_of_tasks_weighs_them_alike():
    joint = leaderboard.mean_of_tasks([Estimate(10, 3, 100), Estimate(20, 4, 1)])
    assert (joint.value, joint.stderr, joint.n) == (15, 2.5, 101)


def test_size_weighted_is_the_mean_over_documents():
    a, b = np.array([1.0, 1, 0]), np.array([0.0, 1])
    tasks = [leaderboard.weighted_mean(x, ones(x)) for x in (a, b)]
    joint = leaderboard.size_weighted(tasks)
    assert joint.value == pytest.approx(np.concatenate([a, b]).mean())
    pooled = (2 * a.var(ddof=1) + 1 * b.var(ddof=1)) / (5 - 2)
    assert joint.stderr == pytest.approx(math.sqrt(pooled / 5))
