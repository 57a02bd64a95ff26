"""Aggregation and normalisation against hand-worked examples and lm-eval's formulas."""

import math

import numpy as np
import pytest
from edge2giant.errors import UserError
from edge2giant.scoring import aggregation
from edge2giant.scoring.aggregation import Aggregation, Estimate
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=40).map(np.array)


def ones(values):
    return np.ones(len(values))


@given(VALUES)
def test_equal_weights_give_the_plain_mean_and_its_standard_error(values):
    estimate = aggregation.weighted_mean(values, ones(values))
    assert estimate.value == pytest.approx(values.mean(), abs=1e-12)
    assert estimate.stderr == pytest.approx(values.std(ddof=1) / math.sqrt(len(values)), abs=1e-9)


def test_weights_count_instructions():
    estimate = aggregation.weighted_mean(np.array([1.0, 0.5]), np.array([1.0, 2.0]))
    assert estimate.value == pytest.approx(2 / 3)


def test_one_document_has_no_error():
    assert aggregation.weighted_mean(np.array([1.0]), np.array([1.0])).stderr is None


def test_ifeval_is_the_mean_of_prompt_and_instruction_level():
    prompt, instruction = np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.5, 0.0])
    weights = np.array([1.0, 2.0, 1.0])
    estimate = aggregation.mean_of_metrics([(prompt, ones(prompt)), (instruction, weights)])
    assert estimate.value == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert estimate.n == 3


@given(VALUES)
def test_two_equal_metrics_have_the_error_of_one(values):
    one = aggregation.weighted_mean(values, ones(values))
    both = aggregation.mean_of_metrics([(values, ones(values))] * 2)
    assert (both.value, both.stderr) == pytest.approx((one.value, one.stderr))


def normalised(raw, chance, clip, stderr=None):
    return Aggregation(False, {"t": chance}, clip=clip).estimate({"t": Estimate(raw, stderr, 9)})


@pytest.mark.parametrize(
    ("raw", "choices", "expected"),
    [(0.25, 4, 0.0), (1.0, 4, 100.0), (0.5, 4, 100 / 3), (0.1, 4, 0.0), (0.1, 10, 0.0), (0.55, 10, 50.0)],
)
def test_normalisation_puts_chance_at_0_and_clips(raw, choices, expected):
    assert normalised(raw, 1 / choices, clip=True).value == pytest.approx(expected)


def test_without_clipping_a_score_under_chance_is_negative():
    assert normalised(0.1, 0.25, clip=False).value == pytest.approx(-20)


def test_the_error_is_stretched_like_the_score():
    assert normalised(0.5, 0.25, clip=True, stderr=0.03).stderr == pytest.approx(4.0)


def test_the_mean_of_subtasks_weighs_them_alike():
    joint = Aggregation(True, {"a": 0.0, "b": 0.0}, scale=1.0).estimate({"a": Estimate(10, 3, 100), "b": Estimate(20, 4, 1)})
    assert (joint.value, joint.stderr, joint.n) == (15, 2.5, 101)


def test_size_weighted_is_the_mean_over_documents():
    a, b = np.array([1.0, 1, 0]), np.array([0.0, 1])
    tasks = {name: aggregation.weighted_mean(x, ones(x)) for name, x in (("a", a), ("b", b))}
    joint = Aggregation(False, {"a": 0.0, "b": 0.0}, scale=1.0).estimate(tasks)
    assert joint.value == pytest.approx(np.concatenate([a, b]).mean())
    pooled = (2 * a.var(ddof=1) + 1 * b.var(ddof=1)) / (5 - 2)
    assert joint.stderr == pytest.approx(math.sqrt(pooled / 5))


def test_different_chance_levels_are_not_pooled():
    with pytest.raises(UserError, match="aggregation: mean"):
        Aggregation(False, {"a": 0.25, "b": 0.5})


@given(
    st.dictionaries(st.sampled_from("abcd"), st.tuples(st.floats(0, 1), st.integers(1, 500)), min_size=1),
    st.booleans(),
    st.booleans(),
)
def test_one_mean_and_an_array_of_means_give_the_same_score(tasks, macro, clip):
    rule = Aggregation(macro, dict.fromkeys(tasks, 0.25), clip=clip)
    sizes = {task: n for task, (_, n) in tasks.items()}
    one = rule.score({task: mean for task, (mean, _) in tasks.items()}, sizes)
    many = rule.score({task: np.full(3, mean) for task, (mean, _) in tasks.items()}, sizes)
    assert many == pytest.approx(np.full(3, one), abs=1e-9)
